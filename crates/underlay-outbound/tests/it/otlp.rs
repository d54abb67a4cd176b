//! Spans on their way to a collector: a real one, and whoever answers in the place of one.

mod tls;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use servers::{Missing, Rotel};
use underlay_core::{Span, SpanId, SpanKind, Timestamp, TraceContext, TraceId};
use underlay_outbound::traces::{Exporting, OtlpConfig, open};

/// More than a flush may take.
const FLUSH_PATIENCE: Duration = Duration::from_secs(8);

fn exporting(endpoint: String, change: impl FnOnce(&mut OtlpConfig)) -> Exporting {
    let mut config = OtlpConfig { endpoint: Some(endpoint), ..OtlpConfig::default() };
    change(&mut config);
    open(&config).unwrap().expect("an endpoint is set")
}

fn span(name: &str) -> Span {
    let context = TraceContext::new(TraceId::draw(), SpanId::draw(), true);
    Span::new(context, Some(SpanId::draw()), SpanKind::Client, name, Timestamp::UNIX_EPOCH)
}

/// A collector that answers each request as it is told to, and the last answer from then on.
struct Scripted {
    endpoint: String,
    /// The headers of each request, in lower case, and the bytes of its body.
    requests: Receiver<(String, Vec<u8>)>,
}

impl Scripted {
    fn start(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (told, requests) = channel();
        // It ends with the process of the test.
        std::thread::spawn(move || {
            let mut answers = answers.iter().copied();
            let mut last = "";
            for mut socket in listener.incoming().flatten() {
                last = answers.next().unwrap_or(last);
                let Some((head, body)) = read(&mut socket) else { continue };
                if told.send((head.to_lowercase(), body)).is_err() {
                    return;
                }
                socket.write_all(last.as_bytes()).ok();
            }
        });
        Self { endpoint, requests }
    }

    fn next(&self) -> (String, Vec<u8>) {
        self.requests.recv_timeout(Duration::from_secs(30)).expect("it is asked")
    }
}

fn read(socket: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.to_lowercase();
    let length = length.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const BUSY: &str =
    "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const REFUSED: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[test]
fn a_real_collector_takes_what_is_sent_and_the_rest_at_the_end() {
    let collector = match Rotel::start() {
        Ok(collector) => collector,
        Err(error) => return Missing::new("rotel", error).skip_test(),
    };
    let sending = exporting(collector.endpoint(), |config| {
        config.service_name = Some("bank".to_owned());
        config.resource_attributes = Some("deployment.environment=test".to_owned());
    });
    let mut failed = span("failed");
    failed.set("text", "ä \"b\"");
    failed.set("number", 7_u64);
    failed.set("flag", true);
    failed.fail("it was late");
    let mut root = span("root");
    root.parent = None;
    for span in [&failed, &root] {
        sending.spans().record(span.clone());
    }
    sending.flush();
    let begun = Instant::now();
    let spans = loop {
        let spans = collector.spans().unwrap();
        if spans.len() == 2 {
            break spans;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{spans:?}");
        std::thread::yield_now();
    };
    let got = &spans[0];
    assert_eq!(
        (got.service.as_str(), got.name.as_str(), got.kind.as_str()),
        ("bank", "failed", "SPAN_KIND_CLIENT")
    );
    assert_eq!(got.trace_id, failed.context.trace_id.to_string());
    assert_eq!(got.span_id, failed.context.span_id.to_string());
    assert_eq!(got.parent_id, failed.parent.map(|parent| parent.to_string()));
    assert_eq!(got.failure.as_deref(), Some("it was late"));
    assert_eq!((got.attributes["text"].as_str(), got.attributes["number"].as_str()), ("ä \"b\"", "7"));
    assert_eq!(spans[1].parent_id, None);
}

#[test]
fn a_batch_that_is_not_taken_is_sent_again_and_one_that_is_refused_is_not() {
    let collector = Scripted::start(&[BUSY, BUSY, TAKEN, REFUSED, TAKEN]);
    let sending = exporting(collector.endpoint.clone(), |config| {
        config.headers = Some("api-key=se%20cret".to_owned());
    });
    sending.spans().record(span("first"));
    for _ in 0..3 {
        let (head, body) = collector.next();
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        assert!(head.contains("api-key: se cret\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
        assert!(holds(&body, "first"));
    }
    sending.spans().record(span("second"));
    assert!(holds(&collector.next().1, "second"));
    sending.spans().record(span("third"));
    let body = collector.next().1;
    assert!(holds(&body, "third") && !holds(&body, "second"), "what is refused once is refused for good");
}

#[test]
fn many_spans_are_few_requests() {
    let collector = Scripted::start(&[TAKEN]);
    let sending = exporting(collector.endpoint.clone(), |_| {});
    let spans = sending.spans();
    for number in 0..1_500 {
        spans.record(span(&format!("span {number};")));
    }
    sending.flush();
    let bodies: Vec<Vec<u8>> = collector.requests.try_iter().map(|(_, body)| body).collect();
    assert!(bodies.len() <= 5, "{} requests", bodies.len());
    for number in 0..1_500 {
        let count = bodies.iter().filter(|body| holds(body, &format!("span {number};"))).count();
        assert_eq!(count, 1, "span {number}");
    }
}

#[test]
fn nobody_waits_for_a_collector_that_takes_nothing() {
    // It takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let sending = exporting(endpoint, |config| config.timeout = Duration::from_secs(60));
    let spans = sending.spans();
    let begun = Instant::now();
    for _ in 0..50_000 {
        spans.record(span("left out"));
    }
    // Far more than there is room for; waiting for one answer would take a minute.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let begun = Instant::now();
    sending.flush();
    assert!(begun.elapsed() < FLUSH_PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn an_end_does_not_wait_for_the_pauses_of_a_collector_that_is_away() {
    // Nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sending = exporting(format!("http://{free}"), |_| {});
    sending.spans().record(span("lost"));
    let begun = Instant::now();
    sending.flush();
    assert!(begun.elapsed() < FLUSH_PATIENCE, "{:?}", begun.elapsed());
}
