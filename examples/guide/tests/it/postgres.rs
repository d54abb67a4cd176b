//! A server for the last section of the guide, with names that nobody else on it has.

use std::io::Write as _;

use tokio_postgres::{Client, NoTls};

pub(crate) struct Server {
    /// The administrator's address, up to the name of the database.
    address: String,
    /// Part of the names of the database and the login.
    own: String,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    /// None where there is no server, which is said, or fails where one is required.
    pub(crate) fn find() -> Option<Self> {
        let Ok(server) = std::env::var("UNDERLAY_TEST_POSTGRES_URL") else {
            let required = std::env::var("REQUIRE_SERVERS").is_ok_and(|value| value == "1");
            assert!(!required, "this test must run, REQUIRE_SERVERS=1");
            // Written past the capture of passing tests.
            writeln!(std::io::stderr(), "SKIP postgres: UNDERLAY_TEST_POSTGRES_URL is not set").ok();
            return None;
        };
        let (address, _) = server.rsplit_once('/').unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        Some(Self { address: address.to_owned(), own: std::process::id().to_string(), runtime })
    }

    fn connect(&self) -> Client {
        let address = format!("{}/postgres", self.address);
        self.runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&address, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        })
    }

    /// Keeps other tests from migrating until what it gives is dropped: the roles belong to the whole server.
    pub(crate) fn turn(&self) -> Client {
        const TURN: i64 = 0x756e_646c;
        let client = self.connect();
        self.runtime.block_on(client.execute("SELECT pg_advisory_lock($1)", &[&TURN])).unwrap();
        client
    }

    /// What the page says, with the names of this server.
    pub(crate) fn names(&self, text: &str) -> String {
        let own = &self.own;
        let (_, host) = self.address.rsplit_once('@').unwrap();
        let database = format!("warehouse_{own}?underlay_role_prefix=underlay_test");
        text.replace("postgres://postgres@localhost/warehouse", &format!("'{}/{database}'", self.address))
            .replace("postgres://postgres@localhost", &self.address)
            .replace(
                "postgres://shop@localhost/warehouse",
                &format!("'postgres://shop_{own}@{host}/{database}'"),
            )
            .replace("DATABASE warehouse", &format!("DATABASE warehouse_{own}"))
            .replace("ROLE shop", &format!("ROLE shop_{own}"))
            .replace("--grant shop", &format!("--grant shop_{own}"))
            .replace("shop may use", &format!("shop_{own} may use"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let own = &self.own;
        let statements = [
            format!("DROP DATABASE IF EXISTS warehouse_{own} WITH (FORCE)"),
            format!("DROP ROLE IF EXISTS shop_{own}"),
        ];
        let client = self.connect();
        for statement in statements {
            // A test that failed before has told why.
            let _left = self.runtime.block_on(client.batch_execute(&statement));
        }
    }
}
