use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::limits::{NAME_BYTES_MAX, ROW_KEY_BYTES_MAX, VIEW_COLUMNS_MAX};
use crate::{Checkpoint, Column, Error, Fingerprint, LeaseTerm, Query, RowPage, RowValues, TenantId, Value};

/// The stored shape of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewSchema {
    /// Its name: `a-z 0-9 _`, starting with a letter.
    pub name: String,
    /// The version of its definition: raised by hand when `route` or `fold` changed.
    pub version: u32,
    /// Its columns.
    pub columns: Vec<Column>,
}

impl ViewSchema {
    /// Checks names and limits.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the column.
    pub fn validate(&self) -> Result<(), Error> {
        let well_formed = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.len() <= NAME_BYTES_MAX
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        let names = std::iter::once(&self.name).chain(self.columns.iter().map(|column| &column.name));
        if let Some(name) = names.into_iter().find(|name| !well_formed(name)) {
            return Err(Error::invalid(format!(
                "{name:?} is not 1 to {NAME_BYTES_MAX} characters of a-z, 0-9 and '_', starting with a letter"
            )));
        }
        if self.columns.len() > VIEW_COLUMNS_MAX {
            return Err(Error::invalid(format!(
                "view {} has {} columns, VIEW_COLUMNS_MAX = {VIEW_COLUMNS_MAX}",
                self.name,
                self.columns.len()
            )));
        }
        for (at, column) in self.columns.iter().enumerate() {
            if ["tenant", "key", "position"].contains(&column.name.as_str()) {
                return Err(Error::invalid(format!(
                    "column {} of view {}: the name is taken",
                    column.name, self.name
                )));
            }
            if self.columns[..at].iter().any(|earlier| earlier.name == column.name) {
                return Err(Error::invalid(format!(
                    "column {} of view {} is there twice",
                    column.name, self.name
                )));
            }
            if column.nullable && column.indexed {
                return Err(Error::invalid(format!(
                    "column {} of view {} is nullable; only columns that always hold a value can be indexed",
                    column.name, self.name
                )));
            }
        }
        Ok(())
    }

    /// A column that queries may filter and sort by.
    ///
    /// # Errors
    /// [`Error::Invalid`] that lists the columns there are.
    pub fn indexed_column(&self, name: &str) -> Result<&Column, Error> {
        self.columns.iter().find(|column| column.name == name && column.indexed).ok_or_else(|| {
            let known: Vec<&str> = self
                .columns
                .iter()
                .filter(|column| column.indexed)
                .map(|column| column.name.as_str())
                .collect();
            Error::invalid(format!(
                "view {} cannot be filtered or sorted by {name:?}; it can by: {}",
                self.name,
                known.join(", ")
            ))
        })
    }

    /// Changes whenever rows built by one definition must not be read by another.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut parts = vec![self.name.clone(), self.version.to_string()];
        for column in &self.columns {
            parts.push(format!(
                "{} {:?} {} {}",
                column.name, column.column_type, column.nullable, column.indexed
            ));
        }
        Fingerprint::of(parts.iter().map(String::as_bytes))
    }

    /// Checks a row's values against the columns.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the column.
    pub fn check_row(&self, key: &str, values: &[Value]) -> Result<(), Error> {
        check_key(key)?;
        if values.len() != self.columns.len() {
            return Err(Error::invalid(format!(
                "a row of view {} has {} values, {} were given",
                self.name,
                self.columns.len(),
                values.len()
            )));
        }
        for (column, value) in self.columns.iter().zip(values) {
            self.check_value(column, value)?;
        }
        Ok(())
    }

    /// Checks one value against its column.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the column.
    pub fn check_value(&self, column: &Column, value: &Value) -> Result<(), Error> {
        let fits = match value.column_type() {
            None => column.nullable,
            Some(actual) => actual == column.column_type,
        };
        if fits {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "column {} of view {} holds {:?}, not {value:?}",
            column.name, self.name, column.column_type
        )))
    }
}

fn check_key(key: &str) -> Result<(), Error> {
    if key.is_empty() || key.len() > ROW_KEY_BYTES_MAX || key.contains('\0') {
        return Err(Error::invalid(format!(
            "a row's key has 1 to ROW_KEY_BYTES_MAX = {ROW_KEY_BYTES_MAX} bytes and no NUL, this one has {}",
            key.len()
        )));
    }
    Ok(())
}

/// One table of rows: a view in one of its generations. A rebuild fills the next generation beside
/// the one that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewTable {
    /// The shape of its rows.
    pub schema: ViewSchema,
    /// The generation, from 1.
    pub generation: u32,
}

/// The address of a row in a view.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowAddress {
    /// Its owner.
    pub tenant: TenantId,
    /// Its key: 1 to [`ROW_KEY_BYTES_MAX`] bytes.
    pub key: String,
}

impl RowAddress {
    /// Checks the key.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is empty, too long or holds NUL.
    pub fn validate(&self) -> Result<(), Error> {
        check_key(&self.key)
    }
}

/// One change to a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowChange {
    /// Writes the whole row, new or not.
    Upsert(RowAddress, RowValues),
    /// Writes some columns of a row that exists; a row that does not is [`Error::NotFound`].
    Patch(RowAddress, Vec<(String, Value)>),
    /// Removes the row, if it is there.
    Delete(RowAddress),
}

