//! Queries beside everything else: what they may take, for how long, and in whose turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use underlay_core::adapter::ReadLimits;
use underlay_core::{
    Checkpoint, Comparison, Error, EventStore, ExpectedVersion, Leases, Query, ReadModels, Value, Version,
    ViewBatch, ViewTable,
};
use underlay_postgres::{PostgresConfig, PostgresStore};

use crate::place::{Place, with_place};
use crate::sample::{abandon, accounts, acme, append, begin, checkpoint_at, row, stream, tenant};

/// Rows of each tenant.
const ROWS: i64 = 200;
/// How long a row takes that is looked at.
const ROW_SECONDS: f64 = 0.01;
/// Queries of the tenant that floods.
const FLOOD: usize = 60;

fn config(place: &Place, running_max: usize, query_timeout: Duration) -> PostgresConfig {
    let limits = ReadLimits { running_max, wait_max: Duration::from_secs(120), ..ReadLimits::default() };
    place.config().with_query_limits(limits).with_query_timeout(query_timeout)
}

/// A view with rows of two tenants, each of which takes a while to look at: a count takes two seconds.
async fn slow_view(place: &Place, config: PostgresConfig) -> (PostgresStore, ViewTable) {
    let store = place.open_with(config).await;
    let start = Checkpoint::start(store.store_id());
    let table = store.prepare(&accounts(), start).await.unwrap();
    let changes = ["acme", "globex"]
        .into_iter()
        .flat_map(|owner| (0..ROWS).map(move |number| row(owner, &format!("key-{number:06}"), number)));
    let to = checkpoint_at(start, 1);
    let batch = ViewBatch::new(start, to, changes.collect());
    store.apply(&table, batch).await.unwrap();
    let slow = format!(
        "CREATE FUNCTION public.slow(text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS \
         'BEGIN PERFORM pg_sleep({ROW_SECONDS}); RETURN true; END'; \
         CREATE POLICY slow ON underlay_views.accounts_1 AS RESTRICTIVE FOR SELECT USING (public.slow(tenant))"
    );
    place.admin().await.batch_execute(&slow).await.unwrap();
    (store, table)
}

/// Begins counts of everything acme has, and says how many have ended.
fn flood(store: &PostgresStore, table: &ViewTable) -> Arc<AtomicUsize> {
    let ended = Arc::new(AtomicUsize::new(0));
    for _ in 0..FLOOD {
        let (store, table, ended) = (store.clone(), table.clone(), ended.clone());
        tokio::spawn(begin(async move {
            let counted = store.count(&table, &acme(), &Query::default()).await;
            ended.fetch_add(1, Ordering::SeqCst);
            drop(counted);
        }));
    }
    ended
}

#[test]
fn slow_counts_take_no_connection_of_commands_views_and_leases() {
    with_place(async |place| {
        let config = config(&place, 4, Duration::from_secs(60)).with_acquire_timeout(Duration::from_secs(1));
        let (store, table) = slow_view(&place, config.with_connections_max(2)).await;
        let lease = store.acquire("view/accounts", "here", Duration::from_secs(60)).await.unwrap().unwrap();
        let ended = flood(&store, &table);
        for number in 0..20 {
            store.renew(&lease, Duration::from_secs(60)).await.unwrap();
            store.commit(&acme(), append("a-1", ExpectedVersion::Any)).await.unwrap();
            let page = store.read_stream(&acme(), &stream("a-1"), Version::NONE, 100).await.unwrap();
            assert_eq!(page.version, Version(number + 1));
            let from = store.checkpoint(&table).await.unwrap();
            let to = checkpoint_at(Checkpoint::start(store.store_id()), number + 2);
            let batch =
                ViewBatch::new(from, to, vec![row("initech", "key-1", 1)]).with_lease(Some(lease.term()));
            store.apply(&table, batch).await.unwrap();
        }
        let ended = ended.load(Ordering::SeqCst);
        assert!(ended < FLOOD / 2, "{ended} counts had to end first");
    });
}

