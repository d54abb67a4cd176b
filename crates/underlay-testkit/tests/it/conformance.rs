//! Every suite on the adapters in memory: as they are, behind a decorator, and under a clock that
//! goes backwards.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use underlay_core::memory::MemoryEventStore;
use underlay_core::{
    Checkpoints, Clock, EventStore, Leases, ManualClock, ReadModels, Schedules, Timestamp, WorkQueue,
};
use underlay_testkit::{
    CheckpointsFixture, EventStoreFixture, Fixture, Flaky, LeasesFixture, MemoryCacheFixture, MemoryFixture,
    MemoryMailFixture, MemorySchedulerFixture, Over, ReadModelsFixture, SchedulesFixture, Skip,
    TimedMemoryFixture, WorkQueueFixture,
};

mod memory {
    use super::*;

    underlay_testkit::conformance!(event_store, MemoryFixture);
    underlay_testkit::conformance!(read_models, MemoryFixture);
    underlay_testkit::conformance!(entities, MemoryFixture);
    underlay_testkit::conformance!(snapshots, MemoryFixture);
    underlay_testkit::conformance!(archive, MemoryFixture);
    underlay_testkit::conformance!(retention, MemoryFixture);
    underlay_testkit::conformance!(mail, MemoryMailFixture);
    underlay_testkit::conformance!(cache, MemoryCacheFixture);
    underlay_testkit::conformance!(scheduler, MemorySchedulerFixture);
}

mod timed_memory {
    use super::*;

    underlay_testkit::conformance!(leases, TimedMemoryFixture);
    underlay_testkit::conformance!(work_queue, TimedMemoryFixture);
    underlay_testkit::conformance!(schedules, TimedMemoryFixture);
    underlay_testkit::conformance!(checkpoints, TimedMemoryFixture);
}

mod decorated {
    use super::*;

    /// A decorator that does not fail must not show.
    struct Decorated(Arc<Over<Flaky<MemoryEventStore>>>);

    impl Fixture for Decorated {
        async fn create() -> Result<Self, Skip> {
            Ok(Self(Arc::new(Over(Flaky::new(MemoryEventStore::default())))))
        }

        async fn reopen(self) -> Self {
            self
        }
    }

    impl EventStoreFixture for Decorated {
        fn event_store(&self) -> Arc<dyn EventStore> {
            self.0.clone()
        }
    }

    underlay_testkit::conformance!(event_store, Decorated);

    /// The same of what is beside a log.
    struct DecoratedTimed(TimedMemoryFixture);

    impl Fixture for DecoratedTimed {
        async fn create() -> Result<Self, Skip> {
            Ok(Self(TimedMemoryFixture::create().await?))
        }

        async fn reopen(self) -> Self {
            Self(self.0.reopen().await)
        }
    }

    impl EventStoreFixture for DecoratedTimed {
        fn event_store(&self) -> Arc<dyn EventStore> {
            self.0.event_store()
        }
    }

    impl ReadModelsFixture for DecoratedTimed {
        fn read_models(&self) -> Arc<dyn ReadModels> {
            self.0.read_models()
        }
    }

    impl LeasesFixture for DecoratedTimed {
        fn leases(&self) -> Arc<dyn Leases> {
            self.0.leases()
        }

        fn pass(&self, time: Duration) {
            self.0.pass(time);
        }
    }

    impl WorkQueueFixture for DecoratedTimed {
        fn work_queue(&self) -> Arc<dyn WorkQueue> {
            Arc::new(Over(Flaky::work_queue(self.0.events.clone())))
        }

        fn clock(&self) -> Arc<ManualClock> {
            self.0.clock()
        }
    }

    impl SchedulesFixture for DecoratedTimed {
        fn schedules(&self) -> Arc<dyn Schedules> {
            Arc::new(Over(Flaky::schedules(self.0.schedules.clone())))
        }
    }

    impl CheckpointsFixture for DecoratedTimed {
        fn checkpoints(&self) -> Arc<dyn Checkpoints> {
            Arc::new(Over(Flaky::checkpoints(self.0.checkpoints.clone())))
        }
    }

    underlay_testkit::conformance!(work_queue, DecoratedTimed);
    underlay_testkit::conformance!(schedules, DecoratedTimed);
    underlay_testkit::conformance!(checkpoints, DecoratedTimed);
}

mod wandering_clock {
    use super::*;

    /// A clock that is set back a second every third time it is read.
    #[derive(Default)]
    struct Wandering(AtomicI64);

    impl Clock for Wandering {
        fn now(&self) -> Timestamp {
            let read = self.0.fetch_add(1, Ordering::Relaxed);
            let set_back = if read % 3 == 2 { 1_000_000 } else { 0 };
            Timestamp::from_microsecond(1_800_000_000_000_000 + read * 10 - set_back).unwrap()
        }

        fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            Box::pin(std::future::ready(()))
        }
    }

    struct UnderWanderingClock(MemoryFixture);

    impl Fixture for UnderWanderingClock {
        async fn create() -> Result<Self, Skip> {
            Ok(Self(MemoryFixture::with_clock(Arc::new(Wandering::default()))))
        }

        async fn reopen(self) -> Self {
            Self(self.0.reopen().await)
        }
    }

    impl EventStoreFixture for UnderWanderingClock {
        fn event_store(&self) -> Arc<dyn EventStore> {
            self.0.event_store()
        }
    }

    underlay_testkit::conformance!(event_store, UnderWanderingClock);
}
