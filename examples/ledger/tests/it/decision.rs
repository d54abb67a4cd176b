//! Given events, when a decision is made, then there are events or a refusal.

use std::collections::BTreeMap;

use ledger::account::{Account, AccountEvent, AccountId};
use ledger::money::{Commodity, Money, parse_amount};
use underlay::domain::AggregateState;
use underlay::{
    Actor, Aggregate, CommitId, Context, Decimal, Event, Operation, Reads, StreamName, TenantId, Timestamp,
};

pub(crate) fn account(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

pub(crate) fn commodity(name: &str) -> Commodity {
    Commodity::new(name).unwrap()
}

pub(crate) fn number(text: &str) -> Decimal {
    parse_amount(text).unwrap()
}

pub(crate) fn money(amount: &str, name: &str) -> Money {
    Money { amount: number(amount), commodity: commodity(name) }
}

pub(crate) fn opened(floor: Option<&str>) -> AccountEvent {
    AccountEvent::Opened { floor: floor.map(number) }
}

pub(crate) fn deposited(amount: &str, name: &str) -> AccountEvent {
    AccountEvent::Deposited { money: money(amount, name) }
}

/// The context of every decision here: 1 February 2024, command `test`.
pub(crate) fn context() -> Context {
    let now: Timestamp = "2024-02-01T23:59:59Z".parse().unwrap();
    Context::new(now, tenant(), Actor::default(), command_id())
}

pub(crate) fn command_id() -> CommitId {
    CommitId::from_key(&tenant(), "test")
}

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(crate) fn after(events: &[AccountEvent]) -> Account {
    let mut account = Account::default();
    events.iter().for_each(|event| account.evolve(event));
    account
}

/// Decides over accounts that have events, and gives the events by account.
pub(crate) fn decide<O: Operation>(
    given: &[(&str, Vec<AccountEvent>)],
    operation: &O,
) -> Result<BTreeMap<String, Vec<AccountEvent>>, O::Refusal> {
    let mut reads = Reads::default();
    operation.reads(&mut reads).unwrap();
    let given: BTreeMap<StreamName, &Vec<AccountEvent>> =
        given.iter().map(|(name, events)| (Account::stream(&account(name)).unwrap(), events)).collect();
    for (stream, state) in reads.iter_mut() {
        for event in given.get(stream).into_iter().flat_map(|events| events.iter()) {
            AggregateState::apply::<Account>(state, event, 0);
        }
    }
    let mut streams = reads.streams();
    operation.decide(&mut streams, &context())?;
    let decided = streams.decided().unwrap();
    let events = decided.writes.into_iter().map(|write| {
        let read = |event: underlay::NewEvent| {
            let (name, version) = (event.event_type.as_str(), event.schema_version.0);
            AccountEvent::decode(name, version, event.payload.text().as_str()).unwrap().unwrap()
        };
        (write.stream.id().to_owned(), write.events.into_iter().map(read).collect())
    });
    Ok(events.collect())
}
