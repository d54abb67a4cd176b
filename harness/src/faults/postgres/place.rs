//! A server of a fault's own with a database on it, as an operator sets it up: migrated by the
//! administrator, used by a login that may use the store and nothing else.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use servers::{LOGIN, Postgres, Shutdown, connect};
use tokio_postgres::Client;
use underlay_postgres::{PostgresConfig, PostgresStore, migrate};

use crate::Result;
use crate::faults::fault::Means;
use crate::faults::serving::{Ledger, Serving};

pub(crate) const DATABASE: &str = "books";
/// How long a server may take until it answers again.
const ANSWER_MAX: Duration = Duration::from_secs(120);

pub(crate) struct Place {
    pub(crate) server: Postgres,
    directory: PathBuf,
    ledger: Ledger,
    services_started: usize,
}

impl Place {
    /// Starts a server and makes the database.
    pub(crate) async fn new(means: &Means, settings: &[&str]) -> Result<Self> {
        let server = tokio::task::block_in_place(|| Postgres::start(settings))?;
        let place = Self::on(means, server);
        place.create().await?;
        Ok(place)
    }

    /// The same on a server that is there; makes nothing.
    pub(crate) fn on(means: &Means, server: Postgres) -> Self {
        let (directory, ledger) = (means.directory.clone(), means.ledger.clone());
        Self { server, directory, ledger, services_started: 0 }
    }

    /// Makes the login, the database and the schema.
    pub(crate) async fn create(&self) -> Result<()> {
        let admin = connect(&self.server.address()).await?;
        admin.batch_execute(&format!("CREATE ROLE {LOGIN} LOGIN")).await?;
        self.create_database(DATABASE).await
    }

    /// Makes another database, with the schema.
    pub(crate) async fn create_database(&self, name: &str) -> Result<()> {
        let admin = connect(&self.server.address()).await?;
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        migrate(&self.server.address_of(name), &PostgresConfig::default(), Some(LOGIN)).await?;
        Ok(())
    }

    /// The address of the database for the service.
    pub(crate) fn address(&self) -> String {
        address_at(self.server.port())
    }

    /// A session of the administrator in the database.
    pub(crate) async fn admin(&self) -> Result<Client> {
        connect(&self.server.address_of(DATABASE)).await
    }

    pub(crate) async fn open(&self, config: PostgresConfig) -> Result<PostgresStore> {
        Ok(PostgresStore::connect(&self.address(), config).await?)
    }

    /// A process of the ledger on the database.
    pub(crate) fn serve(&mut self) -> Result<Serving> {
        let address = self.address();
        self.serve_at(&address)
    }

    /// A process of the ledger on an address of the database.
    pub(crate) fn serve_at(&mut self, address: &str) -> Result<Serving> {
        self.services_started += 1;
        self.ledger.serve(address, &self.complaints_file())
    }

    /// What the last process of the ledger complained of.
    pub(crate) fn complaints(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.complaints_file())?)
    }

    /// Where they are.
    pub(crate) fn complaints_file(&self) -> PathBuf {
        self.directory.join(format!("ledger-{}-{}", self.server.port(), self.services_started))
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Stops the server, leaves it away for a time, and starts it; when it answered again.
    pub(crate) async fn restart(&mut self, shutdown: Shutdown, away: Duration) -> Result<Instant> {
        tokio::task::block_in_place(|| self.server.stop(shutdown))?;
        tokio::time::sleep(away).await;
        tokio::task::block_in_place(|| self.server.resume())?;
        self.answers().await
    }

    /// When the server answers, from now on.
    pub(crate) async fn answers(&self) -> Result<Instant> {
        let began = Instant::now();
        loop {
            if let Ok(admin) = self.admin().await
                && admin.simple_query("SELECT 1").await.is_ok()
            {
                return Ok(Instant::now());
            }
            if began.elapsed() > ANSWER_MAX {
                return Err("the server does not answer".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The address of the database for the service, on a port of this machine.
pub(crate) fn address_at(port: u16) -> String {
    format!("postgres://{LOGIN}@127.0.0.1:{port}/{DATABASE}?sslmode=disable")
}
