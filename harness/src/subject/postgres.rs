//! Databases of a run's own on a PostgreSQL server, with the schema in them and a login that may use
//! the store and nothing else.
//!
//! The server is the one that the environment names, as for tests, or a private one that ends with
//! this process.

use std::env;
use std::sync::{Mutex, PoisonError};

use servers::{Pgbouncer, Postgres};
use tokio_postgres::{Client, Config, NoTls};
use underlay_postgres::{PostgresConfig, migrate};
use uuid::Uuid;

use crate::address::Address;
use crate::{Result, terminal};

/// Names a server, as its administrator.
const SERVER_VARIABLE: &str = "UNDERLAY_TEST_POSTGRES_URL";
/// Names a pooler before that server.
const POOLER_VARIABLE: &str = "UNDERLAY_TEST_PGBOUNCER_URL";
/// What the names of the roles begin with; the tests of the adapter share them.
pub(crate) const ROLE_PREFIX: &str = "underlay_test";
/// The login that may use the store.
pub(crate) const LOGIN: &str = "underlay_test_login";
const PASSWORD: &str = "only for tests";
/// Migrations of one server take turns, since they share its roles.
const TURN: i64 = 0x756e_646c;

/// A server with room for databases.
#[derive(Debug)]
pub(crate) struct Server {
    /// Ends before the server it leads to.
    _pgbouncer: Option<Pgbouncer>,
    private: Option<Postgres>,
    address: String,
    pooler: Option<String>,
    /// Databases that were made, to be removed at the end.
    made: Mutex<Vec<String>>,
}

impl Server {
    /// The server the environment names, or a private one; why there is none.
    pub(crate) fn find() -> std::result::Result<Self, String> {
        match env::var(SERVER_VARIABLE) {
            Ok(address) => {
                let pooler = env::var(POOLER_VARIABLE).ok();
                Ok(Self { _pgbouncer: None, private: None, address, pooler, made: Mutex::default() })
            }
            Err(_) => Self::start(),
        }
    }

    /// A private server, which may be stopped; why there is none.
    pub(crate) fn start() -> std::result::Result<Self, String> {
        Self::start_with(&[])
    }

    /// A private server with settings such as `max_connections=20`; why there is none.
    pub(crate) fn start_with(settings: &[&str]) -> std::result::Result<Self, String> {
        let private = Postgres::start(settings).map_err(|error| error.to_string())?;
        // Without a pooler there is a little less to see.
        let pgbouncer = Pgbouncer::start(&private).ok();
        let pooler = pgbouncer.as_ref().map(Pgbouncer::address);
        let address = private.address();
        Ok(Self { _pgbouncer: pgbouncer, private: Some(private), address, pooler, made: Mutex::default() })
    }

    /// The server, where it is a private one.
    pub(crate) fn private(&mut self) -> Option<&mut Postgres> {
        self.private.as_mut()
    }

    /// The address of its administrator.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The address of its administrator through the pooler; none where there is no pooler.
    pub(crate) fn pooler(&self) -> Option<&str> {
        self.pooler.as_deref()
    }

    /// An empty database.
    pub(crate) async fn create_empty(&self) -> Result<Database> {
        let name = format!("underlay_harness_{}", Uuid::now_v7().simple());
        let admin = connect(&self.address).await?;
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        Ok(Database { server: self.address.clone(), pooler: self.pooler.clone(), name })
    }

    /// A database with the schema in it.
    pub(crate) async fn create(&self) -> Result<Database> {
        let database = self.create_empty().await?;
        let turn = connect(&self.address).await?;
        turn.execute("SELECT pg_advisory_lock($1)", &[&TURN]).await?;
        let login = format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{LOGIN}') THEN \
             CREATE ROLE {LOGIN} LOGIN PASSWORD '{PASSWORD}'; END IF; END $$"
        );
        turn.batch_execute(&login).await?;
        let config = PostgresConfig::default().with_role_prefix(ROLE_PREFIX);
        migrate(&database.admin_address(), &config, Some(LOGIN)).await?;
        Ok(database)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let made = std::mem::take(self.made.get_mut().unwrap_or_else(PoisonError::into_inner));
        if self.private.is_some() || made.is_empty() {
            return;
        }
        let address = self.address.clone();
        // A thread of its own, since this one may be in a runtime.
        let removing = std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                let admin = connect(&address).await?;
                for name in made {
                    admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
                }
                Ok(())
            })
        });
        // A database that stays behind changes nothing that was found.
        removing.join().ok();
    }
}

/// A database of a run's own.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    server: String,
    pooler: Option<String>,
    name: String,
}

/// How a store in a database hears of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hearing {
    /// By LISTEN.
    Listens,
    /// It polls.
    Polls,
}

