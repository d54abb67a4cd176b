//! Entities of one kind before whose store a cache stands: one that is read by its id comes from there.
//!
//! - What this process stores is taken away before its change is answered, whatever the answer is: after a conflict the next
//!   read is of the store.
//! - What another process stores is seen once the time of the copy is over. An optimistic lock holds all the same, since the
//!   version comes with the copy and the store compares it.
//! - Queries, counts and reads of several ids at once are the store's. Errors are never kept.
//! - A copy says by which definition it was stored, and one of another is not found. Its key does not, so programs of two
//!   definitions take away each other's.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use underlay_core::limits::CACHE_KEYS_MAX;
use underlay_core::{
    Atomicity, Decimal, Entities, EntityChange, EntityPage, EntitySchema, EntityVersion, Error, Query,
    StoredEntity, TenantId, Timestamp, Value, check_cache_keys,
};

use crate::cache::{Item, Keep, TenantCache, TieredCache};

/// What the keys of entities begin with; no key of feature code begins with a control character.
const PREFIX: char = '\u{1}';

/// A store of entities with a cache before it.
pub(super) struct CachedEntities {
    store: Arc<dyn Entities>,
    cache: TieredCache,
    keep: Keep,
    schema: Arc<EntitySchema>,
    /// What tells the definition from another one.
    definition: String,
}

/// A copy of an entity.
#[derive(Serialize, Deserialize)]
struct Copy {
    /// Of the definition it was read by.
    definition: String,
    version: EntityVersion,
    values: Vec<CopiedValue>,
}

/// A value with its type: a row's own JSON tells a text from a decimal only by the definition.
#[derive(Serialize, Deserialize)]
enum CopiedValue {
    Null,
    Text(String),
    Integer(i64),
    Decimal(Decimal),
    Boolean(bool),
    Timestamp(Timestamp),
}

impl CachedEntities {
    /// Copies of entities of this definition are kept for so long, and for as long that there is none of an id.
    pub(super) fn new(
        store: Arc<dyn Entities>,
        cache: &TieredCache,
        schema: &Arc<EntitySchema>,
        ttl: Duration,
    ) -> Self {
        let (keep, definition) = (Keep::new(ttl).none_for(ttl), schema.fingerprint().to_string());
        Self { store, cache: cache.clone(), keep, schema: schema.clone(), definition }
    }

    /// What the copy of an entity is found by; none where that is no key: the store says what is wrong with the id.
    pub(super) fn key(&self, id: &str) -> Option<String> {
        let key = format!("{PREFIX}entity:{}:{id}", self.schema.name);
        check_cache_keys([key.as_str()].into_iter()).is_ok().then_some(key)
    }

    async fn find(&self, tenant: &TenantId, id: &str, key: &str) -> Result<Option<StoredEntity>, Error> {
        let read = |item: &Item| match item.read::<Copy>()? {
            None => Some(None),
            Some(copy) => self.original(id, &copy).map(Some),
        };
        let load = async {
            let found = self.store.load(&self.schema, tenant, &[id.to_owned()]).await?;
            Ok(found.into_iter().flatten().next().map(|entity| self.copy(entity)))
        };
        TenantCache::new(&self.cache, tenant.clone()).load_through(key, &self.keep, read, load).await
    }

    fn copy(&self, entity: StoredEntity) -> Copy {
        let values = entity.values.into_iter().map(CopiedValue::from).collect();
        Copy { definition: self.definition.clone(), version: entity.version, values }
    }

    /// The entity of a copy; none where it is of another definition.
    fn original(&self, id: &str, copy: &Copy) -> Option<StoredEntity> {
        let fits = copy.definition == self.definition && copy.values.len() == self.schema.columns.len();
        let values = || copy.values.iter().map(Value::from).collect();
        fits.then(|| StoredEntity { id: id.to_owned(), version: copy.version, values: values() })
    }
}

impl From<Value> for CopiedValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Text(text) => Self::Text(text),
            Value::Integer(number) => Self::Integer(number),
            Value::Decimal(number) => Self::Decimal(number),
            Value::Boolean(is_so) => Self::Boolean(is_so),
            Value::Timestamp(moment) => Self::Timestamp(moment),
        }
    }
}

impl From<&CopiedValue> for Value {
    fn from(value: &CopiedValue) -> Self {
        match value {
            CopiedValue::Null => Self::Null,
            CopiedValue::Text(text) => Self::Text(text.clone()),
            CopiedValue::Integer(number) => Self::Integer(*number),
            CopiedValue::Decimal(number) => Self::Decimal(*number),
            CopiedValue::Boolean(is_so) => Self::Boolean(*is_so),
            CopiedValue::Timestamp(moment) => Self::Timestamp(*moment),
        }
    }
}

#[async_trait]
impl Entities for CachedEntities {
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        self.store.prepare(schema).await
    }

    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        let key = match ids {
            [id] if *schema == *self.schema => self.key(id).map(|key| (id, key)),
            _ => None,
        };
        match key {
            Some((id, key)) => Ok(vec![self.find(tenant, id, &key).await?]),
            None => self.store.load(schema, tenant, ids).await,
        }
    }

    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        self.store.query(schema, tenant, query).await
    }

    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        self.store.count(schema, tenant, query).await
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        let keys = changes.iter().filter_map(|change| self.key(&change.id));
        let forgetting = Forgetting::new(&self.cache, tenant, keys.collect());
        let answer = self.store.apply(tenant, changes).await;
        forgetting.end().await;
        answer
    }

    fn atomicity(&self) -> Atomicity {
        self.store.atomicity()
    }
}

/// Copies that are taken away once a change has been answered. Where its caller goes away before that, they are taken away
/// then.
pub(super) struct Forgetting {
    cache: TieredCache,
    tenant: TenantId,
    keys: Vec<String>,
}

impl Forgetting {
    pub(super) fn new(cache: &TieredCache, tenant: &TenantId, keys: Vec<String>) -> Self {
        Self { cache: cache.clone(), tenant: tenant.clone(), keys }
    }

    pub(super) async fn end(mut self) {
        take_away(&self.cache, &self.tenant, &self.keys).await;
        self.keys.clear();
    }
}

impl Drop for Forgetting {
    fn drop(&mut self) {
        let keys = std::mem::take(&mut self.keys);
        if keys.is_empty() {
            return;
        }
        let (cache, tenant) = (self.cache.clone(), self.tenant.clone());
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move { take_away(&cache, &tenant, &keys).await })),
            // The process ends, and what it kept with it.
            Err(_) => tracing::warn!("copies of entities were not taken away from the cache"),
        }
    }
}

async fn take_away(cache: &TieredCache, tenant: &TenantId, keys: &[String]) {
    for keys in keys.chunks(CACHE_KEYS_MAX) {
        if let Err(error) = cache.take_away(tenant, keys).await {
            tracing::error!(%error, "copies of entities could not be taken away from the cache");
        }
    }
}
