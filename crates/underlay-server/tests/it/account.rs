//! A small domain: accounts, transfers between them, a view of the balances, and one that breaks.

use std::fmt;
use std::str::FromStr;

use underlay_core::{
    Aggregate, Context, Decimal, Decision, EntityVersion, Error, Keys, Operation, Reads, Recorded, Streams,
    Timestamp, View,
};
use underlay_derive::{command, entity, event, refusal, row, snapshot, value};
use underlay_runtime::Registry;

/// The deposit that [`Fragile`] cannot take.
pub const BREAKING: i64 = 666;
/// From here on a deposit is for a manager.
const LARGE: Decimal = Decimal::from_parts(5_000, 0, 0, false, 0);

#[value(crate = underlay_core)]
#[derive(Eq)]
#[serde(transparent)]
pub struct AccountId(String);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "bug" => panic!("a bug in the domain"),
            "nobody" => Err("nobody has no account".to_owned()),
            text => Ok(Self(text.to_owned())),
        }
    }
}

#[event(crate = underlay_core)]
pub enum AccountEvent {
    #[event(name = "deposited", version = 1)]
    Deposited { amount: Decimal },
    #[event(name = "withdrawn", version = 2, upcasts(same))]
    Withdrawn { amount: Decimal },
    #[event(name = "closed", version = 1)]
    Closed,
}

fn same(payload: serde_json::Value) -> Result<serde_json::Value, String> {
    Ok(payload)
}

#[command(crate = underlay_core)]
pub enum AccountCommand {
    #[command(name = "deposit")]
    Deposit { amount: Decimal },
    #[command(name = "withdraw")]
    Withdraw { amount: Decimal },
    #[command(name = "close", roles("teller", "manager"))]
    Close,
}

#[refusal(crate = underlay_core)]
pub enum AccountRefusal {
    #[refusal(code = "overdrawn", message = "{available} is there, {requested} were asked for")]
    Overdrawn { available: Decimal, requested: Decimal, status: String },
    #[refusal(code = "too-large", message = "{amount} is for a manager")]
    TooLarge { amount: Decimal },
}

#[snapshot(crate = underlay_core, every = 3)]
#[derive(Clone, Debug, Default)]
pub struct Account {
    balance: Decimal,
    closed: bool,
}

impl Account {
    fn withdraw(&self, amount: Decimal) -> Result<AccountEvent, AccountRefusal> {
        if amount > self.balance {
            let status = "short".to_owned();
            return Err(AccountRefusal::Overdrawn { available: self.balance, requested: amount, status });
        }
        Ok(AccountEvent::Withdrawn { amount })
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
        match command {
            AccountCommand::Deposit { amount } if amount >= LARGE && !context.has_role("manager") => {
                Err(AccountRefusal::TooLarge { amount })
            }
            AccountCommand::Deposit { amount } => Ok(AccountEvent::Deposited { amount }.into()),
            AccountCommand::Withdraw { amount } => self.withdraw(amount).map(Decision::from),
            AccountCommand::Close if self.closed => Ok(Decision::nothing()),
            AccountCommand::Close => Ok(AccountEvent::Closed.into()),
        }
    }

    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { amount } => self.balance += amount,
            AccountEvent::Withdrawn { amount } => self.balance -= amount,
            AccountEvent::Closed => self.closed = true,
        }
    }
}

#[value(crate = underlay_core)]
pub struct Transfer {
    from: AccountId,
    to: AccountId,
    amount: Decimal,
}

impl Operation for Transfer {
    const NAME: &'static str = "transfer";
    type Refusal = AccountRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        reads.stream::<Account>(&self.from)?;
        reads.stream::<Account>(&self.to)
    }

    fn decide(&self, streams: &mut Streams, _: &Context) -> Result<(), AccountRefusal> {
        let withdrawn = streams.state::<Account>(&self.from).withdraw(self.amount)?;
        streams.append::<Account>(&self.from, withdrawn);
        streams.append::<Account>(&self.to, AccountEvent::Deposited { amount: self.amount });
        Ok(())
    }
}

/// A withdrawal that is for managers.
#[value(crate = underlay_core)]
pub struct Charge {
    from: AccountId,
    amount: Decimal,
}

