//! Follows the log for one process: each event that `route` names an instance for becomes an input of it.
//!
//! ```text
//!  a page of the log ─► route each event ─► inputs, by instance ─► a commit for each, in the order of the log
//!                            │                                      for an instance, side by side for others
//!                            └─ it cannot ─► Paused before it,                    │
//!                                            or parked as a dead letter           ▼
//!                                                                     the checkpoint moves
//! ```
//!
//! The commit of an input has no events: it sends the input on, and its id follows from the process, the instance
//! and the event. So whatever is done again after a crash stores nothing again. Of one instance an input is stored
//! before the next is begun, by whichever program: what one of them has stored is a beginning of the list, and the
//! other goes on after it.
//!
//! What happens when something fails: see [`subscription`](crate::subscription). A process that stops leaves word
//! beside its checkpoint, so that every program knows at which event, since when and why; a person who asks for
//! another try takes that word away. A program whose definition is older than the stored one follows nothing, and
//! looks at each poll whether it may.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use underlay_core::{
    Checkpoint, Error, LeaseTerm, LogPage, LogScope, OnFault, ParkedEvent, Position, RecordedEvent,
    StopCause, StoredCheckpoint, TenantId, ViewStop,
};

use super::Processes;
use super::definition::Kept;
use super::entry::ProcessEntry;
use super::inputs::RoutedInput;
use crate::subscription::{
    Advance, Bounds, Follower, Halt, Handle, Signals, Subscription, SubscriptionState,
};

/// Events in one page of the work.
const PAGE_EVENTS: usize = 1_000;
/// Instances whose inputs are stored side by side.
const INSTANCES_AT_ONCE: usize = 256;
/// Positions that a process may be ahead of its checkpoint where no event was for it.
const UNSTORED_POSITIONS_MAX: u64 = 10_000;

/// The checkpoint and the lease of a process.
pub(super) fn checkpoint_name(process: &str) -> String {
    format!("process:{process}")
}

/// What the follower of a process in this program is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessState {
    /// The process.
    pub name: String,
    /// Where it stands.
    pub status: SubscriptionState,
    /// Every event at or below it was given to its instance.
    pub position: Position,
    /// Why it does not go on, or what is being tried again.
    pub error: Option<String>,
}

/// What the rest of the engine knows of a follower.
#[derive(Clone, Debug)]
pub(super) struct FollowerHandle {
    pub(super) state: watch::Receiver<ProcessState>,
    pub(super) handle: Handle,
}

/// An event that a process cannot take.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "event at position {} ({}, version {}) of tenant {}: {}",
    event.position, event.stream, event.version, event.tenant, event.reason
)]
pub(super) struct ProcessFault {
    event: ParkedEvent,
    is_of_event: bool,
}

/// A follower of a process, and what the rest of the engine knows of it.
pub(super) fn new(
    processes: Arc<Processes>,
    entry: Arc<dyn ProcessEntry>,
    stopped: watch::Receiver<bool>,
) -> (Subscription<ProcessFollower>, FollowerHandle) {
    let config = &processes.config;
    let bounds = Bounds {
        leases: processes.work.leases.clone(),
        clock: processes.clock.clone(),
        holder: processes.holder.clone(),
        lease_duration: config.work_lease,
        poll_interval: config.work_poll_interval,
        backoff: config.backoff(),
    };
    let (signals, handle) = Signals::new(processes.clock.clone(), processes.wakeups.subscribe(), stopped);
    let (follower, state) = ProcessFollower::new(processes, entry);
    (Subscription::new(follower, bounds, signals), FollowerHandle { state, handle })
}

/// Where a process is in the log.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// As it is stored.
    stored: StoredCheckpoint,
    kept: Kept,
    /// As far as the log was looked at; at or beyond `stored`.
    scanned: Checkpoint,
}

impl Place {
    pub(super) fn new(stored: StoredCheckpoint, kept: Kept) -> Self {
        Self { scanned: stored.checkpoint, stored, kept }
    }
}

/// A checkpoint that a process could not go on from.
struct Refused {
    found: StoredCheckpoint,
    /// Whether the checkpoint itself did not fit the log; otherwise the definition beside it did not fit the code.
    is_checkpoint: bool,
}

