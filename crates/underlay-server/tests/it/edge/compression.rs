//! Answers in fewer bytes.

use std::io::Read;

use axum::http::header::CONTENT_LENGTH;
use flate2::read::GzDecoder;
use underlay_server::ServeLimits;

use crate::place::{Answer, ByHeader, Place, get_with, post_with};
use crate::socket::Server;

const GZIP: (&str, &str) = ("accept-encoding", "br, gzip");
const STREAM: &str = "/v1/streams/note-1";

fn unpacked(answer: &Answer) -> String {
    assert_eq!(answer.header("content-encoding"), Some("gzip"), "{:?}", answer.headers);
    String::from_utf8(answer.unpacked().into_owned()).unwrap()
}

#[tokio::test]
async fn a_long_answer_is_compressed_for_who_takes_it_and_is_the_same() {
    let place = Place::new();
    place.store_big_events("acme", "note-1", 3).await;
    let plain = place.get(STREAM).await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("accept-encoding")));
    let packed = place.send(get_with(STREAM, &[GZIP])).await;
    assert_eq!(packed.header("vary"), Some("accept-encoding"));
    assert_eq!(packed.headers.get(CONTENT_LENGTH), None);
    assert!(packed.body.len() * 20 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
    assert_eq!(unpacked(&packed), plain.text());
    let refused = place.send(get_with(STREAM, &[("accept-encoding", "gzip;q=0")])).await;
    assert_eq!((refused.header("content-encoding"), &refused.body), (None, &plain.body));
}

#[tokio::test]
async fn short_answers_pages_and_a_service_that_wants_none_are_left_as_they_are() {
    let place = Place::new();
    for path in ["/livez", "/", "/nowhere"] {
        let answer = place.send(get_with(path, &[GZIP])).await;
        assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, None), "{path}");
    }
    let place = Place::with(|mut config| {
        config.compress_from = 0;
        config
    });
    place.store_big_events("acme", "note-1", 1).await;
    assert_eq!(place.send(get_with(STREAM, &[GZIP])).await.header("content-encoding"), None);
    let place = Place::with(|mut config| {
        config.compress_from = 1;
        config
    });
    let done = place.send(post_with("/v1/account/cash/deposit", r#"{"amount":"1"}"#, &[GZIP])).await;
    assert!(unpacked(&done).contains(r#""position":"1""#));
}

#[tokio::test]
async fn an_answer_is_held_as_it_was_made_until_the_last_of_it_is_taken() {
    let place = Place::with(|config| {
        let mut config = config.with_credentials(ByHeader);
        config.tenant_answer_bytes_max = 1 << 20;
        config
    });
    place.store_big_events("acme", "note-1", 3).await;
    let who = ("authorization", "Bearer acme");
    let untaken = place.answer_untaken(get_with(STREAM, &[who, GZIP])).await;
    assert_eq!(untaken.headers()["content-encoding"], "gzip");
    place.send(get_with("/v1/events", &[who])).await.problem(429, "problem:too-many-requests");
    drop(untaken);
    place.send(get_with("/v1/events?limit=1", &[who])).await.ok();
}

#[tokio::test]
async fn it_arrives_whole_over_a_socket() {
    let place = Place::new();
    place.store_big_events("acme", "note-1", 3).await;
    let server = Server::start(ServeLimits::default(), place.router.clone()).await;
    let socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(async move { connection.await.ok() });
    let uri = format!("http://localhost{STREAM}");
    let request = hyper::Request::get(uri).header(GZIP.0, GZIP.1).body(()).unwrap();
    let (response, _): (_, h2::SendStream<axum::body::Bytes>) = requests.send_request(request, true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let mut packed = Vec::new();
    while let Some(bytes) = body.data().await {
        let bytes = bytes.unwrap();
        body.flow_control().release_capacity(bytes.len()).unwrap();
        packed.extend_from_slice(&bytes);
    }
    let mut text = String::new();
    GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, place.get(STREAM).await.text());
}
