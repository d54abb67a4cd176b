use std::time::Duration;

use underlay_core::limits::{LEASE_NAME_BYTES_MAX, LEASE_SECONDS_MAX};
use underlay_core::{Error, Lease};

use super::Subject;
use super::subject::TERM;
use crate::{LeasesFixture, sample};

/// Sentence 7: what exceeds a limit is `Invalid` with the limit's name.
pub async fn limits_of_leases_are_named<F: LeasesFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let longest = "n".repeat(LEASE_NAME_BYTES_MAX);
    let too_long = "n".repeat(LEASE_NAME_BYTES_MAX + 1);
    let lease = subject.take(&longest, &longest).await;
    assert_eq!(subject.renew(&lease).await.term, lease.term, "the longest names are renewed");
    for text in ["", too_long.as_str(), "a\0b"] {
        for (name, holder) in [(text, "a"), ("work", text)] {
            let answer = subject.0.acquire(name, holder, TERM).await;
            assert_named(answer.map(|_| ()), "LEASE_NAME_BYTES_MAX");
        }
    }
    let longest_time = Duration::from_secs(LEASE_SECONDS_MAX);
    for duration in [Duration::ZERO, longest_time + Duration::from_nanos(1), Duration::MAX] {
        let answer = subject.0.acquire("work", "a", duration).await;
        assert_named(answer.map(|_| ()), "LEASE_SECONDS_MAX");
        let answer = subject.0.renew(&lease, duration).await;
        assert_named(answer.map(|_: Lease| ()), "LEASE_SECONDS_MAX");
    }
    // Nothing was taken by what was refused.
    let lease = subject.0.acquire("work", "a", longest_time).await.expect("the longest time is given");
    assert_eq!(lease.map(|lease| lease.term), Some(1));
    for (number, name) in sample::HOSTILE_TEXTS.iter().enumerate() {
        if name.len() <= LEASE_NAME_BYTES_MAX && !name.is_empty() {
            let lease = subject.take(&format!("{number}{name}"), name).await;
            assert_eq!(lease.term, 1, "hostile text is a name like any other: {name:?}");
        }
    }
}

fn assert_named(answer: Result<(), Error>, limit: &str) {
    match answer {
        Err(Error::Invalid(message)) => assert!(message.contains(limit), "{message:?} does not name {limit}"),
        other => panic!("not invalid by {limit}: {other:?}"),
    }
}
