//! A small domain: accounts with a balance, transfers between them, a view of the balances.

use std::sync::Arc;

use underlay_core::memory::{MemoryEventStore, MemoryReadModels, MemorySnapshots};
use underlay_core::{
    Aggregate, Clock, Commit, CommitId, Context, Decision, Error, EventStore, EventType, ExpectedVersion,
    Json, Keys, NewEvent, Operation, Reads, Recorded, SchemaVersion, StreamName, Streams, SystemClock,
    TenantId, View,
};
use underlay_derive::{command, event, refusal, row, snapshot, value};
use underlay_runtime::{Engine, EngineConfig, Ports, Registry, Request};

#[event(crate = underlay_core)]
pub enum AccountEvent {
    #[event(name = "deposited", version = 1)]
    Deposited { cents: i64 },
    #[event(name = "withdrawn", version = 1)]
    Withdrawn { cents: i64 },
}

#[command(crate = underlay_core)]
pub enum AccountCommand {
    #[command(name = "deposit")]
    Deposit { cents: i64 },
    #[command(name = "withdraw")]
    Withdraw { cents: i64 },
    #[command(name = "panic")]
    Panic,
    #[command(name = "nothing")]
    Nothing,
}

#[refusal(crate = underlay_core)]
pub enum AccountRefusal {
    #[refusal(code = "overdrawn", message = "the balance is {balance}, {cents} were asked for")]
    Overdrawn { balance: i64, cents: i64 },
}

#[snapshot(every = 10, crate = underlay_core)]
#[derive(Default)]
pub struct Account {
    pub balance: i64,
}

impl Account {
    fn withdraw(&self, cents: i64) -> Result<AccountEvent, AccountRefusal> {
        if cents > self.balance {
            return Err(AccountRefusal::Overdrawn { balance: self.balance, cents });
        }
        Ok(AccountEvent::Withdrawn { cents })
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
            AccountCommand::Withdraw { cents } => self.withdraw(cents).map(Decision::from),
            AccountCommand::Panic => panic!("a bug in the domain"),
            AccountCommand::Nothing => Ok(Decision::nothing()),
        }
    }

    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { cents } => self.balance += cents,
            AccountEvent::Withdrawn { cents } => self.balance -= cents,
        }
    }
}

#[value(crate = underlay_core)]
pub struct Transfer {
    pub from: String,
    pub to: String,
    pub cents: i64,
}

impl Operation for Transfer {
    const NAME: &'static str = "transfer";
    type Refusal = AccountRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        reads.stream::<Account>(&self.from)?;
        reads.stream::<Account>(&self.to)
    }

    fn decide(&self, streams: &mut Streams, _: &Context) -> Result<(), AccountRefusal> {
        let withdrawn = streams.state::<Account>(&self.from).withdraw(self.cents)?;
        streams.append::<Account>(&self.from, withdrawn);
        streams.append::<Account>(&self.to, AccountEvent::Deposited { cents: self.cents });
        Ok(())
    }
}

/// Takes from `account` only while `other` is not empty: reads a stream it does not write.
#[value(crate = underlay_core)]
pub struct TakeWhileOtherIsFull {
    pub account: String,
    pub other: String,
}

impl Operation for TakeWhileOtherIsFull {
    const NAME: &'static str = "take-while-other-is-full";
    type Refusal = AccountRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        reads.stream::<Account>(&self.account)?;
        reads.stream::<Account>(&self.other)
    }

    fn decide(&self, streams: &mut Streams, _: &Context) -> Result<(), AccountRefusal> {
        streams.state::<Account>(&self.other).withdraw(1)?;
        let withdrawn = streams.state::<Account>(&self.account).withdraw(1)?;
        streams.append::<Account>(&self.account, withdrawn);
        Ok(())
    }
}

/// Looks at accounts, as many as it is told to, and takes no notice of what is said to that.
#[value(crate = underlay_core)]
pub struct LookAt {
    pub accounts: usize,
    pub swallows: bool,
}

impl Operation for LookAt {
    const NAME: &'static str = "look-at";
    type Refusal = AccountRefusal;

