use std::time::Duration;

use underlay_core::{
    Checkpoint, Error, Position, Query, RowPage, RowValues, TenantId, ViewSchema, ViewTable,
};

use super::Views;
use crate::ViewState;
use crate::subscription::{FOREIGN_POLL_INTERVAL, SubscriptionState};

/// A page of a view, with the columns its values belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewAnswer {
    /// The columns.
    pub schema: ViewSchema,
    /// The generation that was read.
    pub generation: u32,
    /// The rows.
    pub page: RowPage,
}

/// A row of a view, with the columns its values belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowAnswer {
    /// The columns.
    pub schema: ViewSchema,
    /// The values.
    pub values: RowValues,
}

impl Views {
    /// As [`Engine::query`](crate::Engine::query).
    pub(crate) async fn query(
        &self,
        tenant: &TenantId,
        view: &str,
        query: &Query,
    ) -> Result<ViewAnswer, Error> {
        let table = self.table(view).await?;
        let (table, page) = match self.rows(view).query(&table, tenant, query).await {
            Err(Error::NotFound(_)) => {
                let table = self.table_again(view).await?;
                let page = self.rows(view).query(&table, tenant, query).await?;
                (table, page)
            }
            page => (table, page?),
        };
        Ok(ViewAnswer { schema: table.schema, generation: table.generation, page })
    }

    /// As [`Engine::row`](crate::Engine::row).
    pub(crate) async fn row(&self, tenant: &TenantId, view: &str, key: &str) -> Result<RowAnswer, Error> {
        let row = self.find_row(tenant, view, key).await?;
        row.ok_or_else(|| Error::NotFound(format!("row {key:?} of view {view}")))
    }

    /// Reads one row; `None` where there is none.
    pub(crate) async fn find_row(
        &self,
        tenant: &TenantId,
        view: &str,
        key: &str,
    ) -> Result<Option<RowAnswer>, Error> {
        let table = self.table(view).await?;
        let (table, values) = match self.rows(view).get(&table, tenant, key).await {
            Err(Error::NotFound(_)) => {
                let table = self.table_again(view).await?;
                let values = self.rows(view).get(&table, tenant, key).await?;
                (table, values)
            }
            values => (table, values?),
        };
        Ok(values.map(|values| RowAnswer { schema: table.schema, values }))
    }

    /// As [`Engine::count`](crate::Engine::count).
    pub(crate) async fn count(&self, tenant: &TenantId, view: &str, query: &Query) -> Result<u64, Error> {
        let table = self.table(view).await?;
        match self.rows(view).count(&table, tenant, query).await {
            Err(Error::NotFound(_)) => {
                let table = self.table_again(view).await?;
                self.rows(view).count(&table, tenant, query).await
            }
            count => count,
        }
    }

    /// As [`Engine::wait_for_view`](crate::Engine::wait_for_view).
    pub(crate) async fn wait_for_view(
        &self,
        view: &str,
        position: Position,
        timeout: Duration,
    ) -> Result<(), Error> {
        self.registry.find_view(view)?;
        tokio::select! {
            // A view that is there already is never too late, however short the wait.
            biased;
            reached = self.view_reaches(view, position) => reached,
            () = self.clock.sleep(timeout) => Err(Error::Unavailable {
                reason: format!("view {view} has not reached position {position} within {timeout:?}"),
                retry_after: Some(Duration::from_secs(1)),
                overloaded: false,
            }),
        }
    }

    pub(super) async fn view_reaches(&self, view: &str, position: Position) -> Result<(), Error> {
        if let Some(mut runner) = self.running.find(view) {
            // A view that is there already is not hurried.
            let mut waiting = None;
            let stopped = |state: &ViewState| state.status.is_stopped();
            // Where the runner is gone, the view is looked at like another process's.
            loop {
                let reached = |state: &ViewState| state.position >= position || stopped(state);
                if !reached(&runner.state.borrow()) {
                    waiting.get_or_insert_with(|| runner.handle.wait());
                }
                let Ok(state) = runner.state.wait_for(reached).await.map(|state| state.clone()) else {
                    break;
                };
                // Before it ever had a generation there is none to be swapped away.
                if state.generation == 0 || self.is_read(view, state.generation).await? {
                    if state.position >= position && state.status != SubscriptionState::Failed {
                        return Ok(());
                    }
                    let error = state.error.unwrap_or_default();
                    return Err(Error::unavailable(format!("view {view} has stopped: {error}")));
                }
                // A rebuild elsewhere has swapped another generation in, and no event has followed.
                waiting.get_or_insert_with(|| runner.handle.wait());
                runner.handle.look_again();
                let moved = |now: &ViewState| now.generation != state.generation;
                tokio::select! {
                    biased;
                    now = runner.state.wait_for(moved) => if now.is_err() { break },
                    // It may have come back meanwhile, and the runner has seen nothing of that.
                    () = self.clock.sleep(FOREIGN_POLL_INTERVAL) => {}
                }
            }
        }
        loop {
            let table = self.table(view).await?;
            match self.rows(view).checkpoint(&table).await {
                Ok(checkpoint) if checkpoint.position >= position => return Ok(()),
                Ok(_) => self.clock.sleep(FOREIGN_POLL_INTERVAL).await,
                Err(Error::NotFound(_)) => {
                    self.table_again(view).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether queries read a generation.
    async fn is_read(&self, view: &str, generation: u32) -> Result<bool, Error> {
        let table = ViewTable { schema: self.registry.find_view(view)?.schema(), generation };
        match self.rows(view).checkpoint(&table).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The table that is read, as this process knows it.
    pub(super) async fn table(&self, view: &str) -> Result<ViewTable, Error> {
        let known = self.tables().get(view).cloned();
        match known {
            Some(table) => Ok(table),
            None => self.table_again(view).await,
        }
    }

    /// The table that is read, asked anew: a rebuild may have swapped it.
    pub(super) async fn table_again(&self, view: &str) -> Result<ViewTable, Error> {
        let schema = self.registry.find_view(view)?.schema();
        let table = self.rows(view).prepare(&schema, Checkpoint::start(self.store.store_id())).await?;
        self.tables().insert(view.to_owned(), table.clone());
        Ok(table)
    }
}
