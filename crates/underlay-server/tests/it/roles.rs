//! Roles: who may use which command, operation, view, and the log.

use axum::Router;
use axum::routing::get;
use serde_json::json;
use underlay_server::{Credentials, Denied, LogReaders, Principal, ServerConfig, bearer};

use crate::place::{ByHeader, Place, get_with, post_with};

fn site_with(configure: impl FnOnce(ServerConfig) -> ServerConfig) -> Place {
    Place::with(|config| configure(config.with_credentials(ByHeader).with_log_readers(LogReaders::default())))
}

const BODY: &str = r#"{"amount":"1"}"#;

#[tokio::test]
async fn a_command_is_for_its_roles_and_a_refusal_uses_up_no_key() {
    let place = site_with(|config| config);
    let (acme, teller) = ("Bearer acme", "Bearer acme.teller");
    place.send(post_with("/v1/account/cash/deposit", BODY, &[("authorization", acme)])).await.ok();
    let close =
        |who| post_with("/v1/account/cash/close", "", &[("authorization", who), ("idempotency-key", "k")]);
    let problem = place.send(close(acme)).await.problem(403, "problem:role-required");
    assert_eq!(problem["roles"], json!(["teller", "manager"]));
    assert_eq!(problem["detail"], "one of the roles teller, manager is needed for that");
    // A role's name that only looks like one is none.
    for who in ["Bearer acme.Teller", "Bearer acme.tell", "Bearer acme.teller-", "Bearer acme..TELLER"] {
        place.send(close(who)).await.problem(403, "problem:role-required");
    }
    let other = [("authorization", acme), ("idempotency-key", "k")];
    let used = place.send(post_with("/v1/account/other/deposit", BODY, &other)).await;
    assert_eq!(used.header("idempotent-replayed"), None);
    used.ok();
    let fresh =
        post_with("/v1/account/cash/close", "", &[("authorization", teller), ("idempotency-key", "l")]);
    place.send(fresh).await.ok();
    // Whoever lost the role does not get the first answer either.
    let again = post_with("/v1/account/cash/close", "", &[("authorization", acme), ("idempotency-key", "l")]);
    place.send(again).await.problem(403, "problem:role-required");
}

#[tokio::test]
async fn a_name_in_another_spelling_asks_for_the_same_roles() {
    let place = site_with(|config| config);
    let acme = [("authorization", "Bearer acme")];
    for path in ["/v1/account/cash/%63lose", "/v1/%61ccount/cash/close", "/v1/%61ccount/cash/%63%6Cose"] {
        place.send(post_with(path, "", &acme)).await.problem(403, "problem:role-required");
    }
    for path in ["/v1/views/%66ragile", "/v1/views/fragile/a", "/v1/views/%66ragile/a%2Fb"] {
        place.send(get_with(path, &acme)).await.problem(403, "problem:role-required");
    }
    // In capitals it is another name, and there is none.
    place.send(post_with("/v1/account/cash/CLOSE", "", &acme)).await.problem(404, "problem:unknown-command");
}

