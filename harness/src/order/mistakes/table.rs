//! A table of events without what keeps them right, and the parts every mistake is made of.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params};
use underlay_core::{EventType, ExpectedVersion, StreamName, StreamVersion, TenantId, Version};
use uuid::Uuid;

use crate::Result;
use crate::dice::Dice;
use crate::order::evidence::{
    Acknowledged, CATEGORIES, EVENT_TYPES, Evidence, Feed, Intention, LogEntry, Mark, PageLine,
    ReaderEvidence, TENANTS, WriterLine,
};

/// Writers beside each other.
const WRITERS: usize = 4;
/// Commits of each.
const COMMITS: usize = 60;
/// The longest pause of a writer.
const PAUSE_MAX: Duration = Duration::from_millis(3);
/// How long a writer waits for another.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

const COLUMNS: &str = "position, stream, version, event, commit_id, commit_index, commit_count";

/// A file with the table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    path: PathBuf,
}

/// A commit on its way: events of one stream.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) commit: Uuid,
    pub(super) stream: StreamName,
    pub(super) events: Vec<Uuid>,
}

impl Draft {
    pub(super) fn new(dice: &mut Dice) -> Result<Self> {
        let stream = StreamName::new(CATEGORIES[0], dice.below(4))?;
        let events = (0..=dice.below(4)).map(|_| dice.uuid()).collect();
        Ok(Self { commit: dice.uuid(), stream, events })
    }

    pub(super) fn count(&self) -> u32 {
        // At most four.
        self.events.len() as u32
    }
}

impl Table {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let table = Self { path: path.to_owned() };
        let connection = table.connect()?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.execute_batch(
            "CREATE TABLE events (
                position INTEGER NOT NULL,
                stream TEXT NOT NULL,
                version INTEGER NOT NULL,
                event BLOB NOT NULL,
                commit_id BLOB NOT NULL,
                commit_index INTEGER NOT NULL,
                commit_count INTEGER NOT NULL,
                stamp INTEGER NOT NULL
            );
            CREATE INDEX events_by_position ON events (position);
            CREATE INDEX events_by_stream ON events (stream, version);",
        )?;
        Ok(table)
    }

    pub(super) fn connect(&self) -> Result<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        Ok(connection)
    }

    /// Runs the writers, each with a connection of its own, and a reader beside them until they are done.
    pub(super) fn run(
        &self,
        dice: &mut Dice,
        write: impl Fn(&mut Connection, Draft, &mut Dice) -> Result<Vec<WriterLine>> + Sync,
        read: impl FnOnce(&Connection, &dyn Fn() -> bool) -> Result<Vec<PageLine>> + Send,
    ) -> Result<Evidence> {
        let done = std::sync::atomic::AtomicUsize::new(0);
        let mut evidence = Evidence::default();
        let write = |mut dice: Dice| -> Result<Vec<WriterLine>> {
            let mut lines = Vec::new();
            let mut connection = self.connect()?;
            for _ in 0..COMMITS {
                let draft = Draft::new(&mut dice)?;
                lines.push(WriterLine::Intended(intention(&draft)?));
                lines.extend(write(&mut connection, draft, &mut dice)?);
                thread::sleep(dice.time_below(PAUSE_MAX));
            }
            Ok(lines)
        };
        let pages = thread::scope(|scope| -> Result<Vec<PageLine>> {
            let writers: Vec<_> = (0..WRITERS)
                .map(|_| {
                    let dice = dice.fork();
                    let (write, done) = (&write, &done);
                    scope.spawn(move || {
                        let lines = write(dice).map_err(|error| error.to_string());
                        done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        lines
                    })
                })
                .collect();
            let all_done = || done.load(std::sync::atomic::Ordering::SeqCst) == WRITERS;
            let pages = self.connect().and_then(|connection| read(&connection, &all_done));
            for writer in writers {
                evidence.writers.extend(writer.join().map_err(|_| "a writer panicked")??);
            }
            pages
        })?;
        evidence.log = self.read_log()?;
        evidence.readers.push(ReaderEvidence { name: "reader".to_owned(), feed: Feed::Everything, pages });
        Ok(evidence)
    }

    fn read_log(&self) -> Result<Vec<LogEntry>> {
        let connection = self.connect()?;
        let mut select =
            connection.prepare(&format!("SELECT {COLUMNS} FROM events ORDER BY position, rowid"))?;
        let mut rows = select.query([])?;
        let mut log = Vec::new();
        while let Some(row) = rows.next()? {
            log.push(entry(row)?);
        }
        Ok(log)
    }
}

