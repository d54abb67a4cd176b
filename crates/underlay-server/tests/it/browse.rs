//! Streams by name, and events by who did what, when and in which stream.

use serde_json::Value;

use crate::listener::Listener;
use crate::place::{ByHeader, Place, get_with, post_with};

const ONE: &str = r#"{"amount":"1"}"#;

/// The `stream@version` of the events of all pages, and how many pages there were.
async fn browse(place: &Place, query: &str) -> (Vec<String>, usize) {
    let (mut events, mut pages, mut after) = (Vec::new(), 0, String::new());
    loop {
        let page = place.get(&format!("/v1/events?limit=2&{query}{after}")).await.ok();
        for event in page["events"].as_array().unwrap() {
            events.push(format!("{}@{}", event["stream"].as_str().unwrap(), event["version"]));
        }
        pages += 1;
        if page["at_head"] == true {
            return (events, pages);
        }
        after = format!("&after={}", page["next"].as_str().unwrap());
    }
}

#[tokio::test]
async fn streams_are_listed_by_name_page_by_page() {
    let place = Place::new();
    for account in ["b", "a", "c", "a"] {
        place.deposit(account, "1").await;
    }
    let first = place.get("/v1/streams?limit=2").await.ok();
    assert_eq!(first["streams"][0], serde_json::json!({"stream": "account-a", "version": 2}));
    assert_eq!(first["streams"][1]["stream"], "account-b");
    assert_eq!(first["next"], "account-b");
    let last = place.get("/v1/streams?category=account&after=account-b").await.ok();
    assert_eq!(last["streams"].as_array().unwrap().len(), 1);
    assert_eq!((&last["streams"][0]["stream"], &last["next"]), (&Value::from("account-c"), &Value::Null));
    assert!(place.get("/v1/streams?category=accoun").await.ok()["streams"].as_array().unwrap().is_empty());
    for wrong in ["category=Account", "after=account", "limit=0", "limit=1001", "before=account-a"] {
        place.get(&format!("/v1/streams?{wrong}")).await.invalid();
    }
}

#[tokio::test]
async fn the_newest_come_first_where_that_is_asked() {
    let place = Place::new();
    for account in ["a", "b", "a", "b", "a"] {
        place.deposit(account, "1").await;
    }
    let (mut events, pages) = browse(&place, "order=descending").await;
    assert_eq!(pages, 3);
    events.reverse();
    assert_eq!((events, 3), browse(&place, "order=ascending").await);
    let (events, _) = browse(&place, "order=descending&stream=account-a").await;
    assert_eq!(events, ["account-a@3", "account-a@2", "account-a@1"]);
    assert!(place.get("/v1/events?order=newest").await.invalid().contains("ascending"));
}

#[tokio::test]
async fn events_are_found_by_when_they_were_recorded() {
    let place = Place::new();
    place.deposit("a", "1").await;
    place.deposit("a", "1").await;
    let page = place.get("/v1/events").await.ok();
    let at = |number: usize| page["events"][number]["recorded_at"].as_str().unwrap().to_owned();
    let (first, second) = (at(0), at(1));
    assert_ne!(first, second, "a clock that goes on");
    for (query, wanted) in [
        (format!("from={second}"), vec!["account-a@2"]),
        (format!("from={first}"), vec!["account-a@1", "account-a@2"]),
        (format!("until={first}"), vec!["account-a@1"]),
        (format!("from={first}&until={first}"), vec!["account-a@1"]),
        ("from=2999-01-01T00:00:00Z".to_owned(), vec![]),
        ("until=1999-01-01T00:00:00Z".to_owned(), vec![]),
    ] {
        let (mut events, _) = browse(&place, &query).await;
        assert_eq!(events, wanted, "{query}");
        events.reverse();
        assert_eq!(browse(&place, &format!("{query}&order=descending")).await.0, events, "{query}");
    }
    place.get(&format!("/v1/events?from={second}&until={first}")).await.invalid();
    place.get("/v1/events?from=yesterday").await.invalid();
}

#[tokio::test]
async fn events_are_found_by_who_did_what() {
    let place = Place::with(|config| config.with_credentials(ByHeader));
    let correlation = "0190aaaa-0000-7000-8000-000000000001";
    let ann = [("authorization", "Bearer acme"), ("x-correlation-id", correlation)];
    let given = place.send(post_with("/v1/account/a/deposit", ONE, &ann)).await.ok();
    for tenant in ["Bearer acme", "Bearer globex"] {
        place.send(post_with("/v1/account/b/deposit", ONE, &[("authorization", tenant)])).await.ok();
    }
    let found = async |tenant: &'static str, query: &str| {
        let path = format!("/v1/events?{query}");
        let page = place.send(get_with(&path, &[("authorization", tenant)])).await.ok();
        page["events"].as_array().unwrap().len()
    };
    let command = given["command_id"].as_str().unwrap();
    for order in ["ascending", "descending"] {
        for query in [format!("correlation_id={correlation}"), format!("command_id={command}")] {
            assert_eq!(found("Bearer acme", &format!("{query}&order={order}")).await, 1, "{query}");
            assert_eq!(found("Bearer globex", &format!("{query}&order={order}")).await, 0, "{query}");
        }
    }
    assert_eq!(found("Bearer acme", "actor=nobody").await, 0);
    assert_eq!(found("Bearer acme", "actor=someone%20at%20acme").await, 2);
    assert_eq!(found("Bearer acme", "stream=account-b&type=deposited").await, 1);
    for wrong in ["correlation_id=1", "command_id=x", "stream=account"] {
        place
            .send(get_with(&format!("/v1/events?{wrong}"), &[("authorization", "Bearer acme")]))
            .await
            .invalid();
    }
}

#[tokio::test]
async fn a_feed_gives_what_the_same_filters_of_a_page_mean() {
    let place = Place::new();
    let mut listener = Listener::follow(&place, "/v1/events?stream=account-b&after=0", &[]).await;
    let correlation = "0190aaaa-0000-7000-8000-000000000001";
    let path = format!("/v1/events?correlation_id={correlation}&after=0");
    let mut chain = Listener::follow(&place, &path, &[]).await;
    place.deposit("a", "1").await;
    place.deposit("b", "2").await;
    place.send(post_with("/v1/account/c/deposit", ONE, &[("x-correlation-id", correlation)])).await.ok();
    assert_eq!(listener.data(1).await[0]["stream"], "account-b");
    assert_eq!(chain.data(1).await[0]["stream"], "account-c");
    assert!(listener.is_quiet().await && chain.is_quiet().await);
    for wrong in ["order=descending", "limit=3", "until=2026-01-01T00:00:00Z", "from=2026-01-01T00:00:00Z"] {
        let answer =
            place.send(get_with(&format!("/v1/events?{wrong}"), &[("accept", "text/event-stream")])).await;
        assert!(answer.invalid().contains("for pages"), "{wrong}");
    }
}
