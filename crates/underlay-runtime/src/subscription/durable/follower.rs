use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use underlay_core::{
    Checkpoint, Error, LeaseTerm, LogFilter, ParkedEvent, Position, RecordedEvent, StopCause, Timestamp,
    ViewStop,
};

use super::place::{Place, checkpoint_at};
use super::{Consumer, DurableSubscriptions, Stuck};
use crate::subscription::{Advance, Follower, Halt, Signals, SubscriptionState, has_passed};

/// Positions that a follower may be ahead of its stored checkpoint where no event was for it.
const UNSTORED_POSITIONS_MAX: u64 = 10_000;

/// What a process or a pump is doing here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FollowerState {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: SubscriptionState,
    /// Every event at or below it was taken.
    pub position: Position,
    /// Events that were for it and that it has taken here.
    pub events: u64,
    /// Why it does not go on, or what is being tried again; until something goes well.
    pub error: Option<String>,
}

/// Gives the log to a consumer, from its stored checkpoint.
pub(crate) struct DurableFollower<C: Consumer> {
    subscriptions: Arc<DurableSubscriptions>,
    consumer: C,
    filter: LogFilter,
    definition: C::Definition,
    state: watch::Sender<FollowerState>,
    /// Its place, while it has it open.
    place: Option<Place<C::Definition>>,
    lease: Option<LeaseTerm>,
    /// Its place when it last gave up, and when that was.
    left_at: Option<Place<C::Definition>>,
    left_since: Option<Timestamp>,
    /// The word it left.
    stop: Option<ViewStop>,
    /// The stored definition that it cannot go on from.
    refused: Option<C::Definition>,
    /// What went wrong last, until something goes well.
    problem: Option<String>,
    /// Every event at or below it was taken, by this process or another.
    position: Position,
    /// Events that it has taken.
    events: u64,
}

impl<C: Consumer> DurableFollower<C> {
    pub(crate) fn new(
        subscriptions: Arc<DurableSubscriptions>,
        consumer: C,
    ) -> (Self, watch::Receiver<FollowerState>) {
        let (state, receiver) = watch::channel(FollowerState {
            name: consumer.name().to_owned(),
            status: SubscriptionState::CatchingUp,
            position: Position::START,
            events: 0,
            error: None,
        });
        let follower = Self {
            filter: consumer.filter(),
            definition: consumer.definition(),
            subscriptions,
            consumer,
            state,
            place: None,
            lease: None,
            left_at: None,
            left_since: None,
            stop: None,
            refused: None,
            problem: None,
            position: Position::START,
            events: 0,
        };
        (follower, receiver)
    }

    /// Its stored place, where it may go on from there; `None` where the consumer is new.
    async fn find_place(&mut self) -> Result<Option<Place<C::Definition>>, Error> {
        self.refused = None;
        let Some(stored) = self.subscriptions.find(&self.consumer).await? else { return Ok(None) };
        let place = self.subscriptions.place(&self.consumer, &stored).await?;
        if let Err(error) = self.consumer.check_definition(&place.kept.definition).await {
            if !error.is_retryable() {
                self.refused = Some(place.kept.definition);
            }
            return Err(error);
        }
        Ok(Some(place))
    }
}

impl<C: Consumer> Follower for DurableFollower<C> {
    type Stuck = Stuck;

    fn name(&self) -> &str {
        self.consumer.name()
    }

    fn lease_name(&self) -> String {
        C::KIND.checkpoint_name(self.consumer.name())
    }

    async fn open(&mut self, _: &mut Signals) -> Result<bool, Halt<Stuck>> {
        (self.place, self.lease) = (None, None);
        let place = match self.find_place().await? {
            Some(place) => place,
            None => self.subscriptions.make_place(&self.consumer).await?,
        };
        self.position = place.stored.position;
        self.place = Some(place);
        Ok(true)
    }

    fn work_under(&mut self, lease: Option<LeaseTerm>) {
        self.lease = lease;
    }

    async fn advance(&mut self) -> Result<Advance, Halt<Stuck>> {
        let (subscriptions, consumer, lease) = (&*self.subscriptions, &self.consumer, self.lease.as_ref());
        let place = self.place.as_mut().ok_or_else(|| closed(consumer))?;
        if place.kept.definition != self.definition {
            tracing::info!(
                kind = C::KIND.word(), name = consumer.name(), definition = ?self.definition,
                "a newer definition takes over"
            );
            place.kept.definition = self.definition.clone();
            let at = place.scanned;
            subscriptions.store(consumer, lease, place, at).await?;
        }
        let limit = consumer.page_events_max();
        let page = subscriptions.recent_log.read(&place.scanned, &self.filter, limit).await?;
        if page.scanned_to == place.scanned.position {
            return Ok(Advance::FoundNothing);
        }
        let mut taken = 0;
        let mut batches = consumer.batches(page.events).into_iter().peekable();
        while let Some(batch) = batches.next() {
            match consumer.take(&batch).await {
                Ok(0) => {}
                Ok(count) => {
                    (self.problem, self.events) = (None, self.events + count);
                    taken += count;
                }
                Err(halt) => {
                    if let Halt::Stuck(stuck) = &halt
                        && let Some(end) = end_before(&batch, &stuck.event)
                    {
                        let to = checkpoint_at(&*subscriptions.store, end).await?;
                        subscriptions.store(consumer, lease, place, to).await?;
                    }
                    return Err(halt);
                }
            }
            if batches.peek().is_some()
                && let Some(last) = batch.last()
            {
                // Where the next one fails, this one does not come again.
                let to = checkpoint_at(&*subscriptions.store, last.commit_end()).await?;
                subscriptions.store(consumer, lease, place, to).await?;
            }
        }
        let to = Checkpoint { position: page.scanned_to, event_id: page.scanned_to_id, ..place.scanned };
        let ahead = to.position.number() - place.stored.position.number();
        if taken > 0 || ahead > UNSTORED_POSITIONS_MAX {
            subscriptions.store(consumer, lease, place, to).await?;
        }
        place.scanned = to;
        self.position = to.position;
        Ok(if page.at_head { Advance::ReachedHead } else { Advance::Advanced })
    }

