//! The schema of the file: numbered migrations, each applied once, remembered with its checksum.
//!
//! All that is missing is applied in one immediate transaction, so of two processes that open a new
//! file one applies and the other finds it done.

use rusqlite::{Connection, OptionalExtension, params};
use underlay_core::adapter::count_applied;
use underlay_core::{StoreId, Timestamp};
use uuid::Uuid;

use crate::connections::database::{Database, Owner};
use crate::error::Failure;
use crate::migrations::MIGRATIONS;

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
    let applied = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)))?;
    let applied = applied.collect::<Result<Vec<_>, _>>()?;
    Ok(count_applied(&MIGRATIONS, database.path().display(), applied)?)
}
