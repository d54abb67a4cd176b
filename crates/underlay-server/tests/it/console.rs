//! The console: who is let in, what forms do, and that nobody sees what is not theirs.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use underlay_core::memory::{MemoryEventStore, MemoryReadModels};
use underlay_core::{Error, EventStore, SystemClock};
use underlay_runtime::{Engine, EngineConfig, Ports, Registry};
use underlay_server::{Route, ServerConfig, console_pages};

use crate::place::{Answer, ByHeader, Place, get_with, tenant};

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");
const COOKIE: &str = "underlay-session=acme.operator.keeper.auditor.teller.manager";
const LONG: Duration = Duration::from_secs(30);

fn site() -> Place {
    Place::with(|config| {
        let mut config = config.with_credentials(ByHeader);
        config.store_operators = vec!["keeper".to_owned()];
        config
    })
}

async fn get(place: &Place, path: &str, cookie: &str) -> Answer {
    place.send(get_with(path, &[HTML, ("cookie", cookie)])).await
}

/// Posts a form as a browser does.
async fn post(place: &Place, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
    let fields = fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    let body = fields.collect::<Vec<_>>().join("&");
    let mut request = Request::post(path)
        .header(HTML.0, HTML.1)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    place.send(request.body(Body::from(body)).unwrap()).await
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The value of a hidden field of the first form that has one.
fn hidden(page: &str, name: &str) -> String {
    let field = format!("name=\"{name}\" value=\"");
    let after = page.split(&field).nth(1).unwrap_or_else(|| panic!("{name} is no field of {page}"));
    after.split('"').next().unwrap().to_owned()
}

/// The token of the forms of a session. Any page of it has one, in the form that ends the session.
async fn form_token(place: &Place, cookie: &str) -> String {
    hidden(get(place, "/", cookie).await.text(), "form_token")
}

/// A page with something in the place of every name.
fn filled_in(path: &str) -> String {
    let names = [
        ("{view}", "balances"),
        ("{entity}", "contact"),
        ("{category}", "account"),
        ("{command}", "deposit"),
        ("{name}", "transfer"),
        ("{order}", "verify"),
        ("{*key}", "cash"),
        ("{position}", "1"),
        ("{stream}", "account-cash"),
    ];
    names.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

fn of_a_tenant(method: &str) -> Vec<String> {
    let pages = console_pages().into_iter().filter(|page| page.of_a_tenant && page.method == method);
    pages.map(|Route { path, .. }| filled_in(path)).collect()
}

#[track_caller]
fn is_safe_page(path: &str, answer: &Answer) {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}: {}", answer.text());
    let policy = answer.header("content-security-policy").unwrap_or_default();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(part) && !policy.contains("unsafe"), "{path}: {policy}");
    }
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    let page = answer.text();
    for inline in ["<style", " style=", " onclick=", "<script>", "javascript:"] {
        assert!(!page.contains(inline), "{path} has {inline}");
    }
    assert_eq!(page.matches("<h1>").count(), 1, "{path}: {page}");
    assert!(page.contains("<html lang=\"en\">") && page.contains("<main id=\"content\""), "{path}");
}

#[tokio::test]
async fn who_is_not_signed_in_is_led_to_where_they_sign_in() {
    let place = site();
    for path in of_a_tenant("GET") {
        let answer = place.get(&path).await;
        let location = answer.header("location").unwrap_or_default();
        assert_eq!(answer.status, 303, "{path}: {}", answer.text());
        assert!(location.starts_with("/console/sign-in"), "{path}: {location}");
        assert!(!answer.text().contains("Bank"));
    }
    let answer = place.get("/console/views?done=x").await;
    assert_eq!(answer.header("location"), Some("/console/sign-in?next=%2Fconsole%2Fviews%3Fdone%3Dx"));
    for path in of_a_tenant("POST") {
        let answer = post(&place, &path, &[], &[]).await;
        assert_eq!(answer.status, 401, "{path}");
        is_safe_page(&path, &answer);
    }
    // A program is told what it is told elsewhere.
    let with = get_with("/", &[("authorization", "Basic x")]);
    place.send(with).await.problem(401, "problem:unidentified");
}

