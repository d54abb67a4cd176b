use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use underlay_core::memory::MemoryEventStore;
use underlay_core::{
    Commit, CommitId, Committed, Error, EventId, EventStore, LogFilter, LogPage, LogScope, Position,
    RecordedCommit, StoreId, StreamName, StreamPage, TenantId, Timestamp, Underway, Version,
};

type Fault = Box<dyn Fn() -> Error + Send>;

/// A store that fails its commits and its head while it is told to, and says what it is told to of
/// commits that are not answered.
#[derive(Clone, Default)]
pub struct FailingStore {
    pub inner: MemoryEventStore,
    pub underway: Arc<Mutex<Option<Underway>>>,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl FailingStore {
    pub fn fail(&self, fault: impl Fn() -> Error + Send + 'static) {
        *self.fault.lock().unwrap() = Some(Box::new(fault));
    }

    fn check(&self) -> Result<(), Error> {
        self.fault.lock().unwrap().as_ref().map_or(Ok(()), |fault| Err(fault()))
    }
}

#[async_trait]
impl EventStore for FailingStore {
    fn store_id(&self) -> StoreId {
        self.inner.store_id()
    }
    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        self.check()?;
        self.inner.commit(tenant, commit).await
    }
    async fn find_commit(&self, tenant: &TenantId, id: CommitId) -> Result<Option<RecordedCommit>, Error> {
        self.inner.find_commit(tenant, id).await
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
        self.inner.read_stream(tenant, stream, after, limit).await
    }
    async fn read_all(
        &self,
        scope: &LogScope,
        after: Position,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
        self.inner.read_all(scope, after, filter, limit).await
    }
    async fn versions(&self, tenant: &TenantId, streams: &[StreamName]) -> Result<Vec<Version>, Error> {
        self.inner.versions(tenant, streams).await
    }
    async fn head(&self) -> Result<Position, Error> {
        self.check()?;
        self.inner.head().await
    }
    async fn position_at(&self, time: Timestamp) -> Result<Position, Error> {
        self.inner.position_at(time).await
    }
    async fn event_id_at(&self, position: Position) -> Result<Option<EventId>, Error> {
        self.inner.event_id_at(position).await
    }
}
