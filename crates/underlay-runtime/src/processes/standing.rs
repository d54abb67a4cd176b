//! Where every process stands with the log, in whatever program it is followed.

use serde::Serialize;
use underlay_core::{Error, Position, ViewStop};

use super::Processes;
use super::definition::Kept;
use super::entry::ProcessEntry;
use super::follower::{ProcessState, checkpoint_name};
use crate::ViewStatus;
use crate::subscription::SubscriptionState;

/// Where a process stands with the log. The words are those of views.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessStanding {
    /// The process.
    pub process: String,
    /// The word for it.
    pub status: ViewStatus,
    /// Every event at or below it was given to its instance.
    pub position: Position,
    /// How many positions the head of the log is beyond that.
    pub behind: u64,
    /// The program that follows the log for it; none where none does, or where every program may.
    pub followed_by: Option<String>,
    /// The event or the failure that stopped it, and since when.
    pub stop: Option<ViewStop>,
    /// Why it does not go on, with what mends it.
    pub problem: Option<String>,
}

impl Processes {
    /// What the followers in this program are doing, by name.
    pub(crate) fn states(&self) -> Vec<ProcessState> {
        let mut states: Vec<ProcessState> =
            self.followers().values().map(|follower| follower.state.borrow().clone()).collect();
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }

    /// As [`Engine::process_standings`](crate::Engine::process_standings).
    pub(crate) async fn standings(&self) -> Result<Vec<ProcessStanding>, Error> {
        let mut standings = Vec::new();
        let here = self.states();
        for entry in self.entries.values() {
            let runner = here.iter().find(|state| state.name == entry.name());
            standings.push(self.standing(&**entry, runner).await?);
        }
        Ok(standings)
    }

    async fn standing(
        &self,
        entry: &dyn ProcessEntry,
        here: Option<&ProcessState>,
    ) -> Result<ProcessStanding, Error> {
        let process = entry.name();
        let stored = self.find(process).await?;
        // Read after the checkpoint, so that no process is beyond it.
        let head = self.store.head().await?;
        let stop = match &stored {
            Some(stored) => Kept::of(process, stored)?.stop,
            None => None,
        };
        let refused = match self.check_place(entry).await {
            Ok(_) => None,
            Err(error @ (Error::CheckpointRefused(_) | Error::Invalid(_))) => Some(error.to_string()),
            Err(error) => return Err(error),
        };
        let followed_by = match &self.work.leases {
            Some(leases) => leases.find(&checkpoint_name(process)).await?.map(|lease| lease.holder),
            None => None,
        };
        let stored = stored.map_or(Position::START, |stored| stored.checkpoint.position);
        // What this program has seen and not stored yet is no event of the process.
        let works = here
            .filter(|state| matches!(state.status, SubscriptionState::Live | SubscriptionState::CatchingUp));
        let position = works.map_or(stored, |state| state.position.max(stored));
        let behind = head.number().saturating_sub(position.number());
        let status = match (&stop, &refused) {
            (_, Some(_)) => ViewStatus::Failed,
            (Some(stop), None) if stop.event().is_some() => ViewStatus::Paused,
            (Some(_), None) => ViewStatus::Failed,
            (None, None) if self.work.leases.is_some() && followed_by.is_none() => ViewStatus::NotRunning,
            (None, None) if behind == 0 => ViewStatus::Live,
            (None, None) => ViewStatus::CatchingUp,
        };
        let told = stop.as_ref().map(|stop| self.problem(process, stop));
        let tried = here.and_then(|state| state.error.clone());
        let problem = refused.or(told).or(tried);
        Ok(ProcessStanding {
            process: process.to_owned(),
            status,
            position,
            behind,
            followed_by,
            stop,
            problem,
        })
    }

    fn problem(&self, process: &str, stop: &ViewStop) -> String {
        let program = &self.config.program;
        let what = match &stop.cause {
            underlay_core::StopCause::Event { event, .. } => format!(
                "event at position {} ({}, version {}) of tenant {}: {}",
                event.position, event.stream, event.version, event.tenant, event.reason
            ),
            underlay_core::StopCause::Failure { reason } => reason.clone(),
        };
        format!(
            "{what}; `{program} process retry {process}` tries again, once a program is there that can take it"
        )
    }
}
