//! Exchange rates: reference data, kept as it is. Nobody asks how a rate came to be, so there are no events.

use underlay::{Decimal, EntityId, EntityVersion, Error, Repository};

use crate::money::{Commodity, Money, exact_sum};

/// What separates the two in the id of a rate. No commodity has it.
const BETWEEN: char = '@';

// region: id
/// What is exchanged for what; written `EUR@USD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What is given.
    pub base: Commodity,
    /// What is got.
    pub quote: Commodity,
}

impl EntityId for Pair {
    fn to_key(&self) -> String {
        format!("{}{BETWEEN}{}", self.base.as_str(), self.quote.as_str())
    }

    fn from_key(key: &str) -> Option<Self> {
        let (base, quote) = key.split_once(BETWEEN)?;
        Some(Self { base: Commodity::new(base).ok()?, quote: Commodity::new(quote).ok()? })
    }
}
// endregion: id

/// What one unit of a commodity is worth in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Of what, and in what.
    pub pair: Pair,
    /// The version it was read at.
    pub version: EntityVersion,
    /// How much; more than zero.
    pub value: Decimal,
    /// Where it comes from.
    pub source: Option<String>,
}

// region: row
/// A rate as it is stored: with each side of the pair in a column of its own, to be found by.
#[underlay::entity(name = "rate", version = 1, of = Rate)]
pub struct RateRow {
    #[id]
    pair: Pair,
    #[version]
    version: EntityVersion,
    #[column(indexed)]
    base: String,
    #[column(indexed)]
    quote: String,
    #[column(indexed)]
    value: Decimal,
    source: Option<String>,
}

impl From<Rate> for RateRow {
    fn from(Rate { pair, version, value, source }: Rate) -> Self {
        let (base, quote) = (pair.base.clone().into(), pair.quote.clone().into());
        Self { pair, version, base, quote, value, source }
    }
}

impl TryFrom<RateRow> for Rate {
    type Error = InvalidRate;

    fn try_from(row: RateRow) -> Result<Self, InvalidRate> {
        let RateRow { pair, version, base, quote, value, source } = row;
        if pair.base.as_str() != base || pair.quote.as_str() != quote {
            return Err(InvalidRate::OtherPair { base, quote });
        }
        if value <= Decimal::ZERO {
            return Err(InvalidRate::NotPositive(value));
        }
        Ok(Self { pair, version, value, source })
    }
}
// endregion: row

/// What is stored is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRate {
    /// Its columns say something else than its id.
    #[error("base {base:?} and quote {quote:?} are not those of the id, which is BASE@QUOTE")]
    OtherPair {
        /// What it has as its base.
        base: String,
        /// What it has as its quote.
        quote: String,
    },
    /// It is zero or less.
    #[error("value {0} is not more than zero")]
    NotPositive(Decimal),
}

impl Rate {
    /// A rate that is not stored yet.
    #[must_use]
    pub fn new(base: Commodity, quote: Commodity, value: Decimal) -> Self {
        Self { pair: Pair { base, quote }, version: EntityVersion::NEW, value, source: None }
    }

    /// The amount of the quote for an amount of the base; none where it would have more digits than can be kept.
    #[must_use]
    pub fn convert(&self, amount: Decimal) -> Option<Decimal> {
        let (amount, value) = (amount.normalize(), self.value.normalize());
        let product = amount.checked_mul(value)?;
        // A product that does not fit is shortened by its last decimals.
        (product.scale() == amount.scale() + value.scale()).then_some(product)
    }
}

// region: query
/// What money of several commodities is worth in one of them; none where a rate is missing, or the sum has more digits
/// than can be kept.
///
/// # Errors
/// What the store says.
pub async fn worth(
    rates: &Repository<Rate>,
    money: &[Money],
    quote: &Commodity,
) -> Result<Option<Decimal>, Error> {
    let bases = money.iter().map(|money| money.commodity.as_str());
    let found = rates.find(RateRow::QUOTE.eq(quote.as_str()).and(RateRow::BASE.is_in(bases))).await?;
    let rate = |of: &Commodity| found.iter().find(|rate| rate.pair.base == *of);
    Ok(money.iter().try_fold(Decimal::ZERO, |sum, money| {
        let amount = match &money.commodity {
            same if same == quote => money.amount,
            other => rate(other)?.convert(money.amount)?,
        };
        exact_sum(sum, amount)
    }))
}
// endregion: query