impl Refused {
    fn is_same(&self, process: &str, now: Option<&StoredCheckpoint>) -> bool {
        let Some(now) = now else { return false };
        let definition = |stored| Kept::of(process, stored).ok().map(|kept| kept.definition);
        match self.is_checkpoint {
            true => now.checkpoint == self.found.checkpoint,
            false => definition(now) == definition(&self.found),
        }
    }
}

/// Gives events to the instances of a process.
pub(super) struct ProcessFollower {
    processes: Arc<Processes>,
    entry: Arc<dyn ProcessEntry>,
    name: String,
    state: watch::Sender<ProcessState>,
    /// Its place, while it has it open.
    place: Option<Place>,
    lease: Option<LeaseTerm>,
    /// Its place when it last gave up.
    left_at: Option<Place>,
    /// The word it left.
    stop: Option<ViewStop>,
    /// What it found when it could not be opened.
    refused: Option<Refused>,
    /// Every event at or below it was given to its instance, by this program or another.
    position: Position,
}

type ProcessHalt = Halt<ProcessFault>;

impl Follower for ProcessFollower {
    type Stuck = ProcessFault;

    fn name(&self) -> &str {
        &self.name
    }

    fn lease_name(&self) -> String {
        checkpoint_name(&self.name)
    }

    async fn open(&mut self, _: &mut Signals) -> Result<bool, ProcessHalt> {
        (self.place, self.lease) = (None, None);
        self.refused = None;
        let opened = self.processes.open(&*self.entry).await;
        if let Err(error) = &opened
            && let Some(found) = self.processes.find(&self.name).await?
        {
            let is_checkpoint = matches!(error, Error::CheckpointRefused(_));
            self.refused = Some(Refused { found, is_checkpoint });
        }
        let place = opened?;
        self.position = place.stored.checkpoint.position;
        self.place = Some(place);
        Ok(true)
    }

    fn work_under(&mut self, lease: Option<LeaseTerm>) {
        self.lease = lease;
    }

    async fn advance(&mut self) -> Result<Advance, ProcessHalt> {
        let mut place = self.place.take().ok_or_else(|| closed(&self.name))?;
        let advance = self.look_at_page(&mut place).await;
        self.place = Some(place);
        advance
    }

    async fn arrive(&mut self) -> Result<Duration, ProcessHalt> {
        let place = self.place.as_ref().ok_or_else(|| closed(&self.name))?;
        self.processes.check_checkpoint(&self.name, &place.scanned).await?;
        if place.kept.stop.is_some() {
            // It is past what stopped it.
            self.store_place().await?;
        }
        Ok(self.processes.config.work_poll_interval)
    }

    async fn tidy(&mut self, is_quiet: bool, _: &mut Signals) -> Result<(), ProcessHalt> {
        let place = self.place.as_ref().ok_or_else(|| closed(&self.name))?;
        if !is_quiet {
            return Ok(());
        }
        // A person may have moved it, or another program where nobody has leases.
        let now = self.processes.find(&self.name).await?;
        if now.is_none_or(|now| now.checkpoint != place.stored.checkpoint) {
            return Err(Error::CheckpointMoved { owner: format!("process {}", self.name) }.into());
        }
        if place.scanned != place.stored.checkpoint {
            self.store_place().await?;
        }
        Ok(())
    }

    async fn look_on(&mut self) -> Result<(), ProcessHalt> {
        if let Some(stored) = self.processes.find(&self.name).await? {
            self.position = stored.checkpoint.position;
        }
        Ok(())
    }

    async fn leave_word(&mut self, halt: &ProcessHalt) {
        // Of a place that could not be opened, another program may think better.
        let Some(mut place) = self.left_at.take() else { return };
        let cause = match halt {
            Halt::Stuck(fault) => {
                StopCause::Event { event: fault.event.clone(), is_of_event: fault.is_of_event }
            }
            Halt::Failed(error) => StopCause::Failure { reason: error.to_string() },
        };
        let stop = ViewStop { since: self.processes.clock.now(), cause };
        // Whoever stopped there first says since when.
        let stop = place.kept.stop.filter(|left| left.is_same(&stop)).unwrap_or(stop);
        place.kept.stop = Some(stop.clone());
        match self
            .processes
            .move_to(&self.name, &place.stored, place.stored.checkpoint, &place.kept, self.lease.as_ref())
            .await
        {
            Ok(_) => self.stop = Some(stop),
            Err(error) => tracing::debug!(process = self.name, %error, "saying that the process stopped"),
        }
    }

