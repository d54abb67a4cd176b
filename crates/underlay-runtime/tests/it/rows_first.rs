//! A view in a store that changes its rows one after the other and its checkpoint last: wherever a batch is
//! torn, and whatever is read after it, the rows come out as if nothing had happened.

use std::sync::Arc;

use underlay_core::memory::{MemoryEventStore, MemoryReadModels};
use underlay_core::{
    Clock, EventStore, Keys, OnFault, Position, Query, ReadModels, Recorded, RowValues, SystemClock, View,
};
use underlay_runtime::{Engine, EngineConfig, Ports, Registry};
use underlay_testkit::{Over, RowsFirst};

use crate::bank::{AccountEvent, Balance, Balances, deposited, registry, tenant};

/// Parts of a batch: what was passed over, a row of each account, the checkpoint.
const PARTS: usize = ACCOUNTS.len() + 2;
const ACCOUNTS: [&str; 3] = ["a", "b", "c"];

/// Folds a deposit of 13 into the rows of all accounts, which that of one cannot take.
struct ToAll;

impl View for ToAll {
    const NAME: &'static str = "balances";
    const ON_FAULT: OnFault = OnFault::Park;
    type Event = AccountEvent;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<String>) {
        match event.event {
            AccountEvent::Deposited { cents: 13 } => {
                ACCOUNTS.map(str::to_owned).into_iter().for_each(|key| keys.push(key))
            }
            _ => Balances.route(event, keys),
        }
    }
    fn fold(&self, key: &String, row: Option<Balance>, event: &Recorded<AccountEvent>) -> Option<Balance> {
        assert!(key != "b" || event.event != AccountEvent::Deposited { cents: 13 }, "a bug in the domain");
        Balances.fold(key, row, event)
    }
}

fn engine(store: &MemoryEventStore, read_models: Arc<dyn ReadModels>, events_max: usize) -> Engine {
    engine_of(store, read_models, events_max, registry())
}

fn engine_of(
    store: &MemoryEventStore,
    read_models: Arc<dyn ReadModels>,
    events_max: usize,
    registry: Registry,
) -> Engine {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ports = Ports {
        work: None,
        store: Arc::new(store.clone()),
        read_models,
        wakeups: Arc::new(store.clone()),
        snapshots: None,
        leases: None,
        clock,
    };
    let config = EngineConfig {
        program: "bank".to_owned(),
        view_batch_events_max: events_max,
        ..EngineConfig::default()
    };
    Engine::new(ports, registry, config).unwrap()
}

/// Runs the view to the head of the log.
async fn rows(engine: &Engine, head: Position) -> Vec<(String, RowValues)> {
    let running = engine.start_views();
    engine.wait_for_view("balances", head, std::time::Duration::from_secs(60)).await.unwrap();
    let rows = engine.query(&tenant(), "balances", &Query::default()).await.unwrap().page.rows;
    running.stop().await;
    rows
}

async fn write(store: &MemoryEventStore, count: i64) -> Position {
    for number in 0..count {
        let account = ACCOUNTS[usize::try_from(number).unwrap() % ACCOUNTS.len()];
        store.commit(&tenant(), deposited(account, number)).await.unwrap();
    }
    store.head().await.unwrap()
}

#[tokio::test]
async fn a_batch_torn_anywhere_is_folded_once() {
    for parts in 0..PARTS {
        // What is read after the tear ends before the batch did, where it did, and after it.
        for events_max in [2, 7, 100] {
            let store = MemoryEventStore::default();
            let rows_first = RowsFirst::new(MemoryReadModels::default());
            let head = write(&store, 7).await;
            rows_first.tear_after(parts);
            let first = engine(&store, Arc::new(Over(rows_first.clone())), 7);
            let running = first.start_views();
            rows_first.torn().await;
            running.stop().await;
            let more = write(&store, 10).await;
            assert!(more > head);
            let torn = rows(&engine(&store, Arc::new(Over(rows_first.clone())), events_max), more).await;
            let whole = rows(&engine(&store, Arc::new(MemoryReadModels::default()), 7), more).await;
            assert_eq!(torn, whole, "torn after {parts} parts, then read by {events_max}");
        }
    }
}

#[tokio::test]
async fn an_event_that_is_passed_over_in_a_torn_batch_is_folded_into_no_row() {
    for parts in 0..PARTS {
        for events_max in [2, 7, 100] {
            let store = MemoryEventStore::default();
            let rows_first = RowsFirst::new(MemoryReadModels::default());
            write(&store, 3).await;
            store.commit(&tenant(), deposited("a", 13)).await.unwrap();
            write(&store, 3).await;
            let of = |read_models, events_max| {
                engine_of(&store, read_models, events_max, Registry::default().view(ToAll))
            };
            rows_first.tear_after(parts);
            let running = of(Arc::new(Over(rows_first.clone())), 7).start_views();
            rows_first.torn().await;
            running.stop().await;
            let head = write(&store, 10).await;
            let torn = rows(&of(Arc::new(Over(rows_first.clone())), events_max), head).await;
            let models = MemoryReadModels::default();
            let whole = rows(&of(Arc::new(models.clone()), 7), head).await;
            assert_eq!(torn, whole, "torn after {parts} parts, then read by {events_max}");
            assert_eq!(models.views().await.unwrap().remove(0).active.parked, 1);
            assert_eq!(Over(rows_first).views().await.unwrap().remove(0).active.parked, 1);
        }
    }
}
