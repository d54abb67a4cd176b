//! Where every pump stands: one computation, which every door tells.

use std::fmt;

use serde::Serialize;
use underlay_core::{Error, Position, StopCause, StoredCheckpoint, ViewStop};

use super::Pumps;
use super::place::{Kept, checkpoint_name};
use super::pump::PumpState;
use crate::subscription::SubscriptionState;

/// The word for where a pump stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PumpStatus {
    /// It is behind the head of the log, and comes on.
    CatchingUp,
    /// It is at the head of the log.
    Live,
    /// Its sink cannot take a batch. It waits for a person, and tries again from time to time.
    Paused,
    /// A failure stopped it, or its checkpoint is of another log. It waits for a person.
    Failed,
    /// No process keeps it.
    NotRunning,
}

impl PumpStatus {
    /// Whether it waits for a person.
    #[must_use]
    pub fn is_stopped(self) -> bool {
        matches!(self, Self::Paused | Self::Failed)
    }
}

impl fmt::Display for PumpStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CatchingUp => "catching up",
            Self::Live => "live",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::NotRunning => "not running",
        })
    }
}

/// Where a pump stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PumpStanding {
    /// The pump.
    pub pump: String,
    /// The word for it.
    pub status: PumpStatus,
    /// Its sink has taken every event at or below it.
    pub position: Position,
    /// How many positions the head of the log is beyond that.
    pub behind: u64,
    /// The process that keeps it; none where none does, or where every process may.
    pub held_by: Option<String>,
    /// What stopped it, and since when.
    pub stop: Option<ViewStop>,
    /// Why it does not go on, or what is being tried again.
    pub problem: Option<String>,
}

impl Pumps {
    /// Where every pump stands, by name; `head` was read before.
    pub(crate) async fn standings(&self, head: Position) -> Result<Vec<PumpStanding>, Error> {
        let Some(work) = &self.work else { return Ok(Vec::new()) };
        let here = self.states();
        let mut standings = Vec::new();
        for name in self.sinks.keys() {
            let stored = work.checkpoints.find_checkpoint(&checkpoint_name(name)).await?;
            let held_by = match &work.leases {
                Some(leases) => leases.find(&checkpoint_name(name)).await?.map(|lease| lease.holder),
                None => None,
            };
            let refused = match &stored {
                Some(stored) => match self.check_checkpoint(name, &stored.checkpoint).await {
                    Ok(()) => None,
                    Err(refused @ Error::CheckpointRefused(_)) => Some(refused.to_string()),
                    Err(error) => return Err(error),
                },
                None => None,
            };
            let runner = here.iter().find(|state| state.name == **name);
            standings.push(standing(
                name,
                stored.as_ref(),
                refused,
                held_by,
                head,
                runner,
                work.leases.is_some(),
            ));
        }
        Ok(standings)
    }
}

/// The one computation.
fn standing(
    pump: &str,
    stored: Option<&StoredCheckpoint>,
    refused: Option<String>,
    held_by: Option<String>,
    head: Position,
    runner: Option<&PumpState>,
    has_leases: bool,
) -> PumpStanding {
    // What stands by knows no more than the store.
    let runner = runner.filter(|runner| runner.status != SubscriptionState::Standby);
    let follows = runner.filter(|runner| !runner.status.is_stopped());
    let at = stored.map_or(Position::START, |stored| stored.checkpoint.position);
    let position = follows.map_or(at, |runner| runner.position.max(at));
    let kept = stored.and_then(|stored| Kept::of(pump, stored).ok()).unwrap_or_default();
    let stop = kept.stop.filter(|_| position == at);
    let (status, problem) = match (refused, &stop) {
        (Some(refused), _) => (PumpStatus::Failed, Some(refused)),
        (None, Some(stop)) => match &stop.cause {
            StopCause::Event { event, .. } => (
                PumpStatus::Paused,
                Some(format!("the batch that begins at position {}: {}", event.position, event.reason)),
            ),
            StopCause::Failure { reason } => (PumpStatus::Failed, Some(reason.clone())),
        },
        (None, None) => {
            let error = runner.and_then(|runner| runner.error.clone());
            match runner.map(|runner| runner.status) {
                Some(SubscriptionState::Paused) => (PumpStatus::Paused, error),
                Some(SubscriptionState::Failed) => (PumpStatus::Failed, error),
                Some(SubscriptionState::Live) => (PumpStatus::Live, error),
                Some(SubscriptionState::CatchingUp) => (PumpStatus::CatchingUp, error),
                _ if has_leases && held_by.is_none() => (PumpStatus::NotRunning, None),
                _ if position < head => (PumpStatus::CatchingUp, None),
                _ => (PumpStatus::Live, None),
            }
        }
    };
    PumpStanding {
        pump: pump.to_owned(),
        status,
        position,
        behind: head.number().saturating_sub(position.number()),
        held_by,
        stop,
        problem,
    }
}
