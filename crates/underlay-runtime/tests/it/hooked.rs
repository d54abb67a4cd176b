//! Read models that stop a caller at a call, so that others can act in between, or fail it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::oneshot;
use underlay_core::memory::MemoryReadModels;
use underlay_core::{
    Checkpoint, Error, ParkedEvent, Position, Query, ReadModels, RowAddress, RowPage, RowValues, SkipOrder,
    SkippedEvent, Swap, Swept, TenantId, Timestamp, ViewBatch, ViewInfo, ViewSchema, ViewTable,
};

/// What happens at a call.
pub enum Hook {
    /// It waits: the first end tells that it has come, the second lets it go on.
    Wait(oneshot::Sender<()>, oneshot::Receiver<()>),
    /// It fails, and does nothing.
    Fail(Error),
}

#[derive(Clone, Default)]
pub struct HookedReadModels {
    pub inner: MemoryReadModels,
    swaps: Arc<Mutex<VecDeque<Hook>>>,
    pub prepare_fails: Arc<AtomicBool>,
    pub swaps_asked: Arc<AtomicUsize>,
}

impl HookedReadModels {
    pub fn over(inner: MemoryReadModels) -> Self {
        Self { inner, ..Self::default() }
    }

    /// Acts at the next swap that has no hook yet.
    pub fn at_swap(&self, hook: Hook) {
        self.swaps.lock().unwrap().push_back(hook);
    }

    /// A swap that waits; its ends.
    pub fn wait_at_swap(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((come, came), (go, goes)) = (oneshot::channel(), oneshot::channel());
        self.at_swap(Hook::Wait(come, goes));
        (came, go)
    }
}

async fn act(hook: Option<Hook>) -> Result<(), Error> {
    match hook {
        Some(Hook::Wait(come, goes)) => {
            come.send(()).unwrap();
            goes.await.unwrap();
            Ok(())
        }
        Some(Hook::Fail(error)) => Err(error),
        None => Ok(()),
    }
}

#[async_trait]
impl ReadModels for HookedReadModels {
    async fn prepare(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        if self.prepare_fails.load(Ordering::SeqCst) {
            return Err(Error::unavailable("the server restarts"));
        }
        self.inner.prepare(schema, start).await
    }
    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        self.inner.begin_generation(schema, start).await
    }
    async fn activate(&self, table: &ViewTable, swap: Swap) -> Result<bool, Error> {
        self.swaps_asked.fetch_add(1, Ordering::SeqCst);
        let hook = self.swaps.lock().unwrap().pop_front();
        act(hook).await?;
        self.inner.activate(table, swap).await
    }
    async fn revert(&self, schema: &ViewSchema, at: Timestamp) -> Result<ViewTable, Error> {
        self.inner.revert(schema, at).await
    }
    async fn discard(&self, view: &str, generation: u32) -> Result<(), Error> {
        self.inner.discard(view, generation).await
    }
    async fn sweep(&self) -> Result<Swept, Error> {
        self.inner.sweep().await
    }
    async fn parked(
        &self,
        table: &ViewTable,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, Error> {
        self.inner.parked(table, after, limit).await
    }
    async fn skip(&self, view: &str, skip: SkipOrder) -> Result<SkippedEvent, Error> {
        self.inner.skip(view, skip).await
    }
    async fn skipped(&self, view: &str) -> Result<Vec<SkippedEvent>, Error> {
        self.inner.skipped(view).await
    }
    async fn views(&self) -> Result<Vec<ViewInfo>, Error> {
        self.inner.views().await
    }
    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error> {
        self.inner.checkpoint(table).await
    }
    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<Option<RowValues>>, Error> {
        self.inner.load(table, rows).await
    }
    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        self.inner.apply(table, batch).await
    }
    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error> {
        self.inner.get(table, tenant, key).await
    }
    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error> {
        self.inner.query(table, tenant, query).await
    }
    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        self.inner.count(table, tenant, query).await
    }
}
