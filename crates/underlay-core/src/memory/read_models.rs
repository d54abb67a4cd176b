use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::MemoryLeases;
use crate::limits::QUERY_ROWS_SCANNED_MAX;
use crate::{
    Checkpoint, Comparison, Cursor, Direction, Error, Filter, Query, ReadModels, RowAddress, RowChange,
    RowPage, RowValues, TenantId, Value, ViewBatch, ViewInfo, ViewSchema, ViewTable, Walk,
};

/// The tables of views, in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryReadModels {
    catalogue: Arc<Mutex<BTreeMap<String, Catalogued>>>,
    leases: MemoryLeases,
}

#[derive(Debug)]
struct Catalogued {
    generation: u32,
    tables: HashMap<u32, Table>,
}

#[derive(Debug)]
struct Table {
    schema: ViewSchema,
    checkpoint: Checkpoint,
    rows: BTreeMap<RowAddress, RowValues>,
}

impl Table {
    fn new(schema: &ViewSchema, start: Checkpoint) -> Self {
        Self { schema: schema.clone(), checkpoint: start, rows: BTreeMap::new() }
    }

    fn column_at(&self, name: &str) -> Option<usize> {
        self.schema.columns.iter().position(|column| column.name == name)
    }

    fn meets(&self, row: &RowValues, filter: &Filter) -> bool {
        let value = self.column_at(&filter.column).map_or(&Value::Null, |at| &row[at]);
        match filter.comparison {
            Comparison::Eq => *value == filter.value,
            Comparison::Lt => *value < filter.value,
            Comparison::Le => *value <= filter.value,
            Comparison::Gt => *value > filter.value,
            Comparison::Ge => *value >= filter.value,
            Comparison::Prefix => match (value, &filter.value) {
                (Value::Text(text), Value::Text(prefix)) => text.starts_with(prefix.as_str()),
                _ => false,
            },
        }
    }

    /// The rows of a tenant that meet these conditions.
    fn between(&self, tenant: &TenantId, bounds: &[&Filter]) -> Vec<(&str, &RowValues)> {
        self.rows
            .iter()
            .filter(|(address, row)| {
                address.tenant == *tenant && bounds.iter().all(|filter| self.meets(row, filter))
            })
            .map(|(address, row)| (address.key.as_str(), row))
            .collect()
    }

    /// The rows of a page, and one more where another page follows; `None` where the walk looks at more
    /// rows than it may.
    fn page(&self, tenant: &TenantId, query: &Query, walk: &Walk<'_>) -> Option<Vec<(&str, &RowValues)>> {
        let directed = |order: Ordering| match query.sort.direction {
            Direction::Ascending => order,
            Direction::Descending => order.reverse(),
        };
        let last = query.after.as_ref().map(|cursor| (cursor.value.clone(), cursor.key.clone()));
        let beyond = |(key, row): &(&str, &RowValues)| {
            let place = self.place(query, key, row);
            last.as_ref().is_none_or(|last| directed(place.cmp(last)) == Ordering::Greater)
        };
        let passes = |(_, row): &(&str, &RowValues)| walk.tests.iter().all(|filter| self.meets(row, filter));
        let mut rows = self.between(tenant, &walk.bounds);
        if walk.ordered {
            rows.retain(beyond);
        } else if rows.len() > QUERY_ROWS_SCANNED_MAX {
            return None;
        }
        rows.sort_by_cached_key(|(key, row)| self.place(query, key, row));
        if query.sort.direction == Direction::Descending {
            rows.reverse();
        }
        let mut page = Vec::new();
        for (looked, row) in rows.into_iter().enumerate() {
            if walk.ordered && looked == QUERY_ROWS_SCANNED_MAX {
                return None;
            }
            if passes(&row) && (walk.ordered || beyond(&row)) {
                page.push(row);
            }
            if page.len() > query.limit {
                break;
            }
        }
        Some(page)
    }

    /// Where a row lies in the order asked for.
    fn place(&self, query: &Query, key: &str, row: &RowValues) -> (Option<Value>, String) {
        let sort_at = query.sort.column.as_deref().and_then(|name| self.column_at(name));
        (sort_at.map(|at| row[at].clone()), key.to_owned())
    }

