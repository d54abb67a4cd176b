//! The feed of the log: without gap and repeat, within bounds, and no longer than who asked may be here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};
use underlay_core::memory::MemorySpans;
use underlay_core::{SpanKind, SpanValue, Timestamp, TraceContext};
use underlay_server::{Credentials, Denied, LogReaders, Principal, ServeLimits, bearer};

use crate::listener::{Listener, SocketListener};
use crate::place::{Answer, ByHeader, Place, get_with, post_with, tenant};
use crate::socket::Server;

const EVENTS: &str = "/v1/events";
const ONE: &str = r#"{"amount":"1"}"#;

async fn answer(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    // A copy: the bytes that were answered keep the place of their request.
    let body = Bytes::copy_from_slice(&to_bytes(body, usize::MAX).await.unwrap());
    Answer { status: parts.status, headers: parts.headers, body }
}

#[tokio::test]
async fn it_gives_what_pages_give_and_goes_on_after_an_id() {
    let place = Place::new();
    for amount in ["1", "2", "3"] {
        place.deposit("cash", amount).await;
    }
    let page = place.get(EVENTS).await.ok();
    let mut listener = Listener::follow(&place, "/v1/events?after=0", &[]).await;
    assert_eq!(json!(listener.data(3).await), page["events"]);
    place.deposit("cash", "4").await;
    let said = listener.next().await;
    assert_eq!(said.event.as_deref(), Some("deposited"));
    assert_eq!(said.data.unwrap()["payload"]["amount"], "4");
    let last = said.id.unwrap();
    drop(listener);
    for amount in ["5", "6"] {
        place.deposit("cash", amount).await;
    }
    // The header a browser sends is before the address, which still is the first one.
    for (path, headers) in [
        ("/v1/events?after=0", vec![("last-event-id", last.as_str())]),
        (&*format!("/v1/events?after={last}"), vec![]),
        ("/v1/events?after=4", vec![]),
    ] {
        let mut listener = Listener::follow(&place, path, &headers).await;
        let amounts: Vec<Value> =
            listener.data(2).await.iter().map(|event| event["payload"]["amount"].clone()).collect();
        assert_eq!(amounts, ["5", "6"], "{path}");
        assert!(listener.is_quiet().await);
    }
}

#[tokio::test]
async fn without_an_id_it_begins_now() {
    let place = Place::new();
    place.deposit("cash", "1").await;
    let mut listener = Listener::follow(&place, EVENTS, &[]).await;
    assert!(listener.is_quiet().await);
    let begun = listener.blocks.last_id.clone().unwrap();
    place.deposit("cash", "2").await;
    assert_eq!(listener.data(1).await[0]["payload"]["amount"], "2");
    // What came between the opening and a break follows its id.
    let mut listener = Listener::follow(&place, EVENTS, &[("last-event-id", &begun)]).await;
    assert_eq!(listener.data(1).await[0]["payload"]["amount"], "2");
}

#[tokio::test]
async fn a_heartbeat_moves_the_id_over_what_was_not_wanted() {
    let place = Place::new();
    let mut listener = Listener::follow(&place, "/v1/events?type=closed", &[]).await;
    let begun = listener.blocks.last_id.clone();
    place.deposit("cash", "1").await;
    place.deposit("cash", "2").await;
    assert!(listener.is_quiet().await);
    let said = listener.next_in_time(&place).await.unwrap();
    assert!(said.is_comment && said.data.is_none() && said.event.is_none(), "{said:?}");
    assert!(said.id.as_ref().is_some_and(|id| id.starts_with("2-")) && said.id != begun, "{said:?}");
    place.post("/v1/account/cash/close", "").await.ok();
    assert_eq!(listener.data(1).await[0]["type"], "closed");
    let mut listener = Listener::follow(&place, EVENTS, &[("last-event-id", &said.id.unwrap())]).await;
    assert_eq!(listener.data(1).await[0]["type"], "closed", "nothing before it is looked at again");
}

