use std::sync::Arc;

use underlay_core::memory::{MemoryEventStore, MemoryReadModels};
use underlay_core::{Clock, EventStore, ReadModels};

use crate::{EventStoreFixture, Fixture, ReadModelsFixture, Skip};

/// Opens the adapters in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryFixture {
    /// The log.
    pub events: MemoryEventStore,
    /// The tables of views.
    pub views: MemoryReadModels,
}

impl MemoryFixture {
    /// Empty stores whose log stamps events by `clock`.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { events: MemoryEventStore::new(clock), views: MemoryReadModels::default() }
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
