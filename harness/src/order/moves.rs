//! A database that is moved to another place by its own tools.

use std::path::Path;

use servers::{Database, Server, output, postgres_program};

use crate::Result;
use crate::subject::PostgresPlace;

/// Dumps a database, as it is at one moment, and restores it into a new one.
pub(crate) async fn copy(server: &Server, from: &Database, directory: &Path) -> Result<PostgresPlace> {
    let copy = PostgresPlace::create_empty(server).await?;
    let file = directory.join(format!("{}.dump", copy.name()));
    let (source, target) = (from.admin_address(), copy.admin_address());
    let copying = tokio::task::spawn_blocking(move || {
        let mut dump = postgres_program("pg_dump")?;
        output(dump.arg("--format=custom").arg("--file").arg(&file).arg("--dbname").arg(source))?;
        let mut restore = postgres_program("pg_restore")?;
        output(restore.arg("--exit-on-error").arg("--dbname").arg(target).arg(&file))
    });
    copying.await??;
    Ok(PostgresPlace::of(copy))
}
