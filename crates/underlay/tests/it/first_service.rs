use std::process::Command;

/// A whole service with one aggregate and one view is at most this long, blank lines aside.
const LINES_MAX: usize = 50;

#[test]
fn a_whole_service_is_short() {
    let text = include_str!("../../examples/bank.rs");
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= LINES_MAX, "examples/bank.rs has {lines} lines that are not blank");
}

#[test]
fn an_unknown_store_lists_the_known_ones() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (address, part) in
        [("mysql:bank", "sqlite:PATH"), ("bank.db", "sqlite:PATH"), ("sqlite:", "needs a path")]
    {
        let error = runtime.block_on(underlay::Store::open(address)).unwrap_err().to_string();
        assert!(error.contains(part), "{address}: {error}");
    }
}

#[test]
fn the_command_line_explains_itself_and_its_exit_codes_mean_something() {
    let dir = tempfile::tempdir().unwrap();
    let bank = |args: &[&str]| bank_in(dir.path(), args);
    let (code, out, _) = bank(&["--help"]);
    assert_eq!(code, 0);
    assert!(
        ["serve", "stream", "events", "view", "check", "export", "import-log"]
            .iter()
            .all(|name| out.contains(name)),
        "{out}"
    );
    assert_eq!(bank(&["nonsense"]).0, 2);
    // Only what looks at a store was asked so far: there is none.
    let (code, _, told) = bank(&["stream", "account-1"]);
    assert_eq!((code, told.contains("bank.db does not exist; `bank serve` makes one")), (3, true), "{told}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "and still none");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = format!("sqlite:{}", dir.path().join("bank.db").display());
    runtime.block_on(async { underlay::Store::open(&address).await.unwrap().close().await.unwrap() });
    let (code, _, told) = bank(&["stream", "account-1"]);
    assert_eq!(
        (code, told.as_str()),
        (
            3,
            "error: stream account-1 has no events for tenant main; `bank stream list` prints those that have, and --tenant names another tenant\n"
        )
    );
    assert_eq!(bank(&["stream", "account"]).0, 2);
    assert_eq!(bank(&["--database", "nosql:x", "events"]).0, 2);
    let (code, out, _) = bank(&["view", "status", "--json"]);
    assert_eq!(code, 0);
    assert!(out.contains(r#""view":"balances""#), "{out}");
    let (code, _, told) = bank(&["view", "rebuild", "balance"]);
    assert_eq!(code, 3);
    assert!(told.contains("there are: balances"), "{told}");
}

/// The example `bank`, in a folder: how it ended, and what it printed.
fn bank_in(folder: &std::path::Path, args: &[&str]) -> (i32, String, String) {
    // Cargo builds examples before it runs integration tests, beside their folder.
    let program = std::env::current_exe().unwrap();
    let program = program.ancestors().nth(2).unwrap().join("examples/bank");
    let output = Command::new(program).args(args).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_is_about_the_program_needs_neither_a_store_nor_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bank.toml"), "this is no configuration").unwrap();
    assert_eq!(bank_in(dir.path(), &["events"]).0, 2);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, told) = bank_in(dir.path(), &["completions", shell]);
        assert!(code == 0 && out.contains("dead-letters") && told.is_empty(), "{shell}: {code} {told}");
    }
    assert_eq!(bank_in(dir.path(), &["completions", "cmd"]).0, 2);
    let (code, page, _) = bank_in(dir.path(), &["man"]);
    assert!(code == 0 && page.contains(".TH bank 1") && page.contains("Exit codes"), "{page}");
    let pages = dir.path().join("pages");
    let (code, _, told) = bank_in(dir.path(), &["man", "--to", pages.to_str().unwrap()]);
    assert_eq!((code, told.as_str()), (0, ""));
    for page in ["bank.1", "bank-events.1", "bank-token-new.1"] {
        assert!(pages.join(page).is_file(), "{page}");
    }
}

/// Every list is a line of JSON for each of its things.
#[test]
fn every_list_for_programs_has_one_shape() {
    let dir = tempfile::tempdir().unwrap();
    let store = "sqlite:bank.db";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = format!("sqlite:{}", dir.path().join("bank.db").display());
    runtime.block_on(async { underlay::Store::open(&address).await.unwrap().close().await.unwrap() });
    let new = ["token", "new", "--tokens", "t", "--tenant", "main", "--actor", "ada"];
    assert_eq!(bank_in(dir.path(), &new).0, 0);
    let submit = ["command", "submit", "account", "a", "move", r#"{"cents":1}"#, "--in", "7d"];
    for _ in 0..2 {
        let (code, _, told) = bank_in(dir.path(), &submit);
        assert_eq!(code, 0, "{told}");
    }
    for (list, count) in [
        (&["events"][..], 0),
        (&["command", "list"], 2),
        (&["schedule", "list"], 0),
        (&["outbox", "list"], 2),
        (&["outbox", "--all"], 1),
        (&["dead-letters", "list"], 0),
        (&["process", "status"], 0),
        (&["process", "list"], 0),
        (&["pump", "status"], 0),
        (&["check", "--events"], 0),
        (&["token", "list", "--tokens", "t"], 1),
    ] {
        let (code, out, told) = bank_in(dir.path(), &[list, &["--json", "--database", store]].concat());
        assert_eq!(code, 0, "{list:?}: {told}");
        let things = out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let things: Vec<_> = things.collect();
        assert!(things.iter().all(serde_json::Value::is_object), "{list:?}: {out}");
        assert_eq!(things.len(), count, "{list:?}: {out}");
    }
    let (_, out, _) = bank_in(dir.path(), &["config", "--json"]);
    assert!(out.lines().count() > 20 && out.lines().all(|line| line.starts_with("{\"option\":")), "{out}");
}
