//! Which commands make a store, and which only look at one.

use std::path::Path;

use crate::program::{Ledger, data, program, text};

fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every command that has nothing to do without a store, as a user might mistype it.
const LOOKING: [&[&str]; 14] = [
    &["export", "backup.ndjson"],
    &["events"],
    &["events", "--json"],
    &["events", "--newest"],
    &["stream", "account-1"],
    &["stream", "list"],
    &["view", "status"],
    &["view", "rebuild", "balances"],
    &["view", "revert", "balances"],
    &["view", "discard", "balances"],
    &["view", "parked", "balances"],
    &["check", "--events"],
    &["balances"],
    &["balances", "--json"],
];

#[test]
fn a_command_that_looks_at_a_store_makes_none() {
    let ledger = Ledger::new();
    let directory = ledger.directory.path();
    for arguments in LOOKING {
        let output = ledger.command(arguments).current_dir(directory).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {told}");
        assert!(told.contains("ledger.db does not exist"), "{arguments:?}: {told}");
        assert!(told.contains("`ledger serve`"), "what makes one: {told}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        assert_eq!(files(directory), Vec::<String>::new(), "{arguments:?} leaves something behind");
    }
}

#[test]
fn a_name_that_was_mistyped_is_told_with_those_there_are() {
    let ledger = Ledger::new();
    ledger.import(&data("small.csv"));
    let directory = ledger.directory.path();
    let before = files(directory);
    let mistyped = format!("sqlite:{}", directory.join("legder.db").display());
    let mistyped = Ledger { database: mistyped, ..Ledger::new() };
    let output = mistyped.run(&["export", "backup.ndjson"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("legder.db does not exist") && told.contains("there is: ledger.db"), "{told}");
    assert_eq!(files(directory), before);
    // Nor is a folder that is not there.
    let nowhere = format!("sqlite:{}", directory.join("none/ledger.db").display());
    let nowhere = Ledger { database: nowhere, ..Ledger::new() };
    let output = nowhere.run(&["events"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
}

#[test]
fn an_empty_file_is_no_store_and_stays_empty() {
    let ledger = Ledger::new();
    let file = ledger.directory.path().join("ledger.db");
    std::fs::write(&file, "").unwrap();
    for arguments in LOOKING {
        let output = ledger.command(arguments).current_dir(ledger.directory.path()).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {told}");
        assert_eq!(files(ledger.directory.path()), ["ledger.db"], "{arguments:?}");
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 0, "{arguments:?}");
    }
}

#[test]
fn what_is_no_store_is_told_and_stays_as_it_is() {
    let ledger = Ledger::new();
    let place = ledger.directory.path();
    std::fs::create_dir(place.join("folder")).unwrap();
    std::fs::write(place.join("letter.db"), "Dear Sir or Madam, this is no database at all.\n".repeat(90))
        .unwrap();
    std::os::unix::fs::symlink("nowhere.db", place.join("broken.db")).unwrap();
    let before = files(place);
    let letter = std::fs::read(place.join("letter.db")).unwrap();
    for (path, exit, part) in [
        ("folder", 2, "is a folder; give the path of a file in it"),
        ("letter.db", 2, "is not an SQLite database"),
        ("broken.db", 3, "broken.db does not exist"),
        ("none/ledger.db", 3, "none/ledger.db does not exist"),
        ("letter.db/ledger.db", 1, "letter.db/ledger.db"),
        ("", 2, "needs a path"),
    ] {
        for arguments in LOOKING {
            let mut command = std::process::Command::new(program());
            command.current_dir(place).args(["--database", &format!("sqlite:{path}")]).args(arguments);
            let output = command.output().unwrap();
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(exit), "{path} {arguments:?}: {told}");
            assert!(told.contains(part), "{path} {arguments:?}: {told}");
            assert_eq!(files(place), before, "{path} {arguments:?} leaves something behind");
        }
    }
    assert_eq!(std::fs::read(place.join("letter.db")).unwrap(), letter);
    // Who would make a store makes none of these.
    for path in ["folder", "letter.db"] {
        let output = std::process::Command::new(program())
            .current_dir(place)
            .args(["--database", &format!("sqlite:{path}"), "serve", "--listen", "127.0.0.1:0"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
    assert_eq!(files(place), before);
}

#[test]
fn a_command_that_needs_no_store_looks_for_none() {
    let ledger = Ledger::new();
    ledger.answer(&["config"]);
    assert_eq!(ledger.run(&["migrate"]).status.code(), Some(2), "it migrates itself");
    assert_eq!(files(ledger.directory.path()), Vec::<String>::new());
}

#[test]
fn the_lock_is_checked_without_a_store() {
    let ledger = Ledger::new();
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("events.lock");
    let lock = lock.to_str().unwrap();
    assert!(ledger.answer(&["check", "--lock", lock]).contains("as it was released"));
    assert_eq!(files(ledger.directory.path()), Vec::<String>::new());
    // The events are in a store.
    assert_eq!(ledger.run(&["check", "--lock", lock, "--events"]).status.code(), Some(3));
    assert_eq!(files(ledger.directory.path()), Vec::<String>::new());
}

#[test]
fn what_stores_something_makes_a_store() {
    let here = Ledger::new();
    here.import(&data("small.csv"));
    let export = here.directory.path().join("log.ndjson");
    here.answer(&["export", export.to_str().unwrap()]);
    let there = Ledger::new();
    there.answer(&["import-log", export.to_str().unwrap()]);
    assert_eq!(there.balances(), here.balances());
    let served = Ledger::new();
    let (serving, _) = served.serve();
    // It is there while it is served, too.
    assert_eq!(served.events(), "");
    assert!(served.answer(&["view", "status"]).contains("balances"));
    drop(serving);
}

/// Two tenants in one store, and its export.
fn exported() -> (Ledger, String) {
    let ledger = Ledger::new();
    ledger.answer(&["--tenant", "acme", "import", data("small.csv").to_str().unwrap()]);
    ledger.answer(&["--tenant", "zeta", "import", data("small.csv").to_str().unwrap()]);
    let export = ledger.directory.path().join("log.ndjson").to_str().unwrap().to_owned();
    ledger.answer(&["export", &export]);
    (ledger, export)
}

#[test]
fn import_log_of_a_tenant_takes_that_tenants_commits() {
    let (here, export) = exported();
    let there = Ledger::new();
    let told = there.answer(&["import-log", "--tenant", "acme", &export]);
    assert_eq!(told, "7 commits: 7 stored, 0 already there; 7 of other tenants left out\n");
    let told = there.answer(&["import-log", "--tenant", "acme", "--json", &export]);
    assert_eq!(told, "{\"stored\":0,\"known\":7,\"left_out\":7}\n");
    let balances =
        |ledger: &Ledger, tenant| ledger.answer(&["--tenant", tenant, "balances", "--format", "csv"]);
    assert_eq!(balances(&there, "acme"), balances(&here, "acme"));
    assert_eq!(balances(&there, "zeta").lines().count(), 1, "nothing of the other");
    // Without it, the rest follows.
    let told = there.answer(&["import-log", &export]);
    assert_eq!(told, "14 commits: 7 stored, 7 already there\n");
    assert_eq!(balances(&there, "zeta"), balances(&here, "zeta"));
}

#[test]
fn a_tenant_that_was_mistyped_is_not_an_empty_backup() {
    let (here, export) = exported();
    let there = Ledger::new();
    let refused = there.run(&["import-log", "--tenant", "acne", &export]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    let told = text(&refused.stderr);
    assert!(told.contains("no commits of tenant acne") && told.contains("acme, zeta"), "{told}");

    let backup = here.directory.path().join("acne.ndjson");
    let before = files(here.directory.path());
    let refused = here.run(&["export", "--tenant", "acne", backup.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("no commits of tenant acne"));
    assert_eq!(files(here.directory.path()), before, "no file is left");
    // A log without commits is one all the same.
    let empty = there.directory.path().join("empty.ndjson");
    assert!(there.answer(&["export", empty.to_str().unwrap()]).contains("0 commits"));
}
