//! Accounts: opened, deposited to, withdrawn from and posted to. An account may have a floor, which
//! no balance falls below.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use underlay::words::limits::STREAM_ID_BYTES_MAX;
use underlay::{Aggregate, Context, Decimal, Decision};
use uuid::Uuid;

use crate::money::{AMOUNT_PATTERN, Commodity, Money, exact_sum};
use crate::payment::PaymentId;

/// Characters in the name of an account.
pub const ACCOUNT_CHARS_MAX: usize = 200;

/// The name of an account, such as `Assets:US:BofA:Checking`.
///
/// 1 to [`ACCOUNT_CHARS_MAX`] characters, in at most [`STREAM_ID_BYTES_MAX`] bytes, none of them a
/// control character.
#[underlay::value]
#[derive(Eq, Hash, PartialOrd, Ord)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

/// A text is not the name of an account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "account {0:?} is not 1 to {ACCOUNT_CHARS_MAX} characters, at most {STREAM_ID_BYTES_MAX} bytes, without control characters"
)]
pub struct InvalidAccountId(pub String);

impl AccountId {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`InvalidAccountId`].
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidAccountId> {
        let text = text.into();
        let well_formed = (1..=ACCOUNT_CHARS_MAX).contains(&text.chars().count())
            && text.len() <= STREAM_ID_BYTES_MAX
            && !text.chars().any(char::is_control);
        if well_formed { Ok(Self(text)) } else { Err(InvalidAccountId(text)) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountId {
    type Err = InvalidAccountId;
    fn from_str(text: &str) -> Result<Self, InvalidAccountId> {
        Self::new(text)
    }
}

impl TryFrom<String> for AccountId {
    type Error = InvalidAccountId;
    fn try_from(text: String) -> Result<Self, InvalidAccountId> {
        Self::new(text)
    }
}

impl From<AccountId> for String {
    fn from(account: AccountId) -> Self {
        account.0
    }
}

/// What can happen to an account.
#[underlay::event]
#[derive(Eq)]
pub enum AccountEvent {
    /// It exists from now on.
    #[event(name = "account-opened", version = 1)]
    Opened {
        /// What no balance falls below, in any commodity; none for an account without a floor.
        floor: Option<Decimal>,
    },
    /// Money came in.
    #[event(name = "account-deposited", version = 1)]
    Deposited {
        /// How much; more than zero.
        money: Money,
    },
    /// Money went out.
    #[event(name = "account-withdrawn", version = 1)]
    Withdrawn {
        /// How much; more than zero.
        money: Money,
    },
    /// A transfer or a journal entry changed it, and other accounts in the same commit.
    #[event(name = "account-posted", version = 1)]
    Posted {
        /// The command that made the entry: the same for every account it changed.
        entry: Uuid,
        /// The day of the entry.
        date: Date,
        /// What the entry is for.
        description: String,
        /// The change: less than zero where money went out.
        money: Money,
    },
    /// A statement was drawn up.
    #[event(name = "account-stated", version = 1)]
    Stated {
        /// Its day.
        date: Date,
        /// Every balance at that moment. What is set aside is no part of one.
        balances: Vec<Money>,
    },
    /// Money was set aside for a payment, and is not there for anything else.
    #[event(name = "account-reserved", version = 1)]
    Reserved {
        /// The payment.
        payment: PaymentId,
        /// How much; more than zero.
        money: Money,
    },
    /// What was set aside has gone to whoever was paid.
    #[event(name = "account-settled", version = 1)]
    Settled {
        /// The payment.
        payment: PaymentId,
        /// How much.
        money: Money,
    },
    /// What was set aside is there again.
    #[event(name = "account-released", version = 1)]
    Released {
        /// The payment.
        payment: PaymentId,
        /// How much.
        money: Money,
    },
}

impl AccountEvent {
    /// The change of a balance that the event stands for. What is set aside is no part of the balance.
    #[must_use]
    pub fn change(&self) -> Option<(&Commodity, Decimal)> {
        match self {
            Self::Opened { .. } | Self::Stated { .. } | Self::Settled { .. } => None,
            Self::Deposited { money } | Self::Posted { money, .. } | Self::Released { money, .. } => {
                Some((&money.commodity, money.amount))
            }
            Self::Withdrawn { money } | Self::Reserved { money, .. } => {
                Some((&money.commodity, -money.amount))
            }
        }
    }
}

/// What can be asked of an account.
#[underlay::command]
#[derive(Eq)]
pub enum AccountCommand {
    /// Opens it.
    #[command(name = "open")]
    Open {
        /// What no balance may fall below. Left out it is 0, so that nothing can be overdrawn;
        /// `null` is no floor.
        #[serde(default = "zero_floor")]
        floor: Option<Decimal>,
    },
    /// Brings money in.
    #[command(name = "deposit")]
    Deposit {
        /// How much; more than zero.
        #[serde(with = "crate::money::exact")]
        #[schemars(with = "String", regex(pattern = AMOUNT_PATTERN))]
        amount: Decimal,
        /// Of what.
        commodity: Commodity,
    },
    /// Takes money out.
    #[command(name = "withdraw")]
    Withdraw {
        /// How much; more than zero.
        #[serde(with = "crate::money::exact")]
        #[schemars(with = "String", regex(pattern = AMOUNT_PATTERN))]
        amount: Decimal,
        /// Of what.
        commodity: Commodity,
    },
    /// Draws up a statement: a schedule gives it for the first of each month.
    #[command(name = "draw-statement")]
    DrawStatement {
        /// The time zone of its day, which is that of the schedule: at midnight in Berlin it is the day before in UTC.
        #[serde(default = "utc")]
        zone: String,
    },
    /// Sets money aside for a payment.
    #[command(name = "reserve", roles("payments"))]
    Reserve {
        /// The payment.
        payment: PaymentId,
        /// How much; more than zero.
        #[serde(with = "crate::money::exact")]
        #[schemars(with = "String", regex(pattern = AMOUNT_PATTERN))]
        amount: Decimal,
        /// Of what.
        commodity: Commodity,
    },
    /// Lets go what was set aside: the payment was made.
    #[command(name = "settle", roles("payments"))]
    Settle {
        /// The payment.
        payment: PaymentId,
    },
    /// Takes back what was set aside: the payment was not made.
    #[command(name = "release", roles("payments"))]
    Release {
        /// The payment.
        payment: PaymentId,
    },
}

fn utc() -> String {
    "UTC".to_owned()
}

fn zero_floor() -> Option<Decimal> {
    Some(Decimal::ZERO)
}

/// What an account says no with.
#[underlay::refusal]
#[derive(Eq)]
pub enum AccountRefusal {
    /// It was opened before.
    #[refusal(code = "already-open", message = "the account is already open")]
    AlreadyOpen,
    /// It was never opened.
    #[refusal(code = "not-open", message = "the account is not open")]
    NotOpen,
    /// There is no such time zone.
    #[refusal(code = "no-zone", message = "there is no time zone {zone:?}; one is Europe/Berlin")]
    NoZone {
        /// The zone.
        zone: String,
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
        message = "{available} {commodity} is available; taking {requested}, the account would fall below its floor of {floor}"
    )]
    Overdrawn {
        /// Of what.
        commodity: Commodity,
        /// What can be taken: the balance less the floor.
        available: Decimal,
        /// What was to be taken.
        requested: Decimal,
        /// The floor.
        floor: Decimal,
    },
    /// Money is set aside for the payment already.
    #[refusal(code = "already-reserved", message = "money is set aside for payment {payment} already")]
    AlreadyReserved {
        /// The payment.
        payment: PaymentId,
    },
    /// Nothing is set aside for the payment.
    #[refusal(code = "not-reserved", message = "nothing is set aside for payment {payment}")]
    NotReserved {
        /// The payment.
        payment: PaymentId,
    },
    /// The balance would have more digits than can be kept.
    #[refusal(
        code = "overflow",
        message = "the balance of {commodity} would have more digits than can be kept without rounding"
    )]
    Overflow {
        /// Of what.
        commodity: Commodity,
    },
}

