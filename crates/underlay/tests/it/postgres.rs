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
    for (address, part) in [
        ("sqlite:bank.db", "brought up to date when it is opened"),
        ("memory:", "brought up to date when it is opened"),
        ("nothing", "postgres://"),
    ] {
        let error = runtime.block_on(underlay::Store::migrate(address, None)).unwrap_err().to_string();
        assert!(error.contains(part), "{address}: {error}");
    }
}

#[cfg(feature = "postgres")]
mod with_the_feature {
    use std::process::Command;

    use servers::{Database, Server, with_option};
    use underlay::ports::{LogFilter, LogScope};
    use underlay::words::{EventType, Json, SchemaVersion};
    use underlay::{Commit, CommitId, ExpectedVersion, NewEvent, Position, Store, StreamName, TenantId};

    /// An empty database, and its address as a superuser that is allowed, in a schema of another name; none
    /// where there is no server.
    fn installation(schema: &str) -> Option<(tokio::runtime::Runtime, Database, String)> {
        let server = Server::named().map_err(|missing| missing.skip_test()).ok()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let database = runtime.block_on(server.create("underlay_test")).unwrap();
        let options = [("schema", schema), ("role_prefix", servers::ROLE_PREFIX), ("superuser", "allow")];
        let address = options.iter().fold(database.admin_address(), |address, (name, value)| {
            with_option(&address, &format!("underlay_{name}"), value)
        });
        Some((runtime, database, address))
    }

    #[test]
    fn a_service_runs_on_a_database_that_was_migrated() {
        let Some((runtime, database, address)) = installation("bank") else { return };
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
        let turn = runtime.block_on(database.turn()).unwrap();
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
    fn a_view_is_mended_beside_a_running_server() {
        let Some((runtime, database, address)) = installation("bank") else { return };
        let turn = runtime.block_on(database.turn()).unwrap();
        runtime.block_on(Store::migrate(&address, None)).unwrap();
        drop(turn);
        crate::mending::a_view_is_mended(&address, "not_running");
    }

    #[test]
    fn a_view_is_verified_and_repaired() {
        let Some((runtime, database, address)) = installation("bank") else { return };
        let turn = runtime.block_on(database.turn()).unwrap();
        runtime.block_on(Store::migrate(&address, None)).unwrap();
        drop(turn);
        crate::mending::a_view_is_verified(&address);
    }

    #[test]
    fn a_view_is_followed_while_the_service_is_killed() {
        let Some((runtime, database, address)) = installation("bank") else { return };
        let turn = runtime.block_on(database.turn()).unwrap();
        runtime.block_on(Store::migrate(&address, None)).unwrap();
        drop(turn);
        crate::view_feed::a_view_is_followed(&address);
    }

    #[test]
    fn a_line_goes_on_once_its_command_has_ended() {
        let Some((runtime, database, address)) = installation("jars") else { return };
        let turn = runtime.block_on(database.turn()).unwrap();
        runtime.block_on(Store::migrate(&address, None)).unwrap();
        drop(turn);
        runtime.block_on(async {
            let store = Store::open(&address).await.unwrap();
            crate::held_lines::a_line_goes_on_once_its_command_has_ended(&store).await;
            store.close().await.unwrap();
        });
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
