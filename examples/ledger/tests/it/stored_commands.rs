//! Commands and schedules that are left with the store by the command line, beside a running service.

use serde_json::Value;

use crate::program::{Ledger, text};

const DEPOSIT: &str = r#"{"amount": "1", "commodity": "EUR"}"#;

fn json(ledger: &Ledger, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    serde_json::from_str(&ledger.answer(&arguments)).unwrap()
}

/// Runs to an end with this exit code, and gives what was complained of.
fn complaint(ledger: &Ledger, code: i32, arguments: &[&str]) -> String {
    let output = ledger.run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn a_command_is_submitted_followed_and_cancelled() {
    let ledger = Ledger::new();
    let (_serving, _) = ledger.serve();
    let submit = ["command", "submit", "account", "a", "open", "{}", "--in", "7d", "--key", "k", "--urgent"];
    let first = json(&ledger, &submit);
    assert_eq!((first["status"].as_str(), first["repeated"].as_bool()), (Some("pending"), Some(false)));
    let again = json(&ledger, &submit);
    assert_eq!(again["repeated"], true);
    assert_eq!((&again["command_id"], &again["due_at"]), (&first["command_id"], &first["due_at"]));

    let listed = json(&ledger, &["command", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!((&listed[0]["for"], &listed[0]["urgent"]), (&"account/a/open".into(), &true.into()));
    assert!(ledger.answer(&["command", "list"]).contains("account/a/open"));
    assert_eq!(json(&ledger, &["command", "list", "--failed"]), Value::Array(Vec::new()));
    let id = first["command_id"].as_str().unwrap();
    for named in ["k", id] {
        let shown = ledger.answer(&["command", "show", named]);
        assert!(shown.contains("pending") && shown.contains("attempts      0"), "{shown}");
    }
    // Another tenant has no such command.
    complaint(&ledger, 3, &["--tenant", "other", "command", "show", "k"]);
    complaint(&ledger, 3, &["--tenant", "other", "command", "cancel", id]);
    assert_eq!(json(&ledger, &["--tenant", "other", "command", "list"]), Value::Array(Vec::new()));

    for _ in 0..2 {
        assert_eq!(json(&ledger, &["command", "cancel", "k"])["status"], "cancelled");
    }
    assert!(ledger.answer(&["command", "show", "k"]).contains("cancelled"));
    assert!(ledger.answer(&submit).contains("has ended before"));
}

#[test]
fn an_operation_is_submitted_for_a_time() {
    let ledger = Ledger::new();
    let (_serving, _) = ledger.serve();
    let body = r#"{"from": "a", "to": "b", "amount": "1", "commodity": "EUR"}"#;
    let at = ["--at", "2999-01-31T06:00:00+01:00"];
    let submitted =
        json(&ledger, &[&["command", "submit", "operations", "transfer", body], &at[..]].concat());
    assert_eq!(submitted["due_at"], "2999-01-31T05:00:00Z");
    let listed = json(&ledger, &["command", "list"]);
    assert_eq!(listed[0]["for"], "operations/transfer");
}

#[test]
fn what_is_wrong_with_a_command_is_told_and_nothing_is_stored() {
    let ledger = Ledger::new();
    let (_serving, _) = ledger.serve();
    let submit = |rest: &[&str]| complaint(&ledger, 2, &[&["command", "submit"], rest].concat());
    assert!(submit(&["account", "a", "burn", "{}"]).contains("there is no command \"burn\""));
    assert!(submit(&["account", "a", "deposit", "{}"]).contains("does not fit"));
    assert!(submit(&["account", "a", "deposit"]).contains("CATEGORY ID COMMAND BODY"));
    assert!(submit(&["account", "a", "open", "{}", "--in", "soon"]).contains("45s, 30m"));
    assert!(submit(&["account", "a", "open", "{}", "--at", "soon"]).contains("2030-01-31"));
    submit(&["account", "a", "open", "{}", "--at", "2030-01-01T00:00:00Z", "--in", "1d"]);
    complaint(&ledger, 3, &["command", "submit", "tin", "a", "open", "{}"]);
    complaint(&ledger, 3, &["command", "show", "never"]);
    assert_eq!(json(&ledger, &["command", "list"]), Value::Array(Vec::new()));
}

#[test]
fn a_schedule_is_put_listed_and_removed() {
    let ledger = Ledger::new();
    let (_serving, _) = ledger.serve();
    let add = |cron: &str, zone: &str| {
        let options = ["schedule", "add", "interest", "--cron", cron, "--zone", zone, "--missed", "all"];
        let arguments = [&options[..], &["account", "a", "deposit", DEPOSIT]].concat();
        ledger.run(&arguments)
    };
    for _ in 0..2 {
        let output = add("0 6 1 * *", "Europe/Berlin");
        assert!(text(&output.stdout).contains("due next at"), "{}", text(&output.stderr));
    }
    let listed = json(&ledger, &["schedule", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!((&listed[0]["name"], &listed[0]["revision"]), (&"interest".into(), &1.into()));
    assert_eq!(listed[0]["definition"]["missed"], "all");
    let next: jiff::Timestamp = listed[0]["next_due_at"].as_str().unwrap().parse().unwrap();
    let hour = next.as_second().rem_euclid(86_400) / 3_600;
    assert!(hour == 4 || hour == 5, "six o'clock in Berlin: {next}");
    assert!(ledger.answer(&["schedule", "list"]).contains("Europe/Berlin"));
    assert_eq!(json(&ledger, &["--tenant", "other", "schedule", "list"]), Value::Array(Vec::new()));

    for (cron, zone, told) in [
        ("0 6 1 *", "Europe/Berlin", "it has five"),
        ("0 6 31 2 *", "Europe/Berlin", "no month has"),
        ("0 6 1 * *", "Europe/Bärlin", "there is no time zone"),
    ] {
        let output = add(cron, zone);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
    }
    complaint(&ledger, 3, &["--tenant", "other", "schedule", "remove", "interest"]);
    ledger.answer(&["schedule", "remove", "interest"]);
    complaint(&ledger, 3, &["schedule", "remove", "interest"]);
    assert_eq!(json(&ledger, &["schedule", "list"]), Value::Array(Vec::new()));
}
