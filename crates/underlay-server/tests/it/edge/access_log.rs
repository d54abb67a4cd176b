//! The line that every request leaves.

use std::io;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::place::{ByHeader, Place, get_with, post_with};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// Logs what this thread does, until the guard is dropped.
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone());
        (log, tracing::subscriber::set_default(lines.finish()))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of requests since the last look.
    fn lines(&self) -> Vec<String> {
        let text = self.text();
        self.0.lock().unwrap().clear();
        text.lines().filter(|line| line.contains(" access: ")).map(str::to_owned).collect()
    }
}

#[track_caller]
fn holds(line: &str, wanted: &[&str]) {
    for wanted in wanted {
        assert!(line.contains(wanted), "{wanted} is not in: {line}");
    }
}

#[tokio::test]
async fn a_request_leaves_one_line_with_what_it_was_and_nothing_it_held() {
    let (log, _guard) = Log::begin();
    let place = Place::with(|config| config.with_credentials(ByHeader));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [
        ("authorization", "Bearer acme"),
        ("x-request-id", "r-1"),
        ("traceparent", trace),
        ("idempotency-key", "a-key"),
    ];
    let answer =
        place.send(post_with("/v1/account/secret-cash/deposit", r#"{"amount":"17"}"#, &headers)).await;
    let bytes = format!("bytes={}", answer.body.len());
    let lines = log.lines();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    holds(
        line,
        &[
            "INFO access:",
            r#"method="POST""#,
            r#"route="/v1/{category}/{id}/{command}""#,
            "status=200",
            "milliseconds=",
            &bytes,
            "cut=false",
            r#"tenant="acme""#,
            r#"actor="someone at acme""#,
            "request=r-1",
            r#"trace="0af7651916cd43dd8448eb211c80319c""#,
        ],
    );
    // The time before it may hold any digits.
    let (_, said) = line.split_once("INFO").unwrap();
    for held in ["secret-cash", "a-key", "17", "Bearer"] {
        assert!(!said.contains(held), "{held} is told: {line}");
    }
    place.send(get_with("/v1/events?after=x&limit=77", &[("authorization", "Bearer acme")])).await.invalid();
    place.send(get_with("/links/verify/a-secret?tenant=acme&subject=ann&id=1", &[])).await;
    place.get("/nowhere/a-secret").await;
    place.get("/v1/events").await.problem(401, "problem:unidentified");
    let lines = log.lines();
    let told = [
        [r#"route="/v1/events""#, "status=400", r#"tenant="acme""#],
        [r#"route="/links/{page}/{secret}""#, "status=404", "cut=false"],
        [r#"route="none""#, "status=404", "cut=false"],
        [r#"route="/v1/events""#, "status=401", "cut=false"],
    ];
    assert_eq!(lines.len(), told.len(), "{lines:?}");
    for (line, told) in lines.iter().zip(told) {
        holds(line, &told);
        assert!(!line.contains("a-secret") && !line.contains("ann") && !line.contains("limit"), "{line}");
    }
    assert!(lines[1..].iter().all(|line| !line.contains("tenant=")), "{lines:?}");
}

#[tokio::test]
async fn a_request_that_is_left_midway_leaves_its_line() {
    let (log, _guard) = Log::begin();
    let place = Place::new();
    let waits = Request::get("/v1/views/balances?min_position=1000000&wait=20").body(Body::empty()).unwrap();
    let mut left = Box::pin(place.send(waits));
    tokio::select! {
        biased;
        _ = left.as_mut() => panic!("it does not wait"),
        () = tokio::task::yield_now() => {}
    }
    assert_eq!(log.lines().len(), 0);
    drop(left);
    let lines = log.lines();
    assert_eq!(lines.len(), 1);
    holds(&lines[0], &[r#"route="/v1/views/{view}""#, "cut=true", "bytes=0"]);
    assert!(!lines[0].contains("status="), "{lines:?}");
    // The answer is there, and nobody takes it.
    let untaken = place.answer_untaken(get_with("/v1/views", &[])).await;
    assert_eq!(log.lines().len(), 0);
    drop(untaken);
    holds(&log.lines()[0], &["status=200", "cut=true"]);
}

#[tokio::test]
async fn other_lines_of_a_request_name_it_and_the_access_log_can_be_left_out() {
    let (log, _guard) = Log::begin();
    let place = Place::with(|mut config| {
        config.access_log = false;
        config.with_credentials(ByHeader)
    });
    let headers = [("authorization", "Bearer acme"), ("x-request-id", "r-9")];
    place.send(post_with("/v1/account/bug/deposit", r#"{"amount":"1"}"#, &headers)).await;
    let text = log.text();
    assert!(text.contains("ERROR request{id=r-9 tenant=\"acme\"}"), "{text}");
    assert_eq!(log.lines(), Vec::<String>::new());
}
