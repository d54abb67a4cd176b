use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use underlay_core::memory::{MemoryEventStore, MemoryReadModels};
use underlay_core::{Error, EventStore, Leases, ReadModels, SystemClock, Wakeups};
use underlay_postgres::{PostgresConfig, PostgresStore};
use underlay_runtime::Ports;
use underlay_sqlite::{SqliteConfig, SqliteStore};

use crate::Result;

/// How long a store is waited for.
const OPEN_MAX: Duration = Duration::from_secs(15);
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// Where a store is: `sqlite:PATH`, `postgres://…`, or `memory` within one process.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// A file.
    Sqlite(PathBuf),
    /// A database with the schema in it, as the adapter takes its address.
    Postgres(String),
    /// Gone with the process.
    Memory,
}

impl FromStr for Address {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(text.to_owned())),
            None if text == "memory" => Ok(Self::Memory),
            _ => Err(format!(
                "{text:?} is no address of a store; there are: sqlite:PATH, postgres://…, memory"
            )),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(address) => f.write_str(address),
            Self::Memory => f.write_str("memory"),
        }
    }
}

/// Whether a store said that it had no connection or no time.
pub(crate) fn is_unavailable(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(Error::Unavailable { .. }))
}

/// An open store, by its ports.
#[derive(Clone)]
pub(crate) struct OpenStore {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) wakeups: Arc<dyn Wakeups>,
    read_models: Arc<dyn ReadModels>,
    leases: Option<Arc<dyn Leases>>,
    closer: Closer,
}

/// What has to be closed at the end.
#[derive(Clone)]
enum Closer {
    Nothing,
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Address {
    pub(crate) async fn open(&self) -> Result<OpenStore> {
        self.open_with(SqliteConfig::default()).await
    }

    /// Opens the store, again where it has no connection or no time: others are being attacked.
    pub(crate) async fn open_when_there(&self) -> Result<OpenStore> {
        let began = Instant::now();
        loop {
            match self.open().await {
                Err(error) if is_unavailable(&*error) && began.elapsed() < OPEN_MAX => {
                    tokio::time::sleep(OPEN_PAUSE).await;
                }
                opened => return opened,
            }
        }
    }

    /// Opens the store; where it is a file, by this configuration.
    pub(crate) async fn open_with(&self, config: SqliteConfig) -> Result<OpenStore> {
        match self {
            Self::Sqlite(path) => open_sqlite(path, config).await,
            Self::Postgres(address) => open_postgres(address).await,
            Self::Memory => {
                let store = MemoryEventStore::default();
                Ok(OpenStore {
                    store: Arc::new(store.clone()),
                    wakeups: Arc::new(store),
                    read_models: Arc::new(MemoryReadModels::default()),
                    leases: None,
                    closer: Closer::Nothing,
                })
            }
        }
    }
}

async fn open_sqlite(path: &Path, config: SqliteConfig) -> Result<OpenStore> {
    let path = path.to_owned();
    // Opening waits for the disk, and for other processes.
    let opening = tokio::task::spawn_blocking(move || SqliteStore::open(path, config));
    let store = opening.await??;
    Ok(OpenStore {
        store: Arc::new(store.clone()),
        wakeups: Arc::new(store.clone()),
        read_models: Arc::new(store.clone()),
        leases: Some(Arc::new(store.clone())),
        closer: Closer::Sqlite(store),
    })
}

async fn open_postgres(address: &str) -> Result<OpenStore> {
    let (address, config) = PostgresConfig::default().with_options_of(address)?;
    let store = PostgresStore::connect(&address, config).await?;
    Ok(OpenStore {
        store: Arc::new(store.clone()),
        wakeups: Arc::new(store.clone()),
        read_models: Arc::new(store.clone()),
        leases: Some(Arc::new(store.clone())),
        closer: Closer::Postgres(store),
    })
}

impl OpenStore {
    /// The ports of an engine.
    pub(crate) fn ports(&self) -> Ports {
        Ports {
            store: self.store.clone(),
            read_models: self.read_models.clone(),
            wakeups: self.wakeups.clone(),
            snapshots: None,
            leases: self.leases.clone(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Answers what still waits, then closes files and connections.
    pub(crate) async fn close(self) -> Result<()> {
        match self.closer {
            Closer::Nothing => {}
            Closer::Sqlite(store) => store.close().await?,
            Closer::Postgres(store) => store.close().await?,
        }
        Ok(())
    }
}
