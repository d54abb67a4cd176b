use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;
use underlay_core::{
    Error, LoadedRow, Position, ReadModels, RowAddress, RowChange, ScannedRows, Swap, ViewBatch, ViewTable,
};

use crate::ReadModelsLayer;

/// Read models without a transaction over rows and checkpoint, made of read models with one.
///
/// The parts of a batch are stored one after the other: what was passed over, each row, the checkpoint. A
/// batch can be torn between any two of them, as by a process that is killed there.
#[derive(Clone, Debug)]
pub struct RowsFirst<R> {
    inner: R,
    state: Arc<Mutex<State>>,
    torn: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// What rows reflect, by view, generation and address; a row that was removed stays.
    reflected: HashMap<(String, u32, RowAddress), Position>,
    /// How many parts of the next batch are stored.
    tears_after: Option<usize>,
}

impl<R: ReadModels> RowsFirst<R> {
    /// Stores batches in parts.
    pub fn new(inner: R) -> Self {
        Self { inner, state: Arc::default(), torn: Arc::default() }
    }

    /// Tears the next batch after so many parts, where it has more.
    pub fn tear_after(&self, parts: usize) {
        self.state().tears_after = Some(parts);
    }

    /// Waits until a batch was torn.
    pub async fn torn(&self) {
        self.torn.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reflects(&self, table: &ViewTable, address: &RowAddress) -> Position {
        let place = (table.schema.name.clone(), table.generation, address.clone());
        self.state().reflected.get(&place).copied().unwrap_or(Position::START)
    }
}

#[async_trait]
impl<R: ReadModels + Clone> ReadModelsLayer for RowsFirst<R> {
    type Below = R;

    fn below(&self) -> R {
        self.inner.clone()
    }

    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<LoadedRow>, Error> {
        let loaded = self.inner.load(table, rows).await?;
        let row = |(address, row): (&RowAddress, LoadedRow)| LoadedRow {
            reflects: self.reflects(table, address),
            ..row
        };
        Ok(rows.iter().zip(loaded).map(row).collect())
    }

    async fn scan(
        &self,
        table: &ViewTable,
        after: Option<&RowAddress>,
        limit: usize,
    ) -> Result<ScannedRows, Error> {
        let mut scanned = self.inner.scan(table, after, limit).await?;
        for (address, row) in &mut scanned.rows {
            row.reflects = self.reflects(table, address);
        }
        let last = scanned.rows.last().filter(|_| scanned.more).map(|(address, _)| address.clone());
        let at = scanned.checkpoint.position;
        let state = self.state();
        let removed = state.reflected.iter().filter(|((view, generation, address), reflects)| {
            (view, generation) == (&table.schema.name, &table.generation)
                && **reflects > at
                && after.is_none_or(|after| address > after)
                && last.as_ref().is_none_or(|last| address <= last)
                && !scanned.rows.iter().any(|(there, _)| there == address)
        });
        let removed: Vec<_> = removed
            .map(|((.., address), reflects)| {
                (address.clone(), LoadedRow { values: None, reflects: *reflects })
            })
            .collect();
        scanned.rows.extend(removed);
        scanned.rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(scanned)
    }

    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        batch.validate(&table.schema)?;
        if self.inner.checkpoint(table).await? != batch.from {
            return Err(Error::CheckpointMoved { owner: format!("view {}", table.schema.name) });
        }
        let mut parts = self.state().tears_after.take().unwrap_or(usize::MAX);
        let mut torn = || match parts.checked_sub(1) {
            Some(left) => {
                parts = left;
                Ok(())
            }
            None => {
                self.torn.notify_one();
                Err(Error::unavailable("the batch was torn"))
            }
        };
        let part = |changes: Vec<RowChange>| {
            ViewBatch::new(batch.from, batch.from, changes).with_lease(batch.lease.clone())
        };
        torn()?;
        self.inner.apply(table, part(Vec::new()).with_parked(batch.parked)).await?;
        for change in batch.changes {
            let address = change.address().clone();
            if self.reflects(table, &address) >= batch.to.position {
                continue;
            }
            torn()?;
            self.inner.apply(table, part(vec![change])).await?;
            let place = (table.schema.name.clone(), table.generation, address);
            self.state().reflected.insert(place, batch.to.position);
        }
        torn()?;
        let last = ViewBatch::new(batch.from, batch.to, Vec::new());
        self.inner.apply(table, last.with_lease(batch.lease).with_stop(batch.stop)).await
    }

    async fn activate(&self, table: &ViewTable, swap: Swap) -> Result<bool, Error> {
        if let Some(last) = swap.last {
            self.apply(table, last).await?;
        }
        self.inner.activate(table, Swap { last: None, ..swap }).await
    }
}
