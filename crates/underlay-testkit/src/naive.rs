//! What a query means, written down once more and as simply as can be: the rows are looked at one by one.

use std::cmp::Ordering;

use underlay_core::{Comparison, Condition, Direction, Filter, Query, RowSchema, Value};

/// Everything that a query asks for, in its order, whatever its limit and its cursor are. `row` gives the key and the
/// values of one.
pub(crate) fn answer<R: Clone>(
    schema: &RowSchema,
    rows: &[R],
    query: &Query,
    row: impl Fn(&R) -> (&String, &Vec<Value>),
) -> Vec<R> {
    let value = |one: &R, column: &str| {
        let at = schema.columns.iter().position(|known| known.name == column).expect("a column");
        row(one).1[at].clone()
    };
    let meets = |one: &&R| {
        let value = |column: &str| value(one, column);
        query.filters.iter().all(|filter| compares(filter, &value)) && is_true(&query.condition, &value)
    };
    let mut found: Vec<R> = rows.iter().filter(meets).cloned().collect();
    found.sort_by(|a, b| {
        let by_column = query
            .sort
            .column
            .as_deref()
            .map_or(Ordering::Equal, |column| compare(&value(a, column), &value(b, column)));
        let order = by_column.then_with(|| row(a).0.as_bytes().cmp(row(b).0.as_bytes()));
        if query.sort.direction == Direction::Ascending { order } else { order.reverse() }
    });
    found
}

fn is_true(condition: &Condition, value: &impl Fn(&str) -> Value) -> bool {
    match condition {
        Condition::All(parts) => !parts.iter().any(|part| !is_true(part, value)),
        Condition::Any(parts) => parts.iter().any(|part| is_true(part, value)),
        Condition::Not(part) => !is_true(part, value),
        Condition::Compare(filter) => compares(filter, value),
        Condition::In { column, values } => {
            let actual = value(column);
            actual != Value::Null && values.iter().any(|one| compare(&actual, one) == Ordering::Equal)
        }
        Condition::IsNull { column } => value(column) == Value::Null,
    }
}

/// Nothing compares with a column that is empty.
fn compares(filter: &Filter, value: &impl Fn(&str) -> Value) -> bool {
    let actual = value(&filter.column);
    if actual == Value::Null {
        return false;
    }
    match (filter.comparison, &actual, &filter.value) {
        (Comparison::Prefix, Value::Text(text), Value::Text(prefix)) => {
            text.as_bytes().starts_with(prefix.as_bytes())
        }
        (Comparison::Eq, actual, value) => compare(actual, value) == Ordering::Equal,
        (Comparison::Lt, actual, value) => compare(actual, value) == Ordering::Less,
        (Comparison::Le, actual, value) => compare(actual, value) != Ordering::Greater,
        (Comparison::Gt, actual, value) => compare(actual, value) == Ordering::Greater,
        (Comparison::Ge, actual, value) => compare(actual, value) != Ordering::Less,
        other => panic!("no such comparison: {other:?}"),
    }
}

/// The order of values of one type: text by its bytes, the rest by number and time.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        _ => panic!("values of two types: {a:?}, {b:?}"),
    }
}
