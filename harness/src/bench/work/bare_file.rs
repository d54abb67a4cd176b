//! The baseline on SQLite: as the bare table on PostgreSQL, with one writer at a time, as a file has it. A batch is
//! flushed with the next insert, as what became of our work is.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior, params};
use tokio::task::JoinSet;

use super::backlog::BATCH;
use super::courier::message;
use super::drain::Rates;
use crate::Result;
use crate::subject::Place;

/// How long a writer waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(60);

const TABLE: &str = "CREATE TABLE bare_jobs (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, key TEXT NOT NULL, \
                     name TEXT NOT NULL, payload TEXT NOT NULL)";
const INSERT: &str = "INSERT INTO bare_jobs (tenant, key, name, payload) VALUES (?1, ?2, ?3, ?4)";
const TAKE: &str = "DELETE FROM bare_jobs WHERE id IN (SELECT id FROM bare_jobs ORDER BY id LIMIT 200) \
                    RETURNING id, tenant, key, name, payload";

pub(super) struct BareFile {
    path: PathBuf,
    _place: Arc<dyn Place>,
}

impl BareFile {
    pub(super) async fn create(place: Arc<dyn Place>) -> Result<Self> {
        let path = place.files().ok_or("a bare file is in a folder")?.join("bare.db");
        let file = Self { path, _place: place };
        let connection = open(&file.path, "FULL")?;
        connection.execute_batch(TABLE)?;
        Ok(file)
    }

    pub(super) async fn drain(&self, workers: usize, count: u64) -> Result<Rates> {
        let path = self.path.clone();
        let stored = tokio::task::spawn_blocking(move || fill(&path, 0..count)).await??;
        let begun = Instant::now();
        let mut working = JoinSet::new();
        for _ in 0..workers {
            let path = self.path.clone();
            working.spawn_blocking(move || work(&path));
        }
        let mut done = 0;
        while let Some(own) = working.join_next().await {
            done += own??;
        }
        let drained = begun.elapsed();
        if done != count {
            return Err(format!("of {count} bare jobs {done} were done").into());
        }
        Ok(Rates::of(count, stored, drained))
    }
}

fn open(path: &PathBuf, synchronous: &str) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(TURN_MAX)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    Ok(connection)
}

/// Inserts jobs, with a flush for each batch; how long that took.
fn fill(path: &PathBuf, numbers: Range<u64>) -> Result<Duration> {
    let mut connection = open(path, "FULL")?;
    let begun = Instant::now();
    let numbers: Vec<u64> = numbers.collect();
    for batch in numbers.chunks(BATCH) {
        let turn = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = turn.prepare_cached(INSERT)?;
            for number in batch {
                let (tenant, work) = message(*number)?;
                let payload = work.payload.text();
                insert.execute(params![tenant.as_str(), work.key, work.name, payload.as_str()])?;
            }
        }
        turn.commit()?;
    }
    Ok(begun.elapsed())
}

/// Takes jobs until there are none; how many it did.
fn work(path: &PathBuf) -> Result<u64> {
    let mut connection = open(path, "NORMAL")?;
    let mut done = 0;
    loop {
        let turn = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let taken = {
            let mut take = turn.prepare_cached(TAKE)?;
            let payloads = take.query_map([], |row| row.get::<_, String>(4))?;
            payloads.collect::<std::result::Result<Vec<_>, _>>()?.len()
        };
        turn.commit()?;
        if taken == 0 {
            return Ok(done);
        }
        done += taken as u64;
    }
}