/// Changes that are stored together with the checkpoint they lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewBatch {
    /// Where the view must be now.
    pub from: Checkpoint,
    /// Where it is afterwards.
    pub to: Checkpoint,
    /// At most one change per row.
    pub changes: Vec<RowChange>,
    /// The lease it is stored under; none where nobody asks for one.
    pub lease: Option<LeaseTerm>,
}

/// Where a view stands with its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewStatus {
    /// Behind the head of the log.
    CatchingUp,
    /// At the head of the log.
    Live,
    /// Another process folds it; this one would, should that one end.
    Standby,
    /// Stopped by an event it cannot take; waits for a person.
    Paused,
    /// Stopped by a failure that a repeat does not mend.
    Failed,
}

/// What the catalogue holds of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewInfo {
    /// Its name.
    pub name: String,
    /// The generation that is read.
    pub generation: u32,
    /// The definition the rows were built by.
    pub fingerprint: Fingerprint,
    /// How far the generation that is read has come.
    pub checkpoint: Checkpoint,
    /// The generation being built beside it, and how far that has come.
    pub building: Option<(u32, Checkpoint)>,
}

/// The tables of views, with their checkpoints and their catalogue.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *Rows written are read back, by key and in bulk, with every column type at its extremes.* `rows_are_read_back`
/// 2. *Upsert replaces, patch changes the columns named, delete removes.* `upsert_patch_and_delete`
/// 3. *Rows and checkpoint change together, or neither does.* `rows_and_checkpoint_change_together`
/// 4. *The checkpoint moves only from the expected place; otherwise `CheckpointMoved`.* `the_checkpoint_moves_only_from_the_expected_place`
/// 5. *Of two batches from one place, one is stored.* `one_of_two_batches_is_stored`
/// 6. *A query yields the rows that meet every filter, in the order asked for.* `filters_and_sorts_hold`
/// 7. *Pages follow each other by cursor without gap or repeat, while rows are written.* `pages_follow_each_other`
/// 8. *A tenant sees its own rows alone; one key in two tenants is two rows.* `rows_belong_to_their_tenant`
/// 9. *Hostile text in keys and values is data.* `hostile_text_is_data`
/// 10. *A view of another definition is `ViewChanged`.* `a_changed_view_is_refused`
/// 11. *A generation is built beside the one that is read, and activated in one step.* `a_generation_is_built_beside`
/// 12. *What does not fit the schema is `Invalid`, names the column, and stores nothing.* `misfits_are_invalid`
/// 13. *After reopening, rows and checkpoint are there.* `reopening_keeps_rows`
/// 14. *A query that finds its answer within `QUERY_ROWS_SCANNED_MAX` rows of an index that its filters or its order name is answered; any other is `TooBroad`, and names the limit.* `a_query_looks_at_a_bounded_number_of_rows`
#[async_trait]
pub trait ReadModels: Send + Sync + 'static {
    /// Makes the table of a view where it is missing, starting at `start`, and returns the generation
    /// that is read. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`Error::ViewChanged`] where the rows there were built by another definition;
    /// [`Error::Invalid`] where the schema is not well formed.
    async fn prepare(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error>;

    /// Makes an empty table for the next generation, replacing one that was begun and not activated.
    /// Its number is above that of every generation there was, so that the one replaced stays gone.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the view was never prepared.
    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error>;

    /// Makes a generation the one that is read and drops the others, in one step.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the generation was not begun.
    async fn activate(&self, table: &ViewTable) -> Result<(), Error>;

    /// What the catalogue holds, by name.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Backend`].
    async fn views(&self) -> Result<Vec<ViewInfo>, Error>;

    /// How far a table has come.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such table.
    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error>;

    /// Loads rows of any tenants by address, in the order asked: for the engine, never for a request.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such table.
    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<Option<RowValues>>, Error>;

    /// Stores changes and checkpoint in one transaction.
    ///
    /// # Errors
    /// [`Error::CheckpointMoved`] where the view is not at `batch.from`; [`Error::LeaseLost`] where
    /// `batch.lease` does not hold; [`Error::Invalid`] where a row does not fit. Nothing was stored.
    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error>;

    /// Reads one row of a tenant: what a request asks for, with its turns and its deadline.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such table.
    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error>;

    /// Reads a page of a tenant's rows: what a request asks for. Such reads have a deadline, take turns by
    /// tenant where a store has fewer places than there are reads, and never take those of the engine.
    ///
    /// It is found along one of the indexes that the query's filters and its order name, as
    /// [`Query::page_walks`] says; a page whose filters are all on the column it is sorted by is never
    /// [`Error::TooBroad`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where the query does not fit the view; [`Error::TooBroad`] where it looks at too
    /// many rows, or for too long.
    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error>;

    /// Counts a tenant's rows that meet the filters; sort, cursor and limit do not matter. It is a query
    /// as [`ReadModels::query`] is, along one of [`Query::count_walks`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where a filter does not fit the view; [`Error::TooBroad`] where it looks at too
    /// many rows, or for too long.
    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error>;
}
