use underlay_core::{Checkpoint, EventId, Position, StoreId};

use super::Subject;
use super::subject::{at, place};
use crate::CheckpointsFixture;
use crate::concurrent::together;

/// Sentence 2: a checkpoint moves from the expected place alone; otherwise it is `CheckpointMoved`, and stays. Of
/// several who move it from one place, one does.
pub async fn a_checkpoint_moves_from_where_it_was<F: CheckpointsFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let first = place(5);
    subject.assert_moved("pump", Some(&first), &at(place(6), "")).await;
    subject.assert_moved("pump", Some(&Checkpoint::start(first.store)), &at(place(6), "")).await;
    assert_eq!(subject.find("pump").await, None, "there was none, and is none");
    subject.move_on("pump", None, &at(first, "one"), None).await;
    subject.move_on("other", None, &at(place(1), "other"), None).await;
    let elsewhere = [
        None,
        Some(Checkpoint { position: Position::from_number(4), ..first }),
        Some(Checkpoint { position: Position::from_number(6), ..first }),
        Some(Checkpoint { event_id: Some(EventId::draw()), ..first }),
        Some(Checkpoint { event_id: None, ..first }),
        Some(Checkpoint { store: StoreId(EventId::draw().0), ..first }),
        Some(Checkpoint::start(first.store)),
    ];
    for from in elsewhere {
        subject.assert_moved("pump", from.as_ref(), &at(place(6), "two")).await;
        subject.assert_moved("pump", from.as_ref(), &at(first, "one")).await;
    }
    // With another definition, to where it is, back, and to another log: where to is its owner's affair.
    let start = Checkpoint::start(StoreId(EventId::draw().0));
    let mut last = at(first, "one");
    for next in
        [at(first, "two"), at(place(6), "two"), at(place(2), "three"), at(start, "four"), at(place(1), "")]
    {
        subject.move_on("pump", Some(&last.checkpoint), &next, None).await;
        assert_eq!(subject.find("pump").await.as_ref(), Some(&next), "place and definition move together");
        last = next;
    }
    several_at_once(&subject).await;
}

async fn several_at_once(subject: &Subject) {
    const MOVERS: usize = 12;
    let mut from: Option<Checkpoint> = None;
    for round in 0..8 {
        let attempt = |number: usize| {
            let subject = subject.clone();
            let to = at(place(round * 100 + number as u64), &format!("{number}"));
            async move { subject.0.move_checkpoint("busy", from.as_ref(), &to, None).await.is_ok().then_some(to) }
        };
        let moved: Vec<_> = together((0..MOVERS).map(attempt)).await.into_iter().flatten().collect();
        assert_eq!(moved.len(), 1, "one of {MOVERS} moves it: {moved:?}");
        assert_eq!(subject.find("busy").await.as_ref(), moved.first(), "to where that one moved it");
        from = Some(moved[0].checkpoint);
    }
}
