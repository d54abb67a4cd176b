//! What each index and the table of outcomes cost: the same rows in the same transactions, once into
//! everything, once with one of them left out.

use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::Result;

use super::account::Bookings;
use super::disk::Disk;
use super::figure::{Figure, Sample};
use super::{Scale, plain_appends};

/// Commits of one event each in a transaction.
const BATCH_COMMITS: u64 = 256;
/// Streams the events go to.
const STREAMS: u64 = 10_000;

/// What is written, and into what.
struct Variant {
    name: &'static str,
    /// Done to a new file beforehand.
    without: &'static str,
    outcomes: bool,
}

/// The first is what the others are compared with.
const VARIANTS: &[Variant] = &[
    Variant { name: "insert into everything", without: "", outcomes: true },
    Variant {
        name: "without index events_by_stream",
        without: "DROP INDEX events_by_stream",
        outcomes: true,
    },
    Variant { name: "without index events_by_id", without: "DROP INDEX events_by_id", outcomes: true },
    Variant { name: "without table commits", without: "", outcomes: false },
    Variant {
        name: "insert into table events alone",
        without: "DROP INDEX events_by_stream; DROP INDEX events_by_id",
        outcomes: false,
    },
];

pub(crate) async fn measure(disk: &Disk, scale: &Scale) -> Result<Vec<Figure>> {
    let bookings = Bookings::new()?;
    let mut rates: Vec<Vec<Sample>> = VARIANTS.iter().map(|_| Vec::new()).collect();
    let mut sizes = rates.clone();
    for _ in 0..scale.rounds {
        for (at, variant) in VARIANTS.iter().enumerate() {
            let folder = disk.fresh()?;
            let path = folder.path().join("log.db");
            let connection = plain_appends::create(&path).await?;
            connection.execute_batch(variant.without)?;
            let start = Instant::now();
            tokio::task::block_in_place(|| insert(&connection, variant, &bookings, scale.index_rows))?;
            rates[at].push(Sample::of(scale.index_rows as f64 / start.elapsed().as_secs_f64()));
            sizes[at].push(Sample::of(file_bytes(&connection, &path)? / scale.index_rows as f64));
        }
    }
    let mut figures = Vec::new();
    for (kind, unit, mut runs) in [("rows", "rows/s", rates), ("size", "B/event", sizes)] {
        let first = runs.first().cloned().unwrap_or_default();
        for (at, variant) in VARIANTS.iter().enumerate() {
            let figure =
                Figure::new(format!("{kind}, {}", variant.name), unit, std::mem::take(&mut runs[at]));
            figures.push(if at == 0 { figure } else { figure.with_baseline("everything", first.clone()) });
        }
    }
    Ok(figures)
}

fn insert(connection: &Connection, variant: &Variant, bookings: &Bookings, rows: u64) -> Result<()> {
    let mut event = connection.prepare(
        "INSERT INTO events (position, tenant, stream, version, event_id, type, schema_version, recorded_at, \
         commit_tail, metadata, payload) VALUES (?1, 'bench', ?2, ?3, ?4, ?5, 1, ?6, 0, '{}', ?7)",
    )?;
    let mut outcome = connection.prepare(
        "INSERT INTO commits (tenant, commit_id, fingerprint, kind, position, event_count, recorded_at) \
         VALUES ('bench', ?1, ?2, 'accepted', ?3, 1, ?4)",
    )?;
    for number in 0..rows {
        if number % BATCH_COMMITS == 0 {
            connection.execute_batch("BEGIN IMMEDIATE")?;
        }
        let position = i64::try_from(number + 1)?;
        // A stride without a factor in common with the number of streams: neighbours in time are not
        // neighbours in the index.
        let stream = format!("account-{}", number * 7_919 % STREAMS);
        let version = i64::try_from(number / STREAMS + 1)?;
        let (event_type, payload) = bookings.of(number);
        let id = Uuid::now_v7();
        event.execute(params![
            position,
            stream,
            version,
            &id.as_bytes()[..],
            event_type.as_str(),
            position,
            payload.as_str()
        ])?;
        if variant.outcomes {
            let id = Uuid::now_v7();
            outcome.execute(params![&id.as_bytes()[..], &id.as_bytes()[..], position, position])?;
        }
        if number % BATCH_COMMITS == BATCH_COMMITS - 1 || number == rows - 1 {
            connection.execute_batch("COMMIT")?;
        }
    }
    Ok(())
}

/// The size of the file with everything in it.
fn file_bytes(connection: &Connection, path: &Path) -> Result<f64> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(std::fs::metadata(path)?.len() as f64)
}
