//! Stores over other stores: everything is delegated, but for what a test wants otherwise.

use std::ops::Deref;

use async_trait::async_trait;
use underlay_core::{
    Checkpoint, Commit, CommitId, Committed, Error, EventId, EventStore, LoadedRow, LogFilter, LogPage,
    LogScope, ParkedEvent, Position, Query, ReadModels, RecordedCommit, RowAddress, RowPage, RowValues,
    StoreId, StreamName, StreamPage, Swap, Swept, TenantId, Timestamp, Underway, Version, ViewBatch,
    ViewInfo, ViewSchema, ViewTable,
};

/// A call of an event store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`EventStore::commit`].
    Commit,
    /// [`EventStore::find_commit`].
    FindCommit,
    /// [`EventStore::read_stream`].
    ReadStream,
    /// [`EventStore::read_all`].
    ReadAll,
    /// [`EventStore::versions`].
    Versions,
    /// [`EventStore::head`].
    Head,
    /// [`EventStore::position_at`].
    PositionAt,
    /// [`EventStore::event_id_at`].
    EventIdAt,
}

/// A call of read models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowsCall {
    /// [`ReadModels::prepare`].
    Prepare,
    /// [`ReadModels::begin_generation`].
    BeginGeneration,
    /// [`ReadModels::activate`].
    Activate,
    /// [`ReadModels::revert`].
    Revert,
    /// [`ReadModels::discard`].
    Discard,
    /// [`ReadModels::sweep`].
    Sweep,
    /// [`ReadModels::parked`].
    Parked,
    /// [`ReadModels::views`].
    Views,
    /// [`ReadModels::checkpoint`].
    Checkpoint,
    /// [`ReadModels::load`].
    Load,
    /// [`ReadModels::apply`].
    Apply,
    /// [`ReadModels::get`].
    Get,
    /// [`ReadModels::query`].
    Query,
    /// [`ReadModels::count`].
    Count,
}

/// A layer as the port that it lies over: `Over(layer)` is an event store where the layer is an
/// [`EventStoreLayer`], read models where it is a [`ReadModelsLayer`].
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

/// Lies over an event store. What it does not say itself is asked of the store below.
#[async_trait]
pub trait EventStoreLayer: Send + Sync + 'static {
    /// The store below.
    type Below: EventStore;

    /// A handle to the store below.
    fn below(&self) -> Self::Below;

    /// What happens before a call is passed on. A call that the layer answers itself does not come here.
    async fn before(&self, _: Call) -> Result<(), Error> {
        Ok(())
    }

    /// [`EventStore::store_id`].
    fn store_id(&self) -> StoreId {
        self.below().store_id()
    }

    /// [`EventStore::underway`].
    fn underway(&self, tenant: &TenantId, id: CommitId) -> Option<Underway> {
        self.below().underway(tenant, id)
    }

    /// [`EventStore::commit`].
    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        self.before(Call::Commit).await?;
        self.below().commit(tenant, commit).await
    }

    /// [`EventStore::find_commit`].
    async fn find_commit(&self, tenant: &TenantId, id: CommitId) -> Result<Option<RecordedCommit>, Error> {
        self.before(Call::FindCommit).await?;
        self.below().find_commit(tenant, id).await
    }

    /// [`EventStore::read_stream`].
    async fn read_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<StreamPage, Error> {
        self.before(Call::ReadStream).await?;
        self.below().read_stream(tenant, stream, after, limit).await
    }

    /// [`EventStore::read_all`].
    async fn read_all(
        &self,
        scope: &LogScope,
        after: Position,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
        self.before(Call::ReadAll).await?;
        self.below().read_all(scope, after, filter, limit).await
    }

    /// [`EventStore::versions`].
    async fn versions(&self, tenant: &TenantId, streams: &[StreamName]) -> Result<Vec<Version>, Error> {
        self.before(Call::Versions).await?;
        self.below().versions(tenant, streams).await
    }

    /// [`EventStore::head`].
    async fn head(&self) -> Result<Position, Error> {
        self.before(Call::Head).await?;
        self.below().head().await
    }

    /// [`EventStore::position_at`].
    async fn position_at(&self, time: Timestamp) -> Result<Position, Error> {
        self.before(Call::PositionAt).await?;
        self.below().position_at(time).await
    }

    /// [`EventStore::event_id_at`].
    async fn event_id_at(&self, position: Position) -> Result<Option<EventId>, Error> {
        self.before(Call::EventIdAt).await?;
        self.below().event_id_at(position).await
    }
}

