//! The view of balances: one row for each account and commodity.

use std::fmt;

use underlay::{Decimal, Keys, Recorded, View};

use crate::account::AccountEvent;
use crate::money::Commodity;

/// The balances of all accounts. A balance that came back to zero stays, as zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Balances;

/// A balance.
#[underlay::row]
pub struct Balance {
    /// The account.
    #[column(indexed)]
    pub account: String,
    /// Of what.
    #[column(indexed)]
    pub commodity: String,
    /// How much.
    #[column(indexed)]
    pub balance: Decimal,
    /// How many events made it.
    pub postings: i64,
}

/// What tells balances apart; written `account@commodity`. A commodity has no `@`, so the last one
/// separates the two.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BalanceKey {
    /// The account.
    pub account: String,
    /// Of what.
    pub commodity: Commodity,
}

impl fmt::Display for BalanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.account, self.commodity.as_str())
    }
}

impl View for Balances {
    const NAME: &'static str = "balances";
    type Event = AccountEvent;
    type Key = BalanceKey;
    type Row = Balance;

    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<BalanceKey>) {
        if let Some((commodity, _)) = event.event.change() {
            keys.push(BalanceKey { account: event.stream().id().to_owned(), commodity: commodity.clone() });
        }
    }

    fn fold(
        &self,
        key: &BalanceKey,
        row: Option<Balance>,
        event: &Recorded<AccountEvent>,
    ) -> Option<Balance> {
        let Some((_, change)) = event.event.change() else { return row };
        let row = row.unwrap_or_else(|| Balance {
            account: key.account.clone(),
            commodity: key.commodity.as_str().to_owned(),
            balance: Decimal::ZERO,
            postings: 0,
        });
        // The account checked that the sum fits, so it never saturates.
        Some(Balance { balance: row.balance.saturating_add(change), postings: row.postings + 1, ..row })
    }
}