#[tokio::test]
async fn operations_and_views_are_for_their_roles() {
    let place = site_with(|config| config);
    let _views = place.engine.start_views();
    let (acme, auditor) = ([("authorization", "Bearer acme")], [("authorization", "Bearer acme.auditor")]);
    let fee = r#"{"from":"a","amount":"1"}"#;
    let problem = place.send(post_with("/v1/operations/charge", fee, &acme)).await;
    assert_eq!(problem.problem(403, "problem:role-required")["roles"], json!(["manager"]));
    for path in ["/v1/views/fragile", "/v1/views/fragile/a", "/v1/views/fragile?nonsense=1"] {
        place.send(get_with(path, &acme)).await.problem(403, "problem:role-required");
    }
    place.send(get_with("/v1/views/fragile", &auditor)).await.ok();
    let names = async |who: &[(&str, &str)]| {
        let views = place.send(get_with("/v1/views", who)).await.ok();
        views["views"].as_array().unwrap().iter().map(|view| view["name"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&acme).await, ["\"balances\""]);
    assert_eq!(names(&auditor).await, ["\"balances\"", "\"fragile\""]);
}

#[tokio::test]
async fn the_log_is_for_whoever_the_service_says() {
    let acme = [("authorization", "Bearer acme.auditor")];
    // ByHeader gives everybody the role that is asked for where nothing is said.
    let by_default = site_with(|config| config);
    let auditors =
        site_with(|c| c.with_log_readers(LogReaders::Roles(vec!["auditor".to_owned(), "x".to_owned()])));
    let others = site_with(|config| config.with_log_readers(LogReaders::Roles(vec!["other".to_owned()])));
    let nobody = site_with(|config| config.with_log_readers(LogReaders::Roles(Vec::new())));
    let everybody = site_with(|config| config.with_log_readers(LogReaders::Everybody));
    for place in [&by_default, &auditors, &everybody] {
        place.send(get_with("/v1/events", &acme)).await.ok();
        assert_eq!(place.send(get_with("/v1/streams/account-cash", &acme)).await.status, 404);
    }
    for (place, told) in [(&others, "the role other"), (&nobody, "nobody")] {
        for path in ["/v1/events", "/v1/streams/account-cash", "/v1/streams/nonsense", "/v1/events?limit=0"] {
            let problem = place.send(get_with(path, &acme)).await.problem(403, "problem:role-required");
            assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
        }
    }
    assert_eq!(LogReaders::default(), LogReaders::Roles(vec!["log-reader".to_owned()]));
}

#[tokio::test]
async fn without_credentials_whoever_is_at_the_machine_has_every_role() {
    let place = Place::with_views();
    place.post("/v1/account/cash/deposit", BODY).await.ok();
    place.post("/v1/account/cash/close", "").await.ok();
    place.get("/v1/events").await.ok();
    place.get("/v1/views/fragile").await.ok();
    let page = place.get("/console/start").await;
    assert!(page.text().contains("for teller, manager"));
    assert!(!page.text().contains("Bearer"), "no token is needed");
}

#[tokio::test]
async fn a_router_within_anothers_asks_for_the_same() {
    let mut place = site_with(|config| config);
    let own = Router::new().route("/own", get(async || "own"));
    place.router = own.nest_service("/bank", place.router);
    place.contract = None;
    assert_eq!(place.get("/own").await.text(), "own");
    assert_eq!(place.get("/bank/livez").await.status, 200);
    place.get("/bank/v1/views").await.problem(401, "problem:unidentified");
    let acme = [("authorization", "Bearer acme")];
    place.send(get_with("/bank/v1/views", &acme)).await.ok();
    place.send(get_with("/bank/v1/views/fragile", &acme)).await.problem(403, "problem:role-required");
    let close = post_with("/bank/v1/account/cash/close", "", &acme);
    place.send(close).await.problem(403, "problem:role-required");
}

#[tokio::test]
async fn a_decision_can_ask_for_roles() {
    let place = site_with(|config| config);
    let large = r#"{"amount":"5000"}"#;
    let ask = |who| post_with("/v1/account/cash/deposit", large, &[("authorization", who)]);
    place.send(ask("Bearer acme.teller")).await.problem(422, "refusal:too-large");
    place.send(ask("Bearer acme.manager")).await.ok();
}

#[tokio::test]
async fn the_console_shows_nobody_what_is_not_theirs() {
    let place = site_with(|config| config.with_example("account/cash/deposit", BODY));
    let _views = place.engine.start_views();
    let page = async |path: &str, who: &str| {
        let answer = place.send(get_with(path, &[("authorization", who)])).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().to_owned()
    };
    let plain = page("/console/start", "Bearer acme").await;
    assert!(plain.contains(">deposit") && plain.contains("$TOKEN") && !plain.contains("fragile"), "{plain}");
    assert!(!plain.contains("/close'") && !plain.contains("charge"), "{plain}");
    let full = page("/console/start", "Bearer acme.manager.auditor").await;
    assert!(full.contains("/close'") && full.contains("charge") && full.contains("fragile"), "{full}");
    for path in ["/", "/console/views"] {
        assert!(!page(path, "Bearer acme").await.contains("fragile"), "{path}");
        assert!(page(path, "Bearer acme.auditor").await.contains("fragile"), "{path}");
    }
    let sent = page("/console/send", "Bearer acme").await;
    assert!(sent.contains(">deposit<") && !sent.contains(">close<") && !sent.contains("charge"), "{sent}");
    place.send(get_with("/", &[("authorization", "Bearer guest")])).await.problem(403, "problem:denied");
    place.send(get_with("/", &[("authorization", "Basic x")])).await.problem(401, "problem:unidentified");
}

#[tokio::test]
async fn whoever_is_at_the_machine_reads_the_log_where_that_takes_a_role() {
    let auditors = LogReaders::Roles(vec!["auditor-of-the-log".to_owned()]);
    let place = Place::with(|config| config.with_log_readers(auditors));
    place.get("/v1/events").await.ok();
    let nobody = Place::with(|config| config.with_log_readers(LogReaders::Roles(Vec::new())));
    nobody.get("/v1/events").await.problem(403, "problem:role-required");
}

#[tokio::test]
async fn credentials_close_what_was_open() {
    let place = Place::with(|config| config.with_credentials(NoRoles));
    let acme = [("authorization", "Bearer acme")];
    place.send(get_with("/v1/events", &acme)).await.problem(403, "problem:role-required");
    let open = ServerConfig::new("Bank").open_to(crate::place::tenant("acme"));
    assert_eq!(open.tenant_requests_max, open.requests_max);
    let (closed, usual) = (open.with_credentials(NoRoles), ServerConfig::new("Bank"));
    assert_eq!(closed.tenant_requests_max, usual.tenant_requests_max);
    assert_eq!(closed.tenant_answer_bytes_max, usual.tenant_answer_bytes_max);
}

/// Lets whoever has a token in, without any role.
struct NoRoles;

#[async_trait::async_trait]
impl Credentials for NoRoles {
    async fn identify(&self, headers: &axum::http::HeaderMap) -> Result<Principal, Denied> {
        Ok(Principal::new(crate::place::tenant(bearer(headers)?)))
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

#[tokio::test]
async fn a_page_counts_among_the_requests_of_its_tenant() {
    let place = site_with(|mut config| {
        config.tenant_requests_max = 1;
        config
    });
    let acme = || get_with("/", &[("authorization", "Bearer acme")]);
    let untaken = place.answer_untaken(acme()).await;
    assert_eq!(untaken.status(), 200);
    place.send(acme()).await.problem(429, "problem:too-many-requests");
    assert_eq!(place.send(get_with("/", &[("authorization", "Bearer zeta")])).await.status, 200);
    drop(untaken);
    assert_eq!(place.send(acme()).await.status, 200);
}
