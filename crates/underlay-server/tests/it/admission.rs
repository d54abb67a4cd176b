//! Finding out who asks: in bounded time, with a bounded number waiting, whoever floods.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use tokio::sync::{Notify, watch};
use underlay_core::Timestamp;
use underlay_server::{Credentials, Denied, LogReaders, Principal, ServerConfig, bearer};

use crate::place::{Answer, Place, get_with, post_with, tenant};

/// Lets `fast` tokens in at once, and all others when it is told to. A token is `KIND.TENANT…`.
#[derive(Clone, Default)]
struct Provider(Arc<Told>);

#[derive(Default)]
struct Told {
    /// How many wait, or did.
    asked: watch::Sender<usize>,
    answer: Notify,
}

#[async_trait]
impl Credentials for Provider {
    async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Denied> {
        let (kind, name) = bearer(headers)?.split_once('.').unwrap_or_default();
        let principal = Principal::new(tenant(name.split('.').next().unwrap_or("none")));
        let principal = principal.with_role(LogReaders::ROLE_DEFAULT);
        match kind {
            "fast" => Ok(principal),
            "away" => Err(Denied::Away { retry_after: Some(Duration::from_secs(7)) }),
            "expired" => Ok(principal.with_expiry(Timestamp::now() - Duration::from_secs(1))),
            "fresh" => Ok(principal.with_expiry(Timestamp::now() + Duration::from_secs(60))),
            _ => {
                self.0.asked.send_modify(|asked| *asked += 1);
                self.0.answer.notified().await;
                if kind == "bad" { Err(Denied::invalid("no")) } else { Ok(principal) }
            }
        }
    }

    fn trouble(&self) -> Option<String> {
        Some("the provider is tired".to_owned())
    }
}

fn place(provider: &Provider, configure: impl FnOnce(ServerConfig) -> ServerConfig) -> Arc<Place> {
    Arc::new(Place::with(|config| {
        configure(config.with_credentials(provider.clone()).with_log_readers(LogReaders::default()))
    }))
}

fn events(token: &str) -> Request<Body> {
    get_with("/v1/events", &[("authorization", &format!("Bearer {token}"))])
}

/// Sends a request that waits to be identified.
async fn waiting(place: &Arc<Place>, provider: &Provider, token: &str) -> tokio::task::JoinHandle<Answer> {
    let (place, request) = (place.clone(), events(token));
    let before = *provider.0.asked.borrow();
    let sent = tokio::spawn(async move { place.send(request).await });
    provider.0.asked.subscribe().wait_for(|asked| *asked > before).await.unwrap();
    sent
}

#[tokio::test]
async fn a_provider_that_is_away_is_told_and_nothing_else_is() {
    let place = place(&Provider::default(), |config| config);
    for path in ["/v1/events", "/v1/views/none", "/v1/commands/k", "/v1/streams/x"] {
        let answer = place.send(get_with(path, &[("authorization", "Bearer away.acme")])).await;
        let problem = answer.problem(503, "problem:identity-away");
        assert_eq!(problem["detail"], "nobody can say now who asks; nothing was done");
        assert_eq!(problem.as_object().unwrap().len(), 5, "{problem}");
        assert_eq!(answer.header("retry-after"), Some("7"));
    }
    let body = r#"{"amount":"1"}"#;
    let headers = [("authorization", "Bearer away.acme"), ("idempotency-key", "k")];
    let refused = place.send(post_with("/v1/account/cash/deposit", body, &headers)).await;
    refused.problem(503, "problem:identity-away");
    // The key is as unused as before, also for something else.
    let headers = [("authorization", "Bearer fast.acme"), ("idempotency-key", "k")];
    let other = r#"{"amount":"2"}"#;
    place.send(post_with("/v1/account/cash/deposit", other, &headers)).await.ok();
}

