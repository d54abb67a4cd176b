use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use underlay_core::{
    Checkpoint, Cursor, Error, Position, Query, ReadModels, RowAddress, RowChange, RowPage, RowValues,
    TenantId, Value, ViewBatch, ViewInfo, ViewSchema, ViewTable,
};

use crate::catalogue::{self, Activate, BeginGeneration, CreateView};
use crate::error::Failure;
use crate::event_row;
use crate::query::{self, Select};
use crate::row_table::{self, RowArrays, Stored, stored};
use crate::session::{Actor, Parameter, Statement, Work, send};
use crate::store::{Open, PostgresStore};

#[async_trait]
impl ReadModels for PostgresStore {
    async fn prepare(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        schema.validate()?;
        let select = Statement::new(
            include_str!("sql/select_active_generation.sql"),
            [(&schema.name as _, Type::TEXT)],
        );
        let find = |answers: Vec<Vec<Row>>| match answers.first() {
            Some(rows) => catalogue::active(rows, schema),
            None => Ok(None),
        };
        let generation = match self.0.sessions.read(&Actor::Worker, &[select], find).await? {
            Some(generation) => generation,
            None => {
                let create = CreateView { open: &self.0, schema, start: &start };
                self.0.sessions.write(&Actor::Worker, &create).await?
            }
        };
        Ok(ViewTable { schema: schema.clone(), generation })
    }

    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        schema.validate()?;
        let begin = BeginGeneration { open: &self.0, schema, start: &start };
        let generation = self.0.sessions.write(&Actor::Worker, &begin).await?;
        Ok(ViewTable { schema: schema.clone(), generation })
    }

    async fn activate(&self, table: &ViewTable) -> Result<(), Error> {
        Ok(self.0.sessions.write(&Actor::Worker, &Activate { open: &self.0, table }).await?)
    }

    async fn views(&self) -> Result<Vec<ViewInfo>, Error> {
        let select = Statement::new(include_str!("sql/select_views.sql"), []);
        let read = |answers: Vec<Vec<Row>>| catalogue::views(&answers.concat_rows());
        Ok(self.0.sessions.read(&Actor::Worker, &[select], read).await?)
    }

    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error> {
        let generation = catalogue::stored_generation(table.generation)?;
        let select = catalogue::select_checkpoint(&table.schema.name, &generation);
        let read = |answers: Vec<Vec<Row>>| catalogue::checkpoint(&answers.concat_rows(), table);
        Ok(self.0.sessions.read(&Actor::Worker, &[select], read).await?)
    }

    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<Option<RowValues>>, Error> {
        Ok(load_rows(self, &Actor::Worker, table, rows).await?)
    }

    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        check_changes(&table.schema, &batch.changes)?;
        match self.0.sessions.write(&Actor::Worker, &Apply { open: &self.0, table, batch: &batch }).await {
            // COMMIT may have been carried out: the checkpoint tells. Where it is not moved yet the
            // view is read again anyway.
            Err(failure) if failure.is_lost() && self.checkpoint(table).await? == batch.to => Ok(()),
            Err(failure) => Err(catalogue::moved(failure, table, batch.lease.as_ref()).into()),
            Ok(()) => Ok(()),
        }
    }

    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error> {
        let address = RowAddress { tenant: tenant.clone(), key: key.to_owned() };
        let rows = load_rows(self, &Actor::Reader(tenant.clone()), table, &[address]).await?;
        Ok(rows.into_iter().flatten().next())
    }

    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error> {
        query.validate(&table.schema)?;
        let select = query::select_page(table, tenant, query);
        let read = |position: Position, found: &[Row]| {
            let more = found.len() > query.limit;
            let page = found.iter().take(query.limit);
            let rows = page.map(|row| Ok((row.try_get(0)?, row_table::values(row, table)?)));
            let rows = rows.collect::<Result<Vec<(String, RowValues)>, Failure>>()?;
            let sort_at = query
                .sort
                .column
                .as_ref()
                .and_then(|name| table.schema.columns.iter().position(|column| column.name == *name));
            let cursor = |(key, values): &(String, RowValues)| Cursor {
                value: sort_at.and_then(|at| values.get(at).cloned()),
                key: key.clone(),
            };
            let next = rows.last().filter(|_| more).map(cursor);
            Ok(RowPage { rows, next, position })
        };
        Ok(select_rows(self, table, tenant, &select, read).await?)
    }

    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(&table.schema)?;
        let select = query::select_count(table, tenant, query);
        let read = |_, found: &[Row]| match found.first() {
            Some(row) => event_row::count(row, 0),
            None => Ok(0),
        };
        Ok(select_rows(self, table, tenant, &select, read).await?)
    }
}

