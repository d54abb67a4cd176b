use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::sample::Index;
use underlay_core::memory::{MemoryEventStore, MemoryReadModels, MemorySnapshots};
use underlay_core::{Archive, Clock, EventStore, ReadModels, Snapshots, Timestamp};
use underlay_sqlite::{SqliteConfig, SqliteStore, Step};

use super::operation::Reopening;
use crate::sample::Place;

/// An adapter that is compared with the model.
pub(super) trait Subject: Sized {
    /// Opens an empty store.
    fn create(clock: Arc<SetClock>) -> Self;
    fn events(&self) -> &dyn EventStore;
    fn archive(&self) -> &dyn Archive;
    fn rows(&self) -> &dyn ReadModels;
    fn snapshots(&self) -> &dyn Snapshots;
    /// The next write fails in one of the ways the adapter knows; false where it knows none.
    fn arm(&self, fault: Index) -> bool;
    /// From now on nothing fails.
    fn disarm(&self);
    /// Opens the store again. What was acknowledged is there.
    async fn reopen(&mut self, reopening: Reopening);
}

/// A clock that shows what it is set to.
#[derive(Debug)]
pub(super) struct SetClock(AtomicI64);

impl SetClock {
    pub(super) fn new() -> Self {
        Self(AtomicI64::new(1_800_000_000_000_000))
    }

    pub(super) fn move_by(&self, microseconds: i64) {
        self.0.fetch_add(microseconds, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// The adapters in memory. They do not fail, and opening them again gives the same.
pub(super) struct Memory {
    events: MemoryEventStore,
    rows: MemoryReadModels,
    snapshots: MemorySnapshots,
}

impl Subject for Memory {
    fn create(clock: Arc<SetClock>) -> Self {
        Self {
            events: MemoryEventStore::new(clock),
            rows: MemoryReadModels::default(),
            snapshots: MemorySnapshots::default(),
        }
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

    fn arm(&self, _: Index) -> bool {
        false
    }

    fn disarm(&self) {}

    async fn reopen(&mut self, _: Reopening) {}
}

/// The steps at which the writer fails, one after the other.
const FAULTS: [&[Step]; 8] = [
    &[Step::Begin],
    &[Step::Inserted],
    &[Step::Commit],
    &[Step::Committed],
    &[Step::Commit, Step::Fence],
    &[Step::Committed, Step::Fence],
    &[Step::Inserted, Step::Fence, Step::Fence],
    &[Step::Committed, Step::Fence, Step::Reopen],
];

/// One file.
pub(super) struct Sqlite {
    store: SqliteStore,
    place: Place,
    clock: Arc<SetClock>,
    due: Arc<Mutex<Vec<Step>>>,
}

impl Sqlite {
    fn open(&mut self) {
        self.store = open(&self.place, &self.clock, &self.due);
    }
}

fn open(place: &Place, clock: &Arc<SetClock>, due: &Arc<Mutex<Vec<Step>>>) -> SqliteStore {
    let due = due.clone();
    place.open_with(SqliteConfig::default().with_clock(clock.clone()).with_faults(move |step| {
        let mut due = due.lock().unwrap();
        let fails = due.first() == Some(&step);
        if fails {
            due.remove(0);
        }
        fails
    }))
}

impl Subject for Sqlite {
    fn create(clock: Arc<SetClock>) -> Self {
        let (place, due) = (Place::new(), Arc::default());
        Self { store: open(&place, &clock, &due), place, clock, due }
    }

    fn events(&self) -> &dyn EventStore {
        &self.store
    }

    fn archive(&self) -> &dyn Archive {
        &self.store
    }

    fn rows(&self) -> &dyn ReadModels {
        &self.store
    }

    fn snapshots(&self) -> &dyn Snapshots {
        &self.store
    }

    fn arm(&self, fault: Index) -> bool {
        *self.due.lock().unwrap() = fault.get(&FAULTS).to_vec();
        true
    }

    fn disarm(&self) {
        self.due.lock().unwrap().clear();
    }

    async fn reopen(&mut self, reopening: Reopening) {
        let first = self.store.clone();
        match reopening {
            Reopening::InOrder => {
                first.close().await.unwrap();
                self.open();
            }
            Reopening::Beside => {
                self.open();
                first.close().await.unwrap();
            }
            Reopening::AfterCrash => {
                let copy = Place::new();
                for end in ["", "-wal"] {
                    let name = |place: &Place| format!("{}{end}", place.path().display());
                    std::fs::copy(name(&self.place), name(&copy)).unwrap();
                }
                drop(std::mem::replace(&mut self.place, copy));
                self.open();
            }
        }
    }
}
