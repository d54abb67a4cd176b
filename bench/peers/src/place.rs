//! Where everything is measured: one PostgreSQL server, a database for each run of each store.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use servers::Postgres;
#[cfg(feature = "umadb")]
use servers::Umadb;
use tokio_postgres::{Client, NoTls};

use crate::Result;
use crate::figure::median;

/// Who our store logs in as: it may use the store, and nothing else.
pub(crate) const LOGIN: &str = "peers_login";

pub(crate) struct Place {
    /// The administrator's address, without a database.
    server: String,
    umadb: Option<PathBuf>,
    pool: Option<u32>,
    databases: AtomicU32,
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
        let address = address.unwrap_or_default();
        let (server, _) = address.rsplit_once('/').ok_or("an address ends in a database")?;
        let server = server.to_owned();
        Ok(Self { server, umadb, pool, databases: AtomicU32::default(), _private: private })
    }

    /// The connections a peer's pool may have: as many as callers, up to what it was fastest with.
    pub(crate) fn pool(&self, callers: usize, fastest: u32) -> u32 {
        self.pool.unwrap_or_else(|| fastest.min(u32::try_from(callers).unwrap_or(u32::MAX)))
    }

    /// What the figures depend on.
    pub(crate) async fn describe(&self) -> Result<String> {
        let client = connect(&format!("{}/postgres", self.server)).await?;
        let mut settings = Vec::new();
        for name in ["server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers"] {
            let row = client.query_one("SELECT current_setting($1)", &[&name]).await?;
            let value: String = row.try_get(0)?;
            if value == "off" {
                return Err(format!("{name} is off: what is measured would not be durable").into());
            }
            settings.push(format!("{name} {value}"));
        }
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(format!(
            "{processors} processors, load {}, a flush of 4 KiB takes {:.0} µs; PostgreSQL with {}",
            load(),
            flush_microseconds()?,
            settings.join(", ")
        ))
    }

    /// A new database.
    pub(crate) async fn database(&self) -> Result<Database> {
        let name = format!("peers_{}_{}", std::process::id(), self.databases.fetch_add(1, Ordering::Relaxed));
        let client = connect(&format!("{}/postgres", self.server)).await?;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        Ok(Database { server: self.server.clone(), name })
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

/// A database of one run.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    /// The administrator's address.
    pub(crate) fn address(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// The address with another user; the private server asks for no password.
    pub(crate) fn address_of(&self, user: &str) -> Result<String> {
        let (_, host) = self.server.rsplit_once('@').ok_or("an address names its user")?;
        Ok(format!("postgres://{user}@{host}/{}", self.name))
    }

    pub(crate) async fn client(&self) -> Result<Client> {
        connect(&self.address()).await
    }

    /// What it is called in the server.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs statements as the administrator.
    pub(crate) async fn run(&self, sql: &str) -> Result<()> {
        Ok(self.client().await?.batch_execute(sql).await?)
    }

    /// Removes the database, whoever is connected.
    pub(crate) async fn drop(self) -> Result<()> {
        let client = connect(&format!("{}/postgres", self.server)).await?;
        Ok(client.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await?)
    }
}

pub(crate) async fn connect(address: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(address, NoTls).await?;
    // It ends with the client; what goes wrong the client hears too.
    tokio::spawn(async move { connection.await.ok() });
    Ok(client)
}

/// The load of the machine, over one, five and fifteen minutes.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn check_disk(folder: &Path) -> Result<()> {
    let kind = servers::output(Command::new("stat").args(["--file-system", "--format=%T"]).arg(folder))?;
    if ["tmpfs", "ramfs"].contains(&kind.trim()) {
        return Err(format!("{} is in memory: a flush there costs nothing", folder.display()).into());
    }
    Ok(())
}

fn flush_microseconds() -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let mut file = File::create(folder.path().join("flush"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[1; 4096])?;
        let start = Instant::now();
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times.into_iter()))
}