impl Database {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The address of a store in it.
    pub(crate) fn address(&self, hearing: Hearing) -> Address {
        let listen = match hearing {
            Hearing::Listens => "",
            Hearing::Polls => "&underlay_listen=off",
        };
        let address = self.login_at(&self.server);
        Address::Postgres(format!("{address}underlay_role_prefix={ROLE_PREFIX}{listen}"))
    }

    /// The address of a store in it through the pooler; none where there is no pooler. It listens past
    /// the pooler.
    pub(crate) fn pooled_address(&self, hearing: Hearing) -> Option<Address> {
        let listen = match hearing {
            Hearing::Listens => percent_encoded(self.login_at(&self.server).trim_end_matches(['?', '&'])),
            Hearing::Polls => "off".to_owned(),
        };
        let address = self.login_at(self.pooler.as_deref()?);
        let options = format!("underlay_role_prefix={ROLE_PREFIX}&underlay_listen={listen}");
        Some(Address::Postgres(address + &options))
    }

    /// The address of the server's administrator in it.
    pub(crate) fn admin_address(&self) -> String {
        address_in(&self.server, &self.name, None)
    }

    /// A connection of the administrator.
    pub(crate) async fn admin(&self) -> Result<Client> {
        connect(&self.admin_address()).await
    }

    /// A connection of the login, past the product.
    pub(crate) async fn login(&self) -> Result<Client> {
        connect(self.login_at(&self.server).trim_end_matches(['?', '&'])).await
    }

    /// The login's address at a server, open for more options.
    fn login_at(&self, server: &str) -> String {
        let user = format!("{LOGIN}:{}", percent_encoded(PASSWORD));
        let address = address_in(server, &self.name, Some(&user));
        let separator = if address.contains('?') { '&' } else { '?' };
        format!("{address}{separator}")
    }
}

/// A server's address with another database, and another user where one is given.
pub(crate) fn address_in(server: &str, database: &str, user: Option<&str>) -> String {
    let (place, options) = server.split_once('?').unwrap_or((server, ""));
    let (scheme, place) = place.split_once("://").unwrap_or(("postgres", place));
    let host = place.split('/').next().unwrap_or(place);
    let (given, host) = host.rsplit_once('@').unwrap_or(("", host));
    let user = user.unwrap_or(given);
    let user = if user.is_empty() { String::new() } else { format!("{user}@") };
    let options = if options.is_empty() { String::new() } else { format!("?{options}") };
    format!("{scheme}://{user}{host}/{database}{options}")
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Connects, and moves the bytes until the client is dropped.
pub(crate) async fn connect(address: &str) -> Result<Client> {
    let config: Config = address.parse()?;
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        // How it ends shows in the answers.
        connection.await.ok();
    });
    Ok(client)
}

/// Says that there is no server; true where that is no failure.
pub(crate) fn skip(reason: &str) -> Result<bool> {
    terminal::print(&format!("SKIP postgres: {reason}"))?;
    Ok(!env::var("REQUIRE_SERVERS").is_ok_and(|required| required == "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_in_the_address_of_its_server() {
        for (server, meant) in [
            ("postgres://postgres@127.0.0.1:5499/postgres", "postgres://postgres@127.0.0.1:5499/mine"),
            ("postgresql://a:b%40@h/x?sslmode=disable", "postgresql://a:b%40@h/mine?sslmode=disable"),
            ("postgres://h", "postgres://h/mine"),
        ] {
            assert_eq!(address_in(server, "mine", None), meant);
        }
        let at = address_in("postgres://postgres@h:1/postgres", "mine", Some("me:a%20b"));
        assert_eq!(at, "postgres://me:a%20b@h:1/mine");
    }

    #[test]
    fn the_address_of_a_store_is_one_the_adapter_reads() {
        let database = Database {
            server: "postgres://postgres@h:1/postgres?sslmode=disable".to_owned(),
            pooler: Some("postgres://postgres@p:2/postgres".to_owned()),
            name: "mine".to_owned(),
        };
        let read =
            |address: Address| PostgresConfig::default().with_options_of(&address.to_string()).unwrap();
        let (address, config) = read(database.address(Hearing::Polls));
        assert_eq!(address, "postgres://underlay_test_login:only%20for%20tests@h:1/mine?sslmode=disable");
        assert_eq!(config.role_prefix, ROLE_PREFIX);
        assert_eq!(config.listen, underlay_postgres::Listen::Off);
        let (address, config) = read(database.pooled_address(Hearing::Listens).unwrap());
        assert_eq!(address, "postgres://underlay_test_login:only%20for%20tests@p:2/mine");
        let direct = database.login_at(&database.server);
        assert_eq!(config.listen, underlay_postgres::Listen::At(direct.trim_end_matches('&').to_owned()));
    }
}
