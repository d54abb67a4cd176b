//! Rows of views in another store than the log, by one line of the configuration.

use underlay::Decimal;

use crate::program::{Ledger, data, parse_balances, text};

/// The same rows as in the file of the log, wherever they are folded.
fn rows_are_kept_in(rows: &str) {
    let ledger = Ledger::new();
    let store = ["--views-store", rows];
    let with = |arguments: &[&str]| ledger.answer(&[arguments, &store].concat());
    assert_eq!(with(&["import", data("small.csv").to_str().unwrap()]), "7 entries: 7 new, 0 already there\n");
    let elsewhere = parse_balances(&with(&["balances", "--format", "csv"]));
    assert!(elsewhere.len() > 3, "{elsewhere:?}");
    let status = with(&["view", "status"]);
    assert!(status.contains("balances"), "{status}");
    assert_eq!(ledger.balances(), elsewhere, "folded anew beside the log");

    let (serving, address) = ledger.serve_with(&store);
    let ((account, commodity), balance) = elsewhere.iter().next().unwrap();
    let row = format!("{address}/v1/views/balances/{account}@{commodity}");
    let row = ureq::get(row).call().unwrap().body_mut().read_to_string().unwrap();
    let row: serde_json::Value = serde_json::from_str(&row).unwrap();
    assert_eq!(row["balance"].as_str().unwrap().parse::<Decimal>().unwrap(), *balance);
    drop(serving);
    with(&["view", "rebuild", "balances"]);
    assert_eq!(parse_balances(&with(&["balances", "--format", "csv"])), elsewhere, "after a rebuild");
}

#[test]
fn one_line_moves_rows_to_another_file() {
    let other = Ledger::new();
    rows_are_kept_in(&other.database);
    assert!(other.directory.path().join("ledger.db").is_file());
}

#[cfg(feature = "redis")]
#[test]
fn one_line_moves_rows_to_redis() {
    match servers::Redis::start() {
        Ok(server) => rows_are_kept_in(&server.address()),
        Err(missing) => missing.skip_test(),
    }
}

#[cfg(feature = "mongodb")]
#[test]
fn one_line_moves_rows_to_mongodb() {
    match servers::Mongodb::start() {
        Ok(server) => rows_are_kept_in(&server.address_of("ledger")),
        Err(missing) => missing.skip_test(),
    }
}

#[test]
fn what_is_wrong_with_the_store_of_rows_is_told() {
    let output = Ledger::new().run(&["config", "--views-store", "monogdb://h"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("views.store") && told.contains("no store of the kind"), "{told}");
}
