//! Ours, on either store: the port for events, as an engine calls it; the engine where a view is folded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use figures::{Account, AccountEvent, Booking, Seen, log_page, read_whole};
use servers::{Database, LOGIN};
use tempfile::TempDir;
use underlay_core::{
    Aggregate, Commit, CommitId, Error, EventStore, ExpectedVersion, Keys, NewEvent, Position, ReadModels,
    Recorded, Snapshots, StreamName, SystemClock, TenantId, Version, View, Wakeups,
};
use underlay_derive::row;
use underlay_postgres::{PostgresConfig, PostgresStore, migrate};
use underlay_runtime::{Engine, EngineConfig, Ports, RebuildFrom, Registry};
use underlay_sqlite::{SqliteConfig, SqliteStore};

use super::{Appended, Follower, Log, Tally};
use crate::Result;

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
        let ports = Ports { leases: Some(Arc::new(store.clone())), ..ports(&store) };
        Self::new(ports, Some("underlay.events"), Store::Postgres(store))
    }

    /// On a file, beside those of the servers.
    pub(crate) async fn open_file() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let store = SqliteStore::open(folder.path().join("log.db"), SqliteConfig::default())?;
        Self::new(ports(&store), None, Store::Sqlite { store, _folder: folder })
    }

    fn new(ports: Ports, table: Option<&'static str>, opened: Store) -> Result<Self> {
        Ok(Self { ports, tenant: TenantId::new("bench")?, table, opened })
    }

    fn engine(&self) -> Result<Engine> {
        let registry = Registry::default().aggregate::<Account>().snapshots::<Account>().view(Balances);
        Ok(Engine::new(self.ports.clone(), registry, EngineConfig::default())?)
    }
}

/// What both stores have.
fn ports<S>(store: &S) -> Ports
where
    S: EventStore + ReadModels + Wakeups + Snapshots + Clone + 'static,
{
    Ports {
        store: Arc::new(store.clone()),
        read_models: Arc::new(store.clone()),
        wakeups: Arc::new(store.clone()),
        snapshots: Some(Arc::new(store.clone())),
        leases: None,
        work: None,
        clock: Arc::new(SystemClock),
    }
}

fn stream(booking: Booking) -> Result<StreamName> {
    Ok(Account::stream(&booking.account)?)
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
        Ok(Some(read_whole(&self.ports.store).await?))
    }

    async fn follow(&self, tally: Arc<Tally>) -> Result<Option<Follower>> {
        let (store, wakeups) = (self.ports.store.clone(), self.ports.wakeups.clone());
        Ok(Some(Follower::start(|told| async move {
            let mut wakeup = wakeups.subscribe();
            let mut after = Position::START;
            while !told.is_cancelled() {
                let read = log_page(store.clone(), after).await?;
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
