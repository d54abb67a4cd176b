//! How the server runs the reads that must stay fast, as the roles that run them and under their
//! policies: along an index, never over a whole table, without sorting where the index has the order.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use underlay_core::{
    Checkpoint, ColumnType, Comparison, Cursor, Decimal, Direction, EventStore, ExpectedVersion, Query,
    ReadModels, Timestamp, Value, ViewBatch, ViewTable,
};
use underlay_postgres::{Listen, PostgresStore};

use crate::place::{Place, ROLE_PREFIX, connect, with_place};
use crate::sample::{accounts, acme, append, begin, checkpoint_at, row};

/// A view with enough rows that a wrong plan would look good to the server.
async fn filled(place: &Place) -> (PostgresStore, ViewTable) {
    let store = place.open().await;
    let start = Checkpoint::start(store.store_id());
    let table = store.prepare(&accounts(), start).await.unwrap();
    let owners = ["acme", "globex", "initech"];
    let changes = (0..6_000).map(|number| {
        let owner = owners[usize::try_from(number % 3).unwrap()];
        row(owner, &format!("key-{number:06}"), number)
    });
    let batch = ViewBatch::new(start, checkpoint_at(start, 1), changes.collect());
    store.apply(&table, batch).await.unwrap();
    place.admin().await.batch_execute("ANALYZE").await.unwrap();
    (store, table)
}

/// A value near one end of those there are, so that few rows pass a comparison with it.
fn sample(column_type: ColumnType, comparison: Comparison) -> Value {
    let low = matches!(comparison, Comparison::Lt | Comparison::Le);
    let number: i64 = if low { 30 } else { 5_970 };
    match column_type {
        // Texts are ordered by their bytes: `name 100…` comes soon after the first, `name 9…` last.
        ColumnType::Text if low => Value::Text("name 101".into()),
        ColumnType::Text => Value::Text("name 998".into()),
        ColumnType::Integer => Value::Integer(number),
        ColumnType::Decimal => Value::Decimal(Decimal::new(number, 2)),
        ColumnType::Boolean => Value::Boolean(true),
        ColumnType::Timestamp => Value::Timestamp(Timestamp::from_microsecond(number).unwrap()),
    }
}

fn index_of(table: &ViewTable, column: &str) -> String {
    let at = table.schema.columns.iter().position(|candidate| candidate.name == column).unwrap();
    format!("accounts_1.{}", at + 1)
}

/// That a plan has a condition of the index on a column, beside the tenant's.
fn assert_searches(plan: &[String], column: &str, what: &str) {
    let conditions: Vec<&String> = plan.iter().filter(|line| line.contains("Index Cond")).collect();
    let quoted = if column == "order" { "\"order\"" } else { column };
    assert!(
        conditions.iter().any(|condition| condition.contains("tenant = ") && condition.contains(quoted)),
        "{what}: no condition of an index on {column}\n{}",
        plan.join("\n")
    );
    assert_no_scan(plan, what);
}

fn assert_no_scan(plan: &[String], what: &str) {
    let text = plan.join("\n");
    assert!(!text.contains("Seq Scan"), "{what}: reads the whole table\n{text}");
}

#[test]
fn every_filter_alone_is_a_search_in_an_index() {
    with_place(async |place| {
        let (store, table) = filled(&place).await;
        for column in &table.schema.columns {
            let mut comparisons =
                vec![Comparison::Eq, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge];
            if column.column_type == ColumnType::Text {
                comparisons.push(Comparison::Prefix);
            }
            for comparison in comparisons {
                let value = sample(column.column_type, comparison);
                let query = Query::default().filter(&column.name, comparison, value);
                let [page, count] = store.explain(&table, &acme(), &query).await.unwrap();
                let what = format!("{} {comparison:?}", column.name);
                // Of two truths each holds for half of the rows: by the keys they are found as soon.
                if column.column_type == ColumnType::Boolean {
                    assert_no_scan(&page, &what);
                    assert_no_scan(&count, &format!("the count of {what}"));
                } else {
                    assert_searches(&page, &column.name, &what);
                    assert_searches(&count, &column.name, &format!("the count of {what}"));
                }
            }
        }
    });
}

