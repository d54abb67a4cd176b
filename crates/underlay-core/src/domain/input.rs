use serde::{Deserialize, Serialize};

use crate::domain::CommandOutcome;
use crate::words::{CommitId, Error, EventId, Json, NewWork, StreamName, Timestamp, Version, WorkKind};

/// What waits in a store for an instance of a process: the payload of work of the kinds [`WorkKind::Input`] and
/// [`WorkKind::Timer`]. The receiver of the work is the process, its key is the instance. Its JSON form is stored: a
/// field that is not known is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
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
    /// An event that the process could not take when it came, and has passed over. It is a dead letter until a
    /// person replays it; then the process looks again which instance it is for.
    Parked {
        /// The stream of the event.
        stream: StreamName,
        /// The place of the event in the stream.
        version: Version,
        /// The identity of the event.
        event_id: EventId,
        /// Why it could not be taken.
        reason: String,
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
            Self::Parked { .. } => (WorkKind::Input, "parked", None),
            Self::Outcome { name, .. } => (WorkKind::Input, name.as_str(), None),
            Self::Timer { name, due_at, .. } => (WorkKind::Timer, name.as_str(), Some(*due_at)),
        };
        let mut work = NewWork::new(kind, process, instance, name, Json::encode(self)?);
        work.due_at = due_at;
        Ok(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Payload;

    #[test]
    fn an_input_survives_being_stored() {
        let refused = CommandOutcome::Refused {
            code: "too-poor".to_owned(),
            message: "There is not enough.".to_owned(),
            body: Json::encode(&serde_json::json!({ "missing": 3 })).unwrap(),
        };
        let inputs = [
            StoredInput::Event {
                stream: StreamName::parse("account-1").unwrap(),
                version: Version(3),
                event_id: EventId::draw(),
            },
            StoredInput::Outcome {
                name: "reserve".to_owned(),
                command_id: CommitId::draw(),
                outcome: refused,
            },
            StoredInput::Outcome {
                name: "reserve".to_owned(),
                command_id: CommitId::draw(),
                outcome: CommandOutcome::Accepted,
            },
            StoredInput::Timer {
                name: "deadline".to_owned(),
                due_at: Timestamp::UNIX_EPOCH,
                set_by: Version(1),
            },
        ];
        for input in inputs {
            let work = input.work("payment", "42").unwrap();
            let read = Payload::json(&work.payload).unwrap().decode::<StoredInput>();
            assert_eq!(read.unwrap(), input);
        }
    }
}
