//! Follows the log for a sink.
//!
//! What happens when something fails: a failure of the sink that may pass is tried again after a pause that
//! doubles, and the pump stays where it is. A final one pauses the pump: it leaves word beside its checkpoint, so
//! that every process knows since when and why. It goes on once a person asks for another try or moves the
//! checkpoint, and tries by itself every [`TRY_AGAIN`], since what was wrong is most often mended at the other end.
//! A checkpoint that does not fit the log stops it until a person rewinds it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use underlay_core::{
    Checkpoint, Error, LeaseTerm, LogFilter, LogScope, ParkedEvent, Position, RecordedEvent, Sink, StopCause,
    Timestamp, ViewStop,
};

use super::call::bring;
use super::place::{Kept, Place, checkpoint_name};
use super::{Pumps, bytes};
use crate::WorkPorts;
use crate::subscription::{
    Advance, Bounds, Follower, Halt, Handle, Signals, Subscription, SubscriptionState, has_passed,
};

/// Bytes of one batch, about: it ends with the commit that reaches them.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Positions that a pump may be ahead of its stored checkpoint where no event was for its sink.
const UNSTORED_POSITIONS_MAX: u64 = 10_000;
/// How long a pump that was paused by a final failure waits before it tries by itself.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// What a pump of this process is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PumpState {
    /// The pump.
    pub name: String,
    /// Where it stands.
    pub status: SubscriptionState,
    /// Its sink has taken every event at or below it.
    pub position: Position,
    /// Events that this process has brought.
    pub events: u64,
    /// Batches of them.
    pub batches: u64,
    /// Why it does not go on, or what is being tried again.
    pub error: Option<String>,
}

/// What the rest of the engine knows of a pump.
#[derive(Clone, Debug)]
pub(super) struct PumpHandle {
    pub(super) state: watch::Receiver<PumpState>,
    pub(super) handle: Handle,
}

/// A batch that a sink cannot take.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the sink cannot take the batch that begins at position {}: {}", first.position, first.reason)]
pub(super) struct Refused {
    first: ParkedEvent,
}

type PumpHalt = Halt<Refused>;

/// A pump, and what the rest of the engine knows of it.
pub(super) fn new(
    pumps: Arc<Pumps>,
    work: WorkPorts,
    name: &'static str,
    sink: Arc<dyn Sink>,
    stopped: watch::Receiver<bool>,
) -> (Subscription<Pump>, PumpHandle) {
    let (state, receiver) = watch::channel(PumpState {
        name: name.to_owned(),
        status: SubscriptionState::CatchingUp,
        position: Position::START,
        events: 0,
        batches: 0,
        error: None,
    });
    let config = &pumps.config;
    let bounds = Bounds {
        leases: work.leases.clone(),
        clock: pumps.clock.clone(),
        holder: pumps.holder.clone(),
        lease_duration: config.view_lease,
        poll_interval: config.view_poll_interval,
        backoff: config.backoff(),
    };
    let (signals, handle) = Signals::new(pumps.clock.clone(), pumps.wakeups.subscribe(), stopped);
    let filter = sink.filter();
    let pump = Pump {
        pumps,
        work,
        name,
        sink,
        filter,
        state,
        place: None,
        lease: None,
        left_at: None,
        left_since: None,
        stop: None,
        problem: None,
        position: Position::START,
        brought: (0, 0),
    };
    (Subscription::new(pump, bounds, signals), PumpHandle { state: receiver, handle })
}

/// Brings the log to a sink.
pub(super) struct Pump {
    pumps: Arc<Pumps>,
    work: WorkPorts,
    name: &'static str,
    sink: Arc<dyn Sink>,
    filter: LogFilter,
    state: watch::Sender<PumpState>,
    /// Its place, while it has it open.
    place: Option<Place>,
    lease: Option<LeaseTerm>,
    /// Its place when it last gave up, and when that was.
    left_at: Option<Place>,
    left_since: Option<Timestamp>,
    /// The word it left.
    stop: Option<ViewStop>,
    /// What went wrong last, until something goes well.
    problem: Option<String>,
    position: Position,
    /// Events and batches.
    brought: (u64, u64),
}

impl Follower for Pump {
    type Stuck = Refused;

    fn name(&self) -> &str {
        self.name
    }

