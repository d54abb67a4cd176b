use std::sync::Arc;

use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config};

use super::connect;
use crate::Result;
use crate::address::{address_in, percent_encoded};

/// What the names of the roles begin with; all tests share them.
pub const ROLE_PREFIX: &str = "underlay_test";
/// The login that may use the store.
pub const LOGIN: &str = crate::pgbouncer::LOGIN;
const PASSWORD: &str = "only for tests";
/// Migrations of one server take turns, since they share its roles.
const TURN: i64 = 0x756e_646c;

/// A database of a test's own. It is removed where the last handle to it is dropped.
#[derive(Clone, Debug)]
pub struct Database(Arc<Made>);

/// What was made on a server.
#[derive(Debug)]
pub(super) struct Made {
    /// The address of its administrator.
    pub(super) server: String,
    pub(super) pooler: Option<String>,
    pub(super) name: String,
    pub(super) own_login: Option<String>,
    /// Whether the server goes away with all that is in it.
    pub(super) ends_with_server: bool,
}

/// Keeps others from migrating on the same server until it is dropped.
#[derive(Debug)]
pub struct Turn(Client);

impl Turn {
    /// The connection that holds the turn, of the administrator.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.0
    }
}

impl Database {
    pub(super) fn new(made: Made) -> Self {
        Self(Arc::new(made))
    }

    /// What the server calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The address of the server's administrator, in another database.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.0.server
    }

    /// Where the server listens.
    ///
    /// # Errors
    /// Where its address is none.
    pub fn host_and_port(&self) -> Result<(String, u16)> {
        let config: Config = self.0.server.parse()?;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            _ => "localhost".to_owned(),
        };
        Ok((host, config.get_ports().first().copied().unwrap_or(5432)))
    }

    /// The address of the server's administrator in it.
    #[must_use]
    pub fn admin_address(&self) -> String {
        address_in(&self.0.server, self.name(), None)
    }

    /// The address of [`LOGIN`] in it.
    #[must_use]
    pub fn login_address(&self) -> String {
        self.login_address_at(&self.0.server)
    }

    /// The same by another way: a server's address whose host leads to this server.
    #[must_use]
    pub fn login_address_at(&self, server: &str) -> String {
        address_in(server, self.name(), Some(&user(LOGIN, Some(PASSWORD))))
    }

    /// The same through the pooler; none where there is no pooler.
    #[must_use]
    pub fn pooled_login_address(&self) -> Option<String> {
        self.0.pooler.as_deref().map(|pooler| self.login_address_at(pooler))
    }

    /// The address of any login in it.
    #[must_use]
    pub fn address_of(&self, login: &str, password: Option<&str>) -> String {
        address_in(&self.0.server, self.name(), Some(&user(login, password)))
    }

    /// A connection of the administrator.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn admin(&self) -> Result<Client> {
        connect(&self.admin_address()).await
    }

    /// Removes it, whoever is connected, before the last handle is dropped.
    ///
    /// # Errors
    /// Where the server does not remove it.
    pub async fn remove(self) -> Result<()> {
        let remove = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name());
        Ok(connect(&self.0.server).await?.batch_execute(&remove).await?)
    }

    /// A connection of [`LOGIN`], past the product.
    ///
    /// # Errors
    /// Where the server does not let it in.
    pub async fn login(&self) -> Result<Client> {
        connect(&self.login_address()).await
    }

    /// Waits for the turn to migrate. Every migration that names [`ROLE_PREFIX`] needs it.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn turn(&self) -> Result<Turn> {
        let turn = connect(&self.0.server).await?;
        turn.execute("SELECT pg_advisory_lock($1)", &[&TURN]).await?;
        Ok(Turn(turn))
    }

    /// The same, and makes [`LOGIN`] where this is the first test on the server.
    ///
    /// # Errors
    /// Where the server does not make it.
    pub async fn prepare_login(&self) -> Result<Turn> {
        let turn = self.turn().await?;
        let login = format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{LOGIN}') THEN \
             CREATE ROLE {LOGIN} LOGIN PASSWORD '{PASSWORD}'; END IF; END $$"
        );
        turn.0.batch_execute(&login).await?;
        Ok(turn)
    }
}

/// A login as an address names it.
fn user(login: &str, password: Option<&str>) -> String {
    let password = password.map_or_else(String::new, |password| format!(":{}", percent_encoded(password)));
    format!("{login}{password}")
}
