use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::memory::MemoryEventBus;
use underlay_core::{
    BusDeadLetter, BusSubscription, Error, EventBus, EventId, HandlerError, ManualClock, RecordedEvent,
    Subscriber, SubscriberId, SubscriberStanding, Timestamp, WhenFull,
};
use underlay_testkit::{EventBusFixture, Fixture, Skip};

use super::caught;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Everybody gets the events of every tenant.
    ForgetsTenants,
    /// A batch is published from its end.
    TurnsBatchesRound,
    /// Who publishes to one publishes to all.
    PublishesToAll,
    /// Nothing is tried twice.
    TriesOnce,
    /// What cannot be taken is dropped.
    DropsWhatFails,
    /// A panic is taken for a success.
    TakesPanicsForSuccess,
    /// A slow subscriber makes everybody after it wait.
    GoesOneByOne,
    /// Queues grow.
    GrowsQueues,
    /// What finds no room is dropped, and nobody is told.
    DropsWhatIsTooMuch,
    /// Dead letters grow.
    GrowsDeadLetters,
    /// Replaying removes.
    DiscardsReplays,
    /// Unsubscribing is forgotten.
    KeepsWhoLeaves,
    /// What fails counts as taken.
    CountsFailuresAsTaken,
    /// Bounds are not looked at.
    ForgetsBounds,
}

/// A subscriber as a broken bus treats it.
struct Treated {
    inner: Arc<dyn Subscriber>,
    mutation: Mutation,
}

#[async_trait]
impl Subscriber for Treated {
    async fn take(&self, event: &RecordedEvent) -> Result<(), HandlerError> {
        let (inner, event) = (self.inner.clone(), event.clone());
        match self.mutation {
            Mutation::DropsWhatFails => inner.take(&event).await.or(Ok(())),
            Mutation::TakesPanicsForSuccess => {
                tokio::spawn(async move { inner.take(&event).await }).await.unwrap_or(Ok(()))
            }
            _ => inner.take(&event).await,
        }
    }
}

struct Broken {
    inner: MemoryEventBus,
    clock: Arc<ManualClock>,
    mutation: Mutation,
}

struct Mutant(Arc<Broken>);

impl Mutant {
    fn with(mutation: Mutation) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_900_000_000).unwrap()));
        let inner = MemoryEventBus::new(clock.clone());
        Self(Arc::new(Broken { inner, clock, mutation }))
    }
}

impl Fixture for Mutant {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::with(Mutation::None))
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl EventBusFixture for Mutant {
    fn event_bus(&self) -> Arc<dyn EventBus> {
        self.0.clone()
    }

    fn pass(&self, time: Duration) {
        self.0.clock.advance(time);
    }
}

#[async_trait]
impl EventBus for Broken {
    async fn subscribe(
        &self,
        mut subscription: BusSubscription,
        subscriber: Arc<dyn Subscriber>,
    ) -> Result<SubscriberId, Error> {
        match self.mutation {
            Mutation::ForgetsTenants => subscription.tenant = None,
            Mutation::TriesOnce => subscription.attempts_max = 1,
            Mutation::GrowsQueues => {
                (subscription.items_max, subscription.bytes_max) = (usize::MAX, usize::MAX)
            }
            Mutation::DropsWhatIsTooMuch => subscription.when_full = WhenFull::Refuse,
            Mutation::GrowsDeadLetters => subscription.dead_letters_max = usize::MAX,
            Mutation::ForgetsBounds => subscription.items_max = subscription.items_max.max(1),
            _ => {}
        }
        let treated = Arc::new(Treated { inner: subscriber, mutation: self.mutation });
        self.inner.subscribe(subscription, treated).await
    }

    async fn unsubscribe(&self, subscriber: SubscriberId) -> Result<bool, Error> {
        match self.mutation {
            Mutation::KeepsWhoLeaves => Ok(true),
            _ => self.inner.unsubscribe(subscriber).await,
        }
    }

    async fn publish_batch(&self, events: &[Arc<RecordedEvent>]) -> Result<(), Error> {
        match self.mutation {
            Mutation::TurnsBatchesRound => {
                let turned: Vec<_> = events.iter().rev().cloned().collect();
                self.inner.publish_batch(&turned).await
            }
            Mutation::GoesOneByOne => {
                for standing in self.inner.subscribers() {
                    self.inner.publish_to(standing.id, events).await?;
                }
                Ok(())
            }
            Mutation::DropsWhatIsTooMuch => self.inner.publish_batch(events).await.or(Ok(())),
            _ => self.inner.publish_batch(events).await,
        }
    }

    async fn publish_to(&self, subscriber: SubscriberId, events: &[Arc<RecordedEvent>]) -> Result<(), Error> {
        match self.mutation {
            Mutation::PublishesToAll => self.inner.publish_batch(events).await,
            _ => self.inner.publish_to(subscriber, events).await,
        }
    }

    fn subscribers(&self) -> Vec<SubscriberStanding> {
        let mut standings = self.inner.subscribers();
        if self.mutation == Mutation::CountsFailuresAsTaken {
            for standing in &mut standings {
                standing.taken += standing.failures;
            }
        }
        standings
    }

    fn dead_letters(&self, subscriber: SubscriberId) -> Vec<BusDeadLetter> {
        self.inner.dead_letters(subscriber)
    }

    async fn replay(&self, subscriber: SubscriberId, events: &[EventId]) -> Result<usize, Error> {
        match self.mutation {
            Mutation::DiscardsReplays => self.inner.discard(subscriber, events).await,
            _ => self.inner.replay(subscriber, events).await,
        }
    }

    async fn discard(&self, subscriber: SubscriberId, events: &[EventId]) -> Result<usize, Error> {
        self.inner.discard(subscriber, events).await
    }
}

underlay_testkit::conformance!(event_bus, Mutant);

caught! { event_bus;
    tenants_forgotten: subscribers_get_what_they_want_in_order fails on ForgetsTenants;
    batches_turned_round: subscribers_get_what_they_want_in_order fails on TurnsBatchesRound;
    published_to_all: one_subscriber_is_published_to_alone fails on PublishesToAll;
    tried_once: failed_attempts_are_repeated_in_place fails on TriesOnce;
    failures_dropped: what_cannot_be_taken_is_a_dead_letter fails on DropsWhatFails;
    panics_taken_for_success: subscribers_fail_alone fails on TakesPanicsForSuccess;
    one_by_one: subscribers_are_slow_alone fails on GoesOneByOne;
    queues_grow: a_full_queue_makes_its_publisher_wait fails on GrowsQueues;
    too_much_dropped: a_full_queue_makes_its_publisher_wait fails on DropsWhatIsTooMuch;
    refusals_unsaid: a_full_queue_refuses_by_the_name_of_its_bound fails on DropsWhatIsTooMuch;
    dead_letters_grow: dead_letters_are_bounded fails on GrowsDeadLetters;
    replays_discarded: dead_letters_of_a_bus_are_replayed_or_discarded fails on DiscardsReplays;
    who_leaves_is_kept: who_unsubscribes_is_given_nothing_more fails on KeepsWhoLeaves;
    failures_counted_as_taken: counts_add_up fails on CountsFailuresAsTaken;
    bounds_forgotten: limits_of_a_bus_are_named fails on ForgetsBounds;
}
