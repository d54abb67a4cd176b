//! A query of a view as SQL: values are bound, names are quoted, and pages are found by key, never by
//! counting, so that every filter and every sort is a walk along an index.

use underlay_core::{Comparison, Direction, Filter, Query, TenantId, Value, ViewTable};

use crate::row_table::{name, quoted, selected};

/// A statement with the values of its parameters, in order; the tenant is the first.
#[derive(Debug, PartialEq)]
pub(crate) struct Select {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

impl Select {
    fn new(head: String, tenant: &TenantId) -> Self {
        let values = vec![Value::Text(tenant.as_str().to_owned())];
        Self { sql: format!("{head} WHERE rows.tenant = $1"), values }
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

    fn filter(&mut self, filter: &Filter) {
        let column = quoted(&filter.column);
        let operator = match filter.comparison {
            Comparison::Eq => "=",
            Comparison::Lt => "<",
            Comparison::Le => "<=",
            Comparison::Gt => ">",
            Comparison::Ge | Comparison::Prefix => ">=",
        };
        self.and(&column, operator, filter.value.clone());
        if let (Comparison::Prefix, Value::Text(prefix)) = (filter.comparison, &filter.value)
            && let Some(end) = end_of_prefix(prefix)
        {
            self.and(&column, "<", Value::Text(end));
        }
    }
}

/// Reads a page of rows, and one row more that shows whether another page follows.
pub(crate) fn select_page(table: &ViewTable, tenant: &TenantId, query: &Query) -> Select {
    let head = format!("SELECT {} FROM {} AS rows", selected(&table.schema), name(table));
    let mut select = Select::new(head, tenant);
    for filter in &query.filters {
        select.filter(filter);
    }
    let (beyond, direction) = match query.sort.direction {
        Direction::Ascending => (">", ""),
        Direction::Descending => ("<", " DESC"),
    };
    let column = query.sort.column.as_deref().map(quoted);
    if let Some(cursor) = &query.after {
        match (&column, &cursor.value) {
            (Some(column), Some(value)) => {
                let value = select.bind(value.clone());
                let key = select.bind(Value::Text(cursor.key.clone()));
                select.sql.push_str(&format!(" AND (rows.{column}, rows.\"key\") {beyond} ({value}, {key})"));
            }
            _ => select.and("\"key\"", beyond, Value::Text(cursor.key.clone())),
        }
    }
    let column = column.map_or_else(String::new, |column| format!("rows.{column}{direction}, "));
    let limit = select.bind(Value::Integer(crate::event_row::number(query.limit as u64 + 1)));
    select.sql.push_str(&format!(" ORDER BY {column}rows.\"key\"{direction} LIMIT {limit}"));
    select
}

/// Counts the rows that meet the filters.
pub(crate) fn select_count(table: &ViewTable, tenant: &TenantId, query: &Query) -> Select {
    let mut select = Select::new(format!("SELECT count(*) FROM {} AS rows", name(table)), tenant);
    for filter in &query.filters {
        select.filter(filter);
    }
    select
}

/// The first text after all that start with `prefix`; none where no text is.
fn end_of_prefix(prefix: &str) -> Option<String> {
    // Texts are ordered by their bytes, and UTF-8 keeps the order of the characters.
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // The range of characters passes over the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}
