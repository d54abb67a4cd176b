use async_trait::async_trait;
use underlay_core::{
    Checkpoint, Error, Json, LoadedRow, ParkedEvent, Position, Query, ReadModels, RowAddress, RowPage,
    RowValues, ScannedRows, SkipOrder, SkippedEvent, Swap, Swept, TenantId, Timestamp, ViewBatch, ViewInfo,
    ViewSchema, ViewTable,
};

use crate::Over;

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
    /// [`ReadModels::skip`].
    Skip,
    /// [`ReadModels::skipped`].
    Skipped,
    /// [`ReadModels::views`].
    Views,
    /// [`ReadModels::checkpoint`].
    Checkpoint,
    /// [`ReadModels::load`].
    Load,
    /// [`ReadModels::scan`].
    Scan,
    /// [`ReadModels::alterations`].
    Alterations,
    /// [`ReadModels::put_order`].
    PutOrder,
    /// [`ReadModels::apply`].
    Apply,
    /// [`ReadModels::get`].
    Get,
    /// [`ReadModels::query`].
    Query,
    /// [`ReadModels::count`].
    Count,
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

    /// What happens after a call that was passed on and answered, before its answer is given. An error takes the place
    /// of the answer.
    async fn after(&self, _: RowsCall) -> Result<(), Error> {
        Ok(())
    }

    /// [`ReadModels::prepare`].
    async fn prepare(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        self.before(RowsCall::Prepare).await?;
        let answer = self.below().prepare(schema, start).await?;
        self.after(RowsCall::Prepare).await?;
        Ok(answer)
    }

    /// [`ReadModels::begin_generation`].
    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        self.before(RowsCall::BeginGeneration).await?;
        let answer = self.below().begin_generation(schema, start).await?;
        self.after(RowsCall::BeginGeneration).await?;
        Ok(answer)
    }

    /// [`ReadModels::activate`].
    async fn activate(&self, table: &ViewTable, swap: Swap) -> Result<bool, Error> {
        self.before(RowsCall::Activate).await?;
        let answer = self.below().activate(table, swap).await?;
        self.after(RowsCall::Activate).await?;
        Ok(answer)
    }

    /// [`ReadModels::revert`].
    async fn revert(&self, schema: &ViewSchema, at: Timestamp) -> Result<ViewTable, Error> {
        self.before(RowsCall::Revert).await?;
        let answer = self.below().revert(schema, at).await?;
        self.after(RowsCall::Revert).await?;
        Ok(answer)
    }

    /// [`ReadModels::discard`].
    async fn discard(&self, view: &str, generation: u32) -> Result<(), Error> {
        self.before(RowsCall::Discard).await?;
        let answer = self.below().discard(view, generation).await?;
        self.after(RowsCall::Discard).await?;
        Ok(answer)
    }

    /// [`ReadModels::sweep`].
    async fn sweep(&self) -> Result<Swept, Error> {
        self.before(RowsCall::Sweep).await?;
        let answer = self.below().sweep().await?;
        self.after(RowsCall::Sweep).await?;
        Ok(answer)
    }

    /// [`ReadModels::parked`].
    async fn parked(
        &self,
        table: &ViewTable,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, Error> {
        self.before(RowsCall::Parked).await?;
        let answer = self.below().parked(table, after, limit).await?;
        self.after(RowsCall::Parked).await?;
        Ok(answer)
    }

    /// [`ReadModels::skip`].
    async fn skip(&self, view: &str, skip: SkipOrder) -> Result<SkippedEvent, Error> {
        self.before(RowsCall::Skip).await?;
        let answer = self.below().skip(view, skip).await?;
        self.after(RowsCall::Skip).await?;
        Ok(answer)
    }

    /// [`ReadModels::skipped`].
    async fn skipped(&self, view: &str) -> Result<Vec<SkippedEvent>, Error> {
        self.before(RowsCall::Skipped).await?;
        let answer = self.below().skipped(view).await?;
        self.after(RowsCall::Skipped).await?;
        Ok(answer)
    }

    /// [`ReadModels::views`].
    async fn views(&self) -> Result<Vec<ViewInfo>, Error> {
        self.before(RowsCall::Views).await?;
        let answer = self.below().views().await?;
        self.after(RowsCall::Views).await?;
        Ok(answer)
    }

    /// [`ReadModels::checkpoint`].
    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error> {
        self.before(RowsCall::Checkpoint).await?;
        let answer = self.below().checkpoint(table).await?;
        self.after(RowsCall::Checkpoint).await?;
        Ok(answer)
    }

    /// [`ReadModels::load`].
    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<LoadedRow>, Error> {
        self.before(RowsCall::Load).await?;
        let answer = self.below().load(table, rows).await?;
        self.after(RowsCall::Load).await?;
        Ok(answer)
    }

    /// [`ReadModels::scan`].
    async fn scan(
        &self,
        table: &ViewTable,
        after: Option<&RowAddress>,
        limit: usize,
    ) -> Result<ScannedRows, Error> {
        self.before(RowsCall::Scan).await?;
        let answer = self.below().scan(table, after, limit).await?;
        self.after(RowsCall::Scan).await?;
        Ok(answer)
    }

    /// [`ReadModels::alterations`].
    async fn alterations(&self, table: &ViewTable) -> Result<Vec<String>, Error> {
        self.before(RowsCall::Alterations).await?;
        let answer = self.below().alterations(table).await?;
        self.after(RowsCall::Alterations).await?;
        Ok(answer)
    }

    /// [`ReadModels::put_order`].
    async fn put_order(&self, view: &str, known: u64, body: &Json) -> Result<u64, Error> {
        self.before(RowsCall::PutOrder).await?;
        let answer = self.below().put_order(view, known, body).await?;
        self.after(RowsCall::PutOrder).await?;
        Ok(answer)
    }

    /// [`ReadModels::apply`].
    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        self.before(RowsCall::Apply).await?;
        let answer = self.below().apply(table, batch).await?;
        self.after(RowsCall::Apply).await?;
        Ok(answer)
    }

    /// [`ReadModels::get`].
    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error> {
        self.before(RowsCall::Get).await?;
        let answer = self.below().get(table, tenant, key).await?;
        self.after(RowsCall::Get).await?;
        Ok(answer)
    }

    /// [`ReadModels::query`].
    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error> {
        self.before(RowsCall::Query).await?;
        let answer = self.below().query(table, tenant, query).await?;
        self.after(RowsCall::Query).await?;
        Ok(answer)
    }

    /// [`ReadModels::count`].
    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        self.before(RowsCall::Count).await?;
        let answer = self.below().count(table, tenant, query).await?;
        self.after(RowsCall::Count).await?;
        Ok(answer)
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
    async fn skip(&self, view: &str, skip: SkipOrder) -> Result<SkippedEvent, Error> {
        self.0.skip(view, skip).await
    }
    async fn skipped(&self, view: &str) -> Result<Vec<SkippedEvent>, Error> {
        self.0.skipped(view).await
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
    async fn scan(
        &self,
        table: &ViewTable,
        after: Option<&RowAddress>,
        limit: usize,
    ) -> Result<ScannedRows, Error> {
        self.0.scan(table, after, limit).await
    }
    async fn alterations(&self, table: &ViewTable) -> Result<Vec<String>, Error> {
        self.0.alterations(table).await
    }
    async fn put_order(&self, view: &str, known: u64, body: &Json) -> Result<u64, Error> {
        self.0.put_order(view, known, body).await
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
