use underlay_core::Error;
use underlay_core::limits::LEASE_NAME_BYTES_MAX;

use super::Subject;
use super::subject::{at, place};
use crate::CheckpointsFixture;

/// Sentence 5: a name that exceeds its limit is `Invalid` with the limit's name.
pub async fn limits_of_checkpoints_are_named<F: CheckpointsFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let stored = at(place(1), "");
    let too_long = "n".repeat(LEASE_NAME_BYTES_MAX + 1);
    for name in ["", too_long.as_str(), "a\0b"] {
        assert_named(subject.0.move_checkpoint(name, None, &stored, None).await);
        assert_named(subject.0.find_checkpoint(name).await);
    }
    assert_eq!(subject.list().await, [], "what is invalid is not stored");
    let longest = "n".repeat(LEASE_NAME_BYTES_MAX);
    subject.move_on(&longest, None, &stored, None).await;
    assert_eq!(subject.find(&longest).await, Some(stored), "the longest there is");
}

fn assert_named<T: std::fmt::Debug>(answer: Result<T, Error>) {
    match answer {
        Err(Error::Invalid(message)) => assert!(message.contains("LEASE_NAME_BYTES_MAX"), "{message:?}"),
        other => panic!("not invalid by LEASE_NAME_BYTES_MAX: {other:?}"),
    }
}