/// Why a balance cannot change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CannotChange {
    /// It would fall below the account's floor.
    Short(Shortfall),
    /// It would have more digits than can be kept.
    Overflow,
}

/// What is missing above the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortfall {
    pub(crate) available: Decimal,
    pub(crate) requested: Decimal,
    pub(crate) floor: Decimal,
}

/// An account: whether it is open, its floor, a balance for each commodity, and what is set aside.
#[underlay::snapshot(every = 200)]
#[derive(Default, Eq)]
pub struct Account {
    open: bool,
    floor: Option<Decimal>,
    balances: BTreeMap<Commodity, Decimal>,
    #[serde(default)]
    reserved: BTreeMap<PaymentId, Money>,
}

impl Account {
    /// Whether it was opened.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The balance in a commodity.
    #[must_use]
    pub fn balance(&self, commodity: &Commodity) -> Decimal {
        self.balances.get(commodity).copied().unwrap_or_default()
    }

    fn reserved(&self, payment: &PaymentId) -> Result<Money, AccountRefusal> {
        let reserved = self.reserved.get(payment).cloned();
        reserved.ok_or_else(|| AccountRefusal::NotReserved { payment: payment.clone() })
    }

    /// Whether the balance in a commodity may change by an amount.
    pub(crate) fn check_change(&self, commodity: &Commodity, amount: Decimal) -> Result<(), CannotChange> {
        let before = self.balance(commodity);
        let after = exact_sum(before, amount).ok_or(CannotChange::Overflow)?;
        self.check_floor(before, after).map_err(CannotChange::Short)
    }

