//! The log in the shell: streams by name, and events by who did what, when and in which order.

use serde_json::{Value, json};

use crate::http::Client;
use crate::program::{Ledger, text};

/// A ledger with two accounts and one deposit by a request of its own.
fn filled() -> Ledger {
    let ledger = Ledger::new();
    let (_serving, address) = ledger.serve();
    let client = Client::new(address);
    for account in ["Assets:Cash", "Assets:Savings"] {
        assert_eq!(client.post(&format!("account/{account}/open"), &[], &json!({})).0, 200);
    }
    let headers = [("x-correlation-id", "0190aaaa-0000-7000-8000-000000000001")];
    for amount in ["1", "2"] {
        let body = json!({"amount": amount, "commodity": "EUR"});
        assert_eq!(client.post("account/Assets:Cash/deposit", &headers, &body).0, 200);
    }
    ledger
}

fn listed(ledger: &Ledger, arguments: &[&str]) -> Vec<Value> {
    let told = ledger.answer(&[arguments, &["--json"]].concat());
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn positions(ledger: &Ledger, more: &[&str]) -> Vec<String> {
    let events = listed(ledger, &[&["events"], more].concat());
    events.iter().map(|event| event["position"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn streams_are_listed_by_name() {
    let ledger = filled();
    let list = listed(&ledger, &["stream", "list"]);
    assert_eq!(list[0], json!({"stream": "account-Assets:Cash", "version": 3}));
    assert_eq!((list.len(), &list[1]["stream"]), (2, &Value::from("account-Assets:Savings")));
    assert!(listed(&ledger, &["stream", "list", "--category", "payment"]).is_empty());
    let first = ledger.answer(&["stream", "list", "--limit", "1", "--category", "account"]);
    let (_, more) = first.split_once("there are more: `ledger ").unwrap();
    assert!(more.contains("--category account --limit 1 --after account-Assets:Cash`"), "{more}");
    let second = ledger.answer(&["stream", "list", "--limit", "1", "--after", "account-Assets:Cash"]);
    assert!(second.contains("account-Assets:Savings") && !second.contains("there are more"), "{second}");
    for wrong in [["--limit", "0"], ["--limit", "1001"], ["--after", "account"], ["--category", "A"]] {
        assert_eq!(
            ledger.run(&[&["stream", "list"], &wrong[..]].concat()).status.code(),
            Some(2),
            "{wrong:?}"
        );
    }
    let none = ledger.run(&["stream", "account-none"]);
    assert!(text(&none.stderr).contains("ledger stream list"), "{}", text(&none.stderr));
}

#[test]
fn events_are_looked_for_by_who_did_what_and_when() {
    let ledger = filled();
    let chain = "0190aaaa-0000-7000-8000-000000000001";
    let third = &listed(&ledger, &["events", "--after", "2", "--limit", "1"])[0];
    let command = third["metadata"]["command_id"].as_str().unwrap().to_owned();
    let recorded_at = third["recorded_at"].as_str().unwrap().to_owned();
    for (arguments, wanted) in [
        (vec!["--newest"], vec!["4", "3", "2", "1"]),
        (vec!["--newest", "--limit", "2"], vec!["4", "3"]),
        (vec!["--newest", "--after", "3"], vec!["2", "1"]),
        (vec!["--stream", "account-Assets:Cash"], vec!["1", "3", "4"]),
        (vec!["--correlation", chain], vec!["3", "4"]),
        (vec!["--correlation", chain, "--newest", "--limit", "1"], vec!["4"]),
        (vec!["--command", command.as_str()], vec!["3"]),
        (vec!["--actor", "nobody"], vec![]),
        (vec!["--until", recorded_at.as_str(), "--newest", "--limit", "1"], vec!["3"]),
        (vec!["--from", "1h"], vec!["1", "2", "3", "4"]),
        (vec!["--until", "1h"], vec![]),
    ] {
        assert_eq!(positions(&ledger, &arguments), wanted, "{arguments:?}");
    }
    for wrong in [
        ["--from", "soon"].as_slice(),
        &["--from", "1h", "--until", "2h"],
        &["--correlation", "1"],
        &["--stream", "account"],
        &["--follow", "--newest"],
        &["--follow", "--from", "1h"],
    ] {
        assert_eq!(ledger.run(&[&["events"], wrong].concat()).status.code(), Some(2), "{wrong:?}");
    }
}
