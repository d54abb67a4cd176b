use std::sync::Arc;

use underlay_core::memory::{MemoryEventStore, MemoryReadModels};
use underlay_core::{Error, SystemClock};
use underlay_runtime::{Engine, EngineConfig, Ports, Registry};
use underlay_server::ServerConfig;

use crate::place::{Place, get_with, tenant};

#[tokio::test]
async fn it_shows_what_the_service_is_made_of() {
    let place = Place::with(|config| {
        config
            .with_about("Keeps accounts.")
            .with_host_allowed("bank.example")
            .with_example("account/cash/deposit", r#"{"amount":"10"}"#)
            .with_example("operations/transfer", r#"{"from":"it's","to":"b","amount":"1"}"#)
    });
    let answer = place.send(get_with("/", &[("host", "bank.example:8080")])).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let page = answer.text();
    for part in [
        "<h1>Bank</h1>",
        "Keeps accounts.",
        "curl --json '{&quot;amount&quot;:&quot;10&quot;}' 'http://bank.example:8080/v1/account/cash/deposit'",
        "curl --json '{}' 'http://bank.example:8080/v1/account/1/withdraw'",
        r"curl --json '{&quot;from&quot;:&quot;it'\''s&quot;",
        "curl 'http://bank.example:8080/v1/views/balances?limit=10'",
        "Ctrl-C",
        "href=\"/v1/events\"",
    ] {
        assert!(page.contains(part), "{part} is missing:\n{page}");
    }
    assert!(!page.contains("<script"), "the page needs no script");
}

#[tokio::test]
async fn a_host_cannot_put_markup_on_the_page() {
    let place = Place::new();
    let answer = place.send(get_with("/", &[("host", "<script>alert(1)</script>")])).await;
    assert!(!answer.text().contains("<script"));
    assert_eq!(answer.status, 421);
}

#[tokio::test]
async fn it_shows_while_the_store_is_away() {
    let place = Place::new();
    place.store.fail(|| Error::unavailable("away"));
    let answer = place.get("/").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("The store cannot be read"));
}

#[tokio::test]
async fn an_empty_service_has_a_page_too() {
    let store = MemoryEventStore::default();
    let ports = Ports {
        work: None,
        store: Arc::new(store.clone()),
        read_models: Arc::new(MemoryReadModels::default()),
        wakeups: Arc::new(store),
        snapshots: None,
        leases: None,
        clock: Arc::new(SystemClock),
    };
    let engine = Engine::new(ports, Registry::default(), EngineConfig::default()).unwrap();
    let config = ServerConfig::new("Nothing <yet>").open_to(tenant("acme"));
    let mut place = Place::new();
    place.router = underlay_server::router(engine, config).unwrap();
    let answer = place.get("/").await;
    assert!(answer.text().contains("<h1>Nothing &lt;yet&gt;</h1>"));
    place.get("/v1/views").await.ok();
    let problem = place.get("/v1/views/v").await.problem(404, "problem:not-found");
    assert!(problem["detail"].as_str().unwrap().contains("none"));
}
