use underlay_core::limits::{SKIP_BY_BYTES_MAX, SKIP_WHY_BYTES_MAX};
use underlay_core::{
    Error, EventId, ParkedEvent, Position, SkipOrder, SkippedEvent, StopCause, StreamName, Timestamp,
    Version, ViewBatch, ViewStop,
};

use super::subject::{Subject, row, schema};
use crate::{ReadModelsFixture, sample};

const VIEW: &str = "accounts";

fn event(position: u64) -> ParkedEvent {
    ParkedEvent {
        tenant: sample::tenant("globex"),
        position: Position::from_number(position),
        stream: StreamName::parse("account-a").expect("a stream"),
        version: Version(position),
        event_id: EventId::draw(),
        reason: "a reason with 'quotes', \"more\" and \u{2603}".to_owned(),
    }
}

fn time(microsecond: i64) -> Timestamp {
    Timestamp::from_microsecond(microsecond).expect("a time")
}

fn stop(event: &ParkedEvent) -> ViewStop {
    let cause = StopCause::Event { event: event.clone(), is_of_event: true };
    ViewStop { since: time(1_900_000_000_000_001), cause }
}

fn failure(reason: &str) -> ViewStop {
    ViewStop { since: time(7), cause: StopCause::Failure { reason: reason.to_owned() } }
}

fn skip(position: u64) -> SkipOrder {
    SkipOrder {
        position: Position::from_number(position),
        by: "ann".to_owned(),
        why: "it was written by 'mistake' \u{2603}".to_owned(),
        at: time(1_900_000_000_000_002),
    }
}

impl Subject {
    async fn stored_stop(&self) -> Option<ViewStop> {
        self.models.views().await.expect("views answers").remove(0).stop
    }

    /// Stores where the table stands that it does not go on, or that it does.
    async fn set_stop(&self, stop: Option<ViewStop>) -> Result<(), Error> {
        let at = self.checkpoint().await;
        self.models.apply(&self.table, ViewBatch::new(at, at, Vec::new()).with_stop(stop)).await
    }

    async fn move_to(&self, position: u64) {
        let batch = ViewBatch::new(self.checkpoint().await, self.place(position), Vec::new());
        self.models.apply(&self.table, batch).await.expect("a sound batch is stored");
    }

    async fn refuses(&self, skip: SkipOrder, says: &[&str]) {
        let refused = self.models.skip(VIEW, skip).await;
        let Err(Error::Invalid(reason)) = refused else { panic!("it is refused: {refused:?}") };
        for text in says {
            assert!(reason.contains(text), "{text:?} is not in {reason:?}");
        }
    }

    async fn skipped(&self) -> Vec<SkippedEvent> {
        self.models.skipped(VIEW).await.expect("skipped answers")
    }
}

/// Sentence 19: why a view stopped is stored with a batch, and counts until the next one.
pub async fn a_stop_counts_until_the_next_batch<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    assert_eq!(subject.stored_stop().await, None);
    let first = stop(&event(7));
    let batch = subject.next_batch(vec![subject.upsert("a", row("ann", 1))]).await;
    subject
        .models
        .apply(&subject.table, batch.with_stop(Some(first.clone())))
        .await
        .expect("rows are stored with a stop");
    assert!(subject.get("a").await.is_some());
    assert_eq!(subject.stored_stop().await, Some(first.clone()));

    // What is not stored stops nothing, and lets nothing go on.
    for other in [Some(failure("elsewhere")), None] {
        let elsewhere = ViewBatch::new(subject.place(1), subject.place(9), Vec::new()).with_stop(other);
        let refused = subject.models.apply(&subject.table, elsewhere).await;
        assert!(matches!(refused, Err(Error::CheckpointMoved { .. })), "{refused:?}");
        assert_eq!(subject.stored_stop().await, Some(first.clone()));
    }

    let at = subject.checkpoint().await;
    subject.set_stop(Some(failure("the disk is full"))).await.expect("a failure replaces an event");
    assert_eq!(subject.stored_stop().await, Some(failure("the disk is full")));
    assert_eq!(subject.checkpoint().await, at, "it stays where it is");
    subject.set_stop(None).await.expect("a batch without a stop is stored");
    assert_eq!(subject.stored_stop().await, None, "it may go on");
    subject.set_stop(Some(first.clone())).await.expect("it stops again");
    subject.move_to(9).await;
    assert_eq!(subject.stored_stop().await, None, "it came past the event");

    // Each generation stops for itself.
    subject.set_stop(Some(first.clone())).await.expect("it stops");
    let start = subject.place(0);
    let table = subject.models.begin_generation(&schema(), start).await.expect("a generation is begun");
    let building = subject.at_table(&table);
    building.move_to(9).await;
    assert_eq!(subject.stored_stop().await, Some(first.clone()), "the one that is built goes on");
    assert!(building.activate().await);
    assert_eq!(building.stored_stop().await, None);
    subject.models.revert(&schema(), time(0)).await.expect("it comes back");
    assert_eq!(subject.stored_stop().await, Some(first), "and is stopped where it was");
}

