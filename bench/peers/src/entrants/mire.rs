//! mire: its append with the version it expects, its projections.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use ::mire::{
    Aggregate, Event, EventData, EventHandler, EventStore, EventStoreError, ExpectedVersion, HandledEvent,
    ProjectionRunner, ProjectionRunnerBuilder, TransactionalBatchEventHandler,
};
use async_trait::async_trait;
use figures::{Booking, Seen};
use servers::Database;
use sqlx_of_mire as sqlx;
use sqlx_of_mire::postgres::PgPoolOptions;
use sqlx_of_mire::{PgConnection, PgPool};

use super::{ACQUIRE_MAX, Appended, Follower, Log, Tally, wait_for};
use crate::Result;
use crate::account::AccountEvent;

/// The connections it was fastest with at 64 callers, of 1, 4, 8, 16, 32 and 64.
pub(crate) const POOL: u32 = 64;

const CATEGORY: &str = "account";
/// Events it reads at once.
const PAGE_EVENTS: i64 = 1_000;
/// How often a projection looks, beside its wake-ups within the process.
const BACKSTOP: Duration = Duration::from_millis(50);
/// Streams it remembers at once: more than there are.
const STREAMS_TRACKED: usize = 100_000;
/// When a read of the whole log is given up.
const READ_LONGEST: Duration = Duration::from_secs(120);

impl EventData for AccountEvent {
    fn event_type(&self) -> &'static str {
        self.type_name()
    }
}

#[derive(Debug, Default)]
struct Account;

impl Aggregate for Account {
    type Event = AccountEvent;

    fn stream_category() -> &'static str {
        CATEGORY
    }

    fn apply(&mut self, _: &AccountEvent) {}
}

pub(crate) struct Mire {
    store: EventStore,
    pool: PgPool,
    projections: AtomicU32,
}

impl Mire {
    pub(crate) async fn open(database: &Database, connections: u32) -> Result<Self> {
        let options = PgPoolOptions::new()
            .min_connections(connections)
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_MAX)
            .test_before_acquire(false);
        let pool = options.connect(&database.admin_address()).await?;
        let store = EventStore::new(pool.clone());
        store.migrate().await?;
        Ok(Self { store, pool, projections: AtomicU32::new(0) })
    }
}

impl Mire {
    /// Runs a projection that begins at the start of the log.
    fn project(
        &self,
        name: &str,
        subscribe: impl FnOnce(ProjectionRunnerBuilder, String) -> ProjectionRunnerBuilder,
    ) -> Follower {
        let name = format!("{name}-{}", self.projections.fetch_add(1, Ordering::Relaxed));
        let builder = ProjectionRunner::builder(self.store.clone())
            .idle_backstop_interval(BACKSTOP)
            .batch_size(PAGE_EVENTS)
            .max_tracked_streams(STREAMS_TRACKED);
        let runner = subscribe(builder, name).build();
        Follower::start(|told| async move { Ok(runner.run(told).await?) })
    }
}

fn expected(version: i64) -> ExpectedVersion {
    if version == 0 { ExpectedVersion::NoStream } else { ExpectedVersion::Exact(version) }
}

#[async_trait]
impl Log for Mire {
    async fn append(&self, booking: Booking, seen: i64) -> Result<Appended> {
        let events = [Event::new(AccountEvent::of(booking))];
        match self.store.append(&booking.stream(), CATEGORY, expected(seen), &events).await {
            Ok(version) => Ok(Appended::Stored(version)),
            Err(EventStoreError::ConcurrencyConflict { actual, .. }) => Ok(Appended::Conflict(actual)),
            Err(error) => Err(error.into()),
        }
    }

    async fn append_many(&self, bookings: &[Booking], before: u64) -> Result<()> {
        let Some(first) = bookings.first() else { return Ok(()) };
        let events: Vec<_> = bookings.iter().map(|booking| Event::new(AccountEvent::of(*booking))).collect();
        let expected = expected(i64::try_from(before)?);
        self.store.append(&first.stream(), CATEGORY, expected, &events).await?;
        Ok(())
    }

    async fn count(&self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM es_events").fetch_one(&self.pool).await?;
        Ok(u64::try_from(count)?)
    }

    // By a projection, whose pages come by an index; `read_all_after` passes over what it has read.
    async fn read_whole(&self) -> Result<Option<Seen>> {
        let stored = self.count().await?;
        let sum = Arc::new(Sum::default());
        let reader = self.project("reader", |runner, name| runner.subscribe(name, Summing(sum.clone())));
        wait_for(&sum.events, stored, READ_LONGEST).await;
        reader.end().await?;
        let seen =
            Seen { events: sum.events.load(Ordering::Acquire), cents: sum.cents.load(Ordering::Acquire) };
        Ok(Some(seen))
    }

    async fn follow(&self, tally: Arc<Tally>) -> Result<Option<Follower>> {
        Ok(Some(self.project("tally", |runner, name| runner.subscribe(name, Tallying(tally)))))
    }

    async fn fold(&self, events: u64, longest: Duration) -> Result<Option<f64>> {
        sqlx::raw_sql(include_str!("../../sql/replace_balances.sql")).execute(&self.pool).await?;
        let count = Arc::new(AtomicU64::new(0));
        let balances = Balances(count.clone());
        let runner =
            self.project("balances", |runner, name| runner.subscribe_transactional_batch(name, balances));
        let speed = wait_for(&count, events, longest).await;
        runner.end().await?;
        Ok(Some(speed))
    }

    fn events_table(&self) -> Option<&'static str> {
        Some("es_events")
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await;
        Ok(())
    }
}

#[derive(Default)]
struct Sum {
    events: AtomicU64,
    cents: AtomicI64,
}

struct Summing(Arc<Sum>);

impl EventHandler for Summing {
    type Aggregate = Account;

    async fn handle(&self, event: HandledEvent<AccountEvent>) -> anyhow::Result<()> {
        self.0.cents.fetch_add(event.event.cents(), Ordering::Relaxed);
        self.0.events.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

struct Tallying(Arc<Tally>);

impl EventHandler for Tallying {
    type Aggregate = Account;

    async fn handle(&self, event: HandledEvent<AccountEvent>) -> anyhow::Result<()> {
        self.0.note(event.event.number().map_err(anyhow::Error::from_boxed)?);
        Ok(())
    }
}

/// A read model for its pages: summed in memory, then one statement.
struct Balances(Arc<AtomicU64>);

impl TransactionalBatchEventHandler for Balances {
    type Aggregate = Account;

    async fn handle_batch(
        &self,
        events: Vec<HandledEvent<AccountEvent>>,
        connection: &mut PgConnection,
    ) -> anyhow::Result<()> {
        let mut sums: HashMap<&str, (i64, i64)> = HashMap::new();
        for event in &events {
            let (cents, bookings) = sums.entry(event.event.account()).or_default();
            *cents += event.event.cents();
            *bookings += 1;
        }
        let accounts: Vec<&str> = sums.keys().copied().collect();
        let (cents, bookings): (Vec<i64>, Vec<i64>) = sums.values().copied().unzip();
        let upsert = sqlx::query(include_str!("../../sql/upsert_balances.sql"));
        upsert.bind(accounts).bind(cents).bind(bookings).execute(connection).await?;
        self.0.fetch_add(events.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}
