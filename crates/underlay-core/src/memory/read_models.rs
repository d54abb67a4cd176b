use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::MemoryLeases;
use super::rows::{self, Keyed};
use crate::domain::{Query, RowPage, RowValues, ViewSchema};
use crate::ports::{
    Generation, LoadedRow, ParkedEvent, ReadModels, RowAddress, RowChange, ScannedRows, SkipOrder,
    SkippedEvent, StoredOrder, Swap, Swept, ViewBatch, ViewInfo, ViewStop, ViewTable, check_order,
    check_order_number, check_page_limit, check_scan_limit,
};
use crate::ports::{no_generation, none_replaced, still_read};
use crate::words::{Checkpoint, Error, Json, Position, TenantId, Timestamp};

/// The tables of views, in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryReadModels {
    catalogue: Arc<Mutex<BTreeMap<String, Catalogued>>>,
    leases: MemoryLeases,
}

#[derive(Debug)]
struct Catalogued {
    /// The generation that is read.
    active: u32,
    /// The highest number that was given.
    last: u32,
    /// The one that is read and the one that is built.
    tables: HashMap<u32, Table>,
    /// The one that was read before, and since when it is not.
    replaced: Option<(u32, Table, Timestamp)>,
    /// What a person has skipped, in the order of the log.
    skipped: Vec<SkippedEvent>,
    /// What was last ordered of it.
    order: Option<StoredOrder>,
}

#[derive(Debug)]
struct Table {
    schema: ViewSchema,
    checkpoint: Checkpoint,
    rows: BTreeMap<RowAddress, RowValues>,
    parked: BTreeMap<Position, ParkedEvent>,
    stop: Option<ViewStop>,
}

impl Catalogued {
    /// Puts a generation in the place of the one that is read, which is kept.
    fn swap(&mut self, number: u32, at: Timestamp) {
        let before = std::mem::replace(&mut self.active, number);
        self.replaced = self.tables.remove(&before).map(|table| (before, table, at));
    }
}

impl Table {
    fn new(schema: &ViewSchema, start: Checkpoint) -> Self {
        let (rows, parked) = (BTreeMap::new(), BTreeMap::new());
        Self { schema: schema.clone(), checkpoint: start, rows, parked, stop: None }
    }

    fn generation(&self, number: u32, skipped: &[SkippedEvent]) -> Generation {
        let parked = |skipped: &&SkippedEvent| {
            let event = self.parked.get(&skipped.event.position);
            event.is_some_and(|event| event.event_id == skipped.event.event_id)
        };
        Generation {
            skipped: skipped.iter().filter(parked).count() as u64,
            number,
            fingerprint: self.schema.fingerprint(),
            checkpoint: self.checkpoint,
            parked: self.parked.len() as u64,
        }
    }

    /// Refuses another definition than the one its rows were built by.
    fn check_definition(&self, schema: &ViewSchema) -> Result<(), Error> {
        if self.schema.fingerprint() == schema.fingerprint() {
            return Ok(());
        }
        let definition = serde_json::to_string(&self.schema).unwrap_or_default();
        let reason = schema.difference_from(&definition);
        Err(Error::ViewChanged { view: schema.name.clone(), reason })
    }

    /// Stores a batch, or nothing.
    fn apply(&mut self, batch: ViewBatch, skipped: &[SkippedEvent]) -> Result<(), Error> {
        let stops_at = batch.stop.as_ref().and_then(ViewStop::event);
        let is_skipped = stops_at.is_some_and(|event| was_skipped(skipped, event));
        if self.checkpoint != batch.from || is_skipped {
            return Err(Error::CheckpointMoved { owner: format!("view {}", self.schema.name) });
        }
        let mut changes = Vec::with_capacity(batch.changes.len());
        for change in batch.changes {
            changes.push(match change {
                RowChange::Upsert(address, values) => (address, Some(values)),
                RowChange::Patch(address, patch) => {
                    let row = self.rows.get(&address).cloned();
                    let mut row = row.ok_or_else(|| Error::NotFound(format!("row {:?}", address.key)))?;
                    for (name, value) in patch {
                        if let Some(at) = self.schema.column_at(&name) {
                            row[at] = value;
                        }
                    }
                    (address, Some(row))
                }
                RowChange::Delete(address) => (address, None),
            });
        }
        for (address, row) in changes {
            match row {
                Some(row) => self.rows.insert(address, row),
                None => self.rows.remove(&address),
            };
        }
        self.parked.extend(batch.parked.into_iter().map(|parked| (parked.position, parked)));
        self.checkpoint = batch.to;
        self.stop = batch.stop;
        Ok(())
    }

    /// The rows of a tenant.
    fn of(&self, tenant: &TenantId) -> Vec<Keyed<'_>> {
        let first = RowAddress { tenant: tenant.clone(), key: String::new() };
        let owned = self.rows.range(first..).take_while(|(address, _)| address.tenant == *tenant);
        owned.map(|(address, row)| (address.key.as_str(), row)).collect()
    }
}

