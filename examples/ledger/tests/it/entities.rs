//! What the ledger keeps as it is: rates, profiles and templates, on each store there is.

use ledger::member::{Member, MemberCommand, MemberRefusal, Profile, join};
use ledger::money::{Commodity, Money};
use ledger::rate::{Pair, Rate, RateRow, worth};
use ledger::statement_template::StatementTemplate;
use serde_json::{Value, json};
use underlay::domain::Direction;
use underlay::{
    Decimal, EntityId, EntityVersion, Error, EventStore, ExecuteError, Query, Repository, Request, Store,
    StreamName, TenantId,
};

use crate::http::Client;
use crate::program::{Ledger, text};

fn of(text: &str) -> Commodity {
    Commodity::new(text).unwrap()
}

fn pair(base: &str, quote: &str) -> Pair {
    Pair { base: of(base), quote: of(quote) }
}

fn rate(base: &str, quote: &str, value: &str) -> Rate {
    Rate::new(of(base), of(quote), value.parse().unwrap())
}

fn request(tenant: &str) -> Request {
    Request::new(TenantId::new(tenant).unwrap())
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

/// On a store that keeps entities beside its log.
pub(crate) async fn entities_are_kept_found_and_changed_with_events(address: &str) {
    let store = Store::open(address).await.unwrap();
    let engine = ledger::service().open(&store).unwrap();
    let (acme, zeta) = (request("acme"), request("zeta"));
    let rates: Repository<Rate> = engine.repository(&acme).unwrap();
    let to_usd = rates.create(rate("EUR", "USD", "1.08")).await.unwrap();
    for (base, value) in [("CHF", "1.13"), ("GBP", "1.27")] {
        rates.create(rate(base, "USD", value)).await.unwrap();
    }
    assert_eq!(rates.get(pair("EUR", "USD")).await.unwrap(), to_usd);
    let twice = rates.create(rate("EUR", "USD", "2")).await.unwrap_err();
    assert_eq!(twice.to_string(), "conflict on rate EUR@USD: expected none, found version 1");
    let money =
        |amount: &str, of_what: &str| Money { amount: amount.parse().unwrap(), commodity: of(of_what) };
    let purse = [money("10", "EUR"), money("3", "USD"), money("100", "GBP")];
    assert_eq!(worth(&rates, &purse, &of("USD")).await.unwrap(), Some("140.80".parse().unwrap()));
    assert_eq!(worth(&rates, &purse, &of("JPY")).await.unwrap(), None);
    let dear = RateRow::VALUE.gt(Decimal::new(11, 1)).and(RateRow::SOURCE.is_null());
    assert_eq!(rates.count(dear).await.unwrap(), 2);
    let cheapest = Query::default().sort(RateRow::VALUE.name(), Direction::Ascending).limit(2);
    let page = rates.paginate(&cheapest, None).await.unwrap();
    let names = |found: &[Rate]| found.iter().map(|rate| rate.pair.to_key()).collect::<Vec<_>>();
    assert_eq!(names(&page.items), ["EUR@USD", "CHF@USD"]);
    let next = rates.paginate(&cheapest, page.next.as_deref()).await.unwrap();
    assert_eq!((names(&next.items), next.next), (vec!["GBP@USD".to_owned()], None));
    // Another tenant has rates of its own.
    let theirs: Repository<Rate> = engine.repository(&zeta).unwrap();
    assert!(theirs.list(None).await.unwrap().items.is_empty());

    // A profile and the event of its member are stored together, or neither is.
    let member = |name: &str| name.parse::<ledger::member::MemberId>().unwrap();
    let profiles: Repository<Profile> = engine.repository(&acme).unwrap();
    let versions = || async {
        let streams = ["member-ann", "member-bob"].map(|name| StreamName::parse(name).unwrap());
        let versions = engine.store().versions(&acme.tenant, &streams).await.unwrap();
        versions.iter().map(|version| version.0).collect::<Vec<_>>()
    };
    let ann = Profile::new(member("ann"), "Ann");
    join(&engine, &acme, ann.clone(), "ann@example.com").await.unwrap();
    let refused = join(&engine, &acme, Profile::new(member("bob"), "Bob"), "no address").await.unwrap_err();
    assert!(matches!(refused, ExecuteError::Refused(MemberRefusal::NoAddress { .. })), "{refused}");
    let taken =
        join(&engine, &acme, Profile::new(member("bob"), "Ann"), "bob@example.com").await.unwrap_err();
    assert!(
        matches!(&taken, ExecuteError::Failed(Error::RuleViolation(rule)) if rule.contains("nickname")),
        "{taken}"
    );
    assert_eq!(versions().await, [1, 0]);
    assert!(!profiles.exists(member("bob")).await.unwrap());
    join(&engine, &zeta, Profile::new(member("bob"), "Ann"), "bob@example.com").await.unwrap();

    // A conflict of the profile keeps the event away, and a repeat changes nothing.
    let seen = profiles.get(member("ann")).await.unwrap();
    let german = profiles.update(Profile { language: "de".to_owned(), ..seen.clone() }).await.unwrap();
    let command = || MemberCommand::SendLink { email: None };
    let keyed = acme.clone().with_key("again");
    let mut unit = engine.unit_of_work(&keyed);
    unit.save(Profile { about: Some("old".to_owned()), ..seen }).unwrap();
    let conflict = unit.commit_with::<Member>(&member("ann"), command()).await.unwrap_err();
    assert_eq!(conflict.to_string(), "conflict on profile ann: expected version 1, found 2");
    assert_eq!(versions().await, [1, 0]);
    for (repeated, version) in [(false, 3), (true, 3)] {
        let mut unit = engine.unit_of_work(&keyed);
        let profile = unit.get::<Profile>(member("ann")).await.unwrap();
        unit.save(Profile { about: Some(format!("version {version}, {repeated}")), ..profile }).unwrap();
        let executed = unit.commit_with::<Member>(&member("ann"), command()).await.unwrap();
        assert_eq!(executed.repeated, repeated);
        let stored = profiles.get(member("ann")).await.unwrap();
        assert_eq!((stored.version, stored.language), (EntityVersion(version), german.language.clone()));
        assert_eq!(stored.about.as_deref(), Some("version 3, false"));
    }
    assert_eq!(versions().await, [2, 0]);
    drop(engine);
    store.close().await.unwrap();
}

/// Over HTTP, with a restart in between where the store outlives the process.
pub(crate) fn entities_over_http(ledger: &Ledger, arguments: &[&str], outlives: bool) {
    let (serving, address) = ledger.serve_with(arguments);
    let client = Client::new(address);
    let to_usd = |value: &str| json!({ "id": "EUR@USD", "base": "EUR", "quote": "USD", "value": value });
    let (status, created) = client.post("entities/rate", &[], &to_usd("1.08"));
    assert_eq!(status, 201, "{created}");
    assert_eq!(
        (&created["version"], &created["value"], &created["source"]),
        (&json!(1), &json!("1.08"), &Value::Null)
    );
    assert_eq!(client.post("entities/rate", &[], &to_usd("2")).0, 409);
    // What is no rate is refused, though its columns would take it.
    for (wrong, told) in [
        (to_usd("0"), "not more than zero"),
        (json!({ "id": "EUR@CHF", "base": "EUR", "quote": "USD", "value": "1" }), "BASE@QUOTE"),
    ] {
        let (status, refused) = client.post("entities/rate", &[], &wrong);
        assert!(status == 400 && refused["detail"].as_str().unwrap().contains(told), "{status}: {refused}");
    }
    let change = json!({ "base": "EUR", "quote": "USD", "value": "1.09" });
    assert_eq!(client.put("entities/rate/EUR@USD", &[], &change).0, 428);
    assert_eq!(client.put("entities/rate/EUR@USD", &[("If-Match", "\"7\"")], &change).0, 412);
    let (status, updated) = client.put("entities/rate/EUR@USD", &[("If-Match", "\"1\"")], &change);
    assert_eq!((status, &updated["version"]), (200, &json!(2)));
    let profile = |nickname: &str| json!({ "nickname": nickname, "language": "en" });
    let new = [("If-None-Match", "*")];
    assert_eq!(client.put("entities/profile/ann", &new, &profile("Ann")).0, 201);
    assert_eq!(client.put("entities/profile/ann", &new, &profile("Ann")).0, 412);
    let (status, taken) = client.put("entities/profile/bob", &new, &profile("Ann"));
    assert_eq!((status, &taken["type"]), (422, &json!("urn:underlay:problem:rule-violation")));
    let template = json!({ "id": "monthly", "language": "en", "text": "{account}" });
    assert_eq!(client.post("entities/statement_template", &[], &template).0, 201);

    let (_other, client) = if outlives {
        drop(serving);
        let (serving, address) = ledger.serve_with(arguments);
        (serving, Client::new(address))
    } else {
        (serving, client)
    };
    assert_eq!(client.get("entities/rate/EUR@USD"), (200, updated));
    for base in ["CHF", "GBP", "JPY"] {
        let rate = json!({ "id": format!("{base}@USD"), "base": base, "quote": "USD", "value": "1", "source": "bank" });
        assert_eq!(client.post("entities/rate", &[], &rate).0, 201);
    }
    let mut seen = Vec::new();
    let asked = "quote=USD&condition=%7B%22not%22%3A%7B%22column%22%3A%22base%22%2C%22eq%22%3A%22JPY%22%7D%7D&sort=-base&limit=2";
    let mut page = client.get(&format!("entities/rate?{asked}&count=true")).1;
    assert_eq!(page["count"], 3, "{page}");
    loop {
        seen.extend(page["entities"].as_array().unwrap().iter().map(|rate| rate["base"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        page = client.get(&format!("entities/rate?{asked}&cursor={next}")).1;
    }
    assert_eq!(seen, [json!("GBP"), json!("EUR"), json!("CHF")]);
}

#[tokio::test]
async fn entities_are_kept_in_memory() {
    entities_are_kept_found_and_changed_with_events("memory:").await;
}

#[tokio::test]
async fn entities_are_kept_in_a_file() {
    let ledger = Ledger::new();
    entities_are_kept_found_and_changed_with_events(&ledger.database).await;
}

#[test]
fn entities_are_served_from_the_store_of_the_service() {
    entities_over_http(&Ledger::new(), &[], true);
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
    let (status, away) = client.get("entities/rate/EUR@USD");
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
    let toml = ledger.directory.path().join("wrong.toml");
    std::fs::write(&toml, "[entities.of]\nrates = 'memory:'\n").unwrap();
    let misspelt = told(&["config", "--config", toml.to_str().unwrap()]);
    assert!(misspelt.contains("did you mean entities.of.rate?"), "{misspelt}");
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