#[test]
fn a_query_of_a_small_tenant_waits_for_a_turn_and_not_for_a_flood() {
    with_place(async |place| {
        let (store, table) = slow_view(&place, config(&place, 1, Duration::from_millis(200))).await;
        let ended = flood(&store, &table);
        let row = store.get(&table, &tenant("globex"), "key-000007").await.unwrap();
        assert!(row.is_some());
        let before = ended.load(Ordering::SeqCst);
        // The one that ran, the one that was next, and what ended while this was told.
        assert!(before <= 4, "{before} queries of another tenant came first");
    });
}

#[test]
fn a_query_that_runs_too_long_is_ended_and_told_what_would_be_right() {
    with_place(async |place| {
        let (store, table) = slow_view(&place, config(&place, 1, Duration::from_millis(500))).await;
        for _ in 0..3 {
            match store.count(&table, &acme(), &Query::default()).await {
                Err(Error::TooBroad(text)) => {
                    assert!(text.contains("query_timeout = 500ms") && text.contains("filter"), "{text}");
                }
                other => panic!("{other:?}"),
            }
            // The connection is as good as before: there is no other.
            let few = Query::default().filter("order", Comparison::Lt, Value::Integer(3));
            assert_eq!(store.count(&table, &acme(), &few).await.unwrap(), 3);
            let page = store.query(&table, &acme(), &Query::default().limit(2)).await.unwrap();
            assert_eq!(page.rows.len(), 2);
        }
        // One that looks at no row beside those it gives is not broad: the store is slow.
        let page = store.query(&table, &acme(), &Query::default().limit(150)).await;
        match page {
            Err(Error::Unavailable { reason, overloaded: true, retry_after: Some(_) }) => {
                assert!(reason.contains("query_timeout"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        // It ended here alone: what the engine reads has a limit of its own.
        assert_eq!(store.head().await.unwrap().number(), 0);
    });
}

#[test]
fn a_query_behind_a_lock_is_not_taken_for_a_broad_one() {
    with_place(async |place| {
        let (store, table) = slow_view(&place, config(&place, 1, Duration::from_millis(400))).await;
        let holder = place.admin().await;
        let lock = "BEGIN; LOCK TABLE underlay_views.accounts_1 IN ACCESS EXCLUSIVE MODE";
        holder.batch_execute(lock).await.unwrap();
        let counted = store.count(&table, &acme(), &Query::default()).await;
        assert!(matches!(counted, Err(Error::Unavailable { .. })), "{counted:?}");
    });
}

/// How often rows of the view were searched for, as sessions tell at the latest when they end.
async fn searches(place: &Place, store: PostgresStore) -> i64 {
    store.close().await.unwrap();
    let admin = place.admin().await;
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND usename = 'underlay_test_login'";
    while admin.query_one(sessions, &[]).await.unwrap().get::<_, i64>(0) > 0 {}
    let searches = "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 'accounts_1'";
    admin.query_one(searches, &[]).await.unwrap().get(0)
}

#[test]
fn who_goes_away_leaves_no_queue_of_queries_behind() {
    with_place(async |place| {
        let config = config(&place, 1, Duration::from_millis(200));
        let (store, table) = slow_view(&place, config.clone()).await;
        let before = searches(&place, store).await;
        let store = place.open_with(config).await;
        // So that a connection is there, and a query is sent when it is first looked at.
        let globex = tenant("globex");
        store.get(&table, &globex, "key-000001").await.unwrap();
        for _ in 0..20 {
            abandon(store.count(&table, &acme(), &Query::default()));
        }
        assert!(store.get(&table, &globex, "key-000002").await.unwrap().is_some());
        let searches = searches(&place, store).await - before;
        // Two rows by key and one count that ran until its deadline; the others never began.
        assert!((2..10).contains(&searches), "{searches} searches, most of them for callers that had gone");
    });
}

#[test]
fn a_line_that_is_full_is_told_by_the_name_of_its_limit() {
    with_place(async |place| {
        let limits = ReadLimits { running_max: 1, tenant_waiting_max: 2, ..ReadLimits::default() };
        let config = place.config().with_query_limits(limits);
        let (store, table) = slow_view(&place, config).await;
        let (owner, all) = (acme(), Query::default());
        let waiting: Vec<_> = (0..3).map(|_| begin(store.count(&table, &owner, &all))).collect();
        match store.count(&table, &owner, &all).await {
            Err(Error::Unavailable { reason, overloaded: true, .. }) => {
                assert!(reason.contains("tenant_waiting_max = 2"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        drop(waiting);
    });
}
