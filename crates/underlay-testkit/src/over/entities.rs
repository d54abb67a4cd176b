use async_trait::async_trait;
use underlay_core::{
    Atomicity, Entities, EntityChange, EntityPage, EntitySchema, EntityVersion, Error, Query, StoredEntity,
    TenantId,
};

use crate::Over;

/// A call of entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntitiesCall {
    /// [`Entities::prepare`].
    Prepare,
    /// [`Entities::load`].
    Load,
    /// [`Entities::query`].
    Query,
    /// [`Entities::count`].
    Count,
    /// [`Entities::apply`].
    Apply,
}

/// Lies over entities. What it does not say itself is asked of the port below.
#[async_trait]
pub trait EntitiesLayer: Send + Sync + 'static {
    /// The port below.
    type Below: Entities;

    /// The port below.
    fn below(&self) -> &Self::Below;

    /// What happens around a call that is passed on: before its effect, after it, or in its place. A call that
    /// the layer answers itself does not come here.
    fn around<T: Send>(
        &self,
        _: EntitiesCall,
        effect: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        effect
    }

    /// [`Entities::prepare`].
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        self.around(EntitiesCall::Prepare, self.below().prepare(schema)).await
    }

    /// [`Entities::load`].
    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        self.around(EntitiesCall::Load, self.below().load(schema, tenant, ids)).await
    }

    /// [`Entities::query`].
    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        self.around(EntitiesCall::Query, self.below().query(schema, tenant, query)).await
    }

    /// [`Entities::count`].
    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        self.around(EntitiesCall::Count, self.below().count(schema, tenant, query)).await
    }

    /// [`Entities::apply`].
    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        self.around(EntitiesCall::Apply, self.below().apply(tenant, changes)).await
    }

    /// [`Entities::atomicity`].
    fn atomicity(&self) -> Atomicity {
        self.below().atomicity()
    }
}

#[async_trait]
impl<L: EntitiesLayer> Entities for Over<L> {
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        self.0.prepare(schema).await
    }
    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        self.0.load(schema, tenant, ids).await
    }
    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        self.0.query(schema, tenant, query).await
    }
    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        self.0.count(schema, tenant, query).await
    }
    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        self.0.apply(tenant, changes).await
    }
    fn atomicity(&self) -> Atomicity {
        self.0.atomicity()
    }
}
