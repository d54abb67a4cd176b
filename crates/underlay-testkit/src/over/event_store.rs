use async_trait::async_trait;
use underlay_core::{
    Category, Commit, CommitId, Committed, Error, EventId, EventStore, LogFilter, LogPage, LogScope,
    Position, RecordedCommit, StoreId, StreamList, StreamName, StreamPage, TenantId, Timestamp, Underway,
    Version,
};

use crate::Over;

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
    /// [`EventStore::streams`].
    Streams,
    /// [`EventStore::head`].
    Head,
    /// [`EventStore::position_at`].
    PositionAt,
    /// [`EventStore::event_id_at`].
    EventIdAt,
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

    /// What happens after a call that was passed on and answered, before its answer is given. An error takes the place
    /// of the answer.
    async fn after(&self, _: Call) -> Result<(), Error> {
        Ok(())
    }

    /// [`EventStore::store_id`].
    fn store_id(&self) -> StoreId {
        self.below().store_id()
    }

    /// [`EventStore::keeps_entities`].
    fn keeps_entities(&self) -> bool {
        self.below().keeps_entities()
    }

    /// [`EventStore::underway`].
    fn underway(&self, tenant: &TenantId, id: CommitId) -> Option<Underway> {
        self.below().underway(tenant, id)
    }

    /// [`EventStore::commit`].
    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        self.before(Call::Commit).await?;
        let answer = self.below().commit(tenant, commit).await?;
        self.after(Call::Commit).await?;
        Ok(answer)
    }

    /// [`EventStore::find_commit`].
    async fn find_commit(&self, tenant: &TenantId, id: CommitId) -> Result<Option<RecordedCommit>, Error> {
        self.before(Call::FindCommit).await?;
        let answer = self.below().find_commit(tenant, id).await?;
        self.after(Call::FindCommit).await?;
        Ok(answer)
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
        let answer = self.below().read_stream(tenant, stream, after, limit).await?;
        self.after(Call::ReadStream).await?;
        Ok(answer)
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
        let answer = self.below().read_all(scope, after, filter, limit).await?;
        self.after(Call::ReadAll).await?;
        Ok(answer)
    }

    /// [`EventStore::versions`].
    async fn versions(&self, tenant: &TenantId, streams: &[StreamName]) -> Result<Vec<Version>, Error> {
        self.before(Call::Versions).await?;
        let answer = self.below().versions(tenant, streams).await?;
        self.after(Call::Versions).await?;
        Ok(answer)
    }

    /// [`EventStore::streams`].
    async fn streams(
        &self,
        tenant: &TenantId,
        category: Option<&Category>,
        after: Option<&StreamName>,
        limit: usize,
    ) -> Result<StreamList, Error> {
        self.before(Call::Streams).await?;
        let answer = self.below().streams(tenant, category, after, limit).await?;
        self.after(Call::Streams).await?;
        Ok(answer)
    }

    /// [`EventStore::head`].
    async fn head(&self) -> Result<Position, Error> {
        self.before(Call::Head).await?;
        let answer = self.below().head().await?;
        self.after(Call::Head).await?;
        Ok(answer)
    }

    /// [`EventStore::position_at`].
    async fn position_at(&self, time: Timestamp) -> Result<Position, Error> {
        self.before(Call::PositionAt).await?;
        let answer = self.below().position_at(time).await?;
        self.after(Call::PositionAt).await?;
        Ok(answer)
    }

    /// [`EventStore::event_id_at`].
    async fn event_id_at(&self, position: Position) -> Result<Option<EventId>, Error> {
        self.before(Call::EventIdAt).await?;
        let answer = self.below().event_id_at(position).await?;
        self.after(Call::EventIdAt).await?;
        Ok(answer)
    }
}

#[async_trait]
impl<L: EventStoreLayer> EventStore for Over<L> {
    fn store_id(&self) -> StoreId {
        self.0.store_id()
    }
    fn keeps_entities(&self) -> bool {
        self.0.keeps_entities()
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
    async fn streams(
        &self,
        tenant: &TenantId,
        category: Option<&Category>,
        after: Option<&StreamName>,
        limit: usize,
    ) -> Result<StreamList, Error> {
        self.0.streams(tenant, category, after, limit).await
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
