//! Transfers: money from one account to another, in one commit.

use jiff::tz::TimeZone;
use underlay::{Context, Decimal, Error, Operation, Reads, Streams};

use crate::account::{Account, AccountEvent, AccountId, CannotChange, Shortfall};
use crate::money::{AMOUNT_PATTERN, Commodity, Money};

/// Moves money from one open account to another.
#[underlay::value]
#[derive(Eq)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Where the money is taken.
    pub from: AccountId,
    /// Where it goes.
    pub to: AccountId,
    /// How much; more than zero.
    #[serde(with = "crate::money::exact")]
    #[schemars(with = "String", regex(pattern = AMOUNT_PATTERN))]
    pub amount: Decimal,
    /// Of what.
    pub commodity: Commodity,
}

/// What a transfer is refused with.
#[underlay::refusal]
#[derive(Eq)]
pub enum TransferRefusal {
    /// It goes nowhere.
    #[refusal(code = "same-account", message = "the money would go from {account} to itself")]
    SameAccount {
        /// The account.
        account: AccountId,
    },
    /// One of the accounts was never opened.
    #[refusal(code = "not-open", message = "account {account} is not open")]
    NotOpen {
        /// The account.
        account: AccountId,
    },
    /// The amount is zero or less.
    #[refusal(code = "not-positive", message = "the amount is {amount}; it must be more than zero")]
    NotPositive {
        /// The amount.
        amount: Decimal,
    },
    /// There is not enough above the floor.
    #[refusal(
        code = "overdrawn",
        message = "{available} {commodity} is available in {account}; taking {requested}, it would fall below its floor of {floor}"
    )]
    Overdrawn {
        /// The account.
        account: AccountId,
        /// Of what.
        commodity: Commodity,
        /// What can be taken: the balance less the floor.
        available: Decimal,
        /// What was to be taken.
        requested: Decimal,
        /// The floor.
        floor: Decimal,
    },
    /// A balance would have more digits than can be kept.
    #[refusal(
        code = "overflow",
        message = "the balance of {commodity} in {account} would have more digits than can be kept without rounding"
    )]
    Overflow {
        /// The account.
        account: AccountId,
        /// Of what.
        commodity: Commodity,
    },
}

impl Operation for Transfer {
    const NAME: &'static str = "transfer";
    type Refusal = TransferRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        reads.stream::<Account>(&self.from)?;
        reads.stream::<Account>(&self.to)
    }

    fn decide(&self, streams: &mut Streams, context: &Context) -> Result<(), TransferRefusal> {
        if self.from == self.to {
            return Err(TransferRefusal::SameAccount { account: self.from.clone() });
        }
        if self.amount <= Decimal::ZERO {
            return Err(TransferRefusal::NotPositive { amount: self.amount });
        }
        let changes = [(&self.from, -self.amount), (&self.to, self.amount)];
        for (account, change) in changes {
            self.check(account, streams.state::<Account>(account), change)?;
        }
        for (account, change) in changes {
            let posted = AccountEvent::Posted {
                entry: context.command_id.0,
                date: context.now.to_zoned(TimeZone::UTC).date(),
                description: format!("Transfer from {} to {}", self.from, self.to),
                money: Money { amount: change, commodity: self.commodity.clone() },
            };
            streams.append::<Account>(account, posted);
        }
        Ok(())
    }
}

impl Transfer {
    fn check(&self, id: &AccountId, account: &Account, change: Decimal) -> Result<(), TransferRefusal> {
        if !account.is_open() {
            return Err(TransferRefusal::NotOpen { account: id.clone() });
        }
        account.check_change(&self.commodity, change).map_err(|reason| {
            let (account, commodity) = (id.clone(), self.commodity.clone());
            match reason {
                CannotChange::Short(Shortfall { available, requested, floor }) => {
                    TransferRefusal::Overdrawn { account, commodity, available, requested, floor }
                }
                CannotChange::Overflow => TransferRefusal::Overflow { account, commodity },
            }
        })
    }
}
