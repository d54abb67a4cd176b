use serde::{Deserialize, Serialize};

use crate::domain::CommandOutcome;
use crate::words::{CommitId, Error, EventId, Json, NewWork, StreamName, Timestamp, Version, WorkKind};

/// What waits in a store for an instance of a process: the payload of work of the kinds [`WorkKind::Input`] and
/// [`WorkKind::Timer`]. The receiver of the work is the process, its key is the instance. Its JSON form is stored: a
/// field that is not known is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case", deny_unknown_fields)]
pub enum StoredInput {
    /// Something happened. The event itself stays in the log.
    Event {
        /// The stream of the event.
        stream: StreamName,
        /// The place of the event in the stream.
        version: Version,
        /// The identity of the event.
        event_id: EventId,
    },
    /// A command that the instance sent has ended.
    Outcome {
        /// What the process calls the command.
        name: String,
        /// The identity of the command; it tells the command from an earlier one of the same name.
        command_id: CommitId,
        /// How it ended.
        outcome: CommandOutcome,
    },
    /// A timer of the instance.
    Timer {
        /// What the process calls the timer.
        name: String,
        /// When it is due.
        due_at: Timestamp,
        /// The version of the instance's stream that the timer was set by; it tells the timer from one that was
        /// replaced.
        set_by: Version,
    },
}

impl StoredInput {
    /// The piece of work that brings it to an instance.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it has no JSON form.
    pub fn work(&self, process: &str, instance: &str) -> Result<NewWork, Error> {
        let (kind, name, due_at) = match self {
            Self::Event { .. } => (WorkKind::Input, "event", None),
            Self::Outcome { name, .. } => (WorkKind::Input, name.as_str(), None),
            Self::Timer { name, due_at, .. } => (WorkKind::Timer, name.as_str(), Some(*due_at)),
        };
        let mut work = NewWork::new(kind, process, instance, name, Json::encode(self)?);
        work.due_at = due_at;
        Ok(work)
    }
}
