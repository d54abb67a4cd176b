use std::sync::Arc;

use underlay_core::memory::{MemoryEventStore, MemoryReadModels, MemorySnapshots};
use underlay_core::{Archive, Clock, EventStore, ReadModels, Retention, Snapshots};

use crate::{
    ArchiveFixture, EventStoreFixture, Fixture, ReadModelsFixture, RetentionFixture, Skip, SnapshotsFixture,
};

/// Opens the adapters in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryFixture {
    /// The log.
    pub events: MemoryEventStore,
    /// The tables of views.
    pub views: MemoryReadModels,
    /// The stored states.
    pub snapshots: MemorySnapshots,
}

impl MemoryFixture {
    /// Empty stores whose log stamps events by `clock`.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { events: MemoryEventStore::new(clock), ..Self::default() }
    }
}

impl Fixture for MemoryFixture {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::default())
    }

    async fn reopen(self) -> Self {
        self.clone()
    }
}

impl EventStoreFixture for MemoryFixture {
    fn event_store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.events.clone())
    }
}

impl ReadModelsFixture for MemoryFixture {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(self.views.clone())
    }
}

impl SnapshotsFixture for MemoryFixture {
    fn snapshots(&self) -> Arc<dyn Snapshots> {
        Arc::new(self.snapshots.clone())
    }
}

impl ArchiveFixture for MemoryFixture {
    fn archive(&self) -> Arc<dyn Archive> {
        Arc::new(self.events.clone())
    }
}

impl RetentionFixture for MemoryFixture {
    fn retention(&self) -> Arc<dyn Retention> {
        Arc::new(self.events.clone())
    }
}
