//! Values as bytes whose order is the order of the values.
//!
//! The first byte says the type, and what follows is: of a text the text, of an integer and a time sixteen hexadecimal
//! digits with the sign turned over, of a decimal its [`decimal_key`], of a boolean a digit. None of them holds a NUL. So
//! a member of an index, `value NUL key`, lies in the order of values, and of equal values in the order of keys.

use underlay_core::adapter::stored_time;
use underlay_core::{ColumnType, Value, decimal_from_key, decimal_key};

/// An empty value.
pub(crate) const EMPTY: &[u8] = b"-";

/// What the values of a column begin with.
fn letter(column_type: ColumnType) -> u8 {
    match column_type {
        ColumnType::Text => b't',
        ColumnType::Integer => b'i',
        ColumnType::Decimal => b'd',
        ColumnType::Boolean => b'b',
        ColumnType::Timestamp => b'm',
    }
}

/// A value as bytes.
pub(crate) fn encoded(value: &Value) -> Vec<u8> {
    let Some(column_type) = value.column_type() else { return EMPTY.to_vec() };
    let mut bytes = vec![letter(column_type)];
    match value {
        Value::Null => {}
        Value::Text(text) => bytes.extend_from_slice(text.as_bytes()),
        Value::Integer(number) => bytes.extend_from_slice(digits(*number).as_bytes()),
        Value::Decimal(number) => bytes.extend_from_slice(decimal_key(*number).as_bytes()),
        Value::Boolean(truth) => bytes.push(if *truth { b'1' } else { b'0' }),
        Value::Timestamp(time) => bytes.extend_from_slice(digits(time.as_microsecond()).as_bytes()),
    }
    bytes
}

/// The value of a column from its bytes; none where they are none of its type.
pub(crate) fn decoded(column_type: ColumnType, bytes: &[u8]) -> Option<Value> {
    if bytes == EMPTY {
        return Some(Value::Null);
    }
    let rest = bytes.strip_prefix(&[letter(column_type)])?;
    let text = std::str::from_utf8(rest).ok()?;
    match column_type {
        ColumnType::Text => Some(Value::Text(text.to_owned())),
        ColumnType::Integer => number(text).map(Value::Integer),
        ColumnType::Decimal => decimal_from_key(text).ok().map(Value::Decimal),
        ColumnType::Boolean => match text {
            "0" => Some(Value::Boolean(false)),
            "1" => Some(Value::Boolean(true)),
            _ => None,
        },
        ColumnType::Timestamp => number(text).and_then(stored_time).map(Value::Timestamp),
    }
}

fn digits(number: i64) -> String {
    format!("{:016x}", number.cast_unsigned() ^ (1 << 63))
}

fn number(digits: &str) -> Option<i64> {
    let lower = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let turned = u64::from_str_radix(digits, 16).ok().filter(|_| lower && digits.len() == 16)?;
    Some((turned ^ (1 << 63)).cast_signed())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use underlay_core::{Decimal, Timestamp};

    use super::*;

    fn any_value() -> impl Strategy<Value = (Value, Value)> {
        let text = || "[\u{1}-\u{7f}é👩]{0,6}".prop_map(Value::Text);
        let decimal = || {
            (-(1i128 << 95)..(1i128 << 95), 0u32..=28, 0u32..=90)
                .prop_map(|(mantissa, scale, shift)| Decimal::from_i128_with_scale(mantissa >> shift, scale))
                .prop_map(Value::Decimal)
        };
        let time = || {
            (Timestamp::MIN.as_microsecond()..=Timestamp::MAX.as_microsecond())
                .prop_filter_map("a time", |micro| stored_time(micro).map(Value::Timestamp))
        };
        let integer = || any::<i64>().prop_map(Value::Integer);
        let truth = || any::<bool>().prop_map(Value::Boolean);
        prop_oneof![
            (text(), text()),
            (decimal(), decimal()),
            (time(), time()),
            (integer(), integer()),
            (truth(), truth())
        ]
    }

    proptest! {
        #[test]
        fn bytes_lie_as_values_do((a, b) in any_value()) {
            prop_assert_eq!(encoded(&a).cmp(&encoded(&b)), a.cmp(&b));
        }

        #[test]
        fn a_value_is_read_back((value, _) in any_value()) {
            let column_type = value.column_type().unwrap();
            prop_assert_eq!(decoded(column_type, &encoded(&value)), Some(value));
        }

        #[test]
        fn any_bytes_are_a_value_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            for column_type in [ColumnType::Text, ColumnType::Integer, ColumnType::Decimal, ColumnType::Timestamp] {
                decoded(column_type, &bytes);
            }
        }
    }

    #[test]
    fn what_is_of_another_type_is_no_value() {
        for (column_type, bytes) in [
            (ColumnType::Text, "i8000000000000000"),
            (ColumnType::Integer, "t1"),
            (ColumnType::Integer, "i+00000000000001"),
            (ColumnType::Integer, "i800000000000000A"),
            (ColumnType::Boolean, "btrue"),
            (ColumnType::Timestamp, "mffffffffffffffff"),
            (ColumnType::Decimal, "d"),
            (ColumnType::Text, ""),
        ] {
            assert_eq!(decoded(column_type, bytes.as_bytes()), None, "{bytes}");
        }
        assert_eq!(decoded(ColumnType::Text, b"t-"), Some(Value::Text("-".to_owned())));
    }
}
