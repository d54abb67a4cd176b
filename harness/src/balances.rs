//! The view that the banks of this program show: the balance of every account, counted event by event.

use std::marker::PhantomData;

use underlay_core::{Event, Keys, Recorded, View};
use underlay_derive::row;

/// An event of an account that moves money.
pub(crate) trait Movement: Event {
    /// What it adds to the balance.
    fn change(&self) -> i64;
}

/// A row of [`Balances`].
#[row(crate = underlay_core)]
#[derive(Eq)]
pub(crate) struct Balance {
    #[column(indexed)]
    pub(crate) cents: i64,
    /// How many events were folded into it: the version of the account it shows.
    pub(crate) events: i64,
}

/// The balance of every account.
pub(crate) struct Balances<E>(PhantomData<fn(E)>);

impl<E> Default for Balances<E> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E: Movement> View for Balances<E> {
    const NAME: &'static str = "balances";
    type Event = E;
    type Key = String;
    type Row = Balance;

    fn route(&self, event: &Recorded<E>, keys: &mut Keys<String>) {
        keys.push(event.stream().id().to_owned());
    }

    fn fold(&self, _: &String, row: Option<Balance>, event: &Recorded<E>) -> Option<Balance> {
        let row = row.unwrap_or(Balance { cents: 0, events: 0 });
        // Counted, not taken from the event: an event folded twice or never shows.
        Some(Balance { cents: row.cents + event.event.change(), events: row.events + 1 })
    }
}