    fn lease_name(&self) -> String {
        checkpoint_name(self.name)
    }

    async fn open(&mut self, _: &mut Signals) -> Result<bool, PumpHalt> {
        (self.place, self.lease) = (None, None);
        let place = self.pumps.open(&self.work, self.name, self.sink.start()).await?;
        self.position = place.stored.position;
        self.place = Some(place);
        Ok(true)
    }

    fn work_under(&mut self, lease: Option<LeaseTerm>) {
        self.lease = lease;
    }

    async fn advance(&mut self) -> Result<Advance, PumpHalt> {
        let mut place = self.place.take().ok_or_else(|| closed(self.name))?;
        let advance = self.look_at_page(&mut place).await;
        self.place = Some(place);
        advance
    }

    async fn arrive(&mut self) -> Result<Duration, PumpHalt> {
        let place = self.place.as_ref().ok_or_else(|| closed(self.name))?;
        self.pumps.check_checkpoint(self.name, &place.scanned).await?;
        self.problem = None;
        if place.kept.stop.is_some() {
            // There is nothing above it any more that could have stopped it.
            self.store_place().await?;
        }
        Ok(self.pumps.config.view_poll_interval)
    }

    async fn tidy(&mut self, is_quiet: bool, _: &mut Signals) -> Result<(), PumpHalt> {
        let place = self.place.as_ref().ok_or_else(|| closed(self.name))?;
        // A person may have moved it, or another process where nobody has leases.
        let now = self.work.checkpoints.find_checkpoint(&checkpoint_name(self.name)).await?;
        if now.is_none_or(|now| now.checkpoint != place.stored) {
            return Err(Error::CheckpointMoved { owner: format!("pump {}", self.name) }.into());
        }
        if is_quiet && place.scanned != place.stored {
            self.store_place().await?;
        }
        Ok(())
    }

    async fn look_on(&mut self) -> Result<(), PumpHalt> {
        if let Some(stored) = self.work.checkpoints.find_checkpoint(&checkpoint_name(self.name)).await? {
            self.position = stored.checkpoint.position;
        }
        Ok(())
    }

    async fn leave_word(&mut self, halt: &PumpHalt) {
        // Of a place that could not be opened nothing can be said there.
        let Some(mut place) = self.left_at.take() else { return };
        let cause = match halt {
            Halt::Stuck(refused) => StopCause::Event { event: refused.first.clone(), is_of_event: false },
            Halt::Failed(error) => StopCause::Failure { reason: error.to_string() },
        };
        let stop = ViewStop { since: self.pumps.clock.now(), cause };
        // Whoever stopped there first says since when.
        let stop = place.kept.stop.filter(|left| left.is_same(&stop)).unwrap_or(stop);
        place.kept.stop = Some(stop.clone());
        let (at, lease) = (place.stored, self.lease.as_ref());
        match self.pumps.move_to(&self.work, self.name, Some(&at), at, &place.kept, lease).await {
            Ok(()) => self.stop = Some(stop),
            Err(error) => tracing::debug!(pump = self.name, %error, "saying that the pump stopped"),
        }
    }

    fn abandon(&mut self) {
        self.stop = None;
        self.left_at = self.place.take();
        self.left_since = Some(self.pumps.clock.now());
    }

    async fn is_mended(&mut self) -> bool {
        let now = match self.work.checkpoints.find_checkpoint(&checkpoint_name(self.name)).await {
            Ok(now) => now,
            Err(error) => {
                tracing::debug!(pump = self.name, %error, "looking whether it was mended");
                return false;
            }
        };
        if self.stop.is_some() {
            let left = now.as_ref().and_then(|now| Kept::of(self.name, now).ok()).and_then(|kept| kept.stop);
            let waited = |since| has_passed(TRY_AGAIN, since, self.pumps.clock.now());
            // A person wants another try, another process came past it, or it is time for one.
            return left != self.stop || self.left_since.is_some_and(waited);
        }
        let opened = self.pumps.check_place(&self.work, self.name).await;
        opened.inspect_err(|error| tracing::debug!(pump = self.name, %error, "it cannot go on yet")).is_ok()
    }

    async fn close(&mut self) -> Result<(), Error> {
        match &self.place {
            Some(place) if place.scanned != place.stored => self.store_place().await,
            _ => Ok(()),
        }
    }

