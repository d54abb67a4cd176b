use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use underlay_core::adapter::Walk;
use underlay_core::adapter::stored_number;
use underlay_core::limits::SCAN_BYTES_MAX;
use underlay_core::{
    Checkpoint, Error, Json, LoadedRow, ParkedEvent, Position, Query, ReadModels, RowAddress, RowChange,
    RowPage, RowValues, ScannedRows, SkipOrder, SkippedEvent, Swap, Swept, TenantId, Timestamp, Value,
    ViewBatch, ViewInfo, ViewSchema, ViewTable, check_order, check_page_limit, check_scan_limit, text_bytes,
};

use crate::connections::session::{Parameter, Purpose, SessionRole, Statement, Work, send};
use crate::error::Failure;
use crate::rows::query::{self, Select};
use crate::rows::row_table::{not_asked_for, place};
use crate::rows::values::{Stored, stored};
use crate::store::{Open, PostgresStore};
use crate::views::alterations;
use crate::views::catalogue::{self, Activate, BeginGeneration, CreateView, GiveUp, Revert, Sweep};
use crate::views::view_orders::PutOrder;
use crate::views::view_stops::{self, SkipEvent};
use crate::views::view_table::{self, RowArrays};

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
        let generation = match self.0.sessions.read(&SessionRole::Worker, &[select], find).await? {
            Some(generation) => generation,
            None => {
                let create = CreateView { open: &self.0, schema, start: &start };
                self.0.sessions.write(&SessionRole::Worker, &create).await?
            }
        };
        Ok(ViewTable { schema: schema.clone(), generation })
    }

    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        schema.validate()?;
        let begin = BeginGeneration { open: &self.0, schema, start: &start };
        let generation = self.0.sessions.write(&SessionRole::Worker, &begin).await?;
        Ok(ViewTable { schema: schema.clone(), generation })
    }

    async fn activate(&self, table: &ViewTable, swap: Swap) -> Result<bool, Error> {
        let lease = match &swap.last {
            Some(last) => {
                last.validate(&table.schema)?;
                last.lease.as_ref()
            }
            None => None,
        };
        let activate = Activate { open: &self.0, table, swap: &swap };
        let activated = self.0.sessions.write(&SessionRole::Worker, &activate).await;
        Ok(activated.map_err(|failure| catalogue::moved(failure, table, lease))?)
    }

    async fn revert(&self, schema: &ViewSchema, at: Timestamp) -> Result<ViewTable, Error> {
        let generation = self.0.sessions.write(&SessionRole::Worker, &Revert { schema, at }).await?;
        Ok(ViewTable { schema: schema.clone(), generation })
    }

    async fn discard(&self, view: &str, generation: u32) -> Result<(), Error> {
        Ok(self.0.sessions.write(&SessionRole::Worker, &GiveUp { view, generation }).await?)
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        Ok(self.0.sessions.write(&SessionRole::Worker, &Sweep { open: &self.0 }).await?)
    }

    async fn parked(
        &self,
        table: &ViewTable,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, Error> {
        check_page_limit(limit)?;
        let generation = catalogue::stored_generation(table.generation)?;
        let (after, limit) = (stored_number(after.number()), stored_number(limit as u64));
        let parameters: [Parameter<'_>; 4] = [
            (&table.schema.name, Type::TEXT),
            (&generation, Type::INT4),
            (&after, Type::INT8),
            (&limit, Type::INT8),
        ];
        let statements = [
            catalogue::select_position(&table.schema.name, &generation),
            Statement::new(include_str!("sql/select_parked_events.sql"), parameters),
        ];
        let read = |mut answers: Vec<Vec<Row>>| {
            let found = answers.pop().unwrap_or_default();
            // Where there is no such table the catalogue says so.
            catalogue::position(&answers.concat_rows(), table)?;
            found.iter().map(catalogue::parked).collect()
        };
        Ok(self.0.sessions.read(&SessionRole::Worker, &statements, read).await?)
    }

    async fn skip(&self, view: &str, skip: SkipOrder) -> Result<SkippedEvent, Error> {
        skip.validate()?;
        Ok(self.0.sessions.write(&SessionRole::Worker, &SkipEvent { view, skip: &skip }).await?)
    }

    async fn skipped(&self, view: &str) -> Result<Vec<SkippedEvent>, Error> {
        let name = view.to_owned();
        let read = |answers: Vec<Vec<Row>>| view_stops::skipped(&answers.concat_rows(), view);
        Ok(self.0.sessions.read(&SessionRole::Worker, &[view_stops::select_skipped(&name)], read).await?)
    }

    async fn views(&self) -> Result<Vec<ViewInfo>, Error> {
        let select = Statement::new(include_str!("sql/select_views.sql"), []);
        let read = |answers: Vec<Vec<Row>>| catalogue::views(&answers.concat_rows());
        Ok(self.0.sessions.read(&SessionRole::Worker, &[select], read).await?)
    }

    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error> {
        let generation = catalogue::stored_generation(table.generation)?;
        let select = catalogue::select_checkpoint(&table.schema.name, &generation);
        let read = |answers: Vec<Vec<Row>>| catalogue::checkpoint(&answers.concat_rows(), table);
        Ok(self.0.sessions.read(&SessionRole::Worker, &[select], read).await?)
    }

    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<LoadedRow>, Error> {
        Ok(load_rows(self, None, table, rows).await?.into_iter().map(LoadedRow::from).collect())
    }

    async fn scan(
        &self,
        table: &ViewTable,
        after: Option<&RowAddress>,
        limit: usize,
    ) -> Result<ScannedRows, Error> {
        check_scan_limit(limit)?;
        let scanned = scan_rows(self, table, after, limit).await;
        Ok(scanned.map_err(|failure| catalogue::moved(failure, table, None))?)
    }

    async fn alterations(&self, table: &ViewTable) -> Result<Vec<String>, Error> {
        let generation = catalogue::stored_generation(table.generation)?;
        let name = view_table::name(table);
        let statements = [
            catalogue::select_position(&table.schema.name, &generation),
            Statement::new(include_str!("sql/select_table_shape.sql"), [(&name as _, Type::TEXT)]),
        ];
        let read = |mut answers: Vec<Vec<Row>>| {
            let found = answers.pop().unwrap_or_default();
            // Where there is no such generation the catalogue says so.
            catalogue::position(&answers.concat_rows(), table)?;
            alterations::find(&found, table)
        };
        Ok(self.0.sessions.read(&SessionRole::Worker, &statements, read).await?)
    }

    async fn put_order(&self, view: &str, known: u64, body: &Json) -> Result<u64, Error> {
        check_order(body)?;
        Ok(self.0.sessions.write(&SessionRole::Worker, &PutOrder { view, known, body }).await?)
    }

    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        batch.validate(&table.schema)?;
        match self
            .0
            .sessions
            .write(&SessionRole::Worker, &Apply { open: &self.0, table, batch: &batch })
            .await
        {
            // COMMIT may have been carried out: the checkpoint tells. Where it is not moved yet the
            // view is read again anyway.
            Err(failure)
                if failure.is_lost()
                    && batch.from != batch.to
                    && self.checkpoint(table).await? == batch.to =>
            {
                Ok(())
            }
            Err(failure) => Err(catalogue::moved(failure, table, batch.lease.as_ref()).into()),
            Ok(()) => Ok(()),
        }
    }

    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error> {
        let address = RowAddress { tenant: tenant.clone(), key: key.to_owned() };
        let rows = load_rows(self, Some(tenant), table, &[address]).await?;
        Ok(rows.into_iter().flatten().next())
    }

    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error> {
        query.validate(&table.schema)?;
        let walks = query.page_walks();
        let is_exact = walks.first().is_some_and(Walk::is_exact);
        let rows = view_table::rows(table);
        let selects: Vec<Select> =
            walks.iter().map(|walk| query::select_page(&rows, tenant, query, walk)).collect();
        let read = |position: Position, found: &[Row]| {
            if query::is_page_too_broad(found, &rows)? {
                return Ok(None);
            }
            let rows = found.iter().map(|row| Ok((row.try_get(0)?, view_table::values(row, table)?)));
            let rows = rows.collect::<Result<Vec<(String, RowValues)>, Failure>>()?;
            Ok(Some(RowPage::of(rows, query, &table.schema, position)))
        };
        select_rows(self, table, tenant, is_exact, &selects, read).await?.ok_or_else(Error::page_too_broad)
    }

    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(&table.schema)?;
        let walks = query.count_walks();
        let rows = view_table::rows(table);
        let selects: Vec<Select> =
            walks.iter().map(|walk| query::select_count(&rows, tenant, walk)).collect();
        let read = |_, found: &[Row]| query::counted(found);
        select_rows(self, table, tenant, false, &selects, read).await?.ok_or_else(Error::count_too_broad)
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

