//! Clients that do not take their answers, and what they may hold meanwhile.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use underlay_core::{Clock, SystemClock};
use underlay_server::{ServeLimits, ServerConfig};

use crate::place::{ByHeader, Place, get_with, post_with};
use crate::socket::{Server, ask, connect_narrowly};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// More than a system keeps for a connection.
const BIG: usize = 64 << 20;

/// Bytes that say when they are let go.
struct Told(Vec<u8>, Arc<Notify>);

impl AsRef<[u8]> for Told {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.1.notify_one();
    }
}

/// Serves a big answer that says when it is let go.
async fn serve_big(limits: ServeLimits) -> (Server, Arc<Notify>) {
    let gone = Arc::new(Notify::new());
    let told = gone.clone();
    let big = move || async move { Body::from(Bytes::from_owner(Told(vec![b'x'; BIG], told))) };
    let small = || async { r#"{"small":true}"# };
    let router = Router::new().route("/big", get(big)).route("/small", get(small));
    (Server::start(limits, router).await, gone)
}

async fn ask_for_big(server: &Server) -> TcpStream {
    let mut connection = connect_narrowly(server.address).await;
    connection.write_all(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    connection
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    // What the system keeps for a connection counts as taken, and buys next to nothing at this rate.
    let limits = ServeLimits {
        answer_grace: Duration::from_millis(100),
        answer_rate_min: 1 << 30,
        ..ServeLimits::default()
    };
    let (server, gone) = serve_big(limits).await;
    let mut silent = ask_for_big(&server).await;
    // Others are served meanwhile.
    let mut other = server.connect().await;
    assert!(ask(&mut other, "/small").await.ends_with(r#"{"small":true}"#));
    timeout(LONG, gone.notified()).await.expect("the answer is held for ever");
    let mut rest = Vec::new();
    // The connection was reset, or ends early.
    let _broken = timeout(LONG, silent.read_to_end(&mut rest)).await.expect("the connection is still open");
    assert!(rest.len() < BIG, "{} bytes", rest.len());
}

#[tokio::test]
async fn a_client_that_reads_byte_by_byte_is_cut() {
    // At this rate what is taken buys no time.
    let limits = ServeLimits {
        answer_grace: Duration::from_millis(100),
        answer_rate_min: u64::MAX,
        ..ServeLimits::default()
    };
    let (server, gone) = serve_big(limits).await;
    let mut slow = ask_for_big(&server).await;
    let reading = async {
        while slow.read(&mut [0]).await.is_ok_and(|count| count > 0) {
            tokio::task::yield_now().await;
        }
    };
    let cut = async {
        tokio::select! {
            () = gone.notified() => {}
            () = reading => {}
        }
    };
    timeout(LONG, cut).await.expect("byte by byte it holds the answer");
}

#[tokio::test]
async fn a_client_that_reads_gets_everything() {
    let limits = ServeLimits { answer_grace: Duration::from_secs(5), ..ServeLimits::default() };
    let (server, _gone) = serve_big(limits).await;
    let mut connection = ask_for_big(&server).await;
    let mut left = BIG;
    let mut head = true;
    let mut some = vec![0; 1 << 20];
    while left > 0 {
        let count = timeout(LONG, connection.read(&mut some)).await.unwrap().unwrap();
        assert!(count > 0, "{left} bytes are missing");
        let body = if std::mem::take(&mut head) {
            count - (some[..count].windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4)
        } else {
            count
        };
        left -= body;
    }
}

#[tokio::test]
async fn connections_that_are_idle_or_send_slowly_are_closed() {
    let place = Place::new();
    let limits = ServeLimits { header_wait_max: Duration::from_millis(100), ..ServeLimits::default() };
    let server = Server::start(limits, place.router.clone()).await;
    let mut silent = server.connect().await;
    let mut idle = server.connect().await;
    ask(&mut idle, "/livez").await;
    let mut dripping = server.connect().await;
    // A head that comes byte by byte, faster than the limit each.
    let drip = async {
        for byte in
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x'))
        {
            if dripping.write_all(&[*byte]).await.is_err() {
                return;
            }
            SystemClock.sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, drip).await.expect("a head that drips holds its connection");
    for connection in [&mut silent, &mut idle] {
        let closed = timeout(LONG, connection.read(&mut [0; 16])).await;
        assert_eq!(closed.expect("the connection is still open").unwrap_or(0), 0);
    }
}

/// A body that arrives byte by byte has until `body_wait_max`, however many bytes arrive.
#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let place = Place::new();
    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let mut connection = server.connect().await;
    let head = b"POST /v1/account/cash/deposit HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";
    connection.write_all(head).await.unwrap();
    let (mut read, mut write) = connection.into_split();
    let drip = async {
        loop {
            place.clock.advance(Duration::from_millis(100));
            if write.write_all(b" ").await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut answer = [0; 12];
    let read = async {
        read.read_exact(&mut answer).await.unwrap();
    };
    let ended = async {
        tokio::select! {
            () = read => {}
            () = drip => {}
        }
    };
    timeout(LONG, ended).await.expect("a body that drips holds its connection");
    assert_eq!(&answer, b"HTTP/1.1 408");
}

/// A body nobody asked for is not waited for.
#[tokio::test]
async fn a_body_that_is_not_read_does_not_hold_the_connection() {
    let place = Place::new();
    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let mut connection = server.connect().await;
    let head = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n ";
    connection.write_all(head).await.unwrap();
    let mut answer = Vec::new();
    let _ended =
        timeout(LONG, connection.read_to_end(&mut answer)).await.expect("the connection is still open");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

const ACME: [(&str, &str); 1] = [("authorization", "Bearer acme")];
const ZETA: [(&str, &str); 1] = [("authorization", "Bearer zeta")];
const BIG_STREAM: &str = "/v1/streams/note-big?limit=16";
const ONE: &str = r#"{"amount":"1"}"#;

/// A service of many tenants, of whom acme has a page that no connection takes at once.
async fn bounded(configure: impl FnOnce(ServerConfig) -> ServerConfig) -> Place {
    let place = Place::with(|config| {
        let mut config = config.with_credentials(ByHeader);
        config.page_bytes_max = usize::MAX;
        configure(config)
    });
    place.store_big_events("acme", "note-big", 16).await;
    place
}

#[tokio::test]
async fn answers_that_are_not_taken_are_held_against_their_tenant_alone() {
    let place = bounded(|mut config| {
        config.tenant_answer_bytes_max = 10 << 20;
        config
    })
    .await;
    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let mut unread = connect_narrowly(server.address).await;
    let request =
        format!("GET {BIG_STREAM} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer acme\r\n\r\n");
    unread.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    unread.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");

    for request in [get_with(BIG_STREAM, &ACME), post_with("/v1/account/cash/deposit", ONE, &ACME)] {
        let answer = place.send(request).await;
        let problem = answer.problem(429, "problem:too-many-requests");
        assert!(problem["detail"].as_str().unwrap().contains("tenant_answer_bytes_max"), "{problem}");
        assert!(answer.header("retry-after").is_some());
        assert_eq!(answer.header("connection"), Some("close"));
    }
    place.send(post_with("/v1/account/cash/deposit", ONE, &ZETA)).await.ok();
    place.send(get_with("/v1/events", &ZETA)).await.ok();

    // Whoever goes away gives it back, and nothing was done of what was refused.
    drop(unread);
    let again = async {
        while place.send(get_with("/v1/events?limit=1", &ACME)).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, again).await.expect("what was dropped is held for ever");
    place.send(get_with("/v1/streams/account-cash", &ACME)).await.problem(404, "problem:not-found");
}

#[tokio::test]
async fn an_answer_is_held_until_it_was_taken() {
    let place = bounded(|mut config| {
        config.tenant_answer_bytes_max = 10 << 20;
        config
    })
    .await;
    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let mut connection = connect_narrowly(server.address).await;
    let request = format!(
        "GET {BIG_STREAM} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer acme\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    // Half of it is taken: the whole is still held.
    let mut half = vec![0; 6 << 20];
    timeout(LONG, connection.read_exact(&mut half)).await.unwrap().unwrap();
    place.send(get_with("/v1/events", &ACME)).await.problem(429, "problem:too-many-requests");
    let mut rest = Vec::new();
    timeout(LONG, connection.read_to_end(&mut rest)).await.unwrap().unwrap();
    place.send(get_with("/v1/events?limit=1", &ACME)).await.ok();
}

#[tokio::test]
async fn an_answer_that_is_read_and_finds_no_room_is_refused_and_a_command_is_not() {
    let place = bounded(|mut config| {
        config.tenant_answer_bytes_max = 500;
        config
    })
    .await;
    let deposit = || post_with("/v1/account/cash/deposit", ONE, &ACME);
    // Where nothing else is held, every answer fits.
    place.send(get_with(BIG_STREAM, &ACME)).await.ok();
    let held = place.answer_untaken(deposit()).await;
    place.send(get_with(BIG_STREAM, &ACME)).await.problem(429, "problem:too-many-requests");
    // A second command was let in, so it is answered, whatever it takes.
    let more = place.answer_untaken(deposit()).await;
    assert_eq!(more.status(), 200);
    place.send(deposit()).await.problem(429, "problem:too-many-requests");
    drop((held, more));
    let page = place.send(get_with("/v1/streams/account-cash", &ACME)).await.ok();
    assert_eq!(page["version"], 2, "the third was not done");
}

#[tokio::test]
async fn requests_in_progress_are_counted_by_tenant_and_in_all() {
    let place = Place::with(|config| {
        let mut config = config.with_credentials(ByHeader);
        config.tenant_requests_max = 2;
        config.requests_max = 3;
        config
    });
    let limit_of = |answer: crate::place::Answer| {
        let is_tenants = answer.status == 429;
        let told = if is_tenants { "problem:too-many-requests" } else { "problem:overloaded" };
        let problem = answer.problem(if is_tenants { 429 } else { 503 }, told);
        assert!(answer.header("retry-after").is_some());
        let detail = problem["detail"].as_str().unwrap().to_owned();
        assert_eq!(detail.contains(" tenant_"), is_tenants, "{detail}");
        detail
    };
    let events = |who| get_with("/v1/events?limit=1", who);
    let first = place.answer_untaken(events(&ACME)).await;
    let second = place.answer_untaken(events(&ACME)).await;
    assert!(limit_of(place.send(events(&ACME)).await).contains("tenant_requests_max = 2"));
    place.send(events(&ZETA)).await.ok();
    let third = place.answer_untaken(events(&ZETA)).await;
    assert!(limit_of(place.send(events(&ZETA)).await).contains(" requests_max = 3"));
    // Who is at both hears of the bound that is theirs.
    assert!(limit_of(place.send(events(&ACME)).await).contains("tenant_requests_max = 2"));
    // Whether the process answers is told all the same.
    place.get("/livez").await.ok();
    drop(first);
    place.send(events(&ACME)).await.ok();
    drop((second, third));
    place.send(events(&ZETA)).await.ok();
}

#[tokio::test]
async fn a_request_that_fails_or_is_given_up_gives_its_place_back() {
    let place = Place::with(|config| {
        let mut config = config.with_credentials(ByHeader);
        config.tenant_requests_max = 1;
        config
    });
    for _ in 0..3 {
        place.send(post_with("/v1/account/bug/deposit", ONE, &ACME)).await.problem(500, "problem:failed");
        place.send(get_with("/v1/streams/account-none", &ACME)).await.problem(404, "problem:not-found");
        place.send(get_with("/v1/events?limit=0", &ACME)).await.invalid();
        // Given up while it waits.
        let waits = get_with("/v1/views/balances/cash?min_position=1000000", &ACME);
        let given_up = timeout(Duration::from_millis(10), place.send(waits)).await;
        assert!(given_up.is_err());
    }
    place.send(get_with("/v1/events?limit=1", &ACME)).await.ok();
}
