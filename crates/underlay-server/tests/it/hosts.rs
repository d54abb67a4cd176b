//! A name that resolves to this machine is no permission: pages of other sites can have one (DNS
//! rebinding), and their browser then takes them for this service's own.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use underlay_server::{ServeLimits, ServerConfig};

use crate::place::Place;
use crate::socket::Server;

const BODY: &str = r#"{"amount":"1"}"#;

/// Sends a head as it is, with a command behind it where it is a POST, and reads to the end.
async fn say(server: &Server, head: &[&str]) -> (u16, String) {
    let mut connection = server.connect().await;
    let mut request = head.join("\r\n") + "\r\nConnection: close\r\n";
    if head[0].starts_with("POST") {
        request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
    } else {
        request += "\r\n";
    }
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{head:?}: {answer}")), answer)
}

async fn serve(configure: impl FnOnce(ServerConfig) -> ServerConfig) -> (Server, Place) {
    let place = Place::with(configure);
    (Server::start(ServeLimits::default(), place.router.clone()).await, place)
}

const DEPOSIT: &str = "POST /v1/account/cash/deposit HTTP/1.1";

#[tokio::test]
async fn a_page_whose_name_was_bound_anew_is_turned_away() {
    let (server, place) = serve(|config| config).await;
    // What a browser sends for a page of evil.example after the name has changed its address.
    let own = ["Origin: http://evil.example:7070", "Sec-Fetch-Place: same-origin"];
    let (status, answer) = say(&server, &[DEPOSIT, "Host: evil.example:7070", own[0], own[1]]).await;
    assert_eq!(status, 421, "{answer}");
    assert!(answer.contains("urn:underlay:problem:host-not-allowed"), "{answer}");
    assert!(
        answer.contains("hosts_allowed") && answer.contains("--allow-host"),
        "what would allow it: {answer}"
    );
    assert_eq!(place.get("/v1/streams/account-cash").await.status, 404, "nothing was stored");
    // Reading is a leak as well.
    for target in ["/", "/v1/events", "/v1/views", "/v1/nothing", "/%"] {
        let line = format!("GET {target} HTTP/1.1");
        assert_eq!(say(&server, &[&line, "Host: evil.example:7070"]).await.0, 421, "{target}");
    }
}

#[tokio::test]
async fn this_machine_and_addresses_are_served_by_default() {
    let (server, _site) = serve(|config| config).await;
    for host in [
        "localhost",
        "localhost:7070",
        "LocalHost:7070",
        "localhost.:7070",
        "127.0.0.1",
        "127.0.0.1:7070",
        "192.168.1.20:7070",
        "[::1]",
        "[::1]:7070",
        "[fe80::1]:7070",
    ] {
        let host = format!("Host: {host}");
        assert_eq!(say(&server, &["GET /v1/events HTTP/1.1", &host]).await.0, 200, "{host}");
        assert_eq!(say(&server, &[DEPOSIT, &host]).await.0, 200, "{host}");
    }
}

#[tokio::test]
async fn what_only_looks_like_this_machine_is_not() {
    let (server, _site) = serve(|config| config).await;
    for host in [
        "localhost.evil.example",
        "evil.localhost",
        "127.0.0.1.evil.example",
        "127.0.0.1:7070.evil.example",
        "localhost:x",
        "localhost:7070:7070",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost,evil.example",
        "localhost evil.example",
        "127.1",
        "0x7f000001",
        "[::1].evil.example",
        "[::1",
        "[evil.example]",
        "::1",
        ":7070",
        "",
    ] {
        let host = format!("Host: {host}");
        let (status, answer) = say(&server, &["GET /v1/events HTTP/1.1", &host]).await;
        assert_eq!(status, 421, "{host}: {answer}");
    }
}

#[tokio::test]
async fn a_request_says_once_whom_it_is_for() {
    let (server, _site) = serve(|config| config).await;
    for head in [
        &["GET /v1/events HTTP/1.1"][..],
        &["GET /v1/events HTTP/1.0"],
        &["GET /v1/events HTTP/1.1", "Host: localhost", "Host: localhost"],
        &["GET /v1/events HTTP/1.1", "Host: localhost", "Host: evil.example"],
        // Where the target names a host, it counts and the header counts.
        &["GET http://evil.example/v1/events HTTP/1.1", "Host: localhost"],
        &["GET http://localhost@evil.example/v1/events HTTP/1.1", "Host: localhost"],
        &["GET http://localhost/v1/events HTTP/1.1", "Host: evil.example"],
        &["GET http://localhost/v1/events HTTP/1.1", "Host: localhost", "Host: localhost"],
        &["CONNECT evil.example:80 HTTP/1.1", "Host: localhost"],
    ] {
        let (status, answer) = say(&server, head).await;
        assert_eq!(status, 421, "{head:?}: {answer}");
    }
    let absolute = ["GET http://127.0.0.1:7070/v1/events HTTP/1.1", "Host: localhost"];
    assert_eq!(say(&server, &absolute).await.0, 200);
}

#[tokio::test]
async fn a_name_is_allowed_by_configuration_and_no_other() {
    let (server, _site) = serve(|config| config.with_host_allowed("bank.example")).await;
    for (host, status) in [
        ("bank.example", 200),
        ("Bank.Example:443", 200),
        ("localhost", 200),
        ("www.bank.example", 421),
        ("bank.example.evil.example", 421),
        ("xbank.example", 421),
    ] {
        let host = format!("Host: {host}");
        assert_eq!(say(&server, &[DEPOSIT, &host]).await.0, status, "{host}");
    }
    // A name that is allowed is no permission for the pages of others.
    let foreign = [DEPOSIT, "Host: bank.example", "Origin: http://evil.example"];
    assert_eq!(say(&server, &foreign).await.0, 403);
}

/// Probes ask under whatever name they have, and hear nothing that is anybody's.
#[tokio::test]
async fn health_is_told_under_any_name() {
    let (server, _site) = serve(|config| config).await;
    for path in ["/livez", "/readyz"] {
        let line = format!("GET {path} HTTP/1.1");
        for head in [&[line.as_str(), "Host: bank-7d9f.internal:7070"][..], &[&line]] {
            assert_eq!(say(&server, head).await.0, 200, "{head:?}");
        }
        // The name of a probe's address is not a prefix.
        let line = format!("GET {path}/ HTTP/1.1");
        assert_eq!(say(&server, &[&line, "Host: evil.example"]).await.0, 421);
    }
}

#[tokio::test]
async fn what_is_no_name_of_a_host_cannot_be_allowed() {
    for wrong in ["", "https://bank.example", "bank.example:443", "*.example", "bank.example/", "a b", "*"] {
        let place = Place::new();
        let config = ServerConfig::new("Bank").with_host_allowed(wrong);
        let error = underlay_server::router(place.engine.clone(), config).unwrap_err().to_string();
        assert!(error.contains("without scheme and port"), "{wrong:?}: {error}");
    }
}