/// Runs a query of a tenant's rows, one way after the other until one gives an answer, with the position of
/// the same moment.
async fn select_rows<T>(
    store: &PostgresStore,
    table: &ViewTable,
    tenant: &TenantId,
    is_exact: bool,
    ways: &[Select],
    read: impl Fn(Position, &[Row]) -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    let generation = catalogue::stored_generation(table.generation)?;
    let values: Vec<Vec<Stored<'_>>> =
        ways.iter().map(|way| way.values.iter().map(stored).collect()).collect();
    let tries: Vec<Vec<Statement<'_>>> = ways
        .iter()
        .zip(&values)
        .map(|(way, values)| {
            vec![
                catalogue::select_position(&table.schema.name, &generation),
                Statement::new(&way.sql, values.iter().map(Stored::parameter).collect::<Vec<_>>()),
            ]
        })
        .collect();
    let read = |mut answers: Vec<Vec<Row>>| {
        let found = answers.pop().unwrap_or_default();
        read(catalogue::position(&answers.concat_rows(), table)?, &found)
    };
    let found = store.0.sessions.query(tenant, is_exact, &tries, read).await;
    found.map_err(|failure| catalogue::moved(failure, table, None))
}

/// Loads rows by address: for a request of a tenant, or for the engine where none is named.
async fn load_rows(
    store: &PostgresStore,
    tenant: Option<&TenantId>,
    table: &ViewTable,
    addresses: &[RowAddress],
) -> Result<Vec<Option<RowValues>>, Failure> {
    let generation = catalogue::stored_generation(table.generation)?;
    let tenants: Vec<&str> = addresses.iter().map(|address| address.tenant.as_str()).collect();
    let keys: Vec<&str> = addresses.iter().map(|address| address.key.as_str()).collect();
    let select = view_table::rows(table).select_rows();
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
            let place = place(row, table.schema.columns.len() + 1)?;
            *rows.get_mut(place).ok_or_else(not_asked_for)? = Some(view_table::values(row, table)?);
        }
        Ok(rows)
    };
    let sessions = &store.0.sessions;
    let found = match tenant {
        None => sessions.read(&SessionRole::Worker, &statements, read).await,
        Some(tenant) => {
            let read = |answers| read(answers).map(Some);
            let found = sessions.query(tenant, true, &[statements.to_vec()], read).await;
            found.map(Option::unwrap_or_default)
        }
    };
    found.map_err(|failure| catalogue::moved(failure, table, None))
}

