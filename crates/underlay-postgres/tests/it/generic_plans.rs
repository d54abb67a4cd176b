//! Plans that are made once for all values, as a server makes them for what it runs often: also these
//! search an index by the tenant, under the policies of the role that runs the statement.

use tokio_postgres::Client;
use underlay_core::{
    Checkpoint, ColumnType, Comparison, Cursor, Decimal, Direction, EventStore, Query, ReadModels, Timestamp,
    Value, ViewTable,
};
use underlay_postgres::PostgresStore;

use crate::place::{Place, ROLE_PREFIX, connect, with_place};
use crate::sample::accounts;

/// Tables that are long enough for a wrong plan to look good, of many tenants.
async fn filled(place: &Place) -> (PostgresStore, ViewTable) {
    let store = place.open().await;
    let table = store.prepare(&accounts(), Checkpoint::start(store.store_id())).await.unwrap();
    let fill = "INSERT INTO underlay.events SELECT n, n / 50 + 1, n, 1, gen_random_uuid(), 0, \
                'tenant-' || n % 10, 'a-' || n % 50, 'noted', NULL, NULL, '{}', '{}' FROM generate_series(1, 20000) AS n; \
                INSERT INTO underlay.commits SELECT n, n, n, gen_random_uuid(), 1, 'tenant-' || n % 10, '\\x00', \
                CASE n % 20 WHEN 0 THEN 'refused' ELSE 'accepted' END, 'no', 'no', \
                CASE n % 20 WHEN 0 THEN '{}' END::json FROM generate_series(1, 20000) AS n; \
                INSERT INTO underlay.snapshots SELECT 'tenant-' || n % 10, 's-' || n, 1, gen_random_uuid(), '\\x00', '{}' \
                FROM generate_series(1, 5000) AS n; \
                INSERT INTO underlay_views.accounts_1 SELECT 'tenant-' || n % 10, 'key-' || n, 'name ' || n, n, \
                lpad(n::text, 9, '0'), n % 2 = 0, n FROM generate_series(1, 20000) AS n; ANALYZE";
    place.admin().await.batch_execute(fill).await.unwrap();
    (store, table)
}

/// A session that plans as the product's transactions do, once for all values.
pub(crate) async fn session(place: &Place) -> Client {
    let client = connect(&place.login_address()).await;
    let settings = "SET search_path = pg_catalog, underlay, underlay_views, pg_temp; SET enable_seqscan = off; \
                    SET enable_sort = off; SET enable_bitmapscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan; SET underlay.tenant = 'tenant-1'";
    client.batch_execute(settings).await.unwrap();
    client
}

/// The generic plan of a statement, as a role.
pub(crate) async fn plan(client: &Client, role: &str, types: &str, sql: &str) -> String {
    client.batch_execute(&format!("SET ROLE {ROLE_PREFIX}_{role}; DEALLOCATE ALL")).await.unwrap();
    let named = types.split(", ").filter(|name| !name.is_empty()).count();
    let types = if types.is_empty() { String::new() } else { format!("({types})") };
    client.batch_execute(&format!("PREPARE asked{types} AS {sql}")).await.unwrap();
    // Not all that a function takes is in each of its queries.
    let count = (1..).take_while(|number| sql.contains(&format!("${number}"))).count().max(named);
    let values = if count == 0 { String::new() } else { format!("({})", vec!["NULL"; count].join(", ")) };
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE asked{values}");
    let lines = client.simple_query(&explain).await.unwrap();
    let mut text = String::new();
    for line in lines {
        if let tokio_postgres::SimpleQueryMessage::Row(row) = line {
            text.push_str(row.get(0).unwrap());
            text.push('\n');
        }
    }
    text
}

/// That rows are found by the tenant in an index, and none is looked at to see whose it is.
fn assert_found_by_tenant(text: &str, what: &str) {
    assert!(!text.contains("Seq Scan"), "{what} reads a whole table\n{text}");
    let by_tenant = |line: &&str| line.contains("Index Cond:") && line.contains("tenant = ");
    assert!(text.lines().any(|line| by_tenant(&line)), "{what} is not found by its tenant\n{text}");
    let looked_at =
        text.lines().any(|line| line.trim().starts_with("Filter:") && line.contains("underlay.tenant"));
    assert!(!looked_at, "{what} looks at rows of other tenants\n{text}");
}

fn value(column_type: ColumnType) -> Value {
    match column_type {
        ColumnType::Text => Value::Text("name 500".into()),
        ColumnType::Integer => Value::Integer(500),
        ColumnType::Decimal => Value::Decimal(Decimal::new(500, 2)),
        ColumnType::Boolean => Value::Boolean(true),
        ColumnType::Timestamp => Value::Timestamp(Timestamp::from_microsecond(500).unwrap()),
    }
}

#[test]
fn every_filter_of_a_view_is_a_search_whatever_its_value() {
    with_place(async |place| {
        let (store, table) = filled(&place).await;
        let client = session(&place).await;
        for column in &table.schema.columns {
            for comparison in [
                Comparison::Eq,
                Comparison::Lt,
                Comparison::Le,
                Comparison::Gt,
                Comparison::Ge,
                Comparison::Prefix,
            ] {
                let query = Query::default().filter(&column.name, comparison, value(column.column_type));
                if query.validate(&table.schema).is_err() {
                    continue;
                }
                for sql in store.statements_of(&table, &crate::sample::acme(), &query).unwrap() {
                    let text = plan(&client, "reader", "", &sql).await;
                    let what = format!("{} {comparison:?}: {sql}", column.name);
                    assert_found_by_tenant(&text, &what);
                    // Of two truths each holds for half of the rows. And whether few rows pass a range nobody
                    // knows who plans for all values: a page may then go along the keys of the tenant.
                    let known = comparison == Comparison::Eq || sql.contains("count(*)");
                    if known && column.column_type != ColumnType::Boolean {
                        let quoted = if column.name == "order" { "\"order\"" } else { &column.name };
                        let found = |line: &str| line.contains("Index Cond:") && line.contains(quoted);
                        assert!(text.lines().any(found), "{what}\n{text}");
                    }
                }
            }
        }
    });
}