impl Operation for Charge {
    const NAME: &'static str = "charge";
    const ROLES: &'static [&'static str] = &["manager"];
    type Refusal = AccountRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        reads.stream::<Account>(&self.from)
    }

    fn decide(&self, streams: &mut Streams, _: &Context) -> Result<(), AccountRefusal> {
        let withdrawn = streams.state::<Account>(&self.from).withdraw(self.amount)?;
        streams.append::<Account>(&self.from, withdrawn);
        Ok(())
    }
}

/// A row with a column of every type, one of them named like a parameter.
#[row(crate = underlay_core)]
pub struct Balance {
    #[column(indexed)]
    pub account: String,
    #[column(indexed)]
    pub balance: Decimal,
    #[column(indexed)]
    pub count: i64,
    #[column(indexed)]
    pub open: bool,
    #[column(indexed)]
    pub changed_at: Timestamp,
    pub note: Option<String>,
}

pub struct Balances;

impl View for Balances {
    const NAME: &'static str = "balances";
    type Event = AccountEvent;
    type Key = String;
    type Row = Balance;

    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<String>) {
        keys.push(event.stream().id().to_owned());
    }

    fn fold(&self, key: &String, row: Option<Balance>, event: &Recorded<AccountEvent>) -> Option<Balance> {
        let mut row = row.unwrap_or(Balance {
            account: key.clone(),
            balance: Decimal::ZERO,
            count: 0,
            open: true,
            changed_at: event.recorded_at(),
            note: None,
        });
        row.count += 1;
        row.changed_at = event.recorded_at();
        match event.event {
            AccountEvent::Deposited { amount } => row.balance += amount,
            AccountEvent::Withdrawn { amount } => row.balance -= amount,
            AccountEvent::Closed => row.open = false,
        }
        Some(row)
    }
}

#[row(crate = underlay_core)]
pub struct Size {
    pub amount: Decimal,
}

/// A view that stops at a deposit of [`BREAKING`].
pub struct Fragile;

impl View for Fragile {
    const NAME: &'static str = "fragile";
    const ROLES: &'static [&'static str] = &["auditor"];
    type Event = AccountEvent;
    type Key = String;
    type Row = Size;

    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<String>) {
        keys.push(event.stream().id().to_owned());
    }

    fn fold(&self, _: &String, _: Option<Size>, event: &Recorded<AccountEvent>) -> Option<Size> {
        match event.event {
            AccountEvent::Deposited { amount } if amount == Decimal::from(BREAKING) => panic!("too much"),
            AccountEvent::Deposited { amount } => Some(Size { amount }),
            _ => None,
        }
    }
}

/// An entity with a column of every type, two of them named like parameters.
#[entity(crate = underlay_core, name = "contact", version = 1, of = Contact)]
pub struct ContactRow {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    #[column(unique)]
    email: String,
    #[column(indexed)]
    limit: i64,
    #[column(indexed)]
    credit: Decimal,
    open: bool,
    #[column(indexed)]
    since: Timestamp,
    note: Option<String>,
}

/// The same; its credit is not less than zero.
#[derive(Clone)]
pub struct Contact(ContactRow);

impl From<Contact> for ContactRow {
    fn from(contact: Contact) -> Self {
        contact.0
    }
}

impl TryFrom<ContactRow> for Contact {
    type Error = String;

    fn try_from(row: ContactRow) -> Result<Self, String> {
        if row.credit < Decimal::ZERO {
            return Err(format!("credit {} is less than zero", row.credit));
        }
        Ok(Self(row))
    }
}

/// An entity for some alone.
#[entity(crate = underlay_core, name = "secret", version = 1, roles("manager"))]
pub struct Secret {
    #[id]
    number: u32,
    #[version]
    version: EntityVersion,
    text: String,
}

pub fn registry() -> Registry {
    Registry::default()
        .entity::<Contact>()
        .entity::<Secret>()
        .aggregate::<Account>()
        .snapshots::<Account>()
        .operation::<Transfer>()
        .operation::<Charge>()
        .view(Balances)
        .view(Fragile)
}
