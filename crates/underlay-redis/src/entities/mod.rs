//! Entities: hashes, and what they are found by.
//!
//! Every change of a tenant's entities is a script, so that hashes, indexes and unique values never part.

mod definition;
mod document;
mod extension;
mod reading;
mod unit;

pub(crate) use definition::Definitions;

use async_trait::async_trait;
use underlay_core::adapter::check_unit;
use underlay_core::{
    Atomicity, Entities, EntityChange, EntityPage, EntitySchema, EntityVersion, Error, Query, StoredEntity,
    TenantId, check_entity_ids,
};

use crate::RedisStore;
use crate::rows;
use extension::EXTENSIONS_MAX;
use reading::EntityRows;
use unit::Stored;

#[async_trait]
impl Entities for RedisStore {
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        schema.validate()?;
        self.check().await?;
        self.put_definition(schema).await
    }

    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        check_entity_ids(ids)?;
        EntityRows { store: self, schema, tenant }.load(ids).await
    }

    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        query.validate(schema)?;
        let exact = query.page_walks().iter().all(underlay_core::adapter::Walk::is_exact);
        let rows = EntityRows { store: self, schema, tenant };
        let found = self.in_time(exact, rows::page(&rows, query)).await?;
        Ok(EntityPage::of(found, query, schema))
    }

    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(schema)?;
        self.in_time(false, rows::count(&EntityRows { store: self, schema, tenant }, query)).await
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        check_unit(self.atomicity(), &changes)?;
        let Some(first) = changes.first() else { return Ok(Vec::new()) };
        for _ in 0..EXTENSIONS_MAX {
            match self.store_unit(tenant, &changes).await? {
                Stored::All(versions) => return Ok(versions),
                Stored::Stale(entity) => self.bring(tenant, &entity).await?,
            }
        }
        Err(Self::still_extended(&first.schema))
    }

    fn atomicity(&self) -> Atomicity {
        Atomicity::Unit
    }
}
