use underlay_core::{Commit, CommitId, ExpectedVersion, Position, RecordedEvent, Timestamp};

use super::Subject;
use crate::concurrent::together;
use crate::{EventStoreFixture, sample};

/// Sentence 19: recorded times never decrease, and `position_at` finds the last event at or before a time.
pub async fn position_at_finds_the_last_event_before<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    for time in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        assert_eq!(
            position_at(&subject, time).await,
            Position::START,
            "an empty log has no event before {time}"
        );
    }

    for number in 0..20 {
        let commit = sample::write(&sample::stream("note-1"), ExpectedVersion::Any, number % 4 + 1);
        let committed = subject.commit(commit).await;
        let last = position_at(&subject, committed.recorded_at).await;
        assert_eq!(last, committed.position, "the event recorded last is the last one at its own time");
        subject.commit(Commit::new(CommitId::draw())).await;
    }
    let writer = |number: usize| {
        let subject = subject.seen_by(if number.is_multiple_of(2) { "acme" } else { "globex" });
        async move {
            for _ in 0..6 {
                let stream = sample::stream(&format!("busy-{number}"));
                subject.commit(sample::write(&stream, ExpectedVersion::Any, number % 3 + 1)).await;
            }
        }
    };
    together((0..8).map(writer)).await;

    let log = subject.log().await;
    for pair in log.windows(2) {
        assert!(pair[0].recorded_at <= pair[1].recorded_at, "recorded times never decrease along the log");
        if pair[0].commit_tail > 0 {
            assert_eq!(pair[0].recorded_at, pair[1].recorded_at, "the events of a commit have one time");
        }
    }
    for event in &log {
        let micros = event.recorded_at.as_microsecond();
        for time in [micros - 1, micros, micros + 1]
            .map(|micros| Timestamp::from_microsecond(micros).expect("a time"))
        {
            assert_eq!(
                position_at(&subject, time).await,
                last_at(&log, time),
                "the last event at or before {time}"
            );
        }
        // Between two microseconds nothing is recorded.
        let between = Timestamp::from_nanosecond(event.recorded_at.as_nanosecond() + 999).expect("a time");
        assert_eq!(
            position_at(&subject, between).await,
            last_at(&log, between),
            "the last event at or before {between}"
        );
    }
    let head = subject.head().await;
    assert_eq!(position_at(&subject, Timestamp::MIN).await, Position::START, "no event is before all time");
    assert_eq!(
        position_at(&subject, Timestamp::UNIX_EPOCH).await,
        last_at(&log, Timestamp::UNIX_EPOCH),
        "in 1970"
    );
    assert_eq!(position_at(&subject, Timestamp::MAX).await, head, "every event is before the end of time");
}

async fn position_at(subject: &Subject, time: Timestamp) -> Position {
    subject.store.position_at(time).await.expect("position_at answers")
}

fn last_at(log: &[RecordedEvent], time: Timestamp) -> Position {
    let mut before = log.iter().filter(|event| event.recorded_at <= time);
    before.next_back().map_or(Position::START, |event| event.position)
}
