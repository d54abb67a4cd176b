//! The options of the program, from a file, `.env`, the environment and the command line.

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{program, text};

/// A folder that the program is started in.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn with(self, name: &str, content: &str) -> Self {
        std::fs::write(self.0.path().join(name), content).unwrap();
        self
    }

    fn run(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = Command::new(program());
        command.current_dir(self.0.path()).envs(environment.iter().copied()).args(arguments);
        command.output().unwrap()
    }

    /// What `config --json` says, by option.
    fn config(&self, environment: &[(&str, &str)], arguments: &[&str]) -> impl Fn(&str) -> Value {
        let output = self.run(environment, &[arguments, &["config", "--json"]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let printed = text(&output.stdout);
        let entries: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        move |option| entries.iter().find(|entry| entry["option"] == option).unwrap().clone()
    }

    /// What is told of a configuration that is wrong.
    fn mistakes(&self, environment: &[(&str, &str)], arguments: &[&str]) -> String {
        let output = self.run(environment, arguments);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
        assert_eq!(text(&output.stdout), "");
        text(&output.stderr)
    }
}

#[test]
fn every_source_counts_and_config_tells_which_one_did() {
    let folder = Folder::new()
        .with(
            "ledger.toml",
            "listen = '127.0.0.1:1'\ntenant = 'file'\n[server]\nrequests_max = 50\nwait_max = '5s'\n",
        )
        .with(".env", "LEDGER_TENANT=dotenv\nLEDGER_SERVER_REQUESTS_MAX=60\n");
    let config = folder
        .config(&[("LEDGER_SERVER_REQUESTS_MAX", "70"), ("LEDGER_FILE", "journal")], &["--view-lease", "9"]);
    for (option, value, source) in [
        ("listen", "127.0.0.1:1", "ledger.toml"),
        ("server.wait_max", "5s", "ledger.toml"),
        ("tenant", "dotenv", "LEDGER_TENANT in .env"),
        ("server.requests_max", "70", "LEDGER_SERVER_REQUESTS_MAX in the environment"),
        ("view_lease", "9s", "--view-lease"),
        ("database", "sqlite:ledger.db", "default"),
        ("sqlite.readers_max", "4", "default"),
    ] {
        let entry = config(option);
        assert_eq!(
            (entry["value"].as_str(), entry["source"].as_str()),
            (Some(value), Some(source)),
            "{option}"
        );
        assert!(entry["meaning"].as_str().is_some_and(|meaning| meaning.len() > 8), "{option}");
    }
    // A flag that is on or off needs no value.
    assert_eq!(folder.config(&[], &["--sqlite-leases"])("sqlite.leases")["value"], "true");
    assert_eq!(folder.config(&[], &["--sqlite-leases=false"])("sqlite.leases")["value"], "false");
    let requests = config("server.requests_max");
    assert_eq!(requests["flag"], "--server-requests-max");
    assert_eq!(requests["variable"], "LEDGER_SERVER_REQUESTS_MAX");
    assert_eq!(requests["default"], "1024");
    let table = text(&folder.run(&[], &["config"]).stdout);
    assert!(
        table.lines().next().is_some_and(|line| line.contains("option") && line.contains("meaning")),
        "{table}"
    );
    assert!(
        table.lines().any(|line| line.contains("server.wait_max") && line.contains("ledger.toml")),
        "{table}"
    );
    // Nothing was opened.
    assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 2);
}

