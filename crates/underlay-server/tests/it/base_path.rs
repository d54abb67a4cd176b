//! A service below a path of its host: reached there, with whatever leads back below it.

use axum::body::Body;
use axum::http::Request;
use underlay_server::{ServerConfig, console_pages};

use crate::place::{ByHeader, Place, get_with, post_with};

const HTML: (&str, &str) = ("accept", "text/html");

/// A service below `/bank`. What is said of its addresses is said of them without the path.
fn below(configure: impl FnOnce(ServerConfig) -> ServerConfig) -> Place {
    let mut place = Place::with(|config| {
        let mut config = configure(config);
        config.base_path = "/bank".to_owned();
        config
    });
    place.contract = None;
    place
}

/// Where a page leads, and what it loads.
fn links(page: &str) -> Vec<&str> {
    let attributes = [" href=\"", " action=\"", " src=\"", " data-feed=\""];
    let values = attributes.iter().flat_map(|name| page.split(name).skip(1));
    values.filter_map(|rest| rest.split('"').next()).filter(|to| !to.starts_with(['#', 'd'])).collect()
}

#[tokio::test]
async fn every_link_of_every_page_is_below_the_path() {
    let place = below(|config| config);
    place.send(post_with("/bank/v1/account/cash/deposit", r#"{"amount":"1"}"#, &[])).await.ok();
    let names = [
        ("{view}", "balances"),
        ("{entity}", "contact"),
        ("{category}", "account"),
        ("{command}", "deposit"),
        ("{name}", "transfer"),
        ("{*key}", "cash"),
        ("{position}", "1"),
        ("{stream}", "account-cash"),
    ];
    let mut shown = 0;
    for page in console_pages().iter().filter(|page| page.method == "GET" && page.of_a_tenant) {
        let path = names.iter().fold(page.path.to_owned(), |path, (name, value)| path.replace(name, value));
        // A proxy leaves the path, or takes it away.
        let left = place.send(get_with(&format!("/bank{path}"), &[HTML])).await;
        let taken = place.send(get_with(&path, &[HTML])).await;
        assert_eq!(left.status, taken.status, "{path}");
        for answer in [left, taken] {
            let links = links(answer.text());
            assert!(links.len() > 5, "{path}: {}", answer.text());
            assert!(
                links.iter().all(|to| to.starts_with("/bank/") || to.starts_with("http")),
                "{path}: {links:?}"
            );
            shown += u32::from(answer.status == 200);
        }
    }
    assert!(shown > 20, "{shown}");
    for asset in ["/bank/console/style.css", "/bank/console/script.js", "/bank/docs", "/bank/livez", "/bank"]
    {
        assert_eq!(place.get(asset).await.status, 200, "{asset}");
    }
    for elsewhere in ["/banks/livez", "/bank/bank/livez", "/else/livez"] {
        assert_eq!(place.get(elsewhere).await.status, 404, "{elsewhere}");
    }
    assert_eq!(place.get("/bank/openapi.json").await.ok()["servers"][0]["url"], "/bank");
}

#[tokio::test]
async fn what_was_stored_is_shown_as_it_was() {
    let place = below(|config| config);
    let body = r#"{"amount":"1","note":" href=\"/v1/x\" "}"#;
    place.send(post_with("/bank/v1/account/cash/deposit", body, &[])).await;
    let stored = place.get("/bank/v1/events").await.ok().to_string();
    let page = place.send(get_with("/bank/console/streams/account-cash", &[HTML])).await;
    assert!(
        !stored.contains("/bank/v1/x") && !page.text().contains("/bank/v1/x"),
        "{stored} {}",
        page.text()
    );
}

#[tokio::test]
async fn whoever_is_led_somewhere_is_led_below_the_path() {
    let place = below(|config| config.with_credentials(ByHeader));
    let first = place.send(get_with("/bank/console/views?done=x", &[HTML])).await;
    let to = "/bank/console/sign-in?next=%2Fconsole%2Fviews%3Fdone%3Dx";
    assert_eq!((first.status.as_u16(), first.header("location")), (303, Some(to)));
    let page = place.send(get_with(to, &[HTML])).await;
    let drawn = page.header("set-cookie").unwrap().to_owned();
    assert!(drawn.contains("; Path=/bank;"), "{drawn}");
    let token = page.text().split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let sign_in = Request::post("/bank/console/sign-in")
        .header(HTML.0, HTML.1)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("cookie", drawn.split(';').next().unwrap())
        .body(Body::from(format!("form_token={token}&token=acme.teller&next=%2Fconsole%2Fviews")));
    let signed_in = place.send(sign_in.unwrap()).await;
    assert_eq!(signed_in.header("location"), Some("/bank/console/views"), "{}", signed_in.text());
    let cookie = signed_in.header("set-cookie").unwrap();
    assert_eq!(cookie, "underlay-session=acme.teller; Path=/bank; HttpOnly; SameSite=Strict");

    let headers = [("authorization", "Bearer acme.teller"), ("prefer", "respond-async")];
    let stored = place.send(post_with("/v1/account/cash/deposit", r#"{"amount":"1"}"#, &headers)).await;
    let location = stored.header("location").unwrap_or_default();
    assert!(location.starts_with("/bank/v1/commands/"), "{location}: {}", stored.text());
    let found = place.send(get_with(location, &headers[..1])).await;
    assert_eq!(found.status, 200, "{}", found.text());
}

#[tokio::test]
async fn a_problem_leads_below_the_path_too() {
    let place = below(|config| config);
    let key = ("idempotency-key", "once");
    let body = r#"{"amount":"1"}"#;
    place.send(post_with("/bank/v1/account/cash/deposit", body, &[key])).await.ok();
    let cancel = Request::delete("/bank/v1/commands/once").body(Body::empty()).unwrap();
    let refused = place.send(cancel).await;
    let told: serde_json::Value = serde_json::from_str(refused.text()).unwrap();
    assert_eq!(refused.status, 409, "{told}");
    let command = told["command"].as_str().unwrap();
    assert!(command.starts_with("/bank/v1/commands/"), "{told}");
    assert_eq!(place.get(command).await.status, 200);
}

#[tokio::test]
async fn a_path_that_is_none_is_refused() {
    let engine = Place::new().engine;
    for wrong in ["bank", "/bank/", "/a\"b", "/v1"] {
        let mut config = ServerConfig::new("Bank");
        config.base_path = wrong.to_owned();
        let told = underlay_server::router(engine.clone(), config).unwrap_err().to_string();
        assert!(told.contains("/ledger"), "{told}");
    }
}