#[async_trait]
impl<L: EventStoreLayer> EventStore for Over<L> {
    fn store_id(&self) -> StoreId {
        self.0.store_id()
    }
    fn underway(&self, tenant: &TenantId, id: CommitId) -> Option<Underway> {
        self.0.underway(tenant, id)
    }
    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        self.0.commit(tenant, commit).await
    }
    async fn find_commit(&self, tenant: &TenantId, id: CommitId) -> Result<Option<RecordedCommit>, Error> {
        self.0.find_commit(tenant, id).await
    }
    async fn read_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<StreamPage, Error> {
        self.0.read_stream(tenant, stream, after, limit).await
    }
    async fn read_all(
        &self,
        scope: &LogScope,
        after: Position,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
        self.0.read_all(scope, after, filter, limit).await
    }
    async fn versions(&self, tenant: &TenantId, streams: &[StreamName]) -> Result<Vec<Version>, Error> {
        self.0.versions(tenant, streams).await
    }
    async fn head(&self) -> Result<Position, Error> {
        self.0.head().await
    }
    async fn position_at(&self, time: Timestamp) -> Result<Position, Error> {
        self.0.position_at(time).await
    }
    async fn event_id_at(&self, position: Position) -> Result<Option<EventId>, Error> {
        self.0.event_id_at(position).await
    }
}

/// Lies over read models. What it does not say itself is asked of those below.
#[async_trait]
pub trait ReadModelsLayer: Send + Sync + 'static {
    /// The read models below.
    type Below: ReadModels;

    /// A handle to the read models below.
    fn below(&self) -> Self::Below;

    /// What happens before a call is passed on. A call that the layer answers itself does not come here.
    async fn before(&self, _: RowsCall) -> Result<(), Error> {
        Ok(())
    }

    /// [`ReadModels::prepare`].
    async fn prepare(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        self.before(RowsCall::Prepare).await?;
        self.below().prepare(schema, start).await
    }

    /// [`ReadModels::begin_generation`].
    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        self.before(RowsCall::BeginGeneration).await?;
        self.below().begin_generation(schema, start).await
    }

    /// [`ReadModels::activate`].
    async fn activate(&self, table: &ViewTable, swap: Swap) -> Result<bool, Error> {
        self.before(RowsCall::Activate).await?;
        self.below().activate(table, swap).await
    }

    /// [`ReadModels::revert`].
    async fn revert(&self, schema: &ViewSchema, at: Timestamp) -> Result<ViewTable, Error> {
        self.before(RowsCall::Revert).await?;
        self.below().revert(schema, at).await
    }

    /// [`ReadModels::discard`].
    async fn discard(&self, view: &str, generation: u32) -> Result<(), Error> {
        self.before(RowsCall::Discard).await?;
        self.below().discard(view, generation).await
    }

    /// [`ReadModels::sweep`].
    async fn sweep(&self) -> Result<Swept, Error> {
        self.before(RowsCall::Sweep).await?;
        self.below().sweep().await
    }

    /// [`ReadModels::parked`].
    async fn parked(
        &self,
        table: &ViewTable,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, Error> {
        self.before(RowsCall::Parked).await?;
        self.below().parked(table, after, limit).await
    }

    /// [`ReadModels::views`].
    async fn views(&self) -> Result<Vec<ViewInfo>, Error> {
        self.before(RowsCall::Views).await?;
        self.below().views().await
    }

    /// [`ReadModels::checkpoint`].
    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error> {
        self.before(RowsCall::Checkpoint).await?;
        self.below().checkpoint(table).await
    }

    /// [`ReadModels::load`].
    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<LoadedRow>, Error> {
        self.before(RowsCall::Load).await?;
        self.below().load(table, rows).await
    }

    /// [`ReadModels::apply`].
    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        self.before(RowsCall::Apply).await?;
        self.below().apply(table, batch).await
    }

    /// [`ReadModels::get`].
    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error> {
        self.before(RowsCall::Get).await?;
        self.below().get(table, tenant, key).await
    }

    /// [`ReadModels::query`].
    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error> {
        self.before(RowsCall::Query).await?;
        self.below().query(table, tenant, query).await
    }

    /// [`ReadModels::count`].
    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        self.before(RowsCall::Count).await?;
        self.below().count(table, tenant, query).await
    }
}

#[async_trait]
impl<L: ReadModelsLayer> ReadModels for Over<L> {
    async fn prepare(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        self.0.prepare(schema, start).await
    }
    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        self.0.begin_generation(schema, start).await
    }
    async fn activate(&self, table: &ViewTable, swap: Swap) -> Result<bool, Error> {
        self.0.activate(table, swap).await
    }
    async fn revert(&self, schema: &ViewSchema, at: Timestamp) -> Result<ViewTable, Error> {
        self.0.revert(schema, at).await
    }
    async fn discard(&self, view: &str, generation: u32) -> Result<(), Error> {
        self.0.discard(view, generation).await
    }
    async fn sweep(&self) -> Result<Swept, Error> {
        self.0.sweep().await
    }
    async fn parked(
        &self,
        table: &ViewTable,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, Error> {
        self.0.parked(table, after, limit).await
    }
    async fn views(&self) -> Result<Vec<ViewInfo>, Error> {
        self.0.views().await
    }
    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error> {
        self.0.checkpoint(table).await
    }
    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<LoadedRow>, Error> {
        self.0.load(table, rows).await
    }
    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        self.0.apply(table, batch).await
    }
    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error> {
        self.0.get(table, tenant, key).await
    }
    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error> {
        self.0.query(table, tenant, query).await
    }
    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        self.0.count(table, tenant, query).await
    }
}
