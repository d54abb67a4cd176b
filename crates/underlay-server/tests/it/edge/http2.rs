//! HTTP/2 on the port of HTTP/1.1, and clients that misuse it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::routing::get;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use hyper::{Method, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use underlay_server::ServeLimits;

use crate::place::Place;
use crate::socket::{Server, ask};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// More than a window of a stream.
const BIG: usize = 8 << 20;
/// What a client of HTTP/2 begins with: the preface and settings of which none is set.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

type Client = (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>);

async fn client(address: SocketAddr) -> Client {
    let socket = TcpStream::connect(address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    // As a proxy has it: a stream that is left does not use up what all of them share.
    builder.initial_connection_window_size(16 << 20);
    let (requests, connection): (_, Connection<TcpStream>) = builder.handshake(socket).await.unwrap();
    (requests, tokio::spawn(connection))
}

fn request(path: &str) -> Request<()> {
    Request::builder().method(Method::GET).uri(format!("http://localhost{path}")).body(()).unwrap()
}

async fn begin(requests: &SendRequest<Bytes>, request: Request<()>) -> Result<ResponseFuture, h2::Error> {
    let mut ready = requests.clone().ready().await?;
    ready.send_request(request, true).map(|(response, _)| response)
}

async fn text(response: Response<RecvStream>) -> (u16, String) {
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(bytes) = body.data().await {
        let bytes = bytes.unwrap();
        body.flow_control().release_capacity(bytes.len()).unwrap();
        text.extend_from_slice(&bytes);
    }
    (status, String::from_utf8(text).unwrap())
}

async fn answer(requests: &SendRequest<Bytes>, path: &str) -> (u16, String) {
    let response = begin(requests, request(path)).await.unwrap().await.unwrap();
    text(response).await
}

/// Handlers that say that they were begun, and end when they are let go.
fn slow() -> (Router, Arc<(Notify, Notify)>) {
    let signals = Arc::new((Notify::new(), Notify::new()));
    let handler = async |State(signals): State<Arc<(Notify, Notify)>>| {
        signals.0.notify_one();
        signals.1.notified().await;
        "done"
    };
    let router = Router::new().route("/slow", get(handler)).route("/fast", get(async || "fast"));
    (router.with_state(signals.clone()), signals)
}

#[tokio::test]
async fn both_protocols_are_spoken_on_one_port() {
    let place = Place::new();
    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let (requests, _connection) = client(server.address).await;
    let both = tokio::join!(answer(&requests, "/livez"), answer(&requests, "/v1/views"));
    assert_eq!(both.0, (200, r#"{"status":"live"}"#.to_owned()));
    assert!(both.1.0 == 200 && both.1.1.starts_with(r#"{"views":["#), "{both:?}");
    let mut old = server.connect().await;
    assert!(ask(&mut old, "/livez").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_request_is_for_the_host_that_its_target_names() {
    let place = Place::with(|config| config.with_host_allowed("bank.example"));
    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let (requests, _connection) = client(server.address).await;
    let asked = |uri: &str| Request::builder().method(Method::GET).uri(uri).body(()).unwrap();
    for (uri, host, wanted) in [
        ("http://bank.example/console/start", None, 200),
        ("http://evil.example/console/start", None, 421),
        ("http://bank.example/console/start", Some("evil.example"), 421),
        ("http://evil.example/console/start", Some("bank.example"), 421),
    ] {
        let mut asked = asked(uri);
        asked.headers_mut().extend(host.map(|host| (hyper::header::HOST, host.parse().unwrap())));
        let response = begin(&requests, asked).await.unwrap().await.unwrap();
        let (status, body) = text(response).await;
        assert_eq!(status, wanted, "{uri} {host:?}: {body}");
        assert!(status != 200 || body.contains("http://bank.example/v1/"), "what is copied works");
    }
}

#[tokio::test]
async fn a_client_that_says_too_little_is_closed() {
    let limits = ServeLimits { header_wait_max: Duration::from_millis(50), ..ServeLimits::default() };
    let server = Server::start(limits, slow().0).await;
    // Headers of stream 1 without their end.
    let unfinished = [HELLO, b"\0\0\x01\x01\x01\0\0\0\x01\x82"].concat();
    for said in [b"".as_slice(), &HELLO[..10], HELLO, &unfinished] {
        let mut connection = server.connect().await;
        connection.write_all(said).await.unwrap();
        let mut rest = Vec::new();
        let closed = timeout(LONG, connection.read_to_end(&mut rest)).await;
        let _how = closed.unwrap_or_else(|_| panic!("{said:?} holds a connection for ever"));
    }
}

#[tokio::test]
async fn a_request_in_progress_keeps_its_connection_and_an_idle_one_ends() {
    let limits = ServeLimits { header_wait_max: Duration::from_millis(50), ..ServeLimits::default() };
    let (router, signals) = slow();
    let server = Server::start(limits, router).await;
    let (requests, connection) = client(server.address).await;
    let waiting = begin(&requests, request("/slow")).await.unwrap();
    signals.0.notified().await;
    // Another connection comes and is idle for as long as is allowed, while this one is not.
    let (_idle, ended) = client(server.address).await;
    timeout(LONG, ended).await.expect("an idle connection stays").unwrap().ok();
    signals.1.notify_one();
    assert_eq!(text(waiting.await.unwrap()).await, (200, "done".to_owned()));
    drop(requests);
    timeout(LONG, connection).await.unwrap().unwrap().ok();
}

#[tokio::test]
async fn no_more_streams_go_on_than_may() {
    let limits = ServeLimits { http2_streams_max: 2, ..ServeLimits::default() };
    let (router, signals) = slow();
    let server = Server::start(limits, router).await;
    let (requests, _connection) = client(server.address).await;
    // A client that knows the limit keeps to it.
    let first = begin(&requests, request("/slow")).await.unwrap();
    signals.0.notified().await;
    let second = begin(&requests, request("/slow")).await.unwrap();
    signals.0.notified().await;
    let mut third = Box::pin(answer(&requests, "/fast"));
    let early = timeout(Duration::from_millis(50), third.as_mut()).await;
    assert!(early.is_err(), "a third stream goes on beside two");
    signals.1.notify_one();
    assert_eq!(timeout(LONG, third).await.unwrap().0, 200);
    signals.1.notify_one();
    for stream in [first, second] {
        assert_eq!(text(stream.await.unwrap()).await.0, 200);
    }
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let server = Server::start(ServeLimits::default(), slow().0).await;
    let (requests, _connection) = client(server.address).await;
    let mut wide = request("/fast");
    for number in 0..40 {
        let name: hyper::header::HeaderName = format!("x-{number}").parse().unwrap();
        wide.headers_mut().insert(name, "x".repeat(4 << 10).parse().unwrap());
    }
    let refused = async { Ok::<_, h2::Error>(begin(&requests, wide).await?.await?.status().as_u16()) };
    let refused = timeout(LONG, refused).await.expect("headers without end are read");
    assert!(refused.as_ref().map_or(true, |status| *status == 431), "{refused:?}");
    let (requests, _connection) = client(server.address).await;
    assert_eq!(answer(&requests, "/fast").await.0, 200, "others are served");
}

#[tokio::test]
async fn a_client_that_resets_what_it_asks_is_cut_off() {
    let (router, signals) = slow();
    let server = Server::start(ServeLimits::default(), router).await;
    let (requests, connection) = client(server.address).await;
    let mut asked = 0;
    let flood = async {
        loop {
            let Ok(mut ready) = requests.clone().ready().await else { return };
            let Ok((_, mut stream)) = ready.send_request(request("/slow"), false) else { return };
            asked += 1;
            signals.0.notified().await;
            stream.send_reset(Reason::CANCEL);
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::select! {
        () = flood => true,
        ended = timeout(LONG, connection) => ended.is_ok(),
    };
    assert!(ended, "a client resets {asked} requests, and goes on");
    assert!((50..400).contains(&asked), "cut off after {asked}");
    let (requests, _connection) = client(server.address).await;
    assert_eq!(answer(&requests, "/fast").await.0, 200, "others are served");
}

#[tokio::test]
async fn a_client_that_resets_before_it_is_heard_is_cut_off() {
    let server = Server::start(ServeLimits::default(), slow().0).await;
    let mut connection = server.connect().await;
    // GET /, scheme and path of the static table; each is reset in the same write.
    let mut flood = HELLO.to_vec();
    for number in 0..1_000_u32 {
        let id = (2 * number + 1).to_be_bytes();
        flood.extend([b"\0\0\x03\x01\x05".as_slice(), &id, b"\x82\x86\x84"].concat());
        flood.extend([b"\0\0\x04\x03\0".as_slice(), &id, b"\0\0\0\x08"].concat());
    }
    connection.write_all(&flood).await.ok();
    let mut told = Vec::new();
    let closed = timeout(LONG, connection.read_to_end(&mut told)).await;
    let _how = closed.expect("a flood of resets holds the connection");
    let (requests, _connection) = client(server.address).await;
    assert_eq!(answer(&requests, "/fast").await.0, 200, "others are served");
}

/// Bytes that say when they are let go.
struct Told(Arc<Notify>);

impl AsRef<[u8]> for Told {
    fn as_ref(&self) -> &[u8] {
        const BYTES: &[u8] = &[b'x'; BIG];
        BYTES
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn big() -> (Router, Arc<Notify>) {
    let gone = Arc::new(Notify::new());
    let told = gone.clone();
    let big = move || async move { Body::from(Bytes::from_owner(Told(told))) };
    (Router::new().route("/big", get(big)).route("/fast", get(async || "fast")), gone)
}

#[tokio::test]
async fn a_stream_whose_answer_is_left_is_reset_and_the_others_go_on() {
    let limits = ServeLimits {
        answer_grace: Duration::from_millis(100),
        answer_rate_min: 1 << 30,
        ..ServeLimits::default()
    };
    let (router, gone) = big();
    let server = Server::start(limits, router).await;
    let (requests, _connection) = client(server.address).await;
    // Its window is never opened again.
    let mut left = begin(&requests, request("/big")).await.unwrap().await.unwrap().into_body();
    assert_eq!(answer(&requests, "/fast").await.0, 200);
    timeout(LONG, gone.notified()).await.expect("an answer that nobody takes is held for ever");
    let end = async {
        loop {
            match left.data().await {
                Some(Ok(_)) => {}
                ended => return ended,
            }
        }
    };
    let ended = timeout(LONG, end).await.expect("the stream stays open");
    let reason = ended.and_then(Result::err).and_then(|error| error.reason());
    assert_eq!(reason, Some(Reason::CANCEL));
    assert_eq!(answer(&requests, "/fast").await.0, 200, "the connection goes on");
}

#[tokio::test]
async fn a_feed_whose_stream_is_shut_gives_its_place_back() {
    let place = Place::with(|mut config| {
        config.feed_clients_max = 1;
        config
    });
    let limits = ServeLimits { answer_grace: Duration::from_millis(100), ..ServeLimits::default() };
    let server = Server::start(limits, place.router.clone()).await;
    let follow = || {
        let mut follow = request("/v1/events?after=0");
        follow.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
        follow
    };
    // The client takes nothing of its streams, and the connection goes on.
    let socket = TcpStream::connect(server.address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let (requests, connection): (_, Connection<TcpStream>) = builder.handshake(socket).await.unwrap();
    let _connection = tokio::spawn(connection);
    let mut shut = begin(&requests, follow()).await.unwrap().await.unwrap().into_body();
    let (others, _goes_on) = client(server.address).await;
    let refused = begin(&others, follow()).await.unwrap().await.unwrap();
    assert_eq!(refused.status(), 503, "it has the one place");
    let ended = timeout(LONG, shut.data()).await.expect("the feed is held for ever").unwrap();
    assert_eq!(ended.unwrap_err().reason(), Some(Reason::CANCEL));
    let admitted = begin(&others, follow()).await.unwrap().await.unwrap();
    assert_eq!(admitted.status(), 200);
}

#[tokio::test]
async fn a_client_that_takes_its_answer_gets_it_whole() {
    let (router, gone) = big();
    let server = Server::start(ServeLimits::default(), router).await;
    let (requests, _connection) = client(server.address).await;
    let (status, body) = timeout(LONG, answer(&requests, "/big")).await.unwrap();
    assert_eq!((status, body.len()), (200, BIG));
    timeout(LONG, gone.notified()).await.expect("what was taken is held");
}

#[tokio::test]
async fn a_stop_lets_streams_finish_and_closes_the_rest() {
    let (router, signals) = slow();
    let server = Server::start(ServeLimits::default(), router).await;
    let (requests, connection) = client(server.address).await;
    let waiting = begin(&requests, request("/slow")).await.unwrap();
    signals.0.notified().await;
    let (_idle, idle) = client(server.address).await;
    server.stop.send(()).unwrap();
    timeout(LONG, idle).await.expect("an idle connection holds the end up").unwrap().unwrap();
    signals.1.notify_one();
    assert_eq!(text(waiting.await.unwrap()).await, (200, "done".to_owned()));
    timeout(LONG, connection).await.unwrap().unwrap().unwrap();
    timeout(LONG, server.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn who_does_not_hear_that_the_connection_ends_does_not_hold_the_place() {
    let limits = ServeLimits { connections_max: 1, ..ServeLimits::default() };
    let server = Server::start(limits, slow().0).await;
    // It is told to end, and answers nothing.
    let mut deaf = server.connect().await;
    deaf.write_all(HELLO).await.unwrap();
    let (requests, _connection) = timeout(LONG, client(server.address)).await.unwrap();
    let served = timeout(LONG, answer(&requests, "/fast")).await;
    assert_eq!(served.expect("a place is held by who does not answer").0, 200);
}
