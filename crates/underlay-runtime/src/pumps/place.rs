//! Where a pump is in the log: its checkpoint, and beside it the word that it left where it stopped.

use serde::{Deserialize, Serialize};
use underlay_core::{
    Checkpoint, Error, EventStoreExt, Json, LeaseTerm, LogFilter, LogScope, Position, ProcessStart,
    StoredCheckpoint, ViewStop,
};

use super::{Pumps, RewindTo};
use crate::WorkPorts;

/// The checkpoint and the lease of a pump.
pub(super) fn checkpoint_name(pump: &str) -> String {
    format!("pump:{pump}")
}

/// What is stored beside a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What stopped the pump there; none where it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stop: Option<ViewStop>,
}

impl Kept {
    pub(super) fn of(pump: &str, stored: &StoredCheckpoint) -> Result<Self, Error> {
        stored.definition.decode().map_err(|error| {
            Error::Damaged(format!("what is kept beside the checkpoint of pump {pump}: {error}"))
        })
    }
}

/// Where a pump is in the log.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) stored: Checkpoint,
    pub(super) kept: Kept,
    /// As far as the log was looked at; at or beyond `stored`.
    pub(super) scanned: Checkpoint,
}

impl Pumps {
    /// Finds the place of a pump, or makes it where the pump is new.
    pub(super) async fn open(
        &self,
        work: &WorkPorts,
        pump: &str,
        start: ProcessStart,
    ) -> Result<Place, Error> {
        if let Some(place) = self.check_place(work, pump).await? {
            return Ok(place);
        }
        let checkpoint = self.start_of(start).await?;
        self.move_to(work, pump, None, checkpoint, &Kept::default(), None).await?;
        Ok(Place { stored: checkpoint, kept: Kept::default(), scanned: checkpoint })
    }

    /// The stored place of a pump; `None` where the pump is new.
    ///
    /// # Errors
    /// [`Error::CheckpointRefused`] where it does not fit the log.
    pub(super) async fn check_place(&self, work: &WorkPorts, pump: &str) -> Result<Option<Place>, Error> {
        let stored = work.checkpoints.find_checkpoint(&checkpoint_name(pump)).await?;
        let Some(stored) = stored else { return Ok(None) };
        self.check_checkpoint(pump, &stored.checkpoint).await?;
        let kept = Kept::of(pump, &stored)?;
        Ok(Some(Place { stored: stored.checkpoint, kept, scanned: stored.checkpoint }))
    }

    /// Refuses a checkpoint that does not fit the log.
    pub(super) async fn check_checkpoint(&self, pump: &str, checkpoint: &Checkpoint) -> Result<(), Error> {
        let repair = format!("{} pump rewind {pump} --to start|end|POSITION", self.config.program);
        self.store.check_checkpoint(&format!("pump {pump}"), checkpoint, &repair).await
    }

    pub(super) async fn start_of(&self, start: ProcessStart) -> Result<Checkpoint, Error> {
        match start {
            ProcessStart::Beginning => Ok(Checkpoint::start(self.store.store_id())),
            ProcessStart::Now => self.checkpoint_at(self.store.head().await?).await,
        }
    }

    /// A checkpoint at a position of the log.
    pub(super) async fn checkpoint_at(&self, position: Position) -> Result<Checkpoint, Error> {
        let start = Checkpoint::start(self.store.store_id());
        if position == Position::START {
            return Ok(start);
        }
        let event_id = self.store.event_id_at(position).await?;
        let event_id = event_id.ok_or_else(|| {
            Error::invalid(format!("the log has no event at position {position}; it ends before"))
        })?;
        Ok(Checkpoint { position, event_id: Some(event_id), ..start })
    }

    /// Moves the checkpoint of a pump, with what is kept beside it.
    pub(super) async fn move_to(
        &self,
        work: &WorkPorts,
        pump: &str,
        from: Option<&Checkpoint>,
        to: Checkpoint,
        kept: &Kept,
        lease: Option<&LeaseTerm>,
    ) -> Result<(), Error> {
        let to = StoredCheckpoint { checkpoint: to, definition: Json::encode(kept)? };
        work.checkpoints.move_checkpoint(&checkpoint_name(pump), from, &to, lease).await
    }

    /// As [`Engine::retry_pump`](crate::Engine::retry_pump).
    pub(crate) async fn retry(&self, pump: &str) -> Result<bool, Error> {
        let (_, work) = self.find_sink(pump)?;
        let stored = work.checkpoints.find_checkpoint(&checkpoint_name(pump)).await?;
        let Some(stored) = stored else { return Ok(false) };
        let was_stopped = Kept::of(pump, &stored)?.stop.is_some();
        if was_stopped {
            let at = stored.checkpoint;
            self.move_to(work, pump, Some(&at), at, &Kept::default(), None).await?;
        }
        self.look_again(pump);
        Ok(was_stopped)
    }

    /// As [`Engine::rewind_pump`](crate::Engine::rewind_pump).
    pub(crate) async fn rewind(&self, pump: &str, to: RewindTo) -> Result<Position, Error> {
        let (_, work) = self.find_sink(pump)?;
        let to = match to {
            RewindTo::Start(start) => self.start_of(start).await?,
            RewindTo::Position(position) => self.checkpoint_at(self.end_of_commit(position).await?).await?,
        };
        let stored = work.checkpoints.find_checkpoint(&checkpoint_name(pump)).await?;
        let from = stored.map(|stored| stored.checkpoint);
        self.move_to(work, pump, from.as_ref(), to, &Kept::default(), None).await?;
        tracing::warn!(pump, position = %to.position, "a pump was moved by order of a person");
        self.look_again(pump);
        Ok(to.position)
    }

    /// The end of the commit that has the event at a position.
    async fn end_of_commit(&self, position: Position) -> Result<Position, Error> {
        let Some(before) = position.number().checked_sub(1) else { return Ok(position) };
        let (scope, filter) = (LogScope::EveryTenant, LogFilter::default());
        let page = self.store.read_all(&scope, Position::from_number(before), &filter, 1).await?;
        Ok(page.events.last().map_or(position, |last| last.position))
    }
}
