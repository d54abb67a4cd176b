//! Which rows an event changes, and those rows once the view has come that far: what whoever follows a view needs.

use std::collections::HashMap;

use underlay_core::{
    Error, LogFilter, Position, RecordedEvent, RowAddress, RowValues, TenantId, ViewSchema, ViewTable,
};

use super::Views;
use crate::subscription::FOREIGN_POLL_INTERVAL;

/// Rows of one tenant as they were read at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsAt {
    /// The columns.
    pub schema: ViewSchema,
    /// The generation they are of.
    pub generation: u32,
    /// They reflect every event at or below it.
    pub position: Position,
    /// The rows asked for, by key; none where there is no such row.
    pub rows: HashMap<String, Option<RowValues>>,
}

impl Views {
    /// As [`Engine::view_filter`](crate::Engine::view_filter).
    pub(crate) fn filter(&self, view: &str) -> Result<LogFilter, Error> {
        Ok(self.registry.find_view(view)?.filter())
    }

    /// As [`Engine::changed_keys`](crate::Engine::changed_keys).
    pub(crate) fn changed_keys(
        &self,
        view: &str,
        event: &RecordedEvent,
    ) -> Result<Option<Vec<String>>, Error> {
        let folder = self.registry.find_view(view)?;
        Ok(match folder.route(vec![event.clone()]) {
            Ok(routed) => Some(routed.addresses().into_iter().map(|address| address.key).collect()),
            // The view stops before such an event, or passes over it; another process may take one that is newer.
            Err(faults) if faults.iter().all(|fault| fault.is_of_event) => Some(Vec::new()),
            Err(_) => None,
        })
    }

    /// As [`Engine::rows_at`](crate::Engine::rows_at).
    pub(crate) async fn rows_at(
        &self,
        tenant: &TenantId,
        view: &str,
        keys: &[String],
        position: Position,
    ) -> Result<RowsAt, Error> {
        let address = |key: &String| RowAddress { tenant: tenant.clone(), key: key.clone() };
        let addresses: Vec<RowAddress> = keys.iter().map(address).collect();
        loop {
            self.view_reaches(view, position).await?;
            let table = self.table(view).await?;
            match self.rows_of(&table, &addresses).await {
                Ok(rows) if rows.position >= position => return Ok(rows),
                // The runner is further than what it has stored, or another generation was swapped in meanwhile.
                Ok(_) => self.clock.sleep(FOREIGN_POLL_INTERVAL).await,
                Err(Error::NotFound(_)) => {
                    self.table_again(view).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn rows_of(&self, table: &ViewTable, addresses: &[RowAddress]) -> Result<RowsAt, Error> {
        let rows = self.rows(&table.schema.name);
        // Before the rows: a generation never goes back, so they are no older than this.
        let position = rows.checkpoint(table).await?.position;
        let loaded = if addresses.is_empty() { Vec::new() } else { rows.load(table, addresses).await? };
        let rows =
            addresses.iter().zip(loaded).map(|(address, row)| (address.key.clone(), row.values)).collect();
        Ok(RowsAt { schema: table.schema.clone(), generation: table.generation, position, rows })
    }
}