    /// How many rows meet the filters; `None` where the walk looks at more rows than it may.
    fn count(&self, tenant: &TenantId, walk: &Walk<'_>) -> Option<u64> {
        let rows = self.between(tenant, &walk.bounds);
        let passes = |(_, row): &&(&str, &RowValues)| walk.tests.iter().all(|filter| self.meets(row, filter));
        (rows.len() <= QUERY_ROWS_SCANNED_MAX).then(|| rows.iter().filter(passes).count() as u64)
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

fn no_table(table: &ViewTable) -> Error {
    Error::NotFound(format!("generation {} of view {}", table.generation, table.schema.name))
}

#[async_trait]
impl ReadModels for MemoryReadModels {
    async fn prepare(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        schema.validate()?;
        let mut catalogue = self.lock();
        let view = catalogue.entry(schema.name.clone()).or_insert_with(|| Catalogued {
            generation: 1,
            tables: HashMap::from([(1, Table::new(schema, start))]),
        });
        let active = view.tables.get(&view.generation).map(|table| &table.schema);
        if active.map(ViewSchema::fingerprint) != Some(schema.fingerprint()) {
            let version = active.map_or(0, |active| active.version);
            let reason = format!("version {version} there, {} in the code", schema.version);
            return Err(Error::ViewChanged { view: schema.name.clone(), reason });
        }
        Ok(ViewTable { schema: schema.clone(), generation: view.generation })
    }

    async fn begin_generation(&self, schema: &ViewSchema, start: Checkpoint) -> Result<ViewTable, Error> {
        schema.validate()?;
        let mut catalogue = self.lock();
        let view = catalogue
            .get_mut(&schema.name)
            .ok_or_else(|| Error::NotFound(format!("view {}", schema.name)))?;
        // Above every one there was, so that whoever began the one replaced here finds it gone.
        let generation = view.tables.keys().max().map_or(1, |last| last + 1);
        view.tables.retain(|known, _| *known == view.generation);
        view.tables.insert(generation, Table::new(schema, start));
        Ok(ViewTable { schema: schema.clone(), generation })
    }

    async fn activate(&self, table: &ViewTable) -> Result<(), Error> {
        let mut catalogue = self.lock();
        let view = catalogue.get_mut(&table.schema.name).ok_or_else(|| no_table(table))?;
        if !view.tables.contains_key(&table.generation) {
            return Err(no_table(table));
        }
        view.generation = table.generation;
        view.tables.retain(|generation, _| *generation == table.generation);
        Ok(())
    }

    async fn views(&self) -> Result<Vec<ViewInfo>, Error> {
        let info = |(name, view): (&String, &Catalogued)| {
            let active = view.tables.get(&view.generation)?;
            let building = view.tables.iter().find(|(generation, _)| **generation > view.generation);
            Some(ViewInfo {
                name: name.clone(),
                generation: view.generation,
                fingerprint: active.schema.fingerprint(),
                checkpoint: active.checkpoint,
                building: building.map(|(generation, table)| (*generation, table.checkpoint)),
            })
        };
        Ok(self.lock().iter().filter_map(info).collect())
    }

    async fn checkpoint(&self, table: &ViewTable) -> Result<Checkpoint, Error> {
        self.with_table(table, |table| Ok(table.checkpoint))
    }

    async fn load(&self, table: &ViewTable, rows: &[RowAddress]) -> Result<Vec<Option<RowValues>>, Error> {
        self.with_table(table, |table| {
            Ok(rows.iter().map(|address| table.rows.get(address).cloned()).collect())
        })
    }

    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        let lease = batch.lease.clone();
        let apply = |table: &mut Table| {
            if table.checkpoint != batch.from {
                return Err(Error::CheckpointMoved { view: table.schema.name.clone() });
            }
            let mut touched = HashSet::new();
            let mut changes = Vec::with_capacity(batch.changes.len());
            for change in batch.changes {
                let (address, row) = match change {
                    RowChange::Upsert(address, values) => {
                        table.schema.check_row(&address.key, &values)?;
                        (address, Some(values))
                    }
                    RowChange::Patch(address, patch) => {
                        let row = table.rows.get(&address).cloned();
                        let mut row = row.ok_or_else(|| Error::NotFound(format!("row {:?}", address.key)))?;
                        for (name, value) in patch {
                            let at = table.column_at(&name).ok_or_else(|| {
                                Error::invalid(format!("view {} has no column {name:?}", table.schema.name))
                            })?;
                            table.schema.check_value(&table.schema.columns[at], &value)?;
                            row[at] = value;
                        }
                        (address, Some(row))
                    }
                    RowChange::Delete(address) => (address, None),
                };
                if !touched.insert(address.clone()) {
                    return Err(Error::invalid(format!(
                        "row {:?} is changed twice in one batch",
                        address.key
                    )));
                }
                changes.push((address, row));
            }
            for (address, row) in changes {
                match row {
                    Some(row) => table.rows.insert(address, row),
                    None => table.rows.remove(&address),
                };
            }
            table.checkpoint = batch.to;
            Ok(())
        };
        self.leases.under(lease.as_ref(), || self.with_table(table, apply))
    }

    async fn get(&self, table: &ViewTable, tenant: &TenantId, key: &str) -> Result<Option<RowValues>, Error> {
        let address = RowAddress { tenant: tenant.clone(), key: key.to_owned() };
        self.with_table(table, |table| Ok(table.rows.get(&address).cloned()))
    }

    async fn query(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<RowPage, Error> {
        query.validate(&table.schema)?;
        self.with_table(table, |table| {
            let walks = query.page_walks();
            let found = walks.iter().find_map(|walk| table.page(tenant, query, walk));
            let mut rows = found.ok_or_else(Error::page_too_broad)?;
            let more = rows.len() > query.limit;
            rows.truncate(query.limit);
            let next = rows.last().filter(|_| more).map(|(key, row)| {
                let (value, key) = table.place(query, key, row);
                Cursor { value, key }
            });
            let rows = rows.into_iter().map(|(key, row)| (key.to_owned(), row.clone())).collect();
            Ok(RowPage { rows, next, position: table.checkpoint.position })
        })
    }

    async fn count(&self, table: &ViewTable, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(&table.schema)?;
        self.with_table(table, |table| {
            let walks = query.count_walks();
            walks.iter().find_map(|walk| table.count(tenant, walk)).ok_or_else(Error::count_too_broad)
        })
    }
}
