//! One trace through the whole program, as a real collector is given it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use servers::{CollectedSpan, Missing, Rotel};

use crate::gateway::{PAID, TestGateway};
use crate::payments::{events, open_purse, wait_for_more};
use crate::program::Ledger;

/// How long anything may take, with a lease that has to run out.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where a caller stands in its own trace.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// Sends a command as a part of the caller's trace.
fn post(address: &str, path: &str, body: &Value) {
    let sent = ureq::post(format!("{address}/v1/{path}"))
        .header("content-type", "application/json")
        .header("traceparent", format!("00-{TRACE}-{CALLER}-01"))
        .send(body.to_string().as_bytes());
    assert!(sent.unwrap().status().is_success());
}

/// Waits until the collector has been given what is wanted.
fn collected(collector: &Rotel, wanted: impl Fn(&[CollectedSpan]) -> bool) -> Vec<CollectedSpan> {
    let begun = Instant::now();
    loop {
        let spans = collector.spans().unwrap();
        if wanted(&spans) {
            return spans;
        }
        assert!(begun.elapsed() < PATIENCE, "{spans:#?}");
        std::thread::yield_now();
    }
}

fn count(spans: &[CollectedSpan], name: &str) -> usize {
    spans.iter().filter(|span| span.name == name).count()
}

/// The names from each span up to the first one of the program, and the id above that.
fn ways_up(spans: &[CollectedSpan]) -> Vec<(Vec<String>, Option<String>)> {
    let by_id: BTreeMap<&str, &CollectedSpan> =
        spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
    let way = |from: &CollectedSpan| {
        let (mut at, mut names) = (from, vec![from.name.clone()]);
        while let Some(parent) = at.parent_id.as_deref().and_then(|id| by_id.get(id)) {
            names.push(parent.name.clone());
            at = parent;
        }
        (names, at.parent_id.clone())
    };
    spans.iter().map(way).collect()
}

#[test]
fn one_trace_leads_from_requests_to_all_that_follows_also_across_a_kill() {
    let collector = match Rotel::start() {
        Ok(collector) => collector,
        Err(error) => return Missing::new("rotel", error).skip_test(),
    };
    let (ledger, gateway) = (Ledger::new(), TestGateway::new());
    let (endpoint, mail) = (collector.endpoint(), ledger.directory.path().join("mail"));
    let mail = format!("folder:{}", mail.display());
    let telling = ["--telemetry-otlp-endpoint", &endpoint, "--gateway-address", &gateway.address];
    let telling = [&telling[..], &["--mail-address", &mail]].concat();

    // Who tells nothing goes first.
    let (serving, address) = ledger.serve();
    open_purse(&address);
    drop(serving);

    // It only answers. Once its spans are sent, it is killed.
    let (serving, address) = ledger.serve_with(&[&telling[..], &["--only", "http"]].concat());
    post(
        &address,
        "payment/p1/pay",
        &json!({"account": "purse", "amount": "10", "commodity": "EUR", "payee": PAID}),
    );
    post(&address, "member/ann/register", &json!({"email": "ann@example.com"}));
    const ROUTE: &str = "POST /v1/{category}/{id}/{command}";
    let before = collected(&collector, |spans| count(spans, ROUTE) == 2);
    assert!(before.iter().all(|span| !span.name.starts_with("input") && !span.name.starts_with("message")));
    drop(serving);

    let (_serving, address) = ledger.serve_with(&telling);
    let begun = Instant::now();
    let has = |kind: &str| events(&address).iter().any(|event| event["type"] == kind);
    while !(has("account-settled") && has("member-link-sent")) {
        assert!(begun.elapsed() < PATIENCE, "{:#?}", events(&address));
        wait_for_more(&address);
    }
    let told = |spans: &[CollectedSpan]| {
        let folds = [("fold members", 2), ("fold balances", 1), ("message member-mail verify-address", 1)];
        folds.iter().all(|(name, least)| count(spans, name) >= *least) && count(spans, "account settle") == 1
    };
    let spans = collected(&collector, told);

    // What was asked without a trace began its own: the looks of this test.
    let spans: Vec<CollectedSpan> = spans.into_iter().filter(|span| span.trace_id == TRACE).collect();
    assert!(spans.iter().all(|span| span.service == "ledger" && span.failure.is_none()), "{spans:#?}");
    let ways = ways_up(&spans);
    for (names, above) in &ways {
        assert_eq!(above.as_deref(), Some(CALLER), "{names:?} hangs in the air");
        assert_eq!(names.last().map(String::as_str), Some(ROUTE), "{names:?}");
    }
    let has_way = |wanted: &[&str]| {
        assert!(ways.iter().any(|(names, _)| names == wanted), "{wanted:?} is not among {ways:#?}");
    };
    has_way(&["load", "payment pay", ROUTE]);
    has_way(&["decide", "payment pay", ROUTE]);
    has_way(&["commit", "payment pay", ROUTE]);
    has_way(&["fold members", "member register", ROUTE]);
    has_way(&["message member-mail verify-address", "member register", ROUTE]);
    let step = ["input payments event", "payment pay", ROUTE];
    has_way(&step);
    has_way(&[&["commit", "account reserve", "command account reserve"][..], &step].concat());

    let charge = spans.iter().find(|span| span.name.starts_with("message charge")).expect("it was charged");
    let passed_on = format!("00-{TRACE}-{}-01", charge.span_id);
    assert_eq!(gateway.traced("main/p1"), Some(passed_on), "the gateway goes on below the charge");
    assert_eq!(charge.kind, "SPAN_KIND_CONSUMER");
    assert_eq!(charge.attributes["underlay.tenant"], "main");
    let request = spans.iter().find(|span| span.name == ROUTE).unwrap();
    assert_eq!(request.kind, "SPAN_KIND_SERVER");
    assert_eq!(request.attributes["http.response.status_code"], "200");
}
