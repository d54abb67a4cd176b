//! Pumps: each follows the log for a sink, or for a subscriber of the event bus.
//!
//! ```text
//!  log ── page ──► Pump ── batch ──► Sink          its checkpoint is stored, and one process at a time works
//!   │
//!   └──── page ──► Feed ──► queue on the bus ──► Subscriber     every process has its own, and stores nothing
//! ```
//!
//! Both are followers of a [`subscription`](crate::subscription): a hint only wakes them, and what they read comes
//! from the log. So no hint can lose an event, and whoever is slow is slow for itself alone.
//!
//! A [`Pump`](pump::Pump) begins where its checkpoint is, brings a batch, and then moves the checkpoint under its
//! lease. After a failure, a kill or a lost lease the same batch comes again. A sink is told nothing twice that it
//! has taken and whose checkpoint was stored, and misses nothing.
//!
//! A [`Feed`](feed::Feed) begins at the end of the log, when somebody subscribes: what happened before a process
//! was there is not its subscribers' affair, and a view or a pump remembers it for them. From then on it has its
//! place in memory, so within the life of the process nothing is left out, whatever fails. It stores no checkpoint:
//! events in the queue of a process are gone with it, and a stored place would claim that they were taken.

mod api;
mod call;
mod feed;
mod place;
mod pump;
mod standing;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;
use underlay_core::memory::MemoryEventBus;
use underlay_core::{
    BusSubscription, Clock, CommitId, Error, EventBus, EventStore, ProcessStart, Sink, Subscriber, Wakeups,
    check_checkpoint_name, check_lease,
};

pub use feed::Subscribed;
pub use pump::PumpState;
pub use standing::PumpStanding;

use crate::stops::Stops;
use crate::{EngineConfig, Ports, Registry, WorkPorts};
use place::checkpoint_name;
use pump::PumpHandle;

/// Digits drawn for the name of a holder.
const HOLDER_DIGITS: usize = 8;
/// Bytes of an event beside its payload and metadata, about.
const EVENT_BYTES: usize = 512;

/// Keeps pumps.
pub(crate) struct Pumps {
    store: Arc<dyn EventStore>,
    work: Option<WorkPorts>,
    wakeups: Arc<dyn Wakeups>,
    clock: Arc<dyn Clock>,
    sinks: BTreeMap<&'static str, Arc<dyn Sink>>,
    subscribers: Vec<(BusSubscription, Arc<dyn Subscriber>)>,
    config: EngineConfig,
    /// Names this process to people, in leases.
    holder: String,
    bus: Arc<dyn EventBus>,
    handles: Mutex<HashMap<&'static str, PumpHandle>>,
}

impl Pumps {
    /// The pumps of a registry.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a name exceeds its limit, or there are pumps and nothing that keeps checkpoints.
    pub(crate) fn new(ports: &Ports, registry: &Registry, config: &EngineConfig) -> Result<Self, Error> {
        let sinks = registry.sinks().clone();
        let subscribers = registry.subscribers().to_vec();
        if let Some(name) = sinks.keys().next()
            && ports.work.is_none()
        {
            return Err(Error::invalid(format!(
                "pump {name} needs a store that keeps checkpoints beside the log, and this one keeps none"
            )));
        }
        sinks.keys().try_for_each(|name| check_checkpoint_name(&checkpoint_name(name)))?;
        subscribers.iter().try_for_each(|(wanted, _)| wanted.check())?;
        let drawn = CommitId::draw().to_string();
        let holder = format!("{}/{}", config.process, &drawn[drawn.len() - HOLDER_DIGITS..]);
        check_lease("pump", &holder, config.view_lease)?;
        Ok(Self {
            store: ports.store.clone(),
            work: ports.work.clone(),
            wakeups: ports.wakeups.clone(),
            clock: ports.clock.clone(),
            sinks,
            subscribers,
            config: config.clone(),
            holder,
            bus: Arc::new(MemoryEventBus::new(ports.clock.clone())),
            handles: Mutex::default(),
        })
    }

    /// The bus that the subscribers of this process are on.
    pub(crate) fn bus(&self) -> &Arc<dyn EventBus> {
        &self.bus
    }

    /// Starts every pump that has a sink.
    pub(crate) fn start(self: &Arc<Self>) -> RunningPumps {
        let mut stops = Stops::default();
        let mut tasks = Vec::new();
        if let Some(work) = &self.work {
            for (name, sink) in &self.sinks {
                let (pump, handle) = pump::new(self.clone(), work.clone(), name, sink.clone(), stops.add());
                self.handles().insert(name, handle);
                tasks.push(tokio::spawn(pump.run()));
            }
        }
        RunningPumps { stops, tasks }
    }

    /// As [`Engine::start_subscribers`](crate::Engine::start_subscribers).
    pub(crate) async fn start_subscribers(self: &Arc<Self>) -> Result<RunningSubscribers, Error> {
        let mut running = RunningSubscribers(Vec::new());
        for (wanted, subscriber) in &self.subscribers {
            running.0.push(self.subscribe(wanted.clone(), subscriber.clone()).await?);
        }
        Ok(running)
    }

    /// What the pumps in this process are doing, by name.
    pub(crate) fn states(&self) -> Vec<PumpState> {
        let mut states: Vec<PumpState> =
            self.handles().values().map(|handle| handle.state.borrow().clone()).collect();
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }

    fn look_again(&self, pump: &str) {
        if let Some(found) = self.handles().get(pump) {
            found.handle.look_again();
        }
    }

    /// The sink of a pump, with what keeps its checkpoint.
    fn find_sink(&self, pump: &str) -> Result<(&Arc<dyn Sink>, &WorkPorts), Error> {
        let found = self.sinks.get(pump).zip(self.work.as_ref());
        found.ok_or_else(|| {
            let known: Vec<&str> = self.sinks.keys().copied().collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::NotFound(format!("pump {pump:?} (there are: {known})"))
        })
    }

    fn handles(&self) -> MutexGuard<'_, HashMap<&'static str, PumpHandle>> {
        // Each change is one call of the map, so a panic leaves none half done.
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts for an event.
fn bytes(event: &underlay_core::RecordedEvent) -> usize {
    EVENT_BYTES + event.payload.bytes() + event.metadata.as_str().len()
}

/// The pumps that run in this process. Dropping it stops them at their next step.
#[derive(Debug)]
pub struct RunningPumps {
    stops: Stops,
    tasks: Vec<JoinHandle<()>>,
}

impl RunningPumps {
    /// Lets every pump finish its batch, stores where it is, and gives its lease back.
    pub async fn stop(self) {
        self.stops.stop();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a pump ended badly");
            }
        }
    }
}

/// The subscribers of a service that run in this process. Dropping it stops them.
#[derive(Debug)]
pub struct RunningSubscribers(Vec<Subscribed>);

impl RunningSubscribers {
    /// Gives them nothing more.
    pub async fn stop(self) {
        for subscribed in self.0 {
            subscribed.unsubscribe().await;
        }
    }
}

/// Where a pump that is rewound goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewindTo {
    /// The beginning or the end of the log.
    Start(ProcessStart),
    /// After the commit that has the event at a position.
    Position(underlay_core::Position),
}