#[test]
fn what_is_configured_is_what_is_done() {
    let folder = Folder::new()
        .with(
            "ledger.toml",
            "tenant = 'acme'\n[sqlite]\nbatch_items_max = 7\n[engine]\nview_batch_events_max = 10\n",
        )
        .with(".env", "LEDGER_DATABASE=sqlite:books.db\n")
        .with("other.toml", "tenant = 'zeta'\n");
    let journal = crate::program::data("small.csv");
    let imported = folder.run(&[], &["import", journal.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    assert!(folder.0.path().join("books.db").exists());
    let lines = |arguments: &[&str]| {
        let output = folder.run(&[], arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().count()
    };
    assert_eq!(lines(&["balances", "--format", "csv"]), 11, "of the tenant of the file");
    assert_eq!(lines(&["--config", "other.toml", "balances", "--format", "csv"]), 1, "of another file's");
    assert_eq!(lines(&["--tenant", "main", "balances", "--format", "csv"]), 1, "of a flag's");
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_place() {
    let folder = Folder::new()
        .with(
            "ledger.toml",
            "databse = 'memory:'\n[server]\nrequests-maximum = 1\npage_events_max = 0\n[nothing]\nx = 1\n",
        )
        .with(".env", "LEDGER_LISTEN=7070\n");
    let arguments = ["--view-lease", "soon", "--tenant", "", "events"];
    let told = folder
        .mistakes(&[("LEDGER_SQLITE_BUSY_TIMOUT", "1s"), ("LEDGER_SERVICE_HOST", "10.0.0.1")], &arguments);
    for part in [
        "error: the configuration has 8 mistakes:\n",
        "  ledger.toml, databse: there is no such option; did you mean database?\n",
        "  ledger.toml, server.requests-maximum: there is no such option; did you mean server.requests_max?\n",
        "  ledger.toml, server.page_events_max: 0 is too little: at least 1\n",
        "  ledger.toml, nothing.x: there is no such option; `config` prints those there are\n",
        "  LEDGER_LISTEN in .env: \"7070\" is not HOST:PORT, such as 127.0.0.1:7070\n",
        "  LEDGER_SQLITE_BUSY_TIMOUT in the environment: there is no such option; did you mean LEDGER_SQLITE_BUSY_TIMEOUT?\n",
        "  --tenant: ",
        "  --view-lease: \"soon\" is no time",
    ] {
        assert!(told.contains(part), "{part}\nis not in\n{told}");
    }
    assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 2, "nothing was opened");
}

#[test]
fn a_file_that_was_named_must_be_there_and_be_read() {
    let folder = Folder::new().with("broken.toml", "tenant = 'acme'\n\n[server\n");
    let told = folder.mistakes(&[], &["--config", "none.toml", "config"]);
    assert!(told.contains("--config: none.toml: "), "{told}");
    let told = folder.mistakes(&[("LEDGER_CONFIG", "broken.toml")], &["config"]);
    assert!(told.contains("broken.toml: TOML parse error at line 3"), "{told}");
}

#[test]
fn a_flag_that_is_nearly_an_option_is_told_the_right_one() {
    let told = Folder::new().mistakes(&[], &["--databse", "memory:", "config"]);
    assert!(told.contains("--database"), "{told}");
}

#[test]
fn a_password_is_never_printed() {
    let folder = Folder::new();
    let address = "postgres://me:hunter2@db.example/books?underlay_listen=postgres%3A%2F%2Fme%3Ahunter2%40db";
    let output = folder.run(&[("LEDGER_DATABASE", address)], &["config"]);
    let (printed, told) = (text(&output.stdout), text(&output.stderr));
    assert!(!printed.contains("hunter2") && !told.contains("hunter2"), "{printed}{told}");
    if cfg!(feature = "postgres") {
        assert!(output.status.success(), "{told}");
        assert!(printed.contains("postgres://me:***@db.example/books?underlay_listen=***"), "{printed}");
        assert!(printed.contains("postgres.listen") && printed.contains("***"), "{printed}");
    } else {
        assert_eq!(output.status.code(), Some(2));
        assert!(
            told.contains("LEDGER_DATABASE in the environment") && told.contains("--features postgres"),
            "{told}"
        );
    }
    for wrong in ["mysql://me:hunter2@db/books", "me:hunter2@db"] {
        let told = folder.mistakes(&[], &["--database", wrong, "events"]);
        assert!(!told.contains("hunter2") && told.contains("--database: "), "{told}");
    }
}

#[test]
fn help_has_the_few_options_and_more_of_it_all() {
    let folder = Folder::new();
    let (short, long) = (folder.run(&[], &["-h"]), folder.run(&[], &["--help"]));
    let (short, long) = (text(&short.stdout), text(&long.stdout));
    assert!(short.contains("--database <ADDRESS>") && !short.contains("--sqlite-wal-bytes-max"), "{short}");
    assert!(long.contains("--sqlite-wal-bytes-max <BYTES>") && long.contains("[default: 64MiB]"), "{long}");
}

#[test]
fn a_port_that_is_taken_leaves_no_new_store() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = Folder::new();
    let output = folder.run(&[], &["serve", "--listen", &taken.local_addr().unwrap().to_string()]);
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("choose another address"), "{told}");
    assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 0);
}