#[tokio::test]
async fn a_provider_has_a_deadline() {
    let provider = Provider::default();
    let place = place(&provider, |config| config);
    let answer = place.send_while_time_passes(events("slow.acme")).await;
    answer.problem(503, "problem:identity-away");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn what_has_expired_opens_nothing() {
    let place = place(&Provider::default(), |config| config);
    let answer = place.send(events("expired.acme")).await;
    answer.problem(401, "problem:unidentified");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    place.send(events("fresh.acme")).await.ok();
    place.clock.advance(Duration::from_secs(120));
    place.send(events("fast.acme")).await.ok();
}

#[tokio::test]
async fn a_flood_of_bad_tokens_keeps_out_neither_the_known_nor_those_known_at_once() {
    let provider = Provider::default();
    let place = place(&provider, |mut config| {
        config.identify_waiting_max = 3;
        config.identify_tenant_waiting_max = 2;
        config
    });
    // Two callers of two tenants were let in before.
    for token in ["slow.acme.1", "slow.zeta.1"] {
        let sent = waiting(&place, &provider, token).await;
        provider.0.answer.notify_one();
        sent.await.unwrap().ok();
    }
    let mut flood = Vec::new();
    for number in 0..3 {
        flood.push(waiting(&place, &provider, &format!("bad.acme.{number}")).await);
    }
    let full = place.send(events("bad.acme.9")).await;
    let problem = full.problem(503, "problem:overloaded");
    assert!(problem["detail"].as_str().unwrap().contains("identify_waiting_max = 3"), "{problem}");
    assert_eq!(full.header("retry-after"), Some("1"));
    place.send(events("fast.new")).await.ok();
    // Of the known, one tenant's many do not keep out another's one.
    let known =
        [waiting(&place, &provider, "slow.acme.1").await, waiting(&place, &provider, "slow.acme.1").await];
    let problem = place.send(events("slow.acme.1")).await.problem(429, "problem:too-many-requests");
    assert!(problem["detail"].as_str().unwrap().contains("identify_tenant_waiting_max = 2"), "{problem}");
    let other = waiting(&place, &provider, "slow.zeta.1").await;
    provider.0.answer.notify_waiters();
    for sent in known.into_iter().chain([other]) {
        sent.await.unwrap().ok();
    }
    for sent in flood {
        sent.await.unwrap().problem(401, "problem:unidentified");
    }
}

#[tokio::test]
async fn who_goes_away_gives_the_place_back() {
    let provider = Provider::default();
    let place = place(&provider, |mut config| {
        config.identify_waiting_max = 1;
        config
    });
    for number in 0..3 {
        let sent = waiting(&place, &provider, &format!("slow.acme.{number}")).await;
        place.send(events("slow.acme.new")).await.problem(503, "problem:overloaded");
        sent.abort();
        sent.await.unwrap_err();
    }
}

#[tokio::test]
async fn the_host_is_looked_at_first_and_the_budget_last() {
    let provider = Provider::default();
    let place = place(&provider, |mut config| {
        config.tenant_requests_max = 0;
        config
    });
    let other_host = [("host", "evil.example"), ("authorization", "Bearer away.acme")];
    place.send(get_with("/v1/events", &other_host)).await.problem(421, "problem:host-not-allowed");
    place.send(events("away.acme")).await.problem(503, "problem:identity-away");
    place.send(events("fast.acme")).await.problem(429, "problem:too-many-requests");
}

#[tokio::test]
async fn a_trouble_with_the_credentials_degrades_the_service() {
    let place = place(&Provider::default(), |config| config);
    let ready = place.get("/readyz").await.ok();
    assert_eq!(
        (&ready["status"], &ready["troubles"]["credentials"]),
        (&"degraded".into(), &"the provider is tired".into())
    );
    assert!(ready.get("position").is_none(), "how much all tenants do is nobody's to read: {ready}");
}

#[tokio::test]
async fn one_tenants_many_credentials_do_not_make_strangers_of_the_others() {
    let provider = Provider::default();
    let place = place(&provider, |mut config| {
        config.identify_waiting_max = 1;
        config
    });
    let sent = waiting(&place, &provider, "slow.zeta.1").await;
    provider.0.answer.notify_one();
    sent.await.unwrap().ok();
    // One token, and beside it something new each time.
    for number in 0..16_500 {
        let cookie = format!("n={number}");
        let headers = [("authorization", "Bearer fast.acme"), ("cookie", cookie.as_str())];
        assert_eq!(place.send(get_with("/v1/commands/k", &headers)).await.status, 404);
    }
    let _flood = waiting(&place, &provider, "bad.acme.1").await;
    let known = waiting(&place, &provider, "slow.zeta.1").await;
    provider.0.answer.notify_waiters();
    known.await.unwrap().ok();
}
