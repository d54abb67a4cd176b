use std::fmt::Display;
use std::hash::Hash;

use crate::domain::{Event, Recorded, Row, ViewSchema};

/// Rows by key, each folded from the events that are routed to it. Its functions are pure.
///
/// Rows belong to the tenant of the event; the same key in two tenants is two rows.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a view",
    label = "implement `View`: `NAME`, `Event`, `Key`, `Row`, `route` and `fold`"
)]
pub trait View: Send + Sync + 'static {
    /// Its name, in the database and in addresses: `a-z 0-9 _`.
    const NAME: &'static str;
    /// Raise it when `route` or `fold` changes, so that the rows are rebuilt.
    const VERSION: u32 = 1;
    /// The store its rows are kept in, by the name the service has for it; none means the store of the log.
    const STORE: Option<&'static str> = None;
    /// What happens at an event it cannot take.
    const ON_FAULT: OnFault = OnFault::Pause;
    /// Who reads its rows from outside needs one of these roles; none are needed where there are none.
    /// The edge looks at them, typed code does not. Changing them changes no row.
    const ROLES: &'static [&'static str] = &[];
    /// The events it folds.
    type Event: Event;
    /// What tells its rows apart. It is stored as its text, so two keys must never have the same text.
    type Key: Clone + Eq + Hash + Ord + Display + Send + Sync + 'static;
    /// A row.
    type Row: Row;

    /// Names the rows that an event changes.
    fn route(&self, event: &Recorded<Self::Event>, keys: &mut Keys<Self::Key>);

    /// Gives the row after the event. `None` removes the row.
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
        ViewSchema::new(Self::NAME, Self::VERSION, Self::Row::columns())
            .with_event_types(Self::Event::descriptors().into_iter().map(|event| event.name))
    }
}

/// What a view does at an event it cannot take: its payload does not decode, `route` or `fold` panics, or
/// a row comes out that no store may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnFault {
    /// It stops before the event, for every tenant, until a person mends it. So no row is ever wrong.
    #[default]
    Pause,
    /// It passes over the event and remembers it: the rows of that tenant lack it, those of the others
    /// go on. An event of a version newer than the code knows, or in an encoding that the program does not
    /// read, is not passed over, but stopped at: another process can take it.
    Park,
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
