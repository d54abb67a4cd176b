//! Where a process is in the log: its checkpoint, the definition beside it, and what a change of that means.

use std::collections::HashMap;

use underlay_core::{
    Category, Checkpoint, Error, EventStoreExt, LeaseTerm, LogFilter, LogScope, Position, ProcessStart,
    StoredCheckpoint, StreamName, TenantId,
};

use super::Processes;
use super::definition::{Definition, Fit, Kept};
use super::entry::ProcessEntry;
use super::follower::{Place, checkpoint_name};
use super::instance::{StepTaken, category_of};

/// Steps that are looked at for instances in flight, where a definition changed.
const STEPS_SEEN_MAX: usize = 10_000;
/// Steps in one page of that.
const PAGE_STEPS: usize = 1_000;

impl Processes {
    /// The stored checkpoint of a process.
    pub(super) async fn find(&self, process: &str) -> Result<Option<StoredCheckpoint>, Error> {
        self.work.checkpoints.find_checkpoint(&checkpoint_name(process)).await
    }

    /// Finds the place of a process, or makes it where the process is new.
    pub(super) async fn open(&self, entry: &dyn ProcessEntry) -> Result<Place, Error> {
        if let Some(place) = self.check_place(entry).await? {
            return Ok(place);
        }
        let kept = Kept { definition: entry.definition(), stop: None };
        let checkpoint = self.start_of(entry.starts()).await?;
        let to = StoredCheckpoint { checkpoint, definition: kept.to_json()? };
        self.work.checkpoints.move_checkpoint(&checkpoint_name(entry.name()), None, &to, None).await?;
        Ok(Place::new(to, kept))
    }

    async fn start_of(&self, start: ProcessStart) -> Result<Checkpoint, Error> {
        let checkpoint = Checkpoint::start(self.store.store_id());
        Ok(match start {
            ProcessStart::Beginning => checkpoint,
            ProcessStart::Now => {
                let position = self.store.head().await?;
                Checkpoint { position, event_id: self.store.event_id_at(position).await?, ..checkpoint }
            }
        })
    }

    /// The stored place of a process, where this program may go on from there; `None` where the process is new.
    ///
    /// # Errors
    /// [`Error::CheckpointRefused`]; [`Error::Invalid`] that says what to do about a definition that changed.
    pub(super) async fn check_place(&self, entry: &dyn ProcessEntry) -> Result<Option<Place>, Error> {
        let process = entry.name();
        let Some(stored) = self.find(process).await? else { return Ok(None) };
        self.check_checkpoint(process, &stored.checkpoint).await?;
        let kept = Kept::of(process, &stored)?;
        self.check_definition(entry, &kept.definition).await?;
        Ok(Some(Place::new(stored, kept)))
    }

    /// Refuses a checkpoint that does not fit the log.
    pub(super) async fn check_checkpoint(&self, process: &str, checkpoint: &Checkpoint) -> Result<(), Error> {
        let repair = format!("{} process restart {process}", self.config.program);
        self.store.check_checkpoint(&format!("process {process}"), checkpoint, &repair).await
    }

    /// Refuses a definition that instances in flight cannot go on with.
    async fn check_definition(&self, entry: &dyn ProcessEntry, stored: &Definition) -> Result<(), Error> {
        let (process, version) = (entry.name(), entry.version());
        match entry.definition().fit(stored) {
            Fit::Same => Ok(()),
            Fit::Older => Err(Error::invalid(format!(
                "process {process} is at version {} in the store and {version} in this program: the program of that \
                 version follows the log for it",
                stored.version
            ))),
            Fit::Newer => match self.in_flight(entry, true).await? {
                None => Ok(()),
                Some((stream, reason)) => Err(Error::invalid(format!(
                    "process {process} is of version {version} now, and cannot go on with instances in flight, such \
                     as {stream}: {reason}"
                ))),
            },
            Fit::Changed(what) => match self.in_flight(entry, false).await? {
                None => Ok(()),
                Some((stream, _)) => Err(Error::invalid(format!(
                    "process {process} changed while instances are in flight, such as {stream}, and its version is \
                     still {version}: {what}. Raise `VERSION` to {} and lift older states in `Process::upcast`, or \
                     take the change back",
                    version + 1
                ))),
            },
        }
    }

