//! What the ledger keeps as it is: rates, profiles and templates, and what says where.

use ledger::money::{Commodity, Money};
use ledger::rate::{Pair, Rate};
use ledger::statement_template::StatementTemplate;
use serde_json::{Value, json};
use underlay::{Decimal, EntityId, EntityVersion};

use crate::entity_stores::entities_over_http;
#[cfg(feature = "http")]
use crate::http::Client;
use crate::program::{Ledger, text};

pub(crate) fn of(text: &str) -> Commodity {
    Commodity::new(text).unwrap()
}

pub(crate) fn pair(base: &str, quote: &str) -> Pair {
    Pair { base: of(base), quote: of(quote) }
}

pub(crate) fn rate(base: &str, quote: &str, value: &str) -> Rate {
    Rate::new(of(base), of(quote), value.parse().unwrap())
}

#[test]
fn a_pair_has_one_text() {
    for (key, good) in
        [("EUR@USD", true), ("@USD", true), ("EUR", false), ("EUR@USD@CHF", false), ("", false)]
    {
        let read = Pair::from_key(key);
        assert_eq!(read.is_some(), good, "{key}");
        assert!(read.is_none_or(|pair| pair.to_key() == key));
    }
}

#[test]
fn a_rate_does_not_round() {
    let to_usd = rate("EUR", "USD", "1.0825");
    assert_eq!(to_usd.convert(Decimal::TEN), Some("10.825".parse().unwrap()));
    assert_eq!(to_usd.convert(Decimal::MAX), None);
    let fine = rate("EUR", "USD", "0.0000000000000001");
    assert_eq!(fine.convert("0.0000000000000001".parse().unwrap()), None);
}

#[test]
fn what_a_template_is_filled_with_is_not_filled_again() {
    let template = StatementTemplate {
        name: "monthly".to_owned(),
        version: EntityVersion::NEW,
        language: "en".to_owned(),
        text: "{account} has\n{balances}\nin {account}".to_owned(),
    };
    let balances =
        ["1.50", "2"].map(|amount| Money { amount: amount.parse().unwrap(), commodity: of("EUR") });
    assert_eq!(template.fill("{balances}", &balances), "{balances} has\n1.50 EUR\n2 EUR\nin {balances}");
}

#[test]
fn one_line_moves_entities_to_another_store() {
    entities_over_http(&Ledger::new(), &["--entities-store", "memory:"], false);
    // One kind alone is elsewhere.
    let ledger = Ledger::new();
    let other = format!("sqlite:{}", ledger.directory.path().join("rates.db").display());
    entities_over_http(&ledger, &["--entities-of-rate", &other], true);
    assert!(ledger.directory.path().join("rates.db").is_file());
    let checked = ledger.answer(&["check", "--entities", "--entities-of-rate", &other]);
    assert!(checked.contains("rates.db") && checked.contains("the store of the log"), "{checked}");
}

/// Another ledger has the entities, and this one keeps them there.
#[cfg(feature = "http")]
#[test]
fn another_ledger_keeps_entities() {
    let other = Ledger::new();
    let (serving, remote) = other.serve_with(&[]);
    let all = format!("{remote}/v1/entities/{{entity}}?shared=true");
    entities_over_http(&Ledger::new(), &["--entities-store", &all], true);
    let there = Client::new(remote.clone());
    let rates = there.get("entities/rate?count=true").1;
    assert_eq!(rates["count"], 4, "{rates}");
    // While it is away, this one goes on, and starts too.
    let ledger = Ledger::new();
    let own = ["--entities-of-rate", &format!("{remote}/v1/entities/rate?shared=true")];
    let (_own, client) = {
        let (serving, address) = ledger.serve_with(&own);
        (serving, Client::new(address))
    };
    assert_eq!(client.get("entities/rate/EUR@USD").1["value"], "1.09");
    drop(serving);
    // One that no cache has.
    let (status, away) = client.get("entities/rate/USD@CHF");
    assert_eq!((status, &away["type"]), (503, &json!("urn:underlay:problem:unavailable")));
    assert_eq!(client.get("entities/profile").0, 200);
    let (_own, address) = ledger.serve_with(&own);
    assert_eq!(Client::new(address).get("entities/rate").0, 503);
}

#[test]
fn what_is_wrong_with_the_stores_of_entities_is_told() {
    let ledger = Ledger::new();
    let told = |arguments: &[&str]| {
        let output = ledger.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stderr)
    };
    let unknown = told(&["config", "--entities-of-rate", "monogdb://h"]);
    assert!(unknown.contains("entities.of.rate") && unknown.contains("no store of the kind"), "{unknown}");
    assert!(unknown.contains("memory:") && unknown.contains("sqlite:PATH"), "those there are: {unknown}");
    let toml = ledger.directory.path().join("wrong.toml");
    std::fs::write(&toml, "[entities.of]\nrates = 'memory:'\n").unwrap();
    let misspelt = told(&["config", "--config", toml.to_str().unwrap()]);
    assert!(misspelt.contains("did you mean entities.of.rate?"), "{misspelt}");
    #[cfg(feature = "redis")]
    {
        let elsewhere = Ledger { database: "redis://127.0.0.1:1".to_owned(), ..Ledger::new() };
        let output = elsewhere.run(&["events"]);
        let told = text(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains("keeps no log"), "{told}");
    }
}

#[test]
fn the_configuration_says_where_entities_are() {
    let ledger = Ledger::new();
    let toml = ledger.directory.path().join("ledger.toml");
    std::fs::write(&toml, "[entities]\nstore = 'memory:'\n[entities.of]\nrate = 'sqlite:rates.db'\n")
        .unwrap();
    let mut command = ledger.command(&["config", "--json"]);
    command.current_dir(ledger.directory.path()).env("LEDGER_ENTITIES_OF_PROFILE", "sqlite:profiles.db");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let entries: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (option, value, source) in [
        ("entities.store", json!("memory:"), "ledger.toml"),
        ("entities.of.rate", json!("sqlite:rates.db"), "ledger.toml"),
        ("entities.of.profile", json!("sqlite:profiles.db"), "LEDGER_ENTITIES_OF_PROFILE in the environment"),
        ("entities.of.statement_template", Value::Null, "default"),
    ] {
        let entry = entries.iter().find(|entry| entry["option"] == option).unwrap();
        assert_eq!((&entry["value"], entry["source"].as_str().unwrap()), (&value, source), "{option}");
    }
}

#[test]
fn a_member_joins_by_the_command_line() {
    let ledger = Ledger::new();
    drop(ledger.serve());
    ledger.answer(&["join", "ann", "ann@example.com", "--nickname", "Ann", "--language", "de"]);
    assert!(ledger.events().contains("member-registered"));
    let taken = ledger.run(&["join", "bob", "bob@example.com", "--nickname", "Ann"]);
    assert!(!taken.status.success() && text(&taken.stderr).contains("nickname"), "{}", text(&taken.stderr));
    let checked = ledger.answer(&["check", "--entities"]);
    let profile = checked.lines().find(|line| line.trim_start().starts_with("profile")).unwrap();
    assert!(profile.contains('1') && profile.contains("can be read"), "{checked}");
}
