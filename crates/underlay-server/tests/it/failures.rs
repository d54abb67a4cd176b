use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use underlay_core::{CommitId, Error};

use crate::site::{Site, json_request, post, post_with, tenant};

const DEPOSIT: &str = "/v1/account/cash/deposit";
const ONE: &str = r#"{"amount":"1"}"#;

#[tokio::test]
async fn a_store_that_is_full_says_when_to_come_back() {
    let site = Site::new();
    const FULL: &str = "the commit queue is full (queue_items_max = 1)";
    site.store.fail(|| Error::overloaded(FULL, std::time::Duration::from_secs(7)));
    let answer = site.post(DEPOSIT, ONE).await;
    let problem = answer.problem(503, "problem:overloaded");
    assert!(problem["detail"].as_str().unwrap().contains("queue_items_max"));
    assert_eq!(answer.header("retry-after"), Some("7"));
}

#[tokio::test]
async fn an_uncertain_end_names_the_command() {
    let site = Site::new();
    let id = CommitId::from_key(&tenant("acme"), "k");
    site.store.fail(move || Error::Uncertain { id, reason: "the connection was lost".into() });
    let answer = site.send(post_with(DEPOSIT, ONE, &[("idempotency-key", "k")])).await;
    let problem = answer.problem(503, "problem:uncertain");
    assert_eq!(problem["command_id"], id.to_string());
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn what_a_backend_says_is_not_passed_on() {
    let site = Site::new();
    site.store.fail(|| Error::backend("writing /var/lib/bank.db", "disk I/O error 522"));
    let answer = site.post(DEPOSIT, ONE).await;
    answer.problem(500, "problem:failed");
    assert!(!answer.text().contains("bank.db") && !answer.text().contains("522"), "{}", answer.text());
}

#[tokio::test]
async fn a_panic_fails_one_request_and_no_other() {
    let site = Site::new();
    site.post("/v1/account/bug/deposit", ONE).await.problem(500, "problem:failed");
    site.post(DEPOSIT, ONE).await.ok();
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let site = Site::with(|mut config| {
        config.body_bytes_max = 64;
        config
    });
    let fits = format!("{ONE}{}", " ".repeat(64 - ONE.len()));
    site.post(DEPOSIT, &fits).await.ok();
    let answer = site.post(DEPOSIT, &format!("{fits} ")).await;
    let problem = answer.problem(413, "problem:too-large");
    assert!(problem["detail"].as_str().unwrap().contains("body_bytes_max = 64"));
    // What is announced is not waited for.
    let announced = Body::new(Never { announced: 65 });
    let request = json_request(DEPOSIT).body(announced).unwrap();
    site.send(request).await.problem(413, "problem:too-large");
    // Without a length in the head, the bytes are counted.
    let unsized_body = Body::new(Chunks(vec![Bytes::from(vec![b' '; 40]); 2]));
    let request = json_request(DEPOSIT).body(unsized_body).unwrap();
    site.send(request).await.problem(413, "problem:too-large");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let site = Site::new();
    let request = json_request(DEPOSIT).body(Body::new(Never { announced: 64 })).unwrap();
    let answer = site.send_while_time_passes(request).await;
    let problem = answer.problem(408, "problem:too-slow");
    assert!(problem["detail"].as_str().unwrap().contains("body_wait_max"));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_a_command() {
    let site = Site::new();
    let request = json_request(DEPOSIT).body(Body::new(BreaksOff)).unwrap();
    assert!(site.send(request).await.invalid().contains("broke off"));
    assert_eq!(site.get("/v1/streams/account-cash").await.status, 404);
}

#[tokio::test]
async fn an_address_or_method_that_is_not_there_is_a_problem() {
    let site = Site::new();
    for path in ["/v1", "/v1/", "/v2/events", "/v1/views/balances/", "/v1/account", "/favicon.ico", "//"] {
        site.get(path).await.problem(404, "problem:not-found");
    }
    for (path, allow) in [("/v1/events", "GET,HEAD"), ("/", "GET,HEAD"), ("/v1/views/balances/k", "GET,HEAD")]
    {
        let answer = site.send(post(path, ONE)).await;
        answer.problem(405, "problem:method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{path}");
    }
    let answer = site.get(DEPOSIT).await;
    answer.problem(405, "problem:method-not-allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
}

/// A body that says no length.
struct Chunks(Vec<Bytes>);

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(self.0.pop().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A body that says its length and does not arrive.
struct Never {
    announced: u64,
}

impl HttpBody for Never {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Pending
    }
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}

struct BreaksOff;

impl HttpBody for BreaksOff {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}
