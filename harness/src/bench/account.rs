//! What is measured: bookings on accounts, and their balances.

use figures::Booking;
use underlay_core::{
    Aggregate, Commit, CommitId, EventType, ExpectedVersion, Json, Keys, NewEvent, Recorded, SchemaVersion,
    StreamName, TenantId, View,
};
use underlay_derive::row;

pub(crate) use figures::{Account, AccountCommand, AccountEvent};

use crate::Result;

#[row(crate = underlay_core)]
pub(crate) struct Balance {
    #[column(indexed)]
    cents: i64,
    bookings: i64,
}

/// Balances by account.
pub(crate) struct Balances;

impl View for Balances {
    const NAME: &'static str = "balances";
    type Event = AccountEvent;
    type Key = u64;
    type Row = Balance;

    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<u64>) {
        // The streams of this benchmark are numbered; another one is nobody's row.
        if let Ok(account) = event.stream().id().parse() {
            keys.push(account);
        }
    }

    fn fold(&self, _: &u64, row: Option<Balance>, event: &Recorded<AccountEvent>) -> Option<Balance> {
        let row = row.unwrap_or(Balance { cents: 0, bookings: 0 });
        Some(Balance { cents: row.cents + event.event.cents(), bookings: row.bookings + 1 })
    }
}

/// What is written: bookings with their text made beforehand, so that a run measures the store.
#[derive(Clone)]
pub(crate) struct Bookings {
    pub(crate) event_types: [EventType; 2],
    pub(crate) payloads: Vec<Json>,
}

impl Bookings {
    pub(crate) fn new() -> Result<Self> {
        let payloads = (0..1_000).map(|number| {
            Ok(NewEvent::encode(&AccountEvent::of(Booking { account: number, number }))?
                .payload
                .text()
                .clone())
        });
        Ok(Self {
            event_types: [EventType::new("deposited")?, EventType::new("withdrawn")?],
            payloads: payloads.collect::<Result<_>>()?,
        })
    }

    /// The type and the text of the booking of a number.
    pub(crate) fn of(&self, number: u64) -> (&EventType, &Json) {
        // Both lists have an even length: the two stay in step.
        let (types, payloads) = (self.event_types.len() as u64, self.payloads.len() as u64);
        (&self.event_types[(number % types) as usize], &self.payloads[(number % payloads) as usize])
    }

    /// A commit of `count` bookings on one stream, the first of them of this number.
    pub(crate) fn commit(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
        number: u64,
        count: u64,
    ) -> Commit {
        let events = (number..number + count).map(|number| {
            let (event_type, payload) = self.of(number);
            NewEvent::new(event_type.clone(), SchemaVersion(1), payload.clone())
        });
        Commit::new(CommitId::draw()).append(stream.clone(), expected, events.collect())
    }
}

/// The tenant everything belongs to.
pub(crate) fn tenant() -> Result<TenantId> {
    Ok(TenantId::new("bench")?)
}

/// The stream of an account.
pub(crate) fn stream(account: u64) -> Result<StreamName> {
    Ok(Account::stream(&account)?)
}

#[cfg(test)]
mod tests {
    use underlay_core::Event;

    use super::*;

    #[test]
    fn payloads_have_about_two_hundred_bytes_and_fit_their_types() {
        let bookings = Bookings::new().unwrap();
        for number in 0..2_001 {
            let (event_type, payload) = bookings.of(number);
            assert!((190..=220).contains(&payload.bytes()), "{} bytes: {payload:?}", payload.bytes());
            let event = AccountEvent::decode(event_type.as_str(), 1, payload.as_str()).unwrap().unwrap();
            assert_eq!(event.cents() > 0, number % 2 == 0);
        }
    }
}
