//! Baselines: the rows of our commits put into our tables as they are, by who may do everything. Nothing
//! is checked, locked or answered; no commit knows of another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use figures::{Booking, Latency, Sample, Seen};
use servers::{Database, connect};
use tokio::sync::{Mutex, Semaphore};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::{Appended, Follower, Log, Tally, ours};
use crate::account::AccountEvent;
use crate::press::ACCOUNTS_EACH;
use crate::{Result, Scale};

/// The connections it was fastest with at 64 callers, of 1, 4, 8, 16, 32 and 64.
pub(crate) const POOL: u32 = 64;

/// What stands for the fingerprint of a commit: as long, and looked at by nobody.
const FINGERPRINT: &[u8] = &[7; 16];

/// A commit of one event as one statement and one transaction, each on a connection of the pool.
pub(crate) struct Insert {
    idle: Mutex<Vec<(Client, Statement)>>,
    free: Semaphore,
    positions: AtomicU64,
}

impl Insert {
    pub(crate) async fn open(database: &Database, connections: u32) -> Result<Self> {
        ours::install(database).await?;
        let mut idle = Vec::new();
        for _ in 0..connections {
            let client = connect(&database.admin_address()).await?;
            let statement = client.prepare(include_str!("../../sql/insert_commit.sql")).await?;
            idle.push((client, statement));
        }
        let free = Semaphore::new(idle.len());
        Ok(Self { idle: Mutex::new(idle), free, positions: AtomicU64::new(0) })
    }
}

#[async_trait]
impl Log for Insert {
    async fn append(&self, booking: Booking, seen: i64) -> Result<Appended> {
        let payload = serde_json::to_string(&AccountEvent::of(booking))?;
        let (stream, version) = (booking.stream(), seen + 1);
        let position = i64::try_from(self.positions.fetch_add(1, Ordering::Relaxed))? + 1;
        let (event_id, commit_id) = (Uuid::now_v7(), Uuid::now_v7());
        let parameters: [&(dyn ToSql + Sync); 7] =
            [&position, &version, &stream, &event_id, &commit_id, &FINGERPRINT, &payload];
        let permit = self.free.acquire().await?;
        let taken = self.idle.lock().await.pop();
        let Some((client, statement)) = taken else { return Err("the pool is empty".into()) };
        let stored = client.execute(&statement, &parameters).await;
        self.idle.lock().await.push((client, statement));
        drop(permit);
        stored?;
        Ok(Appended::Stored(version))
    }

    async fn append_many(&self, _: &[Booking], _: u64) -> Result<()> {
        Err("a baseline of appends alone".into())
    }

    async fn count(&self) -> Result<u64> {
        Ok(self.positions.load(Ordering::Relaxed))
    }

    async fn read_whole(&self) -> Result<Option<Seen>> {
        Ok(None)
    }

    async fn follow(&self, _: Arc<Tally>) -> Result<Option<Follower>> {
        Ok(None)
    }

    async fn fold(&self, _: u64, _: Duration) -> Result<Option<f64>> {
        Ok(None)
    }

    fn events_table(&self) -> Option<&'static str> {
        None
    }

    async fn close(&self) -> Result<()> {
        self.idle.lock().await.clear();
        Ok(())
    }
}

/// Commits of one event, as many as there are callers in each statement, one statement after the other
/// on one connection. A commit waits as long as its statement.
pub(crate) async fn batches(database: &Database, size: usize, scale: &Scale) -> Result<Sample> {
    ours::install(database).await?;
    let client = database.admin().await?;
    let statement = client.prepare(include_str!("../../sql/insert_commits.sql")).await?;
    let mut versions = vec![0_i64; size * ACCOUNTS_EACH as usize];
    let mut nanoseconds = Vec::new();
    let (mut number, began) = (0_u64, Instant::now());
    while began.elapsed() < scale.warm_up + scale.run {
        let accounts = (0..size as u64).map(|caller| {
            let turn = number / size as u64;
            caller * ACCOUNTS_EACH + turn % ACCOUNTS_EACH
        });
        let bookings: Vec<Booking> =
            accounts.zip(number..).map(|(account, number)| Booking { account, number }).collect();
        let asked = Instant::now();
        insert(&client, &statement, &bookings, &mut versions).await?;
        number += size as u64;
        let end = began.elapsed();
        if end >= scale.warm_up && end < scale.warm_up + scale.run {
            let taken = u64::try_from(asked.elapsed().as_nanos())?;
            nanoseconds.extend(std::iter::repeat_n(taken, size));
        }
    }
    let value = nanoseconds.len() as f64 / scale.run.as_secs_f64();
    Ok(Sample { value, latency: Latency::of(nanoseconds), conflicts: None })
}

async fn insert(
    client: &Client,
    statement: &Statement,
    bookings: &[Booking],
    versions: &mut [i64],
) -> Result<()> {
    let before = i64::try_from(bookings.first().map_or(0, |first| first.number))?;
    let mut expected = Vec::with_capacity(bookings.len());
    for booking in bookings {
        let version = &mut versions[booking.account as usize];
        *version += 1;
        expected.push(*version);
    }
    let streams: Vec<String> = bookings.iter().map(|booking| booking.stream()).collect();
    let draw = || -> Vec<Uuid> { bookings.iter().map(|_| Uuid::now_v7()).collect() };
    let (event_ids, commit_ids) = (draw(), draw());
    let payloads = bookings.iter().map(|booking| serde_json::to_string(&AccountEvent::of(*booking)));
    let payloads = payloads.collect::<serde_json::Result<Vec<String>>>()?;
    let parameters: [&(dyn ToSql + Sync); 7] =
        [&before, &expected, &streams, &event_ids, &commit_ids, &FINGERPRINT, &payloads];
    client.execute(statement, &parameters).await?;
    Ok(())
}
