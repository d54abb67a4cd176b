use underlay::Store;
use underlay::events_lock::{LockCheck, check_events_lock};

/// Where this fails for a new type or version, `ledger check --lock examples/ledger/events.lock --update`
/// adds it.
#[tokio::test]
async fn every_event_is_as_it_was_released() {
    let engine = ledger::service().open(&Store::open("memory:").await.unwrap()).unwrap();
    let check = check_events_lock(engine.registry(), include_str!("../../events.lock"));
    assert_eq!(check, Ok(LockCheck::Fits));
}
