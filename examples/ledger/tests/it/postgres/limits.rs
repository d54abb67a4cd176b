//! What a caller hears while the server has no place left, or is away; and that it ends by itself.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Place;
use crate::http::eur;
use crate::program::Ledger;

/// How long a service may take to find its way back.
const RECOVERY_MAX: Duration = Duration::from_secs(30);

/// A status, the value of Retry-After, and the body.
type Told = (u16, Option<String>, Value);

struct Caller {
    agent: ureq::Agent,
    address: String,
}

impl Caller {
    fn new(address: String) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        Self { agent: config.timeout_global(Some(Duration::from_secs(20))).build().into(), address }
    }

    fn get(&self, target: &str) -> Told {
        told(self.agent.get(format!("{}/{target}", self.address)).call().unwrap())
    }

    fn deposit(&self) -> Told {
        let request = self.agent.post(format!("{}/v1/account/Cash/deposit", self.address));
        told(request.header("Content-Type", "application/json").send(eur("1").to_string()).unwrap())
    }

    fn open(&self) {
        let request = self.agent.post(format!("{}/v1/account/Cash/open", self.address));
        assert_eq!(told(request.header("Content-Type", "application/json").send("{}").unwrap()).0, 200);
    }

    /// Asks until it is answered well; every other answer must be one to come back after.
    fn recovers(&self) {
        let began = Instant::now();
        let ready: fn(&Self) -> Told = |caller| caller.get("readyz");
        for ask in [ready, Self::deposit, |caller| caller.get("v1/views/balances")] {
            loop {
                let told = ask(self);
                if told.0 == 200 {
                    break;
                }
                assert!(told.0 == 503 || is_uncertain(&told), "{told:?}");
                assert!(began.elapsed() < RECOVERY_MAX, "{told:?}");
            }
        }
    }
}

fn told(mut response: ureq::http::Response<ureq::Body>) -> Told {
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (retry_after, content) = (header("retry-after"), header("content-type").unwrap_or_default());
    let status = response.status().as_u16();
    assert!(status == 200 || content == "application/problem+json", "{status} {content}");
    let body = response.body_mut().read_to_string().unwrap();
    (status, retry_after, serde_json::from_str(&body).unwrap())
}

fn is_uncertain(told: &Told) -> bool {
    told.0 == 500 && told.2["type"] == json!("urn:underlay:problem:uncertain")
}

/// Asks until the answer has this type; until then it may be that nobody knows the end of a commit, that
/// the store is away, or that readiness is as it was seen a moment ago.
fn until(kind: &str, ask: impl Fn() -> Told) -> Told {
    let began = Instant::now();
    loop {
        let told = ask();
        let was_ready = told.0 == 200 && told.2["status"] == json!("ready");
        assert!(told.0 == 503 || was_ready || is_uncertain(&told), "{told:?}");
        if told.2["type"] == json!(format!("urn:underlay:problem:{kind}")) {
            return told;
        }
        assert!(began.elapsed() < RECOVERY_MAX, "not {kind}: {told:?}");
    }
}

#[test]
fn a_limit_of_connections_is_answered_with_when_to_come_back() {
    let Some(place) = Place::new() else { return };
    let (_serving, address) = Ledger::at(place.address()).serve();
    let caller = Caller::new(address);
    caller.open();
    caller.recovers();

    place.ask(&format!("ALTER ROLE {} CONNECTION LIMIT 0", place.login()));
    let end =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", place.login());
    place.ask(&end);
    // First what only reads: meanwhile the writer of the log finds its connection gone. What it had
    // under way would be uncertain.
    let ready: fn(&Caller) -> Told = |caller| caller.get("readyz");
    for ask in [ready, |caller| caller.get("v1/views/balances"), Caller::deposit] {
        let (_, retry_after, told) = until("overloaded", || ask(&caller));
        assert!(retry_after.is_some_and(|seconds| seconds.parse::<u64>().unwrap() >= 1), "{told}");
    }
    assert_eq!(caller.get("livez").0, 200, "nothing is won by starting it anew");

    place.ask(&format!("ALTER ROLE {} CONNECTION LIMIT -1", place.login()));
    caller.recovers();
}

/// A way to the server that can be cut.
struct Way {
    port: u16,
    is_cut: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    accepting: JoinHandle<()>,
}

impl Way {
    /// A way to the server by a port; 0 takes any.
    fn open(port: u16, server: (String, u16)) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_cut, streams): (Arc<AtomicBool>, Arc<Mutex<Vec<TcpStream>>>) = Default::default();
        let (cut, open) = (is_cut.clone(), streams.clone());
        let accepting = std::thread::spawn(move || {
            while let Ok((from, _)) = listener.accept() {
                if cut.load(Ordering::SeqCst) {
                    return;
                }
                let to = TcpStream::connect(&server).unwrap();
                for (from, to) in [(&from, &to), (&to, &from)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        // However it ends, both ends are to know.
                        std::io::copy(&mut from, &mut to).ok();
                        to.shutdown(Shutdown::Both).ok();
                    });
                }
                open.lock().unwrap().extend([from, to]);
            }
        });
        Self { port, is_cut, streams, accepting }
    }

    /// Ends every connection, and refuses new ones.
    fn cut(self) -> u16 {
        self.is_cut.store(true, Ordering::SeqCst);
        TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        self.accepting.join().unwrap();
        for stream in self.streams.lock().unwrap().drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
        self.port
    }
}

#[test]
fn a_server_that_is_away_is_down_and_comes_back() {
    let Some(place) = Place::new() else { return };
    let way = Way::open(0, place.server());
    let (_serving, address) = Ledger::at(place.address_at(way.port)).serve();
    let caller = Caller::new(address);
    caller.open();
    caller.recovers();
    let port = way.cut();
    let (_, retry_after, _) = until("unavailable", || caller.deposit());
    assert!(retry_after.is_some());
    until("unavailable", || caller.get("v1/views/balances"));
    until("store-down", || caller.get("readyz"));
    let _way = Way::open(port, place.server());
    caller.recovers();
}