#[tokio::test]
async fn a_page_asks_for_its_roles() {
    let place = site();
    for (path, role) in [
        ("/console/views/balances/parked", "keeper"),
        ("/console/send/account/close", "teller"),
        ("/console/entities/secret", "manager"),
    ] {
        let without = get(&place, path, "underlay-session=acme").await;
        assert_eq!(without.status, 403, "{path}");
        is_safe_page(path, &without);
        assert!(without.text().contains(role) && without.text().contains("Status 403"), "{}", without.text());
        let with = get(&place, path, &format!("underlay-session=acme.{role}")).await;
        assert_eq!(with.status, 200, "{path}: {}", with.text());
    }
    let token = form_token(&place, "underlay-session=acme").await;
    let fields = [("form_token", token.as_str())];
    let ordered = post(
        &place,
        "/console/views/balances/orders/verify",
        &fields,
        &[("cookie", "underlay-session=acme")],
    );
    assert_eq!(ordered.await.status, 403);
    assert!(place.engine.view_standings().await.unwrap().views[0].order.is_none());
    let plain = get(&place, "/console/views/balances", "underlay-session=acme").await;
    assert!(!plain.text().contains("Rebuild") && !plain.text().contains("Generation"), "{}", plain.text());
}

#[tokio::test]
async fn whoever_gives_a_good_token_is_signed_in_until_they_sign_out() {
    let place = site();
    let page = place.send(get_with("/console/sign-in?next=%2Fconsole%2Fviews", &[HTML])).await;
    is_safe_page("/console/sign-in", &page);
    let browser = page.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let token = hidden(page.text(), "form_token");
    let sign_in = async |token: &str, bearer: &str, next: &str, more: &[(&str, &str)]| {
        let fields = [("form_token", token), ("token", bearer), ("next", next)];
        let headers: Vec<_> =
            [("cookie", browser.as_str())].into_iter().chain(more.iter().copied()).collect();
        post(&place, "/console/sign-in", &fields, &headers).await
    };
    for (bearer, status) in [("guest", 403), ("", 401), ("not a token", 401), ("a\u{e4}", 401)] {
        let wrong = sign_in(&token, bearer, "/", &[]).await;
        assert_eq!(wrong.status, status, "{bearer}");
        is_safe_page("/console/sign-in", &wrong);
        assert!(wrong.text().contains("role=\"alert\"") && wrong.header("set-cookie").is_none(), "{bearer}");
    }
    // Another site knows no token of this browser.
    for forged in ["", "0", &"0".repeat(64)] {
        let refused = sign_in(forged, "acme", "/", &[]).await;
        assert_eq!((refused.status.as_u16(), refused.header("set-cookie")), (403, None));
    }
    let long = format!("acme.{}", "r".repeat(4_000));
    assert!(sign_in(&token, &long, "/", &[]).await.text().contains("SESSION_TOKEN_BYTES_MAX"));

    let done = sign_in(&token, " acme.keeper ", "/console/views", &[]).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, Some("/console/views")));
    let cookie = done.header("set-cookie").unwrap();
    assert_eq!(cookie, "underlay-session=acme.keeper; Path=/; HttpOnly; SameSite=Strict");
    for elsewhere in ["//evil.example", "https://evil.example", "/\\evil.example", "/v1/events"] {
        assert_eq!(sign_in(&token, "acme", elsewhere, &[]).await.header("location"), Some("/"));
    }
    let over_tls = sign_in(&token, "acme", "/", &[("origin", "https://bank.example")]).await;
    assert_eq!(
        over_tls.header("set-cookie"),
        Some("__Host-underlay-session=acme; Path=/; HttpOnly; SameSite=Strict; Secure")
    );

    let session = cookie.split(';').next().unwrap();
    let page = get(&place, "/", session).await;
    assert!(page.status == 200 && page.text().contains("someone at acme"), "{}", page.text());
    let token = hidden(page.text(), "form_token");
    assert_eq!(post(&place, "/console/sign-out", &[], &[("cookie", session)]).await.status, 403);
    let out = post(&place, "/console/sign-out", &[("form_token", &token)], &[("cookie", session)]).await;
    assert_eq!((out.status.as_u16(), out.header("location")), (303, Some("/console/sign-in")));
    let cleared: Vec<_> = out.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cleared.len(), 2);
    assert!(cleared.iter().all(|cookie| cookie.to_str().unwrap().contains("Max-Age=0")), "{cleared:?}");
}

