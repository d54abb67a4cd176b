use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use underlay_core::Underway;

use crate::place::{Place, json_request, post_with};

const DEPOSIT: &str = "/v1/account/cash/deposit";
const WITHDRAW: &str = "/v1/account/cash/withdraw";
const TEN: &str = r#"{"amount":"10.50"}"#;

#[tokio::test]
async fn a_command_is_answered_with_what_happened() {
    let place = Place::new();
    let answer = place.post(DEPOSIT, TEN).await;
    let body = answer.ok();
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["command_id", "events", "position", "recorded_at", "streams"]);
    assert_eq!(body["position"], "1");
    assert_eq!(body["streams"], json!([{"stream": "account-cash", "version": 1}]));
    let event = &body["events"][0];
    let members: Vec<&String> = event.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["event_id", "payload", "position", "recorded_at", "schema_version", "stream", "type", "version"]
    );
    assert_eq!(event["type"], "deposited");
    assert_eq!(event["payload"], json!({"amount": "10.50"}));
    assert_eq!(event["recorded_at"], body["recorded_at"]);
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(answer.header("idempotent-replayed"), None);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_repeat_gets_the_same_bytes_and_says_so() {
    let place = Place::new();
    let request = || post_with(DEPOSIT, TEN, &[("idempotency-key", "order-17")]);
    let first = place.send(request()).await;
    place.deposit("cash", "1").await;
    let again = place.send(request()).await;
    first.ok();
    again.ok();
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("etag"), Some("\"1\""));
    assert_eq!(place.get("/v1/streams/account-cash").await.ok()["version"], 2, "stored once, and one more");
}