#[test]
fn every_sort_walks_along_its_index_from_the_cursor_on() {
    with_place(async |place| {
        let (store, table) = filled(&place).await;
        for direction in [Direction::Ascending, Direction::Descending] {
            for column in &table.schema.columns {
                let what = format!("by {} {direction:?}", column.name);
                let value = sample(column.column_type, Comparison::Eq);
                let mut query = Query::default().sort(&column.name, direction);
                let [page, _] = store.explain(&table, &acme(), &query).await.unwrap();
                let text = page.join("\n");
                assert!(text.contains(&index_of(&table, &column.name)), "{what}\n{text}");
                assert!(!text.contains("Sort"), "{what}\n{text}");
                query.after = Some(Cursor { value: Some(value), key: "key-5".into() });
                let [page, _] = store.explain(&table, &acme(), &query).await.unwrap();
                let text = page.join("\n");
                assert!(!text.contains("Sort") && text.contains("ROW("), "{what}, the next page\n{text}");
                assert_searches(&page, &column.name, &format!("{what}, the next page"));
            }
            let mut query = Query::default();
            query.sort.direction = direction;
            for after in [None, Some(Cursor { value: None, key: "key-000500".into() })] {
                query.after = after;
                let [page, _] = store.explain(&table, &acme(), &query).await.unwrap();
                let text = page.join("\n");
                assert!(text.contains("accounts_1.0") && !text.contains("Sort"), "{text}");
                assert_no_scan(&page, "by key");
            }
        }
    });
}

/// The plan of a statement of the adapter, as one of its roles.
async fn plan_of(client: &Client, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Vec<String> {
    let rows = client.query_typed(&format!("EXPLAIN (COSTS OFF) {sql}"), parameters).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A role, a statement with its values, and the index it must use.
type Read<'a> = (&'a str, &'a str, Vec<(&'a (dyn ToSql + Sync), Type)>, &'a str);

#[test]
fn the_reads_of_the_log_walk_along_an_index() {
    with_place(async |place| {
        let store = place.open().await;
        for number in 0..200 {
            let to = format!("a-{}", number % 7);
            store.commit(&acme(), append(&to, ExpectedVersion::Any)).await.unwrap();
        }
        place.admin().await.batch_execute("ANALYZE").await.unwrap();
        let client = connect(&place.login_address()).await;
        let settings = "SET search_path = pg_catalog, underlay, underlay_views; SET enable_seqscan = off; \
                        SET enable_sort = off; SET underlay.tenant = 'acme'";
        client.batch_execute(settings).await.unwrap();
        let (tenant, name, end, number, limit) = ("acme", "a-1", "a.", 100_i64, 10_i64);
        let nothing: Vec<&str> = Vec::new();
        let names = vec!["a-1", "a-2"];
        let (tenants, ids) = (vec!["acme"], vec![uuid::Uuid::now_v7()]);
        let reads: Vec<Read<'_>> = vec![
            (
                "reader",
                include_str!("../../src/sql/select_stream_version.sql"),
                vec![(&tenant, Type::TEXT), (&name, Type::TEXT)],
                "events_by_stream",
            ),
            (
                "reader",
                include_str!("../../src/sql/select_stream_events.sql"),
                vec![(&tenant, Type::TEXT), (&name, Type::TEXT), (&number, Type::INT8), (&limit, Type::INT8)],
                "events_by_stream",
            ),
            (
                "reader",
                include_str!("../../src/sql/select_versions.sql"),
                vec![(&tenant, Type::TEXT), (&names, Type::TEXT_ARRAY)],
                "events_by_stream",
            ),
            (
                "reader",
                include_str!("../../src/sql/select_streams.sql"),
                vec![(&tenant, Type::TEXT), (&name, Type::TEXT), (&end, Type::TEXT), (&limit, Type::INT8)],
                "events_by_stream",
            ),
            (
                "reader",
                include_str!("../../src/sql/select_known_commits.sql"),
                vec![(&tenants, Type::TEXT_ARRAY), (&ids, Type::UUID_ARRAY)],
                "commits_by_id",
            ),
            (
                "reader",
                include_str!("../../src/sql/select_tenant_events.sql"),
                vec![
                    (&number, Type::INT8),
                    (&tenant, Type::TEXT),
                    (&nothing, Type::TEXT_ARRAY),
                    (&nothing, Type::TEXT_ARRAY),
                    (&limit, Type::INT8),
                    (&limit, Type::INT8),
                ],
                "events_by_tenant",
            ),
            (
                "worker",
                include_str!("../../src/sql/select_filtered_events.sql"),
                vec![
                    (&number, Type::INT8),
                    (&limit, Type::INT8),
                    (&names, Type::TEXT_ARRAY),
                    (&names, Type::TEXT_ARRAY),
                    (&limit, Type::INT8),
                ],
                "events_pkey",
            ),
            (
                "worker",
                include_str!("../../src/sql/select_log_events.sql"),
                vec![(&number, Type::INT8), (&limit, Type::INT8)],
                "events_pkey",
            ),
            ("worker", include_str!("../../src/sql/select_head.sql"), vec![], "events_pkey"),
            (
                "worker",
                include_str!("../../src/sql/select_event_id.sql"),
                vec![(&number, Type::INT8)],
                "events_pkey",
            ),
        ];
        for (role, sql, parameters, index) in &reads {
            client.batch_execute(&format!("SET ROLE {ROLE_PREFIX}_{role}")).await.unwrap();
            let plan = plan_of(&client, sql, parameters).await;
            assert_no_scan(&plan, sql);
            let text = plan.join("\n");
            assert!(text.contains(index) && !text.contains("Sort  "), "{role}: {sql}\n{text}");
        }
    });
}

