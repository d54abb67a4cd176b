use std::time::Duration;

use serde_json::json;
use underlay_core::reasons::READS_ONLY;
use underlay_core::{Checkpoint, Column, ColumnType, Error, EventStore, ReadModels, ViewSchema};

use crate::place::Place;

#[tokio::test]
async fn a_process_that_answers_is_live_and_ready() {
    let place = Place::with_views();
    place.deposit("cash", "1").await;
    assert_eq!(place.get("/livez").await.ok(), json!({"status": "live"}));
    assert_eq!(
        place.get("/readyz").await.ok(),
        json!({
            "status": "ready",
            "parts": {"credentials": "ready", "store": "ready", "views": "ready", "work": "ready"},
            "position": "1",
        })
    );
}

#[tokio::test]
async fn a_store_that_fails_is_not_ready_and_says_no_more() {
    let place = Place::new();
    place.store.fail(|| Error::backend("opening /var/lib/bank.db", "no such file"));
    let answer = place.get("/readyz").await;
    answer.problem(503, "problem:not-ready");
    assert!(!answer.text().contains("bank.db"), "{}", answer.text());
    place.get("/livez").await.ok();
}

#[tokio::test]
async fn a_store_that_is_down_is_told_from_one_with_too_much_to_do() {
    let place = Place::new();
    place.store.fail(|| Error::unavailable("PostgreSQL: connection refused at 10.0.0.7"));
    let answer = place.get("/readyz").await;
    answer.problem(503, "problem:store-down");
    assert_eq!(answer.header("retry-after"), None, "nobody knows when");
    assert!(!answer.text().contains("10.0.0.7"), "{}", answer.text());

    place.store.fail(|| Error::unavailable(READS_ONLY));
    let problem = place.get("/readyz").await.problem(503, "problem:store-down");
    assert_eq!(problem["detail"], READS_ONLY, "it names nothing of the installation");

    place.store.fail(|| Error::overloaded("connections_max = 8 at 10.0.0.7", Duration::from_secs(2)));
    let answer = place.get("/readyz").await;
    answer.problem(503, "problem:overloaded");
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert!(!answer.text().contains("10.0.0.7"), "{}", answer.text());
    place.get("/livez").await.ok();
}

#[tokio::test]
async fn a_view_that_stopped_degrades_the_service_and_does_not_take_it_away() {
    let place = Place::new();
    // The rows there are of another definition; by default that is for a person to settle.
    let column =
        Column { name: "other".into(), column_type: ColumnType::Text, nullable: false, indexed: false };
    let schema = ViewSchema::new("balances", 1, vec![column]);
    place.read_models.prepare(&schema, Checkpoint::start(place.store.store_id())).await.unwrap();
    let _views = place.engine.start_views();
    let wait = place.engine.wait_for_view("balances", underlay_core::Position::from_number(1), Duration::MAX);
    wait.await.unwrap_err();
    let answer = place.get("/readyz").await.ok();
    assert_eq!(
        (&answer["status"], &answer["views_stopped"]),
        (&json!("degraded"), &json!({"balances": "failed"}))
    );
    let answer = place.get("/v1/views/balances").await;
    answer.problem(500, "problem:view-changed");
}
