//! A query of rows as SQL: values are bound, names are quoted, and pages are found by key, never by
//! counting, so that every filter and every sort is a walk along an index.
//!
//! Which index that is follows from the walk, and not from what the server knows of the table: the rows are
//! asked for in the order of that index, where sorting is forbidden, and a single value is asked for as a
//! range, since of one value the server would see no order. So many rows of the walk are looked at as may
//! be, and one more that says there are more.

use tokio_postgres::Row;
use underlay_core::adapter::{Walk, sql_beyond, sql_comparisons, sql_condition, sql_direction, sql_name};
use underlay_core::limits::{PAGE_TEXT_BYTES_MAX, QUERY_ROWS_SCANNED_MAX};
use underlay_core::{Comparison, Cursor, Direction, Filter, Query, TenantId, Value};

use crate::error::Failure;
use crate::log::event_row;
use crate::rows::row_table::RowTable;

/// The number of a row in its walk. No column has such a name.
const PLACE: &str = "\"#\"";
/// The bytes that a page has two rows before a row. No column has such a name.
const BYTES: &str = "\"##\"";

/// A statement with the values of its parameters, in order; the tenant is the first.
#[derive(Debug, PartialEq)]
pub(crate) struct Select {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

impl Select {
    fn new(tenant: &TenantId) -> Self {
        Self { sql: String::new(), values: vec![Value::Text(tenant.as_str().to_owned())] }
    }

    /// Binds a value and names its parameter.
    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    fn and(&mut self, column: &str, operator: &str, value: Value) {
        let parameter = self.bind(value);
        self.sql.push_str(&format!(" AND rows.{column} {operator} {parameter}"));
    }

    /// Begins to read the rows of the tenant between the bounds of a walk.
    fn begin(&mut self, head: &str, walk: &Walk<'_>) {
        self.sql.push_str(&format!("{head} WHERE rows.tenant = $1"));
        walk.bounds.iter().for_each(|filter| self.filter(filter));
    }

    /// The rows after the cursor.
    fn after(&mut self, query: &Query, walk: &Walk<'_>) {
        let Some(Cursor { value, key }) = &query.after else { return };
        let beyond = sql_beyond(query.sort.direction);
        // In the order of the keys along one value, all rows have that value.
        let one_value = walk.bounds.iter().find(|filter| filter.comparison == Comparison::Eq);
        let place = match (query.sort.column.as_deref(), value, one_value) {
            (Some(column), Some(value), _) => Some((column, value.clone())),
            (_, _, Some(filter)) if walk.ordered => Some((filter.column.as_str(), filter.value.clone())),
            _ => None,
        };
        match place {
            Some((column, value)) => {
                let (column, value) = (sql_name(column), self.bind(value));
                let key = self.bind(Value::Text(key.clone()));
                self.sql.push_str(&format!(" AND (rows.{column}, rows.\"key\") {beyond} ({value}, {key})"));
            }
            None => self.and("\"key\"", beyond, Value::Text(key.clone())),
        }
    }

    /// Only rows that pass the tests of a walk.
    fn pass(&mut self, walk: &Walk<'_>) {
        walk.tests.iter().for_each(|filter| self.filter(filter));
        if !walk.condition.is_empty() {
            let column = |name: &str| format!("rows.{}", sql_name(name));
            let condition = sql_condition(walk.condition, &column, &mut |value| self.bind(value));
            self.sql.push_str(&format!(" AND {condition}"));
        }
    }

    /// Ends a page with the row that reaches [`PAGE_TEXT_BYTES_MAX`], and one row more that shows whether another page
    /// follows: the server sends no further ones. Where the shape of the rows says that they cannot reach it, the
    /// statement stays as it is.
    ///
    /// What is counted is what [`PageEnd`](underlay_core::PageEnd) counts, so that both see the same end.
    fn bounded(mut self, table: &RowTable<'_>, query: &Query, selected: &str, order: &str) -> Self {
        if table.schema.row_text_bytes_max().saturating_mul(query.limit) < PAGE_TEXT_BYTES_MAX {
            return self;
        }
        let bytes = format!(
            "sum({}) OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS {BYTES}",
            table.text_bytes()
        );
        let inner = self.sql.replacen(selected, &format!("rows.*, {bytes}"), 1);
        self.sql = format!(
            "SELECT {selected} FROM ({inner}) AS rows \
             WHERE coalesce(rows.{BYTES}, 0) < {PAGE_TEXT_BYTES_MAX} ORDER BY {order}"
        );
        self
    }

