//! Follows the log for one subscriber of the event bus, in this process and for its life.
//!
//! What happens when something fails: the place is in memory, so whatever fails is tried again from there. Where an
//! older copy of the log was restored under it, it goes on from the end of that: what the subscriber was given is
//! not in this log, and nobody can say what it lacks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use underlay_core::{
    BusSubscription, Checkpoint, Error, EventBus, EventStoreExt, LeaseTerm, LogScope, Position, ProcessStart,
    RecordedEvent, Subscriber, SubscriberId, WhenFull,
};

use super::Pumps;
use crate::subscription::{
    Advance, Bounds, Follower, Halt, NeverStuck, Signals, Subscription, SubscriptionState, start_of,
};

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
        let bounds = Bounds {
            leases: None,
            clock: self.clock.clone(),
            holder: String::new(),
            lease_duration: self.config.view_lease,
            poll_interval: self.config.view_poll_interval,
            backoff: self.config.backoff(),
        };
        let (signals, _) = Signals::new(self.clock.clone(), self.wakeups.subscribe(), stopped.clone());
        let (position, receiver) = watch::channel(place.position);
        let feed = Feed {
            pumps: self.clone(),
            bus: self.bus.clone(),
            id,
            wanted,
            place,
            position,
            stop: stop.clone(),
            stopped,
        };
        let task = tokio::spawn(Subscription::new(feed, bounds, signals).run());
        Ok(Subscribed { id, stop, task: Some(task), position: receiver })
    }
}

/// Brings the log to a subscriber.
pub(super) struct Feed {
    pumps: Arc<Pumps>,
    bus: Arc<dyn EventBus>,
    id: SubscriberId,
    wanted: BusSubscription,
    place: Checkpoint,
    position: watch::Sender<Position>,
    stop: Arc<watch::Sender<bool>>,
    stopped: watch::Receiver<bool>,
}

type FeedHalt = Halt<NeverStuck>;

impl Feed {
    /// Goes on from the end of the log where the place is not in it any more.
    async fn check_place(&mut self) -> Result<(), Error> {
        let store = &self.pumps.store;
        match store.check_checkpoint(&self.wanted.name, &self.place, "subscribe again").await {
            Err(Error::CheckpointRefused(refused)) => {
                let reason = refused.reason;
                tracing::warn!(
                    subscriber = self.wanted.name,
                    reason,
                    "a subscriber goes on from the end of the log"
                );
                self.place = start_of(&**store, ProcessStart::Now).await?;
                self.position.send_replace(self.place.position);
                Ok(())
            }
            checked => checked,
        }
    }

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

impl Follower for Feed {
    type Stuck = NeverStuck;

    fn name(&self) -> &str {
        &self.wanted.name
    }

    fn lease_name(&self) -> String {
        String::new()
    }

    async fn open(&mut self, _: &mut Signals) -> Result<bool, FeedHalt> {
        self.check_place().await?;
        Ok(true)
    }

    fn work_under(&mut self, _: Option<LeaseTerm>) {}

    async fn advance(&mut self) -> Result<Advance, FeedHalt> {
        let scope = match &self.wanted.tenant {
            Some(tenant) => LogScope::Tenant(tenant.clone()),
            None => LogScope::EveryTenant,
        };
        // No more than its queue takes is in memory beside it.
        let limit = self.pumps.config.pump_batch_events_max.min(self.wanted.items_max);
        let (store, after) = (&self.pumps.store, self.place.position);
        let page = store.read_all(&scope, after, &self.wanted.filter, limit).await?;
        if page.scanned_to == after {
            return Ok(Advance::FoundNothing);
        }
        let event_id = match page.scanned_to_id {
            Some(id) => Some(id),
            None => store.event_id_at(page.scanned_to).await?,
        };
        self.publish(page.events).await?;
        self.place = Checkpoint { position: page.scanned_to, event_id, ..self.place };
        self.position.send_replace(page.scanned_to);
        Ok(if page.at_head { Advance::ReachedHead } else { Advance::Advanced })
    }

    async fn arrive(&mut self) -> Result<Duration, FeedHalt> {
        self.check_place().await?;
        Ok(self.pumps.config.view_poll_interval)
    }

    async fn tidy(&mut self, _: bool, _: &mut Signals) -> Result<(), FeedHalt> {
        Ok(())
    }

    async fn look_on(&mut self) -> Result<(), FeedHalt> {
        Ok(())
    }

    async fn leave_word(&mut self, _: &FeedHalt) {}

    fn abandon(&mut self) {}

    async fn is_mended(&mut self) -> bool {
        // It has nothing that a person could mend: whatever failed is tried again.
        true
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.bus.unsubscribe(self.id).await.map(|_| ())
    }

    fn show(&mut self, _: SubscriptionState, _: Option<&FeedHalt>) {}
}