#[tokio::test]
async fn an_id_that_is_not_of_this_log_is_refused() {
    let (place, other) = (Place::new(), Place::new());
    place.deposit("cash", "1").await;
    other.deposit("cash", "1").await;
    let foreign = Listener::follow(&other, EVENTS, &[]).await.blocks.last_id.clone().unwrap();
    for id in [foreign.as_str(), "7", "7-0011223344556677"] {
        let refused = answer(Listener::ask(&place, EVENTS, &[("last-event-id", id)]).await).await;
        assert!(
            refused.problem(409, "problem:feed-reset")["detail"].as_str().unwrap().contains("begin again")
        );
    }
    for id in ["x", "-1", "1-", "1-zz", "1-0011223344556677-"] {
        answer(Listener::ask(&place, EVENTS, &[("last-event-id", id)]).await).await.invalid();
    }
    for query in ["limit=1", "after=1&after=1", "format=xml", "type=a%20b"] {
        answer(Listener::ask(&place, &format!("{EVENTS}?{query}"), &[]).await).await.invalid();
    }
}

#[tokio::test]
async fn a_log_that_is_restored_from_an_older_copy_ends_it() {
    let place = Place::new();
    place.deposit("cash", "1").await;
    let mut listener = Listener::follow(&place, "/v1/events?after=0", &[]).await;
    assert_eq!(listener.data(1).await.len(), 1);
    drop(listener);
    // The position is there, and another event is at it.
    let restored = Place::new();
    restored.deposit("cash", "1").await;
    restored.deposit("cash", "2").await;
    let id = Listener::follow(&place, EVENTS, &[]).await.blocks.last_id.clone().unwrap();
    answer(Listener::ask(&restored, EVENTS, &[("last-event-id", &id)]).await)
        .await
        .problem(409, "problem:feed-reset");
}

#[tokio::test]
async fn nobody_is_given_what_is_another_tenants() {
    let place = Place::with(|config| config.with_credentials(ByHeader));
    let acme = [("authorization", "Bearer acme")];
    let zeta = [("authorization", "Bearer zeta")];
    let mut ours = Listener::follow(&place, "/v1/events?after=0", &acme).await;
    let mut theirs = Listener::follow(&place, "/v1/events?after=0", &zeta).await;
    for (headers, account) in [(&acme, "ours"), (&zeta, "theirs"), (&acme, "ours"), (&zeta, "theirs")] {
        place.send(post_with(&format!("/v1/account/{account}/deposit"), ONE, headers)).await.ok();
    }
    for (listener, stream) in [(&mut ours, "account-ours"), (&mut theirs, "account-theirs")] {
        let events = listener.data(2).await;
        assert!(events.iter().all(|event| event["stream"] == stream), "{events:?}");
        assert!(listener.is_quiet().await);
    }
    // An id of theirs opens nothing of them.
    let id = theirs.blocks.last_id.clone().unwrap();
    let mut ours = Listener::follow(&place, EVENTS, &[acme[0], ("last-event-id", &id)]).await;
    assert!(ours.is_quiet().await);
}

/// Tokens that can be revoked, and lose their role. A token is its tenant.
#[derive(Clone, Default)]
struct Revocable(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    revoked: BTreeSet<String>,
    without_role: BTreeSet<String>,
    ends: Option<Timestamp>,
    is_away: bool,
}

