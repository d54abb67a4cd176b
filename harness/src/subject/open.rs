//! Opening a store: the one place where an address becomes ports.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use underlay_core::memory::{MemoryEventStore, MemoryReadModels, MemorySnapshots};
use underlay_core::{Archive, Error, EventStore, Leases, ReadModels, Snapshots, SystemClock, Wakeups};
use underlay_postgres::{PostgresConfig, PostgresStore};
use underlay_runtime::Ports;
use underlay_sqlite::{SqliteConfig, SqliteStore};

use super::Address;
use crate::Result;

/// How long a store is waited for.
const OPEN_MAX: Duration = Duration::from_secs(15);
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// Whether a store said that it had no connection or no time.
pub(crate) fn is_unavailable(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(Error::Unavailable { .. }))
}

type Closing = Pin<Box<dyn Future<Output = std::result::Result<(), Error>> + Send>>;

/// An open store, by its ports.
#[derive(Clone)]
pub(crate) struct OpenStore {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) wakeups: Arc<dyn Wakeups>,
    pub(crate) read_models: Arc<dyn ReadModels>,
    pub(crate) snapshots: Arc<dyn Snapshots>,
    pub(crate) archive: Arc<dyn Archive>,
    pub(crate) leases: Option<Arc<dyn Leases>>,
    /// Answers what still waits, then closes files and connections.
    close: Arc<dyn Fn() -> Closing + Send + Sync>,
}

impl Address {
    /// Opens the store.
    pub(crate) async fn open(&self) -> Result<OpenStore> {
        match self {
            Self::Sqlite { path, wal_bytes_max } => {
                let (path, config) = (path.clone(), SqliteConfig::default());
                let config = match wal_bytes_max {
                    Some(bytes) => config.with_wal_bytes_max(*bytes),
                    None => config,
                };
                // Opening waits for the disk, and for other processes.
                let opening = tokio::task::spawn_blocking(move || SqliteStore::open(path, config));
                Ok(OpenStore::sqlite(opening.await??))
            }
            Self::Postgres(address) => {
                let (address, config) = PostgresConfig::default().with_options_of(address)?;
                Ok(OpenStore::postgres(PostgresStore::connect(&address, config).await?))
            }
            Self::Memory => {
                let store = MemoryEventStore::default();
                Ok(OpenStore {
                    store: Arc::new(store.clone()),
                    wakeups: Arc::new(store.clone()),
                    read_models: Arc::new(MemoryReadModels::default()),
                    snapshots: Arc::new(MemorySnapshots::default()),
                    archive: Arc::new(store),
                    leases: None,
                    close: Arc::new(|| Box::pin(std::future::ready(Ok(())))),
                })
            }
        }
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
}

/// An adapter whose store has every port.
macro_rules! of_adapter {
    ($name:ident, $store:ty) => {
        pub(crate) fn $name(store: $store) -> Self {
            Self {
                store: Arc::new(store.clone()),
                wakeups: Arc::new(store.clone()),
                read_models: Arc::new(store.clone()),
                snapshots: Arc::new(store.clone()),
                archive: Arc::new(store.clone()),
                leases: Some(Arc::new(store.clone())),
                close: Arc::new(move || {
                    let store = store.clone();
                    Box::pin(async move { store.close().await })
                }),
            }
        }
    };
}

impl OpenStore {
    of_adapter!(sqlite, SqliteStore);
    of_adapter!(postgres, PostgresStore);

    /// The ports of an engine.
    pub(crate) fn ports(&self) -> Ports {
        Ports {
            store: self.store.clone(),
            read_models: self.read_models.clone(),
            wakeups: self.wakeups.clone(),
            snapshots: Some(self.snapshots.clone()),
            leases: self.leases.clone(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Answers what still waits, then closes files and connections.
    pub(crate) async fn close(self) -> Result<()> {
        Ok((self.close)().await?)
    }
}
