use async_trait::async_trait;
use rusqlite::{Connection, Row};
use underlay_core::adapter::{Walk, stored_number};
use underlay_core::limits::SCAN_BYTES_MAX;
use underlay_core::{
    Checkpoint, Error, Json, LoadedRow, ParkedEvent, Position, Query, ReadModels, RowAddress, RowChange,
    RowPage, RowValues, ScannedRows, SkipOrder, SkippedEvent, Swap, Swept, TenantId, Timestamp, ViewBatch,
    ViewInfo, ViewSchema, ViewTable, check_order, check_page_limit, check_scan_limit, text_bytes,
};

use crate::error::Failure;
use crate::leases;
use crate::log::intake::Flush;
use crate::rows::row_table::{self, RowTable};
use crate::rows::{alterations, pages};
use crate::store::SqliteStore;
use crate::views::{catalogue, view_orders, view_stops};

#[async_trait]
impl ReadModels for SqliteStore {
    async fn prepare(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        schema.validate()?;
        let wanted = schema.clone();
        let found = self
            .0
            .readers
            .read_at_one_moment(None, move |connection| catalogue::find_active(connection, &wanted))
            .await?;
        let generation = match found {
            Some(generation) => generation,
            None => {
                let wanted = schema.clone();
                // Another process may have made it in the meantime.
                let make = move |connection: &Connection| match catalogue::find_active(connection, &wanted)? {
                    Some(generation) => Ok(generation),
                    None => catalogue::create_view(connection, &wanted, &start),
                };
                self.write_beside(Flush::Now, make).await?
            }
        };
        Ok(ViewTable { schema: schema.clone(), generation })
    }

    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        schema.validate()?;
        let wanted = schema.clone();
        let begin = move |connection: &Connection| catalogue::begin_generation(connection, &wanted, &start);
        let generation = self.write_beside(Flush::Now, begin).await?;
        Ok(ViewTable { schema: schema.clone(), generation })
    }

    async fn activate(&self, table: &ViewTable, mut swap: Swap) -> Result<bool, Error> {
        if let Some(last) = &mut swap.last {
            last.validate(&table.schema)?;
            sort_changes(last);
        }
        let (table, clock) = (table.clone(), self.0.clock.clone());
        let activate = move |connection: &Connection| {
            let store = || match &swap.last {
                Some(last) => apply_batch(connection, &table, last, clock.now()),
                None => Ok(()),
            };
            catalogue::activate(connection, &table, &swap, store)
        };
        self.write_beside(Flush::Now, activate).await
    }

    async fn revert(&self, schema: &ViewSchema, at: Timestamp) -> Result<ViewTable, Error> {
        let wanted = schema.clone();
        let revert = move |connection: &Connection| catalogue::revert(connection, &wanted, at);
        let generation = self.write_beside(Flush::Now, revert).await?;
        Ok(ViewTable { schema: schema.clone(), generation })
    }

    async fn discard(&self, view: &str, generation: u32) -> Result<(), Error> {
        let view = view.to_owned();
        let give_up = move |connection: &Connection| catalogue::give_up(connection, &view, generation);
        self.write_beside(Flush::Now, give_up).await?;
        Ok(())
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        // A piece that a power cut brings back is removed again.
        self.write_beside(Flush::Later, catalogue::sweep).await
    }

    async fn parked(
        &self,
        table: &ViewTable,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, Error> {
        check_page_limit(limit)?;
        let table = table.clone();
        let read = move |connection: &Connection| catalogue::parked(connection, &table, after, limit);
        self.0.readers.read_at_one_moment(None, read).await
    }

    async fn skip(&self, view: &str, skip: SkipOrder) -> Result<SkippedEvent, Error> {
        skip.validate()?;
        let name = view.to_owned();
        let order = move |connection: &Connection| catalogue::skip(connection, &name, &skip);
        self.write_beside(Flush::Now, order).await
    }

    async fn skipped(&self, view: &str) -> Result<Vec<SkippedEvent>, Error> {
        let view = view.to_owned();
        self.0.readers.read(None, move |connection| view_stops::skipped(connection, &view)).await
    }

    async fn views(&self) -> Result<Vec<ViewInfo>, Error> {
        self.0.readers.read(None, catalogue::views).await
    }

    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error> {
        let table = table.clone();
        self.0.readers.read(None, move |connection| catalogue::checkpoint(connection, &table)).await
    }

    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<LoadedRow>, Error> {
        let (table, rows) = (table.clone(), rows.to_vec());
        let load = move |connection: &Connection| load_rows(connection, &table, &rows);
        let rows = self.0.readers.read_at_one_moment(None, load).await?;
        Ok(rows.into_iter().map(LoadedRow::from).collect())
    }

    async fn scan(
        &self,
        table: &ViewTable,
        after: Option<&RowAddress>,
        limit: usize,
    ) -> Result<ScannedRows, Error> {
        check_scan_limit(limit)?;
        let (table, after) = (table.clone(), after.cloned());
        let scan = move |connection: &Connection| scan_rows(connection, &table, after.as_ref(), limit);
        self.0.readers.read_at_one_moment(None, scan).await
    }

    async fn alterations(&self, table: &ViewTable) -> Result<Vec<String>, Error> {
        let table = table.clone();
        let find = move |connection: &Connection| {
            // Where there is no such generation the catalogue says so.
            catalogue::checkpoint(connection, &table)?;
            alterations::find(connection, &RowTable::of_view(&table))
        };
        self.0.readers.read_at_one_moment(None, find).await
    }

    async fn put_order(&self, view: &str, known: u64, body: &Json) -> Result<u64, Error> {
        check_order(body)?;
        let (view, body) = (view.to_owned(), body.clone());
        let put = move |connection: &Connection| view_orders::put(connection, &view, known, &body);
        self.write_beside(Flush::Now, put).await
    }

    async fn apply(&self, table: &ViewTable, mut batch: ViewBatch) -> Result<(), Error> {
        batch.validate(&table.schema)?;
        sort_changes(&mut batch);
        let (table, clock) = (table.clone(), self.0.clock.clone());
        let apply = move |connection: &Connection| apply_batch(connection, &table, &batch, clock.now());
        self.write_beside(Flush::Later, apply).await
    }

    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error> {
        let (table, address) = (table.clone(), RowAddress { tenant: tenant.clone(), key: key.to_owned() });
        let read = move |connection: &Connection| load_rows(connection, &table, &[address]);
        let rows = self.0.readers.query(tenant, true, read).await?;
        Ok(rows.into_iter().flatten().next())
    }

    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error> {
        query.validate(&table.schema)?;
        let is_exact = query.page_walks().first().is_some_and(Walk::is_exact);
        let (table, owner, query) = (table.clone(), tenant.clone(), query.clone());
        let read = move |connection: &Connection| row_page(connection, &table, &owner, &query);
        self.0.readers.query(tenant, is_exact, read).await
    }

    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(&table.schema)?;
        let (table, owner, query) = (table.clone(), tenant.clone(), query.clone());
        let read = move |connection: &Connection| {
            // Where there is no such table the catalogue says so.
            catalogue::checkpoint(connection, &table)?;
            pages::count(connection, &RowTable::of_view(&table), &owner, &query)
        };
        self.0.readers.query(tenant, false, read).await
    }
}

