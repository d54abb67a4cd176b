use std::fmt::Display;
use std::hash::Hash;

use crate::{Event, Recorded, Row, ViewSchema};

/// A read model: rows by key, each a fold of the events routed to it. Pure.
///
/// Rows belong to the tenant of the event; the same key in two tenants is two rows.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a view",
    label = "implement `View`: `NAME`, `Event`, `Key`, `Row`, `route` and `fold`"
)]
pub trait View: Send + Sync + 'static {
    /// Its name, in the database and in addresses: `a-z 0-9 _`.
    const NAME: &'static str;
    /// Raise it when `route` or `fold` changed: the rows must then be rebuilt.
    const VERSION: u32 = 1;
    /// The events it folds.
    type Event: Event;
    /// What tells its rows apart; stored as its text, so two keys never have one text.
    type Key: Clone + Eq + Hash + Ord + Display + Send + Sync + 'static;
    /// A row.
    type Row: Row;

    /// Names the rows an event changes.
    fn route(&self, event: &Recorded<Self::Event>, keys: &mut Keys<Self::Key>);

    /// The row after the event; `None` removes it.
    fn fold(
        &self,
        key: &Self::Key,
        row: Option<Self::Row>,
        event: &Recorded<Self::Event>,
    ) -> Option<Self::Row>;

    /// The stored shape.
    #[must_use]
    fn schema() -> ViewSchema
    where
        Self: Sized,
    {
        ViewSchema { name: Self::NAME.to_owned(), version: Self::VERSION, columns: Self::Row::columns() }
    }
}

/// The rows an event changes.
#[derive(Clone, Debug)]
pub struct Keys<K>(Vec<K>);

impl<K: PartialEq> Keys<K> {
    /// Adds a row. Adding it twice folds the event into it once.
    pub fn push(&mut self, key: K) {
        if !self.0.contains(&key) {
            self.0.push(key);
        }
    }
}

impl<K> Keys<K> {
    /// The rows named so far.
    pub fn drain(&mut self) -> std::vec::Drain<'_, K> {
        self.0.drain(..)
    }
}

impl<K> Default for Keys<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}
