use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use underlay_core::adapter::{Backend, OptionValues, WakeupHub};
use underlay_core::{Archive, Error, EventStore, Retention, SystemClock};
use underlay_runtime::{
    EntityStore, EntityStores, Ports, RowStore, RowStores, StorePart, Stores, WatchedStore, WorkPorts,
};

use crate::Adapters;

/// An open store: the log, with whatever else its backend offers. It is an [`EventStore`] by itself.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), underlay::Error> {
/// use underlay::{Commit, CommitId, EventStore, ExpectedVersion, NewEvent, Store, StreamName, TenantId, Version};
/// use underlay::words::{EventType, Json, SchemaVersion};
///
/// let store = Store::open("memory:").await?;
/// let (tenant, stream) = (TenantId::new("acme")?, StreamName::parse("note-1")?);
/// let event = NewEvent::new(EventType::new("noted")?, SchemaVersion(1), Json::encode("hello")?);
/// store.commit(&tenant, Commit::new(CommitId::draw()).append(stream.clone(), ExpectedVersion::NoStream, vec![event])).await?;
/// let page = store.read_stream(&tenant, &stream, Version::NONE, 100).await?;
/// assert_eq!(page.events[0].payload.text().as_str(), "\"hello\"");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    log: Log,
    backend: Backend,
    /// Rows of the views that name a store of their own, by that name.
    rows: BTreeMap<String, Backend>,
    /// Stores of entities, where they are not kept as the log is.
    entities: Vec<OtherEntities>,
    /// What stands behind the caches of the processes.
    cache: Option<Backend>,
}

/// A store that has entities in place of that of the log.
#[derive(Clone, Debug)]
struct OtherEntities {
    /// What errors call it.
    name: String,
    /// The entities it has; none where it has all that are in no other.
    of: Vec<String>,
    /// None where it is that of the log after all, in place of the one that has the rest.
    backend: Option<Backend>,
}

/// What errors call the store of the log where it has entities.
const STORE_OF_LOG: &str = "the store of the log";

/// What the log of the service calls a store that has the rows in place of that of the log.
const STORE_OF_ROWS: &str = "the store of rows";

/// What the log of the service calls the cache behind that of each process.
const STORE_OF_CACHE: &str = "the cache";

/// The log, which a store always has.
#[derive(Clone)]
struct Log(Arc<dyn EventStore>);

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Log").field(&self.0.store_id()).finish()
    }
}

impl Store {
    /// Opens the store an address names. `sqlite:PATH` is one file, made where it is missing;
    /// `postgres://USER@HOST/DATABASE` is a database that was migrated before, see
    /// [`Store::migrate`]; `memory:` is gone with the process.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the kind is not known, with the known ones; otherwise what the store says.
    pub async fn open(address: &str) -> Result<Self, Error> {
        Self::open_with(&Adapters::default(), address).await
    }

    /// The same, of a store that is there: no file is made.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such file, or an empty one; otherwise as [`Store::open`].
    pub async fn open_existing(address: &str) -> Result<Self, Error> {
        Self::of(Adapters::default().open_existing(address, &OptionValues::new()).await?)
    }