#[tokio::test]
async fn an_operation_repeated_gets_the_same_bytes() {
    let place = Place::new();
    place.deposit("a", "5").await;
    let body = r#"{"from":"a","to":"b","amount":"2"}"#;
    let request = || post_with("/v1/operations/transfer", body, &[("idempotency-key", "t-1")]);
    let (first, again) = (place.send(request()).await, place.send(request()).await);
    assert_eq!(first.ok()["events"].as_array().unwrap().len(), 2);
    assert_eq!(first.header("etag"), None, "two streams were written");
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn a_key_used_for_something_else_is_refused() {
    let place = Place::new();
    let key = [("idempotency-key", "order-17")];
    place.send(post_with(DEPOSIT, TEN, &key)).await.ok();
    let answer = place.send(post_with(DEPOSIT, r#"{"amount":"11"}"#, &key)).await;
    let problem = answer.problem(409, "problem:id-reused");
    assert!(problem["command_id"].is_string());
}

#[tokio::test]
async fn a_refusal_has_its_code_and_fields_and_is_repeated_as_it_was() {
    let place = Place::new();
    let request = || post_with(WITHDRAW, TEN, &[("idempotency-key", "w")]);
    let first = place.send(request()).await;
    place.deposit("cash", "100").await;
    let again = place.send(request()).await;
    let problem = again.problem(422, "refusal:overdrawn");
    assert_eq!(problem["title"], "Refused");
    assert_eq!(problem["code"], "overdrawn");
    assert_eq!(problem["detail"], "0 is there, 10.50 were asked for");
    assert_eq!(problem["available"], "0");
    assert_eq!(problem["requested"], "10.50");
    assert_eq!(problem["status_"], "short", "a field never replaces a standard member");
    assert_eq!(first.body, again.body);
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn another_version_than_the_one_seen_is_a_conflict() {
    let place = Place::new();
    place.deposit("cash", "1").await;
    for seen in ["\"1\"", "2"] {
        place.send(post_with(DEPOSIT, TEN, &[("if-match", seen)])).await.ok();
    }
    let answer = place.send(post_with(DEPOSIT, TEN, &[("if-match", "\"1\"")])).await;
    let problem = answer.problem(409, "problem:conflict");
    assert_eq!(problem["stream"], "account-cash");
    assert_eq!(problem["expected"], 1);
    assert_eq!(problem["actual"], 3);
    for wrong in ["*", "W/\"3\"", "\"3\", \"4\"", "three"] {
        place.send(post_with(DEPOSIT, TEN, &[("if-match", wrong)])).await.invalid();
    }
    let transfer = r#"{"from":"cash","to":"b","amount":"2"}"#;
    let answer = place.send(post_with("/v1/operations/transfer", transfer, &[("if-match", "1")])).await;
    assert!(answer.invalid().contains("operation"));
}

#[tokio::test]
async fn a_key_is_visible_ascii_of_bounded_length() {
    let place = Place::new();
    let long = "k".repeat(201);
    for key in ["", "a b", &long] {
        let detail = place.send(post_with(DEPOSIT, TEN, &[("idempotency-key", key)])).await.invalid();
        assert!(detail.contains("200"), "{detail}");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    assert!(place.send(post_with(DEPOSIT, TEN, &twice)).await.invalid().contains("once"));
}

#[tokio::test]
async fn what_leads_to_a_command_is_stored_with_its_events() {
    let place = Place::new();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let correlation = "0192f0c1-2345-7abc-8def-0123456789ab";
    let state = [("tracestate", "rojo=1 2"), ("tracestate", "t@congo=3")];
    let headers = [&[("traceparent", trace), ("x-correlation-id", correlation)], &state[..]].concat();
    let answer = place.send(post_with(DEPOSIT, TEN, &headers)).await.ok();
    let stored = place.get("/v1/streams/account-cash").await.ok();
    let metadata = &stored["events"][0]["metadata"];
    assert_eq!(metadata["traceparent"], trace);
    assert_eq!(metadata["tracestate"], "rojo=1 2,t@congo=3");
    assert_eq!(metadata["correlation_id"], correlation);
    assert_eq!(metadata["command_id"], answer["command_id"]);

    place.send(post_with(DEPOSIT, TEN, &[("traceparent", "noise")])).await.ok();
    let stored = place.get("/v1/streams/account-cash?after=1").await.ok();
    assert_eq!(stored["events"][0]["metadata"]["traceparent"], Value::Null, "noise is left out");
    place.send(post_with(DEPOSIT, TEN, &[("traceparent", trace), ("tracestate", "Noise")])).await.ok();
    place.send(post_with(DEPOSIT, TEN, &state[..1])).await.ok();
    let stored = place.get("/v1/streams/account-cash?after=2").await.ok();
    let [unread, alone] = [0, 1].map(|at| &stored["events"][at]["metadata"]);
    assert_eq!((&unread["traceparent"], &unread["tracestate"]), (&json!(trace), &Value::Null));
    assert_eq!(alone["tracestate"], Value::Null, "it says nothing without its context");
    place.send(post_with(DEPOSIT, TEN, &[("x-correlation-id", "17")])).await.invalid();
}

#[tokio::test]
async fn a_command_without_fields_needs_no_body() {
    let place = Place::new();
    let bare = || Request::post("/v1/account/cash/close").body(Body::empty()).unwrap();
    assert_eq!(place.send(bare()).await.ok()["events"][0]["type"], "closed");
    let nothing = place.send(bare()).await.ok();
    assert_eq!(nothing["events"], json!([]));
    assert_eq!(nothing["streams"], json!([]));
}

#[tokio::test]
async fn names_that_are_not_there_are_answered_with_those_that_are() {
    let place = Place::new();
    let problem = place.post("/v1/account/cash/steal", TEN).await.problem(404, "problem:unknown-command");
    assert_eq!(problem["known"], json!(["deposit", "withdraw", "close"]));
    let problem = place.post("/v1/bank/cash/deposit", TEN).await.problem(404, "problem:not-found");
    assert!(problem["detail"].as_str().unwrap().contains("account"));
    let problem = place.post("/v1/operations/steal", TEN).await.problem(404, "problem:not-found");
    assert!(problem["detail"].as_str().unwrap().contains("transfer"));
    assert!(place.post("/v1/account/nobody/deposit", TEN).await.invalid().contains("nobody has no account"));
}

#[tokio::test]
async fn a_body_that_does_not_fit_names_the_field() {
    let place = Place::new();
    for (body, part) in [
        ("{}", "amount"),
        (r#"{"amount":"1","amont":"1"}"#, "amont"),
        (r#"{"amount":"much"}"#, "line 1"),
        ("{", "EOF"),
        ("", "deposit"),
    ] {
        let problem = place.post(DEPOSIT, body).await.problem(400, "problem:invalid-body");
        assert!(problem["detail"].as_str().unwrap().contains(part), "{body:?}: {problem}");
    }
    let problem = place.post("/v1/operations/transfer", "").await.problem(400, "problem:invalid-body");
    assert!(problem["detail"].as_str().unwrap().contains("from"), "{problem}");
}

#[tokio::test]
async fn a_body_is_json_and_says_so_or_nothing() {
    let place = Place::new();
    let of_type = |content_type: &str| {
        Request::post(DEPOSIT).header("content-type", content_type).body(Body::from(TEN)).unwrap()
    };
    for good in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        place.send(of_type(good)).await.ok();
    }
    place.send(Request::post(DEPOSIT).body(Body::from(TEN)).unwrap()).await.ok();
    for bad in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        place.send(of_type(bad)).await.problem(415, "problem:unsupported-media-type");
    }
    let twice = json_request(DEPOSIT).header("content-type", "text/plain").body(Body::from(TEN)).unwrap();
    place.send(twice).await.problem(415, "problem:unsupported-media-type");
}

#[tokio::test]
async fn a_page_of_another_site_cannot_command() {
    let place = Place::with(|mut config| {
        config.origins_allowed.push("https://app.example".to_owned());
        config.with_host_allowed("bank.example")
    });
    let host = ("host", "bank.example");
    for headers in [
        [host, ("sec-fetch-site", "cross-site")],
        [host, ("sec-fetch-site", "same-site")],
        [host, ("origin", "https://evil.example")],
        [host, ("origin", "null")],
    ] {
        place.send(post_with(DEPOSIT, TEN, &headers)).await.problem(403, "problem:cross-site");
    }
    for headers in [
        [host, ("sec-fetch-site", "same-origin")],
        [host, ("sec-fetch-site", "none")],
        [host, ("origin", "https://bank.example")],
        [host, ("origin", "https://app.example")],
    ] {
        place.send(post_with(DEPOSIT, TEN, &headers)).await.ok();
    }
}

#[tokio::test]
async fn a_command_is_found_by_its_key_and_by_its_id() {
    let place = Place::new();
    place
        .send(post_with(WITHDRAW, TEN, &[("idempotency-key", "no")]))
        .await
        .problem(422, "refusal:overdrawn");
    let done = place.send(post_with(DEPOSIT, TEN, &[("idempotency-key", "yes")])).await.ok();

    let found = place.get("/v1/commands/yes").await.ok();
    assert_eq!((&found["status"], &found["outcome"]), (&json!("processed"), &json!("accepted")));
    assert_eq!(found["event_count"], 1);
    for member in ["command_id", "position", "streams", "recorded_at"] {
        assert_eq!(found[member], done[member], "{member}");
    }
    let id = done["command_id"].as_str().unwrap();
    assert_eq!(place.get(&format!("/v1/commands/{id}")).await.ok(), found);

    let found = place.get("/v1/commands/no").await.ok();
    assert_eq!((&found["status"], &found["outcome"]), (&json!("processed"), &json!("refused")));
    assert_eq!(found["refusal"]["code"], "overdrawn");
    assert_eq!(found["refusal"]["message"], "0 is there, 10.50 were asked for");
    assert_eq!(found["refusal"]["fields"]["requested"], "10.50");

    // The id of an answer is found, and no key: sent as one, it stands for another command.
    let other = place.send(post_with(WITHDRAW, r#"{"amount":"1"}"#, &[("idempotency-key", id)])).await.ok();
    assert_ne!(other["command_id"], id);
    let found = place.get(&format!("/v1/commands/{id}")).await.ok();
    assert_eq!(found["command_id"], other["command_id"], "a key comes first");

    let never = place.get("/v1/commands/never").await.problem(404, "problem:not-found");
    assert!(never["detail"].as_str().unwrap().contains("another process"), "{never}");
    place.get("/v1/commands/a%20b").await.invalid();
}

#[tokio::test]
async fn a_command_that_has_not_ended_is_no_command_that_never_was() {
    let place = Place::new();
    for (underway, status) in [(Underway::Pending, "pending"), (Underway::InDoubt, "uncertain")] {
        *place.store.underway.lock().unwrap() = Some(underway);
        let found = place.get("/v1/commands/lost").await.ok();
        let members: Vec<&String> = found.as_object().unwrap().keys().collect();
        assert_eq!(members, ["command_id", "status"]);
        assert_eq!(found["status"], status);
    }
    // What is stored has ended, whatever else waits under its id.
    place.send(post_with(DEPOSIT, TEN, &[("idempotency-key", "yes")])).await.ok();
    assert_eq!(place.get("/v1/commands/yes").await.ok()["status"], "processed");
    *place.store.underway.lock().unwrap() = None;
    place.get("/v1/commands/lost").await.problem(404, "problem:not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_to_one_aggregate_at_once_are_all_stored() {
    let place = Arc::new(Place::new());
    let mut requests = JoinSet::new();
    for _ in 0..32 {
        let place = place.clone();
        requests.spawn(async move { place.post(DEPOSIT, TEN).await });
    }
    for answer in requests.join_all().await {
        answer.ok();
    }
    assert_eq!(place.get("/v1/streams/account-cash").await.ok()["version"], 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_in_flight_get_the_same_bytes() {
    let place = Arc::new(Place::new());
    let mut requests = JoinSet::new();
    for _ in 0..16 {
        let place = place.clone();
        let request = post_with(DEPOSIT, TEN, &[("idempotency-key", "once")]);
        requests.spawn(async move { place.send(request).await });
    }
    let answers = requests.join_all().await;
    for answer in &answers {
        answer.ok();
        assert_eq!(answer.body, answers[0].body);
    }
    let first = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_none());
    assert_eq!(first.count(), 1);
    assert_eq!(place.get("/v1/streams/account-cash").await.ok()["version"], 1);
}