/// The rows of all answers, one after the other.
trait ConcatRows {
    fn concat_rows(self) -> Vec<Row>;
}

impl ConcatRows for Vec<Vec<Row>> {
    fn concat_rows(self) -> Vec<Row> {
        self.into_iter().flatten().collect()
    }
}

/// Runs a query of a tenant's rows, with the position of the same moment.
async fn select_rows<T>(
    store: &PostgresStore,
    table: &ViewTable,
    tenant: &TenantId,
    select: &Select,
    read: impl Fn(Position, &[Row]) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let generation = catalogue::stored_generation(table.generation)?;
    let values: Vec<Stored<'_>> = select.values.iter().map(stored).collect();
    let parameters: Vec<Parameter<'_>> = values.iter().map(Stored::parameter).collect();
    let statements = [
        catalogue::select_position(&table.schema.name, &generation),
        // By one index rows are found, and by another they may have to be in order.
        Statement::new(include_str!("sql/allow_sorting.sql"), []),
        Statement::new(&select.sql, parameters),
    ];
    let read = |mut answers: Vec<Vec<Row>>| {
        let found = answers.pop().unwrap_or_default();
        answers.truncate(1);
        read(catalogue::position(&answers.concat_rows(), table)?, &found)
    };
    let actor = Actor::Reader(tenant.clone());
    store
        .0
        .sessions
        .read(&actor, &statements, read)
        .await
        .map_err(|failure| catalogue::moved(failure, table, None))
}

async fn load_rows(
    store: &PostgresStore,
    actor: &Actor,
    table: &ViewTable,
    addresses: &[RowAddress],
) -> Result<Vec<Option<RowValues>>, Failure> {
    let generation = catalogue::stored_generation(table.generation)?;
    let tenants: Vec<&str> = addresses.iter().map(|address| address.tenant.as_str()).collect();
    let keys: Vec<&str> = addresses.iter().map(|address| address.key.as_str()).collect();
    let select = row_table::select_rows(table);
    let statements = [
        catalogue::select_position(&table.schema.name, &generation),
        Statement::new(&select, [(&tenants as _, Type::TEXT_ARRAY), (&keys as _, Type::TEXT_ARRAY)]),
    ];
    let read = |mut answers: Vec<Vec<Row>>| {
        let found = answers.pop().unwrap_or_default();
        // Where there is no such table the catalogue says so.
        catalogue::position(&answers.concat_rows(), table)?;
        let mut rows = vec![None; addresses.len()];
        for row in &found {
            let place = event_row::count(row, table.schema.columns.len() + 1)?;
            let place = usize::try_from(place).ok().and_then(|place| rows.get_mut(place.checked_sub(1)?));
            let place = place.ok_or_else(|| Failure::damaged("a row was found that was not asked for"))?;
            *place = Some(row_table::values(row, table)?);
        }
        Ok(rows)
    };
    store
        .0
        .sessions
        .read(actor, &statements, read)
        .await
        .map_err(|failure| catalogue::moved(failure, table, None))
}

/// Checks what can be checked without the table.
fn check_changes(schema: &ViewSchema, changes: &[RowChange]) -> Result<(), Error> {
    let mut seen = HashSet::with_capacity(changes.len());
    for change in changes {
        if !seen.insert(address(change)) {
            let key = &address(change).key;
            return Err(Error::invalid(format!("row {key:?} is changed twice in one batch")));
        }
        match change {
            RowChange::Upsert(address, values) => schema.check_row(&address.key, values)?,
            RowChange::Patch(_, patch) => check_patch(schema, patch)?,
            RowChange::Delete(_) => {}
        }
    }
    Ok(())
}

fn check_patch(schema: &ViewSchema, patch: &[(String, Value)]) -> Result<(), Error> {
    patch.iter().try_for_each(|(name, value)| {
        let column = schema
            .columns
            .iter()
            .find(|column| column.name == *name)
            .ok_or_else(|| Error::invalid(format!("view {} has no column {name:?}", schema.name)))?;
        schema.check_value(column, value)
    })
}

fn address(change: &RowChange) -> &RowAddress {
    match change {
        RowChange::Upsert(address, _) | RowChange::Patch(address, _) | RowChange::Delete(address) => address,
    }
}

/// The changes of a batch, sorted by statement; within each in the order of the table.
struct Changes<'b> {
    upserts: RowArrays<'b>,
    deletes: RowArrays<'b>,
    /// By the columns they write.
    patches: BTreeMap<Vec<&'b str>, RowArrays<'b>>,
}

