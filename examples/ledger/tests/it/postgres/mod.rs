//! The whole program on PostgreSQL: in several processes, with too much to do, and moved there and
//! back.

mod limits;
mod moves;
mod processes;

use std::io::Write as _;

use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls, Row};

use crate::program::Ledger;

/// What the names of the roles begin with. They belong to the whole server, and tests share them.
const ROLE_PREFIX: &str = "underlay_test";
const PASSWORD: &str = "only-for-tests";
/// Migrations of one server take turns, since they share its roles.
const TURN: i64 = 0x756e_646c;

/// A database of a test's own, migrated, with a login that may use the store and nothing else.
pub(crate) struct Place {
    server: Config,
    runtime: tokio::runtime::Runtime,
    /// The names of the database and of the login.
    name: String,
}

impl Place {
    /// None where there is no server, which is said, or fails where one is required.
    pub(crate) fn new() -> Option<Self> {
        let Ok(server) = std::env::var("UNDERLAY_TEST_POSTGRES_URL") else {
            let required = std::env::var("REQUIRE_SERVERS").is_ok_and(|value| value == "1");
            assert!(!required, "this test must run, REQUIRE_SERVERS=1");
            // Written past the capture of passing tests.
            writeln!(std::io::stderr(), "SKIP postgres: UNDERLAY_TEST_POSTGRES_URL is not set").ok();
            return None;
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let name = format!("ledger_test_{}", uuid::Uuid::now_v7().simple());
        let place = Self { server: server.parse().unwrap(), runtime: runtime.unwrap(), name };
        let turn = place.connect(&place.server);
        place.runtime.block_on(async {
            turn.batch_execute(&format!("CREATE DATABASE {} TEMPLATE template0", place.name)).await.unwrap();
            let login = format!("CREATE ROLE {} LOGIN PASSWORD '{PASSWORD}'", place.name);
            turn.batch_execute(&login).await.unwrap();
            turn.execute("SELECT pg_advisory_lock($1)", &[&TURN]).await.unwrap();
        });
        let (user, password) = (place.server.get_user().unwrap(), place.server.get_password());
        let password = password.map(|password| String::from_utf8(password.to_vec()).unwrap());
        let admin = place.address_of(user, password.as_deref(), port(&place.server));
        Ledger::at(admin).answer(&["migrate", "--grant", &place.name]);
        drop(turn);
        Some(place)
    }

    /// The address of the login that may use the store.
    pub(crate) fn address(&self) -> String {
        self.address_at(port(&self.server))
    }

    /// The same by another port.
    pub(crate) fn address_at(&self, port: u16) -> String {
        self.address_of(&self.name, Some(PASSWORD), port)
    }

    fn address_of(&self, user: &str, password: Option<&str>, port: u16) -> String {
        let password = password.map_or_else(String::new, |password| format!(":{password}"));
        format!(
            "postgres://{user}{password}@{}:{port}/{}?sslmode=disable&underlay_role_prefix={ROLE_PREFIX}",
            host(&self.server),
            self.name
        )
    }

    /// Where the server listens.
    pub(crate) fn server(&self) -> (String, u16) {
        (host(&self.server), port(&self.server))
    }

    /// The login of the service.
    pub(crate) fn login(&self) -> &str {
        &self.name
    }

    /// Asks the administrator's connection to the database.
    pub(crate) fn ask(&self, sql: &str) -> Vec<Row> {
        let mut database = self.server.clone();
        let client = self.connect(database.dbname(&self.name));
        self.runtime.block_on(client.query(sql, &[])).unwrap()
    }

    fn connect(&self, config: &Config) -> Client {
        self.runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let admin = self.connect(&self.server);
        self.runtime.block_on(async {
            admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await.unwrap();
            admin.batch_execute(&format!("DROP ROLE {}", self.name)).await.unwrap();
        });
    }
}

fn host(config: &Config) -> String {
    match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        _ => "127.0.0.1".to_owned(),
    }
}

fn port(config: &Config) -> u16 {
    config.get_ports().first().copied().unwrap_or(5432)
}
