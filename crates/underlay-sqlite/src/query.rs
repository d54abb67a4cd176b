//! A query of a view as SQL: values are bound, names are quoted, and pages are found by key, never by
//! counting, so that every filter and every sort is a walk along an index.

use underlay_core::{Comparison, Direction, Filter, Query, TenantId, Value, ViewTable};

use crate::row_table::{index_name, name, quoted, selected};

/// A statement with the values of its parameters, in order; the tenant is the first.
#[derive(Debug, PartialEq)]
pub(crate) struct Select {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

impl Select {
    fn new(head: String, tenant: &TenantId) -> Self {
        let values = vec![Value::Text(tenant.as_str().to_owned())];
        Self { sql: format!("{head} WHERE tenant = ?1"), values }
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
    let index = walked(&query.filters, query.sort.column.as_deref());
    let head = format!("SELECT {} FROM {}{}", selected(&table.schema), name(table), by(table, index));
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
                select.sql.push_str(&format!(" AND ({column}, \"key\") {beyond} ({value}, {key})"));
            }
            _ => select.and("\"key\"", beyond, Value::Text(cursor.key.clone())),
        }
    }
    let column = column.map_or_else(String::new, |column| format!("{column}{direction}, "));
    let limit = select.bind(Value::Integer(crate::event_row::number(query.limit as u64 + 1)));
    select.sql.push_str(&format!(" ORDER BY {column}\"key\"{direction} LIMIT {limit}"));
    select
}

/// Counts the rows that meet the filters.
pub(crate) fn select_count(table: &ViewTable, tenant: &TenantId, query: &Query) -> Select {
    let index = walked(&query.filters, None);
    let head = format!("SELECT count(*) FROM {}{}", name(table), by(table, index));
    let mut select = Select::new(head, tenant);
    for filter in &query.filters {
        select.filter(filter);
    }
    select
}

/// The column whose index is walked along; none for the order of the keys. Without statistics SQLite
/// guesses, and guesses the whole tenant where a filter would do, so it is told.
///
/// A condition that leaves few rows comes first, then the order asked for, which finds a page without
/// sorting, then what else narrows.
fn walked<'q>(filters: &'q [Filter], sort: Option<&'q str>) -> Option<&'q str> {
    let first = |wanted: fn(&Filter) -> bool| {
        filters.iter().find(|filter| wanted(filter)).map(|filter| filter.column.as_str())
    };
    // Of two truths each holds for half of the rows.
    first(|filter| filter.comparison == Comparison::Eq && !matches!(filter.value, Value::Boolean(_)))
        .or_else(|| first(|filter| filter.comparison == Comparison::Prefix))
        .or(sort)
        .or_else(|| first(|filter| filter.comparison == Comparison::Eq))
        .or_else(|| first(|_| true))
}

fn by(table: &ViewTable, column: Option<&str>) -> String {
    column.map_or_else(String::new, |column| format!(" INDEXED BY {}", index_name(table, column)))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_prefix_is_a_range(prefix in "[\u{0}a\u{d7ff}\u{e000}\u{10ffff}é]{0,4}", text in "[\u{0}a\u{d7ff}\u{e000}\u{10ffff}éb]{0,6}") {
            let in_range = text >= prefix && end_of_prefix(&prefix).is_none_or(|end| text < end);
            prop_assert_eq!(in_range, text.starts_with(&prefix));
        }
    }
}
