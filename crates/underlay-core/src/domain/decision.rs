use crate::domain::{Event, Outgoing};

/// What a command leads to: events, and what is sent on with them.
///
/// Most decisions are events alone. One event, a list of them, or an array becomes a decision by `into()`:
///
/// ```
/// # use underlay_core::Decision;
/// # #[derive(Debug, PartialEq)] struct Deposited;
/// let two: Decision<Deposited> = vec![Deposited, Deposited].into();
/// let nothing_to_do = Decision::<Deposited>::nothing();
/// assert_eq!((two.events().len(), nothing_to_do.events().len()), (2, 0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision<E> {
    events: Vec<E>,
    work: Vec<Outgoing>,
}

impl<E> Decision<E> {
    /// There is nothing to do. The command is answered so, and stored as an outcome.
    pub fn nothing() -> Self {
        Self { events: Vec::new(), work: Vec::new() }
    }

    /// Sends something on with the events.
    pub fn send(mut self, work: impl Into<Outgoing>) -> Self {
        self.work.push(work.into());
        self
    }

    /// The events, in order.
    #[must_use]
    pub fn events(&self) -> &[E] {
        &self.events
    }

    /// What is sent on, in order.
    #[must_use]
    pub fn work(&self) -> &[Outgoing] {
        &self.work
    }

    /// Both, for whoever stores them.
    #[must_use]
    pub fn into_parts(self) -> (Vec<E>, Vec<Outgoing>) {
        (self.events, self.work)
    }
}

impl<E> Default for Decision<E> {
    fn default() -> Self {
        Self::nothing()
    }
}

impl<E: Event> From<E> for Decision<E> {
    fn from(event: E) -> Self {
        Self { events: vec![event], work: Vec::new() }
    }
}

impl<E> From<Vec<E>> for Decision<E> {
    fn from(events: Vec<E>) -> Self {
        Self { events, work: Vec::new() }
    }
}

impl<E, const N: usize> From<[E; N]> for Decision<E> {
    fn from(events: [E; N]) -> Self {
        Self::from(Vec::from(events))
    }
}

impl<E> FromIterator<E> for Decision<E> {
    fn from_iter<I: IntoIterator<Item = E>>(events: I) -> Self {
        Self::from(Vec::from_iter(events))
    }
}
