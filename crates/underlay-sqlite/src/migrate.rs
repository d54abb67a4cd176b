//! The schema of the file: numbered migrations, each applied once, remembered with its checksum.
//!
//! All that is missing is applied in one immediate transaction, so of two processes that open a new
//! file one applies and the other finds it done.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use underlay_core::{StoreId, Timestamp};
use uuid::Uuid;

use crate::database::{Database, Owner};
use crate::error::Failure;

struct Migration {
    number: i64,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: [Migration; 8] = [
    Migration { number: 1, name: "event_log", sql: include_str!("../migrations/0001_event_log.sql") },
    Migration { number: 2, name: "read_models", sql: include_str!("../migrations/0002_read_models.sql") },
    Migration { number: 3, name: "snapshots", sql: include_str!("../migrations/0003_snapshots.sql") },
    Migration { number: 4, name: "leases", sql: include_str!("../migrations/0004_leases.sql") },
    Migration { number: 5, name: "generations", sql: include_str!("../migrations/0005_generations.sql") },
    Migration {
        number: 6,
        name: "commits_without_events",
        sql: include_str!("../migrations/0006_commits_without_events.sql"),
    },
    Migration { number: 7, name: "lease_ids", sql: include_str!("../migrations/0007_lease_ids.sql") },
    Migration { number: 8, name: "view_stops", sql: include_str!("../migrations/0008_view_stops.sql") },
];

/// Brings the schema up to date and returns the identity of the store.
///
/// # Errors
/// Where the file was written by a newer program, or a migration was applied with other content.
pub(crate) fn migrate(
    database: &Database,
    connection: &mut Connection,
    now: Timestamp,
) -> Result<StoreId, Failure> {
    let behavior = rusqlite::TransactionBehavior::Immediate;
    let transaction = connection.transaction_with_behavior(behavior)?;
    let owner = database.owner(&transaction)?;
    let applied = verify(database, &transaction)?;
    match owner {
        Owner::Nobody => Database::claim(&transaction)?,
        Owner::Underlay if applied == 0 => {
            return Err(Failure::damaged("the table `migrations` is empty or missing"));
        }
        Owner::Underlay => {}
    }
    for migration in &MIGRATIONS[applied..] {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            include_str!("sql/insert_migration.sql"),
            params![migration.number, migration.name, checksum(migration.sql), now.as_microsecond()],
        )?;
    }
    if applied == 0 {
        let id = Uuid::now_v7();
        transaction
            .execute(include_str!("sql/insert_store.sql"), params![id.as_bytes(), now.as_microsecond()])?;
    }
    let id: Option<[u8; 16]> =
        transaction.query_row(include_str!("sql/select_store_id.sql"), [], |row| row.get(0)).optional()?;
    let id = id.ok_or_else(|| Failure::damaged("the table `store` is empty"))?;
    transaction.commit()?;
    Ok(StoreId(Uuid::from_bytes(id)))
}

/// How many migrations are applied, each as this program knows it.
fn verify(database: &Database, connection: &Connection) -> Result<usize, Failure> {
    let mut exists = connection.prepare(include_str!("sql/exists_migrations.sql"))?;
    if !exists.exists([])? {
        return Ok(0);
    }
    let mut select = connection.prepare(include_str!("sql/select_migrations.sql"))?;
    let mut rows = select.query([])?;
    let mut applied = 0;
    while let Some(row) = rows.next()? {
        let (number, name, sum): (i64, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let path = database.path().display();
        match MIGRATIONS.get(applied) {
            Some(known) if known.number == number => {
                if checksum(known.sql) != sum {
                    return Err(Failure::refused(format!(
                        "{path}: migration {number} ({name}) was applied with other content than this \
                         program has; open the file with the program that wrote it"
                    )));
                }
            }
            Some(known) => {
                return Err(Failure::damaged(format!(
                    "migration {} ({}) is missing, {number} ({name}) is applied",
                    known.number, known.name
                )));
            }
            None => {
                return Err(Failure::refused(format!(
                    "{path} was written by a newer program: it has migration {number} ({name}), this \
                     program knows {}; upgrade the program",
                    MIGRATIONS.len()
                )));
            }
        }
        applied += 1;
    }
    Ok(applied)
}

/// Of the text with plain line ends, however the source was checked out.
fn checksum(sql: &str) -> Vec<u8> {
    Sha256::digest(sql.replace("\r\n", "\n").as_bytes()).to_vec()
}
