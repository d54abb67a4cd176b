//! How a service begins and ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use underlay_core::Error;
use underlay_server::{HealthPart, ServeLimits, Start};

use crate::place::{ByHeader, Place, get_with};
use crate::socket::{Server, ask, read_answer};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn before_it_has_begun_a_service_says_how_it_is_and_nothing_else() {
    let start = Start::to_come();
    let begins = start.clone();
    let place = Place::with(|config| config.with_start(begins));
    for path in ["/v1/views", "/", "/nowhere"] {
        let answer = place.get(path).await;
        answer.problem(503, "problem:starting");
        assert_eq!(answer.header("retry-after"), Some("1"), "{path}");
    }
    place.get("/readyz").await.problem(503, "problem:starting");
    place.get("/livez").await.ok();
    start.begun();
    place.get("/v1/views").await.ok();
    assert_eq!(place.get("/readyz").await.ok()["status"], "ready");
}

#[tokio::test]
async fn a_service_that_leaves_serves_on_and_says_that_others_should_be_asked() {
    let place = Place::new();
    let limits = ServeLimits { shutdown_delay: Duration::from_secs(3_600), ..ServeLimits::default() };
    let server = Server::start(limits, place.router.clone()).await;
    let mut connection = server.connect().await;
    assert!(ask(&mut connection, "/readyz").await.starts_with("HTTP/1.1 200"));
    server.stop.send(()).unwrap();
    let told = async {
        loop {
            let answer = ask(&mut connection, "/readyz").await;
            if answer.contains("urn:underlay:problem:stopping") {
                return answer;
            }
        }
    };
    let answer = timeout(LONG, told).await.expect("it does not say that it leaves");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let mut late = TcpStream::connect(server.address).await.unwrap();
    assert!(ask(&mut late, "/v1/views").await.starts_with("HTTP/1.1 200"), "it still serves");
    assert!(ask(&mut late, "/livez").await.starts_with("HTTP/1.1 200"));
    server.task.abort();
}

#[tokio::test]
async fn a_wait_ends_when_the_service_stops() {
    let place = Place::with(|config| {
        let mut config = config.with_credentials(ByHeader);
        config.tenant_requests_max = 1;
        config
    });
    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let mut waiting = server.connect().await;
    let request = "GET /v1/views/balances?min_position=1000000&wait=30 HTTP/1.1\r\nHost: localhost\r\n\
                   Authorization: Bearer acme\r\n\r\n";
    waiting.write_all(request.as_bytes()).await.unwrap();
    // It has come as far as the handler once there is no second place.
    let who = [("authorization", "Bearer acme")];
    while place.send(get_with("/v1/events", &who)).await.status != 429 {
        tokio::task::yield_now().await;
    }
    server.stop.send(()).unwrap();
    let answer = timeout(LONG, read_answer(&mut waiting)).await.expect("the wait holds the end up");
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("urn:underlay:problem:stopping"),
        "{answer}"
    );
    timeout(LONG, server.task).await.unwrap().unwrap().unwrap();
}

struct Certificate(AtomicBool);

impl HealthPart for Certificate {
    fn name(&self) -> &'static str {
        "certificate"
    }

    fn trouble(&self) -> Option<String> {
        self.0.load(Ordering::Relaxed).then(|| "it ends soon".to_owned())
    }
}

#[tokio::test]
async fn a_part_with_a_trouble_degrades_the_service() {
    let certificate = Arc::new(Certificate(AtomicBool::new(false)));
    let part = certificate.clone();
    let place = Place::with(|config| config.with_part(part));
    assert_eq!(place.get("/readyz").await.ok()["parts"]["certificate"], "ready");
    certificate.0.store(true, Ordering::Relaxed);
    let ready = place.get("/readyz").await.ok();
    assert_eq!((&ready["status"], &ready["parts"]["store"]), (&json!("degraded"), &json!("ready")));
    assert_eq!(ready["troubles"], json!({"certificate": "it ends soon"}));
}

#[tokio::test]
async fn what_cannot_be_looked_at_degrades_the_service_where_the_store_answers() {
    let place = Place::new();
    place.store.fail_reads(|| Error::backend("reading the rows at 10.0.0.7", "no such table"));
    let ready = place.get("/readyz").await;
    assert!(!ready.text().contains("10.0.0.7"), "{}", ready.text());
    place.get("/livez").await.ok();
}
