use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::OnceCell;
use underlay_core::{Entities, Entity, EntityChange, Error, Persistent, StoredEntity, TenantId};

use super::cached::{CachedEntities, Forgetting};
use super::{EntityStore, EntityStores, Scope};
use crate::cache::TieredCache;
use crate::names::{listed, not_found};
use crate::registry::EntityEntry;
use crate::{Registry, Request, Tracer};

/// Every kind of entity with the store that has it.
pub(crate) struct EntityKeeper {
    kinds: BTreeMap<&'static str, Arc<Kind>>,
    /// Whether commits can change the entities that are kept beside the log.
    log_keeps_entities: bool,
    cache: TieredCache,
    tracer: Tracer,
}

/// A kind of entity.
pub(super) struct Kind {
    pub(super) entry: EntityEntry,
    pub(super) store: EntityStore,
    /// The store behind a cache, where copies are kept.
    cached: Option<CachedEntities>,
    prepared: OnceCell<()>,
}

impl Kind {
    /// Sees that the table is there, once in a process.
    pub(super) async fn prepare(&self) -> Result<(), Error> {
        let prepare = || self.store.entities.prepare(&self.entry.schema);
        self.prepared.get_or_try_init(prepare).await.copied()
    }

    /// The entities as a repository sees them: copies, where they are kept.
    pub(super) fn entities(&self) -> &dyn Entities {
        match &self.cached {
            Some(cached) => cached,
            None => &*self.store.entities,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.entry.schema.name
    }

    /// Whether values that come from outside are an entity, as the code has it.
    pub(super) fn check(&self, entity: StoredEntity) -> Result<(), Error> {
        self.entry.schema.check_row(&entity.id, &entity.values)?;
        (self.entry.read)(entity).map_err(|error| match error {
            // Nothing is stored yet, so nothing stored is damaged.
            Error::Damaged(wrong) => Error::Invalid(wrong),
            error => error,
        })
    }
}

impl EntityKeeper {
    /// # Errors
    /// [`Error::Invalid`] where an entity has no store, or a store is named for one that is not there.
    pub(crate) fn new(
        registry: &Registry,
        stores: &EntityStores,
        log_keeps_entities: bool,
        cache: &TieredCache,
        tracer: &Tracer,
    ) -> Result<Self, Error> {
        let entries = registry.entity_entries();
        if let Some(unknown) = stores.named().find(|name| !entries.contains_key(name)) {
            let known = listed(entries.keys().copied());
            return Err(Error::invalid(format!(
                "a store or a time is set for the entity {unknown}, which this service does not have (there are: {known})"
            )));
        }
        let kind = |(name, entry): (&&'static str, &EntityEntry)| match stores.find(name) {
            Some(store) => {
                let cached = stores
                    .ttl(name)
                    .map(|ttl| CachedEntities::new(store.entities.clone(), cache, &entry.schema, ttl));
                let (entry, store) = (entry.clone(), store.clone());
                Ok((*name, Arc::new(Kind { entry, store, cached, prepared: OnceCell::new() })))
            }
            None => Err(Error::invalid(format!(
                "the store of this service keeps no entities, and the entity {name} has no other; name one that keeps \
                 them, as `store` in the section [entities] does"
            ))),
        };
        let kinds = entries.iter().map(kind).collect::<Result<_, Error>>()?;
        Ok(Self { kinds, log_keeps_entities, cache: cache.clone(), tracer: tracer.clone() })
    }

    /// Takes the copies of what is changed away, once that was answered.
    pub(super) fn forgetting(&self, tenant: &TenantId, changes: &[EntityChange]) -> Forgetting {
        let key = |change: &EntityChange| self.kinds.get(change.entity())?.cached.as_ref()?.key(&change.id);
        Forgetting::new(&self.cache, tenant, changes.iter().filter_map(key).collect())
    }

    /// The kind of a name.
    pub(super) fn find(&self, name: &str) -> Result<&Arc<Kind>, Error> {
        self.kinds.get(name).ok_or_else(|| not_found("entity", name, self.kinds.keys().copied()))
    }

    /// The kind that a type is kept as.
    pub(super) fn kind_of<T: Persistent>(&self) -> Result<&Arc<Kind>, Error> {
        let name = T::Stored::NAME;
        self.kinds.get(name).ok_or_else(|| {
            Error::invalid(format!("this service has no entity {name}; add it with `Service::entity`"))
        })
    }

    /// Makes or checks the table of every kind.
    ///
    /// # Errors
    /// As [`Entities::prepare`](underlay_core::Entities::prepare).
    pub(crate) async fn prepare(&self) -> Result<(), Error> {
        for kind in self.kinds.values() {
            kind.prepare().await?;
        }
        Ok(())
    }

    /// Where each kind is kept, by name.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&str, &str)> {
        self.kinds.values().map(|kind| (kind.name(), kind.store.name.as_str()))
    }

    /// What is asked of entities for a request.
    pub(crate) fn scope(&self, request: &Request) -> Scope {
        Scope {
            tenant: request.tenant.clone(),
            traceparent: request.traceparent.clone(),
            tracer: self.tracer.clone(),
        }
    }

    /// The one store that has everything that is changed; none where nothing is.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names two entities and their stores.
    pub(super) fn one_store(&self, changes: &[EntityChange]) -> Result<Option<&EntityStore>, Error> {
        let Some(first) = changes.first() else { return Ok(None) };
        let store = &self.find(first.entity())?.store;
        for change in &changes[1..] {
            let other = &self.find(change.entity())?.store;
            if !other.is(store) {
                return Err(Error::invalid(format!(
                    "{} is kept in {} and {} in {}, so both cannot be changed together; nothing was stored. Change \
                     them in a unit each, or keep them in one store",
                    first.entity(),
                    store.name,
                    change.entity(),
                    other.name
                )));
            }
        }
        Ok(Some(store))
    }

    /// Sees that a commit can change entities.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they are kept elsewhere than the log.
    pub(super) fn check_with_log(&self, changes: &[EntityChange]) -> Result<(), Error> {
        match (self.one_store(changes)?, changes.first()) {
            (Some(store), Some(change)) if !(store.is_of_log && self.log_keeps_entities) => {
                Err(Error::invalid(format!(
                    "{} is kept in {}, and a commit changes what is kept beside its log alone; nothing was stored. \
                     Change it in a unit without a command, or keep it in the store of the log",
                    change.entity(),
                    store.name
                )))
            }
            _ => Ok(()),
        }
    }
}
