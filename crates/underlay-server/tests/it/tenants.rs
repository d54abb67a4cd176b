use underlay_server::ServerConfig;

use crate::place::{ByHeader, Place, get_with, post_with};

fn place() -> Place {
    Place::with(|config| config.with_credentials(ByHeader))
}

const BODY: &str = r#"{"amount":"1"}"#;

#[tokio::test]
async fn a_tenant_sees_its_own_and_nothing_else() {
    let place = place();
    let _views = place.engine.start_views();
    let (acme, zeta) = ([("authorization", "Bearer acme")], [("authorization", "Bearer zeta")]);
    let key = ("idempotency-key", "k");
    let deposit = "/v1/account/cash/deposit";
    let first = place.send(post_with(deposit, BODY, &[acme[0], key])).await.ok();
    let position = first["position"].as_str().unwrap();
    let view = format!("/v1/views/balances?count=true&min_position={position}");
    let row = format!("/v1/views/balances/cash?min_position={position}");

    for (path, status) in [("/v1/streams/account-cash", 404), ("/v1/commands/k", 404), (row.as_str(), 404)] {
        place.send(get_with(path, &acme)).await.ok();
        assert_eq!(place.send(get_with(path, &zeta)).await.status, status, "{path}");
    }
    for (path, list) in [("/v1/events", "events"), (view.as_str(), "rows")] {
        let count = async |who| place.send(get_with(path, who)).await.ok()[list].as_array().unwrap().len();
        assert_eq!((count(&acme).await, count(&zeta).await), (1, 0), "{path}");
    }
    assert_eq!(place.send(get_with(&view, &zeta)).await.ok()["count"], 0);

    let other = place.send(post_with(deposit, BODY, &[zeta[0], key])).await;
    assert_eq!(other.header("idempotent-replayed"), None, "a key belongs to its tenant");
    assert_eq!(other.ok()["streams"][0]["version"], 1, "a stream belongs to its tenant");
}

#[tokio::test]
async fn no_path_query_or_body_names_a_tenant() {
    let place = place();
    let acme = [("authorization", "Bearer acme")];
    place.send(post_with("/v1/account/cash/deposit", BODY, &acme)).await.ok();
    let zeta = [("authorization", "Bearer zeta"), ("tenant", "acme"), ("x-tenant", "acme")];
    place.send(get_with("/v1/streams/account-cash", &zeta)).await.problem(404, "problem:not-found");
    place.send(get_with("/v1/events?tenant=acme", &zeta)).await.invalid();
    let body = r#"{"amount":"1","tenant":"acme"}"#;
    let answer = place.send(post_with("/v1/account/cash/deposit", body, &zeta)).await;
    answer.problem(400, "problem:invalid-body");
}

#[tokio::test]
async fn who_asks_is_stored_with_the_events() {
    let place = place();
    let acme = [("authorization", "Bearer acme")];
    place.send(post_with("/v1/account/cash/deposit", BODY, &acme)).await.ok();
    let page = place.send(get_with("/v1/streams/account-cash", &acme)).await.ok();
    assert_eq!(page["events"][0]["metadata"]["actor"], "someone at acme");
}

#[tokio::test]
async fn nobody_gets_in_without_credentials() {
    let place = place();
    for path in [
        "/v1/events",
        "/v1/streams/account-cash",
        "/v1/commands/k",
        "/v1/views",
        "/v1/views/balances",
        "/v1/views/balances/k",
    ] {
        let answer = place.get(path).await;
        answer.problem(401, "problem:unidentified");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{path}");
        let answer = place.send(get_with(path, &[("authorization", "Bearer guest")])).await;
        answer.problem(403, "problem:denied");
    }
    for path in ["/v1/account/cash/deposit", "/v1/operations/transfer"] {
        place.post(path, BODY).await.problem(401, "problem:unidentified");
        // Who is not let in learns nothing from what they send.
        place.post(path, "{").await.problem(401, "problem:unidentified");
    }
    for path in ["/livez", "/readyz", "/docs", "/console/sign-in"] {
        assert_eq!(place.get(path).await.status, 200, "{path} needs no credentials");
    }
}

#[tokio::test]
async fn a_service_without_credentials_lets_nobody_in() {
    let place = Place::with(|_| ServerConfig::new("Bank"));
    place.get("/v1/events").await.problem(403, "problem:denied");
    place.post("/v1/account/cash/deposit", BODY).await.problem(403, "problem:denied");
}
