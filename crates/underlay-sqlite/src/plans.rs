//! How SQLite runs the reads that must stay fast, by EXPLAIN QUERY PLAN: along an index, never over a
//! whole table, and without sorting where the index has the order.

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params_from_iter};
use underlay_core::{
    Column, ColumnType, Comparison, Cursor, Decimal, Direction, Query, TenantId, Timestamp, Value,
    ViewSchema, ViewTable,
};

use crate::migrations::MIGRATIONS;
use crate::views::query::{self, Select};
use crate::views::row_table::{self, Stored};

pub(crate) fn file() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    for part in MIGRATIONS.iter().flat_map(|migration| migration.parts) {
        connection.execute_batch(part).unwrap();
    }
    connection
}

/// A page along the most promising way.
fn select_page(table: &ViewTable, tenant: &TenantId, query: &Query) -> Select {
    query::select_page(table, tenant, query, &query.page_walks()[0])
}

/// A count along the most promising way.
fn select_count(table: &ViewTable, tenant: &TenantId, query: &Query) -> Select {
    let walk = &query.count_walks()[0];
    query::select_passing(table, tenant, walk)
}

/// The steps of a plan, one a line.
pub(crate) fn plan(connection: &Connection, sql: &str, values: &[Sql]) -> String {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps = explain.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
    steps.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

fn plan_of(connection: &Connection, select: &Select) -> String {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", select.sql)).unwrap();
    let values = params_from_iter(select.values.iter().map(Stored));
    let steps = explain.query_map(values, |row| row.get::<_, String>(3)).unwrap();
    steps.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reads_of_the_log_walk_along_an_index() {
    let connection = file();
    for (sql, wanted) in [
        (
            include_str!("sql/select_stream_version.sql"),
            "SEARCH events USING COVERING INDEX events_by_stream (tenant=? AND stream=?)",
        ),
        (
            include_str!("sql/select_stream_events.sql"),
            "SEARCH events USING INDEX events_by_stream (tenant=? AND stream=? AND version>?)",
        ),
        (
            include_str!("sql/select_tenant_events.sql"),
            "SEARCH events USING INDEX events_by_tenant (tenant=? AND position>?)",
        ),
        (include_str!("sql/select_log_events.sql"), "SEARCH events USING INTEGER PRIMARY KEY (rowid>?)"),
        (
            include_str!("sql/select_commit_streams.sql"),
            "SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        ),
        (include_str!("sql/select_recorded_at.sql"), "SEARCH events USING INTEGER PRIMARY KEY (rowid=?)"),
        (include_str!("sql/select_event_id.sql"), "SEARCH events USING INTEGER PRIMARY KEY (rowid=?)"),
        (
            include_str!("sql/exists_event.sql"),
            "SEARCH events USING COVERING INDEX events_by_id (tenant=? AND event_id=?)",
        ),
    ] {
        let values = vec![Sql::Integer(1); connection.prepare(sql).unwrap().parameter_count()];
        assert_eq!(plan(&connection, sql, &values), wanted, "{sql}");
    }
    let sql = include_str!("sql/select_next_stream.sql");
    let found = plan(&connection, sql, &["a", "b", "c"].map(|text| Sql::Text(text.to_owned())));
    let by_name = "SEARCH events USING COVERING INDEX events_by_stream (tenant=? AND stream=?)";
    let after = "SEARCH events USING COVERING INDEX events_by_stream (tenant=? AND stream>? AND stream<?)";
    assert!(found.contains(by_name) && found.contains(after), "{found}");
    assert!(!found.contains("SCAN") && !found.contains("TEMP B-TREE"), "{found}");
    let sql = include_str!("sql/select_commit.sql");
    let found = plan(&connection, sql, &[Sql::Integer(1), Sql::Integer(1)]);
    assert!(found.contains("(tenant=? AND commit_id=?)"), "{found}");
}

fn table() -> ViewTable {
    let column = |name: &str, column_type| Column {
        name: name.to_owned(),
        column_type,
        nullable: false,
        indexed: true,
    };
    let columns = vec![
        column("name", ColumnType::Text),
        column("order", ColumnType::Integer),
        column("amount", ColumnType::Decimal),
        column("closed", ColumnType::Boolean),
        column("opened_at", ColumnType::Timestamp),
    ];
    ViewTable { schema: ViewSchema::new("accounts", 1, columns), generation: 3 }
}

fn sample(column_type: ColumnType) -> Value {
    match column_type {
        ColumnType::Text => Value::Text("a".into()),
        ColumnType::Integer => Value::Integer(1),
        ColumnType::Decimal => Value::Decimal(Decimal::ONE),
        ColumnType::Boolean => Value::Boolean(true),
        ColumnType::Timestamp => Value::Timestamp(Timestamp::UNIX_EPOCH),
    }
}

#[test]
fn a_scan_of_all_rows_walks_along_their_keys() {
    let (connection, table) = (file(), table());
    row_table::create(&connection, &table).unwrap();
    let values = [Sql::Text("a".into()), Sql::Text("b".into()), Sql::Integer(9)];
    let found = plan(&connection, &row_table::scan_rows(&table), &values);
    assert_eq!(found, "SEARCH view_accounts_3 USING PRIMARY KEY ((tenant,key)>(?,?))");
}

#[test]
fn every_filter_alone_walks_along_its_index() {
    let (connection, table, tenant) = (file(), table(), TenantId::new("acme").unwrap());
    row_table::create(&connection, &table).unwrap();
    for column in &table.schema.columns {
        let mut comparisons =
            vec![Comparison::Eq, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge];
        if column.column_type == ColumnType::Text {
            comparisons.push(Comparison::Prefix);
        }
        for comparison in comparisons {
            let query = Query::default().filter(&column.name, comparison, sample(column.column_type));
            for select in [select_page(&table, &tenant, &query), select_count(&table, &tenant, &query)] {
                let found = plan_of(&connection, &select);
                let index = format!("INDEX view_accounts_3.{} (tenant=? AND {}", column.name, column.name);
                assert!(found.contains("SEARCH") && found.contains(&index), "{}\n{found}", select.sql);
                assert!(!found.contains("SCAN"), "{}\n{found}", select.sql);
                let sorts = found.contains("TEMP B-TREE");
                assert!(!sorts || comparison != Comparison::Eq, "{}\n{found}", select.sql);
            }
        }
    }
}

#[test]
fn every_sort_walks_along_its_index_from_the_cursor_on() {
    let (connection, table, tenant) = (file(), table(), TenantId::new("acme").unwrap());
    row_table::create(&connection, &table).unwrap();
    for direction in [Direction::Ascending, Direction::Descending] {
        let beyond = if direction == Direction::Ascending { ">" } else { "<" };
        for column in &table.schema.columns {
            let mut query = Query::default().sort(&column.name, direction);
            let found = plan_of(&connection, &select_page(&table, &tenant, &query));
            let index =
                format!("SEARCH view_accounts_3 USING INDEX view_accounts_3.{} (tenant=?)", column.name);
            assert_eq!(found, index, "the first page");
            query.after = Some(Cursor { value: Some(sample(column.column_type)), key: "k".into() });
            let found = plan_of(&connection, &select_page(&table, &tenant, &query));
            let index = format!(
                "SEARCH view_accounts_3 USING INDEX view_accounts_3.{} (tenant=? AND ({},key){beyond}(?,?))",
                column.name, column.name
            );
            assert_eq!(found, index, "the next page");
            let filtered = query.filter(&column.name, Comparison::Ge, sample(column.column_type));
            let found = plan_of(&connection, &select_page(&table, &tenant, &filtered));
            assert!(!found.contains("SCAN") && !found.contains("TEMP B-TREE"), "{found}");
        }
        let mut query = Query::default();
        query.sort.direction = direction;
        query.after = Some(Cursor { value: None, key: "k".into() });
        let found = plan_of(&connection, &select_page(&table, &tenant, &query));
        assert_eq!(found, format!("SEARCH view_accounts_3 USING PRIMARY KEY (tenant=? AND key{beyond}?)"));
    }
}

#[test]
fn of_several_conditions_the_one_that_leaves_few_rows_leads() {
    let (connection, table, tenant) = (file(), table(), TenantId::new("acme").unwrap());
    row_table::create(&connection, &table).unwrap();
    let closed = Query::default().filter("closed", Comparison::Eq, Value::Boolean(false));
    let named = |comparison| closed.clone().filter("name", comparison, Value::Text("a".into()));
    for (query, column) in [
        (closed.clone(), "closed"),
        (closed.clone().sort("amount", Direction::Ascending), "amount"),
        (named(Comparison::Eq).sort("amount", Direction::Ascending), "name"),
        (named(Comparison::Prefix).sort("amount", Direction::Ascending), "name"),
        (named(Comparison::Gt).sort("amount", Direction::Descending), "amount"),
        (named(Comparison::Gt), "closed"),
    ] {
        let found = plan_of(&connection, &select_page(&table, &tenant, &query));
        assert!(found.contains(&format!("USING INDEX view_accounts_3.{column} (")), "{query:?}\n{found}");
    }
}
