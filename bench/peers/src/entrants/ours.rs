//! Ours, on either store: the port for events, as an engine calls it; the engine where a view is folded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use figures::{Account, AccountEvent, Booking};
use servers::{Database, LOGIN};
use tempfile::TempDir;
use underlay_core::{
    Aggregate, Commit, CommitId, DecodeError, Error, EventStore, ExpectedVersion, Keys, LogFilter, LogPage,
    LogScope, NewEvent, Position, Recorded, StreamName, SystemClock, TenantId, Version, View,
};
use underlay_derive::row;
use underlay_postgres::{PostgresConfig, PostgresStore, migrate};
use underlay_runtime::{Engine, EngineConfig, Ports, RebuildFrom, Registry};
use underlay_sqlite::{SqliteConfig, SqliteStore};

use super::{Appended, Follower, Log, Seen, Tally};
use crate::Result;

/// Events in a page.
const PAGE_EVENTS: usize = 5_000;
/// How often a follower looks, beside its wake-ups.
const POLL: Duration = Duration::from_millis(50);
#[row(crate = underlay_core)]
struct Balance {
    cents: i64,
    bookings: i64,
}

struct Balances;

impl View for Balances {
    const NAME: &'static str = "balances";
    type Event = AccountEvent;
    type Key = u64;
    type Row = Balance;

    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<u64>) {
        if let Ok(account) = event.stream().id().parse() {
            keys.push(account);
        }
    }

    fn fold(&self, _: &u64, row: Option<Balance>, event: &Recorded<AccountEvent>) -> Option<Balance> {
        let row = row.unwrap_or(Balance { cents: 0, bookings: 0 });
        Some(Balance { cents: row.cents + event.event.cents(), bookings: row.bookings + 1 })
    }
}

pub(crate) struct Ours {
    ports: Ports,
    tenant: TenantId,
    /// The table of events, where others look at it.
    table: Option<&'static str>,
    opened: Store,
}

/// What is closed at the end.
enum Store {
    Postgres(PostgresStore),
    Sqlite {
        store: SqliteStore,
        /// Where the file is; it goes with this.
        _folder: TempDir,
    },
}

/// Makes the tables of a database, and who may use them.
pub(crate) async fn install(database: &Database) -> Result<PostgresConfig> {
    let config = PostgresConfig::default();
    let _turn = database.prepare_login().await?;
    migrate(&database.admin_address(), &config, Some(LOGIN)).await?;
    Ok(config)
}

impl Ours {
    pub(crate) async fn open(database: &Database) -> Result<Self> {
        let config = install(database).await?;
        let store = PostgresStore::connect(&database.login_address(), config).await?;
        let ports = Ports {
            store: Arc::new(store.clone()),
            read_models: Arc::new(store.clone()),
            wakeups: Arc::new(store.clone()),
            snapshots: Some(Arc::new(store.clone())),
            leases: Some(Arc::new(store.clone())),
            work: None,
            clock: Arc::new(SystemClock),
        };
        Self::new(ports, Some("underlay.events"), Store::Postgres(store))
    }

    /// On a file, beside those of the servers.
    pub(crate) async fn open_file() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let store = SqliteStore::open(folder.path().join("log.db"), SqliteConfig::default())?;
        let ports = Ports {
            store: Arc::new(store.clone()),
            read_models: Arc::new(store.clone()),
            wakeups: Arc::new(store.clone()),
            snapshots: Some(Arc::new(store.clone())),
            leases: None,
            work: None,
            clock: Arc::new(SystemClock),
        };
        Self::new(ports, None, Store::Sqlite { store, _folder: folder })
    }

    fn new(ports: Ports, table: Option<&'static str>, opened: Store) -> Result<Self> {
        Ok(Self { ports, tenant: TenantId::new("bench")?, table, opened })
    }

    fn engine(&self) -> Result<Engine> {
        let registry = Registry::default().aggregate::<Account>().snapshots::<Account>().view(Balances);
        Ok(Engine::new(self.ports.clone(), registry, EngineConfig::default())?)
    }
}

fn stream(booking: Booking) -> Result<StreamName> {
    Ok(Account::stream(&booking.account)?)
}

