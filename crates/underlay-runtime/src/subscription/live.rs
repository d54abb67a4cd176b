//! Follows the log in memory, for the life of a process: from its end on, without a lease, a stored place, or anything that a
//! person could mend.
//!
//! What happens when something fails: the place is in memory, so it is tried again from there. Where an older copy of the log was
//! restored under it, the follower is told so and goes on from the end of that: what it was given is not in this log, and
//! nobody can say what it lacks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use underlay_core::{
    Checkpoint, Clock, Error, EventStore, EventStoreExt, LeaseTerm, LogPage, ProcessStart, RecordedEvent,
    Wakeups,
};

use super::{
    Advance, Bounds, Follower, Halt, NeverStuck, Signals, Subscription, SubscriptionState, start_of,
};
use crate::EngineConfig;

/// Who follows the log in memory.
pub(crate) trait Live: Send {
    /// Names it to people.
    fn name(&self) -> &str;

    /// Reads what is above a place.
    async fn read(&self, after: &Checkpoint) -> Result<LogPage, Error>;

    /// It goes on from this place, which is the end of the log.
    fn begin(&mut self, place: Checkpoint);

    /// Its place is not in the log any more; it begins again.
    fn lose_place(&mut self, reason: &str);

    /// Takes what it has read, up to a place.
    async fn take(&mut self, events: Vec<RecordedEvent>, to: Checkpoint) -> Result<(), Error>;

    /// Ends it.
    async fn close(&mut self) -> Result<(), Error>;
}

/// The log that is followed.
pub(crate) struct LiveLog<'a> {
    pub(crate) store: &'a Arc<dyn EventStore>,
    pub(crate) wakeups: &'a dyn Wakeups,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) config: &'a EngineConfig,
}

impl LiveLog<'_> {
    /// Somebody's way along the log from a place, or from its end where none is given, until it is stopped.
    pub(crate) fn follow<L: Live>(
        &self,
        live: L,
        place: Option<Checkpoint>,
        stopped: watch::Receiver<bool>,
    ) -> Subscription<LiveFollower<L>> {
        let poll_interval = self.config.view_poll_interval;
        let bounds = Bounds {
            leases: None,
            clock: self.clock.clone(),
            holder: String::new(),
            lease_duration: self.config.view_lease,
            poll_interval,
            backoff: self.config.backoff(),
        };
        let (signals, _) = Signals::new(self.clock.clone(), self.wakeups.subscribe(), stopped);
        let follower = LiveFollower { live, place, store: self.store.clone(), poll_interval };
        Subscription::new(follower, bounds, signals)
    }
}

/// Keeps the place of one who follows the log in memory.
pub(crate) struct LiveFollower<L> {
    live: L,
    /// None until it has found its place.
    place: Option<Checkpoint>,
    store: Arc<dyn EventStore>,
    poll_interval: Duration,
}

impl<L: Live> LiveFollower<L> {
    async fn find_place(&mut self) -> Result<(), Error> {
        let place = start_of(&*self.store, ProcessStart::Now).await?;
        self.place = Some(place);
        self.live.begin(place);
        Ok(())
    }

    /// Begins again where its place is not in the log any more.
    async fn check_place(&mut self) -> Result<(), Error> {
        let Some(place) = self.place else { return Ok(()) };
        match self.store.check_checkpoint(self.live.name(), &place, "follow it again").await {
            Err(Error::CheckpointRefused(refused)) => {
                let (name, reason) = (self.live.name(), refused.reason);
                tracing::warn!(name, reason, "whoever follows the log goes on from its end");
                self.live.lose_place(&reason);
                self.place = None;
                self.find_place().await
            }
            checked => checked,
        }
    }
}

impl<L: Live> Follower for LiveFollower<L> {
    type Stuck = NeverStuck;

    fn name(&self) -> &str {
        self.live.name()
    }

    fn lease_name(&self) -> String {
        String::new()
    }

    async fn open(&mut self, _: &mut Signals) -> Result<bool, Halt<NeverStuck>> {
        match self.place {
            Some(_) => self.check_place().await?,
            None => self.find_place().await?,
        }
        Ok(true)
    }

    fn work_under(&mut self, _: Option<LeaseTerm>) {}

    async fn advance(&mut self) -> Result<Advance, Halt<NeverStuck>> {
        let Some(place) = self.place else {
            self.find_place().await?;
            return Ok(Advance::Advanced);
        };
        let page = self.live.read(&place).await?;
        if page.scanned_to == place.position {
            return Ok(Advance::FoundNothing);
        }
        let event_id = match page.scanned_to_id {
            Some(id) => Some(id),
            None => self.store.event_id_at(page.scanned_to).await?,
        };
        let to = Checkpoint { position: page.scanned_to, event_id, ..place };
        self.live.take(page.events, to).await?;
        self.place = Some(to);
        Ok(if page.at_head { Advance::ReachedHead } else { Advance::Advanced })
    }

    async fn arrive(&mut self) -> Result<Duration, Halt<NeverStuck>> {
        self.check_place().await?;
        Ok(self.poll_interval)
    }

    async fn tidy(&mut self, _: bool, _: &mut Signals) -> Result<(), Halt<NeverStuck>> {
        Ok(())
    }

    async fn look_on(&mut self) -> Result<(), Halt<NeverStuck>> {
        Ok(())
    }

    async fn leave_word(&mut self, _: &Halt<NeverStuck>) {}

    fn abandon(&mut self) {}

    async fn is_mended(&mut self) -> bool {
        // It has nothing that a person could mend: whatever failed is tried again.
        true
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.live.close().await
    }

    fn show(&mut self, _: SubscriptionState, _: Option<&Halt<NeverStuck>>) {}
}
