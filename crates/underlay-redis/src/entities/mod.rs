//! Entities: hashes, and what they are found by.
//!
//! Every change of a tenant's entities is a script, so that hashes, indexes and unique values never part.

mod chunk;
mod definition;
mod document;
mod extension;
mod query;
mod range;
mod unit;
mod value;

pub(crate) use definition::Definitions;

use async_trait::async_trait;
use underlay_core::adapter::check_unit;
use underlay_core::{
    Atomicity, Entities, EntityChange, EntityPage, EntitySchema, EntityVersion, Error, Query, StoredEntity,
    TenantId, check_entity_ids,
};

use crate::RedisStore;
use extension::EXTENSIONS_MAX;
use query::Asked;
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
        self.load_entities(schema, tenant, ids).await
    }

    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        query.validate(schema)?;
        let exact = query.page_walks().iter().all(underlay_core::adapter::Walk::is_exact);
        self.in_time(exact, self.page(Asked { schema, tenant, query })).await
    }

    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(schema)?;
        self.in_time(false, self.count_entities(Asked { schema, tenant, query })).await
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

impl RedisStore {
    /// Ends a query that takes too long.
    async fn in_time<T>(
        &self,
        exact: bool,
        query: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let longest = self.0.config.query_timeout;
        tokio::time::timeout(longest, query)
            .await
            .unwrap_or_else(|_| Err(Error::query_too_slow(longest, exact)))
    }
}
