//! The word for where a follower of the log stands, which every process and every door says.

use std::fmt;

use serde::Serialize;
use underlay_core::{ParkedEvent, Position, StopCause, ViewStop};

use super::SubscriptionState;

/// The word for where a view, a process or a pump stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FollowerStatus {
    /// It is behind the head of the log, and comes on.
    CatchingUp,
    /// It is at the head of the log.
    Live,
    /// An event stopped it. It waits for a person.
    Paused,
    /// A failure stopped it, or what it has stored is of another definition or another log. It waits for a person.
    Failed,
    /// The rows of a view are of another definition, and are built anew by this one.
    Rebuilding,
    /// No process keeps it.
    NotRunning,
}

impl FollowerStatus {
    /// Every status.
    pub(crate) const ALL: [Self; 6] =
        [Self::CatchingUp, Self::Live, Self::Paused, Self::Failed, Self::Rebuilding, Self::NotRunning];

    /// The word for it, as programs are told it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Rebuilding => "rebuilding",
            Self::NotRunning => "not_running",
        }
    }

    /// Whether it waits for a person.
    #[must_use]
    pub fn is_stopped(self) -> bool {
        matches!(self, Self::Paused | Self::Failed)
    }

    /// The word for a follower that nothing refuses, and why it does not go on.
    ///
    /// `stop` is the word it left in the store, as people are told it. `runner` is what its runner in this process
    /// says of itself. `is_kept` says whether a process keeps it, as far as anybody knows.
    pub(crate) fn of(
        stop: Option<(&ViewStop, String)>,
        runner: Option<(SubscriptionState, Option<&str>)>,
        is_kept: bool,
        is_behind: bool,
    ) -> (Self, Option<String>) {
        if let Some((stop, told)) = stop {
            return match stop.cause {
                StopCause::Event { .. } => (Self::Paused, Some(told)),
                StopCause::Failure { .. } => (Self::Failed, Some(told)),
            };
        }
        let status = match runner.map(|(state, _)| state) {
            Some(SubscriptionState::Paused) => Self::Paused,
            Some(SubscriptionState::Failed) => Self::Failed,
            Some(SubscriptionState::Live) => Self::Live,
            Some(SubscriptionState::CatchingUp) => Self::CatchingUp,
            // What stands by knows no more than the store.
            None | Some(SubscriptionState::Standby) => {
                return match (is_kept, is_behind) {
                    (false, _) => (Self::NotRunning, None),
                    (true, true) => (Self::CatchingUp, None),
                    (true, false) => (Self::Live, None),
                };
            }
        };
        (status, runner.and_then(|(_, error)| error).map(str::to_owned))
    }
}

impl fmt::Display for FollowerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CatchingUp => "catching up",
            Self::Live => "live",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Rebuilding => "rebuilding",
            Self::NotRunning => "not running",
        })
    }
}

/// Whether a runner that goes on is past what stopped it: the store hears so in a moment.
pub(crate) fn is_past(stop: &ViewStop, state: SubscriptionState, position: Position) -> bool {
    match stop.event() {
        Some(event) => position >= event.position,
        None => state == SubscriptionState::Live,
    }
}

/// What people are told of an event that a view or a process cannot take.
pub(crate) fn told_of(event: &ParkedEvent) -> String {
    let ParkedEvent { position, stream, version, tenant, reason, .. } = event;
    format!("event at position {position} ({stream}, version {version}) of tenant {tenant}: {reason}")
}
