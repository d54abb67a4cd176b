//! cqrs-es with postgres-es: the table of its repository, its framework or its repository alone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{
    GenericQuery, PersistedEventRepository, PersistenceError, QueryReplay, SerializedEvent,
};
use cqrs_es::{Aggregate, AggregateError, DomainEvent, EventEnvelope, Query, View};
use figures::{Booking, Seen};
use postgres_es::{PostgresCqrs, PostgresEventRepository, PostgresViewRepository, postgres_cqrs};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use servers::Database;
use sqlx::PgPool;

use super::{Appended, Follower, Log, Tally, count_rows};
use crate::Result;
use crate::account::AccountEvent;

/// The connections it was fastest with at 64 callers, of 1, 4, 8, 16, 32 and 64.
pub(crate) const POOL: u32 = 32;

const TYPE: &str = "account";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Account {
    cents: i64,
}

/// The domain has no refusals here.
#[derive(Debug)]
struct NoRefusal;

impl fmt::Display for NoRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for NoRefusal {}

impl DomainEvent for AccountEvent {
    fn event_type(&self) -> String {
        self.type_name().to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

impl Aggregate for Account {
    const TYPE: &'static str = TYPE;
    type Command = AccountEvent;
    type Event = AccountEvent;
    type Error = NoRefusal;
    type Services = ();

    async fn handle(
        &mut self,
        command: AccountEvent,
        (): &(),
        sink: &EventSink<Self>,
    ) -> std::result::Result<(), NoRefusal> {
        sink.write(command, self).await;
        Ok(())
    }

    fn apply(&mut self, event: AccountEvent) {
        self.cents += event.cents();
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Balance {
    cents: i64,
    bookings: i64,
}

impl View<Account> for Balance {
    fn update(&mut self, event: &EventEnvelope<Account>) {
        self.cents += event.payload.cents();
        self.bookings += 1;
    }
}

/// Its own query, with a count of what it was given.
struct Counting {
    query: GenericQuery<PostgresViewRepository<Balance, Account>, Balance, Account>,
    count: Arc<AtomicU64>,
}

#[async_trait]
impl Query<Account> for Counting {
    async fn dispatch(&self, id: &str, events: &[EventEnvelope<Account>]) {
        self.query.dispatch(id, events).await;
        self.count.fetch_add(events.len() as u64, Ordering::Relaxed);
    }
}

pub(crate) struct CqrsEs {
    pool: PgPool,
    framework: PostgresCqrs<Account>,
    repository: PostgresEventRepository,
    /// By the framework, which loads the aggregate first; else by the repository alone.
    executes: bool,
}

impl CqrsEs {
    pub(crate) async fn open(database: &Database, pool: PgPool, executes: bool) -> Result<Self> {
        database.admin().await?.batch_execute(include_str!("../../sql/create_cqrs_events.sql")).await?;
        let framework = postgres_cqrs(pool.clone(), Vec::new(), ());
        let repository = PostgresEventRepository::new(pool.clone());
        Ok(Self { pool, framework, repository, executes })
    }

    async fn persist(&self, bookings: &[Booking], before: i64) -> std::result::Result<(), PersistenceError> {
        let events = bookings.iter().zip(before + 1..).map(|(booking, sequence)| {
            let event = AccountEvent::of(*booking);
            Ok(SerializedEvent::new(
                booking.account_id(),
                usize::try_from(sequence).unwrap_or_default(),
                TYPE.to_owned(),
                event.event_type(),
                event.event_version(),
                serde_json::to_value(&event)?,
                Value::Object(serde_json::Map::new()),
            ))
        });
        let events = events.collect::<std::result::Result<Vec<_>, PersistenceError>>()?;
        self.repository.persist::<Account>(&events, None).await
    }
}

#[async_trait]
impl Log for CqrsEs {
    async fn append(&self, booking: Booking, seen: i64) -> Result<Appended> {
        if self.executes {
            return match self.framework.execute(&booking.account_id(), AccountEvent::of(booking)).await {
                Ok(()) => Ok(Appended::Stored(0)),
                Err(AggregateError::AggregateConflict) => Ok(Appended::Conflict(0)),
                Err(error) => Err(error.into()),
            };
        }
        match self.persist(&[booking], seen).await {
            Ok(()) => Ok(Appended::Stored(seen + 1)),
            Err(error) => Err(error.into()),
        }
    }

    async fn append_many(&self, bookings: &[Booking], before: u64) -> Result<()> {
        Ok(self.persist(bookings, i64::try_from(before)?).await?)
    }

    async fn count(&self) -> Result<u64> {
        count_rows(&self.pool, "events").await
    }

    async fn read_whole(&self) -> Result<Option<Seen>> {
        let mut stream = self.repository.stream_all_events::<Account>().await?;
        let mut seen = Seen::default();
        while let Some(event) = stream.next::<Account>(&[]).await {
            seen.events += 1;
            seen.cents += event?.payload.cents();
        }
        Ok(Some(seen))
    }

    async fn follow(&self, _: Arc<Tally>) -> Result<Option<Follower>> {
        Ok(None)
    }

    async fn fold(&self, _: u64, longest: Duration) -> Result<Option<f64>> {
        sqlx::raw_sql(include_str!("../../sql/replace_cqrs_balances.sql")).execute(&self.pool).await?;
        let count = Arc::new(AtomicU64::new(0));
        let rows = Arc::new(PostgresViewRepository::new("balances", self.pool.clone()));
        let query = Counting { query: GenericQuery::new(rows), count: count.clone() };
        let replay = QueryReplay::new(PostgresEventRepository::new(self.pool.clone()), query);
        let began = Instant::now();
        // Row by row it takes long: what was folded until then is its speed.
        if let Ok(ended) = tokio::time::timeout(longest, replay.replay_all()).await {
            ended?;
        }
        Ok(Some(count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()))
    }

    fn events_table(&self) -> Option<&'static str> {
        Some("events")
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await;
        Ok(())
    }
}
