use serde_json::{Value, json};

use crate::place::Place;

#[tokio::test]
async fn a_stream_is_read_page_by_page() {
    let place = Place::new();
    for amount in 1..=5 {
        place.deposit("cash", &amount.to_string()).await;
    }
    let (mut after, mut amounts, mut pages) = (Value::from(0), Vec::new(), 0);
    while !after.is_null() {
        pages += 1;
        let page = place.get(&format!("/v1/streams/account-cash?after={after}&limit=2")).await.ok();
        assert_eq!(page["stream"], "account-cash");
        assert_eq!(page["version"], 5);
        let events = page["events"].as_array().unwrap();
        amounts.extend(events.iter().map(|event| event["payload"]["amount"].clone()));
        after = page["next"].clone();
    }
    assert_eq!((amounts.len(), pages), (5, 3), "the last page says it is the last");
    assert_eq!(amounts, ["1", "2", "3", "4", "5"]);
    let beyond = place.get("/v1/streams/account-cash?after=5").await.ok();
    assert_eq!((&beyond["events"], &beyond["next"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_stream_without_events_is_not_found() {
    let place = Place::new();
    place.get("/v1/streams/account-cash").await.problem(404, "problem:not-found");
    assert!(place.get("/v1/streams/cash").await.invalid().contains("category-id"));
}

#[tokio::test]
async fn an_id_may_hold_what_a_path_must_escape() {
    let place = Place::new();
    let id = "Assets%3AUS%2FBank%20%C3%A9%3F%23%25";
    let body = place.post(&format!("/v1/account/{id}/deposit"), r#"{"amount":"1"}"#).await.ok();
    assert_eq!(body["streams"][0]["stream"], "account-Assets:US/Bank é?#%");
    let page = place.get(&format!("/v1/streams/account-{id}")).await.ok();
    assert_eq!(page["version"], 1);
}

#[tokio::test]
async fn the_log_is_read_to_its_head_page_by_page() {
    let place = Place::new();
    for account in ["a", "b", "c"] {
        place.deposit(account, "3").await;
    }
    place.post("/v1/operations/transfer", r#"{"from":"a","to":"b","amount":"2"}"#).await.ok();
    let (mut after, mut streams) = ("0".to_owned(), Vec::new());
    loop {
        let page = place.get(&format!("/v1/events?after={after}&limit=1")).await.ok();
        let events = page["events"].as_array().unwrap();
        streams.extend(events.iter().map(|event| event["stream"].as_str().unwrap().to_owned()));
        after = page["next"].as_str().unwrap().to_owned();
        if page["at_head"] == true {
            break;
        }
    }
    assert_eq!(streams, ["account-a", "account-b", "account-c", "account-a", "account-b"]);
    let after_head = place.get(&format!("/v1/events?after={after}")).await.ok();
    assert_eq!(after_head["events"], json!([]));
    assert_eq!(after_head["next"], after.as_str());
}

#[tokio::test]
async fn the_log_is_read_by_type_and_category() {
    let place = Place::new();
    place.deposit("a", "3").await;
    place.post("/v1/account/a/withdraw", r#"{"amount":"1"}"#).await.ok();
    place.post("/v1/account/a/close", "").await.ok();
    let types = async |query: &str| {
        let page = place.get(&format!("/v1/events?{query}")).await.ok();
        let events = page["events"].as_array().unwrap().clone();
        events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(types("type=withdrawn").await, ["withdrawn"]);
    assert_eq!(types("type=withdrawn&type=closed").await, ["withdrawn", "closed"]);
    assert_eq!(types("category=account").await.len(), 3);
    assert!(types("category=order").await.is_empty());
    let page = place.get("/v1/events?type=withdrawn").await.ok();
    assert_eq!(page["events"][0]["schema_version"], 2);
    place.get("/v1/events?category=Account").await.invalid();
    place.get("/v1/events?type=a%20b").await.invalid();
}

#[tokio::test]
async fn a_parameter_nobody_knows_is_answered_with_those_that_are() {
    let place = Place::new();
    let detail = place.get("/v1/events?form=1").await.invalid();
    assert!(detail.contains("form") && detail.contains("after, limit, type, category"), "{detail}");
    let detail = place.get("/v1/streams/account-cash?before=1").await.invalid();
    assert!(detail.contains("after, limit"), "{detail}");
    let detail = place.get("/v1/views?name=1").await.invalid();
    assert!(detail.contains("none"), "{detail}");
}
