//! Entities behind a cache keep the contract of entities.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::{
    Atomicity, Entities, EntityChange, EntityPage, EntitySchema, EntityVersion, Error, EventStore, Query,
    StoredEntity, SystemClock, TenantId,
};
use underlay_testkit::{Damage, EntitiesFixture, Fixture, MemoryFixture, Skip};

use super::CachedEntities;
use crate::cache::{CacheConfig, TieredCache};

const LONG: Duration = Duration::from_secs(60 * 60);

/// Every definition that was prepared, behind a cache of its own name. All handles are of one process.
#[derive(Clone)]
struct Cached {
    store: Arc<dyn Entities>,
    cache: TieredCache,
    kinds: Arc<Mutex<BTreeMap<String, Arc<CachedEntities>>>>,
}

impl Cached {
    /// The entities of a definition: the one that was prepared last has the copies of its name.
    fn of(&self, schema: &EntitySchema) -> Arc<dyn Entities> {
        let kind = self.kinds.lock().unwrap().get(&schema.name).cloned();
        match kind {
            Some(kind) if *kind.schema == *schema => kind,
            _ => self.store.clone(),
        }
    }
}

#[async_trait]
impl Entities for Cached {
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        self.store.prepare(schema).await?;
        let kind = CachedEntities::new(self.store.clone(), &self.cache, &Arc::new(schema.clone()), LONG);
        self.kinds.lock().unwrap().insert(schema.name.clone(), Arc::new(kind));
        Ok(())
    }

    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        self.of(schema).load(schema, tenant, ids).await
    }

    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        self.of(schema).query(schema, tenant, query).await
    }

    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        self.of(schema).count(schema, tenant, query).await
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        let kinds: Vec<Arc<CachedEntities>> = self.kinds.lock().unwrap().values().cloned().collect();
        let key = |change: &EntityChange| {
            kinds.iter().find(|kind| kind.schema.name == change.entity())?.key(&change.id)
        };
        let forgetting =
            super::Forgetting::new(&self.cache, tenant, changes.iter().filter_map(key).collect());
        let answer = self.store.apply(tenant, changes).await;
        forgetting.end().await;
        answer
    }

    fn atomicity(&self) -> Atomicity {
        self.store.atomicity()
    }
}

struct Behind {
    below: MemoryFixture,
    cached: Cached,
}

impl Behind {
    fn over(below: MemoryFixture) -> Self {
        let cache = TieredCache::new(Arc::new(SystemClock), CacheConfig::default(), None);
        let cached = Cached { store: below.entities(), cache, kinds: Arc::default() };
        Self { below, cached }
    }
}

impl Fixture for Behind {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::over(MemoryFixture::create().await?))
    }

    async fn reopen(self) -> Self {
        Self::over(self.below.reopen().await)
    }
}

impl EntitiesFixture for Behind {
    fn entities(&self) -> Arc<dyn Entities> {
        Arc::new(self.cached.clone())
    }

    fn log_of_entities(&self) -> Option<Arc<dyn EventStore>> {
        None
    }

    async fn damage(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        id: &str,
        column: &str,
        damage: Damage,
    ) -> bool {
        let done = self.below.damage(schema, tenant, id, column, damage).await;
        // What is damaged past the port is found once the copy is old.
        self.cached.cache.forget();
        done
    }
}

underlay_testkit::conformance!(entities, Behind);
