//! A server for the last section of the guide, with a database and a login of the test's own.

use servers::{Database, ROLE_PREFIX, Server, Turn, address_in, with_option};
use tokio::runtime::Runtime;

const PASSWORD: &str = "only-for-tests";

/// What the page calls the administrator, the login and their addresses, by other names.
pub(crate) struct Place {
    runtime: Runtime,
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
        let database = runtime.block_on(server.create_with_login("guide", PASSWORD)).unwrap();
        Some(Self { runtime, database })
    }

    /// Whether the command makes what was made for this test.
    pub(crate) fn has_done(command: &str) -> bool {
        command.starts_with("psql ") && command.contains("CREATE DATABASE")
    }

    /// Keeps other tests from migrating until what it gives is dropped.
    pub(crate) fn turn(&self) -> Turn {
        self.runtime.block_on(self.database.turn()).unwrap()
    }

    /// What the page says, with the names of this place.
    pub(crate) fn names(&self, text: &str) -> String {
        let name = self.database.name();
        let admin = with_option(&self.database.admin_address(), "underlay_role_prefix", ROLE_PREFIX);
        let login = address_in(self.database.server(), name, Some(&format!("{name}:{PASSWORD}")));
        let login = with_option(&login, "underlay_role_prefix", ROLE_PREFIX);
        text.replace("postgres://postgres@localhost/warehouse", &format!("'{admin}'"))
            .replace("postgres://shop@localhost/warehouse", &format!("'{login}'"))
            .replace("--grant shop", &format!("--grant {name}"))
            .replace("shop may use", &format!("{name} may use"))
    }
}
