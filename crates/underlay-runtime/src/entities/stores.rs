use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use underlay_core::{Clock, Entities};

use crate::metrics::{EntityMetrics, MeasuredEntities};

/// A store that has entities.
#[derive(Clone)]
pub struct EntityStore {
    /// What errors call it: its address, without what is secret in it.
    pub name: String,
    /// The entities.
    pub entities: Arc<dyn Entities>,
    /// Whether they are kept beside the log, so that a commit can change them with its events. The log says so too; see
    /// [`EventStore::keeps_entities`](underlay_core::EventStore::keeps_entities).
    pub is_of_log: bool,
}

impl EntityStore {
    /// Entities beside the log.
    pub fn of_log(name: impl Into<String>, entities: Arc<dyn Entities>) -> Self {
        Self { name: name.into(), entities, is_of_log: true }
    }

    /// Entities in a store of their own.
    pub fn new(name: impl Into<String>, entities: Arc<dyn Entities>) -> Self {
        Self { name: name.into(), entities, is_of_log: false }
    }

    /// Whether this is the same store as another, and not one of the same kind.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entities, &other.entities)
    }
}

impl fmt::Debug for EntityStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntityStore")
            .field("name", &self.name)
            .field("is_of_log", &self.is_of_log)
            .finish_non_exhaustive()
    }
}

/// Which store has which entities.
#[derive(Clone, Debug, Default)]
pub struct EntityStores {
    /// The store of those that have none of their own.
    rest: Option<EntityStore>,
    /// Stores by the names of entities.
    of: BTreeMap<String, EntityStore>,
    /// How long copies of them are kept, by the names of entities.
    cached: BTreeMap<String, Duration>,
}

impl EntityStores {
    /// All entities in one store.
    #[must_use]
    pub fn new(store: EntityStore) -> Self {
        Self { rest: Some(store), ..Self::default() }
    }

    /// Keeps the entities of one name in another store.
    #[must_use]
    pub fn with(mut self, entity: impl Into<String>, store: EntityStore) -> Self {
        self.of.insert(entity.into(), store);
        self
    }

    /// Keeps copies of the entities of one name for so long: one that a repository reads by its id comes from the cache, and
    /// may be so old where another process has changed it.
    #[must_use]
    pub fn cached(mut self, entity: impl Into<String>, ttl: Duration) -> Self {
        self.cached.insert(entity.into(), ttl);
        self
    }

    /// The same, with calls that are counted. What is one store stays one.
    pub(crate) fn measured(self, clock: &Arc<dyn Clock>, metrics: &Arc<EntityMetrics>) -> Self {
        let mut known: Vec<(EntityStore, EntityStore)> = Vec::new();
        let mut measured = |store: EntityStore| {
            if let Some((_, measured)) = known.iter().find(|(other, _)| other.is(&store)) {
                return EntityStore { entities: measured.entities.clone(), ..store };
            }
            let (clock, metrics) = (clock.clone(), metrics.clone());
            let entities = Arc::new(MeasuredEntities { entities: store.entities.clone(), clock, metrics });
            let measured = EntityStore { entities, ..store.clone() };
            known.push((store, measured.clone()));
            measured
        };
        Self {
            rest: self.rest.map(&mut measured),
            of: self.of.into_iter().map(|(entity, store)| (entity, measured(store))).collect(),
            cached: self.cached,
        }
    }

    pub(super) fn find(&self, entity: &str) -> Option<&EntityStore> {
        self.of.get(entity).or(self.rest.as_ref())
    }

    /// How long copies of the entities of a name are kept; none where they are not.
    pub(super) fn ttl(&self, entity: &str) -> Option<Duration> {
        self.cached.get(entity).copied()
    }

    /// The names of entities that something is said of.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        self.of.keys().chain(self.cached.keys()).map(String::as_str)
    }
}
