//! Commands and schedules that are left with the store by the command line, beside a running service.

use serde_json::Value;

use crate::program::{Ledger, text};

const DEPOSIT: &str = r#"{"amount": "1", "commodity": "EUR"}"#;

fn json(ledger: &Ledger, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    serde_json::from_str(&ledger.answer(&arguments)).unwrap()
}

/// What a list prints: a line for each.
fn list(ledger: &Ledger, arguments: &[&str]) -> Vec<Value> {
    let printed = ledger.answer(&[arguments, &["--json"]].concat());
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
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

    let listed = list(&ledger, &["command", "list"]);
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["for"], &listed[0]["urgent"]), (&"account/a/open".into(), &true.into()));
    assert!(ledger.answer(&["command", "list"]).contains("account/a/open"));
    assert_eq!(list(&ledger, &["command", "list", "--failed"]), [Value::Null; 0]);
    let id = first["command_id"].as_str().unwrap();
    for named in ["k", id] {
        let shown = ledger.answer(&["command", "show", named]);
        assert!(shown.contains("pending") && shown.contains("attempts      0"), "{shown}");
    }
    // Another tenant has no such command.
    complaint(&ledger, 3, &["--tenant", "other", "command", "show", "k"]);
    complaint(&ledger, 3, &["--tenant", "other", "command", "cancel", id]);
    assert_eq!(list(&ledger, &["--tenant", "other", "command", "list"]), [Value::Null; 0]);

    // Another moment for it is not stored, and that is said.
    let other = ["command", "submit", "account", "a", "open", "--in", "9d", "--key", "k", "--urgent"];
    let told = ledger.answer(&other);
    let due_at = first["due_at"].as_str().unwrap();
    let is_told = told.contains("was stored before") && told.contains(&format!("due at {due_at}"));
    assert!(is_told && told.contains("a time that is given now changes nothing"), "{told}");
    let told = complaint(&ledger, 2, &["command", "submit", "account", "b", "open", "--key", "k"]);
    assert!(told.contains("the key \"k\" was used before, for something else"), "{told}");

    for _ in 0..2 {
        assert_eq!(json(&ledger, &["command", "cancel", "k"])["status"], "cancelled");
    }
    assert!(ledger.answer(&["command", "show", "k"]).contains("cancelled"));
    // Its work is there until its moment, and the lists say that nothing comes of it.
    assert!(ledger.answer(&["command", "list"]).contains("cancelled"));
    assert!(ledger.answer(&["outbox", "list"]).contains(&format!("has ended, gone at {due_at}")));
    assert_eq!(json(&ledger, &["outbox", "list"])["has_ended"], true);
    assert!(ledger.answer(&submit).contains("has ended before"));
}

/// Nobody is there whom the system lists, and no login has said a name: then the order has to.
#[test]
fn who_gives_an_order_is_stored_or_asked_for() {
    let ledger = Ledger::new();
    let (_serving, _) = ledger.serve();
    let submit = |arguments: &[&str], user: Option<&str>| {
        let words = ["command", "submit", "account", "a", "open", "--in", "7d"];
        let mut command = ledger.command(&[&words, arguments].concat());
        for variable in ["USER", "LOGNAME", "USERNAME"] {
            command.env_remove(variable);
        }
        command.envs(user.map(|user| ("LOGNAME", user)));
        assert!(command.output().unwrap().status.success());
    };
    submit(&["--as", "ada"], Some("eve"));
    submit(&[], Some("eve"));
    // In a container nobody has logged in: it is who the system lists.
    submit(&[], None);
    let listed = list(&ledger, &["command", "list"]);
    let actors: Vec<_> = listed.iter().map(|command| &command["actor"]).collect();
    assert_eq!(actors[..2], [&Value::from("ada"), &Value::from("eve")]);
    assert!(actors[2].as_str().is_some_and(|name| !name.is_empty()), "{listed:?}");
    let id = listed[0]["command_id"].as_str().unwrap();
    ledger.answer(&["command", "cancel", id, "--as", "bob"]);
    assert!(ledger.answer(&["command", "show", id]).contains("by bob"));
}

