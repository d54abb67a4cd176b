//! Opening a store: the one place where an address becomes ports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use underlay_core::adapter::{Adapter, Backend, OptionValues};
use underlay_core::memory::MemoryAdapter;
use underlay_core::{
    Archive, Entities, Error, EventStore, Leases, ReadModels, Schedules, Snapshots, SystemClock, Wakeups,
    WorkQueue,
};
use underlay_postgres::PostgresAdapter;
use underlay_runtime::{Ports, WorkPorts};
use underlay_sqlite::{SqliteAdapter, SqliteConfig};

use super::{Address, RowsAddress};
use crate::Result;

/// How long a store is waited for.
const OPEN_MAX: Duration = Duration::from_secs(15);
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// Whether a store said that it had no connection or no time.
pub(crate) fn is_unavailable(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(Error::Unavailable { .. }))
}

/// An open store, by its ports.
#[derive(Clone)]
pub(crate) struct OpenStore {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) wakeups: Arc<dyn Wakeups>,
    pub(crate) read_models: Arc<dyn ReadModels>,
    pub(crate) snapshots: Arc<dyn Snapshots>,
    pub(crate) archive: Arc<dyn Archive>,
    pub(crate) leases: Option<Arc<dyn Leases>>,
    backend: Backend,
}

impl Address {
    /// Opens the store.
    pub(crate) async fn open(&self) -> Result<OpenStore> {
        self.open_with_rows(None).await
    }

    /// Opens the store, with the rows of views elsewhere.
    pub(crate) async fn open_with_rows(&self, rows: Option<&RowsAddress>) -> Result<OpenStore> {
        let (address, adapter): (String, Box<dyn Adapter>) = match self {
            Self::Sqlite { path, wal_bytes_max } => {
                // Several processes fold the views of one file.
                let config = SqliteConfig::default().with_leases(true);
                let config = match wal_bytes_max {
                    Some(bytes) => config.with_wal_bytes_max(*bytes),
                    None => config,
                };
                (format!("sqlite:{}", path.display()), Box::new(SqliteAdapter::new(config)))
            }
            Self::Postgres(address) => (address.clone(), Box::new(PostgresAdapter::default())),
            Self::Memory => (self.to_string(), Box::new(MemoryAdapter::default())),
        };
        let backend = adapter.open(&address, &OptionValues::new()).await?;
        OpenStore::of(match rows {
            Some(rows) => backend.with_rows_of(rows.open().await?),
            None => backend,
        })
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

impl OpenStore {
    /// Takes what every attack needs out of a backend.
    pub(crate) fn of(backend: Backend) -> Result<Self> {
        let Backend { store: Some(store), wakeups: Some(wakeups), read_models: Some(read_models), .. } =
            backend.clone()
        else {
            return Err("a store under attack has a log, hints and rows".into());
        };
        let (Some(snapshots), Some(archive)) = (backend.snapshots.clone(), backend.archive.clone()) else {
            return Err("a store under attack has snapshots and an archive".into());
        };
        let leases = backend.leases.clone();
        Ok(Self { store, wakeups, read_models, snapshots, archive, leases, backend })
    }

    /// The same with the entities of another backend, and its rows of views where it has any.
    pub(crate) fn beside(self, other: Backend) -> Result<Self> {
        let mut backend = self.backend;
        backend.entities = other.entities.clone().or(backend.entities);
        if other.read_models.is_some() {
            backend = backend.with_rows_of(other);
        } else {
            backend.closing.extend(other.closing);
        }
        Self::of(backend)
    }

    /// The ports of an engine.
    pub(crate) fn ports(&self) -> Ports {
        Ports {
            work: self.work_ports(),
            store: self.store.clone(),
            read_models: self.read_models.clone(),
            wakeups: self.wakeups.clone(),
            snapshots: Some(self.snapshots.clone()),
            leases: self.leases.clone(),
            clock: Arc::new(SystemClock),
        }
    }

    /// The entities that are kept with the log.
    pub(crate) fn entities(&self) -> Result<Arc<dyn Entities>> {
        self.backend.entities.clone().ok_or_else(|| "a store under attack keeps entities".into())
    }

    /// The work of commits, and the schedules.
    pub(crate) fn work(&self) -> Result<(Arc<dyn WorkQueue>, Arc<dyn Schedules>)> {
        match (&self.backend.work, &self.backend.schedules) {
            (Some(work), Some(schedules)) => Ok((work.clone(), schedules.clone())),
            _ => Err("a store under attack keeps work and schedules".into()),
        }
    }

    /// The ports of what follows a commit, where the store keeps any.
    fn work_ports(&self) -> Option<WorkPorts> {
        let Backend { work, schedules, checkpoints, work_leases, .. } = self.backend.clone();
        Some(WorkPorts {
            queue: work?,
            schedules: schedules?,
            checkpoints: checkpoints?,
            leases: work_leases,
            scheduler: None,
        })
    }

    /// Answers what still waits, then closes files and connections.
    pub(crate) async fn close(self) -> Result<()> {
        Ok(self.backend.close().await?)
    }
}
