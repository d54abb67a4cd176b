use async_trait::async_trait;
use underlay_core::adapter::Walk;
use underlay_core::{
    Checkpoint, Error, Json, LoadedRow, ParkedEvent, Position, Query, ReadModels, RowAddress, RowPage,
    RowValues, ScannedRows, SkipOrder, SkippedEvent, Swap, Swept, TenantId, Timestamp, ViewBatch, ViewInfo,
    ViewSchema, ViewTable, check_order, check_page_limit, check_scan_limit,
};

use crate::RedisStore;
use crate::views::Begun;

#[async_trait]
impl ReadModels for RedisStore {
    async fn prepare(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        schema.validate()?;
        self.check().await?;
        self.begin(schema, &start, Begun::First).await
    }

    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        schema.validate()?;
        self.begin(schema, &start, Begun::Next).await
    }

    async fn activate(&self, table: &ViewTable, swap: Swap) -> Result<bool, Error> {
        if let Some(last) = &swap.last {
            last.validate(&table.schema)?;
        }
        self.swap_in(table, &swap).await
    }

    async fn revert(&self, schema: &ViewSchema, at: Timestamp) -> Result<ViewTable, Error> {
        self.bring_back(schema, at).await
    }

    async fn discard(&self, view: &str, generation: u32) -> Result<(), Error> {
        self.give_up(view, generation).await
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        self.sweep_piece().await
    }

    async fn parked(
        &self,
        table: &ViewTable,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, Error> {
        check_page_limit(limit)?;
        self.parked_events(table, after, limit).await
    }

    async fn skip(&self, view: &str, skip: SkipOrder) -> Result<SkippedEvent, Error> {
        skip.validate()?;
        self.skip_event(view, &skip).await
    }

    async fn skipped(&self, view: &str) -> Result<Vec<SkippedEvent>, Error> {
        self.skipped_events(view).await
    }

    async fn views(&self) -> Result<Vec<ViewInfo>, Error> {
        self.list_views().await
    }

    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error> {
        self.checkpoint_of(table).await
    }

    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<LoadedRow>, Error> {
        Ok(self.rows_at(table, rows).await?.into_iter().map(LoadedRow::from).collect())
    }

    async fn scan(
        &self,
        table: &ViewTable,
        after: Option<&RowAddress>,
        limit: usize,
    ) -> Result<ScannedRows, Error> {
        check_scan_limit(limit)?;
        self.scan_view(table, after, limit).await
    }

    async fn alterations(&self, table: &ViewTable) -> Result<Vec<String>, Error> {
        self.altered_indexes(table).await
    }

    async fn put_order(&self, view: &str, known: u64, body: &Json) -> Result<u64, Error> {
        check_order(body)?;
        self.store_order(view, known, body).await
    }

    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        batch.validate(&table.schema)?;
        self.apply_batch(table, &batch).await
    }

    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error> {
        let address = RowAddress { tenant: tenant.clone(), key: key.to_owned() };
        Ok(self.rows_at(table, &[address]).await?.into_iter().flatten().next())
    }

    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error> {
        query.validate(&table.schema)?;
        let exact = query.page_walks().iter().all(Walk::is_exact);
        self.in_time(exact, self.page_of_view(table, tenant, query)).await
    }

    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(&table.schema)?;
        self.in_time(false, self.count_of_view(table, tenant, query)).await
    }
}