/// Sentence 20: an event is skipped only where the view, or what is built of it, is stopped at it, and by one of all who
/// try.
pub async fn one_skips_the_event_a_view_is_stopped_at<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let missing = subject.models.skip("nobody", skip(1)).await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    subject.move_to(5).await;
    subject.refuses(skip(7), &["position 7", "position 5"]).await;
    subject.set_stop(Some(failure("the disk is full"))).await.expect("it stops");
    subject.refuses(skip(7), &["position 5", "the disk is full"]).await;

    let cause = StopCause::Event { event: event(7), is_of_event: false };
    subject.set_stop(Some(ViewStop { since: time(0), cause })).await.expect("it stops");
    subject.refuses(skip(7), &["position 7", "not at fault"]).await;

    let event = event(7);
    subject.set_stop(Some(stop(&event))).await.expect("it stops");
    for other in [0, 5, 6, 8, i64::MAX as u64] {
        subject.refuses(skip(other), &["position 7"]).await;
    }
    for (skip, limit) in [
        (SkipOrder { by: String::new(), ..skip(7) }, "SKIP_BY_BYTES_MAX"),
        (SkipOrder { by: "x".repeat(SKIP_BY_BYTES_MAX + 1), ..skip(7) }, "SKIP_BY_BYTES_MAX"),
        (SkipOrder { why: " ".to_owned(), ..skip(7) }, "SKIP_WHY_BYTES_MAX"),
        (SkipOrder { why: "x".repeat(SKIP_WHY_BYTES_MAX + 1), ..skip(7) }, "SKIP_WHY_BYTES_MAX"),
        (SkipOrder { why: "\0".to_owned(), ..skip(7) }, "SKIP_WHY_BYTES_MAX"),
    ] {
        subject.refuses(skip, &[limit]).await;
    }
    assert_eq!(subject.skipped().await, [], "nothing was stored");
    assert_eq!(subject.stored_stop().await, Some(stop(&event)));

    let bob = SkipOrder { by: "bob".to_owned(), ..skip(7) };
    let (ann, bob) = tokio::join!(subject.models.skip(VIEW, skip(7)), subject.models.skip(VIEW, bob));
    let (Ok(won), Err(Error::Invalid(lost))) = (if ann.is_ok() { (ann, bob) } else { (bob, ann) }) else {
        panic!("one of two skips it");
    };
    assert!(lost.contains(&won.by) && lost.contains("position 7"), "{lost}");
    assert_eq!(won.event, event);
    assert_eq!(subject.skipped().await, [won]);
    assert_eq!(subject.stored_stop().await, None, "it may go on");

    // It was mended while somebody was about to skip the next event.
    subject.set_stop(Some(stop(&super::stops::event(9)))).await.expect("it stops");
    subject.move_to(9).await;
    subject.refuses(skip(9), &["position 9"]).await;
    assert_eq!(subject.skipped().await.len(), 1);

    // A rebuild is stopped at an event that the view came past.
    let table = subject.models.begin_generation(&schema(), subject.place(0)).await.expect("one is begun");
    let building = subject.at_table(&table);
    building.move_to(3).await;
    let early = super::stops::event(4);
    building.set_stop(Some(stop(&early))).await.expect("it stops");
    assert_eq!(subject.stored_stop().await, None, "the rows that are read go on");
    subject.refuses(skip(5), &["position 5"]).await;
    let skipped = subject.models.skip(VIEW, skip(4)).await.expect("what is built is stopped there");
    assert_eq!(skipped.event, early);
    assert_eq!(subject.skipped().await.len(), 2);
    let again = building.set_stop(Some(stop(&early))).await;
    assert!(matches!(again, Err(Error::CheckpointMoved { .. })), "{again:?}");

    // Both are stopped at one event: it is the rows that are read that go on first.
    let both = super::stops::event(11);
    subject.set_stop(Some(stop(&both))).await.expect("it stops");
    building.set_stop(Some(stop(&both))).await.expect("it stops");
    subject.models.skip(VIEW, skip(11)).await.expect("the view is stopped there");
    assert_eq!(subject.stored_stop().await, None);
}

