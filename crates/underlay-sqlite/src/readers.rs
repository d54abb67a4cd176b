//! Connections that read, each used by one call at a time on a thread for blocking work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use underlay_core::Error;

use crate::database::Database;
use crate::error::Failure;

/// The pool. Clones share it.
#[derive(Clone)]
pub(crate) struct Readers(Arc<Pool>);

struct Pool {
    database: Database,
    permits: Arc<Semaphore>,
    readers_max: u32,
    /// `None` once closed.
    idle: Mutex<Option<Vec<Connection>>>,
}

impl Readers {
    pub(crate) fn new(database: Database, readers_max: usize) -> Self {
        let readers_max = readers_max.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Pool {
            database,
            permits: Arc::new(Semaphore::new(readers_max)),
            readers_max: u32::try_from(readers_max).unwrap_or(u32::MAX),
            idle: Mutex::new(Some(Vec::new())),
        }))
    }

    /// Runs `work` on a connection. It goes on to its end where the caller goes away.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = self.0.permits.clone().acquire_owned().await.map_err(|_| closed())?;
        let pool = self.0.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let connection = pool.take().map_err(Failure::reading)?;
            let result = work(&connection);
            pool.give_back(connection, result.as_ref().err());
            drop(permit);
            result.map_err(Failure::reading)
        });
        reading.await.map_err(|error| Error::backend("reading the SQLite file", error))?
    }

    /// As [`Readers::read`], with everything `work` reads from one moment.
    pub(crate) async fn read_at_one_moment<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        self.read(move |connection| {
            connection.prepare_cached("BEGIN")?.raw_execute()?;
            let result = work(connection);
            // Some failures end the transaction themselves.
            if !connection.is_autocommit() {
                connection.prepare_cached("ROLLBACK")?.raw_execute()?;
            }
            result
        })
        .await
    }

    /// Waits for the reads that run and closes every connection.
    pub(crate) async fn close(&self) {
        let all = self.0.permits.acquire_many(self.0.readers_max).await;
        self.close_idle();
        drop(all);
    }

    /// Closes the connections that are not in use now, and the others when their read ends.
    pub(crate) fn close_idle(&self) {
        self.0.permits.close();
        self.0.lock().take();
    }
}

impl Pool {
    fn take(&self) -> Result<Connection, Failure> {
        self.database.check_in_place()?;
        let idle = match self.lock().as_mut() {
            Some(idle) => idle.pop(),
            None => return Err(Failure::Answer(closed())),
        };
        idle.map_or_else(|| self.database.open_reader(), Ok)
    }

    fn give_back(&self, connection: Connection, failure: Option<&Failure>) {
        let sound = connection.is_autocommit() && !failure.is_some_and(Failure::is_of_the_file);
        if let Some(idle) = self.lock().as_mut().filter(|_| sound) {
            idle.push(connection);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Connection>>> {
        // Each change is one call, so a panic leaves none half done.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed() -> Error {
    Error::unavailable("the store is closed")
}
