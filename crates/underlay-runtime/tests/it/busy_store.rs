//! A store that takes its time, as a flush would, and counts what happens to it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use underlay_core::memory::{MemoryEventStore, MemoryReadModels};
use underlay_core::{Commit, Committed, Error, EventStore, SystemClock, TenantId};
use underlay_runtime::{Engine, EngineConfig, Ports};
use underlay_testkit::{Call, EventStoreLayer, Over};

use crate::bank::registry;

/// How often others go on while a commit is written.
const FLUSH_STEPS: usize = 8;

/// Commits that may pass an open store.
const UNBOUNDED: usize = Semaphore::MAX_PERMITS / 2;

#[derive(Clone)]
pub struct BusyStore(Arc<Inner>);

struct Inner {
    log: MemoryEventStore,
    passes: Semaphore,
    seen: Mutex<Seen>,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Commits that wait or are written.
    pub in_flight: usize,
    /// Commits that were answered with a conflict.
    pub conflicts: usize,
    /// Pages of streams that were read.
    pub reads: usize,
}

impl BusyStore {
    pub fn new() -> Self {
        let (log, passes) = (MemoryEventStore::default(), Semaphore::new(UNBOUNDED));
        Self(Arc::new(Inner { log, passes, seen: Mutex::default() }))
    }

    /// A process of its own on this store.
    pub fn engine(&self, config: EngineConfig) -> Engine {
        let ports = Ports {
            work: None,
            store: Arc::new(Over(self.clone())),
            read_models: Arc::new(MemoryReadModels::default()),
            wakeups: Arc::new(self.0.log.clone()),
            snapshots: None,
            leases: None,
            clock: Arc::new(SystemClock),
        };
        Engine::new(ports, registry(), config).unwrap()
    }

    /// The log as another process reaches it.
    pub fn log(&self) -> &MemoryEventStore {
        &self.0.log
    }

    /// Lets commits that arrive wait.
    pub fn close(&self) {
        self.0.passes.forget_permits(self.0.passes.available_permits());
    }

    /// Lets so many of the commits that wait be written, the first first.
    pub fn let_pass(&self, commits: usize) {
        self.0.passes.add_permits(commits);
    }

    pub fn open(&self) {
        self.let_pass(UNBOUNDED);
    }

    pub fn seen(&self) -> Seen {
        *self.0.seen.lock().unwrap()
    }

    fn see(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.0.seen.lock().unwrap());
    }

    /// Lets everybody work until `done`.
    pub async fn until(&self, mut done: impl FnMut(Seen) -> bool) {
        for _ in 0..100_000 {
            if done(self.seen()) {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("it never comes to that: {:?}", self.seen());
    }
}

/// A commit on its way; it is no more once its caller has gone.
struct InFlight<'s>(&'s BusyStore);

impl<'s> InFlight<'s> {
    fn begin(store: &'s BusyStore) -> Self {
        store.see(|seen| seen.in_flight += 1);
        Self(store)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.see(|seen| seen.in_flight -= 1);
    }
}

#[async_trait]
impl EventStoreLayer for BusyStore {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.0.log.clone()
    }

    async fn before(&self, call: Call) -> Result<(), Error> {
        if call == Call::ReadStream {
            self.see(|seen| seen.reads += 1);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        let _in_flight = InFlight::begin(self);
        self.0.passes.acquire().await.unwrap().forget();
        for _ in 0..FLUSH_STEPS {
            tokio::task::yield_now().await;
        }
        let committed = self.0.log.commit(tenant, commit).await;
        if let Err(Error::Conflict(_)) = committed {
            self.see(|seen| seen.conflicts += 1);
        }
        committed
    }
}
