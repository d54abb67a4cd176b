//! Views as a whole, over all tenants: who may look after them, and what they can do.

use std::time::Duration;

use serde_json::{Value, json};
use underlay_core::{
    EventStore, Position, ReadModels, RowAddress, RowChange, TenantId, ViewBatch, ViewTable,
};
use underlay_server::ServerConfig;

use crate::account::BREAKING;
use crate::place::{Answer, ByHeader, Place, get_with, post_with};

const STORE_OPERATOR: [(&str, &str); 1] = [("authorization", "Bearer acme.keeper")];
const LONG: Duration = Duration::from_secs(30);
const READS: [&str; 3] = ["/v1/admin/views", "/v1/admin/views/balances", "/v1/admin/views/balances/parked"];
const WRITES: [&str; 7] = ["rebuild", "verify", "cancel", "revert", "discard", "retry", "skip"];

fn of_many_tenants(config: ServerConfig) -> ServerConfig {
    let mut config = config.with_credentials(ByHeader);
    config.store_operators = vec!["keeper".to_owned()];
    config
}

async fn order(place: &Place, what: &str, body: &str) -> Answer {
    place.send(post_with(&format!("/v1/admin/views/balances/{what}"), body, &STORE_OPERATOR)).await
}

/// Where the order stands, once it has ended.
async fn ended(place: &Place) -> Value {
    let ended = async {
        loop {
            let standings = place.engine.view_standings_now().await.unwrap();
            let view = standings.views.into_iter().find(|view| view.view == "balances").unwrap();
            if let Some(order) = view.order.filter(|order| order.order.state.is_ended()) {
                return serde_json::to_value(order).unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, ended).await.unwrap()
}

#[tokio::test]
async fn views_as_a_whole_are_for_operators_of_the_store_alone() {
    let place = Place::with(of_many_tenants);
    for who in ["Bearer acme", "Bearer acme.operator", "Bearer acme.Keeper"] {
        let with = [("authorization", who)];
        for path in READS {
            let problem = place.send(get_with(path, &with)).await.problem(403, "problem:role-required");
            assert_eq!(problem["roles"], json!(["keeper"]), "{who} {path}");
        }
        for what in WRITES {
            let asked = post_with(&format!("/v1/admin/views/balances/{what}"), "", &with);
            place.send(asked).await.problem(403, "problem:role-required");
        }
        // Where views stand counts what all tenants do.
        let views = place.send(get_with("/v1/views", &with)).await.ok();
        assert!(
            views["views"].as_array().unwrap().iter().all(|view| view.get("position").is_none()),
            "{views}"
        );
        assert!(!place.send(get_with("/", &with)).await.text().contains(">Position<"));
    }
    place.get("/v1/admin/views").await.problem(401, "problem:unidentified");
    let standings = place.send(get_with("/v1/admin/views", &STORE_OPERATOR)).await.ok();
    assert_eq!(standings["views"][0]["view"], "balances");
    let views = place.send(get_with("/v1/views", &STORE_OPERATOR)).await.ok();
    assert!(views["views"][0]["position"].is_string(), "{views}");

    // Nobody has the role where none is named; where there is one tenant, its operators are enough.
    let unnamed = Place::with(|config| config.with_credentials(ByHeader));
    unnamed.send(get_with("/v1/admin/views", &STORE_OPERATOR)).await.problem(403, "problem:role-required");
    let operator = [("authorization", "Bearer acme.operator")];
    unnamed.send(get_with("/v1/admin/views", &operator)).await.problem(403, "problem:role-required");
    let of_one = Place::with(|config| config.with_credentials(ByHeader).with_one_tenant());
    of_one.send(get_with("/v1/admin/views", &operator)).await.ok();
    of_one.send(get_with("/v1/admin/views", &STORE_OPERATOR)).await.problem(403, "problem:role-required");
    Place::new().get("/v1/admin/views").await.ok();
}

#[tokio::test]
async fn a_view_is_verified_repaired_rebuilt_and_brought_back() {
    let place = Place::with(of_many_tenants);
    let views = place.engine.start_views();
    let acme = [("authorization", "Bearer acme")];
    let deposited = post_with("/v1/account/cash/deposit", r#"{"amount":"5"}"#, &acme);
    place.send(deposited).await.ok();
    let head = place.store.head().await.unwrap();
    place.engine.wait_for_view("balances", head, LONG).await.unwrap();

    let given = order(&place, "verify", "").await;
    assert_eq!(given.status, 202, "{}", given.text());
    assert_eq!(given.header("location"), Some("/v1/admin/views/balances"));
    let given = given.json();
    assert_eq!((&given["task"], &given["state"]), (&json!("verify"), &json!("waiting")));
    assert_eq!(given["ordered_by"], "acme.keeper of acme, over HTTP".replace("acme.keeper", by(&given)));
    let done = ended(&place).await;
    assert_eq!((&done["state"], &done["verified"]["rows"]), (&json!("done"), &json!(1)));

    // A person has altered a row.
    let table = ViewTable { schema: place.engine.registry().view_schema("balances").unwrap(), generation: 1 };
    let at = place.read_models.checkpoint(&table).await.unwrap();
    let address = RowAddress { tenant: TenantId::new("acme").unwrap(), key: "cash".to_owned() };
    let batch = ViewBatch::new(at, at, vec![RowChange::Delete(address)]);
    place.read_models.apply(&table, batch).await.unwrap();
    order(&place, "verify?repair=true", "").await;
    let done = ended(&place).await;
    assert_eq!((&done["state"], &done["verified"]["missing"]), (&json!("done"), &json!(1)), "{done}");
    let row = place.send(get_with("/v1/views/balances/cash", &acme)).await.ok();
    assert_eq!(row["balance"], "5");
    let standing = place.engine.view_standings_now().await.unwrap().views.remove(0);
    assert_eq!(standing.generation, 3, "the second was compared and given up");
    assert_eq!(order(&place, "revert", "").await.ok(), json!({ "view": "balances", "generation": 1 }));
    assert_eq!(order(&place, "discard", "").await.ok(), json!({ "view": "balances", "discarded": [3] }));
    views.stop().await;
}

/// The name that stands before the tenant.
fn by(order: &Value) -> &str {
    order["ordered_by"].as_str().unwrap().split(" of ").next().unwrap()
}

#[tokio::test]
async fn an_order_that_waits_is_seen_repeated_and_cancelled() {
    let place = Place::with(of_many_tenants);
    // Nobody keeps the views.
    let first = order(&place, "rebuild?from_start=true", "").await;
    assert_eq!(first.status, 202, "{}", first.text());
    assert_eq!(order(&place, "rebuild", "").await.json(), first.json(), "the same order again is one order");
    let other = order(&place, "verify", "").await.problem(409, "problem:busy");
    assert!(other["detail"].as_str().unwrap().contains("cancel"), "{other}");
    let seen = place.send(get_with("/v1/admin/views/balances", &STORE_OPERATOR)).await.ok();
    assert_eq!(seen["order"]["state"], "waiting", "{seen}");
    assert_eq!(order(&place, "cancel", "").await.ok()["state"], "cancelled");
    assert!(order(&place, "cancel", "").await.invalid().contains("nothing is ordered"));
    for wrong in ["rebuild?from_start=1", "verify?repair=yes", "rebuild?repair=true", "cancel?discard=true"] {
        order(&place, wrong, "").await.invalid();
    }
    let missing = post_with("/v1/admin/views/nothing/rebuild", "", &STORE_OPERATOR);
    place.send(missing).await.problem(404, "problem:not-found");
}

#[tokio::test]
async fn a_stopped_view_is_skipped_over_http() {
    let place = Place::with(of_many_tenants);
    let views = place.engine.start_views();
    let acme = [("authorization", "Bearer acme")];
    let body = format!(r#"{{"amount":"{BREAKING}"}}"#);
    place.send(post_with("/v1/account/cash/deposit", &body, &acme)).await.ok();
    let head = place.store.head().await.unwrap();
    place.engine.wait_for_view("fragile", head, LONG).await.unwrap_err();
    let ask = async |what: &str, body: &str| {
        place.send(post_with(&format!("/v1/admin/views/fragile/{what}"), body, &STORE_OPERATOR)).await
    };
    for wrong in [
        "",
        "{}",
        r#"["1","x"]"#,
        r#"{"position":1,"why":"x"}"#,
        r#"{"position":"x","why":"x"}"#,
        r#"{"position":"1"}"#,
    ] {
        assert!(ask("skip", wrong).await.invalid().contains("such as"), "{wrong}");
    }
    let elsewhere = ask("skip", r#"{"position":"77","why":"a typo"}"#).await.invalid();
    assert!(elsewhere.contains("position"), "{elsewhere}");
    let skipped = ask("skip", &format!(r#"{{"position":"{head}","why":"a typo"}}"#)).await.ok();
    assert_eq!((&skipped["why"], &skipped["tenant"]), (&json!("a typo"), &json!("acme")));
    // It goes on by itself, and is stopped until it has noticed.
    let goes_on = async {
        while place.engine.wait_for_view("fragile", head, LONG).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, goes_on).await.unwrap();
    let parked = place.send(get_with("/v1/admin/views/fragile/parked?limit=1", &STORE_OPERATOR)).await.ok();
    assert_eq!(parked["events"][0]["position"], json!(head.to_string()));
    let next = parked["next"].as_str().unwrap().to_owned();
    let path = format!("/v1/admin/views/fragile/parked?after={next}");
    assert_eq!(
        place.send(get_with(&path, &STORE_OPERATOR)).await.ok(),
        json!({ "events": [], "next": null })
    );
    assert_eq!(ask("retry", "").await.ok()["retried"], "not_stopped");
    assert_ne!(head, Position::START);
    views.stop().await;
}
