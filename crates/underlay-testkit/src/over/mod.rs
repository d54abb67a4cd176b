//! Stores over other stores: everything is delegated, but for what a test wants otherwise.

mod checkpoints;
mod entities;
mod event_store;
mod read_models;
mod schedules;
mod work_queue;

use std::ops::Deref;

pub use checkpoints::{CheckpointsCall, CheckpointsLayer};
pub use entities::{EntitiesCall, EntitiesLayer};
pub use event_store::{Call, EventStoreLayer};
pub use read_models::{ReadModelsLayer, RowsCall};
pub use schedules::{SchedulesCall, SchedulesLayer};
pub use work_queue::{WorkCall, WorkQueueLayer};

/// A layer as the port that it lies over: `Over(layer)` is an event store where the layer is an
/// [`EventStoreLayer`], read models where it is a [`ReadModelsLayer`], and so on.
///
/// ```
/// use underlay_core::memory::MemoryEventStore;
/// use underlay_core::{Error, EventStore};
/// use underlay_testkit::{Call, EventStoreLayer, Over};
///
/// /// Its head is never told.
/// struct Headless(MemoryEventStore);
///
/// #[async_trait::async_trait]
/// impl EventStoreLayer for Headless {
///     type Below = MemoryEventStore;
///
///     fn below(&self) -> MemoryEventStore {
///         self.0.clone()
///     }
///
///     async fn before(&self, call: Call) -> Result<(), Error> {
///         if call == Call::Head { Err(Error::unavailable("the head is gone")) } else { Ok(()) }
///     }
/// }
///
/// let store = Over(Headless(MemoryEventStore::default()));
/// let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// assert!(runtime.block_on(store.head()).unwrap_err().is_retryable());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Over<L>(pub L);

impl<L> Deref for Over<L> {
    type Target = L;

    fn deref(&self) -> &L {
        &self.0
    }
}
