use std::sync::Arc;

use async_trait::async_trait;

use super::{
    MemoryCheckpoints, MemoryEntities, MemoryEventStore, MemoryReadModels, MemorySchedules, MemorySnapshots,
};
use crate::adapter::{Adapter, Backend, Migrations, OptionValues};
use crate::ports::{Clock, SystemClock};
use crate::words::Error;
use crate::words::options::{ConfigOption, Configurable, Options, set_all};

/// Opens `memory:`: a store that is gone with the process. Every opening gives one of its own.
#[derive(Clone)]
pub struct MemoryAdapter {
    clock: Arc<dyn Clock>,
}

impl Default for MemoryAdapter {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock) }
    }
}

/// There is nothing to set.
#[derive(Clone, Default)]
struct MemoryConfig;

impl Configurable for MemoryConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[];
}

impl MemoryAdapter {
    /// Stamps commits by this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn backend(&self) -> Backend {
        let entities = MemoryEntities::default();
        let store = Arc::new(MemoryEventStore::new(self.clock.clone()).with_entities(entities.clone()));
        Backend {
            store: Some(store.clone()),
            wakeups: Some(store.clone()),
            archive: Some(store.clone()),
            retention: Some(store.clone()),
            work: Some(store),
            schedules: Some(Arc::new(MemorySchedules::default())),
            checkpoints: Some(Arc::new(MemoryCheckpoints::default())),
            snapshots: Some(Arc::new(MemorySnapshots::default())),
            read_models: Some(Arc::new(MemoryReadModels::default())),
            entities: Some(Arc::new(entities)),
            clock: Some(self.clock.clone()),
            ..Backend::default()
        }
    }
}

#[async_trait]
impl Adapter for MemoryAdapter {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["memory"]
    }

    fn example(&self) -> &'static str {
        "memory:"
    }

    fn options(&self) -> Box<dyn Options> {
        Box::new(MemoryConfig)
    }

    fn options_in(&self, _: &str) -> Result<OptionValues, Error> {
        Ok(OptionValues::new())
    }

    fn shown(&self, address: &str) -> String {
        address.to_owned()
    }

    async fn open(&self, _: &str, options: &OptionValues) -> Result<Backend, Error> {
        set_all(&mut MemoryConfig, options)?;
        Ok(self.backend())
    }

    async fn open_existing(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        self.open(address, options).await
    }

    fn migrations(&self) -> Option<&dyn Migrations> {
        None
    }
}
