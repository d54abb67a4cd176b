use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};
use underlay_core::adapter::WakeupHub;
use underlay_core::{Clock, Error, StoreId, Wakeup, Wakeups, WorkWakeup};

use crate::config::SqliteConfig;
use crate::connections::database::{Database, Missing};
use crate::connections::readers::Readers;
use crate::connections::wal;
use crate::error::Failure;
use crate::event_store;
use crate::log::committer::Committer;
use crate::log::intake::{Flush, Intake, SideWrite};
use crate::log::watcher::{Stop, Watcher};
use crate::migrate;

/// A store in one SQLite file. Clones share it; the last one dropped closes it.
#[derive(Clone)]
pub struct SqliteStore(pub(crate) Arc<OpenFile>);

/// What the handles share.
pub(crate) struct OpenFile {
    pub(crate) id: StoreId,
    pub(crate) intake: Arc<Intake>,
    pub(crate) readers: Readers,
    pub(crate) wakeups: Arc<WakeupHub>,
    pub(crate) clock: Arc<dyn Clock>,
    /// One permit per write beside the log that may wait.
    side_writes: Arc<Semaphore>,
    stop: Arc<Stop>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    path: std::path::PathBuf,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.0.path).field("id", &self.0.id).finish()
    }
}

impl SqliteStore {
    /// Opens a file, making it where it is missing; its folder must be there. It blocks for as long as
    /// the disk takes, and up to `busy_timeout` where another process holds the file.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the file is no SQLite database, one of another application, written by
    /// a newer program, or on a network file system; [`Error::Unavailable`] where another process
    /// holds it; [`Error::Damaged`] or [`Error::Backend`].
    pub fn open(path: impl AsRef<Path>, config: SqliteConfig) -> Result<Self, Error> {
        let path = path.as_ref();
        let open = OpenFile::open(path, &config, Missing::Make).map_err(|failure| failure.opening(path))?;
        Ok(Self(Arc::new(open)))
    }

    /// Opens a file that holds a store. Where there is none, nothing is made.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such file, or an empty one; otherwise as [`SqliteStore::open`].
    pub fn open_existing(path: impl AsRef<Path>, config: SqliteConfig) -> Result<Self, Error> {
        let path = path.as_ref();
        let open = OpenFile::open(path, &config, Missing::Refuse).map_err(|failure| failure.opening(path))?;
        Ok(Self(Arc::new(open)))
    }

    /// Closes the store for every handle: takes nothing more, does what waits, empties the WAL into
    /// the file. Later calls are [`Error::Unavailable`].
    ///
    /// # Errors
    /// [`Error::Backend`] where the writer had ended by a panic.
    pub async fn close(&self) -> Result<(), Error> {
        self.0.readers.close().await;
        let open = self.0.clone();
        let closing = tokio::task::spawn_blocking(move || open.end());
        closing.await.map_err(|error| Error::backend("closing the SQLite file", error))?
    }

    /// Leaves a write beside the log with the writer, waiting while as many as may wait do. What it gives is
    /// handed on once its transaction has ended.
    pub(crate) async fn write_beside<T: Send + 'static>(
        &self,
        flush: Flush,
        change: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let ended = || Error::unavailable("the writer ended; read again to see what is stored");
        let place = self.0.side_writes.clone().acquire_owned().await.map_err(|_| ended())?;
        let (given, giving) = oneshot::channel();
        let change = move |connection: &Connection| {
            // A caller that has gone away does not look.
            given.send(change(connection)?).ok();
            Ok(())
        };
        let (answer, answered) = oneshot::channel();
        self.0.intake.push_side_write(SideWrite { flush, change: Box::new(change), answer, place })?;
        answered.await.unwrap_or_else(|_| Err(ended()))?;
        giving.await.map_err(|_| ended())
    }
}

impl Wakeups for SqliteStore {
    fn subscribe(&self) -> Wakeup {
        self.0.wakeups.subscribe()
    }

    fn subscribe_work(&self) -> WorkWakeup {
        self.0.wakeups.subscribe_work()
    }
}

impl OpenFile {
    fn open(path: &Path, config: &SqliteConfig, missing: Missing) -> Result<Self, Failure> {
        config.validate()?;
        if missing == Missing::Refuse && !is_there(path)? {
            return Err(Failure::Answer(Error::NotFound(format!("the file {}", path.display()))));
        }
        let database = Database::locate(path, config)?;
        let mut connection = database.open_to_write(missing)?;
        let id = migrate::migrate(&database, &mut connection, config.clock.now())?;
        // The connection has read the WAL by now: what another process left in it counts as stored.
        wal::flush(database.path())?;
        wal::settle(&connection)?;
        let head = Arc::new(AtomicU64::new(event_store::head(&connection)?));
        let open = Self {
            id,
            intake: Arc::new(Intake::new(config.limits.clone())),
            readers: Readers::new(&database, config),
            wakeups: Arc::default(),
            clock: config.clock.clone(),
            side_writes: Arc::new(Semaphore::new(config.view_writes_max.min(Semaphore::MAX_PERMITS))),
            stop: Arc::default(),
            threads: Mutex::default(),
            path: database.path().to_owned(),
        };
        // Dropping `open` where the second thread cannot be started ends the first.
        let watcher = Watcher {
            database: database.clone(),
            interval: config.poll_interval,
            head: head.clone(),
            wakeups: open.wakeups.clone(),
            stop: open.stop.clone(),
        };
        open.spawn("underlay-sqlite-watcher", move || watcher.run())?;
        let committer = Committer::new(database, config, open.intake.clone(), open.wakeups.clone(), head);
        open.spawn("underlay-sqlite-writer", move || committer.run(connection))?;
        Ok(open)
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|source| Failure::System { doing: format!("starting the thread {name}"), source })?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// Ends both threads and waits for them. Doing it again changes nothing.
    fn end(&self) -> Result<(), Error> {
        self.readers.close_idle();
        self.stop.set();
        self.intake.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // The watcher first: the writer empties the WAL once nobody else reads it.
        let panicked = threads.into_iter().filter_map(|thread| thread.join().err()).count();
        if panicked > 0 {
            return Err(Error::backend("closing the SQLite file", "a thread of the store had panicked"));
        }
        Ok(())
    }
}

/// Whether there is a file, or a link that leads to one. Where the system does not let it be looked for,
/// nobody knows.
fn is_there(path: &Path) -> Result<bool, Failure> {
    path.try_exists()
        .map_err(|source| Failure::System { doing: format!("looking for {}", path.display()), source })
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, "closing");
        }
    }
}