/// A list that is cut says how it goes on, with the tenant, the limit and the filter it was asked with.
#[test]
fn a_list_that_is_cut_says_how_to_go_on() {
    let ledger = Ledger::new();
    let (_serving, _) = ledger.serve();
    for id in ["a", "b", "c"] {
        ledger.answer(&["--tenant", "acme", "command", "submit", "account", id, "open", "--in", "7d"]);
    }
    let ids = ["a", "b", "c"];
    for (list, between) in [("command list", "/"), ("outbox list --kind command", "-")] {
        let mut line = format!("{list} --tenant acme --limit 1");
        let mut found: Vec<&str> = Vec::new();
        loop {
            let told = ledger.answer(&line.split(' ').collect::<Vec<_>>());
            found.extend(ids.iter().filter(|id| told.contains(&format!("account{between}{id}"))));
            let Some((_, more)) = told.split_once("there are more: `ledger ") else { break };
            // The program of the tests is given its database anyway.
            let database = format!(" --database {}", ledger.database);
            line = more.split_once('`').unwrap().0.replace(&database, "");
            assert!(line.contains("--tenant acme") && line.contains("--limit 1 --after "), "{line}");
            assert_eq!(line.contains("--kind command"), list.contains("--kind"), "{line}");
        }
        assert_eq!(found, ids, "{list}");
    }
    for limit in ["0", "-1", "1001"] {
        for list in [["command", "list"], ["outbox", "list"], ["dead-letters", "list"], ["process", "list"]] {
            let told = complaint(&ledger, 2, &[&list[..], &["--limit", limit]].concat());
            assert!(told.contains("--limit") && told.contains(limit), "{told}");
        }
    }
    complaint(&ledger, 2, &["events", "--limit", "1000001"]);
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
    let listed = list(&ledger, &["command", "list"]);
    assert_eq!(listed[0]["for"], "operations/transfer");
}

#[test]
fn what_is_wrong_with_a_command_is_told_and_nothing_is_stored() {
    let ledger = Ledger::new();
    let (_serving, _) = ledger.serve();
    let submit = |rest: &[&str]| complaint(&ledger, 2, &[&["command", "submit"], rest].concat());
    assert!(submit(&["account", "a", "burn", "{}"]).contains("there is no command \"burn\""));
    assert!(submit(&["account", "a", "deposit", "{}"]).contains("does not fit"));
    assert!(submit(&["account", "a", "deposit"]).contains("does not fit"), "no body is an empty one");
    assert!(submit(&["operations", "transfer", "{}", "{}"]).contains("CATEGORY ID COMMAND BODY"));
    for span in ["soon", "-5s"] {
        assert!(submit(&["account", "a", "open", "{}", "--in", span]).contains("45s, 30m"));
    }
    assert!(submit(&["account", "a", "open", "--in", "999999999d"]).contains("no moment after 9999-12-30"));
    let too_late = ["account", "a", "open", "--at", "9999-12-31T00:00:00Z"];
    assert!(submit(&too_late).contains("no later than 9999-12-30"));
    let too_long = "k".repeat(201);
    for key in ["", "a b", "ä", &too_long] {
        let told = submit(&["account", "a", "open", "--key", key]);
        assert!(told.contains("1 to 200 visible ASCII characters"), "{told}");
    }
    assert!(submit(&["account", "a", "open", "{}", "--at", "soon"]).contains("2030-01-31"));
    submit(&["account", "a", "open", "{}", "--at", "2030-01-01T00:00:00Z", "--in", "1d"]);
    complaint(&ledger, 3, &["command", "submit", "tin", "a", "open", "{}"]);
    complaint(&ledger, 3, &["command", "show", "never"]);
    assert_eq!(list(&ledger, &["command", "list"]), [Value::Null; 0]);
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
    let listed = list(&ledger, &["schedule", "list"]);
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["name"], &listed[0]["revision"]), (&"interest".into(), &1.into()));
    assert_eq!(listed[0]["definition"]["missed"], "all");
    let next: jiff::Timestamp = listed[0]["next_due_at"].as_str().unwrap().parse().unwrap();
    let hour = next.as_second().rem_euclid(86_400) / 3_600;
    assert!(hour == 4 || hour == 5, "six o'clock in Berlin: {next}");
    assert!(ledger.answer(&["schedule", "list"]).contains("Europe/Berlin"));
    assert_eq!(list(&ledger, &["--tenant", "other", "schedule", "list"]), [Value::Null; 0]);

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
    assert_eq!(list(&ledger, &["schedule", "list"]), [Value::Null; 0]);
}