    fn filter(&mut self, filter: &Filter) {
        let column = sql_name(&filter.column);
        for (operator, value) in sql_comparisons(filter) {
            if filter.comparison == Comparison::Eq {
                self.and(&column, ">=", value.clone());
                self.and(&column, "<=", value);
            } else {
                self.and(&column, operator, value);
            }
        }
    }
}

/// Reads a page of rows along a walk, and one row more that shows whether another page follows. Where the
/// walk may look at too many rows, what comes after the columns says of a row that it did.
pub(crate) fn select_page(table: &RowTable<'_>, tenant: &TenantId, query: &Query, walk: &Walk<'_>) -> Select {
    let mut select = Select::new(tenant);
    let limit = query.limit + 1;
    let along = if walk.ordered { query.sort.direction } else { Direction::Ascending };
    let order = order_by(walk.column, along);
    let selected = table.selected();
    if walk.is_exact() {
        let head = format!("SELECT {selected} FROM {} AS rows", table.name);
        select.begin(&head, walk);
        select.after(query, walk);
        select.sql.push_str(&format!(" ORDER BY {order} LIMIT {limit}"));
        return select.bounded(table, query, &selected, &order);
    }
    let looked_at = format!("{selected}, rows.{PLACE} > {QUERY_ROWS_SCANNED_MAX}");
    let head = format!(
        "SELECT {looked_at} FROM (SELECT rows.*, row_number() OVER (ORDER BY {order}) AS {PLACE} FROM {} AS rows",
        table.name
    );
    select.begin(&head, walk);
    if walk.ordered {
        select.after(query, walk);
    }
    let looked = QUERY_ROWS_SCANNED_MAX + 1;
    select.sql.push_str(&format!(
        " ORDER BY {order} LIMIT {looked}) AS rows WHERE (rows.{PLACE} > {QUERY_ROWS_SCANNED_MAX} OR (true"
    ));
    select.pass(walk);
    let order = if walk.ordered {
        order
    } else {
        select.after(query, walk);
        let order = order_by(query.sort.column.as_deref(), query.sort.direction);
        // One that says there are too many comes first.
        format!("rows.{PLACE} > {QUERY_ROWS_SCANNED_MAX} DESC, {order}")
    };
    select.sql.push_str(&format!(")) ORDER BY {order} LIMIT {limit}"));
    select.bounded(table, query, &looked_at, &order)
}

/// Counts the rows along a walk: how many pass its tests, and how many were looked at.
pub(crate) fn select_count(table: &RowTable<'_>, tenant: &TenantId, walk: &Walk<'_>) -> Select {
    let mut select = Select::new(tenant);
    select.sql.push_str("SELECT count(*) FILTER (WHERE true");
    select.pass(walk);
    let head = format!("), count(*) FROM (SELECT rows.* FROM {} AS rows", table.name);
    select.begin(&head, walk);
    let order = order_by(walk.column, Direction::Ascending);
    let looked = QUERY_ROWS_SCANNED_MAX + 1;
    select.sql.push_str(&format!(" ORDER BY {order} LIMIT {looked}) AS rows"));
    select
}

/// Whether the walk of a page looked at too many rows. Only where it may does it say so, after the columns of a row.
pub(crate) fn is_page_too_broad(found: &[Row], table: &RowTable<'_>) -> Result<bool, Failure> {
    for row in found.iter().filter(|row| row.len() > table.width()) {
        if row.try_get(table.width())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a walk counted; `None` where it looked at too many rows.
pub(crate) fn counted(found: &[Row]) -> Result<Option<u64>, Failure> {
    let row = found.first().ok_or_else(|| Failure::damaged("a count has no row"))?;
    let looked = event_row::count(row, 1)?;
    (looked <= QUERY_ROWS_SCANNED_MAX as u64).then(|| event_row::count(row, 0)).transpose()
}

/// The order of an index.
fn order_by(column: Option<&str>, direction: Direction) -> String {
    let direction = sql_direction(direction);
    let column = column.map_or_else(String::new, |column| format!("rows.{}{direction}, ", sql_name(column)));
    format!("{column}rows.\"key\"{direction}")
}
