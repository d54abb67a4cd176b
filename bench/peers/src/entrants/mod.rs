//! The stores that are measured, each behind the same few calls.

mod cqrs_es;
mod disintegrate;
mod mire;
mod ours;
mod plain;
mod tally;
#[cfg(feature = "umadb")]
mod umadb;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use figures::{Booking, Seen};
use serde::Serialize;
use servers::Database;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::place::Place;

pub(crate) use plain::batches;
pub(crate) use tally::Tally;

/// A store, or a way to use one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Entrant {
    Ours,
    OursSqlite,
    CqrsEs,
    CqrsEsPersist,
    Disintegrate,
    DisintegrateUnchecked,
    Mire,
    Umadb,
    Insert,
    Unnest,
}

const ALL: &[Entrant] = &[
    Entrant::Ours,
    Entrant::OursSqlite,
    Entrant::CqrsEs,
    Entrant::CqrsEsPersist,
    Entrant::Disintegrate,
    Entrant::DisintegrateUnchecked,
    Entrant::Mire,
    Entrant::Umadb,
    Entrant::Insert,
    Entrant::Unnest,
];

impl Entrant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "underlay, full commit",
            Self::OursSqlite => "underlay on SQLite, full commit",
            Self::CqrsEs => "cqrs-es, execute",
            Self::CqrsEsPersist => "cqrs-es, persist alone",
            Self::Disintegrate => "disintegrate, checked",
            Self::DisintegrateUnchecked => "disintegrate, unchecked",
            Self::Mire => "mire",
            Self::Umadb => "umadb",
            Self::Insert => "insert by each caller",
            Self::Unnest => "unnest, all at once",
        }
    }

    /// What `--only` calls it.
    fn peer(self) -> &'static str {
        match self {
            Self::Ours | Self::OursSqlite => "underlay",
            Self::CqrsEs | Self::CqrsEsPersist => "cqrs-es",
            Self::Disintegrate | Self::DisintegrateUnchecked => "disintegrate",
            Self::Mire => "mire",
            Self::Umadb => "umadb",
            Self::Insert => "insert",
            Self::Unnest => "unnest",
        }
    }

    /// Ours, and those that are named; all where none is.
    ///
    /// # Errors
    /// Where a name is nobody's.
    pub(crate) fn chosen(only: &[&str]) -> Result<Vec<Self>> {
        if let Some(name) = only.iter().find(|name| ALL.iter().all(|entrant| entrant.peer() != **name)) {
            return Err(format!("there is no part and no peer {name:?}; see --help").into());
        }
        let is_chosen = |entrant: &&Self| {
            let peer = entrant.peer();
            only.is_empty() || peer == "underlay" || only.contains(&peer)
        };
        Ok(ALL.iter().filter(is_chosen).copied().collect())
    }

    /// Whether a commit of it fails where somebody else wrote the account meanwhile.
    pub(crate) fn checks_versions(self) -> bool {
        matches!(
            self,
            Self::Ours | Self::OursSqlite | Self::CqrsEs | Self::Disintegrate | Self::Mire | Self::Umadb
        )
    }

    /// Opens it on a database of its own, for this many callers; none where its server is missing.
    pub(crate) async fn open(self, place: &Place, callers: usize) -> Result<Option<Opened>> {
        if self == Self::Umadb {
            return open_umadb(place, callers).await;
        }
        if self == Self::OursSqlite {
            let log = Arc::new(ours::Ours::open_file().await?);
            return Ok(Some(Opened { log, database: None }));
        }
        let database = place.database().await?;
        let log: Arc<dyn Log> = match self {
            Self::CqrsEs | Self::CqrsEsPersist => {
                let pool = pool(&database, place.pool(callers, cqrs_es::POOL)).await?;
                Arc::new(cqrs_es::CqrsEs::open(&database, pool, self == Self::CqrsEs).await?)
            }
            Self::Disintegrate | Self::DisintegrateUnchecked => {
                let checks = self == Self::Disintegrate;
                let fastest = if checks { disintegrate::POOL_CHECKED } else { disintegrate::POOL };
                let connections = place.pool(callers, fastest);
                Arc::new(disintegrate::Disintegrate::open(&database, connections, checks).await?)
            }
            Self::Mire => {
                let connections = place.pool(callers, mire::POOL);
                Arc::new(mire::Mire::open(&database, connections).await?)
            }
            Self::Insert => Arc::new(plain::Insert::open(&database, place.pool(callers, plain::POOL)).await?),
            Self::Ours | Self::OursSqlite | Self::Unnest | Self::Umadb => {
                Arc::new(ours::Ours::open(&database).await?)
            }
        };
        Ok(Some(Opened { log, database: Some(database) }))
    }
}