fn intention(draft: &Draft) -> Result<Intention> {
    let expected = vec![(draft.stream.clone(), ExpectedVersion::Any)];
    Ok(Intention { commit: draft.commit, tenant: TenantId::new(TENANTS[0])?, expected })
}

fn entry(row: &Row<'_>) -> Result<LogEntry> {
    let mark = Mark { commit: row.get(4)?, index: row.get(5)?, count: row.get(6)? };
    Ok(LogEntry {
        position: row.get(0)?,
        tenant: TenantId::new(TENANTS[0])?,
        stream: StreamName::parse(&row.get::<_, String>(1)?)?,
        event_type: EventType::new(EVENT_TYPES[0])?,
        version: row.get(2)?,
        event: row.get(3)?,
        mark,
        ends_commit: mark.index + 1 == mark.count,
    })
}

/// A transaction that has the right to write.
pub(super) fn begin(connection: &mut Connection) -> Result<Transaction<'_>> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

pub(super) fn last_position(connection: &Connection) -> Result<u64> {
    Ok(connection.query_row("SELECT coalesce(max(position), 0) FROM events", [], |row| row.get(0))?)
}

pub(super) fn version(connection: &Connection, stream: &StreamName) -> Result<u64> {
    let statement = "SELECT coalesce(max(version), 0) FROM events WHERE stream = ?";
    Ok(connection.query_row(statement, [stream.as_str()], |row| row.get(0))?)
}

/// Inserts a draft's events after a position and a version, and says what is true of them.
pub(super) fn insert(
    connection: &Connection,
    draft: &Draft,
    position: u64,
    version: u64,
    stamp: u64,
) -> Result<Acknowledged> {
    let statement = format!("INSERT INTO events ({COLUMNS}, stamp) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    let mut insert = connection.prepare_cached(&statement)?;
    for (index, event) in (0u32..).zip(&draft.events) {
        let next = u64::from(index) + 1;
        insert.execute(params![
            position + next,
            draft.stream.as_str(),
            version + next,
            event,
            draft.commit,
            index,
            draft.count(),
            stamp,
        ])?;
    }
    let count = draft.count();
    Ok(Acknowledged {
        commit: draft.commit,
        position: position + u64::from(count),
        count,
        versions: vec![StreamVersion {
            stream: draft.stream.clone(),
            version: Version(version + u64::from(count)),
        }],
    })
}

/// Stores a draft as it should be done.
pub(super) fn store(connection: &mut Connection, draft: &Draft, stamp: u64) -> Result<Acknowledged> {
    let transaction = begin(connection)?;
    let (position, version) = (last_position(&transaction)?, version(&transaction, &draft.stream)?);
    let acknowledged = insert(&transaction, draft, position, version, stamp)?;
    transaction.commit()?;
    Ok(acknowledged)
}

/// The next events above a position.
pub(super) fn page(connection: &Connection, after: u64, order: &str, limit: u64) -> Result<Vec<LogEntry>> {
    let statement = format!("SELECT {COLUMNS} FROM events WHERE position > ? ORDER BY {order} LIMIT {limit}");
    let mut select = connection.prepare_cached(&statement)?;
    let mut rows = select.query([after])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(row)?);
    }
    Ok(entries)
}

/// Notes a page; the checkpoint behind it is its highest position.
pub(super) fn note(after: u64, entries: &[LogEntry]) -> PageLine {
    PageLine {
        after,
        scanned_to: entries.iter().map(|entry| entry.position).max().unwrap_or(after),
        scanned_to_id: None,
        seen: entries.iter().map(LogEntry::seen).collect(),
        stall_micros: 0,
        unavailable: 0,
    }
}

/// A reader as the mistakes are read by: pages in an order, up to a limit, until nobody writes and
/// nothing is left.
pub(super) fn read_pages(
    connection: &Connection,
    all_done: &dyn Fn() -> bool,
    order: &str,
    limit: u64,
) -> Result<Vec<PageLine>> {
    let mut pages: Vec<PageLine> = Vec::new();
    loop {
        let last = all_done();
        let after = pages.last().map_or(0, |page| page.scanned_to);
        let entries = page(connection, after, order, limit)?;
        if !entries.is_empty() {
            pages.push(note(after, &entries));
        } else if last {
            return Ok(pages);
        } else {
            thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Pages that hold whatever there is.
pub(super) const WHOLE: u64 = 1_000_000;
