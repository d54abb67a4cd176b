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
    /// Whether it is a moment finer than stores keep one.
    pub(crate) fn is_below_microseconds(&self) -> bool {
        matches!(self, Self::Timestamp(time) if time.subsec_nanosecond() % 1_000 != 0)
    }

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
            ColumnType::Decimal => exact_decimal(text).map(Self::Decimal),
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

/// A number that is kept as it was written: with more digits than it can have it is none, and is not rounded.
fn exact_decimal(text: &str) -> Option<Decimal> {
    let Some((digits, _)) = text.split_once(['e', 'E']) else { return Decimal::from_str_exact(text).ok() };
    Decimal::from_str_exact(digits).and_then(|_| Decimal::from_scientific(text)).ok()
}

fn not_of(column_type: ColumnType, text: &str) -> Error {
    let right = match column_type {
        ColumnType::Text => "a text",
        ColumnType::Integer => "an integer such as 42",
        ColumnType::Decimal => "a decimal such as -12.50, of at most 28 digits",
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

impl ColumnValue for Timestamp {
    const COLUMN_TYPE: ColumnType = ColumnType::Timestamp;
    /// To the microsecond, as every store keeps it.
    fn into_value(self) -> Value {
        let whole = self.subsec_nanosecond() / 1_000 * 1_000;
        Value::Timestamp(Self::new(self.as_second(), whole).unwrap_or(self))
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Timestamp(value) => Some(value),
            _ => None,
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_kept_as_it_was_written_or_is_none() {
        let parse = |text: &str| Value::parse(ColumnType::Decimal, text);
        for (text, same) in
            [("-12.50", "-12.5"), ("1e3", "1000"), ("2.5E-3", "0.0025"), ("+7", "7"), (".5", "0.5")]
        {
            assert_eq!(parse(text).unwrap(), Value::Decimal(same.parse().unwrap()), "{text}");
        }
        for number in [Decimal::MAX, Decimal::MIN, Decimal::new(1, 28)] {
            assert_eq!(parse(&number.to_string()).unwrap(), Value::Decimal(number));
        }
        // Each of these would be rounded to a number that nobody gave.
        for text in [
            "0.00000000000000000000000000001",
            "1.00000000000000000000000000005",
            "79228162514264337593543950335.4",
            "2.5e-28",
            "1.00000000000000000000000000005e1",
        ] {
            let refused = parse(text).unwrap_err().to_string();
            assert!(refused.contains("28 digits"), "{text}: {refused}");
        }
    }

    #[test]
    fn a_time_of_the_code_is_kept_to_the_microsecond() {
        for (second, nanosecond, kept) in [(7, 1_999, 1_000), (-7, -1_999, -1_000), (0, 5_000, 5_000)] {
            let value = Timestamp::new(second, nanosecond).unwrap().into_value();
            assert_eq!(value, Value::Timestamp(Timestamp::new(second, kept).unwrap()));
            assert!(!value.is_below_microseconds());
        }
        assert!(Value::Timestamp(Timestamp::MAX).is_below_microseconds());
    }
}
