//! Over a socket.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use underlay_server::ServeLimits;

use crate::place::Place;
use crate::socket::{Server, ask, read_answer};

/// A router whose one handler says that it was begun and ends when it is let go.
fn slow() -> (Router, std::sync::Arc<(Notify, Notify)>) {
    let signals = std::sync::Arc::new((Notify::new(), Notify::new()));
    let handler = async |State(signals): State<std::sync::Arc<(Notify, Notify)>>| {
        signals.0.notify_one();
        signals.1.notified().await;
        r#"{"done":true}"#
    };
    (Router::new().route("/slow", get(handler)).with_state(signals.clone()), signals)
}

#[tokio::test]
async fn a_shutdown_closes_idle_connections_and_ends() {
    let place = Place::new();
    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let mut idle = server.connect().await;
    let answer = ask(&mut idle, "/livez").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with(r#"{"status":"live"}"#), "{answer}");
    let mut silent = server.connect().await;
    server.stop.send(()).unwrap();
    // Far below the limit: neither connection is waited for.
    let ended = tokio::time::timeout(Duration::from_secs(5), server.task).await;
    ended.expect("idle connections hold the shutdown up").unwrap().unwrap();
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0, "the connection is closed");
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0, "the connection is closed");
    TcpStream::connect(server.address).await.unwrap_err();
}

#[tokio::test]
async fn a_shutdown_lets_a_request_finish() {
    let (router, signals) = slow();
    let server = Server::start(ServeLimits::default(), router).await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    signals.0.notified().await;
    server.stop.send(()).unwrap();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    signals.1.notify_one();
    let answer = read_answer(&mut connection).await;
    assert!(answer.ends_with(r#"{"done":true}"#), "{answer}");
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_at_the_limit() {
    let (router, signals) = slow();
    let limits = ServeLimits { shutdown_wait_max: Duration::from_millis(50), ..ServeLimits::default() };
    let server = Server::start(limits, router).await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    signals.0.notified().await;
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
    assert_eq!(connection.read(&mut [0; 16]).await.unwrap_or(0), 0, "the connection is cut");
}

#[tokio::test]
async fn a_head_that_does_not_arrive_ends_the_connection() {
    let place = Place::new();
    let limits = ServeLimits { header_wait_max: Duration::from_millis(50), ..ServeLimits::default() };
    let server = Server::start(limits, place.router.clone()).await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET /livez HTTP/1.1\r\nHo").await.unwrap();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), connection.read_to_end(&mut rest)).await;
    // The other side closes, with or without a word.
    closed.expect("the limit does not hold").unwrap_or(0);
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_their_turn() {
    let (router, signals) = slow();
    let limits = ServeLimits { connections_max: 1, ..ServeLimits::default() };
    let server = Server::start(limits, router).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    second.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    signals.0.notified().await;
    let early = tokio::time::timeout(Duration::from_millis(50), signals.0.notified()).await;
    assert!(early.is_err(), "the second is not served beside the first");
    signals.1.notify_one();
    read_answer(&mut first).await;
    signals.0.notified().await;
    signals.1.notify_one();
    read_answer(&mut second).await;
}

#[tokio::test]
async fn connections_that_ask_for_nothing_give_way() {
    let place = Place::new();
    let limits = ServeLimits { connections_max: 2, ..ServeLimits::default() };
    let server = Server::start(limits, place.router.clone()).await;
    let mut idle = server.connect().await;
    ask(&mut idle, "/livez").await;
    let _silent = server.connect().await;
    // Far below the limit of idle time, one after another is served, and the last ones stay.
    let mut last = Vec::new();
    for _ in 0..5 {
        let mut next = server.connect().await;
        let answer = tokio::time::timeout(Duration::from_secs(5), ask(&mut next, "/livez")).await;
        assert!(answer.expect("idle connections keep others out").starts_with("HTTP/1.1 200"));
        last.push(next);
    }
    assert_eq!(idle.read(&mut [0; 16]).await.unwrap_or(0), 0, "the oldest was closed");
    let answer = ask(last.last_mut().unwrap(), "/livez").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "the newest was not");
}