    fn show(&mut self, status: SubscriptionState, halt: Option<&PumpHalt>) {
        if let Some(halt) = halt {
            self.problem = Some(halt.to_string());
        }
        let (position, (events, batches)) = (self.position, self.brought);
        self.state.send_if_modified(|state| {
            let before = state.clone();
            *state = PumpState {
                name: self.name.to_owned(),
                status,
                position,
                events,
                batches,
                error: self.problem.clone(),
            };
            before != *state
        });
    }
}

impl Pump {
    async fn look_at_page(&mut self, place: &mut Place) -> Result<Advance, PumpHalt> {
        let (scope, limit) = (LogScope::EveryTenant, self.pumps.config.pump_batch_events_max);
        let page = self.pumps.store.read_all(&scope, place.scanned.position, &self.filter, limit).await?;
        if page.scanned_to == place.scanned.position {
            return Ok(Advance::FoundNothing);
        }
        let has_events = !page.events.is_empty();
        let mut batches = batches(page.events).into_iter().peekable();
        while let Some(batch) = batches.next() {
            self.bring(batch.clone()).await?;
            // What stopped it is past.
            place.kept.stop = None;
            if batches.peek().is_some()
                && let Some(last) = batch.last()
            {
                // Where the next one fails, this one does not come again.
                let end = Position::from_number(last.position.number() + u64::from(last.commit_tail));
                self.store(place, self.pumps.checkpoint_at(end).await?).await?;
            }
        }
        let to = Checkpoint { position: page.scanned_to, event_id: page.scanned_to_id, ..place.scanned };
        let ahead = to.position.number() - place.stored.position.number();
        if has_events || ahead > UNSTORED_POSITIONS_MAX {
            self.store(place, to).await?;
        }
        place.scanned = to;
        self.position = to.position;
        Ok(if page.at_head { Advance::ReachedHead } else { Advance::Advanced })
    }

    /// Brings one batch.
    async fn bring(&mut self, batch: Arc<[RecordedEvent]>) -> Result<(), PumpHalt> {
        let brought = bring(&self.sink, batch.clone(), &*self.pumps.clock).await;
        match (brought, batch.first()) {
            (Ok(()), _) => {
                self.problem = None;
                self.brought = (self.brought.0 + batch.len() as u64, self.brought.1 + 1);
                Ok(())
            }
            (Err(failed), Some(first)) if failed.is_final => {
                Err(Halt::Stuck(Refused { first: ParkedEvent::new(first, &failed.reason) }))
            }
            (Err(failed), _) => {
                Err(Error::unavailable(format!("the sink of pump {}: {}", self.name, failed.reason)).into())
            }
        }
    }

    async fn store_place(&mut self) -> Result<(), Error> {
        let mut place = self.place.take().ok_or_else(|| closed(self.name))?;
        let to = place.scanned;
        place.kept.stop = None;
        let stored = self.store(&mut place, to).await;
        self.place = Some(place);
        stored
    }

    /// Moves the checkpoint.
    async fn store(&self, place: &mut Place, to: Checkpoint) -> Result<(), Error> {
        let lease = self.lease.as_ref();
        self.pumps.move_to(&self.work, self.name, Some(&place.stored), to, &place.kept, lease).await?;
        (place.stored, place.scanned) = (to, to);
        Ok(())
    }
}

/// A page in parts that end with a commit.
fn batches(events: Vec<RecordedEvent>) -> Vec<Arc<[RecordedEvent]>> {
    let (mut batches, mut batch, mut held) = (Vec::new(), Vec::new(), 0);
    for event in events {
        let ends = |last: &RecordedEvent| {
            event.position.number() > last.position.number() + u64::from(last.commit_tail)
        };
        if held >= BATCH_BYTES_MAX && batch.last().is_some_and(ends) {
            batches.push(std::mem::take(&mut batch).into());
            held = 0;
        }
        held += bytes(&event);
        batch.push(event);
    }
    if !batch.is_empty() {
        batches.push(batch.into());
    }
    batches
}

/// Only a bug asks for work before the pump is open.
fn closed(pump: &str) -> Error {
    Error::backend("following the log for a pump", format!("pump {pump} is not open"))
}