    fn abandon(&mut self) {
        self.stop = None;
        self.left_at = self.place.take();
    }

    async fn is_mended(&mut self) -> bool {
        let now = match self.processes.find(&self.name).await {
            Ok(now) => now,
            Err(error) => {
                tracing::debug!(process = self.name, %error, "looking whether it was mended");
                return false;
            }
        };
        let left = now.as_ref().and_then(|now| Kept::of(&self.name, now).ok()).and_then(|kept| kept.stop);
        if self.stop.is_some() {
            // A person wants another try, or another program came past it.
            return left != self.stop;
        }
        // What it was refused for is looked at again once that has changed, and not at every poll.
        if self.refused.as_ref().is_some_and(|refused| refused.is_same(&self.name, now.as_ref())) {
            return false;
        }
        let opened = self.processes.check_place(&*self.entry).await;
        opened
            .inspect_err(|error| tracing::debug!(process = self.name, %error, "it cannot go on yet"))
            .is_ok()
    }

    async fn close(&mut self) -> Result<(), Error> {
        match &self.place {
            Some(place) if place.scanned != place.stored.checkpoint => self.store_place().await,
            _ => Ok(()),
        }
    }

    fn show(&mut self, status: SubscriptionState, halt: Option<&ProcessHalt>) {
        let position = self.position;
        self.state.send_if_modified(|state| {
            let before = state.clone();
            (state.status, state.position) = (status, position);
            state.error = halt.map(ToString::to_string);
            before != *state
        });
    }
}

impl ProcessFollower {
    pub(super) fn new(
        processes: Arc<Processes>,
        entry: Arc<dyn ProcessEntry>,
    ) -> (Self, watch::Receiver<ProcessState>) {
        let name = entry.name().to_owned();
        let (state, receiver) = watch::channel(ProcessState {
            name: name.clone(),
            status: SubscriptionState::CatchingUp,
            position: Position::START,
            error: None,
        });
        let follower = Self {
            processes,
            entry,
            name,
            state,
            place: None,
            lease: None,
            left_at: None,
            stop: None,
            refused: None,
            position: Position::START,
        };
        (follower, receiver)
    }

    async fn look_at_page(&mut self, place: &mut Place) -> Result<Advance, ProcessHalt> {
        let definition = self.entry.definition();
        if place.kept.definition != definition {
            tracing::info!(
                process = self.name,
                version = definition.version,
                "a newer definition takes over"
            );
            place.kept.definition = definition;
            self.store(place).await?;
        }
        let page = self.read(place.scanned.position).await?;
        if page.scanned_to == place.scanned.position {
            return Ok(Advance::FoundNothing);
        }
        let (inputs, fault) = self.route(&page.events);
        let has_inputs = !inputs.is_empty();
        self.give(inputs).await?;
        if let Some(fault) = fault {
            self.stop_before(place, &page.events, &fault).await?;
            return Err(Halt::Stuck(fault));
        }
        place.scanned =
            Checkpoint { position: page.scanned_to, event_id: page.scanned_to_id, ..place.scanned };
        let ahead = place.scanned.position.number() - place.stored.checkpoint.position.number();
        if has_inputs || ahead > UNSTORED_POSITIONS_MAX {
            self.store(place).await?;
        }
        self.position = place.scanned.position;
        Ok(if page.at_head { Advance::ReachedHead } else { Advance::Advanced })
    }

    async fn read(&self, after: Position) -> Result<LogPage, Error> {
        self.processes.store.read_all(&LogScope::EveryTenant, after, &self.entry.filter(), PAGE_EVENTS).await
    }

