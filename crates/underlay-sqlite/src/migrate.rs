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
use crate::migrations::MIGRATIONS;

pub(crate) struct Migration {
    pub(crate) number: i64,
    pub(crate) name: &'static str,
    /// Statements, a file each, in the order they run.
    pub(crate) parts: &'static [&'static str],
}

impl Migration {
    /// Of the texts with plain line ends, however the source was checked out.
    fn checksum(&self) -> Vec<u8> {
        let mut sum = Sha256::new();
        for part in self.parts {
            sum.update(part.replace("\r\n", "\n"));
        }
        sum.finalize().to_vec()
    }
}

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
        for part in migration.parts {
            transaction.execute_batch(part)?;
        }
        transaction.execute(
            include_str!("sql/insert_migration.sql"),
            params![migration.number, migration.name, migration.checksum(), now.as_microsecond()],
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
                if known.checksum() != sum {
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
