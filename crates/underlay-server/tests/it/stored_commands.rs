//! Commands that are left with the store, followed and cancelled.

use axum::http::StatusCode;
use serde_json::{Value, json};
use underlay_core::{Archive, LogScope, WorkFilter, WorkPlace, WorkQueue};
use underlay_runtime::Registry;

use crate::account::Charge;
use crate::place::{Answer, ByHeader, Place, delete_with, get_with, post_with};

const DEPOSIT: &str = "/v1/account/cash/deposit";
const TEN: &str = r#"{"amount":"10.50"}"#;
const ASYNC: (&str, &str) = ("prefer", "respond-async");
const FAR: &str = "2999-01-01T00:00:00Z";

/// The answer to a command that was stored.
#[track_caller]
fn accepted(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let body = answer.json();
    let id = body["command_id"].as_str().unwrap();
    assert_eq!(answer.header("location"), Some(format!("/v1/commands/{id}").as_str()));
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    body
}

/// Lets a worker do all there is.
async fn work(place: &Place) {
    let working = place.engine.start_work();
    let all = WorkFilter::default();
    while !place.store.inner.list_work(&all, WorkPlace::START, 1).await.unwrap().work.is_empty() {
        place.clock.advance(std::time::Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    working.stop().await;
}

#[tokio::test]
async fn a_command_is_stored_followed_and_runs_once() {
    let place = Place::new();
    let send = || place.send(post_with(DEPOSIT, TEN, &[ASYNC, ("idempotency-key", "k")]));
    let first = send().await;
    let body = accepted(&first);
    assert_eq!(first.header("preference-applied"), Some("respond-async"));
    assert_eq!(body["status"], "pending");
    assert!(body["submitted_at"].is_string());
    let again = send().await;
    assert_eq!(accepted(&again)["command_id"], body["command_id"]);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let other = place.send(post_with(DEPOSIT, r#"{"amount":"1"}"#, &[ASYNC, ("idempotency-key", "k")]));
    other.await.problem(409, "problem:id-reused");

    for path in ["/v1/commands/k", first.header("location").unwrap()] {
        let found = place.get(path).await.ok();
        assert_eq!(found["status"], "pending");
        assert_eq!((&found["attempts"], &found["last_error"]), (&json!(0), &Value::Null));
        assert!(found.get("body").is_none(), "what is asked is for those who may give it");
    }
    work(&place).await;
    let found = place.get("/v1/commands/k").await.ok();
    assert_eq!((&found["status"], &found["outcome"]), (&json!("processed"), &json!("accepted")));
    assert_eq!(found["streams"], json!([{"stream": "account-cash", "version": 1}]));
    assert_eq!(found["submitted_at"], body["submitted_at"]);
    // It has ended, so the answer is the one it would have had.
    let ended = send().await;
    assert_eq!(ended.ok()["command_id"], body["command_id"]);
    assert_eq!(ended.header("idempotent-replayed"), Some("true"));
    assert_eq!(place.get("/v1/streams/account-cash").await.ok()["version"], 1);
}

#[tokio::test]
async fn a_version_that_was_not_seen_is_the_end_of_a_stored_command_and_of_no_other() {
    let place = Place::new();
    place.post(DEPOSIT, TEN).await.ok();
    for (version, key) in [("\"0\"", "low"), ("\"9\"", "high")] {
        accepted(
            &place
                .send(post_with(DEPOSIT, TEN, &[ASYNC, ("if-match", version), ("idempotency-key", key)]))
                .await,
        );
    }
    accepted(&place.send(post_with(DEPOSIT, TEN, &[ASYNC, ("idempotency-key", "after")])).await);
    work(&place).await;
    for (key, expected) in [("low", 0), ("high", 9)] {
        let found = place.get(&format!("/v1/commands/{key}")).await.ok();
        assert_eq!((&found["status"], &found["outcome"]), (&json!("failed"), &json!("refused")), "{found}");
        let refusal = &found["refusal"];
        assert_eq!(refusal["code"], "underlay:conflict");
        let members = json!({ "stream": "account-cash", "expected": expected, "actual": 1 });
        assert_eq!(refusal["fields"], members, "{refusal}");
        place
            .send(delete_with(&format!("/v1/commands/{key}"), &[]))
            .await
            .problem(409, "problem:command-ended");
    }
    assert_eq!(place.get("/v1/commands/after").await.ok()["outcome"], "accepted", "nothing stands behind it");
    let letters = WorkFilter { dead: true, ..WorkFilter::default() };
    let letters = place.store.inner.list_work(&letters, WorkPlace::START, 9).await.unwrap();
    assert!(letters.work.is_empty());
}

#[tokio::test]
async fn what_is_stored_again_is_told_as_it_stands() {
    let place = Place::new();
    let send = || place.send(post_with(DEPOSIT, TEN, &[ASYNC, ("idempotency-key", "k")]));
    let first = accepted(&send().await);
    // The log alone is in another store now, as an import brings it: nobody runs the command there.
    let archived = place.store.inner.read_commits(&LogScope::EveryTenant, 0, 10).await.unwrap().commits;
    let other = Place::new();
    other.store.inner.import_commits(archived).await.unwrap();
    let again = other.send(post_with(DEPOSIT, TEN, &[ASYNC, ("idempotency-key", "k")])).await;
    let told = accepted(&again);
    assert_eq!((&told["command_id"], &told["status"]), (&first["command_id"], &json!("discarded")));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(told, other.get("/v1/commands/k").await.ok());
    // Where it waits, it still does.
    assert_eq!(accepted(&send().await)["status"], "pending");
}

#[tokio::test]
async fn an_operation_is_stored_and_its_refusal_told() {
    let place = Place::new();
    let body = r#"{"from":"a","to":"b","amount":"2"}"#;
    let sent =
        place.send(post_with("/v1/operations/transfer", body, &[("prefer", "wait=5, Respond-Async; x=1")]));
    let sent = sent.await;
    accepted(&sent);
    work(&place).await;
    let found = place.get(sent.header("location").unwrap()).await.ok();
    assert_eq!((&found["status"], &found["outcome"]), (&json!("processed"), &json!("refused")));
    assert_eq!(found["refusal"]["code"], "overdrawn");
}

#[tokio::test]
async fn a_command_is_due_when_it_says() {
    let place = Place::new();
    let sent = place.post(&format!("{DEPOSIT}?due_at={FAR}"), TEN).await;
    assert_eq!(accepted(&sent)["due_at"], FAR);
    assert_eq!(sent.header("preference-applied"), None);
    assert_eq!(sent.header("retry-after"), Some("3600"));
    let found = place.get(sent.header("location").unwrap()).await.ok();
    assert_eq!(found["due_at"], FAR);
    // What is past is due at once.
    let past = place.post(&format!("{DEPOSIT}?due_at=2020-01-01T00:00:00Z"), TEN).await;
    assert_eq!(accepted(&past)["due_at"], Value::Null);
}

#[tokio::test]
async fn what_is_wrong_is_told_before_anything_is_stored() {
    let place = Place::new();
    place.post(&format!("{DEPOSIT}?due_at=tomorrow"), TEN).await.invalid();
    assert!(place.post(&format!("{DEPOSIT}?due_ta={FAR}"), TEN).await.invalid().contains("due_at"));
    let send = |path: &'static str, body: &'static str| place.send(post_with(path, body, &[ASYNC]));
    send("/v1/account/cash/burn", "{}").await.problem(404, "problem:unknown-command");
    send(DEPOSIT, "{}").await.problem(400, "problem:invalid-body");
    send("/v1/account/nobody/deposit", TEN).await.invalid();
    send("/v1/tin/1/deposit", TEN).await.problem(404, "problem:not-found");
    send("/v1/operations/none", "{}").await.problem(404, "problem:not-found");
    let all = place.store.inner.list_work(&WorkFilter::default(), WorkPlace::START, 9).await.unwrap();
    assert!(all.work.is_empty());
}

#[tokio::test]
async fn a_command_that_has_not_ended_is_cancelled() {
    let place = Place::new();
    let key = [("idempotency-key", "k")];
    let path = format!("{DEPOSIT}?due_at={FAR}");
    accepted(&place.send(post_with(&path, TEN, &key)).await);
    for _ in 0..2 {
        let cancelled = place.send(delete_with("/v1/commands/k", &[])).await.ok();
        assert_eq!(cancelled["status"], "cancelled");
    }
    assert_eq!(place.get("/v1/commands/k").await.ok()["status"], "cancelled");
    // The key stands for what was cancelled, whichever way it is sent.
    place.send(post_with(DEPOSIT, TEN, &key)).await.problem(422, "refusal:underlay:cancelled");
    place.send(post_with(&path, TEN, &key)).await.problem(422, "refusal:underlay:cancelled");

    place.send(post_with(DEPOSIT, TEN, &[("idempotency-key", "ran")])).await.ok();
    let late = place.send(delete_with("/v1/commands/ran", &[])).await;
    late.problem(409, "problem:command-ended");
    place.send(delete_with("/v1/commands/never", &[])).await.problem(404, "problem:not-found");
    let foreign = place.send(delete_with("/v1/commands/k", &[("origin", "https://evil.example")])).await;
    foreign.problem(403, "problem:cross-site");
}

#[tokio::test]
async fn a_tenant_neither_sees_nor_cancels_what_another_has_stored() {
    let place = Place::with(|config| config.with_credentials(ByHeader));
    let of = |tenant| ("authorization", tenant);
    let path = format!("{DEPOSIT}?due_at={FAR}");
    let key = ("idempotency-key", "k");
    let theirs = accepted(&place.send(post_with(&path, TEN, &[of("Bearer acme"), key])).await);
    let id = format!("/v1/commands/{}", theirs["command_id"].as_str().unwrap());
    for path in ["/v1/commands/k", &id] {
        place.send(get_with(path, &[of("Bearer globex")])).await.problem(404, "problem:not-found");
        place.send(delete_with(path, &[of("Bearer globex")])).await.problem(404, "problem:not-found");
        place.send(delete_with(path, &[])).await.problem(401, "problem:unidentified");
    }
    // The same key is another command for another tenant.
    let own = accepted(&place.send(post_with(&path, TEN, &[of("Bearer globex"), key])).await);
    assert_ne!(own["command_id"], theirs["command_id"]);
    let found = place.send(get_with(&id, &[of("Bearer acme")])).await.ok();
    assert_eq!(found["status"], "pending");
}

#[tokio::test]
async fn whoever_stores_or_cancels_a_command_needs_the_roles_of_giving_it() {
    let place = Place::with(|config| config.with_credentials(ByHeader));
    let (clerk, teller) = (("authorization", "Bearer acme.clerk"), ("authorization", "Bearer acme.teller"));
    let path = format!("/v1/account/cash/close?due_at={FAR}");
    let key = ("idempotency-key", "k");
    place.send(post_with(&path, "{}", &[clerk, key])).await.problem(403, "problem:role-required");
    accepted(&place.send(post_with(&path, "{}", &[teller, key])).await);
    // For whoever may not give it, it is as a key that nobody has used.
    let mut told = Vec::new();
    for key in ["k", "never"] {
        for asked in [get_with, delete_with] {
            let answer = place.send(asked(&format!("/v1/commands/{key}"), &[clerk])).await;
            let detail = answer.problem(404, "problem:not-found")["detail"].as_str().unwrap().to_owned();
            told.push(detail.replace(&format!("{key:?}"), "it"));
        }
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(place.send(get_with("/v1/commands/k", &[teller])).await.ok()["status"], "pending");
    place.send(delete_with("/v1/commands/k", &[teller])).await.ok();
    // What ran as an operation is looked at by its name.
    let charge = r#"{"from":"cash","amount":"1"}"#;
    let manager = ("authorization", "Bearer acme.manager");
    let path = format!("/v1/operations/charge?due_at={FAR}");
    accepted(&place.send(post_with(&path, charge, &[manager, ("idempotency-key", "c")])).await);
    place.send(delete_with("/v1/commands/c", &[teller])).await.problem(404, "problem:not-found");
    assert_eq!(place.send(get_with("/v1/commands/c", &[manager])).await.ok()["status"], "pending");
}

#[tokio::test]
async fn whoever_may_give_no_command_may_not_ask_what_became_of_any() {
    let place =
        Place::of(Registry::default().operation::<Charge>(), |config| config.with_credentials(ByHeader));
    let (clerk, manager) = (("authorization", "Bearer acme.clerk"), ("authorization", "Bearer acme.manager"));
    let path = format!("/v1/operations/charge?due_at={FAR}");
    let charge = r#"{"from":"cash","amount":"1"}"#;
    accepted(&place.send(post_with(&path, charge, &[manager, ("idempotency-key", "k")])).await);
    for key in ["k", "never"] {
        for asked in [get_with, delete_with] {
            let answer = place.send(asked(&format!("/v1/commands/{key}"), &[clerk])).await;
            assert_eq!(answer.problem(403, "problem:role-required")["roles"], json!(["manager"]));
        }
    }
    assert_eq!(place.send(get_with("/v1/commands/k", &[manager])).await.ok()["status"], "pending");
    place.send(get_with("/v1/commands/never", &[manager])).await.problem(404, "problem:not-found");
}

#[tokio::test]
async fn a_command_runs_in_the_roles_it_was_stored_with() {
    let place = Place::with(|config| config.with_credentials(ByHeader));
    let large = r#"{"amount":"6000"}"#;
    for (who, key, outcome) in
        [("Bearer acme", "small", "refused"), ("Bearer acme.manager", "big", "accepted")]
    {
        let headers = [("authorization", who), ASYNC, ("idempotency-key", key)];
        accepted(&place.send(post_with(DEPOSIT, large, &headers)).await);
        work(&place).await;
        let found =
            place.send(get_with(&format!("/v1/commands/{key}"), &[("authorization", who)])).await.ok();
        assert_eq!(found["outcome"], outcome);
    }
}

#[tokio::test]
async fn stored_commands_are_listed_for_those_who_may_give_them() {
    let place = Place::with(|config| config.with_credentials(ByHeader));
    let stored = |path: &str, body: &str, who: &str, key: &str| {
        let headers = [("authorization", who), ("prefer", "respond-async"), ("idempotency-key", key)];
        post_with(path, body, &headers)
    };
    let deposit = stored("/v1/account/cash/deposit", r#"{"amount":"1"}"#, "Bearer acme", "a");
    let later = stored(
        "/v1/account/cash/deposit?due_at=2999-01-01T00:00:00Z",
        r#"{"amount":"2"}"#,
        "Bearer acme",
        "b",
    );
    let close = stored("/v1/account/cash/close", "", "Bearer acme.teller", "c");
    let theirs = stored("/v1/account/cash/deposit", r#"{"amount":"3"}"#, "Bearer globex", "d");
    for request in [deposit, later, close, theirs] {
        assert_eq!(place.send(request).await.status, 202);
    }
    let list = async |who: &str, query: &str| {
        let target = format!("/v1/commands{query}");
        place.send(get_with(&target, &[("authorization", who)])).await
    };
    let ids = |page: &Value| -> Vec<String> {
        let commands = page["commands"].as_array().unwrap().iter();
        commands.map(|command| command["command_id"].as_str().unwrap().to_owned()).collect()
    };
    let all = list("Bearer acme.teller", "").await.ok();
    assert_eq!((ids(&all).len(), &all["next"]), (3, &Value::Null), "{all}");
    let own = list("Bearer acme", "").await.ok();
    assert_eq!(ids(&own).len(), 2, "closing is for tellers: {own}");
    let first = list("Bearer acme.teller", "?limit=1").await.ok();
    let next = list("Bearer acme.teller", &format!("?after={}", first["next"].as_str().unwrap())).await.ok();
    assert_eq!([ids(&first), ids(&next)].concat(), ids(&all));
    assert_eq!(ids(&list("Bearer acme", "?status=failed").await.ok()), Vec::<String>::new());
    assert!(list("Bearer acme", "?status=late").await.invalid().contains("waiting, failed"));
    list("Bearer acme", "?limit=0").await.invalid();
}

#[tokio::test]
async fn a_process_that_is_not_there_has_no_instances() {
    let place = Place::new();
    place.get("/v1/admin/processes/paying/instances").await.problem(404, "problem:not-found");
    place.get("/v1/admin/processes/paying/instances/a/b").await.problem(404, "problem:not-found");
    assert!(
        place.get("/v1/admin/processes/paying/instances?standing=lost").await.invalid().contains("stuck")
    );
}
