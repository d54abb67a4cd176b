//! Entities at the command line.

use serde_json::{Value, json};

use crate::program::{Ledger, text};

/// A ledger whose file is there.
fn ledger() -> Ledger {
    let ledger = Ledger::new();
    drop(ledger.serve());
    ledger
}

impl Ledger {
    /// Runs to a bad end, and gives the exit code and what was complained of.
    fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        (output.status.code().unwrap(), text(&output.stderr))
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let answer = self.answer(&[arguments, &["--json"]].concat());
        answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn to(quote: &str, base: &str, value: &str) -> String {
    json!({ "base": base, "quote": quote, "value": value }).to_string()
}

#[test]
fn an_entity_is_created_looked_at_changed_and_removed() {
    let ledger = ledger();
    let created = ledger.answer(&["entity", "create", "rate", "EUR@USD", &to("USD", "EUR", "1.08")]);
    assert_eq!(created, "rate \"EUR@USD\" is stored, at version 1\n");
    let (exit, twice) = ledger.refused(&["entity", "create", "rate", "EUR@USD", &to("USD", "EUR", "2")]);
    assert_eq!((exit, twice.contains("expected none, found version 1")), (2, true), "{twice}");
    let got = ledger.answer(&["entity", "get", "rate", "EUR@USD"]);
    for line in ["version  1", "value    1.08", "source   -"] {
        assert!(got.contains(line), "{line}: {got}");
    }
    // What was read is given back, with another value.
    let mut read = ledger.json(&["entity", "get", "rate", "EUR@USD"]).remove(0);
    assert_eq!(
        read,
        json!({ "id": "EUR@USD", "version": 1, "base": "EUR", "quote": "USD", "value": "1.08", "source": null })
    );
    read["value"] = json!("1.09");
    let change = ["entity", "update", "rate", "EUR@USD", &read.to_string(), "--if-version"];
    let (exit, stale) = ledger.refused(&[&change[..], &["7"]].concat());
    assert_eq!((exit, stale.contains("of another version than --if-version 7")), (2, true), "{stale}");
    let stored = ledger.json(&[&change[..], &["1"]].concat()).remove(0);
    assert_eq!((&stored["version"], &stored["value"]), (&json!(2), &json!("1.09")));
    let other = ["entity", "update", "rate", "EUR@USD", &to("USD", "EUR", "3"), "--if-version", "1"];
    let (exit, stale) = ledger.refused(&other);
    assert_eq!((exit, stale.contains("expected version 1, found 2")), (2, true), "{stale}");
    assert_eq!(ledger.refused(&other[..5]).0, 2, "which version was seen has to be said");

    let (exit, kept) = ledger.refused(&["entity", "delete", "rate", "EUR@USD", "--if-version", "1"]);
    assert_eq!((exit, kept.contains("found 2")), (2, true), "{kept}");
    let removed = ledger.answer(&["entity", "delete", "rate", "EUR@USD", "--if-version", "2"]);
    assert_eq!(removed, "rate \"EUR@USD\" is removed\n");
    for gone in [&["entity", "get", "rate", "EUR@USD"], &["entity", "delete", "rate", "EUR@USD"]] {
        assert_eq!(ledger.refused(gone).0, 3);
    }
    for (wrong, told) in [
        (vec!["get", "rates", "x"], "there are: profile, rate"),
        (vec!["create", "rate", "EUR@USD", "{"], "no JSON object"),
        (vec!["create", "rate", "EUR@USD", "{\"base\":\"EUR\"}"], "the member quote is missing"),
        (vec!["create", "rate", "EUR@CHF", &to("USD", "EUR", "1")], "EUR"),
        (
            vec![
                "create",
                "rate",
                "EUR@USD",
                "{\"id\":\"CHF@USD\",\"base\":\"EUR\",\"quote\":\"USD\",\"value\":\"1\"}",
            ],
            "another id",
        ),
    ] {
        let (_, complained) = ledger.refused(&[&["entity"], &wrong[..]].concat());
        assert!(complained.contains(told), "{wrong:?}: {complained}");
    }
    // Tenants are apart.
    ledger.answer(&["entity", "create", "rate", "EUR@USD", &to("USD", "EUR", "1"), "--tenant", "other"]);
    assert_eq!(ledger.refused(&["entity", "get", "rate", "EUR@USD"]).0, 3);
}

#[test]
fn entities_are_queried_and_listed() {
    let ledger = ledger();
    let kinds = ledger.json(&["entity", "list"]);
    let names: Vec<&Value> = kinds.iter().map(|kind| &kind["name"]).collect();
    assert_eq!(names, ["profile", "rate", "statement_template"]);
    assert_eq!(
        (&kinds[0]["unique"], &kinds[1]["kept_in"]),
        (&json!(["nickname"]), &json!("the store of the log"))
    );
    let other = format!("sqlite:{}", ledger.directory.path().join("rates.db").display());
    let elsewhere = ["--entities-of-rate", other.as_str()];
    drop(ledger.serve_with(&elsewhere));
    let listed = ledger.answer(&[&["entity", "list"], &elsewhere[..]].concat());
    assert!(listed.contains("nickname (unique)") && listed.contains("rates.db"), "{listed}");

    for (at, base) in ["AUD", "CHF", "EUR", "GBP", "SEK"].into_iter().enumerate() {
        let id = format!("{base}@USD");
        ledger.answer(&["entity", "create", "rate", &id, &to("USD", base, &format!("{}", at + 1))]);
    }
    let bases = |arguments: &[&str]| {
        let found = ledger.json(&[&["entity", "query", "rate"], arguments].concat());
        found.into_iter().map(|rate| rate["base"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(bases(&[]), ["AUD", "CHF", "EUR", "GBP", "SEK"]);
    assert_eq!(bases(&["quote=USD", "value[ge]=4", "--sort", "-value"]), ["SEK", "GBP"]);
    let either = r#"{"any": [{"column": "base", "eq": "CHF"}, {"column": "value", "gt": "4"}]}"#;
    assert_eq!(bases(&["--condition", either]), ["CHF", "SEK"]);
    assert_eq!(ledger.answer(&["entity", "query", "rate", "value[lt]=3", "--count"]), "2\n");
    let page = ledger.answer(&["entity", "query", "rate", "value[gt]=1", "--sort", "-value", "--limit", "3"]);
    let (table, more) = page.split_once("there are more: `").unwrap();
    assert!(table.contains("SEK@USD") && !table.contains("CHF@USD"), "{page}");
    // The command line that is told goes on.
    let line = more.trim_end().trim_end_matches('`').strip_prefix("ledger").unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("exec \"$PROGRAM\"{line}")])
        .env("PROGRAM", crate::program::program())
        .output()
        .unwrap();
    let rest = text(&output.stdout);
    assert!(
        rest.contains("CHF@USD") && !rest.contains("EUR@USD") && !rest.contains("there are more"),
        "{line}: {rest} {}",
        text(&output.stderr)
    );
    for (wrong, told) in [
        (vec!["source=x"], "there is no parameter \"source\""),
        (vec!["quote"], "a filter is COLUMN=VALUE"),
        (vec!["limit=2"], "a filter is COLUMN=VALUE"),
        (vec!["--condition", "{"], "not JSON"),
        (vec!["--after", "x"], "cursor"),
    ] {
        let (exit, complained) = ledger.refused(&[&["entity", "query", "rate"], &wrong[..]].concat());
        assert_eq!(exit, 2, "{wrong:?}");
        assert!(complained.contains(told), "{wrong:?}: {complained}");
    }
}