    async fn arrive(&mut self) -> Result<Duration, Halt<Stuck>> {
        let (subscriptions, consumer, lease) = (&*self.subscriptions, &self.consumer, self.lease.as_ref());
        let place = self.place.as_mut().ok_or_else(|| closed(consumer))?;
        subscriptions.check_checkpoint(consumer, &place.scanned).await?;
        self.problem = None;
        if place.kept.stop.take().is_some() {
            // There is nothing above it any more that could have stopped it.
            let to = place.scanned;
            subscriptions.store(consumer, lease, place, to).await?;
        }
        Ok(subscriptions.poll_interval)
    }

    async fn tidy(&mut self, is_quiet: bool, _: &mut Signals) -> Result<(), Halt<Stuck>> {
        let (subscriptions, consumer) = (&*self.subscriptions, &self.consumer);
        let place = self.place.as_ref().ok_or_else(|| closed(consumer))?;
        // A person may have moved it, or another process where nobody has leases.
        let now = subscriptions.find(consumer).await?;
        if now.is_none_or(|now| now.checkpoint != place.stored) {
            let owner = format!("{} {}", C::KIND.word(), consumer.name());
            return Err(Error::CheckpointMoved { owner }.into());
        }
        if is_quiet {
            self.close().await?;
        }
        Ok(())
    }

    async fn look_on(&mut self) -> Result<(), Halt<Stuck>> {
        // What goes wrong is the other process's to tell.
        self.problem = None;
        if let Some(stored) = self.subscriptions.find(&self.consumer).await? {
            self.position = stored.checkpoint.position;
        }
        Ok(())
    }

    async fn leave_word(&mut self, halt: &Halt<Stuck>) {
        // Of a place that could not be opened, another process may think better.
        let Some(mut place) = self.left_at.take() else { return };
        let cause = match halt {
            Halt::Stuck(stuck) => {
                StopCause::Event { event: (*stuck.event).clone(), is_of_event: stuck.is_of_event }
            }
            // Every process sees that for itself, and also that the log is there again.
            Halt::Failed(Error::CheckpointRefused(_)) => return,
            Halt::Failed(error) => StopCause::Failure { reason: error.to_string() },
        };
        let stop = ViewStop { since: self.subscriptions.clock.now(), cause };
        // Whoever stopped there first says since when.
        let stop = place.kept.stop.filter(|left| left.is_same(&stop)).unwrap_or(stop);
        place.kept.stop = Some(stop.clone());
        let (at, lease) = (place.stored, self.lease.as_ref());
        match self.subscriptions.move_to(&self.consumer, Some(&at), at, &place.kept, lease).await {
            Ok(()) => self.stop = Some(stop),
            Err(error) => tracing::debug!(name = self.name(), %error, "saying that it stopped"),
        }
    }

    fn abandon(&mut self) {
        self.stop = None;
        self.left_at = self.place.take();
        self.left_since = Some(self.subscriptions.clock.now());
    }

    async fn is_mended(&mut self) -> bool {
        let now = match self.subscriptions.find(&self.consumer).await {
            Ok(now) => now,
            Err(error) => {
                tracing::debug!(name = self.name(), %error, "looking whether it was mended");
                return false;
            }
        };
        let kept = now.and_then(|now| self.subscriptions.kept(&self.consumer, &now).ok());
        if self.stop.is_some() {
            let waited = |(most, since)| has_passed(most, since, self.subscriptions.clock.now());
            // A person wants another try, another process came past it, or it is time for one.
            return kept.and_then(|kept| kept.stop) != self.stop
                || C::TRIES_AGAIN.zip(self.left_since).is_some_and(waited);
        }
        // A definition is looked at again once it has changed, and not at every poll: that may take long.
        if self.refused.is_some() && kept.map(|kept| kept.definition) == self.refused {
            return false;
        }
        match self.find_place().await {
            Ok(_) => true,
            Err(error) => {
                tracing::debug!(name = self.name(), %error, "it cannot go on yet");
                false
            }
        }
    }

    async fn close(&mut self) -> Result<(), Error> {
        let Some(place) = self.place.as_mut().filter(|place| place.scanned != place.stored) else {
            return Ok(());
        };
        let to = place.scanned;
        self.subscriptions.store(&self.consumer, self.lease.as_ref(), place, to).await
    }

    fn show(&mut self, status: SubscriptionState, halt: Option<&Halt<Stuck>>) {
        if let Some(halt) = halt {
            self.problem = Some(halt.to_string());
        }
        let now = FollowerState {
            name: self.name().to_owned(),
            status,
            position: self.position,
            events: self.events,
            error: self.problem.clone(),
        };
        self.state.send_if_modified(|state| {
            let is_new = *state != now;
            *state = now;
            is_new
        });
    }
}

/// Where the last commit of a batch ends that is before the commit of an event.
fn end_before(batch: &[RecordedEvent], event: &ParkedEvent) -> Option<Position> {
    let stuck = batch.iter().find(|found| found.position == event.position).map(RecordedEvent::commit_end)?;
    batch.iter().map(RecordedEvent::commit_end).take_while(|end| *end < stuck).last()
}

/// Only a bug asks for work before the place is open.
fn closed<C: Consumer>(consumer: &C) -> Error {
    let (word, name) = (C::KIND.word(), consumer.name());
    Error::backend("following the log", format!("{word} {name} is not open"))
}