#[test]
fn appends_never_read_a_whole_table() {
    with_place(async |place| {
        let store = place.open().await;
        // From an empty table on, since a plan made then is kept.
        for number in 0..300 {
            let to = format!("a-{}", number % 7);
            store.commit(&acme(), append(&to, ExpectedVersion::Any)).await.unwrap();
        }
        // A session tells what it did at the latest when it ends.
        store.close().await.unwrap();
        let admin = place.admin().await;
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                        AND usename = 'underlay_test_login'";
        while admin.query_one(sessions, &[]).await.unwrap().get::<_, i64>(0) > 0 {}
        let scans = "SELECT seq_scan, idx_scan FROM pg_stat_user_tables \
                     WHERE schemaname = 'underlay' AND relname = $1";
        // Each index was made by a look at the whole table.
        for (table, indexes) in [("events", 4), ("commits", 5)] {
            let row = admin.query_one(scans, &[&table]).await.unwrap();
            let (scans, searches): (i64, i64) = (row.get(0), row.get(1));
            assert!(searches >= 300, "{table} was searched {searches} times");
            assert!(scans <= indexes, "{table} was read whole {scans} times");
        }
    });
}

/// The functions that append keep the plans of their first calls, and those were made for a log that
/// was empty, or held a few events: whatever it held, they must not walk over what comes later.
#[test]
fn an_append_looks_at_as_few_rows_in_a_long_log_as_in_a_short_one() {
    with_place(async |place| {
        let admin = place.admin().await;
        // Nothing makes the plans anew in between.
        let still = "ALTER TABLE underlay.events SET (autovacuum_enabled = off); \
                     ALTER TABLE underlay.commits SET (autovacuum_enabled = off)";
        admin.batch_execute(still).await.unwrap();
        let mut stores = Vec::new();
        let mut number = 0;
        // One more store after every few commits: the indexes of an event get another level at different
        // lengths of the log, and in between the wrong one looks cheaper.
        // What looks at the head of the log meanwhile would be counted too.
        let alone = place.config().with_listen(Listen::Off).with_poll_interval(Duration::from_secs(3_600));
        for _ in 0..10 {
            let store = place.open_with(alone.clone()).await;
            append_in_batches(&store, &mut number, 5).await;
            stores.push(store);
        }
        for store in &stores {
            append_in_batches(store, &mut number, 20).await;
        }
        // The committers' sessions tell what they have counted when they end.
        for store in stores {
            store.close().await.unwrap();
        }
        let count = "SELECT sum(idx_tup_read)::bigint, (SELECT count(*) FROM underlay.commits) \
                     FROM pg_stat_user_indexes WHERE relname IN ('events', 'commits')";
        let sessions = "SELECT count(*) FROM pg_stat_activity \
                        WHERE datname = current_database() AND pid <> pg_backend_pid() \
                        AND backend_type = 'client backend'";
        while admin.query_one(sessions, &[]).await.unwrap().get::<_, i64>(0) > 0 {}
        let row = admin.query_one(count, &[]).await.unwrap();
        let (read, commits): (i64, i64) = (row.get(0), row.get(1));
        assert!(commits >= 2_000, "{commits} commits");
        assert!(read < commits * 6, "{read} rows were looked at for {commits} commits");
    });
}

/// Commits eight times in every round, to streams of their own: the first is alone, the others go
/// together.
async fn append_in_batches(store: &PostgresStore, number: &mut u64, rounds: u64) {
    let tenant = acme();
    for _ in 0..rounds {
        let commits: Vec<_> = (0..8)
            .map(|more| append(&format!("account-{:064}", *number + more), ExpectedVersion::NoStream))
            .collect();
        *number += 8;
        let begun: Vec<_> = commits.into_iter().map(|commit| begin(store.commit(&tenant, commit))).collect();
        for commit in begun {
            commit.await.unwrap();
        }
    }
}
