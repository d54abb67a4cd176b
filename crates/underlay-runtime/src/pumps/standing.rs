//! Where every pump stands: one computation, which every door tells.

use serde::Serialize;
use underlay_core::{Error, Position, StopCause, StoredCheckpoint, ViewStop};

use super::Pumps;
use super::place::{Kept, checkpoint_name};
use super::pump::PumpState;
use crate::ViewStatus;
use crate::subscription::SubscriptionState;

/// Where a pump stands. The words are those of views.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PumpStanding {
    /// The pump.
    pub pump: String,
    /// The word for it.
    pub status: ViewStatus,
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
        (Some(refused), _) => (ViewStatus::Failed, Some(refused)),
        (None, Some(stop)) => match &stop.cause {
            StopCause::Event { event, .. } => (
                ViewStatus::Paused,
                Some(format!("the batch that begins at position {}: {}", event.position, event.reason)),
            ),
            StopCause::Failure { reason } => (ViewStatus::Failed, Some(reason.clone())),
        },
        (None, None) => {
            let error = runner.and_then(|runner| runner.error.clone());
            match runner.map(|runner| runner.status) {
                Some(SubscriptionState::Paused) => (ViewStatus::Paused, error),
                Some(SubscriptionState::Failed) => (ViewStatus::Failed, error),
                Some(SubscriptionState::Live) => (ViewStatus::Live, error),
                Some(SubscriptionState::CatchingUp) => (ViewStatus::CatchingUp, error),
                _ if has_leases && held_by.is_none() => (ViewStatus::NotRunning, None),
                _ if position < head => (ViewStatus::CatchingUp, None),
                _ => (ViewStatus::Live, None),
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
