//! A server for the last section of the guide, with names that nobody else on it has.

use std::io::Write as _;

use tokio_postgres::{Client, NoTls};

pub(crate) struct Server {
    /// The administrator's address, up to the name of the database.
    address: String,
    /// Part of the names of the database and the login.
    own: String,
    runtime: tokio::runtime::Runtime,
    /// Roles belong to the whole server: while this is held, no other test migrates.
    turn: Client,
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
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let turn = runtime.block_on(async {
            const TURN: i64 = 0x756e_646c;
            let (client, connection) = tokio_postgres::connect(&server, NoTls).await.unwrap();
            tokio::spawn(connection);
            client.execute("SELECT pg_advisory_lock($1)", &[&TURN]).await.unwrap();
            client
        });
        let (address, _) = server.rsplit_once('/').unwrap();
        Some(Self { address: address.to_owned(), own: std::process::id().to_string(), runtime, turn })
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
        self.runtime.block_on(async {
            for statement in statements {
                // A test that failed before has told why.
                let _left = self.turn.batch_execute(&statement).await;
            }
        });
    }
}
