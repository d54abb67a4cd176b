//! A query of rows as SQL: values are bound, names are quoted, and pages are found by key, never by
//! counting, so that every filter and every sort is a walk along an index.

use underlay_core::adapter::{
    Walk, sql_beyond, sql_comparisons, sql_condition, sql_direction, sql_name, stored_number,
};
use underlay_core::limits::QUERY_ROWS_SCANNED_MAX;
use underlay_core::{Filter, Query, TenantId, Value};

use crate::rows::row_table::RowTable;

/// A statement with the values of its parameters, in order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Select {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

impl Select {
    /// Begins to read the rows of a tenant between the bounds of a walk. Without statistics SQLite guesses
    /// which index to take, and guesses the whole tenant where a filter would do, so it is told.
    fn begin(&mut self, head: &str, table: &RowTable<'_>, walk: &Walk<'_>, tenant: &TenantId) {
        let by = walk.column.map(|column| format!(" INDEXED BY {}", table.index_name(column)));
        let tenant = self.bind(Value::Text(tenant.as_str().to_owned()));
        let by = by.unwrap_or_default();
        self.sql.push_str(&format!("{head} {}{by} WHERE tenant = {tenant}", table.name()));
        walk.bounds.iter().for_each(|filter| self.filter(filter));
    }

    /// Whether a row passes the tests of a walk, as a value.
    fn tests(&mut self, walk: &Walk<'_>) -> String {
        let before = std::mem::take(&mut self.sql);
        self.pass(walk);
        let conditions = std::mem::replace(&mut self.sql, before);
        format!("(true{conditions})")
    }

    /// Only rows that pass the tests of a walk.
    fn pass(&mut self, walk: &Walk<'_>) {
        walk.tests.iter().for_each(|filter| self.filter(filter));
        if !walk.condition.is_empty() {
            let condition = sql_condition(walk.condition, &sql_name, &mut |value| self.bind(value));
            self.sql.push_str(&format!(" AND {condition}"));
        }
    }

    /// Binds a value and names its parameter.
    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    fn and(&mut self, column: &str, operator: &str, value: Value) {
        let parameter = self.bind(value);
        self.sql.push_str(&format!(" AND {column} {operator} {parameter}"));
    }

    fn filter(&mut self, filter: &Filter) {
        let column = sql_name(&filter.column);
        for (operator, value) in sql_comparisons(filter) {
            self.and(&column, operator, value);
        }
    }
}

/// Reads a page of rows along a walk, and one row more that shows whether another page follows. A walk in
/// the order asked for that has tests gives every row it looks at, up to one more than it may, and at its
/// end whether the row passes them.
pub(crate) fn select_page(table: &RowTable<'_>, tenant: &TenantId, query: &Query, walk: &Walk<'_>) -> Select {
    let tested = walk.ordered && walk.has_tests();
    let mut select = Select::default();
    let tests = if tested { format!(", {}", select.tests(walk)) } else { String::new() };
    let head = format!("SELECT {}{tests} FROM", table.selected());
    select.begin(&head, table, walk, tenant);
    if !walk.ordered {
        select.pass(walk);
    }
    let (beyond, direction) = (sql_beyond(query.sort.direction), sql_direction(query.sort.direction));
    let column = query.sort.column.as_deref().map(sql_name);
    if let Some(cursor) = &query.after {
        match (&column, &cursor.value) {
            (Some(column), Some(value)) => {
                let value = select.bind(value.clone());
                let key = select.bind(Value::Text(cursor.key.clone()));
                select.sql.push_str(&format!(" AND ({column}, \"key\") {beyond} ({value}, {key})"));
            }
            _ => select.and("\"key\"", beyond, Value::Text(cursor.key.clone())),
        }
    }
    let column = column.map_or_else(String::new, |column| format!("{column}{direction}, "));
    let rows = if tested { QUERY_ROWS_SCANNED_MAX } else { query.limit };
    let limit = select.bind(one_more_than(rows));
    select.sql.push_str(&format!(" ORDER BY {column}\"key\"{direction} LIMIT {limit}"));
    select
}

/// Looks at the rows between the bounds of a walk, up to one more than it may, and says of each whether it
/// passes its tests.
pub(crate) fn select_passing(table: &RowTable<'_>, tenant: &TenantId, walk: &Walk<'_>) -> Select {
    let mut select = Select::default();
    let head = format!("SELECT {} FROM", select.tests(walk));
    select.begin(&head, table, walk, tenant);
    let limit = select.bind(one_more_than(QUERY_ROWS_SCANNED_MAX));
    select.sql.push_str(&format!(" LIMIT {limit}"));
    select
}

fn one_more_than(rows: usize) -> Value {
    Value::Integer(stored_number(rows as u64 + 1))
}