/// In the order of the table, neighbours share a page.
fn sort_changes(batch: &mut ViewBatch) {
    batch.changes.sort_unstable_by(|a, b| a.address().cmp(b.address()));
}

/// Moves the checkpoint and writes what leads to it.
fn apply_batch(
    connection: &Connection,
    table: &ViewTable,
    batch: &ViewBatch,
    now: Timestamp,
) -> Result<(), Failure> {
    leases::check(connection, batch.lease.as_ref(), now)?;
    catalogue::move_checkpoint(connection, table, &batch.from, &batch.to)?;
    write_rows(connection, table, &batch.changes)?;
    view_stops::store(connection, table, batch)?;
    batch.parked.iter().try_for_each(|parked| catalogue::park(connection, table, parked))
}

fn write_rows(connection: &Connection, table: &ViewTable, changes: &[RowChange]) -> Result<(), Failure> {
    let table = RowTable::of_view(table);
    let mut upsert = connection.prepare_cached(&table.upsert_row())?;
    let mut delete = connection.prepare_cached(&table.delete_row())?;
    for change in changes {
        let RowAddress { tenant, key } = change.address();
        match change {
            RowChange::Upsert(_, values) => {
                row_table::change_row(&mut upsert, tenant, key, values)?;
            }
            RowChange::Patch(_, patch) => {
                let columns = patch.iter().map(|(column, _)| column.as_str());
                let mut statement = connection.prepare_cached(&table.update_row(columns))?;
                let values = patch.iter().map(|(_, value)| value);
                if row_table::change_row(&mut statement, tenant, key, values)? == 0 {
                    return Err(Failure::Answer(Error::NotFound(format!("row {key:?}"))));
                }
            }
            RowChange::Delete(_) => {
                row_table::change_row(&mut delete, tenant, key, [])?;
            }
        }
    }
    Ok(())
}

