use std::fmt::Display;
use std::str::FromStr;

use crate::domain::{Command, Context, Decision, Event, Refusal};
use crate::words::{Error, StreamName};

/// The state of one stream, and what may happen to it. Its functions are pure: they read no clock and call
/// nobody.
///
/// The default value is the state of a stream without events.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    label = "implement `Aggregate`: `CATEGORY`, `Id`, `Command`, `Event`, `Refusal`, `decide` and `evolve`"
)]
pub trait Aggregate: Default + Clone + Send + Sync + 'static {
    /// The category of its streams: `a-z 0-9 _`.
    const CATEGORY: &'static str;
    /// What tells its streams apart. It is stored as its text.
    type Id: Clone + Display + FromStr<Err: Display> + Send + Sync + 'static;
    /// What can be asked of it.
    type Command: Command;
    /// What can happen to it.
    type Event: Event;
    /// The ways it can say no.
    type Refusal: Refusal;

    /// Decides what a command leads to: events in order, or none when there is nothing to do. One event or a
    /// list of them becomes a [`Decision`] by `into()`.
    ///
    /// # Errors
    /// The refusal.
    fn decide(
        &self,
        command: Self::Command,
        context: &Context,
    ) -> Result<Decision<Self::Event>, Self::Refusal>;

    /// Brings the state past an event. It cannot fail, since the event has happened.
    fn evolve(&mut self, event: &Self::Event);

    /// Says about how many bytes the state takes beside its own fields: what its lists, maps and texts hold.
    ///
    /// States are kept in memory up to a bound of bytes. Where this is `None`, what was folded into the
    /// state counts, up to [`STATE_FOLDED_BYTES_MAX`](crate::words::limits::STATE_FOLDED_BYTES_MAX). Write it
    /// for a state that grows with its stream, or by one large event. The engine asks after every command,
    /// so the answer must be quick, such as a length times a size.
    #[must_use]
    fn held_bytes(&self) -> Option<usize> {
        None
    }

    /// The stream of an id.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the id's text cannot be part of a stream name.
    fn stream(id: &Self::Id) -> Result<StreamName, Error> {
        StreamName::new(Self::CATEGORY, id)
    }
}
