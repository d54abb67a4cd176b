use serde::{Deserialize, Serialize};

use crate::ports::ParkedEvent;
use crate::words::limits::{SKIP_BY_BYTES_MAX, SKIP_WHY_BYTES_MAX, SKIPPED_EVENTS_MAX};
use crate::words::{Error, Json, Position, Timestamp};

/// That a generation of a view does not go on from its checkpoint, since when, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewStop {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    #[serde(flatten)]
    pub cause: StopCause,
}

/// Why a view does not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum StopCause {
    /// An event that it cannot take.
    Event {
        /// The event, as it would be passed over.
        event: ParkedEvent,
        /// Whether the event itself is at fault, so that it can be skipped. Another program may take one of a
        /// newer version, or one in an encoding that this one does not read; and a stored row that does not fit
        /// is no fault of the event that changes it.
        is_of_event: bool,
    },
    /// A failure that a repeat does not mend.
    Failure {
        /// What failed.
        reason: String,
    },
}

impl ViewStop {
    /// For adapters: reads what was stored. A cause that is not known, since a newer program stored it, is a
    /// failure: processes of both work on one store during a deploy.
    ///
    /// # Errors
    /// What serde says of the place that does not fit.
    pub fn from_stored(text: &Json) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct OfAnyCause {
            since: Timestamp,
            cause: String,
        }
        text.decode().or_else(|unknown| {
            let OfAnyCause { since, cause } = text.decode()?;
            if ["event", "failure"].contains(&cause.as_str()) {
                return Err(unknown);
            }
            let reason = format!("a newer program says of cause {cause:?}: {}", text.as_str());
            Ok(Self { since, cause: StopCause::Failure { reason } })
        })
    }

    /// The event it stopped at.
    #[must_use]
    pub fn event(&self) -> Option<&ParkedEvent> {
        match &self.cause {
            StopCause::Event { event, .. } => Some(event),
            StopCause::Failure { .. } => None,
        }
    }

    /// Whether it is the same stop as another one, whoever noticed it, and when.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.cause, &other.cause) {
            (StopCause::Event { event, .. }, StopCause::Event { event: other, .. }) => {
                (event.position, event.event_id) == (other.position, other.event_id)
            }
            (cause, other) => cause == other,
        }
    }
}

/// What a person orders where a view, or a rebuild of it, is stopped at an event: to pass over that event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkipOrder {
    /// The event's place in the log.
    pub position: Position,
    /// Who orders it: 1 to [`SKIP_BY_BYTES_MAX`] bytes.
    pub by: String,
    /// Why: 1 to [`SKIP_WHY_BYTES_MAX`] bytes.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// An event that a view passes over because a person ordered it. It is remembered for as long as there is
/// the view, whatever generation is read: a rebuild that cannot take the event passes over it too, and one
/// that can folds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedEvent {
    /// The event, with the reason why the view could not take it.
    #[serde(flatten)]
    pub event: ParkedEvent,
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

impl SkippedEvent {
    /// Whether it is this event that was skipped.
    #[must_use]
    pub fn is_of(&self, event: &ParkedEvent) -> bool {
        (self.event.position, self.event.event_id) == (event.position, event.event_id)
    }
}

impl SkipOrder {
    /// Checks what can be checked without the view. Adapters call it first.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the limit.
    pub fn validate(&self) -> Result<(), Error> {
        for (what, text, limit, max) in [
            ("who skips an event", &self.by, "SKIP_BY_BYTES_MAX", SKIP_BY_BYTES_MAX),
            ("why an event is skipped", &self.why, "SKIP_WHY_BYTES_MAX", SKIP_WHY_BYTES_MAX),
        ] {
            if text.trim().is_empty() || text.len() > max || text.contains(char::is_control) {
                return Err(Error::invalid(format!(
                    "{what} is said in 1 to {limit} = {max} bytes without control characters, this has {}",
                    text.len()
                )));
            }
        }
        Ok(())
    }

    /// Whether a generation is stopped at the event that is to be skipped. Adapters look first at the one that is read,
    /// then at the one that is built: a rebuild may be stopped at an event that the view came past long ago.
    #[must_use]
    pub fn is_about(&self, stop: Option<&ViewStop>) -> bool {
        stop.and_then(ViewStop::event).is_some_and(|event| event.position == self.position)
    }

    /// The event that is skipped, where a view stands at `at`, has stopped there by `stop`, and has skipped
    /// `skipped` before. Adapters ask it in the transaction that stores the answer. One that was skipped before,
    /// while another generation was read, is answered as it is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says where the view stands, where it is not stopped at this event, or has
    /// stopped at it for another reason than the event itself, or has skipped as many as are kept.
    pub fn of(
        &self,
        view: &str,
        at: Position,
        stop: Option<&ViewStop>,
        skipped: &[SkippedEvent],
    ) -> Result<SkippedEvent, Error> {
        let position = self.position;
        let refused = |reason: String| Err(Error::invalid(reason));
        match stop.map(|stop| &stop.cause) {
            Some(StopCause::Event { event, is_of_event }) if event.position == position => {
                if !is_of_event {
                    return refused(format!(
                        "view {view} is stopped at position {position}, but the event is not at fault, so it \
                         cannot be skipped: {}",
                        event.reason
                    ));
                }
                // Another generation was stopped at it too.
                if let Some(known) = skipped.iter().find(|known| known.is_of(event)) {
                    return Ok(known.clone());
                }
                if skipped.len() >= SKIPPED_EVENTS_MAX {
                    return refused(format!(
                        "view {view} has skipped SKIPPED_EVENTS_MAX = {SKIPPED_EVENTS_MAX} events; rebuild it by a \
                         program that can take them"
                    ));
                }
                let (by, why, at) = (self.by.clone(), self.why.clone(), self.at);
                Ok(SkippedEvent { event: event.clone(), by, why, at })
            }
            Some(StopCause::Event { event, .. }) => refused(format!(
                "view {view} is not stopped at position {position}, but at position {}",
                event.position
            )),
            Some(StopCause::Failure { reason }) => refused(format!(
                "view {view} is not stopped at an event, but by a failure at position {at}: {reason}"
            )),
            None => match skipped.iter().find(|skipped| skipped.event.position == position) {
                Some(skipped) => refused(format!(
                    "view {view} stands at position {at} and is not stopped; {} skipped position {position} at {} \
                     ({})",
                    skipped.by, skipped.at, skipped.why
                )),
                None => refused(format!(
                    "view {view} stands at position {at} and is not stopped at position {position}, nor is what is \
                     built of it"
                )),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_a_newer_program_stored_is_a_failure_and_damage_is_damage() {
        let read = |text: &str| ViewStop::from_stored(&Json::from_stored(text));
        let known = ViewStop {
            since: Timestamp::UNIX_EPOCH,
            cause: StopCause::Failure { reason: "the disk is full".to_owned() },
        };
        assert_eq!(read(Json::encode(&known).unwrap().as_str()).unwrap(), known);
        let newer = read(r#"{"since":"2026-01-02T03:04:05Z","cause":"order","by":"ann"}"#).unwrap();
        let StopCause::Failure { reason } = newer.cause else { panic!("{newer:?}") };
        assert!(reason.contains("\"order\"") && reason.contains("ann"), "{reason}");
        for damaged in
            ["", "{}", r#"{"cause":"order"}"#, r#"{"since":"2026-01-02T03:04:05Z","cause":"event"}"#]
        {
            assert!(read(damaged).is_err(), "{damaged}");
        }
    }
}
