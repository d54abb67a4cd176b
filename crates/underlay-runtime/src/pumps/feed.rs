//! Follows the log for one subscriber of the event bus, in this process and for its life, as
//! [`Live`](crate::subscription::Live) says.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use underlay_core::{
    BusSubscription, Checkpoint, Error, EventBus, LogPage, LogScope, Position, ProcessStart, RecordedEvent,
    Subscriber, SubscriberId, WhenFull,
};

use super::Pumps;
use crate::subscription::{Live, LiveLog, start_of};

/// A subscriber that is fed from the log. Dropping it ends that.
#[derive(Debug)]
pub struct Subscribed {
    id: SubscriberId,
    stop: Arc<watch::Sender<bool>>,
    task: Option<JoinHandle<()>>,
    position: watch::Receiver<Position>,
}

impl Subscribed {
    /// Its identity on the bus, which says how it stands and keeps its dead letters.
    #[must_use]
    pub fn id(&self) -> SubscriberId {
        self.id
    }

    /// Every event at or below it that it wants was put into its queue.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// Ends it: it is given nothing more.
    pub async fn unsubscribe(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "a subscriber's feed ended badly");
        }
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Pumps {
    /// As [`Engine::subscribe`](crate::Engine::subscribe).
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        mut wanted: BusSubscription,
        subscriber: Arc<dyn Subscriber>,
    ) -> Result<Subscribed, Error> {
        // Its publisher is its own: nobody else waits with it, and there is nobody to refuse an event to.
        wanted.when_full = WhenFull::Wait;
        let place = start_of(&*self.store, ProcessStart::Now).await?;
        let id = self.bus.subscribe(wanted.clone(), subscriber).await?;
        let (stop, stopped) = watch::channel(false);
        let stop = Arc::new(stop);
        let (position, receiver) = watch::channel(place.position);
        let feed = Feed {
            pumps: self.clone(),
            bus: self.bus.clone(),
            id,
            wanted,
            position,
            stop: stop.clone(),
            stopped: stopped.clone(),
        };
        let log =
            LiveLog { store: &self.store, wakeups: &*self.wakeups, clock: &self.clock, config: &self.config };
        let task = tokio::spawn(log.follow(feed, Some(place), stopped).run());
        Ok(Subscribed { id, stop, task: Some(task), position: receiver })
    }
}

/// Brings the log to a subscriber.
pub(super) struct Feed {
    pumps: Arc<Pumps>,
    bus: Arc<dyn EventBus>,
    id: SubscriberId,
    wanted: BusSubscription,
    position: watch::Sender<Position>,
    stop: Arc<watch::Sender<bool>>,
    stopped: watch::Receiver<bool>,
}

impl Feed {
    /// Puts events into the queue, and waits for room as long as nobody ends that.
    async fn publish(&mut self, events: Vec<RecordedEvent>) -> Result<(), Error> {
        let events: Vec<Arc<RecordedEvent>> = events.into_iter().map(Arc::new).collect();
        let published = tokio::select! {
            biased;
            _ = self.stopped.wait_for(|stopped| *stopped) => return Ok(()),
            published = self.bus.publish_to(self.id, &events) => published,
        };
        match published {
            Err(Error::NotFound(_)) => {
                // It was unsubscribed on the bus.
                self.stop.send_replace(true);
                Ok(())
            }
            published => published,
        }
    }
}

impl Live for Feed {
    fn name(&self) -> &str {
        &self.wanted.name
    }

    async fn read(&self, after: &Checkpoint) -> Result<LogPage, Error> {
        let scope = match &self.wanted.tenant {
            Some(tenant) => LogScope::Tenant(tenant.clone()),
            None => LogScope::EveryTenant,
        };
        // No more than its queue takes is in memory beside it.
        let limit = self.pumps.config.pump_batch_events_max.min(self.wanted.items_max);
        self.pumps.store.read_all(&scope, after.position, &self.wanted.filter, limit).await
    }

    fn begin(&mut self, place: Checkpoint) {
        self.position.send_replace(place.position);
    }

    fn lose_place(&mut self, _: &str) {}

    async fn take(&mut self, events: Vec<RecordedEvent>, to: Checkpoint) -> Result<(), Error> {
        self.publish(events).await?;
        self.position.send_replace(to.position);
        Ok(())
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.bus.unsubscribe(self.id).await.map(|_| ())
    }
}
