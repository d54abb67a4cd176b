use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use underlay_core::{Checkpoint, CheckpointRefused, CommitId, Error, StoreId};
use uuid::Uuid;

use crate::place::{Place, json_request, post, post_with, tenant};

const DEPOSIT: &str = "/v1/account/cash/deposit";
const ONE: &str = r#"{"amount":"1"}"#;

#[tokio::test]
async fn a_store_that_is_full_says_when_to_come_back() {
    let place = Place::new();
    const FULL: &str = "the commit queue is full (queue_items_max = 1)";
    place.store.fail(|| Error::overloaded(FULL, std::time::Duration::from_secs(7)));
    let answer = place.post(DEPOSIT, ONE).await;
    let problem = answer.problem(503, "problem:overloaded");
    assert!(problem["detail"].as_str().unwrap().contains("queue_items_max"));
    assert_eq!(answer.header("retry-after"), Some("7"));
}

#[tokio::test]
async fn an_uncertain_end_is_nothing_that_a_proxy_sends_again() {
    let place = Place::new();
    let id = CommitId::from_key(&tenant("acme"), "k");
    place.store.fail(move || Error::Uncertain { id, reason: "the connection was lost".into() });
    for path in [DEPOSIT, "/v1/operations/transfer"] {
        let body = if path == DEPOSIT { ONE } else { r#"{"from":"a","to":"b","amount":"0"}"# };
        // Nobody could find out by sending it again without a key: it would be another command.
        let keyless = place.post(path, body).await;
        let keyed = place.send(post_with(path, body, &[("idempotency-key", "k")])).await;
        for answer in [&keyless, &keyed] {
            let problem = answer.problem(500, "problem:uncertain");
            assert_eq!(problem["command_id"], id.to_string());
            assert_eq!(problem["command"], format!("/v1/commands/{id}"), "where its end can be asked for");
            assert!(problem["detail"].as_str().unwrap().contains(&format!("GET /v1/commands/{id}")));
        }
        assert_eq!(keyless.header("retry-after"), None, "{path}");
        assert!(keyed.header("retry-after").is_some(), "{path}");
    }
}

#[tokio::test]
async fn where_an_uncertain_end_is_asked_for_the_command_is_found() {
    let place = Place::new();
    let stored = place.post(DEPOSIT, ONE).await.ok();
    let id: CommitId = serde_json::from_value(stored["command_id"].clone()).unwrap();
    place.store.fail(move || Error::Uncertain { id, reason: "the connection was lost".into() });
    let problem = place.post(DEPOSIT, ONE).await.problem(500, "problem:uncertain");
    let found = place.get(problem["command"].as_str().unwrap()).await.ok();
    assert_eq!(found["status"], "processed");
}

/// Where a store finds after a lost answer that a commit is there, its events still have to be read.
#[tokio::test]
async fn a_keyless_command_that_is_stored_is_never_said_to_be_undone() {
    let place = Place::new();
    place.store.find_after_a_lost_answer();
    place.store.fail_reads_after_commit(|| Error::unavailable("no connection"));
    let keyless = place.post(DEPOSIT, ONE).await;
    let problem = keyless.problem(500, "problem:uncertain");
    assert_eq!(keyless.header("retry-after"), None);
    place.store.mend_reads();
    let found = place.get(problem["command"].as_str().unwrap()).await.ok();
    assert_eq!(found["status"], "processed", "it was stored");
}

#[tokio::test]
async fn what_a_store_says_stays_inside() {
    const SECRET: &str = "hunter2";
    // Conflicts, ids, wrong input and what is not there speak of the request; every other variant is
    // between the service and its store.
    let errors: [fn() -> Error; 11] = [
        || Error::Uncertain { id: CommitId::draw(), reason: SECRET.into() },
        || Error::unavailable(SECRET),
        || Error::overloaded(format!("connections_max = 8 at {SECRET}"), Duration::from_secs(2)),
        || Error::overloaded(SECRET, Duration::from_secs(2)),
        || Error::Denied(SECRET.into()),
        || Error::Damaged(SECRET.into()),
        || Error::backend(SECRET, SECRET),
        || Error::ViewChanged { view: "balances".into(), reason: SECRET.into() },
        || Error::CheckpointMoved { owner: SECRET.into() },
        || Error::LeaseLost { name: SECRET.into(), term: 7 },
        || {
            Error::CheckpointRefused(Box::new(CheckpointRefused {
                owner: SECRET.into(),
                checkpoint: Checkpoint::start(StoreId(Uuid::nil())),
                reason: SECRET.into(),
                repair: SECRET.into(),
            }))
        },
    ];
    let place = Place::new();
    for fault in errors {
        place.store.fail(fault);
        place.store.fail_reads(fault);
        let mut answers = Vec::new();
        for path in ["/v1/events", "/v1/streams/account-cash", "/v1/commands/k", "/readyz", "/", "/v1/views"]
        {
            answers.push(place.get(path).await);
        }
        answers.push(place.post(DEPOSIT, ONE).await);
        place.store.mend_reads();
        answers.push(place.post(DEPOSIT, ONE).await);
        for answer in answers {
            let headers = format!("{:?}", answer.headers);
            assert!(!answer.text().contains(SECRET) && !headers.contains(SECRET), "{}", answer.text());
        }
    }
    place.store.fail(errors[2]);
    let problem = place.post(DEPOSIT, ONE).await.problem(503, "problem:overloaded");
    assert!(problem["detail"].as_str().unwrap().contains("connections_max = 8"), "{problem}");
}

#[tokio::test]
async fn what_a_backend_says_is_not_passed_on() {
    let place = Place::new();
    place.store.fail(|| Error::backend("writing /var/lib/bank.db", "disk I/O error 522"));
    let answer = place.post(DEPOSIT, ONE).await;
    answer.problem(500, "problem:failed");
    assert!(!answer.text().contains("bank.db") && !answer.text().contains("disk"), "{}", answer.text());
}

#[tokio::test]
async fn a_panic_fails_one_request_and_no_other() {
    let place = Place::new();
    place.post("/v1/account/bug/deposit", ONE).await.problem(500, "problem:failed");
    place.post(DEPOSIT, ONE).await.ok();
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let place = Place::with(|mut config| {
        config.body_bytes_max = 64;
        config
    });
    let fits = format!("{ONE}{}", " ".repeat(64 - ONE.len()));
    place.post(DEPOSIT, &fits).await.ok();
    let answer = place.post(DEPOSIT, &format!("{fits} ")).await;
    let problem = answer.problem(413, "problem:too-large");
    assert!(problem["detail"].as_str().unwrap().contains("body_bytes_max = 64"));
    // What is announced is not waited for.
    let announced = Body::new(Never { announced: 65 });
    let request = json_request(DEPOSIT).body(announced).unwrap();
    place.send(request).await.problem(413, "problem:too-large");
    // Without a length in the head, the bytes are counted.
    let unsized_body = Body::new(Chunks(vec![Bytes::from(vec![b' '; 40]); 2]));
    let request = json_request(DEPOSIT).body(unsized_body).unwrap();
    place.send(request).await.problem(413, "problem:too-large");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let place = Place::new();
    let request = json_request(DEPOSIT).body(Body::new(Never { announced: 64 })).unwrap();
    let answer = place.send_while_time_passes(request).await;
    let problem = answer.problem(408, "problem:too-slow");
    assert!(problem["detail"].as_str().unwrap().contains("body_wait_max"));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_a_command() {
    let place = Place::new();
    let request = json_request(DEPOSIT).body(Body::new(BreaksOff)).unwrap();
    assert!(place.send(request).await.invalid().contains("broke off"));
    assert_eq!(place.get("/v1/streams/account-cash").await.status, 404);
}

#[tokio::test]
async fn an_address_or_method_that_is_not_there_is_a_problem() {
    let place = Place::new();
    for path in ["/v1", "/v1/", "/v2/events", "/v1/views/balances/", "/v1/account", "/favicon.ico", "//"] {
        place.get(path).await.problem(404, "problem:not-found");
    }
    for (path, allow) in [("/v1/events", "GET,HEAD"), ("/", "GET,HEAD"), ("/v1/views/balances/k", "GET,HEAD")]
    {
        let answer = place.send(post(path, ONE)).await;
        answer.problem(405, "problem:method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{path}");
    }
    let answer = place.get(DEPOSIT).await;
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