    /// The inputs of a page, up to the first event that the process stops at.
    fn route(&self, events: &[RecordedEvent]) -> (Vec<RoutedInput>, Option<ProcessFault>) {
        let mut inputs = Vec::new();
        for event in events {
            match self.entry.route(event) {
                Ok(Some(instance)) => inputs.push(RoutedInput::of_event(event, instance)),
                Ok(None) => {}
                Err(fault) if self.entry.on_fault() == OnFault::Park && !fault.is_anothers => {
                    tracing::warn!(process = self.name, position = %event.position, %fault, "an event is parked");
                    inputs.push(RoutedInput::parked(event, &fault.reason));
                }
                Err(fault) => {
                    let parked = ParkedEvent::new(event, &fault.reason);
                    return (inputs, Some(ProcessFault { event: parked, is_of_event: !fault.is_anothers }));
                }
            }
        }
        (inputs, None)
    }

    /// Stores inputs: those of one instance in order, those of others side by side.
    async fn give(&self, inputs: Vec<RoutedInput>) -> Result<(), Error> {
        let mut lines: Vec<Vec<RoutedInput>> = Vec::new();
        let mut by_instance: HashMap<(TenantId, String), usize> = HashMap::new();
        for input in inputs {
            let key = (input.tenant.clone(), input.instance.clone());
            let line = *by_instance.entry(key).or_insert_with(|| {
                lines.push(Vec::new());
                lines.len() - 1
            });
            if let Some(line) = lines.get_mut(line) {
                line.push(input);
            }
        }
        let mut giving: JoinSet<Result<(), Error>> = JoinSet::new();
        for line in lines {
            if giving.len() >= INSTANCES_AT_ONCE {
                joined(giving.join_next().await)?;
            }
            let (processes, name) = (self.processes.clone(), self.entry.name());
            giving.spawn(async move {
                for input in line {
                    processes.give(name, input).await?;
                }
                Ok(())
            });
        }
        while !giving.is_empty() {
            joined(giving.join_next().await)?;
        }
        Ok(())
    }

    /// Moves the checkpoint to the end of the last commit before the event that the process stops at; what of the
    /// commit itself was given before the event is given again, which stores nothing.
    async fn stop_before(
        &self,
        place: &mut Place,
        events: &[RecordedEvent],
        fault: &ProcessFault,
    ) -> Result<(), Error> {
        let end = |event: &RecordedEvent| event.position.number() + u64::from(event.commit_tail);
        let Some(stuck) = events.iter().find(|event| event.position == fault.event.position).map(end) else {
            return Ok(());
        };
        let Some(last) = events.iter().map(end).take_while(|end| *end < stuck).last() else { return Ok(()) };
        let position = Position::from_number(last);
        let event_id = self.processes.store.event_id_at(position).await?;
        place.scanned = Checkpoint { position, event_id, ..place.scanned };
        self.store(place).await
    }

    async fn store_place(&mut self) -> Result<(), Error> {
        let mut place = self.place.take().ok_or_else(|| closed(&self.name))?;
        let stored = self.store(&mut place).await;
        self.place = Some(place);
        stored
    }

    /// Moves the checkpoint as far as the log was looked at.
    async fn store(&self, place: &mut Place) -> Result<(), Error> {
        if place.scanned.position > place.stored.checkpoint.position {
            place.kept.stop = None;
        }
        if place.kept.stop.is_some() && self.is_past(place) {
            place.kept.stop = None;
        }
        let lease = self.lease.as_ref();
        place.stored =
            self.processes.move_to(&self.name, &place.stored, place.scanned, &place.kept, lease).await?;
        Ok(())
    }

    /// Whether nothing is above the place any more that could have stopped the process there.
    fn is_past(&self, place: &Place) -> bool {
        let event = place.kept.stop.as_ref().and_then(ViewStop::event);
        event.is_none_or(|event| place.scanned.position >= event.position)
    }
}

fn joined(joined: Option<Result<Result<(), Error>, tokio::task::JoinError>>) -> Result<(), Error> {
    match joined {
        Some(Ok(given)) => given,
        Some(Err(error)) => Err(Error::backend("storing the inputs of a process", error)),
        None => Ok(()),
    }
}

/// Only a bug asks for work before the process is open.
fn closed(process: &str) -> Error {
    Error::backend("following the log for a process", format!("process {process} is not open"))
}
