use axum::body::Body;

use crate::place::{Place, json_request};

#[tokio::test]
async fn paths_that_are_not_text_are_refused() {
    let place = Place::new();
    for path in [
        "/v1/streams/account-%ff",
        "/v1/streams/account-%c3%28",
        "/v1/streams/account-%zz",
        "/v1/streams/account-%",
        "/v1/streams/account-%2",
        "/v1/streams/account-a%00b",
        "/v1/views/balances/%00",
        "/v1/views/balances/%ff/x",
        "/v1/views/%zz",
        "/%",
        "/v1/commands/%ff",
    ] {
        place.get(path).await.invalid();
    }
    for path in ["/v1/account/%ff/deposit", "/v1/account/a%00/deposit", "/v1/%e2%82/a/deposit"] {
        place.post(path, r#"{"amount":"1"}"#).await.invalid();
    }
}

#[tokio::test]
async fn control_characters_are_no_names() {
    let place = Place::new();
    for id in ["%0a", "%1b%5b31m", "%7f", "%c2%85"] {
        place.post(&format!("/v1/account/{id}/deposit"), r#"{"amount":"1"}"#).await.invalid();
        place.get(&format!("/v1/streams/account-{id}")).await.invalid();
    }
}

#[tokio::test]
async fn names_have_their_limits() {
    let place = Place::new();
    let id = "i".repeat(256);
    assert!(place.get(&format!("/v1/streams/account-{id}")).await.invalid().contains("255"));
    let answer = place.post(&format!("/v1/account/{id}/deposit"), r#"{"amount":"1"}"#).await;
    assert!(answer.invalid().contains("255"));
    let category = "c".repeat(65);
    assert!(place.get(&format!("/v1/events?category={category}")).await.invalid().contains("64"));
    let event_type = "t".repeat(129);
    assert!(place.get(&format!("/v1/events?type={event_type}")).await.invalid().contains("128"));
}

#[tokio::test]
async fn queries_that_are_not_text_or_not_bounded_are_refused() {
    let place = Place::with_views();
    place.deposit("cash", "1").await;
    for query in [
        "limit=1001",
        "limit=18446744073709551616",
        "limit=0",
        "limit=",
        "limit=1e3",
        "after=-1",
        "after=99999999999999999999",
        "after=%00",
        "after=%ff",
        "after=%zz",
        "%=1",
    ] {
        place.get(&format!("/v1/events?{query}")).await.invalid();
        place.get(&format!("/v1/streams/account-cash?{query}")).await.invalid();
    }
    for query in ["account=%00", "account=%ff", "account[prefix]=%", "cursor=%00", "sort=%00", "limit=1001"] {
        place.get(&format!("/v1/views/balances?{query}")).await.invalid();
    }
    let many = "type=deposited&".repeat(65);
    assert!(place.get(&format!("/v1/events?{many}")).await.invalid().contains("PARAMETERS_MAX"));
    place.get("/v1/events?after=9223372036854775807").await.ok();
    place.get("/v1/streams/account-cash?after=18446744073709551615").await.ok();
}

#[tokio::test]
async fn hostile_text_in_a_filter_is_data() {
    let place = Place::with_views();
    let position = place.deposit("cash", "1").await;
    for value in ["'%20OR%20'1'='1", "%22;--", "%25", "_", "%F0%9F%92%A5", "%5C"] {
        for filter in ["account", "account[prefix]", "account[eq]"] {
            let path = format!("/v1/views/balances?{filter}={value}&min_position={position}");
            assert_eq!(place.get(&path).await.ok()["rows"].as_array().unwrap().len(), 0, "{path}");
        }
    }
}

#[tokio::test]
async fn bodies_that_are_not_commands_are_refused() {
    let place = Place::new();
    let deep = format!("{{\"amount\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        "nonsense",
        "null",
        "[]",
        "\"x\"",
        r#"{"amount":1e999}"#,
        r#"{"amount":"1"} {"amount":"1"}"#,
        r#"{"amount":"1","amount":"2"}"#,
        r#"{"amount":"\ud800"}"#,
        "{\"amount\":\"\0\"}",
        "\u{feff}{\"amount\":\"1\"}",
        &deep,
    ] {
        for path in ["/v1/account/cash/deposit", "/v1/operations/transfer"] {
            let answer = place.post(path, body).await;
            answer.problem(400, "problem:invalid-body");
            assert!(answer.body.len() < 1_000, "an answer does not repeat the whole body");
        }
    }
    let request = json_request("/v1/account/cash/deposit").body(Body::from(&b"\xff\xfe"[..])).unwrap();
    assert!(place.send(request).await.invalid().contains("UTF-8"));
    assert_eq!(place.get("/v1/streams/account-cash").await.status, 404, "nothing was stored");
}

#[tokio::test]
async fn a_header_that_is_not_ascii_is_refused() {
    let place = Place::new();
    for name in ["idempotency-key", "if-match", "x-correlation-id", "traceparent"] {
        let request = json_request("/v1/account/cash/deposit")
            .header(name, &b"\xff\xfe"[..])
            .body(Body::from(r#"{"amount":"1"}"#))
            .unwrap();
        assert!(place.send(request).await.invalid().contains(name));
    }
}
