//! The command line and the store on PostgreSQL, or without it.

#[cfg(not(feature = "postgres"))]
#[test]
fn without_the_feature_an_address_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for address in ["postgres://bank@localhost/bank", "postgresql://localhost"] {
            for error in [
                underlay::Store::open(address).await.map(|_| ()).unwrap_err(),
                underlay::Store::migrate(address, None).await.map(|_| ()).unwrap_err(),
                underlay::Store::migration_script(address, None).await.map(|_| ()).unwrap_err(),
            ] {
                assert!(error.to_string().contains("--features postgres"), "{error}");
            }
        }
    });
}

#[test]
fn only_postgres_is_migrated() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for address in ["sqlite:bank.db", "memory:", "nothing"] {
        let error = runtime.block_on(underlay::Store::migrate(address, None)).unwrap_err().to_string();
        assert!(error.contains("postgres://"), "{address}: {error}");
    }
}

#[cfg(feature = "postgres")]
mod with_the_feature {
    use std::io::Write as _;
    use std::process::Command;

    use tokio_postgres::{Client, NoTls};
    use underlay::ports::{LogFilter, LogScope};
    use underlay::words::{EventType, Json, SchemaVersion};
    use underlay::{Commit, CommitId, ExpectedVersion, NewEvent, Position, Store, StreamName, TenantId};

    /// A schema of the test's own, dropped at its end.
    struct Installation {
        server: String,
        schema: String,
    }

    impl Installation {
        /// None where there is no server, which is said, or fails where one is required.
        fn new() -> Option<Self> {
            let Ok(server) = std::env::var("UNDERLAY_TEST_POSTGRES_URL") else {
                let required = std::env::var("REQUIRE_SERVERS").is_ok_and(|value| value == "1");
                assert!(!required, "this test must run, REQUIRE_SERVERS=1");
                // Written past the capture of passing tests.
                writeln!(std::io::stderr(), "SKIP postgres: UNDERLAY_TEST_POSTGRES_URL is not set").ok();
                return None;
            };
            let schema = format!("bank_{}", uuid::Uuid::now_v7().simple());
            Some(Self { server, schema })
        }

        /// Keeps other tests from migrating until what it gives is dropped: the roles belong to the whole
        /// server.
        async fn turn(&self) -> Client {
            const TURN: i64 = 0x756e_646c;
            let (client, connection) = tokio_postgres::connect(&self.server, NoTls).await.unwrap();
            tokio::spawn(connection);
            client.execute("SELECT pg_advisory_lock($1)", &[&TURN]).await.unwrap();
            client
        }

        /// Its address, as a superuser that is allowed.
        fn address(&self) -> String {
            let joined = if self.server.contains('?') { '&' } else { '?' };
            format!(
                "{}{joined}underlay_schema={}&underlay_role_prefix=underlay_test&underlay_superuser=allow",
                self.server, self.schema
            )
        }
    }

    impl Drop for Installation {
        fn drop(&mut self) {
            let drop = format!("DROP SCHEMA IF EXISTS {0}, {0}_views CASCADE", self.schema);
            let server = self.server.clone();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let (client, connection) = tokio_postgres::connect(&server, NoTls).await.unwrap();
                tokio::spawn(connection);
                client.batch_execute(&drop).await.unwrap();
            });
        }
    }

    #[test]
    fn a_service_runs_on_a_database_that_was_migrated() {
        let Some(installation) = Installation::new() else { return };
        let address = installation.address();
        let bank = |args: &[&str]| {
            // Cargo builds examples before it runs integration tests, beside their folder.
            let mut program = std::env::current_exe().unwrap();
            program.pop();
            program.pop();
            let mut command = Command::new(program.join("examples/bank"));
            let output = command.args(["--database", &address]).args(args).output().unwrap();
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
        };
        let (code, _, told) = bank(&["events"]);
        assert!(code == 2 && told.contains("migrate"), "{code}: {told}");
        let (code, script, told) = bank(&["migrate", "--print"]);
        assert!(code == 0 && script.contains("CREATE TABLE"), "{code}: {told}");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let turn = runtime.block_on(installation.turn());
        let (code, out, told) = bank(&["migrate"]);
        assert!(code == 0 && out.contains("applied migrations, tables"), "{code}: {out}{told}");
        let (code, out, _) = bank(&["migrate"]);
        assert!(code == 0 && out.contains("nothing changed"), "{code}: {out}");
        let (_, script, told) = bank(&["migrate", "--print"]);
        assert!(script.is_empty() && told.contains("up to date"), "{script}{told}");
        drop(turn);

        let tenant = TenantId::new("main").unwrap();
        runtime.block_on(async {
            let store = Store::open(&address).await.unwrap();
            let memory = Store::open("memory:").await.unwrap();
            crate::archive_formats::goes_through(&[&store, &memory]).await;
            let payload = Json::parse(r#"{"amount":"1"}"#).unwrap();
            let event = NewEvent::new(EventType::new("deposited").unwrap(), SchemaVersion(1), payload);
            let stream = StreamName::parse("account-1").unwrap();
            let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::NoStream, vec![event]);
            store.commit(&tenant, commit).await.unwrap();
            let scope = LogScope::Tenant(tenant);
            let page = store.read_all(&scope, Position::START, &LogFilter::default(), 10).await.unwrap();
            assert_eq!(page.events.len(), 1);
            store.close().await.unwrap();
        });
        let (code, out, told) = bank(&["stream", "account-1", "--json"]);
        assert!(code == 0 && out.contains(r#""type":"deposited""#), "{code}: {out}{told}");
        let (code, _, told) = bank(&["view", "rebuild", "nothing"]);
        assert!(code == 3 && told.contains("there are"), "{code}: {told}");
        let (code, out, told) = bank(&["view", "status"]);
        assert!(code == 0 && out.contains("balances"), "{code}: {told}");
    }

    #[test]
    fn a_server_that_is_away_is_not_the_callers_fault() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let opened = runtime.block_on(Store::open("postgres://bank@127.0.0.1:1/bank"));
        let error = opened.map(|_| ()).unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains("cannot be reached"), "{error}");
        let opened = runtime.block_on(Store::open("postgres://h/d?underlay_schema=Bad%20Name"));
        assert!(opened.unwrap_err().to_string().contains("schema"));
    }
}
