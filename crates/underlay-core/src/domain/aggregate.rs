use std::fmt::Display;
use std::str::FromStr;

use crate::domain::{Command, Context, Decision, Event, Refusal};
use crate::words::{Error, StreamName};

/// The state of one stream, with what may happen to it. Pure.
///
/// The default value is the state of a stream without events.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    label = "implement `Aggregate`: `CATEGORY`, `Id`, `Command`, `Event`, `Refusal`, `decide` and `evolve`"
)]
pub trait Aggregate: Default + Clone + Send + Sync + 'static {
    /// The category of its streams: `a-z 0-9 _`.
    const CATEGORY: &'static str;
    /// What tells its streams apart; stored as its text.
    type Id: Clone + Display + FromStr<Err: Display> + Send + Sync + 'static;
    /// What can be asked of it.
    type Command: Command;
    /// What can happen to it.
    type Event: Event;
    /// What it can say no with.
    type Refusal: Refusal;

    /// What a command leads to: events in order, none where there is nothing to do. One event or a list of
    /// them becomes a [`Decision`] by `into()`.
    ///
    /// # Errors
    /// The refusal.
    fn decide(
        &self,
        command: Self::Command,
        context: &Context,
    ) -> Result<Decision<Self::Event>, Self::Refusal>;

    /// The state after an event. It cannot fail: what happened, happened.
    fn evolve(&mut self, event: &Self::Event);

    /// About how many bytes the state takes beside its own fields: what its lists, maps and texts hold.
    ///
    /// States are kept in memory up to a bound of bytes. Where this is `None`, what was folded into the
    /// state counts, up to [`STATE_FOLDED_BYTES_MAX`](crate::words::limits::STATE_FOLDED_BYTES_MAX). Write it
    /// for a state that grows with its stream, or by one large event. It is asked after every command,
    /// so it is quick: a length times a size, say.
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
