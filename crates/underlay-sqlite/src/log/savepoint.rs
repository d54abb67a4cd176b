//! A part of a transaction that can be taken back alone.

use rusqlite::Connection;

use crate::error::Failure;

/// Does what may be refused. Then nothing of it is left, and what was done before in the transaction stays.
///
/// # Errors
/// Everything that fails the whole transaction.
pub(crate) fn alone<T>(
    connection: &Connection,
    act: impl FnOnce() -> Result<T, Failure>,
) -> Result<Result<T, Failure>, Failure> {
    connection.prepare_cached("SAVEPOINT one")?.raw_execute()?;
    let done = match act() {
        Err(failure) if failure.is_of_the_file() || failure.is_busy() => return Err(failure),
        done => done,
    };
    if done.is_err() {
        connection.prepare_cached("ROLLBACK TO one")?.raw_execute()?;
    }
    connection.prepare_cached("RELEASE one")?.raw_execute()?;
    Ok(done)
}
