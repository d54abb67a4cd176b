//! Queries beside everything else: what they may take, for how long, and in whose turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use underlay_core::adapter::ReadLimits;
use underlay_core::limits::QUERY_ROWS_SCANNED_MAX;
use underlay_core::{
    Checkpoint, Comparison, Error, EventStore, ExpectedVersion, ManualClock, Query, ReadModels, RowAddress,
    RowChange, TenantId, Timestamp, Value, Version, ViewBatch, ViewTable,
};
use underlay_sqlite::{SqliteConfig, SqliteStore};

use crate::sample::{Place, append, begin, busy, stream, tenant, with_one_blocking_thread};
use crate::views::{balances, checkpoint_at, upsert};

/// Queries of the tenant that floods: they take seconds, and the tests end before.
const FLOOD: usize = 2_000;

fn limits(running_max: usize) -> ReadLimits {
    let wait_max = Duration::from_secs(120);
    ReadLimits { running_max, wait_max, waiting_max: 2 * FLOOD, tenant_waiting_max: FLOOD }
}

fn globex() -> TenantId {
    TenantId::new("globex").unwrap()
}

/// A view in which one tenant has as many rows as a query may look at, and another has one.
async fn large_view(place: &Place, config: SqliteConfig) -> (SqliteStore, ViewTable) {
    let store = place.open_with(config);
    let start = Checkpoint::start(store.store_id());
    let table = store.prepare(&balances(), start).await.unwrap();
    let rows = i64::try_from(QUERY_ROWS_SCANNED_MAX).unwrap();
    let mut changes: Vec<RowChange> = (0..rows).map(|row| upsert(&format!("key-{row:06}"), row)).collect();
    if let RowChange::Upsert(_, values) = upsert("key-000001", 1) {
        let address = RowAddress { tenant: globex(), key: "key-000001".into() };
        changes.push(RowChange::Upsert(address, values));
    }
    let batch = ViewBatch::new(start, checkpoint_at(start, 1), changes);
    store.apply(&table, batch).await.unwrap();
    (store, table)
}

