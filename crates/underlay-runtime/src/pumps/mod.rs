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
//! A [`Pump`](pump::Pump) is the consumer of a durable subscription: it begins where its checkpoint is, brings a
//! batch, and then the checkpoint moves. After a failure, a kill or a lost lease the same batch comes again. A sink is
//! told nothing twice that it has taken and whose checkpoint was stored, and misses nothing.
//!
//! A [`Feed`](feed::Feed) begins at the end of the log, when somebody subscribes: what happened before a process
//! was there is not its subscribers' affair, and a view or a pump remembers it for them. From then on it has its
//! place in memory, so within the life of the process nothing is left out, whatever fails. It stores no checkpoint:
//! events in the queue of a process are gone with it, and a stored place would claim that they were taken.

mod api;
mod call;
mod feed;
mod pump;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use underlay_core::memory::MemoryEventBus;
use underlay_core::{
    BusSubscription, Clock, Error, EventBus, EventStore, LogFilter, LogScope, Position, ProcessStart,
    RecordedEvent, Sink, Subscriber, Wakeups, check_checkpoint_name,
};

pub use feed::Subscribed;

use crate::cache::RunningFollower;
use crate::names::not_found;
use crate::stops::Stops;
use crate::subscription::{DurableSubscriptions, FollowerKind, RecentLog, checkpoint_at, start_of};
use crate::{EngineConfig, FollowerStanding, FollowerState, Ports, Registry};
use pump::Pump;

/// Keeps pumps.
pub(crate) struct Pumps {
    store: Arc<dyn EventStore>,
    wakeups: Arc<dyn Wakeups>,
    clock: Arc<dyn Clock>,
    sinks: BTreeMap<&'static str, Arc<dyn Sink>>,
    /// None where the store keeps no checkpoints: then there are no sinks.
    subscriptions: Option<Arc<DurableSubscriptions>>,
    subscribers: Vec<(BusSubscription, Arc<dyn Subscriber>)>,
    config: EngineConfig,
    bus: Arc<dyn EventBus>,
}

/// What is stored of a pump beside its checkpoint: nothing, so that its sink may change as it likes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Undefined {}

impl Pumps {
    /// The pumps of a registry.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a name exceeds its limit, or there are pumps and nothing that keeps checkpoints.
    pub(crate) fn new(
        ports: &Ports,
        recent_log: &Arc<RecentLog>,
        registry: &Registry,
        config: &EngineConfig,
    ) -> Result<Self, Error> {
        let sinks = registry.sinks().clone();
        let subscribers = registry.subscribers().to_vec();
        if let Some(name) = sinks.keys().next()
            && ports.work.is_none()
        {
            return Err(Error::invalid(format!(
                "pump {name} needs a store that keeps checkpoints beside the log, and this one keeps none"
            )));
        }
        sinks.keys().try_for_each(|name| check_checkpoint_name(&FollowerKind::Pump.checkpoint_name(name)))?;
        subscribers.iter().try_for_each(|(wanted, _)| wanted.check())?;
        let subscriptions = ports.work.as_ref().map(|work| {
            let (kind, lease, poll) = (FollowerKind::Pump, config.view_lease, config.view_poll_interval);
            DurableSubscriptions::new(kind, ports, recent_log, work, config, lease, poll).map(Arc::new)
        });
        Ok(Self {
            store: ports.store.clone(),
            wakeups: ports.wakeups.clone(),
            clock: ports.clock.clone(),
            sinks,
            subscriptions: subscriptions.transpose()?,
            subscribers,
            config: config.clone(),
            bus: Arc::new(MemoryEventBus::new(ports.clock.clone())),
        })
    }

    /// The bus that the subscribers of this process are on.
    pub(crate) fn bus(&self) -> &Arc<dyn EventBus> {
        &self.bus
    }

    /// Starts every pump.
    pub(crate) fn start(&self) -> RunningPumps {
        let mut stops = Stops::default();
        let start = |subscriptions: &Arc<DurableSubscriptions>| {
            let start = |pump| tokio::spawn(subscriptions.subscribe(pump, stops.add()).run());
            self.pumps().into_iter().map(start).collect()
        };
        let tasks = self.subscriptions.as_ref().map(start).unwrap_or_default();
        RunningPumps { stops, tasks }
    }

