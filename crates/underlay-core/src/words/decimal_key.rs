//! Decimals as text whose byte order is their order, so that an index can sort them and a policy
//! on rows cannot keep the index from being used.
//!
//! Zero is `1`. A positive number is `2`, two digits of exponent, the digits; its value is
//! `0.digits x 10^(exponent - 40)`. A negative number is `0` and the same with every digit taken
//! from 9, then `~`, which sorts after any digit. Trailing zeros are dropped: 1.50 and 1.5 are equal.

use rust_decimal::Decimal;

use crate::words::Error;

const EXPONENT_BIAS: i32 = 40;

/// The order-preserving key of a number.
#[must_use]
pub fn decimal_key(number: Decimal) -> String {
    let number = number.normalize();
    if number.is_zero() {
        return "1".to_owned();
    }
    let digits = number.mantissa().unsigned_abs().to_string();
    // A Decimal has at most 29 digits and a scale of at most 28, so the exponent fits two digits.
    let exponent = digits.len() as i32 - number.scale() as i32 + EXPONENT_BIAS;
    let digits = digits.trim_end_matches('0');
    if number.is_sign_positive() {
        format!("2{exponent:02}{digits}")
    } else {
        let mut key = format!("0{:02}", 99 - exponent);
        key.extend(digits.bytes().map(|digit| char::from(b'9' - (digit - b'0'))));
        key.push('~');
        key
    }
}

/// The number a key stands for.
///
/// # Errors
/// [`Error::Damaged`] where the text is no key.
pub fn decimal_from_key(key: &str) -> Result<Decimal, Error> {
    parse(key).ok_or_else(|| Error::Damaged(format!("{key:?} is not the key of a decimal")))
}

fn parse(key: &str) -> Option<Decimal> {
    if key == "1" {
        return Some(Decimal::ZERO);
    }
    let (negative, body) = match key.strip_prefix('2') {
        Some(body) => (false, body),
        None => (true, key.strip_prefix('0')?.strip_suffix('~')?),
    };
    if body.len() < 3 || !body.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = if negative {
        body.bytes().map(|digit| char::from(b'9' - digit + b'0')).collect()
    } else {
        body.to_owned()
    };
    let (exponent, digits) = digits.split_at(2);
    let exponent = exponent.parse::<i32>().ok()? - EXPONENT_BIAS;
    let mantissa = digits.parse::<i128>().ok()?;
    let scale = i32::try_from(digits.len()).ok()? - exponent;
    let (mantissa, scale) = if scale < 0 {
        (mantissa.checked_mul(10i128.checked_pow(scale.unsigned_abs())?)?, 0)
    } else {
        (mantissa, scale.unsigned_abs())
    };
    Decimal::try_from_i128_with_scale(if negative { -mantissa } else { mantissa }, scale).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_decimal() -> impl Strategy<Value = Decimal> {
        (-(1i128 << 95)..(1i128 << 95), 0u32..=28, 0u32..=90)
            .prop_map(|(mantissa, scale, shift)| Decimal::from_i128_with_scale(mantissa >> shift, scale))
    }

    proptest! {
        #[test]
        fn keys_sort_as_numbers_do(a in any_decimal(), b in any_decimal()) {
            prop_assert_eq!(decimal_key(a).cmp(&decimal_key(b)), a.cmp(&b));
        }

        #[test]
        fn a_key_gives_its_number_back(number in any_decimal()) {
            prop_assert_eq!(decimal_from_key(&decimal_key(number)).unwrap(), number);
        }

        #[test]
        fn any_text_is_a_number_or_an_error(text in "[0-9~]{0,40}|.{0,12}") {
            let _: Result<Decimal, Error> = decimal_from_key(&text);
        }
    }

    #[test]
    fn the_extremes_have_keys() {
        for number in [Decimal::MAX, Decimal::MIN, Decimal::ZERO, Decimal::new(1, 28), Decimal::new(-1, 28)] {
            assert_eq!(decimal_from_key(&decimal_key(number)).unwrap(), number);
        }
    }
}