fn load_rows(
    connection: &Connection,
    table: &ViewTable,
    addresses: &[RowAddress],
) -> Result<Vec<Option<RowValues>>, Failure> {
    // Where there is no such table the catalogue says so.
    catalogue::checkpoint(connection, table)?;
    let table = RowTable::of_view(table);
    let mut select = connection.prepare_cached(&table.select_row())?;
    let mut load = |address: &RowAddress| {
        let mut rows = select.query((address.tenant.as_str(), address.key.as_str()))?;
        rows.next()?.map(|row| row_values(row, &table)).transpose()
    };
    addresses.iter().map(&mut load).collect()
}

fn scan_rows(
    connection: &Connection,
    table: &ViewTable,
    after: Option<&RowAddress>,
    limit: usize,
) -> Result<ScannedRows, Failure> {
    let checkpoint = catalogue::checkpoint(connection, table)?;
    let table = RowTable::of_view(table);
    let mut select = connection.prepare_cached(&table.scan_rows())?;
    // No tenant and no key is empty, so all rows are above these.
    let (tenant, key) = after.map_or(("", ""), |after| (after.tenant.as_str(), after.key.as_str()));
    let mut found = select.query((tenant, key, stored_number(limit as u64 + 1)))?;
    let (mut rows, mut bytes, mut more) = (Vec::new(), 0, false);
    while let Some(row) = found.next()? {
        if rows.len() == limit || bytes >= SCAN_BYTES_MAX {
            more = true;
            break;
        }
        let (key, values) = keyed_row(row, &table)?;
        let tenant: String = row.get(table.width())?;
        let tenant = TenantId::new(tenant)
            .map_err(|error| Failure::damaged(format!("a row of {}: {error}", table.name())))?;
        bytes += text_bytes(&key, &values);
        rows.push((RowAddress { tenant, key }, Some(values).into()));
    }
    Ok(ScannedRows { rows, more, checkpoint })
}

/// Reads the key and the values of a row.
fn keyed_row(row: &Row<'_>, table: &RowTable<'_>) -> Result<(String, RowValues), Failure> {
    let key = row.get(0).map_err(|error| Failure::from(error).within(table.name()))?;
    Ok((key, row_values(row, table)?))
}

/// Reads the values of a row.
fn row_values(row: &Row<'_>, table: &RowTable<'_>) -> Result<RowValues, Failure> {
    row_table::values(row, table.schema)
        .map_err(|failure| failure.within(format_args!("a row in {}", table.name())))
}

fn row_page(
    connection: &Connection,
    table: &ViewTable,
    tenant: &TenantId,
    query: &Query,
) -> Result<RowPage, Failure> {
    let position = catalogue::checkpoint(connection, table)?.position;
    let rows = RowTable::of_view(table);
    let found = pages::page(connection, &rows, tenant, query, |row| keyed_row(row, &rows))?;
    Ok(RowPage::of(found, query, &table.schema, position))
}