impl MemoryReadModels {
    /// Empty tables, whose batches are stored under these leases.
    #[must_use]
    pub fn with_leases(leases: MemoryLeases) -> Self {
        Self { leases, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Catalogued>> {
        // Changes below are made after all checks, so a panic leaves none half done.
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_table<T>(
        &self,
        table: &ViewTable,
        act: impl FnOnce(&mut Table) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut catalogue = self.lock();
        let found =
            catalogue.get_mut(&table.schema.name).and_then(|view| view.tables.get_mut(&table.generation));
        act(found.ok_or_else(|| no_table(table))?)
    }
}

fn was_skipped(skipped: &[SkippedEvent], event: &ParkedEvent) -> bool {
    skipped.iter().any(|known| known.is_of(event))
}

fn no_table(table: &ViewTable) -> Error {
    no_generation(&table.schema.name, table.generation)
}

fn no_view(view: &str) -> Error {
    Error::NotFound(format!("view {view}"))
}

#[async_trait]
impl ReadModels for MemoryReadModels {
    async fn prepare(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        schema.validate()?;
        let mut catalogue = self.lock();
        let view = catalogue.entry(schema.name.clone()).or_insert_with(|| Catalogued {
            active: 1,
            last: 1,
            tables: HashMap::from([(1, Table::new(schema, start))]),
            replaced: None,
            skipped: Vec::new(),
            order: None,
        });
        if let Some(active) = view.tables.get(&view.active) {
            active.check_definition(schema)?;
        }
        Ok(ViewTable { schema: schema.clone(), generation: view.active })
    }

    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        schema.validate()?;
        let mut catalogue = self.lock();
        let view = catalogue.get_mut(&schema.name).ok_or_else(|| no_view(&schema.name))?;
        view.last += 1;
        view.tables.retain(|known, _| *known == view.active);
        view.tables.insert(view.last, Table::new(schema, start));
        Ok(ViewTable { schema: schema.clone(), generation: view.last })
    }

    async fn activate(&self, table: &ViewTable, swap: Swap) -> Result<bool, Error> {
        if let Some(last) = &swap.last {
            last.validate(&table.schema)?;
        }
        let lease = swap.last.as_ref().and_then(|last| last.lease.clone());
        let activate = || {
            let mut catalogue = self.lock();
            let view = catalogue.get_mut(&table.schema.name).ok_or_else(|| no_table(table))?;
            let read = view.tables.get(&view.active).map(|active| active.checkpoint.position);
            let beyond = swap.unless_beyond.zip(read).is_some_and(|(most, read)| read > most);
            let built = view.tables.get_mut(&table.generation).filter(|_| table.generation != view.active);
            let built = built.ok_or_else(|| no_table(table))?;
            if let Some(known) = swap.order {
                check_order_number(&table.schema.name, known, view.order.as_ref().map(|order| order.number))?;
            }
            if beyond {
                return Ok(false);
            }
            if let Some(last) = swap.last {
                built.apply(last, &view.skipped)?;
            }
            view.swap(table.generation, swap.at);
            Ok(true)
        };
        self.leases.under(lease.as_ref(), activate)
    }

    async fn revert(&self, schema: &ViewSchema, at: Timestamp) -> Result<ViewTable, Error> {
        let mut catalogue = self.lock();
        let view = catalogue.get_mut(&schema.name).ok_or_else(|| no_view(&schema.name))?;
        let Some((number, table, since)) = view.replaced.take() else { return Err(none_replaced(schema)) };
        if let Err(changed) = table.check_definition(schema) {
            view.replaced = Some((number, table, since));
            return Err(changed);
        }
        view.tables.insert(number, table);
        view.swap(number, at);
        Ok(ViewTable { schema: schema.clone(), generation: number })
    }

    async fn discard(&self, view: &str, generation: u32) -> Result<(), Error> {
        let mut catalogue = self.lock();
        let catalogued = catalogue.get_mut(view).ok_or_else(|| no_view(view))?;
        if catalogued.active == generation {
            return Err(still_read(view, generation));
        }
        let built = catalogued.tables.remove(&generation).is_some();
        let kept = catalogued.replaced.take_if(|(number, ..)| *number == generation).is_some();
        if built || kept { Ok(()) } else { Err(no_generation(view, generation)) }
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        // What is discarded is gone at once.
        Ok(Swept::All)
    }

    async fn parked(
        &self,
        table: &ViewTable,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, Error> {
        check_page_limit(limit)?;
        self.with_table(table, |table| {
            let above = table.parked.range((Bound::Excluded(after), Bound::Unbounded));
            Ok(above.take(limit).map(|(_, parked)| parked.clone()).collect())
        })
    }

    async fn skip(&self, view: &str, skip: SkipOrder) -> Result<SkippedEvent, Error> {
        skip.validate()?;
        let mut catalogue = self.lock();
        let catalogued = catalogue.get_mut(view).ok_or_else(|| no_view(view))?;
        let is_about = |number: &u32, table: &Table| {
            skip.is_about(table.stop.as_ref()).then_some((*number != catalogued.active, *number))
        };
        let stopped = catalogued.tables.iter().filter_map(|(number, table)| is_about(number, table)).min();
        let number = stopped.map_or(catalogued.active, |(_, number)| number);
        let stopped = catalogued.tables.get_mut(&number).ok_or_else(|| no_view(view))?;
        let at = stopped.checkpoint.position;
        let skipped = skip.of(view, at, stopped.stop.as_ref(), &catalogued.skipped)?;
        stopped.stop = None;
        if !was_skipped(&catalogued.skipped, &skipped.event) {
            catalogued.skipped.push(skipped.clone());
            catalogued.skipped.sort_by_key(|skipped| skipped.event.position);
        }
        Ok(skipped)
    }

    async fn skipped(&self, view: &str) -> Result<Vec<SkippedEvent>, Error> {
        Ok(self.lock().get(view).map(|view| view.skipped.clone()).unwrap_or_default())
    }

    async fn views(&self) -> Result<Vec<ViewInfo>, Error> {
        let info = |(name, view): (&String, &Catalogued)| {
            let active = view.tables.get(&view.active)?;
            let building = view.tables.iter().find(|(number, _)| **number != view.active);
            let (replaced, skipped) = (view.replaced.as_ref(), view.skipped.as_slice());
            Some(ViewInfo {
                name: name.clone(),
                active: active.generation(view.active, skipped),
                building: building.map(|(number, table)| table.generation(*number, skipped)),
                replaced: replaced.map(|(number, table, since)| (table.generation(*number, skipped), *since)),
                discarded: 0,
                stop: active.stop.clone(),
                order: view.order.clone(),
            })
        };
        Ok(self.lock().iter().filter_map(info).collect())
    }

    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error> {
        self.with_table(table, |table| Ok(table.checkpoint))
    }

    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<LoadedRow>, Error> {
        self.with_table(table, |table| {
            Ok(rows.iter().map(|address| table.rows.get(address).cloned().into()).collect())
        })
    }

    async fn scan(
        &self,
        table: &ViewTable,
        after: Option<&RowAddress>,
        limit: usize,
    ) -> Result<ScannedRows, Error> {
        check_scan_limit(limit)?;
        self.with_table(table, |table| {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut above = table.rows.range::<RowAddress, _>((from, Bound::Unbounded));
            let page = above.by_ref().take(limit);
            let rows = page.map(|(address, row)| (address.clone(), Some(row.clone()).into())).collect();
            Ok(ScannedRows { rows, more: above.next().is_some(), checkpoint: table.checkpoint })
        })
    }

    async fn alterations(&self, table: &ViewTable) -> Result<Vec<String>, Error> {
        // Nobody else has hands on them.
        self.with_table(table, |_| Ok(Vec::new()))
    }

    async fn put_order(&self, view: &str, known: u64, body: &Json) -> Result<u64, Error> {
        check_order(body)?;
        let mut catalogue = self.lock();
        let catalogued = catalogue.get_mut(view).ok_or_else(|| no_view(view))?;
        check_order_number(view, known, catalogued.order.as_ref().map(|order| order.number))?;
        catalogued.order = Some(StoredOrder { number: known + 1, body: body.clone() });
        Ok(known + 1)
    }

    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        batch.validate(&table.schema)?;
        let lease = batch.lease.clone();
        let apply = || {
            let mut catalogue = self.lock();
            let view = catalogue.get_mut(&table.schema.name).ok_or_else(|| no_table(table))?;
            let stored = view.tables.get_mut(&table.generation);
            let stored = stored.filter(|stored| stored.check_definition(&table.schema).is_ok());
            stored.ok_or_else(|| no_table(table))?.apply(batch, &view.skipped)
        };
        self.leases.under(lease.as_ref(), apply)
    }

    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error> {
        let address = RowAddress { tenant: tenant.clone(), key: key.to_owned() };
        self.with_table(table, |table| Ok(table.rows.get(&address).cloned()))
    }

    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error> {
        query.validate(&table.schema)?;
        self.with_table(table, |table| {
            let page = rows::page(&table.schema, &table.of(tenant), query)?;
            let rows = page.into_iter().map(|(key, row)| (key.to_owned(), row.clone())).collect();
            Ok(RowPage::of(rows, query, &table.schema, table.checkpoint.position))
        })
    }

    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(&table.schema)?;
        self.with_table(table, |table| rows::count(&table.schema, &table.of(tenant), query))
    }
}
