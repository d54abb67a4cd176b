use underlay_core::{
    Checkpoint, Error, EventId, EventStoreExt, ExpectedVersion, LogFilter, LogScope, Position, StoreId,
};

use super::Subject;
use crate::{EventStoreFixture, sample};

const OWNER: &str = "balances";
const REPAIR: &str = "view rebuild balances";

/// Sentence 22: a checkpoint of another log, beyond the log, or at another event is refused, and the
/// error names the repair.
pub async fn a_foreign_checkpoint_is_refused<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let store = subject.store.store_id();
    let another = StoreId(EventId::draw().0);
    let at =
        |position: u64, event_id| Checkpoint { store, position: Position::from_number(position), event_id };

    accept(&subject, Checkpoint::start(store)).await;
    refuse(&subject, Checkpoint::start(another), "the start of another log").await;
    refuse(&subject, at(1, Some(EventId::draw())), "beyond an empty log").await;

    for count in [1, 3, 2] {
        subject.commit(sample::write(&sample::stream("note-1"), ExpectedVersion::Any, count)).await;
    }
    let log = subject.log().await;
    accept(&subject, Checkpoint::start(store)).await;
    for (index, event) in log.iter().enumerate() {
        let position = event.position.number();
        let neighbour = log[(index + 1) % log.len()].event_id;
        accept(&subject, at(position, Some(event.event_id))).await;
        let foreign = Checkpoint { store: another, ..at(position, Some(event.event_id)) };
        refuse(&subject, foreign, "the same event in another log").await;
        refuse(&subject, at(position, Some(neighbour)), "at a neighbour's event").await;
        refuse(&subject, at(position, Some(EventId::draw())), "at an event that is gone").await;
        refuse(&subject, at(position, None), "without an event").await;
    }
    let last = log[log.len() - 1].event_id;
    for beyond in [log.len() as u64 + 1, i64::MAX as u64, u64::MAX] {
        refuse(&subject, at(beyond, Some(last)), "beyond the log").await;
    }

    // What a page says of its end is a checkpoint, also where the filter let nothing pass.
    for filter in [LogFilter::default(), sample::filter(&["absent"], &[])] {
        let page = subject.store.read_all(&LogScope::EveryTenant, Position::START, &filter, 2).await;
        let page = page.expect("read_all");
        accept(&subject, at(page.scanned_to.number(), page.scanned_to_id)).await;
    }
    assert_eq!(subject.store.store_id(), store, "a log keeps its identity");
}

async fn accept(subject: &Subject, checkpoint: Checkpoint) {
    let checked = subject.store.check_checkpoint(OWNER, &checkpoint, REPAIR).await;
    assert!(checked.is_ok(), "a checkpoint of this log is taken: {checked:?}");
}

async fn refuse(subject: &Subject, checkpoint: Checkpoint, what: &str) {
    let error = match subject.store.check_checkpoint(OWNER, &checkpoint, REPAIR).await {
        Err(error) => error,
        Ok(()) => panic!("a checkpoint was taken: {what}, {checkpoint:?}"),
    };
    let message = error.to_string();
    let Error::CheckpointRefused(refused) = error else {
        panic!("{what}: not a refused checkpoint: {error:?}")
    };
    assert_eq!(refused.checkpoint, checkpoint, "{what}: the error holds the checkpoint");
    assert!(message.contains(OWNER), "{what}: {message:?} does not name whose checkpoint it is");
    assert!(message.contains(REPAIR), "{what}: {message:?} does not name the repair");
}