    /// Opens the store an address names, by adapters of one's own.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with(adapters: &Adapters, address: &str) -> Result<Self, Error> {
        Self::of(adapters.open(address, &OptionValues::new()).await?)
    }

    /// The store of an open backend, which may take its rows from another: see
    /// [`Backend::with_rows_of`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where the backend has no log.
    pub fn of(backend: Backend) -> Result<Self, Error> {
        match backend.store.clone() {
            Some(log) => {
                let (rows, entities) = (BTreeMap::new(), Vec::new());
                Ok(Self { log: Log(log), backend, rows, entities, cache: None })
            }
            None => Err(Error::invalid(
                "this backend keeps no log; give the store a log of another, and the rows of this one \
                 (Backend::with_rows_of)",
            )),
        }
    }

    /// Brings the schema of a database up to date, and returns the names of the migrations it applied.
    /// `login` is granted the use of the store, where one is given. Only PostgreSQL needs it: other
    /// stores do it when they are opened.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the schema is newer than this program or the store is of another kind;
    /// [`Error::Denied`] where the login of the address may not do it.
    pub async fn migrate(address: &str, login: Option<&str>) -> Result<Vec<&'static str>, Error> {
        let adapters = Adapters::default();
        adapters.migrations(address)?.migrate(address, &OptionValues::new(), login).await
    }

    /// The SQL that [`Store::migrate`] would run now, for an administrator; empty where there is nothing
    /// to do.
    ///
    /// # Errors
    /// As [`Store::migrate`].
    pub async fn migration_script(address: &str, login: Option<&str>) -> Result<String, Error> {
        let adapters = Adapters::default();
        adapters.migrations(address)?.migration_script(address, &OptionValues::new(), login).await
    }

    /// Adds a store for the rows of the views that name it; see [`View::STORE`](crate::View::STORE). It is
    /// closed with this one.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the backend keeps no rows, or the name is taken.
    pub fn with_rows(mut self, name: impl Into<String>, backend: Backend) -> Result<Self, Error> {
        let name = name.into();
        if backend.read_models.is_none() {
            return Err(Error::invalid(format!("the store {name:?} keeps no rows for views")));
        }
        if self.rows.contains_key(&name) {
            return Err(Error::invalid(format!("two stores of rows have the name {name:?}")));
        }
        self.rows.insert(name, backend);
        Ok(self)
    }

    /// Keeps entities in another store: those of these names, or where none is named all that no other store has. `name` is
    /// what errors call it, such as its address. It is closed with this one.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the backend keeps no entities, or an entity has such a store already.
    pub fn with_entities(
        mut self,
        name: impl Into<String>,
        of: &[&str],
        backend: Backend,
    ) -> Result<Self, Error> {
        let name = name.into();
        if backend.entities.is_none() {
            return Err(Error::invalid(format!("the store {name} keeps no entities")));
        }
        let is_taken = |other: &OtherEntities| match of {
            [] => other.of.is_empty(),
            of => of.iter().any(|entity| other.of.iter().any(|taken| taken == entity)),
        };
        if let Some(other) = self.entities.iter().find(|other| is_taken(other)) {
            return Err(Error::invalid(format!(
                "the same entities are to be kept in {} and in {name}; name one store for them",
                other.name
            )));
        }
        let of = of.iter().map(|entity| (*entity).to_owned()).collect();
        self.entities.push(OtherEntities { name, of, backend: Some(backend) });
        Ok(self)
    }

    /// Keeps entities beside the log, where another store has the rest of them.
    pub(crate) fn with_entities_of_log(mut self, of: &[&str]) -> Self {
        let of = of.iter().map(|entity| (*entity).to_owned()).collect();
        self.entities.push(OtherEntities { name: STORE_OF_LOG.to_owned(), of, backend: None });
        self
    }

    /// Puts a cache behind those of the processes. `name` is what errors call it, such as its address. It is closed with this
    /// store.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the backend keeps no cache.
    pub fn with_cache(mut self, name: impl Into<String>, backend: Backend) -> Result<Self, Error> {
        if backend.cache.is_none() {
            return Err(Error::invalid(format!("the store {} keeps no cache", name.into())));
        }
        self.cache = Some(backend);
        Ok(self)
    }

    /// Which store has which entities, for an engine.
    #[must_use]
    pub fn entity_stores(&self) -> EntityStores {
        let of_log = || Some(EntityStore::of_log(STORE_OF_LOG, self.backend.entities.clone()?));
        let store = |other: &OtherEntities| match &other.backend {
            Some(backend) => Some(EntityStore::new(&other.name, backend.entities.clone()?)),
            None => of_log(),
        };
        let rest = self.entities.iter().find(|other| other.of.is_empty());
        let rest = rest.map_or_else(of_log, store);
        let mut stores = rest.map(EntityStores::new).unwrap_or_default();
        for other in &self.entities {
            if let Some(store) = store(other) {
                stores = other.of.iter().fold(stores, |stores, entity| stores.with(entity, store.clone()));
            }
        }
        stores
    }

    /// The stores beside that of the log that can be asked how they are.
    fn watched_stores(&self) -> Vec<WatchedStore> {
        let beside_log =
            self.backend.rows_health.iter().map(|health| (StorePart::Views, STORE_OF_ROWS, health));
        let rows = self
            .rows
            .iter()
            .filter_map(|(name, backend)| Some((StorePart::Views, name.as_str(), backend.health.as_ref()?)));
        let entities = self.entities.iter().filter_map(|other| {
            Some((StorePart::Entities, other.name.as_str(), other.backend.as_ref()?.health.as_ref()?))
        });
        let cache = self
            .cache
            .iter()
            .filter_map(|backend| Some((StorePart::Cache, STORE_OF_CACHE, backend.health.as_ref()?)));
        let watched = beside_log.chain(rows).chain(entities).chain(cache);
        watched
            .map(|(part, name, health)| WatchedStore { part, name: name.to_owned(), health: health.clone() })
            .collect()
    }

    /// The stores of rows and of entities, and the cache, for an engine.
    #[must_use]
    pub fn stores(&self) -> Stores {
        let cache = self.cache.as_ref().and_then(|backend| backend.cache.clone());
        Stores {
            rows: self.row_stores(),
            entities: self.entity_stores(),
            health: self.watched_stores(),
            cache,
        }
    }

    /// The stores of rows by name, for an engine.
    #[must_use]
    pub fn row_stores(&self) -> RowStores {
        let store = |(name, backend): (&String, &Backend)| {
            let read_models = backend.read_models.clone()?;
            Some((name.clone(), RowStore { read_models, leases: backend.leases.clone() }))
        };
        self.rows.iter().filter_map(store).collect()
    }

    /// The ports, for an engine. Where the backend has no hints the log is polled, and where it has no
    /// clock the system's is taken.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the backend keeps no rows for views.
    pub fn ports(&self) -> Result<Ports, Error> {
        let backend = self.backend.clone();
        let read_models = backend.read_models.ok_or_else(|| {
            Error::invalid(
                "this store keeps a log and no rows for views; take the rows of another \
                 (Backend::with_rows_of)",
            )
        })?;
        let work = match (backend.work, backend.schedules, backend.checkpoints) {
            (Some(queue), Some(schedules), Some(checkpoints)) => Some(WorkPorts {
                queue,
                schedules,
                checkpoints,
                leases: backend.work_leases,
                scheduler: None,
            }),
            _ => None,
        };
        Ok(Ports {
            store: self.log.0.clone(),
            work,
            read_models,
            wakeups: backend.wakeups.unwrap_or_else(|| Arc::new(WakeupHub::default())),
            snapshots: backend.snapshots,
            leases: backend.leases,
            clock: backend.clock.unwrap_or_else(|| Arc::new(SystemClock)),
        })
    }

    /// Moves whole commits out of the store, and into it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the backend cannot.
    pub fn archive(&self) -> Result<&dyn Archive, Error> {
        let missing = || Error::invalid("this store cannot be exported, nor imported into");
        self.backend.archive.as_deref().ok_or_else(missing)
    }

    /// Forgets what is no longer owed; none where the backend keeps everything.
    #[must_use]
    pub fn retention(&self) -> Option<&dyn Retention> {
        self.backend.retention.as_deref()
    }

    /// Answers what still waits, then closes files and connections.
    ///
    /// # Errors
    /// What the store says.
    pub async fn close(self) -> Result<(), Error> {
        // Rows are made of the log, so what writes them is closed first.
        let mut closed = Ok(());
        let entities = self.entities.into_iter().filter_map(|other| other.backend);
        for backend in self.rows.into_values().chain(entities).chain(self.cache).chain([self.backend]) {
            closed = closed.and(backend.close().await);
        }
        closed
    }
}

impl Deref for Store {
    type Target = dyn EventStore;
    fn deref(&self) -> &Self::Target {
        &*self.log.0
    }
}
