use std::ops::Deref;
use std::sync::Arc;

use underlay_core::memory::{MemoryEventStore, MemoryReadModels, MemorySnapshots};
use underlay_core::{Archive, Clock, Error, EventStore, Retention, SystemClock};
use underlay_runtime::Ports;

/// The kinds of store an address can name.
const KINDS: &str = "sqlite:PATH, postgres://USER@HOST/DATABASE, memory:";

/// An open store: the log, the rows of views, hints and time. It is an [`EventStore`] by itself.
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
#[derive(Clone)]
pub struct Store {
    ports: Ports,
    archive: Arc<dyn Archive>,
    retention: Arc<dyn Retention>,
    closer: Closer,
}

/// What has to be closed at the end.
#[derive(Clone)]
enum Closer {
    Nothing,
    #[cfg(feature = "sqlite")]
    Sqlite(underlay_sqlite::SqliteStore),
    #[cfg(feature = "postgres")]
    Postgres(underlay_postgres::PostgresStore),
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("ports", &self.ports).finish_non_exhaustive()
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
        Self::open_or(address, true).await
    }

    /// The same, of a store that is there: no file is made.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such file, or an empty one; otherwise as [`Store::open`].
    pub async fn open_existing(address: &str) -> Result<Self, Error> {
        Self::open_or(address, false).await
    }

    async fn open_or(address: &str, may_make: bool) -> Result<Self, Error> {
        let Some((kind, rest)) = address.split_once(':') else {
            return Err(Error::invalid(format!(
                "{address:?} is not an address of a store; there are: {KINDS}"
            )));
        };
        match kind {
            "memory" => Ok(Self::in_memory()),
            #[cfg(feature = "sqlite")]
            "sqlite" => Self::open_sqlite(rest, may_make).await,
            #[cfg(not(feature = "sqlite"))]
            "sqlite" => {
                Err(Error::invalid(format!("{rest}: this program was built without the feature `sqlite`")))
            }
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Self::open_postgres(address).await,
            #[cfg(not(feature = "postgres"))]
            "postgres" | "postgresql" => Err(without_postgres()),
            _ => Err(Error::invalid(format!("there is no store of kind {kind:?}; there are: {KINDS}"))),
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
        needs_migration(address)?;
        #[cfg(feature = "postgres")]
        {
            let (address, config) = underlay_postgres::PostgresConfig::default().with_options_of(address)?;
            underlay_postgres::migrate(&address, &config, login).await
        }
        #[cfg(not(feature = "postgres"))]
        {
            let _for_postgres = login;
            Err(without_postgres())
        }
    }

    /// The SQL that [`Store::migrate`] would run now, for an administrator; empty where there is nothing
    /// to do.
    ///
    /// # Errors
    /// As [`Store::migrate`].
    pub async fn migration_script(address: &str, login: Option<&str>) -> Result<String, Error> {
        needs_migration(address)?;
        #[cfg(feature = "postgres")]
        {
            let (address, config) = underlay_postgres::PostgresConfig::default().with_options_of(address)?;
            underlay_postgres::migration_script(&address, &config, login).await
        }
        #[cfg(not(feature = "postgres"))]
        {
            let _for_postgres = login;
            Err(without_postgres())
        }
    }

    fn in_memory() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = MemoryEventStore::new(clock.clone());
        let ports = Ports {
            store: Arc::new(store.clone()),
            read_models: Arc::new(MemoryReadModels::default()),
            wakeups: Arc::new(store.clone()),
            snapshots: Some(Arc::new(MemorySnapshots::default())),
            leases: None,
            clock,
        };
        Self { ports, archive: Arc::new(store.clone()), retention: Arc::new(store), closer: Closer::Nothing }
    }

    #[cfg(feature = "sqlite")]
    async fn open_sqlite(path: &str, may_make: bool) -> Result<Self, Error> {
        if path.is_empty() {
            return Err(Error::invalid("sqlite: needs a path, as in sqlite:ledger.db"));
        }
        let path = path.to_owned();
        let config = underlay_sqlite::SqliteConfig::default();
        let open = move || match may_make {
            true => underlay_sqlite::SqliteStore::open(path, config),
            false => underlay_sqlite::SqliteStore::open_existing(path, config),
        };
        let opening = tokio::task::spawn_blocking(open).await;
        let store = opening.map_err(|error| Error::backend("opening the SQLite file", error))??;
        let ports = Ports {
            store: Arc::new(store.clone()),
            read_models: Arc::new(store.clone()),
            wakeups: Arc::new(store.clone()),
            snapshots: Some(Arc::new(store.clone())),
            // One process is the rule here. Renewing would wake the disk for ever, and after a kill the
            // next start would wait for a lease that nobody holds any more.
            leases: None,
            clock: Arc::new(SystemClock),
        };
        let (archive, retention) = (Arc::new(store.clone()), Arc::new(store.clone()));
        Ok(Self { ports, archive, retention, closer: Closer::Sqlite(store) })
    }

    #[cfg(feature = "postgres")]
    async fn open_postgres(address: &str) -> Result<Self, Error> {
        let (address, config) = underlay_postgres::PostgresConfig::default().with_options_of(address)?;
        let store = underlay_postgres::PostgresStore::connect(&address, config).await?;
        let ports = Ports {
            store: Arc::new(store.clone()),
            read_models: Arc::new(store.clone()),
            wakeups: Arc::new(store.clone()),
            snapshots: Some(Arc::new(store.clone())),
            leases: Some(Arc::new(store.clone())),
            clock: Arc::new(SystemClock),
        };
        let (archive, retention) = (Arc::new(store.clone()), Arc::new(store.clone()));
        Ok(Self { ports, archive, retention, closer: Closer::Postgres(store) })
    }

    /// The ports, for an engine.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports.clone()
    }

    /// Moves whole commits out of the store, and into it.
    #[must_use]
    pub fn archive(&self) -> &dyn Archive {
        &*self.archive
    }

    /// Forgets what is no longer owed.
    #[must_use]
    pub fn retention(&self) -> &dyn Retention {
        &*self.retention
    }

    /// Answers what still waits, then closes the files.
    ///
    /// # Errors
    /// What the store says.
    pub async fn close(self) -> Result<(), Error> {
        match self.closer {
            Closer::Nothing => Ok(()),
            #[cfg(feature = "sqlite")]
            Closer::Sqlite(store) => store.close().await,
            #[cfg(feature = "postgres")]
            Closer::Postgres(store) => store.close().await,
        }
    }
}

/// Refuses the address of a store that has no migrations of its own.
fn needs_migration(address: &str) -> Result<(), Error> {
    match address.split_once("://") {
        Some(("postgres" | "postgresql", _)) => Ok(()),
        _ => Err(Error::invalid(
            "only a postgres:// database is migrated; other stores are when they are opened",
        )),
    }
}

#[cfg(not(feature = "postgres"))]
fn without_postgres() -> Error {
    Error::invalid(
        "this program was built without PostgreSQL; build it with the feature `postgres` \
         (cargo build --features postgres)",
    )
}

impl Deref for Store {
    type Target = dyn EventStore;
    fn deref(&self) -> &Self::Target {
        &*self.ports.store
    }
}