/// Reads rows of all tenants above an address, with the checkpoint of the same moment.
async fn scan_rows(
    store: &PostgresStore,
    table: &ViewTable,
    after: Option<&RowAddress>,
    limit: usize,
) -> Result<ScannedRows, Failure> {
    let generation = catalogue::stored_generation(table.generation)?;
    // No tenant and no key is empty, so all rows are above these.
    let (tenant, key) = after.map_or(("", ""), |after| (after.tenant.as_str(), after.key.as_str()));
    let most = stored_number(limit as u64 + 1);
    let sql = view_table::scan_rows(table);
    let page =
        Statement::new(&sql, [(&tenant as _, Type::TEXT), (&key as _, Type::TEXT), (&most as _, Type::INT8)]);
    let before = [catalogue::select_checkpoint(&table.schema.name, &generation)];
    let start = |answers: Vec<Vec<Row>>| {
        let checkpoint = catalogue::checkpoint(&answers.concat_rows(), table)?;
        Ok((ScannedRows { rows: Vec::new(), more: false, checkpoint }, 0))
    };
    let take = |(scanned, bytes): &mut (ScannedRows, usize), row: Row| {
        if scanned.rows.len() == limit || *bytes >= SCAN_BYTES_MAX {
            scanned.more = true;
            // The row after as many as were asked for is the last that comes.
            return Ok(scanned.rows.len() == limit);
        }
        let (key, values): (String, RowValues) = (row.try_get(0)?, view_table::values(&row, table)?);
        let tenant = TenantId::new(row.try_get::<_, String>(table.schema.columns.len() + 1)?)
            .map_err(|error| Failure::damaged(format!("a row of {}: {error}", view_table::name(table))))?;
        *bytes += text_bytes(&key, &values);
        scanned.rows.push((RowAddress { tenant, key }, Some(values).into()));
        Ok(true)
    };
    let sessions = &store.0.sessions;
    let (scanned, _) =
        sessions.read_page(Purpose::Engine, &SessionRole::Worker, &before, page, start, take).await?;
    Ok(scanned)
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
        sorted.sort_unstable_by(|a, b| a.address().cmp(b.address()));
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
pub(crate) async fn apply_batch(
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
    let term = batch.lease.as_ref().map(|lease| stored_number(lease.term));
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
    let upsert = (view_table::upsert_rows(table), changes.upserts.parameters());
    let delete = (view_table::delete_rows(table), changes.deletes.parameters());
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
    view_stops::store(client, table, batch).await?;
    if !batch.parked.is_empty() {
        catalogue::park(client, table, &batch.parked).await?;
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
    let patched = client.query_typed(&view_table::patch_rows(table, columns), &rows.parameters()).await?;
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
            position: stored_number(checkpoint.position.number()),
            event_id: checkpoint.event_id.map(|id| id.0),
        }
    }
}
