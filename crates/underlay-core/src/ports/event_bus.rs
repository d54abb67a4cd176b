use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use uuid::Uuid;

use crate::domain::HandlerError;
use crate::ports::LogFilter;
use crate::words::limits::LEASE_NAME_BYTES_MAX;
use crate::words::{Error, EventId, RecordedEvent, TenantId, Timestamp};

/// The identity of a subscriber, drawn when it subscribes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SubscriberId(pub Uuid);

impl SubscriberId {
    /// Draws a new id, ordered by time (UUID version 7).
    #[must_use]
    pub fn draw() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What happens to a publisher where the queue of a subscriber is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It waits until there is room.
    #[default]
    Wait,
    /// It is told so, and the subscriber gets nothing of that batch.
    Refuse,
}

/// What a subscriber wants, and its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusSubscription {
    /// Names it to people: 1 to [`LEASE_NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// The events of this tenant alone; of all where none is given.
    pub tenant: Option<TenantId>,
    /// Which of them.
    pub filter: LogFilter,
    /// Events that wait for it: at least 1.
    pub items_max: usize,
    /// Bytes of the events that wait for it. One event that is larger waits alone. Its dead letters may have as
    /// many again.
    pub bytes_max: usize,
    /// What happens where that many wait.
    pub when_full: WhenFull,
    /// How often it is given an event before the event is a dead letter: at least 1.
    pub attempts_max: u32,
    /// The pause after a failed attempt.
    pub retry_delay: Duration,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// Dead letters that are kept: at least 1. With one more the subscriber stops until there is room.
    pub dead_letters_max: usize,
}

impl BusSubscription {
    /// Every event of every tenant. 1,024 events and 8 MiB may wait, and a publisher waits for room; an event is
    /// given three times, 100 ms apart, for 30 s each; 100 dead letters are kept.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            tenant: None,
            filter: LogFilter::default(),
            items_max: 1_024,
            bytes_max: 8 << 20,
            when_full: WhenFull::Wait,
            attempts_max: 3,
            retry_delay: Duration::from_millis(100),
            timeout: Duration::from_secs(30),
            dead_letters_max: 100,
        }
    }

    /// Wants the events of one tenant.
    #[must_use]
    pub fn of_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Wants what a filter lets pass.
    #[must_use]
    pub fn with_filter(mut self, filter: LogFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets what happens where its queue is full.
    #[must_use]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// Sets how many events may wait.
    #[must_use]
    pub fn with_items_max(mut self, items_max: usize) -> Self {
        self.items_max = items_max;
        self
    }

    /// Sets how many bytes of events may wait.
    #[must_use]
    pub fn with_bytes_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Sets how often it is given an event.
    #[must_use]
    pub fn with_attempts_max(mut self, attempts_max: u32) -> Self {
        self.attempts_max = attempts_max;
        self
    }

    /// Sets how many dead letters are kept.
    #[must_use]
    pub fn with_dead_letters_max(mut self, dead_letters_max: usize) -> Self {
        self.dead_letters_max = dead_letters_max;
        self
    }

    /// Whether it wants this event.
    #[must_use]
    pub fn wants(&self, event: &RecordedEvent) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == event.tenant) && self.filter.allows(event)
    }

    /// Checks what nothing could work with. Adapters call it first.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the bound.
    pub fn check(&self) -> Result<(), Error> {
        if self.name.is_empty() || self.name.len() > LEASE_NAME_BYTES_MAX || self.name.contains('\0') {
            return Err(Error::invalid(format!(
                "the name of a subscriber has 1 to LEASE_NAME_BYTES_MAX = {LEASE_NAME_BYTES_MAX} bytes and no NUL, \
                 this one has {}",
                self.name.len()
            )));
        }
        let bounds = [
            ("items_max", self.items_max == 0),
            ("attempts_max", self.attempts_max == 0),
            ("dead_letters_max", self.dead_letters_max == 0),
            ("timeout", self.timeout.is_zero()),
        ];
        match bounds.into_iter().find(|(_, is_none)| *is_none) {
            None => Ok(()),
            Some((bound, _)) => {
                Err(Error::invalid(format!("{bound} of subscriber {} is 0; it is at least 1", self.name)))
            }
        }
    }
}

/// Is given events by a bus.
#[async_trait]
pub trait Subscriber: Send + Sync + 'static {
    /// Takes an event. It is called for one event at a time, in the order of publishing, and again for the same
    /// one after a failure. Where it takes longer than it may, it is dropped at the point where it waits; code that
    /// blocks its thread cannot be dropped, and keeps that thread.
    ///
    /// # Errors
    /// [`HandlerError`]: the event is given again, or is a dead letter at once where the failure is final.
    async fn take(&self, event: &RecordedEvent) -> Result<(), HandlerError>;
}

/// An event that a subscriber could not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusDeadLetter {
    /// The event.
    pub event: Arc<RecordedEvent>,
    /// Attempts that failed.
    pub attempts: u32,
    /// Why the last of them failed.
    pub error: String,
    /// When it was given up.
    pub died_at: Timestamp,
}

/// How much of one tenant waits for a subscriber.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TenantLag {
    /// The tenant.
    pub tenant: TenantId,
    /// Events that wait, with the one that is being taken.
    pub waiting: usize,
    /// When the oldest of them was recorded.
    pub oldest_recorded_at: Timestamp,
}