#[tokio::test]
async fn the_cookie_opens_pages_and_no_address_of_the_api() {
    let place = site();
    assert_eq!(get(&place, "/console/views", COOKIE).await.status, 200);
    for path in ["/v1/views", "/v1/events", "/v1/views/balances", "/v1/admin/queues", "/openapi.json"] {
        get(&place, path, COOKIE).await.problem(401, "problem:unidentified");
    }
    let deposit = post(&place, "/v1/account/cash/deposit", &[], &[("cookie", COOKIE)]).await;
    deposit.problem(401, "problem:unidentified");
    // A token that no longer opens the service opens no page either, and says so where one signs in.
    let ended = get(&place, "/console/views", "underlay-session=not%a%token").await;
    assert_eq!(ended.status, 303);
    let page = get(&place, ended.header("location").unwrap(), "underlay-session=not%a%token").await;
    assert!(page.text().contains("Your session has ended"));
    // What a request says itself goes before what a browser has kept.
    let both = [HTML, ("cookie", COOKIE), ("authorization", "Bearer zeta")];
    let page = place.send(get_with("/", &both)).await;
    assert!(page.text().contains("someone at zeta") && !page.text().contains("Sign out"), "{}", page.text());
}

#[tokio::test]
async fn no_form_does_anything_without_the_token_of_its_browser() {
    let place = site();
    let other = form_token(&place, "underlay-session=zeta").await;
    let own = form_token(&place, COOKIE).await;
    for path in of_a_tenant("POST") {
        for fields in [
            &[][..],
            &[("form_token", "")],
            &[("form_token", other.as_str())],
            &[("form_token", &own), ("form_token", &own)],
        ] {
            let answer = post(&place, &path, fields, &[("cookie", COOKIE)]).await;
            assert!(matches!(answer.status.as_u16(), 400 | 403), "{path} {}", answer.status);
            is_safe_page(&path, &answer);
        }
        // With the right token, what a browser says comes from another site is turned away all the same.
        let headers = [("cookie", COOKIE), ("sec-fetch-site", "cross-site")];
        let mut request = get_with(&path, &headers);
        *request.method_mut() = axum::http::Method::POST;
        place.send(request).await.problem(403, "problem:cross-site");
        let text = get_with(&path, &[("cookie", COOKIE), ("content-type", "text/plain")]);
        let (mut parts, _) = text.into_parts();
        parts.method = axum::http::Method::POST;
        let sent = Request::from_parts(parts, Body::from(format!("form_token={own}")));
        place.send(sent).await.problem(415, "problem:unsupported-media-type");
    }
    assert_eq!(place.store.head().await.unwrap(), underlay_core::Position::START, "nothing was stored");
    assert!(place.engine.view_standings().await.unwrap().views.iter().all(|view| view.order.is_none()));
}

#[tokio::test]
async fn an_open_service_asks_nobody_who_they_are_and_its_forms_have_tokens_all_the_same() {
    let place = Place::new();
    assert_eq!(place.get("/console/sign-in").await.header("location"), Some("/"));
    let page = place.send(get_with("/console/send/account/deposit", &[HTML])).await;
    let browser = page.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let (token, key) = (hidden(page.text(), "form_token"), hidden(page.text(), "key"));
    let fields = [("form_token", token.as_str()), ("key", &key), ("id", "cash"), ("body/amount", "1")];
    let path = "/console/send/account/deposit";
    assert_eq!(post(&place, path, &fields, &[]).await.status, 403, "without the cookie");
    assert_eq!(post(&place, path, &fields, &[("cookie", "underlay-form=other")]).await.status, 403);
    let done = post(&place, path, &fields, &[("cookie", &browser)]).await;
    assert!(done.status == 200 && done.text().contains("It is done"), "{}", done.text());
}

