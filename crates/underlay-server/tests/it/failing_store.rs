use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use underlay_core::memory::MemoryEventStore;
use underlay_core::{
    Commit, CommitId, Committed, Error, EventStore, LogFilter, LogPage, LogScope, Position, RecordedEvent,
    StreamName, StreamPage, TenantId, Underway, Version,
};
use underlay_testkit::{Call, EventStoreLayer};

type Fault = Box<dyn Fn() -> Error + Send>;

/// A store that fails its commits and its head, or its reads, while it is told to, and says what it is told
/// to of commits that are not answered.
#[derive(Clone, Default)]
pub struct FailingStore {
    pub inner: MemoryEventStore,
    pub underway: Arc<Mutex<Option<Underway>>>,
    fault: Arc<Mutex<Option<Fault>>>,
    reads_fault: Arc<Mutex<Option<Fault>>>,
    reads_fault_to_come: Arc<Mutex<Option<Fault>>>,
    finds: Arc<AtomicBool>,
    largest_page: Arc<AtomicUsize>,
}

impl FailingStore {
    pub fn fail(&self, fault: impl Fn() -> Error + Send + 'static) {
        *self.fault.lock().unwrap() = Some(Box::new(fault));
    }

    /// Fails every read of a tenant's data.
    pub fn fail_reads(&self, fault: impl Fn() -> Error + Send + 'static) {
        *self.reads_fault.lock().unwrap() = Some(Box::new(fault));
    }

    /// The same, once a commit is stored.
    pub fn fail_reads_after_commit(&self, fault: impl Fn() -> Error + Send + 'static) {
        *self.reads_fault_to_come.lock().unwrap() = Some(Box::new(fault));
    }

    pub fn mend_reads(&self) {
        *self.reads_fault.lock().unwrap() = None;
    }

    /// Answers a commit as a store does that has lost its own answer, looked, and found it there.
    pub fn find_after_a_lost_answer(&self) {
        self.finds.store(true, Ordering::Relaxed);
    }

    /// The most bytes of payloads that one read gave.
    pub fn largest_page(&self) -> usize {
        self.largest_page.load(Ordering::Relaxed)
    }

    fn measure(&self, events: &[RecordedEvent]) {
        let bytes = events.iter().map(|event| event.payload.text().as_str().len()).sum();
        self.largest_page.fetch_max(bytes, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), Error> {
        self.fault.lock().unwrap().as_ref().map_or(Ok(()), |fault| Err(fault()))
    }

    fn check_reads(&self) -> Result<(), Error> {
        self.reads_fault.lock().unwrap().as_ref().map_or(Ok(()), |fault| Err(fault()))
    }
}

#[async_trait]
impl EventStoreLayer for FailingStore {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.inner.clone()
    }

    async fn before(&self, call: Call) -> Result<(), Error> {
        match call {
            Call::Commit | Call::Head => self.check(),
            Call::FindCommit | Call::ReadStream | Call::ReadAll | Call::Versions | Call::Streams => {
                self.check_reads()
            }
            Call::PositionAt | Call::EventIdAt => Ok(()),
        }
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        self.before(Call::Commit).await?;
        let mut committed = self.inner.commit(tenant, commit).await?;
        committed.repeated |= self.finds.load(Ordering::Relaxed);
        if let Some(fault) = self.reads_fault_to_come.lock().unwrap().take() {
            *self.reads_fault.lock().unwrap() = Some(fault);
        }
        Ok(committed)
    }

    fn underway(&self, _: &TenantId, _: CommitId) -> Option<Underway> {
        *self.underway.lock().unwrap()
    }

    async fn read_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<StreamPage, Error> {
        self.before(Call::ReadStream).await?;
        let page = self.inner.read_stream(tenant, stream, after, limit).await?;
        self.measure(&page.events);
        Ok(page)
    }

    async fn read_all(
        &self,
        scope: &LogScope,
        after: Position,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
        self.before(Call::ReadAll).await?;
        let page = self.inner.read_all(scope, after, filter, limit).await?;
        self.measure(&page.events);
        Ok(page)
    }
}
