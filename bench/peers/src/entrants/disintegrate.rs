//! disintegrate on PostgreSQL: its append with a check, and the one without; its listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::disintegrate::serde::json::Json;
use ::disintegrate::{EventListener, EventStore, PersistedEvent, StreamItem, StreamQuery, query};
use async_trait::async_trait;
use disintegrate_postgres::{
    Error, PgEventId, PgEventListener, PgEventListenerConfig, PgEventStore, RetryAction,
};
use figures::{Booking, Seen};
use futures_util::StreamExt;
use servers::Database;
use sqlx::PgPool;

use super::{Appended, Follower, Log, Tally, count_rows, pool, wait_for};
use crate::Result;
use crate::account::AccountEvent;

/// The connections it was fastest with at 64 callers, of 1, 4, 8, 16, 32 and 64.
pub(crate) const POOL: u32 = 32;
/// The same where it checks: the more transactions at once, the more of them PostgreSQL refuses.
pub(crate) const POOL_CHECKED: u32 = 1;

/// How often its listener looks, beside its notifications.
const POLL: Duration = Duration::from_millis(50);

type Store = PgEventStore<AccountEvent, Json<AccountEvent>>;

pub(crate) struct Disintegrate {
    pool: PgPool,
    store: Store,
    /// Whether an append says what it expects.
    checks: bool,
}

impl Disintegrate {
    pub(crate) async fn open(database: &Database, connections: u32, checks: bool) -> Result<Self> {
        // One of its functions is not understood before PostgreSQL 16: it is made unread, then mended.
        let unread = format!("ALTER DATABASE {} SET check_function_bodies = off", database.name());
        database.admin().await?.batch_execute(&unread).await?;
        let pool = pool(database, connections).await?;
        let store = PgEventStore::try_new(pool.clone(), Json::default()).await?;
        database.admin().await?.batch_execute(include_str!("../../sql/rewrite_begin_epoch.sql")).await?;
        Ok(Self { pool, store, checks })
    }

    /// The last event of an account after one.
    async fn last_of(&self, booking: Booking, after: PgEventId) -> Result<PgEventId> {
        let account = booking.account_id();
        let query = query!(AccountEvent; account == account).change_origin(after);
        let mut events = self.store.stream(&query);
        let mut last = after;
        while let Some(item) = events.next().await {
            if let StreamItem::Event(event) = item? {
                last = event.id();
            }
        }
        Ok(last)
    }

    /// Runs a listener for everything that is stored.
    fn listen(
        &self,
        listener: impl EventListener<PgEventId, AccountEvent, Error = sqlx::Error> + 'static,
    ) -> Follower {
        let again = |_, _: usize| RetryAction::Wait { duration: Duration::from_millis(100) };
        let config = PgEventListenerConfig::poller(POLL).with_notifier().with_retry(again);
        let listener = PgEventListener::builder(self.store.clone()).register_listener(listener, config);
        Follower::start(|told| async move {
            Ok(listener.start_with_shutdown(async move { told.cancelled().await }).await?)
        })
    }
}

/// SERIALIZABLE refuses what might not be serial, and a victim of a deadlock is to try again.
fn is_conflict(error: &Error) -> bool {
    match error {
        Error::Concurrency => true,
        Error::Database(sqlx::Error::Database(error)) => {
            error.code().is_some_and(|code| ["40001", "40P01"].contains(&code.as_ref()))
        }
        _ => false,
    }
}

#[async_trait]
impl Log for Disintegrate {
    async fn append(&self, booking: Booking, seen: i64) -> Result<Appended> {
        let events = vec![AccountEvent::of(booking)];
        let appended = if self.checks {
            let account = booking.account_id();
            let query: StreamQuery<PgEventId, AccountEvent> = query!(AccountEvent; account == account);
            self.store.append(events, query, seen).await
        } else {
            self.store.append_without_validation(events).await
        };
        match appended {
            Ok(events) => Ok(Appended::Stored(events.last().map_or(seen, PersistedEvent::id))),
            Err(error) if is_conflict(&error) => Ok(Appended::Conflict(self.last_of(booking, seen).await?)),
            Err(error) => Err(error.into()),
        }
    }

    async fn append_many(&self, bookings: &[Booking], _: u64) -> Result<()> {
        let events = bookings.iter().map(|booking| AccountEvent::of(*booking)).collect();
        self.store.append_without_validation(events).await?;
        Ok(())
    }

    async fn count(&self) -> Result<u64> {
        count_rows(&self.pool, "event").await
    }

    async fn read_whole(&self) -> Result<Option<Seen>> {
        let query = query!(AccountEvent);
        let mut events = self.store.stream::<AccountEvent>(&query);
        let mut seen = Seen::default();
        while let Some(item) = events.next().await {
            if let StreamItem::Event(event) = item? {
                seen.events += 1;
                seen.cents += event.cents();
            }
        }
        Ok(Some(seen))
    }

    async fn follow(&self, tally: Arc<Tally>) -> Result<Option<Follower>> {
        Ok(Some(self.listen(Tallying { tally, query: query!(AccountEvent) })))
    }

    async fn fold(&self, events: u64, longest: Duration) -> Result<Option<f64>> {
        sqlx::raw_sql(include_str!("../../sql/replace_balances.sql")).execute(&self.pool).await?;
        sqlx::raw_sql(include_str!("../../sql/forget_listeners.sql")).execute(&self.pool).await?;
        let count = Arc::new(AtomicU64::new(0));
        let balances =
            Balances { pool: self.pool.clone(), count: count.clone(), query: query!(AccountEvent) };
        let listener = self.listen(balances);
        let speed = wait_for(&count, events, longest).await;
        listener.end().await?;
        Ok(Some(speed))
    }

    fn events_table(&self) -> Option<&'static str> {
        Some("event")
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await;
        Ok(())
    }
}

struct Tallying {
    tally: Arc<Tally>,
    query: StreamQuery<PgEventId, AccountEvent>,
}

#[async_trait]
impl EventListener<PgEventId, AccountEvent> for Tallying {
    type Error = sqlx::Error;

    fn id(&self) -> &'static str {
        "tally"
    }

    fn query(&self) -> &StreamQuery<PgEventId, AccountEvent> {
        &self.query
    }

    async fn handle(
        &self,
        event: PersistedEvent<PgEventId, AccountEvent>,
    ) -> std::result::Result<(), sqlx::Error> {
        if let Ok(number) = event.number() {
            self.tally.note(number);
        }
        Ok(())
    }
}

/// A read model as its documentation writes one: a statement for each event.
struct Balances {
    pool: PgPool,
    count: Arc<AtomicU64>,
    query: StreamQuery<PgEventId, AccountEvent>,
}

#[async_trait]
impl EventListener<PgEventId, AccountEvent> for Balances {
    type Error = sqlx::Error;

    fn id(&self) -> &'static str {
        "balances"
    }

    fn query(&self) -> &StreamQuery<PgEventId, AccountEvent> {
        &self.query
    }

    async fn handle(
        &self,
        event: PersistedEvent<PgEventId, AccountEvent>,
    ) -> std::result::Result<(), sqlx::Error> {
        let upsert = sqlx::query(include_str!("../../sql/upsert_balance.sql"));
        upsert.bind(event.account()).bind(event.cents()).execute(&self.pool).await?;
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