impl<'b> Changes<'b> {
    fn new(schema: &'b ViewSchema, changes: &'b [RowChange]) -> Self {
        let mut sorted: Vec<&RowChange> = changes.iter().collect();
        // Neighbours share a page.
        sorted.sort_unstable_by(|a, b| address(a).cmp(address(b)));
        let mut all = Self {
            upserts: RowArrays::new(&schema.columns),
            deletes: RowArrays::new([]),
            patches: BTreeMap::new(),
        };
        for change in sorted {
            match change {
                RowChange::Upsert(address, values) => all.upserts.push(address, values),
                RowChange::Delete(address) => all.deletes.push(address, []),
                RowChange::Patch(address, patch) => {
                    // The last value of a column is the one that stays.
                    let values: BTreeMap<&str, &Value> =
                        patch.iter().map(|(name, value)| (name.as_str(), value)).collect();
                    let names: Vec<&str> = values.keys().copied().collect();
                    let columns = names
                        .iter()
                        .filter_map(|name| schema.columns.iter().find(|column| column.name == **name));
                    all.patches
                        .entry(names.clone())
                        .or_insert_with(|| RowArrays::new(columns))
                        .push(address, values.into_values());
                }
            }
        }
        all
    }
}

/// Stores a batch of changes.
struct Apply<'b> {
    open: &'b Open,
    table: &'b ViewTable,
    batch: &'b ViewBatch,
}

#[async_trait]
impl Work for Apply<'_> {
    type Done = ();

    async fn run(&self, client: &Client) -> Result<(), Failure> {
        apply_batch(client, self.open.stamp(), self.table, self.batch).await
    }
}

/// Moves the checkpoint and writes the rows; nobody else writes this table meanwhile.
async fn apply_batch(
    client: &Client,
    stamp: Option<i64>,
    table: &ViewTable,
    batch: &ViewBatch,
) -> Result<(), Failure> {
    let changes = Changes::new(&table.schema, &batch.changes);
    let generation = catalogue::stored_generation(table.generation)?;
    let (from, to) = (Moved::new(&batch.from), Moved::new(&batch.to));
    let fingerprint = table.schema.fingerprint();
    let fingerprint = &fingerprint.0[..];
    let lease = batch.lease.as_ref().map(|lease| lease.name.as_str());
    let term = batch.lease.as_ref().map(|lease| event_row::number(lease.term));
    let lease_id = batch.lease.as_ref().map(|lease| lease.id.0);
    let parameters: [Parameter<'_>; 13] = [
        (&table.schema.name, Type::TEXT),
        (&generation, Type::INT4),
        (&fingerprint, Type::BYTEA),
        (&from.store, Type::UUID),
        (&from.position, Type::INT8),
        (&from.event_id, Type::UUID),
        (&to.store, Type::UUID),
        (&to.position, Type::INT8),
        (&to.event_id, Type::UUID),
        (&lease, Type::TEXT),
        (&term, Type::INT8),
        (&stamp, Type::INT8),
        (&lease_id, Type::UUID),
    ];
    // All of it is sent at once. Where the checkpoint does not move, what follows fails with it.
    let moved = send(client.query_typed(include_str!("sql/move_checkpoint.sql"), &parameters)).await;
    let upsert = (row_table::upsert_rows(table), changes.upserts.parameters());
    let delete = (row_table::delete_rows(table), changes.deletes.parameters());
    let mut written = Vec::new();
    for ((sql, parameters), rows) in [(&upsert, changes.upserts.len()), (&delete, changes.deletes.len())] {
        if rows > 0 {
            written.push(send(client.query_typed(sql, parameters)).await);
        }
    }
    moved.answer().await?;
    for answer in written {
        answer.answer().await?;
    }
    for (columns, rows) in &changes.patches {
        patch(client, table, columns, rows).await?;
    }
    Ok(())
}

/// Writes some columns of rows that must be there.
async fn patch(
    client: &Client,
    table: &ViewTable,
    columns: &[&str],
    rows: &RowArrays<'_>,
) -> Result<(), Failure> {
    let patched = client.query_typed(&row_table::patch_rows(table, columns), &rows.parameters()).await?;
    if patched.len() == rows.len() {
        return Ok(());
    }
    let mut found = HashSet::new();
    for row in &patched {
        found.insert((row.try_get::<_, &str>(0)?, row.try_get::<_, &str>(1)?));
    }
    let missing = rows.addresses().find(|address| !found.contains(address));
    let key = missing.map_or_else(String::new, |(_, key)| key.to_owned());
    Err(Failure::Answer(Error::NotFound(format!("row {key:?}"))))
}

/// A checkpoint as the database holds it.
struct Moved {
    store: uuid::Uuid,
    position: i64,
    event_id: Option<uuid::Uuid>,
}

impl Moved {
    fn new(checkpoint: &Checkpoint) -> Self {
        Self {
            store: checkpoint.store.0,
            position: event_row::number(checkpoint.position.number()),
            event_id: checkpoint.event_id.map(|id| id.0),
        }
    }
}