/// Where a subscriber stands. Every event that was published to it is waiting, taken, dead or discarded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubscriberStanding {
    /// Its identity.
    pub id: SubscriberId,
    /// Its name.
    pub name: String,
    /// Events that were put into its queue.
    pub published: u64,
    /// Events that it has taken.
    pub taken: u64,
    /// Events that wait, with the one that is being taken.
    pub waiting: usize,
    /// Bytes of those.
    pub waiting_bytes: usize,
    /// Dead letters that are kept.
    pub dead: usize,
    /// Dead letters that a person has discarded.
    pub discarded: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Events that found no room and were refused to their publisher.
    pub refused: u64,
    /// Whether it takes nothing more until there is room for another dead letter.
    pub is_stopped: bool,
    /// Why the last attempt that failed did so.
    pub last_error: Option<String>,
    /// What waits, by tenant.
    pub lag: Vec<TenantLag>,
}

/// Brings events to whoever in this process wants them.
///
/// A bus keeps nothing after the process ends, and knows nothing of the log: what must not be lost is read from
/// there by a pump, which publishes it. Each subscriber has a queue of its own, and is given one event at a time.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *A subscriber is given what is published after it subscribed, of the tenant, the categories and the types it names, in the order of publishing.* `subscribers_get_what_they_want_in_order`
/// 2. *What is published to one subscriber is given to no other.* `one_subscriber_is_published_to_alone`
/// 3. *A failed attempt is repeated before the next event, up to the attempts the subscriber has; a final failure is not.* `failed_attempts_are_repeated_in_place`
/// 4. *An event that a subscriber cannot take becomes its dead letter, with the reason, and the next one goes on.* `what_cannot_be_taken_is_a_dead_letter`
/// 5. *An error, a panic and an attempt without end disturb no other subscriber, and count as failures.* `subscribers_fail_alone`
/// 6. *A slow subscriber delays no other within a batch, nor what is published to another alone.* `subscribers_are_slow_alone`
/// 7. *No more events and bytes wait than a subscriber allows: its publisher waits, and then nothing is lost.* `a_full_queue_makes_its_publisher_wait`
/// 8. *Where a subscriber refuses instead, the publisher is told by the name of the bound, that subscriber gets nothing of the batch, and the others get all of it.* `a_full_queue_refuses_by_the_name_of_its_bound`
/// 9. *No more dead letters are kept than a subscriber allows: with one more it stops, and goes on where one is replayed or discarded.* `dead_letters_are_bounded`
/// 10. *A replayed dead letter is given again before what waits; a discarded one is gone.* `dead_letters_of_a_bus_are_replayed_or_discarded`
/// 11. *Whoever unsubscribed is given no further event, and its publishers wait no longer.* `who_unsubscribes_is_given_nothing_more`
/// 12. *The counts of a subscriber add up at every moment, and say how much of which tenant waits.* `counts_add_up`
/// 13. *What exceeds a limit is `Invalid` with the limit's name.* `limits_of_a_bus_are_named`
#[async_trait]
pub trait EventBus: Send + Sync + 'static {
    /// Begins to give events to a subscriber.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a bound makes no sense, or there are
    /// [`BUS_SUBSCRIBERS_MAX`](crate::words::limits::BUS_SUBSCRIBERS_MAX) already.
    async fn subscribe(
        &self,
        subscription: BusSubscription,
        subscriber: Arc<dyn Subscriber>,
    ) -> Result<SubscriberId, Error>;

    /// Ends that; false where there is no such subscriber. What waits for it and its dead letters are given up,
    /// and an attempt that goes on is dropped.
    ///
    /// # Errors
    /// What the bus says.
    async fn unsubscribe(&self, subscriber: SubscriberId) -> Result<bool, Error>;

    /// Puts events into the queue of everybody who wants them, and waits for whoever makes publishers wait. Where
    /// it is dropped before its end, a beginning of the batch may be in the queues.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where a subscriber refused: the others have the batch. [`Error::Invalid`] where the
    /// batch is larger than the queue of one that refuses can ever hold.
    async fn publish_batch(&self, events: &[Arc<RecordedEvent>]) -> Result<(), Error>;

    /// The same, for one subscriber: whoever has a pump of its own is slow for itself alone.
    ///
    /// # Errors
    /// As [`EventBus::publish_batch`]; [`Error::NotFound`] where there is no such subscriber.
    async fn publish_to(&self, subscriber: SubscriberId, events: &[Arc<RecordedEvent>]) -> Result<(), Error>;

    /// Where every subscriber stands, in the order of ids.
    fn subscribers(&self) -> Vec<SubscriberStanding>;

    /// The dead letters of a subscriber, the oldest first; none where there is no such subscriber.
    fn dead_letters(&self, subscriber: SubscriberId) -> Vec<BusDeadLetter>;

    /// Gives dead letters to their subscriber again; says how many of them there were.
    ///
    /// # Errors
    /// What the bus says.
    async fn replay(&self, subscriber: SubscriberId, events: &[EventId]) -> Result<usize, Error>;

    /// Removes dead letters; says how many of them there were.
    ///
    /// # Errors
    /// What the bus says.
    async fn discard(&self, subscriber: SubscriberId, events: &[EventId]) -> Result<usize, Error>;
}

/// What every bus can do on top of its port.
#[async_trait]
pub trait EventBusExt: EventBus {
    /// Publishes one event.
    ///
    /// # Errors
    /// As [`EventBus::publish_batch`].
    async fn publish(&self, event: RecordedEvent) -> Result<(), Error> {
        self.publish_batch(&[Arc::new(event)]).await
    }
}

impl<B: EventBus + ?Sized> EventBusExt for B {}
