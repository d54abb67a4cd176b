//! Work as operators look at it: what waits, several dead letters at once, processes and pumps that stopped.

use std::time::Duration;

use serde_json::{Value, json};
use underlay_core::{Commit, CommitId, EventStore, Json, NewWork, Timestamp, WorkKind};

use crate::admin::{OPERATOR, broken, give_up, site};
use crate::place::{Answer, ByHeader, Place, delete_with, get_with, post_with, tenant};

const LETTERS: &str = "/v1/admin/dead-letters";
const STORE_OPERATOR: &str = "Bearer acme.keeper";

async fn get(place: &Place, path: &str, who: &str) -> Answer {
    place.send(get_with(path, &[("authorization", who)])).await
}

async fn post(place: &Place, path: &str, body: &Value, who: &str) -> Answer {
    place.send(post_with(path, &body.to_string(), &[("authorization", who)])).await
}

async fn settle(place: &Place, order: &str, body: Value) -> Value {
    post(place, &format!("{LETTERS}/{order}"), &body, OPERATOR).await.ok()
}

/// The ids of a tenant's dead letters.
async fn letters(place: &Place, who: &str) -> Vec<String> {
    let page = get(place, &format!("{LETTERS}?limit=500"), who).await.ok();
    let ids = page["dead_letters"].as_array().unwrap().iter();
    ids.map(|letter| letter["work_id"].as_str().unwrap().to_owned()).collect()
}

fn settled(status: &str, count: usize) -> Value {
    json!({ "status": status, "count": count, "kept": 0, "next": null })
}

#[tokio::test]
async fn several_dead_letters_are_settled_of_the_callers_tenant_alone() {
    let place = site();
    let ours = give_up(&place, "acme", &["one", "two", "three", "four", "five"]).await;
    let theirs = give_up(&place, "globex", &["one", "two"]).await;
    for order in ["replay", "discard"] {
        let named = json!({ "ids": theirs });
        assert_eq!(settle(&place, order, named).await["count"], 0, "they are of another tenant");
        let (path, all) = (format!("{LETTERS}/{order}"), json!({ "all": true }));
        let found = post(&place, &path, &all, "Bearer zeta.operator").await.ok();
        assert_eq!(found["count"], 0, "who has none settles none");
    }
    let foreign = theirs[0].clone();
    let some = json!({ "ids": [ours[0], ours[4], foreign] });
    assert_eq!(settle(&place, "discard", some).await, settled("discarded", 2));
    assert_eq!(letters(&place, OPERATOR).await, ours[1..4]);
    // What is named by several members is narrowed down by each.
    let both = json!({ "ids": [ours[1], ours[2]], "key": "two", "kind": "message", "receiver": "mailer" });
    assert_eq!(settle(&place, "replay", both).await, settled("replayed", 1));
    assert_eq!(letters(&place, OPERATOR).await, ours[2..4]);
    assert_eq!(settle(&place, "discard", json!({ "receiver": "nobody" })).await, settled("discarded", 0));
    assert_eq!(settle(&place, "discard", json!({ "kind": "timer" })).await, settled("discarded", 0));
    assert_eq!(settle(&place, "discard", json!({ "all": true })).await, settled("discarded", 2));
    assert_eq!(letters(&place, OPERATOR).await, Vec::<String>::new());
    assert_eq!(letters(&place, "Bearer globex.operator").await, theirs);
}

#[tokio::test]
async fn all_dead_letters_are_meant_only_where_that_is_said() {
    let place = site();
    let ids = give_up(&place, "acme", &["one"]).await;
    let too_many: Vec<String> = (0..501).map(|_| CommitId::draw().to_string()).collect();
    for (wrong, told) in [
        (json!({}), "all"),
        (json!({ "all": false }), "all"),
        (json!({ "after": "0" }), "all"),
        (json!({ "ids": [] }), "1 to 500"),
        (json!({ "ids": too_many }), "1 to 500"),
        (json!({ "ids": ["x"] }), "no id"),
        (json!({ "ids": null }), "null"),
        (json!({ "receiver": null }), "null"),
        (json!({ "kind": "letter" }), "message"),
        (json!({ "all": true, "after": "x" }), "after"),
        (json!({ "all": true, "tenant": "globex" }), "tenant"),
        (json!([]), "object"),
    ] {
        for order in ["replay", "discard"] {
            let path = format!("{LETTERS}/{order}");
            let detail = post(&place, &path, &wrong, OPERATOR).await.invalid();
            assert!(detail.contains(told), "{wrong}: {detail}");
            post(&place, &path, &wrong, "Bearer acme").await.problem(403, "problem:role-required");
        }
    }
    assert_eq!(letters(&place, OPERATOR).await, ids);
}

