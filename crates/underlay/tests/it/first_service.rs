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
    let bank = |args: &[&str]| {
        // Cargo builds examples before it runs integration tests, beside their folder.
        let mut program = std::env::current_exe().unwrap();
        program.pop();
        program.pop();
        let output =
            Command::new(program.join("examples/bank")).args(args).current_dir(dir.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
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
    assert_eq!((code, told.as_str()), (3, "error: stream account-1 has no events for tenant main\n"));
    assert_eq!(bank(&["stream", "account"]).0, 2);
    assert_eq!(bank(&["--database", "nosql:x", "events"]).0, 2);
    let (code, out, _) = bank(&["view", "status", "--json"]);
    assert_eq!(code, 0);
    assert!(out.contains(r#""view":"balances""#), "{out}");
    let (code, _, told) = bank(&["view", "rebuild", "balance"]);
    assert_eq!(code, 3);
    assert!(told.contains("there are: balances"), "{told}");
}