#[cfg(feature = "umadb")]
async fn open_umadb(place: &Place, callers: usize) -> Result<Option<Opened>> {
    let Some(server) = place.umadb().await? else { return Ok(None) };
    let log = Arc::new(umadb::Umadb::open(server, place.pool(callers, umadb::CONNECTIONS)).await?);
    Ok(Some(Opened { log, database: None }))
}

#[cfg(not(feature = "umadb"))]
async fn open_umadb(_: &Place, _: usize) -> Result<Option<Opened>> {
    Ok(None)
}

/// An open log, and where it is.
pub(crate) struct Opened {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) database: Option<Database>,
}

impl Opened {
    /// Closes it and removes what it stored.
    pub(crate) async fn close(self) -> Result<()> {
        self.log.close().await?;
        drop(self.log);
        match self.database {
            Some(database) => database.remove().await,
            None => Ok(()),
        }
    }
}

/// What became of an append, with how far the account is now: what the next one is to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    Stored(i64),
    Conflict(i64),
}

/// What every store can do, or says that it cannot.
#[async_trait]
pub(crate) trait Log: Send + Sync + 'static {
    /// Stores a booking, where its account is still as it was `seen`; 0 is an account without events.
    async fn append(&self, booking: Booking, seen: i64) -> Result<Appended>;

    /// Stores several bookings of one account, which has `before` of them, at once.
    async fn append_many(&self, bookings: &[Booking], before: u64) -> Result<()>;

    /// How many events are stored.
    async fn count(&self) -> Result<u64>;

    /// Reads everything in order, from the start, and decodes it; none where there is no such read.
    async fn read_whole(&self) -> Result<Option<Seen>>;

    /// Tells the tally of every event its subscriber is given, until it is dropped; none where there is
    /// no subscriber.
    async fn follow(&self, tally: Arc<Tally>) -> Result<Option<Follower>>;

    /// Folds balances by account out of the whole log, into rows that were not there, and gives events
    /// per second; none where there is no such part. It may stop after `longest`.
    async fn fold(&self, events: u64, longest: Duration) -> Result<Option<f64>>;

    /// The table of events, where the store is in PostgreSQL.
    fn events_table(&self) -> Option<&'static str>;

    /// Ends what runs.
    async fn close(&self) -> Result<()>;
}

/// A subscriber that runs. Dropped, it is told to end.
pub(crate) struct Follower {
    task: JoinHandle<()>,
    told: CancellationToken,
}

impl Follower {
    /// Runs a subscriber until the token says to end; where it fails it says so, since what it does not
    /// deliver then is its failure.
    fn start<F: Future<Output = Result<()>> + Send + 'static>(
        run: impl FnOnce(CancellationToken) -> F,
    ) -> Self {
        let told = CancellationToken::new();
        let run = run(told.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = run.await {
                eprintln!("  a subscriber ended: {error}");
            }
        });
        Self { task, told }
    }

    /// Tells it to end, and waits until it has.
    pub(crate) async fn end(mut self) -> Result<()> {
        self.told.cancel();
        Ok((&mut self.task).await?)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.told.cancel();
    }
}

/// A subscriber's count of events, for a fold that nobody else says the end of.
async fn wait_for(count: &AtomicU64, events: u64, longest: Duration) -> f64 {
    let began = Instant::now();
    while count.load(Ordering::Relaxed) < events && began.elapsed() < longest {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}

/// How long a caller waits for a connection: long enough for everybody.
const ACQUIRE_MAX: Duration = Duration::from_secs(60);

/// A pool that is full from the start, and does not ask a connection whether it lives.
async fn pool(database: &Database, connections: u32) -> Result<PgPool> {
    let options = PgPoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_MAX)
        .test_before_acquire(false);
    Ok(options.connect(&database.admin_address()).await?)
}

/// The events in a table.
async fn count_rows(pool: &PgPool, table: &str) -> Result<u64> {
    let count: i64 = sqlx::query_scalar(&format!("SELECT count(*) FROM {table}")).fetch_one(pool).await?;
    Ok(u64::try_from(count)?)
}
