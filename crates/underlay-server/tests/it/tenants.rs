use underlay_server::ServerConfig;

use crate::site::{ByHeader, Site, get_with, post_with};

fn site() -> Site {
    Site::with(|config| config.with_credentials(ByHeader))
}

const BODY: &str = r#"{"amount":"1"}"#;

#[tokio::test]
async fn a_tenant_sees_its_own_and_nothing_else() {
    let site = site();
    let _views = site.engine.start_views();
    let (acme, zeta) = ([("authorization", "Bearer acme")], [("authorization", "Bearer zeta")]);
    let key = ("idempotency-key", "k");
    let deposit = "/v1/account/cash/deposit";
    let first = site.send(post_with(deposit, BODY, &[acme[0], key])).await.ok();
    let position = first["position"].as_str().unwrap();
    let view = format!("/v1/views/balances?count=true&min_position={position}");
    let row = format!("/v1/views/balances/cash?min_position={position}");

    for (path, status) in [("/v1/streams/account-cash", 404), ("/v1/commands/k", 404), (row.as_str(), 404)] {
        site.send(get_with(path, &acme)).await.ok();
        assert_eq!(site.send(get_with(path, &zeta)).await.status, status, "{path}");
    }
    for (path, list) in [("/v1/events", "events"), (view.as_str(), "rows")] {
        let count = async |who| site.send(get_with(path, who)).await.ok()[list].as_array().unwrap().len();
        assert_eq!((count(&acme).await, count(&zeta).await), (1, 0), "{path}");
    }
    assert_eq!(site.send(get_with(&view, &zeta)).await.ok()["count"], 0);

    let other = site.send(post_with(deposit, BODY, &[zeta[0], key])).await;
    assert_eq!(other.header("idempotent-replayed"), None, "a key belongs to its tenant");
    assert_eq!(other.ok()["streams"][0]["version"], 1, "a stream belongs to its tenant");
}

#[tokio::test]
async fn no_path_query_or_body_names_a_tenant() {
    let site = site();
    let acme = [("authorization", "Bearer acme")];
    site.send(post_with("/v1/account/cash/deposit", BODY, &acme)).await.ok();
    let zeta = [("authorization", "Bearer zeta"), ("tenant", "acme"), ("x-tenant", "acme")];
    site.send(get_with("/v1/streams/account-cash", &zeta)).await.problem(404, "problem:not-found");
    site.send(get_with("/v1/events?tenant=acme", &zeta)).await.invalid();
    let body = r#"{"amount":"1","tenant":"acme"}"#;
    let answer = site.send(post_with("/v1/account/cash/deposit", body, &zeta)).await;
    answer.problem(400, "problem:invalid-body");
}

#[tokio::test]
async fn who_asks_is_stored_with_the_events() {
    let site = site();
    let acme = [("authorization", "Bearer acme")];
    site.send(post_with("/v1/account/cash/deposit", BODY, &acme)).await.ok();
    let page = site.send(get_with("/v1/streams/account-cash", &acme)).await.ok();
    assert_eq!(page["events"][0]["metadata"]["actor"], "someone at acme");
}

#[tokio::test]
async fn nobody_gets_in_without_credentials() {
    let site = site();
    for path in [
        "/v1/events",
        "/v1/streams/account-cash",
        "/v1/commands/k",
        "/v1/views",
        "/v1/views/balances",
        "/v1/views/balances/k",
    ] {
        let answer = site.get(path).await;
        answer.problem(401, "problem:unidentified");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{path}");
        let answer = site.send(get_with(path, &[("authorization", "Bearer guest")])).await;
        answer.problem(403, "problem:denied");
    }
    for path in ["/v1/account/cash/deposit", "/v1/operations/transfer"] {
        site.post(path, BODY).await.problem(401, "problem:unidentified");
        // Who is not let in learns nothing from what they send.
        site.post(path, "{").await.problem(401, "problem:unidentified");
    }
    for path in ["/", "/livez", "/readyz"] {
        assert_eq!(site.get(path).await.status, 200, "{path} needs no credentials");
    }
}

#[tokio::test]
async fn a_service_without_credentials_lets_nobody_in() {
    let site = Site::with(|_| ServerConfig::new("Bank"));
    site.get("/v1/events").await.problem(403, "problem:denied");
    site.post("/v1/account/cash/deposit", BODY).await.problem(403, "problem:denied");
}
