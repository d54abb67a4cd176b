use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::rows::{self, Keyed};
use crate::adapter::{check_unit, safe_order};
use crate::domain::{EntityPage, Query, RowValues};
use crate::ports::{Atomicity, Entities, RowAddress, check_entity_ids, entity_not_prepared};
use crate::words::{
    EntityChange, EntityExtension, EntitySchema, EntityVersion, Error, StoredEntity, TenantId, Value,
};

/// Entities in memory. One lock: a unit is a turn of it.
#[derive(Clone, Debug, Default)]
pub struct MemoryEntities {
    tables: Arc<Mutex<BTreeMap<String, Table>>>,
}

/// The entities of one name.
#[derive(Debug)]
struct Table {
    schema: EntitySchema,
    rows: BTreeMap<RowAddress, EntityRow>,
    /// Who has a unique value, by column.
    owners: HashMap<String, HashMap<(TenantId, Value), String>>,
}

/// An entity with its values by column, as stores keep them: whoever reads has columns in an order of their own.
#[derive(Clone, Debug)]
struct EntityRow {
    version: EntityVersion,
    values: BTreeMap<String, Value>,
}

impl EntityRow {
    /// The values in the order of the columns; empty where there is none.
    fn values(&self, schema: &EntitySchema) -> RowValues {
        let value = |name: &String| self.values.get(name).cloned().unwrap_or(Value::Null);
        schema.columns.iter().map(|column| value(&column.name)).collect()
    }

    /// The entity, where it is one of this shape.
    fn entity(&self, schema: &EntitySchema, id: &str) -> Result<StoredEntity, Error> {
        let damaged = |reason: String| Error::damaged_entity(&schema.name, id, reason);
        if let Some(unknown) = self.values.keys().find(|name| schema.column_at(name).is_none()) {
            return Err(damaged(format!("column {unknown} is stored and not in the code")));
        }
        let known: BTreeSet<&String> = self.values.keys().collect();
        if let Some(missing) = schema.columns.iter().find(|column| !known.contains(&column.name)) {
            return Err(damaged(format!("column {} is missing", missing.name)));
        }
        let values = self.values(schema);
        schema.check_row(id, &values).map_err(|error| damaged(error.to_string()))?;
        Ok(StoredEntity { id: id.to_owned(), version: self.version, values })
    }
}

impl Table {
    fn new(schema: &EntitySchema) -> Self {
        Self { schema: schema.clone(), rows: BTreeMap::new(), owners: HashMap::new() }
    }

    /// Takes another definition of the same entities, where they fit it.
    fn extend(&mut self, schema: &EntitySchema) -> Result<(), Error> {
        let extension = schema.extension_of(&self.schema)?;
        let mut owners: HashMap<String, HashMap<(TenantId, Value), String>> = HashMap::new();
        for name in &schema.unique {
            let owners = owners.entry(name.clone()).or_default();
            for (address, row) in &self.rows {
                let Some(value) = row.values.get(name) else { continue };
                let place = (address.tenant.clone(), value.clone());
                if owners.insert(place, address.key.clone()).is_some() {
                    return Err(EntityExtension::not_yet_unique(schema, name));
                }
            }
        }
        for row in self.rows.values_mut() {
            let new = extension.columns.iter().map(|column| (column.name.clone(), Value::Null));
            row.values.extend(new);
        }
        (self.schema, self.owners) = (schema.clone(), owners);
        Ok(())
    }

    /// Puts an entity in the place of the one that is there; gives that one.
    fn put(&mut self, address: &RowAddress, row: Option<EntityRow>) -> Option<EntityRow> {
        let place = |value: &Value| (address.tenant.clone(), value.clone());
        let before = self.rows.remove(address);
        for name in &self.schema.unique {
            let owners = self.owners.entry(name.clone()).or_default();
            if let Some(value) = before.as_ref().and_then(|before| before.values.get(name)) {
                owners.remove(&place(value));
            }
            if let Some(value) = row.as_ref().and_then(|row| row.values.get(name)) {
                owners.insert(place(value), address.key.clone());
            }
        }
        if let Some(row) = row {
            self.rows.insert(address.clone(), row);
        }
        before
    }