#[tokio::test]
async fn a_request_settles_a_bounded_number_and_says_where_to_go_on() {
    let place = site();
    let texts: Vec<String> = (0..620).map(|number| format!("letter {number}")).collect();
    let ids = give_up(&place, "acme", &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let first = settle(&place, "replay", json!({ "receiver": "mailer" })).await;
    assert_eq!((&first["count"], first["next"].is_string()), (&json!(500), true), "{first}");
    let rest = settle(&place, "replay", json!({ "receiver": "mailer", "after": first["next"] })).await;
    assert_eq!(rest, settled("replayed", 120));
    assert_eq!(letters(&place, OPERATOR).await.len(), 0);
    let mut outbox = get(&place, "/v1/admin/outbox?limit=500", OPERATOR).await.ok();
    let mut waiting = Vec::new();
    loop {
        let pieces = outbox["work"].as_array().unwrap().iter();
        waiting.extend(pieces.map(|piece| piece["work_id"].as_str().unwrap().to_owned()));
        let Some(next) = outbox["next"].as_str() else { break };
        outbox = get(&place, &format!("/v1/admin/outbox?limit=500&after={next}"), OPERATOR).await.ok();
    }
    assert_eq!(waiting, ids, "each is due again, once");
}

async fn send(place: &Place, owner: &str, key: &str, due_at: Option<Timestamp>) {
    let payload = Json::encode(&json!({ "text": "a secret" })).unwrap();
    let mut work = NewWork::new(WorkKind::Message, "mailer", key, "note", payload);
    work.due_at = due_at;
    place.store.inner.commit(&tenant(owner), Commit::new(CommitId::draw()).send(work)).await.unwrap();
}

#[tokio::test]
async fn what_waits_is_told_with_where_it_stands_and_without_what_was_sent() {
    let place = site();
    send(&place, "acme", "now", None).await;
    let due_at = place.clock_now() + Duration::from_secs(60);
    send(&place, "acme", "soon", Some(due_at)).await;
    send(&place, "globex", "theirs", None).await;
    let headers = [("authorization", "Bearer acme"), ("idempotency-key", "k")];
    let later = "/v1/account/cash/deposit?due_at=2999-01-01T00:00:00Z";
    assert_eq!(place.send(post_with(later, r#"{"amount":"5"}"#, &headers)).await.status, 202);
    let outbox = get(&place, "/v1/admin/outbox", OPERATOR).await;
    assert!(!outbox.text().contains("secret") && !outbox.text().contains("theirs"), "{}", outbox.text());
    let outbox = outbox.ok();
    let work = outbox["work"].as_array().unwrap();
    let told: Vec<_> = work
        .iter()
        .map(|piece| {
            let text = |name: &str| piece[name].as_str().unwrap().to_owned();
            (text("kind"), text("name"), text("state"), piece["has_ended"].as_bool().unwrap())
        })
        .collect();
    let of =
        |kind: &str, name: &str, state: &str| (kind.to_owned(), name.to_owned(), state.to_owned(), false);
    let expected =
        [of("message", "note", "ready"), of("message", "note", "later"), of("command", "deposit", "later")];
    assert_eq!(told, expected);
    assert_eq!(work[1]["due_at"], json!(due_at.to_string()));
    let cancelled = place.send(delete_with("/v1/commands/k", &headers[..1])).await.ok();
    assert_eq!(cancelled["status"], "cancelled");
    let found = async |query: &str| get(&place, &format!("/v1/admin/outbox{query}"), OPERATOR).await;
    let ended = found("?kind=command").await.ok();
    assert_eq!(ended["work"][0]["has_ended"], true, "{ended}");
    for (query, count) in
        [("?key=now", 1), ("?receiver=account", 1), ("?receiver=nobody", 0), ("?limit=2", 2)]
    {
        assert_eq!(found(query).await.ok()["work"].as_array().unwrap().len(), count, "{query}");
    }
    for wrong in ["?kind=letter", "?limit=0", "?limit=501", "?after=x", "?tenant=globex"] {
        found(wrong).await.invalid();
    }
    get(&place, "/v1/admin/outbox", "Bearer acme").await.problem(403, "problem:role-required");
}

#[tokio::test]
async fn processes_and_pumps_that_stopped_are_tried_again_by_operators_of_the_store() {
    let place = broken(|config| {
        let mut config = config.with_credentials(ByHeader);
        config.store_operators = vec!["keeper".to_owned()];
        config.operators.push("keeper".to_owned());
        config
    });
    let (pumps, work) = (place.engine.start_pumps(), place.engine.start_work());
    place.store_big_events("acme", "note-1", 2).await;
    let listed = async |what: &str, who: &str| {
        let answer = get(&place, &format!("/v1/admin/{what}"), who).await.ok();
        answer[what].as_array().unwrap()[0].clone()
    };
    for (what, name) in [("processes", "lost"), ("pumps", "audit")] {
        let mut told = Value::Null;
        for _ in 0..500 {
            place.clock.advance(Duration::from_millis(100));
            told = listed(what, STORE_OPERATOR).await;
            if told["status"] == "paused" {
                break;
            }
        }
        assert_eq!((&told["name"], &told["status"]), (&json!(name), &json!("paused")), "{told}");
        for member in ["position", "behind", "problem", "stopped_since"] {
            assert!(told.get(member).is_some(), "{member} of {told}");
        }
        // Which event stopped it is for nobody who looks after one tenant.
        let told = listed(what, OPERATOR).await;
        assert!(told["stopped_since"].is_string(), "{told}");
        for member in ["position", "behind", "problem", "held_by"] {
            assert!(told.get(member).is_none(), "{member} of {told}");
        }
        let retry = format!("/v1/admin/{what}/{name}/retry");
        post(&place, &retry, &json!({}), OPERATOR).await.problem(403, "problem:role-required");
        get(&place, &format!("/v1/admin/{what}"), "Bearer acme").await.problem(403, "problem:role-required");
        let retried = post(&place, &retry, &json!({}), STORE_OPERATOR).await.ok();
        assert_eq!(retried, json!({ "name": name, "was_stopped": true }));
        let missing = format!("/v1/admin/{what}/nothing/retry");
        post(&place, &missing, &json!({}), STORE_OPERATOR).await.problem(404, "problem:not-found");
    }
    work.stop().await;
    pumps.stop().await;
}

#[tokio::test]
async fn an_instance_may_be_named_as_an_order_is() {
    let place = broken(|config| config.with_credentials(ByHeader));
    for name in ["retry", "instances"] {
        let path = format!("/v1/admin/processes/lost/instances/{name}");
        let found = get(&place, &path, OPERATOR).await.problem(404, "problem:not-found");
        assert!(found["detail"].as_str().unwrap().contains(&format!("instance {name:?}")), "{found}");
        get(&place, &path, "Bearer acme").await.problem(403, "problem:role-required");
    }
}

#[tokio::test]
async fn a_pump_is_moved_to_another_place_by_operators_of_the_store() {
    let place = broken(|config| {
        let mut config = config.with_credentials(ByHeader);
        config.store_operators = vec!["keeper".to_owned()];
        config
    });
    place.store_big_events("acme", "note-1", 3).await;
    let rewind =
        async |body: Value, who: &str| post(&place, "/v1/admin/pumps/audit/rewind", &body, who).await;
    let to = |to: &str| json!({ "to": to });
    rewind(to("2"), OPERATOR).await.problem(403, "problem:role-required");
    for (asked, stands) in [("2", "2"), ("end", "3"), ("start", "0"), ("3", "3"), ("0", "0")] {
        let moved = rewind(to(asked), STORE_OPERATOR).await.ok();
        assert_eq!(moved, json!({ "name": "audit", "position": stands }), "{asked}");
        let stored = place.engine.pump_standings_now().await.unwrap();
        assert_eq!(stored[0].position.to_string(), stands, "{asked}");
    }
    assert!(rewind(to("7"), STORE_OPERATOR).await.invalid().contains("position 7"));
    for wrong in [json!({}), to("-1"), to("middle"), json!({ "to": 2 }), json!({ "to": "2", "from": "1" })] {
        assert!(rewind(wrong.clone(), STORE_OPERATOR).await.invalid().contains("such as"), "{wrong}");
    }
    let missing = post(&place, "/v1/admin/pumps/nothing/rewind", &to("start"), STORE_OPERATOR).await;
    missing.problem(404, "problem:not-found");
}
