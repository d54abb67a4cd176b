//! How SQLite runs the reads that must stay fast, by EXPLAIN QUERY PLAN: along an index, never over a
//! whole table, and without sorting where the index has the order.

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params_from_iter};
use underlay_core::{
    Change, Column, ColumnType, Comparison, Condition, Cursor, Decimal, Direction, EntitySchema,
    EntityVersion, Query, TenantId, Timestamp, Value, ViewSchema, ViewTable,
};

use crate::entities::changes;
use crate::migrations::MIGRATIONS;
use crate::rows::query::{self, Select};
use crate::rows::row_table::{RowTable, Stored};

pub(crate) fn file() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    for part in MIGRATIONS.iter().flat_map(|migration| migration.parts) {
        connection.execute_batch(part).unwrap();
    }
    connection
}

/// A page along the most promising way.
fn select_page(table: &RowTable<'_>, tenant: &TenantId, query: &Query) -> Select {
    query::select_page(table, tenant, query, &query.page_walks()[0])
}

/// A count along the most promising way.
fn select_count(table: &RowTable<'_>, tenant: &TenantId, query: &Query) -> Select {
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

fn columns() -> Vec<Column> {
    let column = |name: &str, column_type| Column {
        name: name.to_owned(),
        column_type,
        nullable: false,
        indexed: true,
    };
    vec![
        column("name", ColumnType::Text),
        column("order", ColumnType::Integer),
        column("amount", ColumnType::Decimal),
        column("closed", ColumnType::Boolean),
        column("opened_at", ColumnType::Timestamp),
    ]
}

/// Checks a table of a view, and one of an entity in which some values are unique, each in a file of its own.
fn for_each_table(check: impl Fn(&Connection, &RowTable<'_>, &TenantId)) {
    let view = ViewTable { schema: ViewSchema::new("accounts", 1, columns()), generation: 3 };
    let entity = EntitySchema::new("account", 1, columns()).with_unique(["order", "amount"]);
    let tenant = TenantId::new("acme").unwrap();
    for table in [RowTable::of_view(&view), RowTable::of_entity(&entity)] {
        let connection = file();
        table.create(&connection).unwrap();
        check(&connection, &table, &tenant);
    }
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
fn a_scan_of_all_rows_and_a_row_by_its_key_walk_along_the_keys() {
    for_each_table(|connection, table, _| {
        let (name, text) = (table.plain_name(), |text: &str| Sql::Text(text.to_owned()));
        let found = plan(connection, &table.scan_rows(), &[text("a"), text("b"), Sql::Integer(9)]);
        assert_eq!(found, format!("SEARCH {name} USING PRIMARY KEY ((tenant,key)>(?,?))"));
        let found = plan(connection, &table.select_row(), &[text("a"), text("b")]);
        assert_eq!(found, format!("SEARCH {name} USING PRIMARY KEY (tenant=? AND key=?)"));
    });
}

#[test]
fn every_filter_alone_walks_along_its_index() {
    for_each_table(|connection, table, tenant| {
        for column in &table.schema.columns {
            let mut comparisons =
                vec![Comparison::Eq, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge];
            if column.column_type == ColumnType::Text {
                comparisons.push(Comparison::Prefix);
            }
            for comparison in comparisons {
                let query = Query::default().filter(&column.name, comparison, sample(column.column_type));
                for select in [select_page(table, tenant, &query), select_count(table, tenant, &query)] {
                    let found = plan_of(connection, &select);
                    let (name, column) = (table.plain_name(), &column.name);
                    let index = format!("INDEX {name}.{column} (tenant=? AND {column}");
                    assert!(found.contains("SEARCH") && found.contains(&index), "{}\n{found}", select.sql);
                    assert!(!found.contains("SCAN"), "{}\n{found}", select.sql);
                    let sorts = found.contains("TEMP B-TREE");
                    assert!(!sorts || comparison != Comparison::Eq, "{}\n{found}", select.sql);
                }
            }
        }
    });
}

#[test]
fn every_sort_walks_along_its_index_from_the_cursor_on() {
    for_each_table(|connection, table, tenant| {
        let name = table.plain_name();
        for direction in [Direction::Ascending, Direction::Descending] {
            let beyond = if direction == Direction::Ascending { ">" } else { "<" };
            for Column { name: column, column_type, .. } in &table.schema.columns {
                let mut query = Query::default().sort(column, direction);
                let found = plan_of(connection, &select_page(table, tenant, &query));
                let index = format!("SEARCH {name} USING INDEX {name}.{column}");
                assert_eq!(found, format!("{index} (tenant=?)"), "the first page");
                query.after = Some(Cursor { value: Some(sample(*column_type)), key: "k".into() });
                let found = plan_of(connection, &select_page(table, tenant, &query));
                let from = format!("{index} (tenant=? AND ({column},key){beyond}(?,?))");
                assert_eq!(found, from, "the next page");
                let filtered = query.filter(column, Comparison::Ge, sample(*column_type));
                let found = plan_of(connection, &select_page(table, tenant, &filtered));
                assert!(!found.contains("SCAN") && !found.contains("TEMP B-TREE"), "{found}");
            }
            let mut query = Query::default();
            query.sort.direction = direction;
            query.after = Some(Cursor { value: None, key: "k".into() });
            let found = plan_of(connection, &select_page(table, tenant, &query));
            assert_eq!(found, format!("SEARCH {name} USING PRIMARY KEY (tenant=? AND key{beyond}?)"));
        }
    });
}

#[test]
fn a_condition_changes_no_way() {
    for_each_table(|connection, table, tenant| {
        let compare = |name: &str, value| Condition::compare(name, Comparison::Eq, value);
        let condition = compare("name", sample(ColumnType::Text))
            .or(compare("closed", sample(ColumnType::Boolean)).negated())
            .or(Condition::In { column: "order".into(), values: vec![sample(ColumnType::Integer)] })
            .or(Condition::IsNull { column: "amount".into() });
        for column in [None, Some("opened_at")] {
            let mut query = Query { condition: condition.clone(), ..Query::default() };
            query.sort.column = column.map(str::to_owned);
            if let Some(column) = column {
                query = query.filter(column, Comparison::Ge, sample(ColumnType::Timestamp));
            }
            for select in [select_page(table, tenant, &query), select_count(table, tenant, &query)] {
                let found = plan_of(connection, &select);
                let name = table.plain_name();
                let way = match column {
                    None => format!("SEARCH {name} USING PRIMARY KEY (tenant=?)"),
                    Some(column) => {
                        format!("SEARCH {name} USING INDEX {name}.{column} (tenant=? AND {column}>?)")
                    }
                };
                assert_eq!(found, way, "{}", select.sql);
            }
        }
    });
}

#[test]
fn of_several_conditions_the_one_that_leaves_few_rows_leads() {
    for_each_table(|connection, table, tenant| {
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
            let found = plan_of(connection, &select_page(table, tenant, &query));
            let index = format!("USING INDEX {}.{column} (", table.plain_name());
            assert!(found.contains(&index), "{query:?}\n{found}");
        }
    });
}

#[test]
fn a_change_of_an_entity_finds_it_by_its_key() {
    let schema = EntitySchema::new("account", 1, columns()).with_unique(["order"]);
    let table = RowTable::of_entity(&schema);
    let connection = file();
    table.create(&connection).unwrap();
    let update = Change::Update { expected: EntityVersion(1), values: Vec::new() };
    for (change, wanted) in [
        (Change::Create(Vec::new()), ""),
        (update, "SEARCH entity_account USING PRIMARY KEY (tenant=? AND key=?)"),
        (Change::Delete { expected: None }, "SEARCH entity_account USING PRIMARY KEY (tenant=? AND key=?)"),
    ] {
        let sql = changes::statement(&table, &change);
        let values = vec![Sql::Integer(1); connection.prepare(&sql).unwrap().parameter_count()];
        assert_eq!(plan(&connection, &sql, &values), wanted, "{sql}");
    }
}
