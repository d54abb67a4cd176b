use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use underlay_core::adapter::{Adapter, Backend, OptionValues};
use underlay_core::memory::MemoryAdapter;
use underlay_core::{Error, EventStore, SystemClock, Wakeups};
use underlay_postgres::PostgresAdapter;
use underlay_runtime::Ports;
use underlay_sqlite::{SqliteAdapter, SqliteConfig};

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
    ports: Ports,
    backend: Backend,
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
        let adapter: Box<dyn Adapter> = match self {
            // Several processes fold the views of one file.
            Self::Sqlite(_) => Box::new(SqliteAdapter::new(config.with_leases(true))),
            Self::Postgres(_) => Box::new(PostgresAdapter::default()),
            Self::Memory => Box::new(MemoryAdapter::default()),
        };
        OpenStore::of(adapter.open(&self.to_string(), &OptionValues::new()).await?)
    }
}

impl OpenStore {
    /// Takes what every attack needs out of a backend.
    fn of(backend: Backend) -> Result<Self> {
        let (Some(store), Some(wakeups), Some(read_models)) =
            (backend.store.clone(), backend.wakeups.clone(), backend.read_models.clone())
        else {
            return Err("a store under attack has a log, hints and rows".into());
        };
        let ports = Ports {
            store: store.clone(),
            read_models,
            wakeups: wakeups.clone(),
            snapshots: None,
            leases: backend.leases.clone(),
            clock: Arc::new(SystemClock),
        };
        Ok(Self { store, wakeups, ports, backend })
    }

    /// The ports of an engine.
    pub(crate) fn ports(&self) -> Ports {
        self.ports.clone()
    }

    /// Answers what still waits, then closes files and connections.
    pub(crate) async fn close(self) -> Result<()> {
        Ok(self.backend.close().await?)
    }
}