    /// The pumps, by name.
    fn pumps(&self) -> Vec<Pump> {
        self.sinks.iter().map(|(name, sink)| self.pump(name, sink)).collect()
    }

    fn pump(&self, name: &'static str, sink: &Arc<dyn Sink>) -> Pump {
        let (sink, clock) = (sink.clone(), self.clock.clone());
        Pump { name, sink, clock, batch_events_max: self.config.pump_batch_events_max }
    }

    /// As [`Engine::start_subscribers`](crate::Engine::start_subscribers).
    async fn start_subscribers(self: &Arc<Self>) -> Result<Vec<Subscribed>, Error> {
        let mut running = Vec::new();
        for (wanted, subscriber) in &self.subscribers {
            running.push(self.subscribe(wanted.clone(), subscriber.clone()).await?);
        }
        Ok(running)
    }

    /// What the pumps in this process are doing, by name.
    pub(crate) fn states(&self) -> Vec<FollowerState> {
        self.subscriptions.as_ref().map(|subscriptions| subscriptions.states()).unwrap_or_default()
    }

    /// Where every pump stands, by name.
    pub(crate) async fn standings(&self) -> Result<Vec<FollowerStanding>, Error> {
        match &self.subscriptions {
            Some(subscriptions) => subscriptions.standings(&self.pumps()).await,
            None => Ok(Vec::new()),
        }
    }

    /// As [`Engine::retry_pump`](crate::Engine::retry_pump).
    pub(crate) async fn retry(&self, pump: &str) -> Result<bool, Error> {
        let (pump, subscriptions) = self.find_pump(pump)?;
        subscriptions.retry(&pump).await
    }

    /// As [`Engine::rewind_pump`](crate::Engine::rewind_pump).
    pub(crate) async fn rewind(&self, pump: &str, to: RewindTo) -> Result<Position, Error> {
        let (pump, subscriptions) = self.find_pump(pump)?;
        let to = match to {
            RewindTo::Start(start) => start_of(&*self.store, start).await?,
            RewindTo::Position(position) => {
                checkpoint_at(&*self.store, self.end_of_commit(position).await?).await?
            }
        };
        subscriptions.go_on_from(&pump, to).await
    }

    /// The end of the commit that has the event at a position.
    async fn end_of_commit(&self, position: Position) -> Result<Position, Error> {
        let Some(before) = position.number().checked_sub(1) else { return Ok(position) };
        let (scope, filter) = (LogScope::EveryTenant, LogFilter::default());
        let page = self.store.read_all(&scope, Position::from_number(before), &filter, 1).await?;
        Ok(page.events.last().map_or(position, RecordedEvent::commit_end))
    }

    fn find_pump(&self, pump: &str) -> Result<(Pump, &Arc<DurableSubscriptions>), Error> {
        let found = self.sinks.get_key_value(pump).zip(self.subscriptions.as_ref());
        let found = found.map(|((name, sink), subscriptions)| (self.pump(name, sink), subscriptions));
        found.ok_or_else(|| not_found("pump", pump, self.sinks.keys().copied()))
    }
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

/// The subscribers of a service that run in this process, and what follows the log for its cache. Dropping it stops them.
#[derive(Debug)]
pub struct RunningSubscribers {
    subscribed: Vec<Subscribed>,
    cache: Option<RunningFollower>,
}

impl RunningSubscribers {
    /// Gives them nothing more.
    pub async fn stop(self) {
        for subscribed in self.subscribed {
            subscribed.unsubscribe().await;
        }
        if let Some(cache) = self.cache {
            cache.stop().await;
        }
    }
}

/// Where a pump that is rewound goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewindTo {
    /// The beginning or the end of the log.
    Start(ProcessStart),
    /// After the commit that has the event at a position.
    Position(Position),
}

/// `start`, `end` or a position.
impl FromStr for RewindTo {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "start" => Ok(Self::Start(ProcessStart::Beginning)),
            "end" => Ok(Self::Start(ProcessStart::Now)),
            text => match text.parse() {
                Ok(position) => Ok(Self::Position(position)),
                Err(_) => Err(Error::invalid(format!("{text:?} is not start, end or a position"))),
            },
        }
    }
}