async fn page(store: Arc<dyn EventStore>, after: Position) -> std::result::Result<LogPage, Error> {
    store.read_all(&LogScope::EveryTenant, after, &LogFilter::default(), PAGE_EVENTS).await
}

#[async_trait]
impl Log for Ours {
    async fn append(&self, booking: Booking, seen: i64) -> Result<Appended> {
        let expected = match seen {
            0 => ExpectedVersion::NoStream,
            version => ExpectedVersion::Exact(Version(version.unsigned_abs())),
        };
        let events = vec![NewEvent::encode(&AccountEvent::of(booking))?];
        let commit = Commit::new(CommitId::draw()).append(stream(booking)?, expected, events);
        match self.ports.store.commit(&self.tenant, commit).await {
            Ok(committed) => {
                let version = committed.versions.first().map_or(0, |stream| stream.version.0);
                Ok(Appended::Stored(i64::try_from(version)?))
            }
            Err(Error::Conflict(conflict)) => Ok(Appended::Conflict(i64::try_from(conflict.actual.0)?)),
            Err(error) => Err(error.into()),
        }
    }

    async fn append_many(&self, bookings: &[Booking], before: u64) -> Result<()> {
        let Some(first) = bookings.first() else { return Ok(()) };
        let expected = match before {
            0 => ExpectedVersion::NoStream,
            version => ExpectedVersion::Exact(Version(version)),
        };
        let events = bookings.iter().map(|booking| NewEvent::encode(&AccountEvent::of(*booking)));
        let events = events.collect::<std::result::Result<_, _>>()?;
        let commit = Commit::new(CommitId::draw()).append(stream(*first)?, expected, events);
        self.ports.store.commit(&self.tenant, commit).await?;
        Ok(())
    }

    async fn count(&self) -> Result<u64> {
        // Positions have no holes.
        Ok(self.ports.store.head().await?.number())
    }

    async fn read_whole(&self) -> Result<Option<Seen>> {
        let mut seen = Seen::default();
        let mut current = page(self.ports.store.clone(), Position::START).await?;
        loop {
            let (at_head, to) = (current.at_head, current.scanned_to);
            // Asked for first, in this task: the thread that decodes would keep one it spawned to itself.
            let ahead =
                async { if at_head { Ok(None) } else { page(self.ports.store.clone(), to).await.map(Some) } };
            let decoding = async {
                tokio::task::block_in_place(|| {
                    for record in current.events {
                        if let Some(recorded) = Recorded::<AccountEvent>::decode(record)? {
                            seen.events += 1;
                            seen.cents += recorded.event.cents();
                        }
                    }
                    Ok::<_, DecodeError>(())
                })
            };
            let (ahead, decoded) = tokio::join!(ahead, decoding);
            decoded?;
            match ahead? {
                Some(next) => current = next,
                None => return Ok(Some(seen)),
            }
        }
    }

    async fn follow(&self, tally: Arc<Tally>) -> Result<Option<Follower>> {
        let (store, wakeups) = (self.ports.store.clone(), self.ports.wakeups.clone());
        Ok(Some(Follower::start(|told| async move {
            let mut wakeup = wakeups.subscribe();
            let mut after = Position::START;
            while !told.is_cancelled() {
                let read = page(store.clone(), after).await?;
                after = read.scanned_to;
                for record in read.events {
                    if let Some(recorded) = Recorded::<AccountEvent>::decode(record)? {
                        tally.note(recorded.event.number()?);
                    }
                }
                if read.at_head {
                    tokio::select! {
                        () = wakeup.hint() => {}
                        () = tokio::time::sleep(POLL) => {}
                        () = told.cancelled() => {}
                    }
                }
            }
            Ok(())
        })))
    }

    async fn fold(&self, events: u64, _: Duration) -> Result<Option<f64>> {
        let engine = self.engine()?;
        let began = Instant::now();
        engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await?;
        Ok(Some(events as f64 / began.elapsed().as_secs_f64()))
    }

    fn events_table(&self) -> Option<&'static str> {
        self.table
    }

    async fn close(&self) -> Result<()> {
        Ok(match &self.opened {
            Store::Postgres(store) => store.close().await?,
            Store::Sqlite { store, .. } => store.close().await?,
        })
    }
}