    fn reads(&self, reads: &mut Reads) -> Result<(), Error> {
        for account in 0..self.accounts {
            let named = reads.stream::<Account>(&account.to_string());
            if !self.swallows {
                named?;
            }
        }
        Ok(())
    }

    fn decide(&self, _: &mut Streams, _: &Context) -> Result<(), AccountRefusal> {
        Ok(())
    }
}

#[row(crate = underlay_core)]
pub struct Balance {
    #[column(indexed)]
    pub cents: i64,
    pub events: i64,
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

    fn fold(&self, _: &String, row: Option<Balance>, event: &Recorded<AccountEvent>) -> Option<Balance> {
        let mut row = row.unwrap_or(Balance { cents: 0, events: 0 });
        row.events += 1;
        match event.event {
            AccountEvent::Deposited { cents } => row.cents += cents,
            AccountEvent::Withdrawn { cents } => row.cents -= cents,
        }
        Some(row)
    }
}

pub struct Bank {
    pub store: MemoryEventStore,
    pub read_models: MemoryReadModels,
    pub snapshots: MemorySnapshots,
    pub engine: Engine,
}

pub fn registry() -> Registry {
    Registry::default()
        .aggregate::<Account>()
        .operation::<Transfer>()
        .operation::<TakeWhileOtherIsFull>()
        .operation::<LookAt>()
        .view(Balances)
}

impl Bank {
    pub fn new() -> Self {
        let (store, read_models) = (MemoryEventStore::default(), MemoryReadModels::default());
        Self::over(store, read_models, MemorySnapshots::default(), registry())
    }

    /// Another process: its own caches, the same stores.
    pub fn beside(&self) -> Self {
        Self::over(self.store.clone(), self.read_models.clone(), self.snapshots.clone(), registry())
    }

    pub fn over(
        store: MemoryEventStore,
        read_models: MemoryReadModels,
        snapshots: MemorySnapshots,
        registry: Registry,
    ) -> Self {
        let ports = ports(&store, &read_models, &snapshots);
        let config =
            EngineConfig { program: "bank".to_owned(), view_batch_events_max: 7, ..EngineConfig::default() };
        Self { store, read_models, snapshots, engine: Engine::new(ports, registry, config).unwrap() }
    }

    /// The ports, for another engine.
    pub fn engine_ports(&self) -> Ports {
        ports(&self.store, &self.read_models, &self.snapshots)
    }

    pub async fn deposit(&self, account: &str, cents: i64) {
        let command = AccountCommand::Deposit { cents };
        self.engine.execute::<Account>(&request(), &account.to_owned(), command).await.unwrap();
    }

    pub async fn stream_version(&self, account: &str) -> u64 {
        self.store.versions(&tenant(), &[stream(account)]).await.unwrap()[0].0
    }
}

fn ports(store: &MemoryEventStore, read_models: &MemoryReadModels, snapshots: &MemorySnapshots) -> Ports {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Ports {
        work: None,
        store: Arc::new(store.clone()),
        read_models: Arc::new(read_models.clone()),
        wakeups: Arc::new(store.clone()),
        snapshots: Some(Arc::new(snapshots.clone())),
        leases: None,
        clock,
    }
}

pub fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub fn request() -> Request {
    Request::new(tenant())
}

pub fn repeatable(key: &str) -> Request {
    request().with_key(key)
}

pub fn stream(account: &str) -> StreamName {
    Account::stream(&account.to_owned()).unwrap()
}

/// A commit of a deposit that nobody decided.
pub fn deposited(account: &str, cents: i64) -> Commit {
    written(account, NewEvent::encode(&AccountEvent::Deposited { cents }).unwrap())
}

/// A commit with a payload that its type cannot be read from.
pub fn poison(account: &str) -> Commit {
    let event_type = EventType::new("deposited").unwrap();
    written(account, NewEvent::new(event_type, SchemaVersion(1), Json::encode("no object").unwrap()))
}

fn written(account: &str, event: NewEvent) -> Commit {
    Commit::new(CommitId::draw()).append(stream(account), ExpectedVersion::Any, vec![event])
}
