use std::time::Duration;

use async_trait::async_trait;
use underlay_core::{
    BegunWork, CommitId, DueLook, DuePage, Error, Lane, LaneCursors, QueueDepth, Settlement, Shard,
    ShardTerm, Share, TenantId, WorkFilter, WorkId, WorkInfo, WorkList, WorkPage, WorkPlace, WorkQueue,
    WorkScope, Worker,
};

use crate::Over;

/// A call of a work queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkCall {
    /// [`WorkQueue::share`].
    Share,
    /// [`WorkQueue::release`].
    Release,
    /// [`WorkQueue::leave`].
    Leave,
    /// [`WorkQueue::read_work`].
    ReadWork,
    /// [`WorkQueue::read_due`].
    ReadDue,
    /// [`WorkQueue::begin`].
    Begin,
    /// [`WorkQueue::settle`].
    Settle,
    /// [`WorkQueue::find_work`].
    FindWork,
    /// [`WorkQueue::list_work`].
    ListWork,
    /// [`WorkQueue::queue_depths`].
    QueueDepths,
    /// [`WorkQueue::replay`].
    Replay,
    /// [`WorkQueue::discard`].
    Discard,
}

/// Lies over a work queue. What it does not say itself is asked of the port below.
#[async_trait]
pub trait WorkQueueLayer: Send + Sync + 'static {
    /// The port below.
    type Below: WorkQueue;

    /// The port below.
    fn below(&self) -> &Self::Below;

    /// What happens around a call that is passed on: before its effect, after it, or in its place. A call that
    /// the layer answers itself does not come here.
    fn around<T: Send>(
        &self,
        _: WorkCall,
        effect: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        effect
    }

    /// [`WorkQueue::share`].
    async fn share(
        &self,
        worker: &Worker,
        duration: Duration,
        cursors: &[(Shard, LaneCursors)],
    ) -> Result<Share, Error> {
        self.around(WorkCall::Share, self.below().share(worker, duration, cursors)).await
    }

    /// [`WorkQueue::release`].
    async fn release(&self, terms: &[ShardTerm]) -> Result<(), Error> {
        self.around(WorkCall::Release, self.below().release(terms)).await
    }

    /// [`WorkQueue::leave`].
    async fn leave(&self, worker: &Worker) -> Result<(), Error> {
        self.around(WorkCall::Leave, self.below().leave(worker)).await
    }

    /// [`WorkQueue::read_work`].
    async fn read_work(
        &self,
        shard: Shard,
        lane: Lane,
        scope: &WorkScope,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkPage, Error> {
        self.around(WorkCall::ReadWork, self.below().read_work(shard, lane, scope, after, limit)).await
    }

    /// [`WorkQueue::read_due`].
    async fn read_due(&self, shard: Shard, look: &DueLook, limit: usize) -> Result<DuePage, Error> {
        self.around(WorkCall::ReadDue, self.below().read_due(shard, look, limit)).await
    }

    /// [`WorkQueue::begin`].
    async fn begin(&self, begun: &[BegunWork]) -> Result<Vec<Shard>, Error> {
        self.around(WorkCall::Begin, self.below().begin(begun)).await
    }

    /// [`WorkQueue::settle`].
    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Shard>, Error> {
        self.around(WorkCall::Settle, self.below().settle(settlements)).await
    }

    /// [`WorkQueue::find_work`].
    async fn find_work(
        &self,
        tenant: &TenantId,
        commit: CommitId,
        number: u32,
    ) -> Result<Option<WorkInfo>, Error> {
        self.around(WorkCall::FindWork, self.below().find_work(tenant, commit, number)).await
    }

    /// [`WorkQueue::list_work`].
    async fn list_work(
        &self,
        filter: &WorkFilter,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkList, Error> {
        self.around(WorkCall::ListWork, self.below().list_work(filter, after, limit)).await
    }

    /// [`WorkQueue::queue_depths`].
    async fn queue_depths(&self, tenant: Option<&TenantId>) -> Result<Vec<QueueDepth>, Error> {
        self.around(WorkCall::QueueDepths, self.below().queue_depths(tenant)).await
    }

    /// [`WorkQueue::replay`].
    async fn replay(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error> {
        self.around(WorkCall::Replay, self.below().replay(tenant, letters)).await
    }

    /// [`WorkQueue::discard`].
    async fn discard(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error> {
        self.around(WorkCall::Discard, self.below().discard(tenant, letters)).await
    }
}

#[async_trait]
impl<L: WorkQueueLayer> WorkQueue for Over<L> {
    async fn share(
        &self,
        worker: &Worker,
        duration: Duration,
        cursors: &[(Shard, LaneCursors)],
    ) -> Result<Share, Error> {
        self.0.share(worker, duration, cursors).await
    }
    async fn release(&self, terms: &[ShardTerm]) -> Result<(), Error> {
        self.0.release(terms).await
    }
    async fn leave(&self, worker: &Worker) -> Result<(), Error> {
        self.0.leave(worker).await
    }
    async fn read_work(
        &self,
        shard: Shard,
        lane: Lane,
        scope: &WorkScope,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkPage, Error> {
        self.0.read_work(shard, lane, scope, after, limit).await
    }
    async fn read_due(&self, shard: Shard, look: &DueLook, limit: usize) -> Result<DuePage, Error> {
        self.0.read_due(shard, look, limit).await
    }
    async fn begin(&self, begun: &[BegunWork]) -> Result<Vec<Shard>, Error> {
        self.0.begin(begun).await
    }
    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Shard>, Error> {
        self.0.settle(settlements).await
    }
    async fn find_work(
        &self,
        tenant: &TenantId,
        commit: CommitId,
        number: u32,
    ) -> Result<Option<WorkInfo>, Error> {
        self.0.find_work(tenant, commit, number).await
    }
    async fn list_work(
        &self,
        filter: &WorkFilter,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkList, Error> {
        self.0.list_work(filter, after, limit).await
    }
    async fn queue_depths(&self, tenant: Option<&TenantId>) -> Result<Vec<QueueDepth>, Error> {
        self.0.queue_depths(tenant).await
    }
    async fn replay(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error> {
        self.0.replay(tenant, letters).await
    }
    async fn discard(&self, tenant: &TenantId, letters: &[WorkId]) -> Result<usize, Error> {
        self.0.discard(tenant, letters).await
    }
}