    /// Whether a balance may go from one amount to another. One that rises may, also below the floor.
    pub(crate) fn check_floor(&self, before: Decimal, after: Decimal) -> Result<(), Shortfall> {
        match self.floor {
            Some(floor) if after < floor && after < before => Err(Shortfall {
                available: before.saturating_sub(floor),
                requested: before.saturating_sub(after),
                floor,
            }),
            _ => Ok(()),
        }
    }

    fn check_asked(
        &self,
        commodity: &Commodity,
        amount: Decimal,
        change: Decimal,
    ) -> Result<(), AccountRefusal> {
        if !self.open {
            return Err(AccountRefusal::NotOpen);
        }
        if amount <= Decimal::ZERO {
            return Err(AccountRefusal::NotPositive { amount });
        }
        self.check_change(commodity, change).map_err(|reason| {
            let commodity = commodity.clone();
            match reason {
                CannotChange::Short(Shortfall { available, requested, floor }) => {
                    AccountRefusal::Overdrawn { commodity, available, requested, floor }
                }
                CannotChange::Overflow => AccountRefusal::Overflow { commodity },
            }
        })
    }
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = AccountId;
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Refusal = AccountRefusal;

    fn decide(
        &self,
        command: AccountCommand,
        context: &Context,
    ) -> Result<Decision<AccountEvent>, AccountRefusal> {
        let event = match command {
            AccountCommand::Open { .. } if self.open => return Err(AccountRefusal::AlreadyOpen),
            AccountCommand::Open { floor } => AccountEvent::Opened { floor },
            AccountCommand::Deposit { amount, commodity } => {
                self.check_asked(&commodity, amount, amount)?;
                AccountEvent::Deposited { money: Money { amount, commodity } }
            }
            AccountCommand::Withdraw { amount, commodity } => {
                self.check_asked(&commodity, amount, -amount)?;
                AccountEvent::Withdrawn { money: Money { amount, commodity } }
            }
            AccountCommand::DrawStatement { .. } if !self.open => return Err(AccountRefusal::NotOpen),
            AccountCommand::DrawStatement { zone } => {
                let Ok(there) = TimeZone::get(&zone) else { return Err(AccountRefusal::NoZone { zone }) };
                let date = context.now.to_zoned(there).date();
                let balance = |(commodity, amount): (&Commodity, &Decimal)| Money {
                    amount: *amount,
                    commodity: commodity.clone(),
                };
                AccountEvent::Stated { date, balances: self.balances.iter().map(balance).collect() }
            }
            AccountCommand::Reserve { payment, .. } if self.reserved.contains_key(&payment) => {
                return Err(AccountRefusal::AlreadyReserved { payment });
            }
            AccountCommand::Reserve { payment, amount, commodity } => {
                self.check_asked(&commodity, amount, -amount)?;
                AccountEvent::Reserved { payment, money: Money { amount, commodity } }
            }
            AccountCommand::Settle { payment } => {
                let money = self.reserved(&payment)?;
                AccountEvent::Settled { payment, money }
            }
            AccountCommand::Release { payment } => {
                let money = self.reserved(&payment)?;
                AccountEvent::Released { payment, money }
            }
        };
        Ok(event.into())
    }

    fn evolve(&mut self, event: &AccountEvent) {
        if let AccountEvent::Opened { floor } = event {
            self.open = true;
            self.floor = *floor;
        }
        match event {
            AccountEvent::Reserved { payment, money } => {
                self.reserved.insert(payment.clone(), money.clone());
            }
            AccountEvent::Settled { payment, .. } | AccountEvent::Released { payment, .. } => {
                self.reserved.remove(payment);
            }
            _ => {}
        }
        if let Some((commodity, change)) = event.change() {
            let balance = self.balances.entry(commodity.clone()).or_default();
            // Every decision checks that the sum fits, so it never saturates.
            *balance = balance.saturating_add(change);
        }
    }
}
