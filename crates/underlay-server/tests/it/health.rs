use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use underlay_core::reasons::READS_ONLY;
use underlay_core::{Checkpoint, Column, ColumnType, Error, EventStore, Health, ReadModels, ViewSchema};
use underlay_runtime::{StorePart, WatchedStore};

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

/// A server that is there or away.
#[derive(Default)]
struct Server(AtomicBool);

#[async_trait]
impl Health for Server {
    async fn check(&self) -> Result<(), Error> {
        match self.0.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::unavailable("no route to 10.0.0.7")),
        }
    }

    async fn weaknesses(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_store_that_is_away_degrades_its_part_alone() {
    let servers: [(StorePart, Arc<Server>); 3] =
        [StorePart::Entities, StorePart::Views, StorePart::Cache].map(|part| (part, Arc::default()));
    let watched = servers.clone().map(|(part, health)| WatchedStore {
        part,
        name: "redis://10.0.0.7".to_owned(),
        health,
    });
    let place = Place::watching(watched.into());
    let parts = async || {
        let ready = place.get("/readyz").await.ok();
        (ready["parts"].clone(), ready)
    };
    let (before, _) = parts().await;
    assert_eq!(before.get("entities"), None, "nobody was asked yet");
    let running = place.engine.start_health();
    let until = async |parts_known: &dyn Fn() -> bool| {
        while !parts_known() {
            place.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    until(&|| place.engine.store_parts().len() == 3).await;
    assert_eq!(place.get("/readyz").await.ok()["status"], "ready");
    for (part, server) in &servers {
        let name = part.name();
        server.0.store(true, Ordering::Relaxed);
        until(&|| !place.engine.store_parts()[part]).await;
        let (parts, ready) = parts().await;
        assert_eq!((&ready["status"], &parts["store"]), (&json!("degraded"), &json!("ready")));
        let degraded: Vec<&String> = parts
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, is)| *is == "degraded")
            .map(|(part, _)| part)
            .collect();
        assert_eq!(degraded, [name]);
        assert!(ready["troubles"][name].as_str().unwrap().contains("cannot be used"), "{ready}");
        assert!(!ready.to_string().contains("10.0.0.7"), "{ready}");
        let metrics = place.get("/metrics").await;
        assert!(
            metrics.text().contains(&format!("underlay_part_ready{{part=\"{name}\"}} 0")),
            "{}",
            metrics.text()
        );
        server.0.store(false, Ordering::Relaxed);
        until(&|| place.engine.store_parts()[part]).await;
        assert_eq!(place.get("/readyz").await.ok()["status"], "ready");
        // The text of the metrics is told again for a second.
        place.clock.advance(Duration::from_secs(2));
    }
    running.stop().await;
}
