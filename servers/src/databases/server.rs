use tokio_postgres::Client;
use uuid::Uuid;

use super::database::{Database, Made};
use super::{connect, tidy_up};
use crate::{Missing, PGBOUNCER_VARIABLE, POSTGRES_VARIABLE, Pgbouncer, Postgres, Result};

/// What is missing where there is no server.
const NAME: &str = "postgres";

/// A server with room for databases.
#[derive(Debug)]
pub struct Server {
    /// Ends before the server it leads to.
    _pgbouncer: Option<Pgbouncer>,
    private: Option<Postgres>,
    address: String,
    pooler: Option<String>,
}

impl Server {
    /// The server that the environment names, with the pooler that it names.
    ///
    /// # Errors
    /// Where it names none.
    pub fn named() -> std::result::Result<Self, Missing> {
        let pooler = named("pgbouncer", PGBOUNCER_VARIABLE).ok();
        Ok(Self { pooler, ..Self::at(named(NAME, POSTGRES_VARIABLE)?) })
    }

    /// The server that the environment names, or else a private one.
    ///
    /// # Errors
    /// Where there is none and none can be started.
    pub fn find() -> std::result::Result<Self, Missing> {
        if std::env::var_os(POSTGRES_VARIABLE).is_some() { Self::named() } else { Self::start(&[]) }
    }

    /// A private server with settings such as `max_connections=20`. It may be stopped.
    ///
    /// # Errors
    /// Where none can be started.
    pub fn start(settings: &[&str]) -> std::result::Result<Self, Missing> {
        let private = Postgres::start(settings).map_err(|error| Missing::new(NAME, error))?;
        // Without a pooler there is a little less to see.
        let pgbouncer = Pgbouncer::start(&private).ok();
        let pooler = pgbouncer.as_ref().map(Pgbouncer::address);
        let address = private.address();
        Ok(Self { _pgbouncer: pgbouncer, private: Some(private), address, pooler })
    }

    /// A server that runs already, by the address of its administrator.
    #[must_use]
    pub fn at(address: impl Into<String>) -> Self {
        Self { _pgbouncer: None, private: None, address: address.into(), pooler: None }
    }

    /// Whether all that is made on it goes away with it.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// The server, where it is a private one.
    pub fn private(&mut self) -> Option<&mut Postgres> {
        self.private.as_mut()
    }

    /// The address of its administrator.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address of its administrator through the pooler; none where there is no pooler.
    #[must_use]
    pub fn pooler(&self) -> Option<&str> {
        self.pooler.as_deref()
    }

    /// A connection of its administrator.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn connect(&self) -> Result<Client> {
        connect(&self.address).await
    }

    /// An empty database, whose name begins with `kind`.
    ///
    /// # Errors
    /// Where the server does not make it.
    pub async fn create(&self, kind: &str) -> Result<Database> {
        self.create_from(kind, "template0").await
    }

    /// A database that is a copy of another one. Nobody may be connected to that.
    ///
    /// # Errors
    /// Where the server does not make it.
    pub async fn create_from(&self, kind: &str, template: &str) -> Result<Database> {
        let name = format!("{kind}_{}", Uuid::now_v7().simple());
        let admin = self.connect().await?;
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        Ok(Database::new(self.made(name, None)))
    }

    /// An empty database with a login of its own, which has the same name and was granted nothing.
    ///
    /// # Errors
    /// Where the server does not make them.
    pub async fn create_with_login(&self, kind: &str, password: &str) -> Result<Database> {
        let name = format!("{kind}_{}", Uuid::now_v7().simple());
        let admin = self.connect().await?;
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        let made = self.made(name.clone(), Some(name.clone()));
        admin.batch_execute(&format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'")).await?;
        Ok(Database::new(made))
    }

    fn made(&self, name: String, own_login: Option<String>) -> Made {
        Made {
            server: self.address.clone(),
            pooler: self.pooler.clone(),
            name,
            own_login,
            ends_with_server: self.is_private(),
        }
    }
}

/// The address that a variable names; or why it names none.
fn named(name: &'static str, variable: &str) -> std::result::Result<String, Missing> {
    let address =
        std::env::var(variable).map_err(|_| Missing::new(name, format_args!("{variable} is not set")))?;
    if address.contains("://") {
        Ok(address)
    } else {
        let reason =
            format!("{variable} is {address:?}; an address is written postgres://USER@HOST/DATABASE");
        Err(Missing::new(name, reason))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.ends_with_server {
            return;
        }
        let mut statements = vec![format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)];
        statements.extend(self.own_login.as_ref().map(|login| format!("DROP ROLE IF EXISTS {login}")));
        tidy_up(&self.server, statements);
    }
}