    /// Refuses a value that another entity of the tenant has and only one may have.
    fn check_unique(&self, address: &RowAddress, row: &EntityRow) -> Result<(), Error> {
        let taken = |name: &&String| {
            let place = row.values.get(*name).map(|value| (address.tenant.clone(), value.clone()));
            let owner = self.owners.get(*name).zip(place).and_then(|(owners, place)| owners.get(&place));
            owner.is_some_and(|owner| *owner != address.key)
        };
        match self.schema.unique.iter().find(taken) {
            Some(column) => Err(Error::not_unique(&self.schema.name, column)),
            None => Ok(()),
        }
    }

    /// The rows of a tenant.
    fn of(&self, tenant: &TenantId) -> impl Iterator<Item = (&str, &EntityRow)> {
        let first = RowAddress { tenant: tenant.clone(), key: String::new() };
        let owned = self.rows.range(first..).take_while(|(address, _)| address.tenant == *tenant);
        owned.map(|(address, row)| (address.key.as_str(), row))
    }
}

impl MemoryEntities {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Table>> {
        // A unit that fails is taken back below, and nothing in between panics.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_table<T>(
        &self,
        schema: &EntitySchema,
        act: impl FnOnce(&Table) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let tables = self.lock();
        act(tables.get(&schema.name).ok_or_else(|| entity_not_prepared(&schema.name))?)
    }

    /// Stores changes that were checked, all or none.
    pub(super) fn store(
        &self,
        tenant: &TenantId,
        changes: &[EntityChange],
    ) -> Result<Vec<EntityVersion>, Error> {
        let mut tables = self.lock();
        let mut undo = Vec::with_capacity(changes.len());
        for at in safe_order(changes) {
            let change = &changes[at];
            let address = RowAddress { tenant: tenant.clone(), key: change.id.clone() };
            match store_one(&mut tables, change, &address) {
                Ok(before) => undo.push((change.entity(), address, before)),
                Err(error) => {
                    for (entity, address, before) in undo.into_iter().rev() {
                        if let Some(table) = tables.get_mut(entity) {
                            table.put(&address, before);
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(changes.iter().map(EntityChange::version_after).collect())
    }
}

/// Stores one change; gives the entity that was there before.
fn store_one(
    tables: &mut BTreeMap<String, Table>,
    change: &EntityChange,
    address: &RowAddress,
) -> Result<Option<EntityRow>, Error> {
    let table = tables.get_mut(change.entity()).ok_or_else(|| entity_not_prepared(change.entity()))?;
    change.check_version(table.rows.get(address).map(|row| row.version))?;
    let row = change.values().map(|values| EntityRow {
        version: change.version_after(),
        values: change
            .schema
            .columns
            .iter()
            .map(|column| column.name.clone())
            .zip(values.iter().cloned())
            .collect(),
    });
    row.iter().try_for_each(|row| table.check_unique(address, row))?;
    Ok(table.put(address, row))
}

#[async_trait]
impl Entities for MemoryEntities {
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        schema.validate()?;
        self.lock().entry(schema.name.clone()).or_insert_with(|| Table::new(schema)).extend(schema)
    }

    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        check_entity_ids(ids)?;
        self.with_table(schema, |table| {
            let load = |id: &String| {
                let row = table.rows.get(&RowAddress { tenant: tenant.clone(), key: id.clone() });
                row.map(|row| row.entity(schema, id)).transpose()
            };
            ids.iter().map(load).collect()
        })
    }

    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        query.validate(schema)?;
        self.with_table(schema, |table| {
            let owned: Vec<(&str, RowValues)> =
                table.of(tenant).map(|(id, row)| (id, row.values(schema))).collect();
            let page = rows::page(schema, &keyed(&owned), query)?;
            let entity = |(id, _): Keyed<'_>| {
                let row = table.rows.get(&RowAddress { tenant: tenant.clone(), key: id.to_owned() });
                row.map(|row| row.entity(schema, id))
            };
            let entities = page.into_iter().filter_map(entity).collect::<Result<_, Error>>()?;
            Ok(EntityPage::of(entities, query, schema))
        })
    }

    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(schema)?;
        self.with_table(schema, |table| {
            let owned: Vec<(&str, RowValues)> =
                table.of(tenant).map(|(id, row)| (id, row.values(schema))).collect();
            rows::count(schema, &keyed(&owned), query)
        })
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        check_unit(self.atomicity(), &changes)?;
        self.store(tenant, &changes)
    }

    fn atomicity(&self) -> Atomicity {
        Atomicity::Unit
    }
}

fn keyed<'r>(rows: &'r [(&'r str, RowValues)]) -> Vec<Keyed<'r>> {
    rows.iter().map(|(key, row)| (*key, row)).collect()
}
