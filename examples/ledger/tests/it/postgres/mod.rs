//! The whole program on PostgreSQL: in several processes, with too much to do, and moved there and
//! back.

mod feeds;
mod limits;
mod moves;
mod processes;

use servers::{Database, ROLE_PREFIX, Server, address_in, with_option};
use tokio_postgres::Row;

use crate::program::Ledger;

const PASSWORD: &str = "only-for-tests";

/// A database of a test's own, migrated, with a login that may use the store and nothing else. The login
/// has the name of the database: what is done to it is felt by this test alone.
pub(crate) struct Place {
    runtime: tokio::runtime::Runtime,
    database: Database,
}

impl Place {
    /// None where there is no server, which is said, or fails where one is required.
    pub(crate) fn new() -> Option<Self> {
        let server = match Server::named() {
            Ok(server) => server,
            Err(missing) => {
                missing.skip_test();
                return None;
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let database = runtime.block_on(server.create_with_login("ledger_test", PASSWORD)).unwrap();
        let turn = runtime.block_on(database.turn()).unwrap();
        let admin = with_option(&database.admin_address(), "underlay_role_prefix", ROLE_PREFIX);
        Ledger::at(admin).answer(&["migrate", "--grant", database.name()]);
        drop(turn);
        Some(Self { runtime, database })
    }

    /// The address of the login that may use the store.
    pub(crate) fn address(&self) -> String {
        self.address_on(self.database.server())
    }

    /// The same by a port of this machine that leads to the server.
    pub(crate) fn address_at(&self, port: u16) -> String {
        self.address_on(&format!("postgres://127.0.0.1:{port}"))
    }

    fn address_on(&self, server: &str) -> String {
        let name = self.database.name();
        let address = address_in(server, name, Some(&format!("{name}:{PASSWORD}")));
        with_option(&address, "underlay_role_prefix", ROLE_PREFIX)
    }

    /// Where the server listens.
    pub(crate) fn server(&self) -> (String, u16) {
        self.database.host_and_port().unwrap()
    }

    /// The login of the service.
    pub(crate) fn login(&self) -> &str {
        self.database.name()
    }

    /// Asks the administrator's connection to the database.
    pub(crate) fn ask(&self, sql: &str) -> Vec<Row> {
        self.runtime.block_on(async { self.database.admin().await.unwrap().query(sql, &[]).await.unwrap() })
    }
}
