//! A reader that asks for what is new, again and again, until nobody writes and nothing is left.

use std::time::{Duration, Instant, SystemTime};

use servers::Database;
use tokio::sync::watch;
use tokio_postgres::types::ToSql;

use super::{COLUMNS, Reads, entry, notified};
use crate::Result;
use crate::order::evidence::{LogEntry, PageLine};
use crate::order::mistakes::table;

/// Between two looks.
const PAUSE: Duration = Duration::from_micros(500);

pub(super) async fn read(
    database: Database,
    reads: Reads,
    all_done: watch::Receiver<bool>,
) -> Result<Vec<PageLine>> {
    let (condition, order, limit) = match reads {
        Reads::Notified => return notified::read(database, all_done).await,
        Reads::Position { limit } => ("position > $1", "position", limit),
        Reads::Time => ("recorded_at > $1", "recorded_at, position", i64::MAX),
        Reads::Horizon => {
            ("position > $1 AND written_by < pg_snapshot_xmin(pg_current_snapshot())", "position", i64::MAX)
        }
    };
    let select =
        format!("SELECT {COLUMNS}, recorded_at FROM events WHERE {condition} ORDER BY {order} LIMIT {limit}");
    let client = database.admin().await?;
    let mut pages: Vec<PageLine> = Vec::new();
    let mut last_time = SystemTime::UNIX_EPOCH;
    let mut progress_at = (Instant::now(), SystemTime::now());
    loop {
        let last = *all_done.borrow();
        let after = pages.last().map_or(0, |page| page.scanned_to);
        let number = i64::try_from(after)?;
        let parameter: &(dyn ToSql + Sync) = if reads == Reads::Time { &last_time } else { &number };
        let rows = client.query(&select, &[parameter]).await?;
        let entries = rows.iter().map(entry).collect::<Result<Vec<LogEntry>>>()?;
        if let (Some(first), Some(end)) = (rows.first(), rows.last()) {
            let mut page = table::note(after, &entries);
            // It was ahead since its first new event was written, or since this reader looked last.
            let ahead_since = first.try_get::<_, SystemTime>(7)?.max(progress_at.1);
            let stall = SystemTime::now().duration_since(ahead_since).unwrap_or_default();
            page.stall_micros = u64::try_from(stall.min(progress_at.0.elapsed()).as_micros())?;
            pages.push(page);
            last_time = end.try_get(7)?;
            progress_at = (Instant::now(), SystemTime::now());
        } else if last {
            return Ok(pages);
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }
}
