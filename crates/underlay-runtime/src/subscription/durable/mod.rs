//! Durable subscriptions: their place in the log is a stored checkpoint, so they go on where they were, in whatever
//! process.
//!
//! ```text
//!  a page of the log ─► batches ─► a consumer takes each ─► the checkpoint moves, under the lease
//!                                      │
//!                                      └─ it cannot ─► Paused before the commit of that event
//! ```
//!
//! A [`Consumer`] is all that differs: a process gives events to its instances, a pump brings them to its sink. Its
//! [place](place), its [way along the log](follower) and [where it stands](standing) are the same for both.
//!
//! What happens when something fails: see [`subscription`](crate::subscription). What was taken and whose checkpoint
//! is not stored comes again. A follower that stops leaves word beside its checkpoint, so that every process knows at
//! which event, since when and why. It goes on once a person takes that word away or moves the checkpoint, once
//! another process came past it, or by itself after the time that its consumer says. Where a definition beside the
//! checkpoint does not fit, it looks again once that has changed. A checkpoint that does not fit the log stops it until
//! a person moves it, or the log is there again that it was taken in.

mod follower;
mod place;
mod standing;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use underlay_core::{
    Checkpoints, Clock, Error, EventStore, Leases, LogFilter, ParkedEvent, ProcessStart, RecordedEvent,
    Wakeups,
};

pub(crate) use follower::DurableFollower;
pub use follower::FollowerState;
pub(crate) use place::{checkpoint_at, start_of};
pub use standing::FollowerStanding;

use super::{Backoff, Bounds, Halt, RecentLog, Runner, Running, Signals, Subscription};
use crate::{EngineConfig, Ports, WorkPorts};

/// What follows the log from a stored checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FollowerKind {
    Process,
    Pump,
}

impl FollowerKind {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Pump => "pump",
        }
    }

    /// The checkpoint and the lease of one.
    pub(crate) fn checkpoint_name(self, name: &str) -> String {
        format!("{}:{name}", self.word())
    }
}

/// An event that a consumer cannot take. All that came before the commit of it was taken.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{told}")]
pub(crate) struct Stuck {
    event: Box<ParkedEvent>,
    /// Whether the event itself is at fault.
    is_of_event: bool,
    told: String,
}

impl Stuck {
    pub(crate) fn of<C: Consumer>(event: ParkedEvent, is_of_event: bool) -> Self {
        Self { told: C::told(&event), event: Box::new(event), is_of_event }
    }
}

/// Who is given the log.
pub(crate) trait Consumer: Send + Sync + 'static {
    const KIND: FollowerKind;
    /// After how long it tries by itself what it could not take; none where that is left to a person.
    const TRIES_AGAIN: Option<Duration>;

    /// What is stored of it beside its checkpoint.
    type Definition: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync;

    fn name(&self) -> &'static str;

    /// Where it begins.
    fn start(&self) -> ProcessStart;

    /// The events it wants.
    fn filter(&self) -> LogFilter;

    /// Events in one page of its work.
    fn page_events_max(&self) -> usize;

    fn definition(&self) -> Self::Definition;

    /// Refuses to go on from what is stored.
    async fn check_definition(&self, stored: &Self::Definition) -> Result<(), Error>;

    /// A page in parts that each end with a commit. Where one is taken, it does not come again.
    fn batches(&self, page: Vec<RecordedEvent>) -> Vec<Arc<[RecordedEvent]>>;

    /// Takes a batch; how many of its events were for it.
    async fn take(&self, batch: &Arc<[RecordedEvent]>) -> Result<u64, Halt<Stuck>>;

    /// Tells people of an event that it cannot take.
    fn told(event: &ParkedEvent) -> String;

    /// Follows on what people are told of a stop: what they can do.
    fn advice(&self, program: &str) -> String;

    /// The command that moves its checkpoint.
    fn repair(&self, program: &str) -> String;
}

/// The durable subscriptions of one kind: what they work with, and those that run in this process.
pub(crate) struct DurableSubscriptions {
    store: Arc<dyn EventStore>,
    recent_log: Arc<RecentLog>,
    checkpoints: Arc<dyn Checkpoints>,
    leases: Option<Arc<dyn Leases>>,
    wakeups: Arc<dyn Wakeups>,
    clock: Arc<dyn Clock>,
    /// The name of the program, for the commands that messages name.
    program: String,
    /// Names this process to people, in leases.
    holder: String,
    lease_duration: Duration,
    poll_interval: Duration,
    backoff: Backoff,
    running: Running<FollowerState>,
}

impl DurableSubscriptions {
    /// # Errors
    /// [`Error::Invalid`] where the time of a lease makes no sense.
    pub(crate) fn new(
        kind: FollowerKind,
        ports: &Ports,
        recent_log: &Arc<RecentLog>,
        work: &WorkPorts,
        config: &EngineConfig,
        lease_duration: Duration,
        poll_interval: Duration,
    ) -> Result<Self, Error> {
        Ok(Self {
            store: ports.store.clone(),
            recent_log: recent_log.clone(),
            checkpoints: work.checkpoints.clone(),
            leases: work.leases.clone(),
            wakeups: ports.wakeups.clone(),
            clock: ports.clock.clone(),
            program: config.program.clone(),
            holder: config.draw_holder(kind.word(), lease_duration)?,
            lease_duration,
            poll_interval,
            backoff: config.backoff(),
            running: Running::default(),
        })
    }

    /// A subscription that is to run in this process until it is told to stop.
    pub(crate) fn subscribe<C: Consumer>(
        self: &Arc<Self>,
        consumer: C,
        stopped: watch::Receiver<bool>,
    ) -> Subscription<DurableFollower<C>> {
        let bounds = Bounds {
            leases: self.leases.clone(),
            clock: self.clock.clone(),
            holder: self.holder.clone(),
            lease_duration: self.lease_duration,
            poll_interval: self.poll_interval,
            backoff: self.backoff,
        };
        let (signals, handle) = Signals::new(self.clock.clone(), self.wakeups.subscribe(), stopped);
        let name = consumer.name();
        let (follower, state) = DurableFollower::new(self.clone(), consumer);
        self.running.insert(name, Runner { state, handle });
        Subscription::new(follower, bounds, signals)
    }

    /// What those in this process are doing, by name.
    pub(crate) fn states(&self) -> Vec<FollowerState> {
        self.running.states()
    }
}
