use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{Attempts, Event, OnFault, Outgoing, Recorded, schema_of};
use crate::words::{Fingerprint, Json, TenantId, Timestamp};

/// Follows something that takes several steps, over time and over several aggregates: a payment, say. Its
/// functions are pure.
///
/// It has one state for each instance. What it is given are events, how the commands ended that it sent, and its
/// timers. Each is one step, stored in one commit with everything it sends; what was given twice is one step.
/// Inputs of one instance are taken one at a time: events in the order of the log, and nothing behind an input
/// that failed until that one is taken, or a person discards it.
///
/// Its instances belong to the tenant of the event; the same name in two tenants is two instances. An instance is
/// kept in the stream `process_NAME-INSTANCE`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a process",
    label = "implement `Process`: `NAME`, `Event`, `State`, `route` and `step`"
)]
pub trait Process: Send + Sync + 'static {
    /// Its name, in the database and in addresses: `a-z 0-9 _`, at most 48 bytes. It never changes.
    const NAME: &'static str;
    /// The version of its definition. Raise it when the shape of the state changes, or the events that it is
    /// given, and lift older states in [`Process::upcast`]: instances in flight go on with them. Of two programs
    /// that share a store, that with the higher version does the work.
    const VERSION: u32 = 1;
    /// Where it begins to follow the log when it is new.
    const STARTS: ProcessStart = ProcessStart::Now;
    /// What happens at an event that it cannot take: its payload does not decode, `route` panics, or names an
    /// instance that cannot be. With [`OnFault::Park`] the event becomes a dead letter, which a person replays or
    /// discards, and the process goes on.
    const ON_FAULT: OnFault = OnFault::Pause;
    /// The events it is given.
    type Event: Event;
    /// What an instance knows. It is stored whole with every step; a map that is written in the same order every
    /// time, such as a `BTreeMap`, keeps a step that is taken again the same.
    type State: Serialize + DeserializeOwned + JsonSchema + Clone + Send + Sync + 'static;

    /// How often a step is tried that fails. Then its input is a dead letter, and its instance stands still until
    /// a person replays or discards it.
    fn attempts(&self) -> Attempts {
        Attempts::default()
    }

    /// The instance that an event is for, 1 to 255 bytes without control characters; `None` where it is for none.
    fn route(&self, event: &Recorded<Self::Event>) -> Option<String>;

    /// What follows from an input. `state` is `None` before the first step of an instance.
    fn step(
        &self,
        state: Option<&Self::State>,
        input: &Input<Self::Event>,
        context: &StepContext,
    ) -> Step<Self::State>;

    /// Lifts a stored state of an older version.
    ///
    /// # Errors
    /// A sentence where it cannot.
    fn upcast(version: u32, state: Json) -> Result<Self::State, String> {
        let _ = state;
        Err(format!(
            "states of version {version} have no upcaster to version {}: write `Process::upcast`; where the shape \
             is the same, that is `state.decode()`",
            Self::VERSION
        ))
    }

    /// For the engine: the JSON Schema of the state.
    #[must_use]
    fn state_schema() -> Json
    where
        Self: Sized,
    {
        schema_of::<Self::State>(Self::NAME)
    }
}

/// Where a new process begins to follow the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessStart {
    /// With the first event of the log.
    Beginning,
    /// With the first event that comes after it was first started.
    Now,
}

/// What a step is given.
#[derive(Clone, Debug)]
pub enum Input<E> {
    /// Something happened.
    Event(Recorded<E>),
    /// A command that the instance sent has ended.
    Outcome {
        /// What [`Step::command`] called it.
        name: String,
        /// How it ended.
        outcome: CommandOutcome,
    },
    /// A timer has come due.
    Timer {
        /// What [`Step::timer`] called it.
        name: String,
    },
}

impl<E> Input<E> {
    /// That a command has ended, by the name that [`Step::command`] gave it.
    #[must_use]
    pub fn outcome(name: impl Into<String>, outcome: CommandOutcome) -> Self {
        Self::Outcome { name: name.into(), outcome }
    }

    /// That a timer has come due, by the name that [`Step::timer`] gave it.
    #[must_use]
    pub fn timer(name: impl Into<String>) -> Self {
        Self::Timer { name: name.into() }
    }
}

/// How a command ended that a process sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandOutcome {
    /// It was accepted.
    Accepted,
    /// The domain said no.
    Refused {
        /// Names the rule.
        code: String,
        /// One sentence for a person.
        message: String,
        /// The fields of the refusal.
        body: Json,
    },
    /// It was given up: its attempts were used up, or it does not fit. It has not run, and it never runs: this is
    /// stored under its id before the process is told, and nobody can replay its dead letter. What the process sends
    /// next to the same aggregate does not wait behind it. A step that still wants it done sends it again, which is
    /// another command.
    Failed {
        /// Why.
        reason: String,
    },
}

