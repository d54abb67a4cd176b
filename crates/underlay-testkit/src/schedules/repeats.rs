use underlay_core::{Json, Schedule};

use super::Subject;
use super::subject::{at, definition};
use crate::SchedulesFixture;
use crate::concurrent::together;

/// Sentence 7: what is put again by the same definition stays as it is, with its revision and its next moment, also
/// where several put it at once.
pub async fn the_same_put_again_changes_nothing<F: SchedulesFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let ours = definition("ours");
    let put = subject.put("monthly", &ours, Some(at(0))).await;
    for next in [Some(at(0)), Some(at(1)), Some(at(-1)), None] {
        assert_eq!(subject.put_again("monthly", &ours, next).await, put, "it stays as it is");
        assert_eq!(subject.find("monthly").await.as_ref(), Some(&put), "and so it is listed");
    }
    assert!(subject.advance(&put, Some(at(60))).await, "who saw it before it was put again moves it on");
    let moved = Schedule { next_due_at: Some(at(60)), ..put };
    assert_eq!(
        subject.put_again("monthly", &ours, Some(at(0))).await,
        moved,
        "it stays where it was moved to"
    );
    assert!(subject.advance(&moved, None).await);
    let ended = Schedule { next_due_at: None, ..moved };
    assert_eq!(subject.put_again("monthly", &ours, Some(at(0))).await, ended, "also at its end");

    // Another tenant, another name, another text: each is another.
    assert_eq!(subject.seen_by("globex").put("monthly", &ours, Some(at(1))).await.revision, 1);
    assert_eq!(subject.put("Monthly", &ours, Some(at(1))).await.revision, 1);
    let spelled = Json::parse(" [ \"ours\" ] ").expect("JSON");
    let other = subject.put("monthly", &spelled, Some(at(2))).await;
    assert_eq!(other.revision, ended.revision + 1, "what is spelled in another way is another");
    let back = subject.put("monthly", &ours, Some(at(3))).await;
    assert_eq!(back.revision, other.revision + 1, "and so is what is put back");
    assert!(subject.remove("monthly").await);
    let anew = subject.put("monthly", &ours, Some(at(4))).await;
    assert_eq!(anew.revision, back.revision + 1, "one that was removed is put anew");
    drop(subject);
    let fixture = fixture.reopen().await;
    let subject = Subject::of(&fixture);
    assert_eq!(subject.put_again("monthly", &ours, Some(at(5))).await, anew, "also after reopening");
    put_at_once(&subject).await;
}

/// Whoever of them comes first, all of them are told of that one.
async fn put_at_once(subject: &Subject) {
    const PUTTERS: i64 = 8;
    for round in 0..12 {
        // The first is put where there is none, others in the place of another or of one that was removed.
        match round % 3 {
            1 => drop(subject.put("busy", &definition("another"), None).await),
            2 => assert!(subject.remove("busy").await),
            _ => {}
        }
        let text = definition(&format!("{}", if round % 3 == 2 { round - 1 } else { round }));
        let before = subject.find("busy").await;
        let put = |number: i64| {
            let (subject, text) = (subject.clone(), text.clone());
            async move { subject.put_again("busy", &text, Some(at(number))).await }
        };
        let told: Vec<Schedule> = together((0..PUTTERS).map(put)).await;
        let there = subject.find("busy").await.expect("it is there");
        assert!(
            told.iter().all(|told| *told == there),
            "one of them is put: {told:?}, and there is {there:?}"
        );
        if let Some(before) = before {
            assert_eq!(there.revision, before.revision + 1, "it is put once");
        }
    }
}
