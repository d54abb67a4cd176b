use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use underlay_core::memory::{MemoryEventStore, MemoryReadModels, MemorySnapshots};
use underlay_core::{Archive, Clock, EventStore, ReadModels, Snapshots, Timestamp};

use super::operation::Reopening;
use crate::Skip;

/// An adapter that is compared with the model.
pub trait Subject: Sized {
    /// Whether the times of commits without events never decrease either; those of events never do.
    const EVERY_COMMIT_IN_TIME: bool = false;

    /// Opens an empty store that stamps commits by `clock`.
    ///
    /// # Errors
    /// [`Skip`] where a server the store needs is not there.
    fn create(clock: Arc<SetClock>) -> impl Future<Output = Result<Self, Skip>>;

    /// The log. Where the subject is several stores on one database, any of them, another each time.
    fn events(&self) -> &dyn EventStore;

    /// The same log, for an export.
    fn archive(&self) -> &dyn Archive;

    /// The rows of views.
    fn rows(&self) -> &dyn ReadModels;

    /// The stored states.
    fn snapshots(&self) -> &dyn Snapshots;

    /// The next write fails in one of the ways the adapter knows, chosen by a number of any size; false
    /// where it knows none.
    fn arm(&self, fault: usize) -> bool;

    /// From now on nothing fails. Where the subject is several stores, it waits until each of them writes
    /// again; one by itself may still be `Unavailable` to the next call.
    fn disarm(&self) -> impl Future<Output = ()>;

    /// Opens the store again. What was acknowledged is there.
    fn reopen(&mut self, reopening: Reopening) -> impl Future<Output = ()>;
}

/// A clock that shows what it is set to, and whose sleeps end at once.
#[derive(Debug)]
pub struct SetClock(AtomicI64);

impl SetClock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_800_000_000_000_000)))
    }

    pub(super) fn move_by(&self, microseconds: i64) {
        self.0.fetch_add(microseconds, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::SeqCst)).expect("a time of this century")
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// The adapters in memory. They do not fail, and opening them again gives the same.
#[derive(Debug)]
pub struct InMemory {
    events: MemoryEventStore,
    rows: MemoryReadModels,
    snapshots: MemorySnapshots,
}

impl Subject for InMemory {
    async fn create(clock: Arc<SetClock>) -> Result<Self, Skip> {
        Ok(Self {
            events: MemoryEventStore::new(clock),
            rows: MemoryReadModels::default(),
            snapshots: MemorySnapshots::default(),
        })
    }

    fn events(&self) -> &dyn EventStore {
        &self.events
    }

    fn archive(&self) -> &dyn Archive {
        &self.events
    }

    fn rows(&self) -> &dyn ReadModels {
        &self.rows
    }

    fn snapshots(&self) -> &dyn Snapshots {
        &self.snapshots
    }

    fn arm(&self, _: usize) -> bool {
        false
    }

    async fn disarm(&self) {}

    async fn reopen(&mut self, _: Reopening) {}
}
