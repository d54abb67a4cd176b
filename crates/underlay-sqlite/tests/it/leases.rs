//! The contracts that go by the clock, on a file whose clock is moved by hand.

use std::sync::Arc;
use std::time::Duration;

use underlay_core::{Checkpoints, EventStore, Leases, ManualClock, ReadModels, Timestamp, WorkQueue};
use underlay_sqlite::{SqliteConfig, SqliteStore};
use underlay_testkit::{
    CheckpointsFixture, EventStoreFixture, Fixture, LeasesFixture, ReadModelsFixture, Skip, WorkQueueFixture,
};

use crate::sample::Place;

struct File {
    store: SqliteStore,
    clock: Arc<ManualClock>,
    place: Place,
}

impl File {
    fn open(place: Place, clock: Arc<ManualClock>) -> Self {
        let store = place.open_with(SqliteConfig::default().with_clock(clock.clone()));
        Self { store, clock, place }
    }
}

impl Fixture for File {
    async fn create() -> Result<Self, Skip> {
        let clock = ManualClock::new(Timestamp::from_second(1_900_000_000).unwrap());
        Ok(Self::open(Place::new(), Arc::new(clock)))
    }

    async fn reopen(self) -> Self {
        self.store.close().await.unwrap();
        Self::open(self.place, self.clock)
    }
}

impl ReadModelsFixture for File {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(self.store.clone())
    }
}

impl LeasesFixture for File {
    fn leases(&self) -> Arc<dyn Leases> {
        Arc::new(self.store.clone())
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

impl EventStoreFixture for File {
    fn event_store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.store.clone())
    }
}

impl WorkQueueFixture for File {
    fn work_queue(&self) -> Arc<dyn WorkQueue> {
        Arc::new(self.store.clone())
    }

    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }
}

impl CheckpointsFixture for File {
    fn checkpoints(&self) -> Arc<dyn Checkpoints> {
        Arc::new(self.store.clone())
    }
}

underlay_testkit::conformance!(leases, File);

mod checkpoints {
    use super::File;

    underlay_testkit::conformance!(checkpoints, File);
}

mod work_queue {
    use super::File;

    underlay_testkit::conformance!(work_queue, File);
}
