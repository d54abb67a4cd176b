//! A view in a store that changes its rows one after the other and its checkpoint last: wherever a batch is
//! torn, and whatever is read after it, the rows come out as if nothing had happened.

use std::sync::Arc;

use underlay_core::memory::{MemoryEventStore, MemoryReadModels};
use underlay_core::{Clock, EventStore, Position, Query, ReadModels, RowValues, SystemClock};
use underlay_runtime::{Engine, EngineConfig, Ports};
use underlay_testkit::{Over, RowsFirst};

use crate::bank::{deposited, registry, tenant};

/// Parts of a batch: what was passed over, a row of each account, the checkpoint.
const PARTS: usize = ACCOUNTS.len() + 2;
const ACCOUNTS: [&str; 3] = ["a", "b", "c"];

fn engine(store: &MemoryEventStore, read_models: Arc<dyn ReadModels>, events_max: usize) -> Engine {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ports = Ports {
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
    Engine::new(ports, registry(), config).unwrap()
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
