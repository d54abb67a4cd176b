use std::fmt;
use std::sync::Arc;

use underlay_core::{
    Entities, EntityChange, EntityPage, EntitySchema, EntityVersion, Error, Query, RowValues, StoredEntity,
};

use super::Scope;
use super::keeper::Kind;

/// The entities of one kind of one tenant, as they are stored: for whoever knows the kind by its name alone.
#[derive(Clone)]
pub struct StoredRepository {
    kind: Arc<Kind>,
    scope: Scope,
}

impl fmt::Debug for StoredRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRepository")
            .field("entity", &self.kind.name())
            .field("tenant", &self.scope)
            .finish()
    }
}

impl StoredRepository {
    pub(super) fn new(kind: &Arc<Kind>, scope: Scope) -> Self {
        Self { kind: kind.clone(), scope }
    }

    /// The stored shape.
    #[must_use]
    pub fn schema(&self) -> &Arc<EntitySchema> {
        &self.kind.entry.schema
    }

    /// Reads an entity; none where there is none of this id.
    ///
    /// # Errors
    /// As [`Entities::load`](underlay_core::Entities::load).
    pub async fn find(&self, id: &str) -> Result<Option<StoredEntity>, Error> {
        self.find_in(self.kind.entities(), id).await
    }

    /// The same, past the cache.
    pub(super) async fn find_stored(&self, id: &str) -> Result<Option<StoredEntity>, Error> {
        self.find_in(&*self.kind.store.entities, id).await
    }

    async fn find_in(&self, entities: &dyn Entities, id: &str) -> Result<Option<StoredEntity>, Error> {
        self.kind.prepare().await?;
        let ids = [id.to_owned()];
        let load = entities.load(self.schema(), &self.scope.tenant, &ids);
        let found = self.traced("load", load).await?;
        Ok(found.into_iter().flatten().next())
    }

    /// Reads an entity.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none; otherwise as [`StoredRepository::find`].
    pub async fn get(&self, id: &str) -> Result<StoredEntity, Error> {
        self.find(id).await?.ok_or_else(|| Error::NotFound(format!("{} {id:?}", self.kind.name())))
    }

    /// Reads a page.
    ///
    /// # Errors
    /// As [`Entities::query`](underlay_core::Entities::query).
    pub async fn query(&self, query: &Query) -> Result<EntityPage, Error> {
        self.kind.prepare().await?;
        let page = self.kind.store.entities.query(self.schema(), &self.scope.tenant, query);
        self.traced("query", page).await
    }

    /// Counts the entities that meet a query.
    ///
    /// # Errors
    /// As [`Entities::count`](underlay_core::Entities::count).
    pub async fn count(&self, query: &Query) -> Result<u64, Error> {
        self.kind.prepare().await?;
        let count = self.kind.store.entities.count(self.schema(), &self.scope.tenant, query);
        self.traced("count", count).await
    }

    /// Stores a new entity, and returns it as it is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is no such entity; otherwise as [`Entities::apply`](underlay_core::Entities::apply).
    pub async fn create(&self, id: &str, values: RowValues) -> Result<StoredEntity, Error> {
        let entity = StoredEntity { id: id.to_owned(), version: EntityVersion::NEW.next(), values };
        self.kind.check(entity.clone())?;
        self.create_checked(entity).await
    }

    /// Replaces the values of an entity that has this version, and returns it as it is stored.
    ///
    /// # Errors
    /// As [`StoredRepository::create`].
    pub async fn update(
        &self,
        id: &str,
        expected: EntityVersion,
        values: RowValues,
    ) -> Result<StoredEntity, Error> {
        let entity = StoredEntity { id: id.to_owned(), version: expected, values };
        self.kind.check(entity.clone())?;
        self.update_checked(entity).await
    }

    /// Removes an entity that has this version; none removes whatever version is there.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none and no version is expected; otherwise as
    /// [`Entities::apply`](underlay_core::Entities::apply).
    pub async fn delete(&self, id: &str, expected: Option<EntityVersion>) -> Result<(), Error> {
        self.apply(EntityChange::delete(self.schema().clone(), id, expected)).await.map(drop)
    }

    /// Reads what is stored as the code has it.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is no such entity.
    pub fn check(&self, stored: StoredEntity) -> Result<(), Error> {
        (self.kind.entry.read)(stored)
    }

    pub(super) async fn create_checked(&self, entity: StoredEntity) -> Result<StoredEntity, Error> {
        let StoredEntity { id, values, .. } = entity;
        let version =
            self.apply(EntityChange::create(self.schema().clone(), id.clone(), values.clone())).await?;
        Ok(StoredEntity { id, version, values })
    }

    pub(super) async fn update_checked(&self, entity: StoredEntity) -> Result<StoredEntity, Error> {
        let StoredEntity { id, version, values } = entity;
        let change = EntityChange::update(self.schema().clone(), id.clone(), version, values.clone());
        let version = self.apply(change).await?;
        Ok(StoredEntity { id, version, values })
    }

    /// Makes one change; gives the version after it.
    async fn apply(&self, change: EntityChange) -> Result<EntityVersion, Error> {
        self.kind.prepare().await?;
        let after = change.version_after();
        let apply = self.kind.entities().apply(&self.scope.tenant, vec![change]);
        let versions = self.traced("apply", apply).await?;
        Ok(versions.first().copied().unwrap_or(after))
    }

    async fn traced<T>(
        &self,
        operation: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.scope.traced(operation, self.kind.name(), call).await
    }
}
