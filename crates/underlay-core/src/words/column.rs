use serde::{Deserialize, Serialize};

use crate::words::{Decimal, Error, Timestamp};

/// The type of a column in a view or an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// UTF-8 text, ordered by its bytes.
    Text,
    /// A signed 64-bit integer.
    Integer,
    /// An exact decimal, stored as its [`decimal_key`](crate::words::decimal_key).
    Decimal,
    /// True or false.
    Boolean,
    /// A moment in UTC, to the microsecond.
    Timestamp,
}

/// A column in a view or an entity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    /// Its name: `a-z 0-9 _`, starting with a letter.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
    /// Whether a row may leave it empty.
    pub nullable: bool,
    /// Whether rows can be filtered and sorted by it. It costs an index; a nullable column has none.
    pub indexed: bool,
}

/// A value in a row. As JSON: a string for text, decimals and timestamps, so that nothing is rounded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Empty.
    Null,
    /// [`ColumnType::Text`].
    Text(String),
    /// [`ColumnType::Integer`].
    Integer(i64),
    /// [`ColumnType::Decimal`].
    Decimal(Decimal),
    /// [`ColumnType::Boolean`].
    Boolean(bool),
    /// [`ColumnType::Timestamp`].
    Timestamp(Timestamp),
}

impl Value {
    /// The type, or `None` of [`Value::Null`].
    #[must_use]
    pub fn column_type(&self) -> Option<ColumnType> {
        match self {
            Self::Null => None,
            Self::Text(_) => Some(ColumnType::Text),
            Self::Integer(_) => Some(ColumnType::Integer),
            Self::Decimal(_) => Some(ColumnType::Decimal),
            Self::Boolean(_) => Some(ColumnType::Boolean),
            Self::Timestamp(_) => Some(ColumnType::Timestamp),
        }
    }

    /// Reads a value of a type from text, as a query string gives it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with an example of what would be right.
    pub fn parse(column_type: ColumnType, text: &str) -> Result<Self, Error> {
        let parsed = match column_type {
            ColumnType::Text => Some(Self::Text(text.to_owned())),
            ColumnType::Integer => text.parse().ok().map(Self::Integer),
            ColumnType::Decimal => text.parse().ok().map(Self::Decimal),
            ColumnType::Boolean => text.parse().ok().map(Self::Boolean),
            ColumnType::Timestamp => text.parse().ok().map(Self::Timestamp),
        };
        parsed.ok_or_else(|| not_of(column_type, text))
    }
}

impl Value {
    /// Reads a value of a type from JSON, as [`Value`] is written there: text, decimals and times as strings.
    ///
    /// # Errors
    /// As [`Value::parse`].
    pub fn from_json(column_type: ColumnType, json: &serde_json::Value) -> Result<Self, Error> {
        match (column_type, json) {
            (_, serde_json::Value::Null) => Ok(Self::Null),
            (ColumnType::Boolean, serde_json::Value::Bool(truth)) => Ok(Self::Boolean(*truth)),
            (
                ColumnType::Text | ColumnType::Decimal | ColumnType::Timestamp,
                serde_json::Value::String(text),
            ) => Self::parse(column_type, text),
            (ColumnType::Integer, json) if json.is_i64() => {
                Ok(Self::Integer(json.as_i64().unwrap_or_default()))
            }
            (_, other) => Err(not_of(column_type, &other.to_string())),
        }
    }
}

fn not_of(column_type: ColumnType, text: &str) -> Error {
    let right = match column_type {
        ColumnType::Text => "a text",
        ColumnType::Integer => "an integer such as 42",
        ColumnType::Decimal => "a decimal such as -12.50",
        ColumnType::Boolean => "true or false",
        ColumnType::Timestamp => "a time such as 2026-01-31T12:00:00Z",
    };
    Error::invalid(format!("{text:?} is not {right}"))
}

/// A Rust type that can be a column.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a column of a view or an entity",
    label = "columns are String, i64, u32, bool, Decimal, Timestamp, or an Option of these; implement `ColumnValue` for a type of your own"
)]
pub trait ColumnValue: Sized {
    /// Its column type.
    const COLUMN_TYPE: ColumnType;
    /// Whether it can be [`Value::Null`].
    const NULLABLE: bool = false;

    /// As a value.
    fn into_value(self) -> Value;

    /// From a value; `None` where it does not fit.
    fn from_value(value: Value) -> Option<Self>;
}

macro_rules! column_value {
    ($rust:ty, $variant:ident) => {
        impl ColumnValue for $rust {
            const COLUMN_TYPE: ColumnType = ColumnType::$variant;
            fn into_value(self) -> Value {
                Value::$variant(self)
            }
            fn from_value(value: Value) -> Option<Self> {
                match value {
                    Value::$variant(value) => Some(value),
                    _ => None,
                }
            }
        }
    };
}

column_value!(String, Text);
column_value!(i64, Integer);
column_value!(Decimal, Decimal);
column_value!(bool, Boolean);
column_value!(Timestamp, Timestamp);

impl ColumnValue for u32 {
    const COLUMN_TYPE: ColumnType = ColumnType::Integer;
    fn into_value(self) -> Value {
        Value::Integer(self.into())
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Integer(value) => value.try_into().ok(),
            _ => None,
        }
    }
}

impl<T: ColumnValue> ColumnValue for Option<T> {
    const COLUMN_TYPE: ColumnType = T::COLUMN_TYPE;
    const NULLABLE: bool = true;
    fn into_value(self) -> Value {
        self.map_or(Value::Null, T::into_value)
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}
