use underlay_core::Version;

use super::Subject;
use super::subject::snapshot;
use crate::concurrent::together;
use crate::{SnapshotsFixture, sample};

/// Sentence 2: a snapshot replaces one of a lower or equal version or of another definition, and no other.
pub async fn a_later_snapshot_replaces_an_earlier<F: SnapshotsFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    for (number, (there, new, definition, replaces)) in [
        (5, 6, "first", true),
        (5, 5, "first", true),
        (5, 4, "first", false),
        (5, 0, "first", false),
        (5, 6, "second", true),
        (5, 5, "second", true),
        (5, 4, "second", true),
        (u64::from(u32::MAX), 9, "first", false),
        // By number, not by text.
        (9, 10, "first", true),
        (10, 9, "first", false),
    ]
    .into_iter()
    .enumerate()
    {
        let stream = sample::stream(&format!("account-{number}"));
        let (there, new) = (snapshot(there, "first"), snapshot(new, definition));
        subject.store(&stream, &there).await;
        subject.store(&stream, &new).await;
        let expected = if replaces { &new } else { &there };
        assert_eq!(
            subject.load(&stream).await.as_ref(),
            Some(expected),
            "version {} by {definition} over version {} by first",
            new.version,
            there.version
        );
    }

    // Whatever the order they arrive in, the last version stays.
    for round in 0..5 {
        let stream = sample::stream(&format!("busy-{round}"));
        let store = |version: u64| {
            let (subject, stream) = (subject.clone(), stream.clone());
            async move { subject.store(&stream, &snapshot(version, "first")).await }
        };
        together((1..=16).map(store)).await;
        let last = subject.load(&stream).await.map(|found| found.version);
        assert_eq!(last, Some(Version(16)), "an earlier snapshot never replaces a later one");
    }
}
