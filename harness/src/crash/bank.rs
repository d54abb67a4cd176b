//! The domain that is running when the process is killed: accounts, money that comes and goes, and
//! transfers that touch two accounts in one commit.

use underlay_core::{Aggregate, Context, Decision, Error, Operation, Reads, Streams};
use underlay_derive::{command, event, refusal, value};
use underlay_runtime::Registry;

use crate::balances::{Balances, Movement};

/// The tenants there are; both have the same accounts.
pub(crate) const TENANTS: [&str; 2] = ["north", "south"];
/// The accounts of a tenant.
pub(crate) const ACCOUNTS: u64 = 12;

/// What can happen to an account.
#[event(crate = underlay_core)]
#[derive(Eq)]
pub(crate) enum AccountEvent {
    #[event(name = "deposited", version = 1)]
    Deposited { cents: i64 },
    #[event(name = "withdrawn", version = 1)]
    Withdrawn { cents: i64 },
    #[event(name = "sent", version = 1)]
    Sent { to: String, cents: i64 },
    #[event(name = "received", version = 1)]
    Received { from: String, cents: i64 },
}

impl Movement for AccountEvent {
    fn change(&self) -> i64 {
        match self {
            Self::Deposited { cents } | Self::Received { cents, .. } => *cents,
            Self::Withdrawn { cents } | Self::Sent { cents, .. } => -cents,
        }
    }
}

/// What can be asked of an account.
#[command(crate = underlay_core)]
pub(crate) enum AccountCommand {
    #[command(name = "deposit")]
    Deposit { cents: i64 },
    #[command(name = "withdraw")]
    Withdraw { cents: i64 },
}

/// Why an account says no.
#[refusal(crate = underlay_core)]
pub(crate) enum AccountRefusal {
    #[refusal(code = "overdrawn", message = "the balance is {balance}, {cents} were asked for")]
    Overdrawn { balance: i64, cents: i64 },
}

/// An account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    balance: i64,
}

impl Account {
    fn covers(&self, cents: i64) -> Result<(), AccountRefusal> {
        if cents <= self.balance {
            return Ok(());
        }
        Err(AccountRefusal::Overdrawn { balance: self.balance, cents })
    }
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Refusal = AccountRefusal;

    fn decide(&self, command: AccountCommand, _: &Context) -> Result<Decision<AccountEvent>, AccountRefusal> {
        match command {
            AccountCommand::Deposit { cents } => Ok(AccountEvent::Deposited { cents }.into()),
            AccountCommand::Withdraw { cents } => {
                self.covers(cents)?;
                Ok(AccountEvent::Withdrawn { cents }.into())
            }
        }
    }

    fn evolve(&mut self, event: &AccountEvent) {
        self.balance += event.change();
    }
}

/// Moves money between two accounts.
#[value(crate = underlay_core)]
#[derive(Eq)]
pub(crate) struct Transfer {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) cents: i64,
}

impl Operation for Transfer {
    const NAME: &'static str = "transfer";
    type Refusal = AccountRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        reads.stream::<Account>(&self.from)?;
        reads.stream::<Account>(&self.to)
    }

    fn decide(&self, streams: &mut Streams, _: &Context) -> Result<(), AccountRefusal> {
        let Self { from, to, cents } = self;
        streams.state::<Account>(from).covers(*cents)?;
        streams.append::<Account>(from, AccountEvent::Sent { to: to.clone(), cents: *cents });
        streams.append::<Account>(to, AccountEvent::Received { from: from.clone(), cents: *cents });
        Ok(())
    }
}

/// All of it.
pub(crate) fn registry() -> Registry {
    Registry::default()
        .aggregate::<Account>()
        .operation::<Transfer>()
        .view(Balances::<AccountEvent>::default())
}