#[test]
fn every_page_goes_on_along_an_index_whatever_its_cursor() {
    with_place(async |place| {
        let (store, table) = filled(&place).await;
        let client = session(&place).await;
        let sorts =
            table.schema.columns.iter().map(|column| (Some(&column.name), Some(value(column.column_type))));
        for (column, value) in sorts.chain([(None, None)]) {
            for direction in [Direction::Ascending, Direction::Descending] {
                let cursor = Cursor { value: value.clone(), key: "key-500".into() };
                for after in [None, Some(cursor)] {
                    let mut query = Query { after, ..Query::default() };
                    query.sort = underlay_core::Sort { column: column.cloned(), direction };
                    let [sql, _] = store.statements_of(&table, &crate::sample::acme(), &query).unwrap();
                    let text = plan(&client, "reader", "", &sql).await;
                    assert_found_by_tenant(&text, &sql);
                    assert!(!text.contains("Sort"), "{sql}\n{text}");
                    // Where the page begins is found as well, and not walked to.
                    let begins = |line: &str| line.contains("Index Cond:") && line.contains("key");
                    assert!(query.after.is_none() || text.lines().any(begins), "{sql}\n{text}");
                }
            }
        }
    });
}

#[test]
fn every_read_of_the_product_is_a_search_whatever_its_values() {
    with_place(async |place| {
        let (_store, _table) = filled(&place).await;
        let client = session(&place).await;
        client.batch_execute("SET enable_sort = off").await.unwrap();
        macro_rules! read {
            ($role:literal, $name:literal, $types:literal) => {
                ($role, $types, include_str!(concat!("../../src/sql/", $name, ".sql")))
            };
        }
        for (role, types, sql) in [
            read!("reader", "select_stream_version", "text, text"),
            read!("reader", "select_stream_events", "text, text, bigint, bigint"),
            read!("reader", "select_versions", "text, text[]"),
            read!("reader", "select_streams", "text, text, text, bigint"),
            read!("writer", "select_snapshot", "text, text"),
            read!("writer", "delete_snapshot", "text, text"),
        ] {
            let text = plan(&client, role, types, sql).await;
            assert_found_by_tenant(&text, sql);
            assert!(!text.contains("Sort  ") && !text.contains("Hash Join"), "{sql}\n{text}");
        }
        // By position, by sequence or by time: of every tenant, in the order of the index. A commit that was
        // found by its tenant has its events by position.
        for (role, types, sql, index) in [
            (
                "reader",
                "text[], uuid[]",
                include_str!("../../src/sql/select_known_commits.sql"),
                "commits_by_id",
            ),
            (
                "worker",
                "text[], uuid[]",
                include_str!("../../src/sql/select_known_commits.sql"),
                "commits_by_id",
            ),
            ("worker", "uuid, bigint", include_str!("../../src/sql/select_fence.sql"), "fences_pkey"),
            (
                "reader",
                "bigint, text, text[], text[], bigint, bigint",
                include_str!("../../src/sql/select_tenant_events.sql"),
                "events_by_tenant",
            ),
            (
                "worker",
                "bigint, bigint, text[], text[], bigint",
                include_str!("../../src/sql/select_filtered_events.sql"),
                "events_pkey",
            ),
            ("worker", "bigint, bigint", include_str!("../../src/sql/select_log_events.sql"), "events_pkey"),
            (
                "reader",
                "bigint, bigint",
                include_str!("../../src/sql/select_commit_events.sql"),
                "events_pkey",
            ),
            (
                "reader",
                "bigint, bigint, text, bigint",
                include_str!("../../src/sql/select_commits.sql"),
                "commits_pkey",
            ),
            (
                "worker",
                "bigint, bigint, text, bigint",
                include_str!("../../src/sql/select_commits.sql"),
                "commits_pkey",
            ),
            (
                "reader",
                "bigint[], integer[]",
                include_str!("../../src/sql/select_events_of_commits.sql"),
                "events_pkey",
            ),
            ("worker", "bigint", include_str!("../../src/sql/select_event_id.sql"), "events_pkey"),
            (
                "worker",
                "bigint, bigint",
                include_str!("../../src/sql/forget_bodies.sql"),
                "commits_with_body",
            ),
            (
                "reader",
                "text, integer",
                include_str!("../../src/sql/select_view_position.sql"),
                "view_checkpoints_pkey",
            ),
            (
                "worker",
                "text, integer",
                include_str!("../../src/sql/select_checkpoint.sql"),
                "view_checkpoints_pkey",
            ),
        ] {
            let text = plan(&client, role, types, sql).await;
            assert!(!text.contains("Seq Scan"), "{role}: {sql}\n{text}");
            assert!(text.contains(index), "{role}: {sql}\n{text}");
            assert!(!text.contains("Join Filter"), "{role}: every event with every commit: {sql}\n{text}");
            // The order within an aggregate is a sort of its own, of what was found.
            let sorts = sql.contains("unnest") || sql.contains("array_agg");
            assert!(sorts || !text.contains("Sort"), "{role}: {sql}\n{text}");
        }
    });
}
