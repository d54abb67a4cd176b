//! The baseline of commits: what a careful program does without group commit. One thread owns the
//! connection; every append is handed to it, is one transaction with its own flush, and is answered.
//! Table, indexes and safety are the same; there is no table of outcomes.

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Statement, params};
use tokio::sync::oneshot;
use underlay_sqlite::{SqliteConfig, SqliteStore};
use uuid::Uuid;

use crate::Result;

/// One append, to one stream.
pub(crate) struct Append {
    pub(crate) stream: String,
    /// The version the stream is expected to have.
    pub(crate) expected: i64,
    pub(crate) events: Vec<PlainEvent>,
}

/// An event of an append.
pub(crate) struct PlainEvent {
    pub(crate) id: Uuid,
    pub(crate) event_type: String,
    pub(crate) payload: String,
}

type Handed = (Append, oneshot::Sender<Result<()>>);

/// The thread that writes.
pub(crate) struct PlainWriter {
    sender: mpsc::Sender<Handed>,
    thread: JoinHandle<Result<()>>,
}

/// Hands appends over. Clones share the thread.
#[derive(Clone)]
pub(crate) struct PlainAppender(mpsc::Sender<Handed>);

/// A new file with the tables of the product, opened without it.
pub(crate) async fn create(path: &Path) -> Result<Connection> {
    let store = SqliteStore::open(path, SqliteConfig::default())?;
    store.close().await?;
    drop(store);
    open(path)
}

/// Opens a file with the safety and the cache of the product's writer; checkpoints stay SQLite's own.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        return Err(format!("the journal is {mode}, not wal").into());
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    let cache = -i64::try_from(SqliteConfig::default().writer_cache_bytes / 1024)?;
    connection.pragma_update(None, "cache_size", cache)?;
    Ok(connection)
}

impl PlainWriter {
    /// Starts the thread.
    pub(crate) fn start(connection: Connection) -> Result<Self> {
        let (sender, appends) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("plain-writer".to_owned())
            .spawn(move || write(&connection, &appends))?;
        Ok(Self { sender, thread })
    }

    pub(crate) fn appender(&self) -> PlainAppender {
        PlainAppender(self.sender.clone())
    }

    /// Ends the thread, once every appender is gone.
    pub(crate) fn stop(self) -> Result<()> {
        drop(self.sender);
        self.thread.join().map_err(|_| "the plain writer panicked")?
    }
}

impl PlainAppender {
    /// Ends when the append is durable.
    pub(crate) async fn append(&self, append: Append) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.0.send((append, answer)).map_err(|_| "the plain writer has ended")?;
        answered.await?
    }
}

struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    select_version: Statement<'c>,
    insert: Statement<'c>,
}

fn write(connection: &Connection, appends: &mpsc::Receiver<Handed>) -> Result<()> {
    let mut statements = Statements {
        begin: connection.prepare("BEGIN IMMEDIATE")?,
        commit: connection.prepare("COMMIT")?,
        select_version: connection.prepare(
            "SELECT version FROM events WHERE tenant = 'bench' AND stream = ?1 ORDER BY version DESC LIMIT 1",
        )?,
        insert: connection.prepare(
            "INSERT INTO events (tenant, stream, version, event_id, type, schema_version, recorded_at, \
             commit_tail, metadata, payload) VALUES ('bench', ?1, ?2, ?3, ?4, 1, ?5, ?6, '{}', ?7)",
        )?,
    };
    for (append, answer) in appends {
        // A caller that has gone away needs no answer.
        answer.send(write_one(&mut statements, &append)).ok();
    }
    Ok(())
}

fn write_one(statements: &mut Statements<'_>, append: &Append) -> Result<()> {
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_micros())?;
    statements.begin.execute([])?;
    let version: Option<i64> =
        statements.select_version.query_row([&append.stream], |row| row.get(0)).optional()?;
    let mut version = version.unwrap_or(0);
    if version != append.expected {
        return Err(format!("{} is at version {version}, not {}", append.stream, append.expected).into());
    }
    let mut tail = append.events.len();
    for event in &append.events {
        version += 1;
        tail -= 1;
        let id = &event.id.as_bytes()[..];
        let tail = i64::try_from(tail)?;
        statements.insert.execute(params![
            append.stream,
            version,
            id,
            event.event_type,
            now,
            tail,
            event.payload
        ])?;
    }
    statements.commit.execute([])?;
    Ok(())
}