/// All that a step may know beside the state and the input.
#[derive(Clone, Debug)]
pub struct StepContext {
    /// The time of the input: of an event when it was recorded, of a timer when it was due, of an outcome when it
    /// was stored for the instance. A step that is taken again has the same.
    pub now: Timestamp,
    /// Whose instance it is.
    pub tenant: TenantId,
    /// The process.
    pub process: String,
    /// The instance.
    pub instance: String,
    /// The identity of the input. Of an event it is that of the event, for every process that is given it.
    pub input_id: Uuid,
}

impl StepContext {
    /// The n-th id of a step; the same when the step is taken again, and that of no other step, also where another
    /// process is given the same event for an instance of the same name.
    #[must_use]
    pub fn id(&self, number: u32) -> Uuid {
        let parts = [
            b"step-id".as_slice(),
            self.tenant.as_str().as_bytes(),
            self.process.as_bytes(),
            self.instance.as_bytes(),
            self.input_id.as_bytes(),
            &number.to_le_bytes(),
        ];
        Uuid::new_v8(Fingerprint::of(parts).0)
    }
}

/// What follows from an input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Step<S> {
    /// The state from now on; `None` leaves it as it is.
    pub state: Option<S>,
    /// What is done, in order.
    pub actions: Vec<StepAction>,
}

/// One thing that a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepAction {
    /// Sends a command and waits for its outcome under this name.
    Command {
        /// What the process calls it.
        name: String,
        /// The command.
        command: Outgoing,
    },
    /// Sends a message, or a command whose outcome nobody waits for.
    Send(Outgoing),
    /// Sets a timer; one of the same name is replaced.
    SetTimer {
        /// What the process calls it.
        name: String,
        /// When it is due.
        due_at: Timestamp,
    },
    /// Takes a timer back.
    ClearTimer(String),
    /// Remembers a command that undoes what was done; see [`Step::compensate`].
    RememberUndo {
        /// What the process calls it.
        name: String,
        /// The command.
        command: Outgoing,
    },
    /// Sends every remembered undo, the last first, and forgets them.
    Compensate,
    /// Ends the instance: timers are taken back, and nothing more is given to it. Lists show the word for how it ended,
    /// where there is one.
    Finish(Option<String>),
}

impl<S> Step<S> {
    /// Nothing follows, and the state stays. Where the instance has not begun, it does not begin.
    pub fn stay() -> Self {
        Self { state: None, actions: Vec::new() }
    }

    /// The instance has this state from now on.
    pub fn to(state: S) -> Self {
        Self { state: Some(state), actions: Vec::new() }
    }

    fn and(mut self, action: StepAction) -> Self {
        self.actions.push(action);
        self
    }

    /// Sends a command. Its outcome comes as [`Input::Outcome`] with this name.
    pub fn command(self, name: impl Into<String>, command: impl Into<Outgoing>) -> Self {
        self.and(StepAction::Command { name: name.into(), command: command.into() })
    }

    /// Sends a message, or a command whose outcome nobody waits for.
    pub fn send(self, outgoing: impl Into<Outgoing>) -> Self {
        self.and(StepAction::Send(outgoing.into()))
    }

    /// Sets a timer, which comes as [`Input::Timer`] with this name: a deadline, say.
    pub fn timer(self, name: impl Into<String>, due_at: Timestamp) -> Self {
        self.and(StepAction::SetTimer { name: name.into(), due_at })
    }

    /// Takes a timer back.
    pub fn clear_timer(self, name: impl Into<String>) -> Self {
        self.and(StepAction::ClearTimer(name.into()))
    }

    /// Remembers the command that undoes what this step does.
    pub fn undo_by(self, name: impl Into<String>, command: impl Into<Outgoing>) -> Self {
        self.and(StepAction::RememberUndo { name: name.into(), command: command.into() })
    }

    /// Sends every command that was remembered by [`Step::undo_by`], the last first. Their outcomes come as those of
    /// other commands do.
    pub fn compensate(self) -> Self {
        self.and(StepAction::Compensate)
    }

    /// Ends the instance.
    pub fn finish(self) -> Self {
        self.and(StepAction::Finish(None))
    }

    /// Ends the instance, with a word for people that says how: `charged`, say. Lists of instances show it. It has 1 to
    /// [`WORK_NAME_BYTES_MAX`](crate::limits::WORK_NAME_BYTES_MAX) bytes and no control character.
    pub fn finish_as(self, how: impl Into<String>) -> Self {
        self.and(StepAction::Finish(Some(how.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_step_are_its_own() {
        let of = |process: &str, instance: &str, input: u128| StepContext {
            now: Timestamp::UNIX_EPOCH,
            tenant: TenantId::new("acme").unwrap(),
            process: process.to_owned(),
            instance: instance.to_owned(),
            input_id: Uuid::from_u128(input),
        };
        let id = of("payment", "42", 7).id(0);
        assert_eq!(id, of("payment", "42", 7).id(0), "taken again it is the same");
        // Two processes are given the same event, each for its instance 42.
        let others = [of("delivery", "42", 7), of("payment", "43", 7), of("payment", "42", 8)];
        assert!(others.iter().all(|other| other.id(0) != id) && of("payment", "42", 7).id(1) != id);
    }
}
