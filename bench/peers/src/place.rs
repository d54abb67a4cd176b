//! Where everything is measured: one PostgreSQL server, a database for each run of each store.

use std::path::{Path, PathBuf};

use figures::{file_system, flush_microseconds, is_in_memory, load, processors};
#[cfg(feature = "umadb")]
use servers::Umadb;
use servers::{Database, Postgres, Server};

use crate::Result;

pub(crate) struct Place {
    server: Server,
    umadb: Option<PathBuf>,
    pool: Option<u32>,
    /// Ends with this.
    _private: Option<Postgres>,
}

impl Place {
    /// Starts a private server, unless one is given.
    ///
    /// # Errors
    /// Where it does not start, or files would lie in memory.
    pub(crate) fn start(given: Option<&str>, umadb: Option<PathBuf>, pool: Option<u32>) -> Result<Self> {
        let private = match given {
            Some(_) => None,
            None => {
                check_disk(&std::env::temp_dir())?;
                Some(Postgres::start(&["max_connections=400"])?)
            }
        };
        let address = private.as_ref().map(Postgres::address).or(given.map(str::to_owned));
        Ok(Self { server: Server::at(address.unwrap_or_default()), umadb, pool, _private: private })
    }

    /// The connections a peer's pool may have: as many as callers, up to what it was fastest with.
    pub(crate) fn pool(&self, callers: usize, fastest: u32) -> u32 {
        self.pool.unwrap_or_else(|| fastest.min(u32::try_from(callers).unwrap_or(u32::MAX)))
    }

    /// What the figures depend on.
    pub(crate) async fn describe(&self) -> Result<String> {
        let client = self.server.connect().await?;
        let mut settings = Vec::new();
        for name in ["server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers"] {
            let row = client.query_one("SELECT current_setting($1)", &[&name]).await?;
            let value: String = row.try_get(0)?;
            if value == "off" {
                return Err(format!("{name} is off: what is measured would not be durable").into());
            }
            settings.push(format!("{name} {value}"));
        }
        Ok(format!(
            "{} processors, load {}, a flush of 4 KiB takes {:.0} µs; PostgreSQL with {}",
            processors(),
            load(),
            flush_microseconds(tempfile::tempdir()?.path())?,
            settings.join(", ")
        ))
    }

    /// A new database.
    pub(crate) async fn database(&self) -> Result<Database> {
        self.server.create("peers").await
    }

    /// A new server of UmaDB; none where its program is missing.
    #[cfg(feature = "umadb")]
    pub(crate) async fn umadb(&self) -> Result<Option<Umadb>> {
        match self.umadb.clone() {
            Some(program) => Ok(Some(tokio::task::spawn_blocking(move || Umadb::start(&program)).await??)),
            None => Ok(None),
        }
    }
}

/// An error where a folder is in memory.
fn check_disk(folder: &Path) -> Result<()> {
    if is_in_memory(&file_system(folder)) {
        return Err(format!("{} is in memory: a flush there costs nothing", folder.display()).into());
    }
    Ok(())
}
