//! A payment gateway of the tests' own: a real HTTP server, that does what it is told by the name of whoever is
//! paid. It is written on bare sockets, for it also answers as no server should.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// Charges, and answers at once.
pub(crate) const PAID: &str = "is paid";
/// Is never charged.
pub(crate) const DECLINED: &str = "is declined";
/// The first two requests fail, the first of them after it charged.
pub(crate) const FAILS: &str = "fails";
/// Never answers a charge, and does not charge.
pub(crate) const HANGS: &str = "hangs";
/// Charges, and answers only after it was asked what became of the payment.
pub(crate) const LATE: &str = "is late";
/// Charges, and writes its answer twice.
pub(crate) const TWICE: &str = "answers twice";
/// Charges, and closes in the middle of its first answer.
pub(crate) const CUT: &str = "is cut off";
/// Charges, and answers what is no JSON the first time.
pub(crate) const NONSENSE: &str = "talks nonsense";

/// Is refused with 400, and is not charged.
pub(crate) const REFUSED: &str = "is refused";
/// Is refused with 401, also where it is asked to cancel.
pub(crate) const LOCKED_OUT: &str = "is locked out";

/// How long it is late at the most.
const LATE_MAX: Duration = Duration::from_secs(60);

/// What the gateway knows.
#[derive(Default)]
struct Books {
    /// How each payment ended, by its idempotency key.
    ended: BTreeMap<String, Value>,
    /// Requests to charge, by idempotency key.
    asked: BTreeMap<String, u32>,
    /// Payments it was asked about, by idempotency key.
    reconciled: BTreeSet<String>,
    /// Payments of which it says nothing, by idempotency key.
    locked_out: BTreeSet<String>,
    /// The traces that requests to charge were part of, by idempotency key.
    traced: BTreeMap<String, String>,
    /// Charges made, by the payment that the body names.
    charged: BTreeMap<String, u32>,
}

pub(crate) struct TestGateway {
    pub(crate) address: String,
    books: Arc<(Mutex<Books>, Condvar)>,
    /// Tells of every request, after what it does is done and before it is answered.
    pub(crate) requests: Receiver<String>,
}

impl TestGateway {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let books = Arc::<(Mutex<Books>, Condvar)>::default();
        let (told, requests) = channel();
        let shared = books.clone();
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (books, told) = (shared.clone(), told.clone());
                std::thread::spawn(move || serve(socket, &books, &told));
            }
        });
        Self { address, books, requests }
    }

    /// How often each payment was charged.
    pub(crate) fn charged(&self) -> BTreeMap<String, u32> {
        self.books.0.lock().unwrap().charged.clone()
    }

    /// The trace that the last request for a payment was part of, as it said.
    #[cfg(feature = "otlp")]
    pub(crate) fn traced(&self, key: &str) -> Option<String> {
        self.books.0.lock().unwrap().traced.get(key).cloned()
    }

    /// How often the gateway was asked to charge a payment.
    pub(crate) fn asked(&self, key: &str) -> u32 {
        self.books.0.lock().unwrap().asked.get(key).copied().unwrap_or_default()
    }
}

/// One request of a connection. Whoever asks may go at any moment, which is no concern of the gateway.
fn serve(socket: TcpStream, (books, changed): &(Mutex<Books>, Condvar), told: &Sender<String>) {
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let Some((path, key, traceparent, body)) = request(&mut reader) else { return };
    let payee = body["payee"].as_str().unwrap_or_default();
    let (answer, asked) = {
        let mut books = books.lock().unwrap();
        if let Some(traceparent) = traceparent {
            books.traced.insert(key.clone(), traceparent);
        }
        if path == "/charges/cancel" && books.locked_out.contains(&key) {
            (Value::Null, 0)
        } else if path == "/charges/cancel" {
            books.reconciled.insert(key.clone());
            changed.notify_all();
            let ended = books.ended.entry(key.clone()).or_insert_with(|| json!({"status": "cancelled"}));
            (ended.clone(), 0)
        } else {
            let asked = books.asked.entry(key.clone()).or_default();
            *asked += 1;
            let asked = *asked;
            let is_new = !books.ended.contains_key(&key);
            if is_new && payee == DECLINED {
                books
                    .ended
                    .insert(key.clone(), json!({"status": "declined", "reason": "the card has expired"}));
            } else if payee == LOCKED_OUT {
                books.locked_out.insert(key.clone());
            } else if is_new && ![HANGS, REFUSED].contains(&payee) {
                *books.charged.entry(body["payment"].as_str().unwrap().to_owned()).or_default() += 1;
                let reference = format!("charge of {key}");
                books.ended.insert(key.clone(), json!({"status": "charged", "reference": reference}));
            }
            (books.ended.get(&key).cloned().unwrap_or_default(), asked)
        }
    };
    let _nobody_listens = told.send(path);
    let answer = answer.to_string();
    let full = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    );
    let is_locked_out = books.lock().unwrap().locked_out.contains(&key);
    let written = match (payee, asked) {
        _ if is_locked_out => "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_owned(),
        (REFUSED, _) => "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_owned(),
        (FAILS, 1 | 2) => "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".to_owned(),
        (CUT, 1) => full[..full.len() - 10].to_owned(),
        (NONSENSE, 1) => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_owned(),
        (TWICE, _) => format!("{full}{full}"),
        (HANGS, 1..) => {
            // Until the other side goes.
            let _gone = reader.read(&mut [0]);
            return;
        }
        (LATE, 1..) => {
            let books = books.lock().unwrap();
            let is_early = |books: &mut Books| !books.reconciled.contains(&key);
            drop(changed.wait_timeout_while(books, LATE_MAX, is_early).unwrap());
            full
        }
        _ => full,
    };
    let mut socket = socket;
    let _gone = socket.write_all(written.as_bytes());
}

/// The path, the idempotency key, the trace and the body of a request.
fn request(reader: &mut impl BufRead) -> Option<(String, String, Option<String>, Value)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut key, mut traceparent, mut length) = (String::new(), None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "idempotency-key" => key = value.to_owned(),
            "traceparent" => traceparent = Some(value.to_owned()),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, key, traceparent, serde_json::from_slice(&body).ok()?))
}
