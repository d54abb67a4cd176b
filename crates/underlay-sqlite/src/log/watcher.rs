//! Finds out that another process has written to the file, and wakes who waits for events or work.
//!
//! SQLite keeps a counter of commits that a connection can ask for without reading a page. It is asked
//! at an even interval; only where the log has grown, or work waits that is newer than any seen, is anybody
//! woken. Of work that was done before it was seen nobody needs to know.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use underlay_core::adapter::{WakeupHub, stored_number};
use underlay_core::{Lane, WorkHint};

use crate::connections::database::Database;
use crate::error::Failure;
use crate::event_store;
use crate::work::{sharing, work_row};

/// Pieces of newer work that are looked at to say where they are.
const NEWER_WORK_MAX: i64 = 1_000;

/// Tells the watcher to end.
#[derive(Default)]
pub(crate) struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(crate) fn set(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits at most `duration`; true once it is set.
    fn wait(&self, duration: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(stopped, duration, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What the watching thread works with.
pub(crate) struct Watcher {
    pub(crate) database: Database,
    pub(crate) interval: Duration,
    /// The last position known, shared with the writer.
    pub(crate) head: Arc<AtomicU64>,
    pub(crate) wakeups: Arc<WakeupHub>,
    pub(crate) stop: Arc<Stop>,
}

impl Watcher {
    /// Watches until it is stopped. A failure costs a hint, and the connection is made anew.
    pub(crate) fn run(self) {
        while !self.stop.wait(self.interval) {
            if let Err(failure) = self.watch() {
                tracing::warn!(%failure, "watching the SQLite file");
            }
        }
    }

    fn watch(&self) -> Result<(), Failure> {
        let connection = self.database.open_reader()?;
        let (mut seen, mut newest) = (None, 0);
        loop {
            let now: i64 = connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
            if seen != Some(now) {
                seen = Some(now);
                self.look(&connection, &mut newest)?;
            }
            if self.stop.wait(self.interval) {
                return Ok(());
            }
        }
    }

    fn look(&self, connection: &Connection, newest: &mut u64) -> Result<(), Failure> {
        let (head, work) = (event_store::head(connection)?, sharing::newest_work(connection)?.number());
        let has_events = self.head.fetch_max(head, Ordering::Relaxed) < head;
        let has_work = *newest < work;
        if has_events || has_work {
            self.wakeups.wake();
        }
        if has_work {
            self.wakeups.wake_for_work(work_since(connection, *newest)?);
            *newest = work;
        }
        Ok(())
    }
}

/// Where there is work after a place.
fn work_since(connection: &Connection, place: u64) -> Result<WorkHint, Failure> {
    let mut select =
        connection.prepare_cached(include_str!("../sql/work/select_shards_of_newer_work.sql"))?;
    let mut rows = select.query([stored_number(place), NEWER_WORK_MAX])?;
    let (mut hint, mut looked_at) = (WorkHint::default(), 0);
    while let Some(row) = rows.next()? {
        let shard = work_row::shard(row, 0, "newer work")?;
        match row.get::<_, Option<u8>>(1)?.map(Lane::from_number) {
            Some(lane) => hint.add_ready(shard, lane.unwrap_or_default()),
            None => hint.later.insert(shard),
        }
        looked_at += 1;
    }
    Ok(if looked_at < NEWER_WORK_MAX { hint } else { WorkHint::EVERYWHERE })
}