/// Begins counts of everything acme has, and says how many have ended.
fn flood(store: &SqliteStore, table: &ViewTable) -> Arc<AtomicUsize> {
    let ended = Arc::new(AtomicUsize::new(0));
    for _ in 0..FLOOD {
        let (store, table, ended) = (store.clone(), table.clone(), ended.clone());
        tokio::spawn(begin(async move {
            let query = Query::default().filter("order", Comparison::Ge, Value::Integer(0));
            let counted = store.count(&table, &tenant(), &query).await;
            ended.fetch_add(1, Ordering::SeqCst);
            assert_eq!(counted.unwrap(), QUERY_ROWS_SCANNED_MAX as u64);
        }));
    }
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_queries_takes_no_connection_of_commands_and_views() {
    let place = Place::new();
    let config = SqliteConfig::default().with_query_limits(limits(1)).with_readers_max(1);
    let (store, table) = large_view(&place, config).await;
    let ended = flood(&store, &table);
    for number in 0..3 {
        store.commit(&globex(), append("a-1", ExpectedVersion::Any)).await.unwrap();
        let page = store.read_stream(&globex(), &stream("a-1"), Version::NONE, 100).await.unwrap();
        assert_eq!(page.version, Version(number + 1));
        let address = RowAddress { tenant: globex(), key: "key-000001".into() };
        assert!(store.load(&table, &[address]).await.unwrap()[0].values.is_some());
    }
    let ended = ended.load(Ordering::SeqCst);
    assert!(ended < FLOOD / 2, "{ended} queries had to end first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_a_small_tenant_waits_for_a_turn_and_not_for_a_flood() {
    let place = Place::new();
    let config = SqliteConfig::default().with_query_limits(limits(1));
    let (store, table) = large_view(&place, config).await;
    let ended = flood(&store, &table);
    assert_eq!(store.count(&table, &globex(), &Query::default()).await.unwrap(), 1);
    let before = ended.load(Ordering::SeqCst);
    // The one that ran, the one that was next, and what ended while this was told.
    assert!(before <= FLOOD / 2, "{before} queries of another tenant came first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_runs_too_long_is_ended_and_told_what_would_be_right() {
    let place = Place::new();
    // It is over when SQLite looks for the first time, which is after some thousands of steps.
    let config = SqliteConfig::default().with_query_limits(limits(1)).with_query_timeout(Duration::ZERO);
    let config = config.with_clock(Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)));
    let (store, table) = large_view(&place, config).await;
    for _ in 0..3 {
        match store.count(&table, &tenant(), &Query::default()).await {
            Err(Error::TooBroad(text)) => {
                assert!(text.contains("query_timeout = 0ns") && text.contains("filter"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        // The connection is as good as before, also for what takes few steps: there is no other.
        let few = Query::default().filter("order", Comparison::Lt, Value::Integer(3));
        assert_eq!(store.count(&table, &tenant(), &few).await.unwrap(), 3);
        assert!(store.get(&table, &tenant(), "key-000007").await.unwrap().is_some());
    }
    // One that looks at no row beside those it gives is not broad: the store is slow.
    match store.query(&table, &tenant(), &Query::default().limit(1_000)).await {
        Err(Error::Unavailable { reason, overloaded: true, retry_after: Some(_) }) => {
            assert!(reason.contains("query_timeout"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    // What the engine reads has no such deadline.
    let all: Vec<RowAddress> =
        (0..5_000).map(|row| RowAddress { tenant: tenant(), key: format!("key-{row:06}") }).collect();
    assert_eq!(store.load(&table, &all).await.unwrap().len(), 5_000);
    assert_eq!(store.head().await.unwrap().number(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_caller_has_gone_ends_and_gives_its_turn_on() {
    let place = Place::new();
    let (store, table) = large_view(&place, SqliteConfig::default().with_query_limits(limits(1))).await;
    let owner = tenant();
    let all = Query::default();
    let waiting: Vec<_> = (0..50).map(|_| begin(store.count(&table, &owner, &all))).collect();
    drop(waiting);
    assert_eq!(store.count(&table, &globex(), &all).await.unwrap(), 1);
}

#[test]
fn a_line_that_is_full_is_told_by_the_name_of_its_limit() {
    with_one_blocking_thread(async {
        let place = Place::new();
        let limits = ReadLimits { tenant_waiting_max: 2, ..limits(1) };
        let (store, table) = large_view(&place, SqliteConfig::default().with_query_limits(limits)).await;
        let (owner, all) = (tenant(), Query::default());
        let busy = busy();
        let waiting: Vec<_> = (0..3).map(|_| begin(store.count(&table, &owner, &all))).collect();
        match store.count(&table, &owner, &all).await {
            Err(Error::Unavailable { reason, overloaded: true, .. }) => {
                assert!(reason.contains("tenant_waiting_max = 2"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        // Another tenant's place is its own.
        let other = globex();
        let mut others = begin(store.count(&table, &other, &all));
        assert!(others.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop((others, waiting, busy));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_sends_away_who_waits_and_waits_for_who_reads() {
    let place = Place::new();
    let (store, table) = large_view(&place, SqliteConfig::default().with_query_limits(limits(1))).await;
    let (owner, all) = (tenant(), Query::default());
    let mut reading = begin(store.count(&table, &owner, &all));
    let waiting = begin(store.count(&table, &owner, &all));
    store.close().await.unwrap();
    assert!(matches!(waiting.await, Err(Error::Unavailable { overloaded: false, .. })));
    // It was let come to its end, where it had a connection by then.
    match (&mut reading).await {
        Ok(count) => assert_eq!(count, QUERY_ROWS_SCANNED_MAX as u64),
        Err(error) => assert!(matches!(error, Error::Unavailable { .. }), "{error}"),
    }
}