/// Sentence 21: who skipped what, when and why is kept, whatever generation is read, and nothing stops at
/// it again.
pub async fn what_was_skipped_is_kept<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    subject.move_to(5).await;
    let event = event(7);
    subject.set_stop(Some(stop(&event))).await.expect("it stops");
    let skipped = subject.models.skip(VIEW, skip(7)).await.expect("it is stopped there");
    let expected = SkippedEvent { event: event.clone(), by: skip(7).by, why: skip(7).why, at: skip(7).at };
    assert_eq!(skipped, expected);

    // A process that was about to stop at it looks again.
    let again = subject.set_stop(Some(stop(&event))).await;
    assert!(matches!(again, Err(Error::CheckpointMoved { .. })), "{again:?}");
    assert_eq!(subject.stored_stop().await, None);
    // Another event at its place, in a log that was restored, is another one.
    let other = ParkedEvent { event_id: EventId::draw(), ..event.clone() };
    subject.set_stop(Some(stop(&other))).await.expect("it stops at another event");
    subject.set_stop(None).await.expect("it goes on");

    let count = async |subject: &Subject| {
        let active = subject.models.views().await.expect("views answers").remove(0).active;
        (active.parked, active.skipped)
    };
    let park = async |subject: &Subject, events: Vec<ParkedEvent>| {
        let batch = ViewBatch::new(subject.checkpoint().await, subject.place(8), Vec::new());
        let stored = subject.models.apply(&subject.table, batch.with_parked(events)).await;
        stored.expect("a sound batch is stored");
    };
    park(&subject, vec![super::stops::event(6), event.clone()]).await;
    assert_eq!(count(&subject).await, (2, 1), "of two that it has passed over one was skipped");

    let table = subject.models.begin_generation(&schema(), subject.place(0)).await.expect("one is begun");
    let building = subject.at_table(&table);
    park(&building, vec![other]).await;
    assert!(building.activate().await);
    assert_eq!(subject.skipped().await, std::slice::from_ref(&expected), "after a swap");
    assert_eq!(count(&building).await, (1, 0), "the one passed over here is another");
    subject.models.revert(&schema(), time(0)).await.expect("it comes back");
    subject.models.discard(VIEW, table.generation).await.expect("it is given up");
    while subject.models.sweep().await.expect("sweep answers") != underlay_core::Swept::All {}
    assert_eq!(subject.skipped().await, std::slice::from_ref(&expected), "after it came back");
    assert_eq!(count(&subject).await, (2, 1));

    // Two generations are stopped at one event: who skips it for the second is told who did for the first.
    let event = super::stops::event(9);
    subject.set_stop(Some(stop(&event))).await.expect("it stops");
    let table = subject.models.begin_generation(&schema(), subject.place(8)).await.expect("one is begun");
    let building = subject.at_table(&table);
    assert!(building.activate().await);
    building.set_stop(Some(stop(&event))).await.expect("it stops");
    let first = subject.models.skip(VIEW, skip(9)).await.expect("it is stopped there");
    subject.models.revert(&schema(), time(0)).await.expect("it comes back");
    assert_eq!(subject.stored_stop().await, Some(stop(&event)));
    let bob = SkipOrder { by: "bob".to_owned(), ..skip(9) };
    assert_eq!(subject.models.skip(VIEW, bob).await.expect("it is stopped there"), first);
    assert_eq!(subject.stored_stop().await, None);
    assert_eq!(subject.skipped().await, [expected.clone(), first.clone()], "it is kept once");
    drop(subject);
    let fixture = fixture.reopen().await;
    assert_eq!(
        fixture.read_models().skipped(VIEW).await.expect("skipped answers"),
        [expected, first],
        "after it was opened again"
    );
}
