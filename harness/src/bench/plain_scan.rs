//! The baseline of reads: the same rows by the same index, every byte of every column looked at, and
//! nothing made of them.

use std::path::Path;
use std::time::Instant;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Params};

use crate::Result;

/// What a scan saw.
pub(crate) struct Scanned {
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
    /// So that nothing is left out by the compiler.
    sum: u64,
}

impl Scanned {
    /// Rows a second.
    ///
    /// # Errors
    /// Where the number of rows is another, or they were empty.
    pub(crate) fn rate(&self, rows: u64) -> Result<f64> {
        if self.rows != rows || self.sum == 0 {
            return Err(format!("the plain scan saw {} rows, not {rows}", self.rows).into());
        }
        Ok(self.rows as f64 / self.seconds)
    }
}

/// Opens a file to read.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    // One thread at a time uses it, so it needs no lock of its own.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(path, flags)?)
}

/// Scans the whole log, in the order of positions.
pub(crate) fn log(connection: &Connection) -> Result<Scanned> {
    scan(connection, "SELECT * FROM events ORDER BY position", [])
}

/// Scans one stream, in the order of versions.
pub(crate) fn stream(connection: &Connection, stream: &str) -> Result<Scanned> {
    scan(connection, "SELECT * FROM events WHERE tenant = 'bench' AND stream = ?1 ORDER BY version", [stream])
}

fn scan(connection: &Connection, sql: &str, parameters: impl Params) -> Result<Scanned> {
    let mut select = connection.prepare_cached(sql)?;
    let columns = select.column_count();
    let start = Instant::now();
    let mut scanned = Scanned { rows: 0, seconds: 0.0, sum: 0 };
    let mut rows = select.query(parameters)?;
    while let Some(row) = rows.next()? {
        scanned.rows += 1;
        for column in 0..columns {
            let value = match row.get_ref(column)? {
                ValueRef::Null => 0,
                ValueRef::Integer(number) => number.unsigned_abs(),
                ValueRef::Real(number) => number.to_bits(),
                ValueRef::Text(bytes) => sum(std::str::from_utf8(bytes)?.as_bytes()),
                ValueRef::Blob(bytes) => sum(bytes),
            };
            scanned.sum = scanned.sum.wrapping_add(value);
        }
    }
    scanned.seconds = start.elapsed().as_secs_f64();
    Ok(scanned)
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}
