use underlay_core::{Schedule, Timestamp};

use super::Subject;
use super::subject::{at, definition};
use crate::SchedulesFixture;
use crate::concurrent::together;

/// Sentence 3: of several who move a schedule on from one moment, one does; one that was put anew or removed
/// meanwhile is left as it is.
pub async fn a_schedule_moves_on_once<F: SchedulesFixture>(fixture: F) {
    const MOVERS: usize = 12;
    let subject = Subject::of(&fixture);
    let globex = subject.seen_by("globex");
    let other = globex.put("monthly", &definition("theirs"), Some(at(0))).await;
    let mut seen = subject.put("monthly", &definition("ours"), Some(at(0))).await;
    for round in 1..=8 {
        let advance = |number: usize| {
            let (subject, seen) = (subject.clone(), seen.clone());
            // They do not agree on the next moment either.
            let next = at(round * 100 + number as i64);
            async move { subject.advance(&seen, Some(next)).await.then_some(next) }
        };
        let moved: Vec<Timestamp> = together((0..MOVERS).map(advance)).await.into_iter().flatten().collect();
        assert_eq!(moved.len(), 1, "one of {MOVERS} moves it on: {moved:?}");
        let expected = Schedule { next_due_at: Some(moved[0]), ..seen };
        seen = subject.find("monthly").await.expect("it is there");
        assert_eq!(seen, expected, "it stands where that one moved it, and is otherwise as it was");
    }
    assert_eq!(globex.find("monthly").await, Some(other), "another tenant's stays");

    // It was put anew, for the same moment, and back.
    let stale = seen.clone();
    subject.put("monthly", &definition("others"), seen.next_due_at).await;
    let anew = subject.put("monthly", &seen.definition, seen.next_due_at).await;
    assert!(!subject.advance(&stale, Some(at(9_999))).await, "who saw the one before moves nothing");
    assert_eq!(subject.find("monthly").await.as_ref(), Some(&anew));
    for seen in [
        Schedule { revision: anew.revision + 1, ..anew.clone() },
        Schedule { revision: 0, ..anew.clone() },
        Schedule { next_due_at: None, ..anew.clone() },
        Schedule { next_due_at: Some(at(1)), ..anew.clone() },
        Schedule { name: "Monthly".to_owned(), ..anew.clone() },
        Schedule { tenant: subject.seen_by("nobody").tenant, ..anew.clone() },
    ] {
        assert!(!subject.advance(&seen, Some(at(9_999))).await, "{seen:?} is not what is there");
        assert_eq!(subject.find("monthly").await.as_ref(), Some(&anew));
    }
    // Removed, and put again under the same name.
    assert!(subject.remove("monthly").await);
    assert!(!subject.advance(&anew, Some(at(9_999))).await);
    assert_eq!(subject.find("monthly").await, None, "what was removed is not moved");
    let again = subject.put("monthly", &anew.definition, anew.next_due_at).await;
    assert!(!subject.advance(&anew, Some(at(9_999))).await);
    assert_eq!(subject.find("monthly").await.as_ref(), Some(&again));
    // To its end, from which nobody moves it by an earlier sight, and back.
    assert!(subject.advance(&again, None).await);
    assert!(!subject.advance(&again, Some(at(1))).await);
    let ended = Schedule { next_due_at: None, ..again };
    assert_eq!(subject.find("monthly").await.as_ref(), Some(&ended));
    assert!(subject.advance(&ended, Some(at(1))).await, "who has seen its end may give it a moment");
    assert!(!subject.advance(&ended, Some(at(2))).await);
    put_while_moving(&subject).await;
}

/// Whatever comes first, what was put last is there as it was put.
async fn put_while_moving(subject: &Subject) {
    for round in 0..20 {
        let seen = subject.put("busy", &definition("before"), Some(at(round))).await;
        let after = definition("after");
        let (moved, put) =
            tokio::join!(subject.advance(&seen, Some(at(9_999))), subject.put("busy", &after, Some(at(-1))));
        let there = subject.find("busy").await;
        assert_eq!(there, Some(put), "it was moved before it was put, or not at all ({moved})");
    }
}