#[async_trait]
impl Credentials for Revocable {
    async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Denied> {
        let token = bearer(headers)?;
        let state = self.0.lock().unwrap();
        if state.is_away {
            return Err(Denied::Away { retry_after: None });
        }
        if state.revoked.contains(token) {
            return Err(Denied::invalid("revoked"));
        }
        let mut principal = Principal::new(tenant(token));
        principal.expires_at = state.ends;
        if state.without_role.contains(token) {
            return Ok(principal);
        }
        Ok(principal.with_role(LogReaders::ROLE_DEFAULT))
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

#[tokio::test]
async fn it_ends_with_the_credentials_it_was_asked_with() {
    let tokens = Revocable::default();
    let place = Place::with(|config| config.with_credentials(tokens.clone()));
    let acme = [("authorization", "Bearer acme")];
    let state = || tokens.0.lock().unwrap();
    let waited = |since: Timestamp| place.clock_now().duration_since(since).as_secs();

    let mut revoked = Listener::follow(&place, EVENTS, &acme).await;
    let mut other = Listener::follow(&place, EVENTS, &[("authorization", "Bearer zeta")]).await;
    state().revoked.insert("acme".to_owned());
    let since = place.clock_now();
    assert_eq!(revoked.end(&place).await, "credentials");
    assert!(waited(since) <= 2, "{} s", waited(since));
    assert!(other.is_quiet().await, "others go on");
    answer(Listener::ask(&place, EVENTS, &acme).await).await.problem(401, "problem:unidentified");
    state().revoked.clear();

    let mut demoted = Listener::follow(&place, EVENTS, &acme).await;
    state().without_role.insert("acme".to_owned());
    assert_eq!(demoted.end(&place).await, "credentials");
    state().without_role.clear();

    // Where something happens all the time, nothing is given after the end of the token.
    let end = place.clock_now() + Duration::from_secs(5);
    state().ends = Some(end);
    let mut expiring = Listener::follow(&place, EVENTS, &acme).await;
    let since = place.clock_now();
    assert_eq!(expiring.end(&place).await, "credentials");
    assert!((4..=6).contains(&waited(since)), "{} s", waited(since));
    state().ends = None;

    // Nobody can say for a while: it goes on, and not for ever.
    let mut unknown = Listener::follow(&place, EVENTS, &acme).await;
    state().is_away = true;
    let since = place.clock_now();
    assert!(unknown.next_in_time(&place).await.unwrap().is_comment);
    assert_eq!(unknown.end(&place).await, "credentials");
    assert!((55..=70).contains(&waited(since)), "{} s", waited(since));
}

/// Whoever signs people in before the service says who asks, in a header of its own.
struct SignedIn;

#[async_trait]
impl Credentials for SignedIn {
    async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Denied> {
        let name = headers.get("x-signed-in").and_then(|name| name.to_str().ok());
        let name = name.ok_or_else(|| Denied::missing("nobody is signed in"))?;
        Ok(Principal::new(tenant("acme")).with_actor(name).with_role(LogReaders::ROLE_DEFAULT))
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

#[tokio::test]
async fn it_lasts_whatever_header_says_who_asks() {
    let place = Place::with(|config| config.with_credentials(SignedIn));
    let ann = [("x-signed-in", "ann")];
    let mut listener = Listener::follow(&place, EVENTS, &ann).await;
    for _ in 0..2 {
        // Who asks was looked at again by then.
        let said = listener.next_in_time(&place).await.unwrap();
        assert!(said.is_comment, "{said:?}");
    }
    place.send(post_with("/v1/account/cash/deposit", ONE, &ann)).await.ok();
    assert_eq!(listener.data(1).await[0]["type"], "deposited");
}

#[tokio::test]
async fn a_revoked_client_is_given_nothing_more_of_what_waits_for_it() {
    let tokens = Revocable::default();
    let place = Place::with(|config| config.with_credentials(tokens.clone()));
    let acme = [("authorization", "Bearer acme")];
    let mut listener = Listener::follow(&place, EVENTS, &acme).await;
    for _ in 0..5 {
        place.send(post_with("/v1/account/cash/deposit", ONE, &acme)).await.ok();
    }
    assert_eq!(listener.data(1).await.len(), 1);
    tokens.0.lock().unwrap().revoked.insert("acme".to_owned());
    place.clock.advance(Duration::from_secs(2));
    assert_eq!(listener.end(&place).await, "credentials");
    assert_eq!(listener.blocks.last_id.unwrap().split('-').next(), Some("1"));
}

#[tokio::test]
async fn it_is_for_those_who_read_the_log() {
    let place = Place::with(|config| {
        config.with_credentials(ByHeader).with_log_readers(LogReaders::Roles(vec!["auditor".to_owned()]))
    });
    let refused = Listener::ask(&place, EVENTS, &[("authorization", "Bearer acme.teller")]).await;
    answer(refused).await.problem(403, "problem:role-required");
    Listener::follow(&place, EVENTS, &[("authorization", "Bearer acme.auditor")]).await;
}

#[tokio::test]
async fn it_has_places_of_its_own_and_gives_them_back() {
    let place = Place::with(|config| {
        let mut config = config.with_credentials(ByHeader);
        (config.feed_clients_max, config.tenant_feed_clients_max) = (3, 2);
        (config.requests_max, config.tenant_requests_max) = (1, 1);
        config
    });
    let (acme, zeta) = ([("authorization", "Bearer acme")], [("authorization", "Bearer zeta")]);
    let first = Listener::follow(&place, EVENTS, &acme).await;
    let _second = Listener::follow(&place, EVENTS, &acme).await;
    // Requests have all of theirs.
    place.send(get_with(EVENTS, &acme)).await.ok();
    let refused = answer(Listener::ask(&place, EVENTS, &acme).await).await;
    assert!(refused.text().contains("tenant_feed_clients_max = 2"), "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    let _third = Listener::follow(&place, EVENTS, &zeta).await;
    let refused = answer(Listener::ask(&place, EVENTS, &zeta).await).await;
    assert!(refused.text().contains("feed_clients_max = 3"), "{}", refused.text());
    drop(first);
    Listener::follow(&place, EVENTS, &acme).await;
    // A refusal and a request for the head alone keep none.
    for _ in 0..5 {
        Listener::ask(&place, "/v1/events?after=99", &acme).await;
        let head = axum::http::Request::head(EVENTS).header("accept", "text/event-stream");
        let head = head.header("authorization", "Bearer acme").body(Body::empty()).unwrap();
        assert_eq!(place.answer_untaken(head).await.status(), 200);
    }
    Listener::follow(&place, EVENTS, &acme).await;
}

#[tokio::test]
async fn who_does_not_keep_up_is_told_and_slows_nobody() {
    let place = Place::new();
    let mut slow = Listener::follow(&place, EVENTS, &[]).await;
    let mut fast = Listener::follow(&place, EVENTS, &[]).await;
    assert!(slow.is_quiet().await, "it is with the others");
    let mut count = 0;
    for _ in 0..4 {
        place.store_big_events("acme", "note-big", 4).await;
        count += fast.data(4).await.len();
    }
    // Its place is gone, and it reads for itself, as slowly as before.
    let first = slow.next().await;
    assert_eq!(first.id.as_ref().unwrap().split('-').next(), Some("1"));
    let ended = async {
        loop {
            place.store_big_events("acme", "note-big", 1).await;
            count += fast.data(1).await.len();
            let said = slow.next_in_time(&place).await.unwrap();
            place.clock.advance(Duration::from_secs(2));
            if said.event.as_deref() == Some("underlay:end") {
                return said.data.unwrap()["reason"].clone();
            }
        }
    };
    assert_eq!(ended.await, "slow");
    assert!(fast.is_quiet().await);
    // And with its last id it misses nothing.
    let last = slow.blocks.last_id.clone().unwrap();
    let taken: usize = last.split('-').next().unwrap().parse().unwrap();
    let mut again = Listener::follow(&place, EVENTS, &[("last-event-id", &last)]).await;
    let rest = again.data(count - taken).await;
    let positions: Vec<String> =
        rest.iter().map(|event| event["position"].as_str().unwrap().to_owned()).collect();
    assert_eq!(positions, (taken + 1..=count).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_read_for_one_client_alone_counts_for_its_tenant() {
    let place = Place::with(|config| {
        let mut config = config.with_credentials(ByHeader);
        config.tenant_answer_bytes_max = 40 << 20;
        config
    });
    place.store_big_events("acme", "note-big", 12).await;
    let acme = [("authorization", "Bearer acme")];
    // A first client holds a page; a second has to wait until that was taken, and is given all the same.
    let mut first = Listener::follow(&place, "/v1/events?after=0", &acme).await;
    first.data(1).await;
    let mut second = Listener::follow(&place, "/v1/events?after=0", &acme).await;
    assert!(second.is_quiet().await, "there is no room for its page");
    drop(first);
    let mut positions = Vec::new();
    while positions.len() < 12 {
        let said = second.next_in_time(&place).await.unwrap();
        positions.extend(said.data.map(|event| event["position"].as_str().unwrap().to_owned()));
    }
    assert_eq!(positions, (1..=12).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_store_that_is_away_for_a_while_ends_nothing() {
    let place = Place::new();
    for amount in ["1", "2"] {
        place.deposit("cash", amount).await;
    }
    let mut listener = Listener::follow(&place, "/v1/events?after=0", &[]).await;
    place.store.fail_reads(|| underlay_core::Error::unavailable("the store is away"));
    assert!(listener.is_quiet().await);
    place.store.mend_reads();
    let mut amounts = Vec::new();
    while amounts.len() < 2 {
        amounts.extend(
            listener.next_in_time(&place).await.unwrap().data.map(|event| event["payload"]["amount"].clone()),
        );
    }
    assert_eq!(amounts, ["1", "2"]);
}

#[tokio::test]
async fn cloud_events_come_in_pages_and_in_feeds() {
    let place = Place::new();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    place
        .send(post_with("/v1/account/cash/deposit", ONE, &[("traceparent", trace), ("tracestate", "a=1")]))
        .await
        .ok();
    place.deposit("cash", "2").await;
    let plain = place.get(EVENTS).await.ok();
    let batch = [("accept", "application/cloudevents-batch+json")];
    let page =
        answer(place.answer_untaken(get_with("/v1/events?limit=1&type=deposited", &batch)).await).await;
    assert_eq!(page.header("content-type"), Some("application/cloudevents-batch+json"));
    assert_eq!(page.header("link"), Some("<?limit=1&type=deposited&after=1>; rel=\"next\""));
    let page = page.json();
    let first = &page.as_array().unwrap()[0];
    let again = get_with("/v1/events?limit=1&format=cloudevents", &[]);
    let again = answer(place.answer_untaken(again).await).await;
    assert_eq!(again.json(), page);
    let mut listener = Listener::follow(&place, "/v1/events?after=0&format=cloudevents", &[]).await;
    let data = listener.data(2).await;
    assert_eq!(&data[0], first);
    for (event, plain) in data.iter().zip(plain["events"].as_array().unwrap()) {
        check_cloud_event(event);
        assert_eq!(event["id"], plain["event_id"]);
        assert_eq!(event["subject"], plain["stream"]);
        assert_eq!(event["type"], plain["type"]);
        assert_eq!(event["time"], plain["recorded_at"]);
        assert_eq!(event["data"], plain["payload"]);
        assert_eq!(event["dataschema"], "urn:underlay:event:deposited:1");
        assert_eq!(event["streamversion"], plain["version"].to_string());
    }
    assert_eq!((&first["traceparent"], &first["tracestate"]), (&json!(trace), &json!("a=1")));
    assert!(data[1].get("traceparent").is_none());
    assert!(data[0]["sequence"].as_str() < data[1]["sequence"].as_str());
    assert_eq!(data[0]["source"], data[1]["source"]);
}

#[tokio::test]
async fn a_feed_is_a_span_below_its_request_that_ends_with_it_and_says_why() {
    let spans = MemorySpans::new(100);
    let place = Place::recording(&spans);
    let came = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut gone = Listener::follow(&place, "/v1/events?after=0", &[("traceparent", came)]).await;
    let rows = Listener::follow(&place, "/v1/views/balances", &[]).await;
    assert!(spans.recorded().iter().all(|span| !span.name.starts_with("feed")), "they go on");
    place.deposit("cash", "1").await;
    place.deposit("cash", "2").await;
    gone.data(2).await;
    drop((gone, rows));
    let recorded = spans.recorded();
    let of = |name: &str| {
        let named = recorded.iter().rfind(|span| span.name == name);
        named.unwrap_or_else(|| panic!("{name}: {recorded:#?}"))
    };
    let (request, feed) = (of("GET /v1/events"), of("feed events"));
    assert_eq!((feed.kind, feed.parent), (SpanKind::Internal, Some(request.context.span_id)));
    assert_eq!(feed.context.trace_id, TraceContext::parse(came).unwrap().trace_id);
    assert_eq!(feed.attribute("underlay.feed.end"), Some(&SpanValue::from("gone")));
    assert_eq!(feed.attribute("underlay.feed.given"), Some(&SpanValue::Number(2)));
    assert_eq!(feed.failure, None, "a client may go");
    let feed = of("feed balances");
    assert_eq!(feed.attribute("underlay.tenant"), Some(&SpanValue::from("acme")));
    assert_eq!(feed.attribute("underlay.feed.given"), Some(&SpanValue::Number(0)));

    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let mut client = SocketListener::follow(server.address, EVENTS, None).await;
    server.stop.send(()).unwrap();
    while client.event().await.is_some() {}
    server.task.await.unwrap().unwrap();
    let recorded = spans.recorded();
    let last = recorded.iter().rfind(|span| span.name == "feed events").unwrap();
    assert_eq!(last.attribute("underlay.feed.end"), Some(&SpanValue::from("stopping")));
}

/// What CloudEvents 1.0 and its JSON format ask of every event.
fn check_cloud_event(event: &Value) {
    let attributes = event.as_object().unwrap();
    for required in ["id", "source", "specversion", "type"] {
        assert!(attributes[required].as_str().is_some_and(|text| !text.is_empty()), "{required}: {event}");
    }
    assert_eq!(event["specversion"], "1.0");
    for (name, value) in attributes.iter().filter(|(name, _)| *name != "data") {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        assert!(!name.is_empty() && name.len() <= 20 && name.bytes().all(is_name), "{name}");
        // An attribute has a value of its type system: here all are texts without control characters.
        assert!(
            value.as_str().is_some_and(|text| !text.is_empty() && !text.contains(char::is_control)),
            "{name}"
        );
    }
    event["time"].as_str().unwrap().parse::<Timestamp>().unwrap();
    for uri in ["source", "dataschema"] {
        assert!(event[uri].as_str().unwrap().starts_with("urn:underlay:"), "{uri}");
    }
}

#[tokio::test]
async fn a_service_that_ends_tells_its_clients_and_does_not_wait_for_them() {
    let place = Place::new();
    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let mut client = SocketListener::follow(server.address, EVENTS, None).await;
    server.stop.send(()).unwrap();
    let said = client.event().await.unwrap();
    assert_eq!(
        (said.event.as_deref(), &said.data.unwrap()["reason"]),
        (Some("underlay:end"), &json!("stopping"))
    );
    assert_eq!(client.event().await, None);
    // Far below the limit.
    let ended = tokio::time::timeout(Duration::from_secs(5), server.task).await;
    ended.expect("feeds hold the shutdown up").unwrap().unwrap();
}

#[tokio::test]
async fn a_service_that_ends_does_not_first_give_the_rest_of_a_page() {
    const EVENTS_STORED: usize = 12;
    let place = Place::with(|mut config| {
        config.tenant_answer_bytes_max = 40 << 20;
        config
    });
    place.store_big_events("acme", "note-big", EVENTS_STORED).await;
    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let mut client = SocketListener::follow(server.address, "/v1/events?after=0", None).await;
    assert!(client.event().await.unwrap().data.is_some(), "it is given the page, and takes one event of it");
    server.stop.send(()).unwrap();
    // Who accepts nothing any more is stopping.
    while tokio::net::TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let mut taken = 1;
    let reason = loop {
        let said = client.event().await.unwrap();
        if said.event.as_deref() == Some("underlay:end") {
            break said.data.unwrap()["reason"].clone();
        }
        taken += 1;
    };
    assert_eq!(reason, "stopping");
    assert!(taken < EVENTS_STORED, "all of the page came first");
}

/// Many clients on sockets, a server that is cut in the middle, and another one in its stead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_clients_miss_nothing_when_their_server_is_gone() {
    const CLIENTS: usize = 500;
    const BEFORE: usize = 20;
    const ALL: usize = 40;
    let place = Place::with(|config| {
        let mut config = config;
        (config.feed_clients_max, config.tenant_feed_clients_max) = (CLIENTS, CLIENTS);
        config
    });
    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let clients: Vec<_> = {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(SocketListener::follow(server.address, EVENTS, None).await);
        }
        clients
    };
    let until_gone = |mut client: SocketListener| async move {
        let mut taken = Vec::new();
        while let Some(said) = client.event().await {
            if said.event.as_deref() == Some("underlay:end") {
                break;
            }
            taken.push(said.data.unwrap()["version"].as_u64().unwrap());
        }
        (taken, client.blocks.last_id)
    };
    let following: Vec<_> = clients.into_iter().map(|client| tokio::spawn(until_gone(client))).collect();
    for _ in 0..BEFORE {
        place.deposit("cash", "1").await;
    }
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
    for _ in BEFORE..ALL {
        place.deposit("cash", "1").await;
    }
    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let address = server.address;
    let mut resumed = Vec::new();
    for client in following {
        let (taken, last) = client.await.unwrap();
        resumed.push(tokio::spawn(async move {
            let mut client = SocketListener::follow(address, EVENTS, last.as_deref()).await;
            let mut all = taken;
            while all.len() < ALL {
                all.push(client.event().await.unwrap().data.unwrap()["version"].as_u64().unwrap());
            }
            all
        }));
    }
    for client in resumed {
        assert_eq!(client.await.unwrap(), (1..=ALL as u64).collect::<Vec<_>>());
    }
}
