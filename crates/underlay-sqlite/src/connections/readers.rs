//! Connections that read, each used by one call at a time on a thread for blocking work.
//!
//! There are two pools of them, so that one cannot take the other's: queries, which requests ask for,
//! and reads that commands and views wait for. In each, tenants take turns. A query has a deadline, which
//! SQLite looks at while it works; then its connection is as sound as before. Where its caller goes away it
//! ends as well, and its turn with it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use underlay_core::adapter::{ReadLimits, ReadTurn, ReadTurns};
use underlay_core::{Clock, Error, TenantId};

use crate::config::SqliteConfig;
use crate::connections::database::Database;
use crate::error::Failure;

/// Steps of SQLite's machine between two looks at the deadline: well below a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 4_000;

/// The pools. Clones share them.
#[derive(Clone)]
pub(crate) struct Readers {
    engine: Arc<Pool>,
    queries: Arc<Pool>,
    query_timeout: Duration,
}

struct Pool {
    database: Database,
    turns: ReadTurns,
    clock: Arc<dyn Clock>,
    /// `None` once closed.
    idle: Mutex<Option<Vec<Connection>>>,
}

impl Readers {
    pub(crate) fn new(database: &Database, config: &SqliteConfig) -> Self {
        let pool = |limits| {
            Arc::new(Pool {
                database: database.clone(),
                turns: ReadTurns::new(limits),
                clock: config.clock.clone(),
                idle: Mutex::new(Some(Vec::new())),
            })
        };
        Self {
            engine: pool(ReadLimits::of_the_engine(config.readers_max)),
            queries: pool(config.query_limits.clone()),
            query_timeout: config.query_timeout,
        }
    }

    /// Runs `work` on a connection, for a command of a tenant or for the engine itself. It goes on to its
    /// end where the caller goes away.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        tenant: Option<&TenantId>,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.engine.enter(tenant).await?;
        self.engine.run(turn, move |connection| work(connection)).await
    }

    /// As [`Readers::read`], with everything `work` reads from one moment.
    pub(crate) async fn read_at_one_moment<T: Send + 'static>(
        &self,
        tenant: Option<&TenantId>,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.engine.enter(tenant).await?;
        self.engine.run(turn, move |connection| at_one_moment(connection, work)).await
    }

    /// Runs what a request of a tenant asks for, at one moment and until its deadline. `is_exact` says
    /// that it looks at no row beside those it gives.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        is_exact: bool,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.queries.enter(Some(tenant)).await?;
        let query_timeout = self.query_timeout;
        let over = Over::default();
        let is_over = over.0.clone();
        let querying = move |connection: &mut Connection| {
            let look = move || is_over.load(Ordering::Relaxed);
            connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(look))?;
            let result = at_one_moment(connection, work);
            connection.progress_handler(0, None::<fn() -> bool>)?;
            result.map_err(|failure| match failure.is_interrupted() {
                true => Failure::Answer(Error::query_too_slow(query_timeout, is_exact)),
                false => failure,
            })
        };
        let mut reading = pin!(self.queries.run(turn, querying));
        let mut deadline = pin!(self.queries.clock.sleep(query_timeout));
        let mut is_late = false;
        poll_fn(move |context| {
            if !is_late && deadline.as_mut().poll(context).is_ready() {
                is_late = true;
                over.set();
            }
            reading.as_mut().poll(context)
        })
        .await
    }

    /// Sends away the reads that wait, waits for those that run and closes every connection.
    pub(crate) async fn close(&self) {
        self.close_idle();
        self.engine.turns.ended().await;
        self.queries.turns.ended().await;
    }

    /// Closes the connections that are not in use now, and the others when their read ends.
    pub(crate) fn close_idle(&self) {
        for pool in [&self.engine, &self.queries] {
            pool.turns.close();
            pool.lock().take();
        }
    }
}

/// Whether a query is over: its deadline has passed, or nobody waits for it any more.
#[derive(Default)]
struct Over(Arc<AtomicBool>);

impl Over {
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        self.set();
    }
}

fn at_one_moment<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    connection.prepare_cached("BEGIN")?.raw_execute()?;
    let result = work(connection);
    // Some failures end the transaction themselves.
    if !connection.is_autocommit() {
        connection.prepare_cached("ROLLBACK")?.raw_execute()?;
    }
    result
}

impl Pool {
    async fn enter(&self, tenant: Option<&TenantId>) -> Result<ReadTurn, Error> {
        self.turns.enter(tenant, &*self.clock).await
    }

    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        turn: ReadTurn,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let pool = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let mut connection = pool.take().map_err(Failure::reading)?;
            let result = work(&mut connection);
            pool.give_back(connection, result.as_ref().err());
            drop(turn);
            result.map_err(Failure::reading)
        });
        // Only a runtime that ends takes back what it was given to do.
        reading.await.map_err(|error| match error.is_cancelled() {
            true => closed(),
            false => Error::backend("reading the SQLite file", error),
        })?
    }

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
