//! Money: an exact amount of a commodity. Never a float, never rounded.

use std::fmt;

use underlay::Decimal;

/// What an amount that is asked for looks like, for whoever writes a request; [`parse_amount`] reads it.
pub const AMOUNT_PATTERN: &str = r"^-?[0-9]+(\.[0-9]+)?$";
/// Characters in a commodity.
pub const COMMODITY_CHARS_MAX: usize = 32;

/// What an amount counts: a currency, a share, an hour of holiday.
///
/// Up to [`COMMODITY_CHARS_MAX`] characters, without control characters and `@`. It is empty for
/// amounts without a symbol, which journals have.
#[underlay::value]
#[derive(Default, Eq, Hash, PartialOrd, Ord)]
#[serde(try_from = "String", into = "String")]
pub struct Commodity(String);

/// A text is not a commodity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("commodity {0:?} is not up to {COMMODITY_CHARS_MAX} characters without '@' and control characters")]
pub struct InvalidCommodity(pub String);

impl Commodity {
    /// Checks and takes a commodity.
    ///
    /// # Errors
    /// [`InvalidCommodity`].
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidCommodity> {
        let text = text.into();
        let well_formed = text.chars().count() <= COMMODITY_CHARS_MAX
            && !text.chars().any(|character| character == '@' || character.is_control());
        if well_formed { Ok(Self(text)) } else { Err(InvalidCommodity(text)) }
    }

    /// The commodity as it is stored; its `Display` is for people.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Commodity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(no commodity)" } else { &self.0 })
    }
}

impl TryFrom<String> for Commodity {
    type Error = InvalidCommodity;
    fn try_from(text: String) -> Result<Self, InvalidCommodity> {
        Self::new(text)
    }
}

impl From<Commodity> for String {
    fn from(commodity: Commodity) -> Self {
        commodity.0
    }
}

/// An amount of a commodity, with the digits it was written with.
#[underlay::value]
#[derive(Eq)]
pub struct Money {
    /// How much; it may be negative.
    pub amount: Decimal,
    /// Of what.
    pub commodity: Commodity,
}

/// A text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmount {
    /// It is written in another way.
    #[error("{0:?} is not an amount such as -3089.61: digits, at most one '.', a '-' in front")]
    Malformed(String),
    /// It cannot be kept without rounding.
    #[error("{0:?} has more digits than can be kept without rounding: 28")]
    TooLong(String),
}

/// Reads an amount as hledger writes it: `-3089.61000`. Nothing is rounded, and nothing is guessed:
/// a comma, an exponent or a space is an error.
///
/// # Errors
/// [`InvalidAmount`].
pub fn parse_amount(text: &str) -> Result<Decimal, InvalidAmount> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return Err(InvalidAmount::Malformed(text.to_owned()));
    }
    Decimal::from_str_exact(text).map_err(|_| InvalidAmount::TooLong(text.to_owned()))
}

/// The sum, where it can be kept without rounding.
#[must_use]
pub fn exact_sum(a: Decimal, b: Decimal) -> Option<Decimal> {
    let sum = a.checked_add(b)?;
    // A sum that does not fit is shortened by its last decimals; zeros there are no loss.
    let scale_needed = a.normalize().scale().max(b.normalize().scale());
    (sum.scale() >= scale_needed).then_some(sum)
}

/// The serde form of an amount that is asked for: a string. It is read exactly, and written without
/// trailing zeros, so that a repeat with `10.0` for `10.00` is the same request.
pub mod exact {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use underlay::Decimal;

    /// Writes an amount by its value.
    ///
    /// # Errors
    /// What the serializer says.
    pub fn serialize<S: Serializer>(amount: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&amount.normalize())
    }

    /// Reads an amount without rounding.
    ///
    /// # Errors
    /// Where the text is not an amount; see [`parse_amount`](super::parse_amount).
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        super::parse_amount(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_keep_their_digits() {
        for text in ["-3089.61000", "0", "369", "0.05", "79228162514264337593543950335"] {
            assert_eq!(parse_amount(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_but_a_plain_number_is_no_amount() {
        for text in
            ["", "-", ".", "1.", ".5", "1,000.00", "-2001,00", "1e3", "+5", " 5", "5 ", "--5", "1.2.3", "٣"]
        {
            assert_eq!(parse_amount(text), Err(InvalidAmount::Malformed(text.to_owned())));
        }
    }

    #[test]
    fn an_amount_that_would_be_rounded_is_refused() {
        for text in ["79228162514264337593543950336", "0.00000000000000000000000000001"] {
            assert_eq!(parse_amount(text), Err(InvalidAmount::TooLong(text.to_owned())));
        }
    }

    #[test]
    fn a_sum_that_would_be_rounded_is_none() {
        let number = |text| parse_amount(text).unwrap();
        assert_eq!(exact_sum(Decimal::MAX, Decimal::ONE), None);
        assert_eq!(exact_sum(Decimal::MAX, number("0.1")), None, "the tenth would be lost");
        assert_eq!(exact_sum(Decimal::MAX, number("0.000")), Some(Decimal::MAX));
        assert_eq!(exact_sum(number("1.50"), number("2")), Some(number("3.50")));
    }

    #[test]
    fn a_commodity_is_short_plain_text() {
        for text in ["USD", "€", "my stuff", ""] {
            assert_eq!(Commodity::new(text).unwrap().as_str(), text);
        }
        for text in ["A@B", "A\nB", &"x".repeat(33)] {
            assert_eq!(Commodity::new(text), Err(InvalidCommodity(text.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn a_sum_taken_back_is_where_it_began(a: i64, b: i64, scale_a in 0u32..12, scale_b in 0u32..12) {
            let (a, b) = (Decimal::new(a, scale_a), Decimal::new(b, scale_b));
            if let Some(sum) = exact_sum(a, b) {
                prop_assert_eq!(exact_sum(sum, -b), Some(a));
            }
        }
    }
}