#[tokio::test]
async fn no_page_shows_what_is_anothers() {
    let place = site();
    let views = place.engine.start_views();
    let acme = [("authorization", "Bearer acme")];
    for account in ["marker-of-acme", "cash"] {
        let path = format!("/v1/account/{account}/deposit");
        let asked = crate::place::post_with(&path, r#"{"amount":"4711"}"#, &acme);
        place.send(asked).await.ok();
    }
    let contact = r#"{"id":"cash","email":"marker-of-acme@4711","limit":1,"credit":"1","open":true,"since":"2026-01-31T12:00:00Z"}"#;
    assert_eq!(place.send(crate::place::post_with("/v1/entities/contact", contact, &acme)).await.status, 201);
    let head = place.store.head().await.unwrap();
    place.engine.wait_for_view("balances", head, LONG).await.unwrap();
    let own = get(&place, "/console/entities/contact/ids/cash", COOKIE).await;
    assert!(own.text().contains("marker-of-acme@4711"), "{}", own.text());
    let own = get(&place, "/console/views/balances", COOKIE).await;
    assert!(own.text().contains("marker-of-acme") && own.text().contains("4711"), "{}", own.text());
    // How far the log is, an operator of the store is told, and nobody else.
    let plain = "underlay-session=zeta.operator.auditor.teller.manager";
    let all_pages = async || {
        place.clock.advance(Duration::from_secs(2));
        let mut pages = Vec::new();
        for path in of_a_tenant("GET") {
            let asked = get_with(&path, &[HTML, ("cookie", plain), ("x-request-id", "the-same")]);
            let answer = place.send(asked).await;
            // Every form of a command has a key of its own.
            let text = answer
                .text()
                .split("value=\"console-")
                .map(|part| part.split_once('"').map_or(part, |of| of.1));
            pages.push((path, answer.status, text.collect::<String>()));
        }
        pages
    };
    let before = all_pages().await;
    let path = "/v1/account/marker-of-acme/deposit";
    place.send(crate::place::post_with(path, r#"{"amount":"1"}"#, &acme)).await.ok();
    let head = place.store.head().await.unwrap();
    place.engine.wait_for_view("balances", head, LONG).await.unwrap();
    place.engine.wait_for_view("fragile", head, LONG).await.unwrap();
    for (before, after) in before.into_iter().zip(all_pages().await) {
        assert_eq!(before, after, "what another tenant does shows");
    }
    let zeta = "underlay-session=zeta.operator.auditor.teller.manager.keeper";
    for path in of_a_tenant("GET") {
        for path in [path.clone(), path.replace("cash", "marker-of-acme"), format!("{path}?tenant=acme")] {
            let answer = get(&place, &path, zeta).await;
            is_safe_page(&path, &answer);
            // What was asked for stands in what is not found.
            let shown = answer.text().replace("row \"marker-of-acme\"", "").replace("marker-of-acme of", "");
            assert!(!shown.contains("4711") && !shown.contains("someone at acme"), "{path}: {shown}");
            assert!(answer.status != 200 || !shown.contains("marker-of-acme"), "{path}: {shown}");
        }
    }
    views.stop().await;
}

#[tokio::test]
async fn what_goes_wrong_is_a_page_for_people_and_json_for_programs() {
    let place = site();
    for (path, status) in [
        ("/console/nothing", 404),
        ("/console/views/nothing", 404),
        ("/console/send/account/nothing", 404),
        ("/console/views?nothing=1", 400),
        ("/console/views/balances?is.account=eq&value.account=x&nothing=1", 400),
        ("/console/%zz", 400),
    ] {
        let page = get(&place, path, COOKIE).await;
        assert_eq!(page.status.as_u16(), status, "{path}: {}", page.text());
        is_safe_page(path, &page);
        assert!(page.text().contains(page.header("x-request-id").unwrap()), "{path}: {}", page.text());
        let program = place.send(get_with(path, &[("cookie", COOKIE)])).await;
        assert_eq!(program.status.as_u16(), status);
        assert_eq!(program.header("content-type"), Some("application/problem+json"), "{path}");
    }
    let elsewhere = get_with("/", &[HTML, ("host", "evil.example")]);
    let page = place.send(elsewhere).await;
    assert_eq!(page.status, 421);
    is_safe_page("/", &page);
    let wrong = get(&place, "/console/sign-out", COOKIE).await;
    assert_eq!((wrong.status.as_u16(), wrong.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn the_overview_says_what_needs_a_person_also_while_the_store_is_away() {
    let place = Place::with(|config| config.with_about("Keeps accounts.").with_host_allowed("bank.example"));
    let page = place.send(get_with("/", &[HTML])).await;
    is_safe_page("/", &page);
    for part in [
        "<h1>Bank</h1>",
        "Keeps accounts.",
        "Nothing has happened yet",
        "status bad\">not running",
        ">balances<",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    place.store.fail(|| Error::unavailable("away"));
    place.store.fail_reads(|| Error::unavailable("away"));
    place.clock.advance(Duration::from_secs(2));
    let page = place.send(get_with("/", &[HTML])).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("The store cannot be reached"), "{}", page.text());
}

#[tokio::test]
async fn first_steps_are_requests_to_copy() {
    let place = Place::with(|config| {
        config
            .with_host_allowed("bank.example")
            .with_example("account/cash/deposit", r#"{"amount":"10"}"#)
            .with_example("operations/transfer", r#"{"from":"it's","to":"b","amount":"1"}"#)
    });
    let page = place.send(get_with("/console/start", &[HTML, ("host", "bank.example:8080")])).await;
    is_safe_page("/console/start", &page);
    for part in [
        "curl --json '{&quot;amount&quot;:&quot;10&quot;}' 'http://bank.example:8080/v1/account/cash/deposit'",
        "curl --json '{}' 'http://bank.example:8080/v1/account/1/withdraw'",
        r"curl --json '{&quot;from&quot;:&quot;it'\''s&quot;",
        "curl 'http://bank.example:8080/v1/views/balances?limit=10'",
        "Ctrl-C",
        "href=\"/v1/events\"",
    ] {
        assert!(page.text().contains(part), "{part} is missing:\n{}", page.text());
    }
    let strange = place.send(get_with("/", &[("host", "<script>alert(1)</script>")])).await;
    assert!(!strange.text().contains("<script") && strange.status == 421);
}

#[tokio::test]
async fn an_empty_service_has_pages_too() {
    let store = MemoryEventStore::default();
    let ports = Ports {
        work: None,
        store: std::sync::Arc::new(store.clone()),
        read_models: std::sync::Arc::new(MemoryReadModels::default()),
        wakeups: std::sync::Arc::new(store),
        snapshots: None,
        leases: None,
        clock: std::sync::Arc::new(SystemClock),
    };
    let engine = Engine::new(ports, Registry::default(), EngineConfig::default()).unwrap();
    let config = ServerConfig::new("Nothing <yet>").open_to(tenant("acme"));
    let mut place = Place::new();
    place.router = underlay_server::router(engine, config).unwrap();
    let answer = place.send(get_with("/", &[HTML])).await;
    assert!(answer.text().contains("<h1>Nothing &lt;yet&gt;</h1>"), "{}", answer.text());
    for path in ["/console/views", "/console/send", "/console/start"] {
        assert_eq!(place.send(get_with(path, &[HTML])).await.status, 200, "{path}");
    }
    place.get("/v1/views").await.ok();
    let problem = place.get("/v1/views/v").await.problem(404, "problem:not-found");
    assert!(problem["detail"].as_str().unwrap().contains("none"));
}

#[tokio::test]
async fn rows_are_filtered_sorted_and_paged() {
    let place = Place::with_views();
    let mut position = String::new();
    for at in 0..60 {
        position = place.deposit(&format!("a%2F{at:02}"), &format!("{at}")).await;
    }
    place.get(&format!("/v1/views/balances?min_position={position}&wait=30")).await.ok();
    let page = async |query: &str| {
        let answer = place.send(get_with(&format!("/console/views/balances{query}"), &[HTML])).await;
        is_safe_page(query, &answer);
        answer
    };
    let first = page("").await;
    assert!(first.text().contains(">a/49<") && !first.text().contains(">a/50<"), "{}", first.text());
    let next = first.text().split("<a href=\"").find(|link| link.contains("rel=\"next\"")).unwrap();
    let next = next.split('"').next().unwrap().replace("&amp;", "&");
    let second = place.send(get_with(&next, &[HTML])).await;
    assert!(second.text().contains(">a/59<") && !second.text().contains(">a/49<"), "{}", second.text());
    let found = page("?is.balance=ge&value.balance=58&sort=-balance&count=true").await;
    let (high, low) = (found.text().find(">a/59<").unwrap(), found.text().find(">a/58<").unwrap());
    assert!(
        high < low && !found.text().contains(">a/57<") && found.text().contains("2 rows"),
        "{}",
        found.text()
    );
    let wrong = page("?is.balance=ge&value.balance=many").await;
    assert!(wrong.status == 400 && wrong.text().contains("value=\"many\""), "{}", wrong.text());
    let nothing = page("?value.balance=1000").await;
    assert!(nothing.text().contains("There is no such row"), "{}", nothing.text());
    let row = place.send(get_with("/console/views/balances/rows/a%2F07", &[HTML])).await;
    is_safe_page("row", &row);
    assert!(row.text().contains("<h1>a/07</h1>") && row.text().contains(">7<"), "{}", row.text());
    let missing = place.send(get_with("/console/views/balances/rows/a%2F99", &[HTML])).await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn a_view_is_looked_after_by_forms() {
    let place = site();
    let token = form_token(&place, COOKIE).await;
    let order = async |what: &str, more: &[(&str, &str)]| {
        let fields: Vec<_> =
            [("form_token", token.as_str())].into_iter().chain(more.iter().copied()).collect();
        let path = format!("/console/views/balances/orders/{what}");
        post(&place, &path, &fields, &[("cookie", COOKIE)]).await
    };
    let page = async |query: &str| {
        get(&place, &format!("/console/views/balances{query}"), COOKIE).await.text().to_owned()
    };
    // Nobody keeps the views, so an order waits.
    let ordered = order("rebuild", &[]).await;
    assert_eq!(
        ordered.header("location"),
        Some("/console/views/balances?done=rebuild"),
        "{}",
        ordered.text()
    );
    let waits = page("?done=rebuild").await;
    assert!(waits.contains("The rebuild is ordered") && waits.contains("status busy\">waiting"), "{waits}");
    assert!(
        waits.contains("someone at acme of acme, over HTTP") && waits.contains("Cancel the order"),
        "{waits}"
    );
    assert!(!page("?done=%3Cb%3Eyou%20won").await.contains("you won"), "the words are a closed list");
    let other = order("verify", &[]).await;
    assert!(other.status.is_client_error() && other.text().contains("cancel"), "{}", other.text());
    assert_eq!(order("cancel", &[]).await.status, 303);
    assert!(page("?done=cancel").await.contains("status\">cancelled"));
    for wrong in ["nothing", "rebuild%2F.."] {
        assert_eq!(order(wrong, &[]).await.status, 404, "{wrong}");
    }
    assert_eq!(order("skip", &[("position", "x"), ("why", "y")]).await.status, 400);
}

#[tokio::test]
async fn a_command_is_given_by_a_form_and_pressed_twice_it_runs_once() {
    let place = site();
    let path = "/console/send/account/deposit";
    let page = get(&place, path, COOKIE).await;
    is_safe_page(path, &page);
    let (token, key) = (hidden(page.text(), "form_token"), hidden(page.text(), "key"));
    assert!(page.text().contains("name=\"body/amount\""), "{}", page.text());
    let send = async |path: &str, key: &str, more: &[(&str, &str)]| {
        let own = [("form_token", token.as_str()), ("key", key)];
        let fields: Vec<_> = own.into_iter().chain(more.iter().copied()).collect();
        post(&place, path, &fields, &[("cookie", COOKIE)]).await
    };
    let fields = [("id", "cash"), ("body/amount", "12.50")];
    let done = send(path, &key, &fields).await;
    is_safe_page(path, &done);
    for part in ["It is done", "account-cash", "deposited", "12.50", "version 1"] {
        assert!(done.text().contains(part), "{part}: {}", done.text());
    }
    let again = send(path, &key, &fields).await;
    assert!(again.text().contains("It was done before"), "{}", again.text());
    let events = || async { place.store.head().await.unwrap().number() };
    let head = events().await;
    assert_eq!(head, 1);

    // What is changed under the same key is told, and the form it comes back in has a key of its own.
    let changed = send(path, &key, &[("id", "cash"), ("body/amount", "99")]).await;
    assert_eq!(changed.status, 409, "{}", changed.text());
    assert!(changed.text().contains("value=\"99\""), "{}", changed.text());
    assert_ne!(hidden(changed.text(), "key"), key);

    // A refusal is told in its words, and what was typed stays.
    let refused =
        send("/console/send/account/withdraw", "k2", &[("id", "cash"), ("body/amount", "100")]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("12.50 is there, 100 were asked for"), "{}", refused.text());
    assert!(refused.text().contains("value=\"100\"") && refused.text().contains("value=\"cash\""));
    assert_ne!(hidden(refused.text(), "key"), "k2");
    let wrong = send(path, "k3", &[("id", "cash"), ("body/amount", "much")]).await;
    assert!(wrong.status == 400 && wrong.text().contains("value=\"much\""), "{}", wrong.text());
    assert_eq!(hidden(wrong.text(), "key"), "k3", "nothing was stored under it");
    let stale = send(path, "k4", &[("id", "cash"), ("body/amount", "1"), ("expected", "7")]).await;
    assert!(stale.status == 409 && stale.text().contains("value=\"7\""), "{}", stale.text());
    let unknown = send(path, "k5", &[("id", "cash"), ("body/amount", "1"), ("body/more", "1")]).await;
    assert_eq!(unknown.status, 400);
    assert_eq!(events().await, head, "nothing more happened");

    let later = send(path, "k6", &[("id", "cash"), ("body/amount", "1"), ("due_at", "2099-01-01T00:00:00Z")]);
    let later = later.await;
    assert!(later.status == 200 && later.text().contains("The command is stored"), "{}", later.text());
    assert!(later.text().contains("2099-01-01"), "{}", later.text());
    let example = Place::with(|config| config.with_example("account/cash/deposit", r#"{"amount":"4.20"}"#));
    let offered = example.send(get_with(path, &[HTML])).await;
    assert!(offered.text().contains("?example=true") && !offered.text().contains("4.20"));
    let filled = example.send(get_with(&format!("{path}?example=true"), &[HTML])).await;
    assert!(
        filled.text().contains("value=\"4.20\"") && filled.text().contains("value=\"cash\""),
        "{}",
        filled.text()
    );
    let moved = send(
        "/console/send/operations/transfer",
        "k7",
        &[("body/from", "cash"), ("body/to", "bank"), ("body/amount", "2.5")],
    )
    .await;
    assert!(
        moved.text().contains("account-cash") && moved.text().contains("account-bank"),
        "{}",
        moved.text()
    );
}
