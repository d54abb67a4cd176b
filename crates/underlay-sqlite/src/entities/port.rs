use async_trait::async_trait;
use rusqlite::{Connection, Row};
use underlay_core::adapter::{Walk, check_unit};
use underlay_core::{
    Atomicity, Entities, EntityChange, EntityPage, EntitySchema, EntityVersion, Error, Query, StoredEntity,
    TenantId, check_entity_ids,
};

use crate::entities::catalogue;
use crate::error::Failure;
use crate::log::event_row;
use crate::log::intake::Flush;
use crate::rows::pages;
use crate::rows::row_table::{self, RowTable};
use crate::store::SqliteStore;

#[async_trait]
impl Entities for SqliteStore {
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        schema.validate()?;
        let wanted = schema.clone();
        let is_prepared = move |connection: &Connection| catalogue::is_prepared(connection, &wanted);
        if self.0.readers.read_at_one_moment(None, is_prepared).await? {
            return Ok(());
        }
        let wanted = schema.clone();
        let prepare = move |connection: &Connection| catalogue::prepare(connection, &wanted);
        self.write_beside(Flush::Now, prepare).await
    }

    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        check_entity_ids(ids)?;
        let (owner, ids) = (tenant.clone(), ids.to_vec());
        let load = move |connection: &Connection, table: &RowTable<'_>| load(connection, table, &owner, &ids);
        self.read_entities(schema, tenant, true, load).await
    }

    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        query.validate(schema)?;
        let is_exact = query.page_walks().first().is_some_and(Walk::is_exact);
        let (owner, asked) = (tenant.clone(), query.clone());
        let read = move |connection: &Connection, table: &RowTable<'_>| {
            pages::page(connection, table, &owner, &asked, |row| entity(row, table))
        };
        let entities = self.read_entities(schema, tenant, is_exact, read).await?;
        Ok(EntityPage::of(entities, query, schema))
    }

    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(schema)?;
        let (owner, query) = (tenant.clone(), query.clone());
        let count = move |connection: &Connection, table: &RowTable<'_>| {
            pages::count(connection, table, &owner, &query)
        };
        self.read_entities(schema, tenant, false, count).await
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        check_unit(self.atomicity(), &changes)?;
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let versions = changes.iter().map(EntityChange::version_after).collect();
        let answered = self.0.intake.push_unit(tenant.clone(), changes)?;
        let ended = || Err(Error::unit_uncertain("the writer of this store has ended"));
        answered.await.unwrap_or_else(|_| ended())?;
        Ok(versions)
    }

    fn atomicity(&self) -> Atomicity {
        Atomicity::Unit
    }
}

impl SqliteStore {
    /// Reads the table of an entity as a request of a tenant does. `is_exact` says that it looks at no row beside
    /// those it gives.
    async fn read_entities<T: Send + 'static>(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        is_exact: bool,
        read: impl FnOnce(&Connection, &RowTable<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let schema = schema.clone();
        let read = move |connection: &Connection| {
            read(connection, &RowTable::of_entity(&schema))
                .map_err(|failure| catalogue::explain(connection, &schema, failure))
        };
        self.0.readers.query(tenant, is_exact, read).await
    }
}

fn load(
    connection: &Connection,
    table: &RowTable<'_>,
    tenant: &TenantId,
    ids: &[String],
) -> Result<Vec<Option<StoredEntity>>, Failure> {
    let mut select = connection.prepare_cached(&table.select_row())?;
    let mut load = |id: &String| {
        let mut rows = select.query((tenant.as_str(), id.as_str()))?;
        rows.next()?.map(|row| entity(row, table)).transpose()
    };
    ids.iter().map(&mut load).collect()
}

/// Reads an entity from its row.
fn entity(row: &Row<'_>, table: &RowTable<'_>) -> Result<StoredEntity, Failure> {
    let id: String = row.get(0).map_err(|error| Failure::from(error).within(table.name()))?;
    let place = format!("{} {id:?}", table.schema.name);
    let values = row_table::values(row, table.schema).map_err(|failure| failure.within(&place))?;
    let version = EntityVersion(event_row::count(row, table.width() - 1, &place)?);
    if version == EntityVersion::NEW {
        return Err(Failure::damaged(format!("{place}: its version is 0")));
    }
    Ok(StoredEntity { id, version, values })
}
