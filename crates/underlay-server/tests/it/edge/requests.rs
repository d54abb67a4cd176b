//! Ids, traces and the end of requests.

use std::future::pending;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use underlay_core::memory::MemorySpans;
use underlay_core::{SpanKind, SpanValue, TraceContext};
use underlay_server::{Credentials, Denied, Principal, ServerConfig};

use crate::place::{Place, get_with, post_with};

const DEPOSIT: &str = "/v1/account/cash/deposit";
const ONE: &str = r#"{"amount":"1"}"#;

#[tokio::test]
async fn every_answer_says_how_its_request_is_called() {
    let place = Place::new();
    let mut drawn = Vec::new();
    for path in ["/", "/livez", "/readyz", "/v1/views", "/v1/events", "/nowhere", "/v1/%zz"] {
        let answer = place.get(path).await;
        drawn.push(answer.header("x-request-id").unwrap().to_owned());
        let answer = place.send(get_with(path, &[("x-request-id", "of-mine:1")])).await;
        assert_eq!(answer.header("x-request-id"), Some("of-mine:1"), "{path}");
    }
    assert!(drawn.iter().all(|id| id.len() == 32), "{drawn:?}");
    let count = drawn.len();
    drawn.sort();
    drawn.dedup();
    assert_eq!(drawn.len(), count);
    let answer = place.send(get_with("/livez", &[("x-request-id", "not well formed")])).await;
    assert_eq!(
        answer.header("x-request-id").map(str::len),
        Some(32),
        "what is not well formed is not repeated"
    );
}

#[tokio::test]
async fn a_problem_names_its_request_and_a_refusal_is_the_same_each_time() {
    let place = Place::new();
    for (path, status, name) in [
        ("/nowhere", 404, "problem:not-found"),
        ("/v1/events?limit=0", 400, "problem:invalid"),
        ("/v1/views/none", 404, "problem:not-found"),
        ("/v1/%zz", 400, "problem:invalid"),
    ] {
        let answer = place.send(get_with(path, &[("x-request-id", "a-1")])).await;
        assert_eq!(answer.problem(status, name)["instance"], "urn:underlay:request:a-1", "{path}");
        let length = answer.header("content-length").map(|length| length.parse::<usize>().unwrap());
        assert_eq!(length, Some(answer.body.len()), "{path}");
    }
    let bug = place.send(post_with("/v1/account/bug/deposit", ONE, &[("x-request-id", "a-2")])).await;
    assert_eq!(bug.problem(500, "problem:failed")["instance"], "urn:underlay:request:a-2");
    let refused = |id| post_with("/v1/account/cash/withdraw", ONE, &[("x-request-id", id)]);
    let first = place.send(refused("a-3")).await;
    assert_eq!((first.status.as_u16(), first.header("x-request-id")), (422, Some("a-3")));
    assert_eq!(first.body, place.send(refused("a-4")).await.body);
}

/// Never says who asks.
struct Silent;

#[async_trait]
impl Credentials for Silent {
    async fn identify(&self, _headers: &HeaderMap) -> Result<Principal, Denied> {
        pending().await
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

#[tokio::test]
async fn a_request_that_does_not_end_is_given_up_and_says_whether_it_may_be_done() {
    let place = Place::with(|config: ServerConfig| {
        let mut config = config.with_credentials(Silent);
        (config.request_wait_max, config.identify_wait_max) =
            (Duration::from_secs(3), Duration::from_secs(60));
        config
    });
    let read = Request::get("/v1/events").body(Body::empty()).unwrap();
    let answer = place.send_while_time_passes(read).await;
    let problem = answer.problem(503, "problem:timed-out");
    assert!(problem["detail"].as_str().unwrap().contains("request_wait_max"), "{problem}");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(problem["instance"].is_string());
    let written = place.send_while_time_passes(post_with(DEPOSIT, ONE, &[])).await;
    let problem = written.problem(500, "problem:timed-out");
    assert!(problem["detail"].as_str().unwrap().contains("GET /v1/commands/{key}"), "{problem}");
    assert_eq!(written.header("retry-after"), None, "nobody may send it again unasked");
}

#[tokio::test]
async fn a_query_waits_for_its_view_for_longer_than_other_requests_may() {
    let place = Place::with(|mut config| {
        config.request_wait_max = Duration::from_secs(1);
        config
    });
    let path = "/v1/views/balances?min_position=1000000&wait=20";
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = place.send_while_time_passes(request).await;
    let problem = answer.problem(503, "problem:unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("1000000"), "{problem}");
}

#[tokio::test]
async fn a_later_version_of_a_trace_context_is_stored_as_the_one_known_here() {
    let place = Place::new();
    let fields = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
    for (given, stored) in [
        (format!("00-{fields}-01"), Some(format!("00-{fields}-01"))),
        (format!("01-{fields}-01-what.comes"), Some(format!("00-{fields}-01"))),
        (format!("00-{fields}-01-what.comes"), None),
    ] {
        place.send(post_with(DEPOSIT, ONE, &[("traceparent", &given)])).await.ok();
        let page = place.get("/v1/streams/account-cash").await.ok();
        let last = page["events"].as_array().unwrap().last().unwrap();
        assert_eq!(last["metadata"]["traceparent"].as_str().map(str::to_owned), stored, "{given}");
    }
}

#[tokio::test]
async fn a_request_is_a_span_below_its_caller_and_what_it_stores_is_below_that() {
    let spans = MemorySpans::new(100);
    let place = Place::recording(&spans);
    let came = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    place.send(post_with(DEPOSIT, ONE, &[("traceparent", came)])).await.ok();
    let recorded = spans.recorded();
    let of = |name: &str| {
        recorded.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{recorded:#?}"))
    };
    let (request, command) = (of("POST /v1/{category}/{id}/{command}"), of("account deposit"));
    let came = TraceContext::parse(came).unwrap();
    assert_eq!((request.kind, request.parent), (SpanKind::Server, Some(came.span_id)));
    assert_eq!(request.attribute("http.response.status_code"), Some(&SpanValue::Number(200)));
    assert_eq!(request.attribute("underlay.tenant"), Some(&SpanValue::from("acme")));
    assert_eq!(command.parent, Some(request.context.span_id));
    assert!(recorded.iter().all(|span| span.context.trace_id == came.trace_id), "{recorded:#?}");
    let page = place.get("/v1/streams/account-cash").await.ok();
    let stored = page["events"][0]["metadata"]["traceparent"].as_str().map(str::to_owned);
    assert_eq!(stored, Some(command.context.to_string()));
}

#[tokio::test]
async fn a_span_names_the_route_and_nothing_of_the_path_or_the_query_and_probes_have_none() {
    let spans = MemorySpans::new(100);
    let place = Place::recording(&spans);
    for path in
        ["/v1/streams/account-5ecre7?after=5ecre7", "/v1/nowhere/5ecre7/at/all", "/links/5ecre7/5ecre7"]
    {
        place.get(path).await;
    }
    let recorded = spans.recorded();
    assert_eq!(recorded.len(), 3, "{recorded:#?}");
    let told = format!("{recorded:?}");
    assert!(!told.contains("5ecre7"), "{told}");
    for probe in ["/livez", "/readyz"] {
        place.get(probe).await;
    }
    assert_eq!(spans.recorded().len(), 3, "probes are many, and say nothing");
}
