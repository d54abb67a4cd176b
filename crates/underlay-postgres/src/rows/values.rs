//! How values are stored: text by its bytes (`COLLATE "C"`), decimals as their [`decimal_key`], times as microseconds. Of
//! these types every comparison may be used under row-level security, so an index on them is.

use std::borrow::Cow;

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use underlay_core::adapter::{sql_name, stored_time};
use underlay_core::{Column, ColumnType, RowValues, Value, decimal_from_key, decimal_key};

use crate::connections::session::Parameter;
use crate::error::Failure;

/// The values of a column.
pub(crate) enum Array<'v> {
    Text(Vec<Option<Cow<'v, str>>>),
    Number(Vec<Option<i64>>),
    Boolean(Vec<Option<bool>>),
}

impl<'v> Array<'v> {
    pub(crate) fn new(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Text | ColumnType::Decimal => Self::Text(Vec::new()),
            ColumnType::Integer | ColumnType::Timestamp => Self::Number(Vec::new()),
            ColumnType::Boolean => Self::Boolean(Vec::new()),
        }
    }

    pub(crate) fn push(&mut self, value: &'v Value) {
        match (self, stored(value)) {
            (Self::Text(array), Stored::Text(text)) => array.push(Some(text)),
            (Self::Number(array), Stored::Number(number)) => array.push(Some(number)),
            (Self::Boolean(array), Stored::Boolean(truth)) => array.push(Some(truth)),
            // What does not fit was refused before it came here.
            (Self::Text(array), _) => array.push(None),
            (Self::Number(array), _) => array.push(None),
            (Self::Boolean(array), _) => array.push(None),
        }
    }

    pub(crate) fn parameter(&self) -> Parameter<'_> {
        match self {
            Self::Text(array) => (array, Type::TEXT_ARRAY),
            Self::Number(array) => (array, Type::INT8_ARRAY),
            Self::Boolean(array) => (array, Type::BOOL_ARRAY),
        }
    }
}

/// A value as it is stored.
#[derive(Debug, PartialEq)]
pub(crate) enum Stored<'v> {
    Null,
    Text(Cow<'v, str>),
    Number(i64),
    Boolean(bool),
}

impl Stored<'_> {
    pub(crate) fn parameter(&self) -> Parameter<'_> {
        match self {
            Self::Null => (&None::<&str>, Type::TEXT),
            Self::Text(text) => (text, Type::TEXT),
            Self::Number(number) => (number, Type::INT8),
            Self::Boolean(truth) => (truth, Type::BOOL),
        }
    }
}

/// How a value is stored.
pub(crate) fn stored(value: &Value) -> Stored<'_> {
    match value {
        Value::Null => Stored::Null,
        Value::Text(text) => Stored::Text(Cow::Borrowed(text)),
        Value::Integer(number) => Stored::Number(*number),
        Value::Decimal(number) => Stored::Text(Cow::Owned(decimal_key(*number))),
        Value::Boolean(truth) => Stored::Boolean(*truth),
        Value::Timestamp(time) => Stored::Number(time.as_microsecond()),
    }
}

/// Reads the values of a row that begins with its key. `damaged` says of a column that it holds none of its values.
pub(crate) fn values(
    row: &Row,
    columns: &[Column],
    damaged: impl Fn(&Column) -> Failure,
) -> Result<RowValues, Failure> {
    let read = |(at, column): (usize, &Column)| {
        value(row, at + 1, column.column_type)?.ok_or_else(|| damaged(column))
    };
    columns.iter().enumerate().map(read).collect()
}

fn value(row: &Row, at: usize, column_type: ColumnType) -> Result<Option<Value>, Failure> {
    Ok(match column_type {
        ColumnType::Text => match row.try_get::<_, Option<String>>(at)? {
            None => Some(Value::Null),
            Some(text) => Some(Value::Text(text)),
        },
        ColumnType::Decimal => match row.try_get::<_, Option<&str>>(at)? {
            None => Some(Value::Null),
            Some(key) => decimal_from_key(key).ok().map(Value::Decimal),
        },
        ColumnType::Integer => match row.try_get::<_, Option<i64>>(at)? {
            None => Some(Value::Null),
            Some(number) => Some(Value::Integer(number)),
        },
        ColumnType::Boolean => match row.try_get::<_, Option<bool>>(at)? {
            None => Some(Value::Null),
            Some(truth) => Some(Value::Boolean(truth)),
        },
        ColumnType::Timestamp => match row.try_get::<_, Option<i64>>(at)? {
            None => Some(Value::Null),
            Some(number) => stored_time(number).map(Value::Timestamp),
        },
    })
}

/// The type of a column, as the table is made with it.
pub(crate) fn column_type(column: &Column) -> &'static str {
    match column.column_type {
        ColumnType::Text | ColumnType::Decimal => "text COLLATE \"C\"",
        ColumnType::Integer | ColumnType::Timestamp => "bigint",
        ColumnType::Boolean => "boolean",
    }
}

/// A column, as a table is made with it.
pub(crate) fn column_definition(column: &Column) -> String {
    let null = if column.nullable { "" } else { " NOT NULL" };
    format!("{} {}{null}", sql_name(&column.name), column_type(column))
}