    /// An instance that is in flight, of those whose steps are the first in the log: any, or one whose state cannot be
    /// read by this program, and why.
    async fn in_flight(
        &self,
        entry: &dyn ProcessEntry,
        unreadable_alone: bool,
    ) -> Result<Option<(StreamName, String)>, Error> {
        let filter = LogFilter {
            categories: vec![Category::new(category_of(entry.name()))?],
            event_types: Vec::new(),
        };
        let mut last: HashMap<(TenantId, StreamName), StepTaken> = HashMap::new();
        let (mut after, mut seen, mut is_whole) = (Position::START, 0, false);
        let mut seen_last = None;
        while seen < STEPS_SEEN_MAX && !is_whole {
            let page = self.store.read_all(&LogScope::EveryTenant, after, &filter, PAGE_STEPS).await?;
            seen += page.events.len();
            (after, is_whole) = (page.scanned_to, page.at_head);
            for event in page.events {
                seen_last = Some(event.stream.clone());
                let step = event.payload.json().ok().and_then(|json| json.decode::<StepTaken>().ok());
                if let Some(step) = step {
                    last.insert((event.tenant, event.stream), step);
                }
            }
        }
        let problem = |step: &StepTaken| match (&step.state, unreadable_alone) {
            _ if step.is_finished => None,
            (_, false) => Some(String::new()),
            (Some(state), true) => entry.check_state(state).err().map(|fault| fault.reason),
            (None, true) => None,
        };
        for ((tenant, stream), step) in last {
            if problem(&step).is_none() {
                continue;
            }
            // Beyond what was looked at it may have gone on.
            let now = self.read_instance(&tenant, &stream).await?;
            if let Some(reason) = now.last.as_ref().and_then(problem) {
                return Ok(Some((stream, reason)));
            }
        }
        // Beyond what was looked at there may be others.
        Ok(seen_last.filter(|_| !is_whole && !unreadable_alone).map(|stream| (stream, String::new())))
    }

    /// Moves the checkpoint of a process, with what is kept beside it.
    pub(super) async fn move_to(
        &self,
        process: &str,
        from: &StoredCheckpoint,
        to: Checkpoint,
        kept: &Kept,
        lease: Option<&LeaseTerm>,
    ) -> Result<StoredCheckpoint, Error> {
        let to = StoredCheckpoint { checkpoint: to, definition: kept.to_json()? };
        let name = checkpoint_name(process);
        self.work.checkpoints.move_checkpoint(&name, Some(&from.checkpoint), &to, lease).await?;
        Ok(to)
    }

    /// As [`Engine::retry_process`](crate::Engine::retry_process).
    pub(crate) async fn retry(&self, process: &str) -> Result<bool, Error> {
        self.find_entry(process)?;
        let Some(stored) = self.find(process).await? else { return Ok(false) };
        let mut kept = Kept::of(process, &stored)?;
        let was_stopped = kept.stop.take().is_some();
        if was_stopped {
            self.move_to(process, &stored, stored.checkpoint, &kept, None).await?;
        }
        self.look_again(process);
        Ok(was_stopped)
    }

    /// As [`Engine::restart_process`](crate::Engine::restart_process).
    pub(crate) async fn restart(&self, process: &str, from: ProcessStart) -> Result<Position, Error> {
        let entry = self.find_entry(process)?;
        let checkpoint = self.start_of(from).await?;
        match self.find(process).await? {
            Some(stored) => {
                let kept = Kept { stop: None, ..Kept::of(process, &stored)? };
                self.move_to(process, &stored, checkpoint, &kept, None).await?;
            }
            None => {
                let kept = Kept { definition: entry.definition(), stop: None };
                let to = StoredCheckpoint { checkpoint, definition: kept.to_json()? };
                self.work.checkpoints.move_checkpoint(&checkpoint_name(process), None, &to, None).await?;
            }
        }
        self.look_again(process);
        Ok(checkpoint.position)
    }

    fn look_again(&self, process: &str) {
        if let Some(follower) = self.followers().get(process) {
            follower.handle.look_again();
        }
    }
}
