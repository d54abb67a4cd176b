//! The feed of a view over a real store: what a client has made of it is what a page says, while another process writes
//! and rebuilds, and the process that serves is killed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use underlay::core::{EventType, Json, SchemaVersion};
use underlay::{Commit, CommitId, ExpectedVersion, NewEvent, Store, StreamName, TenantId};

use crate::mending::{Serving, program};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
/// How long a client reads before it looks whether it is to end.
const GLANCE: Duration = Duration::from_millis(100);
const BALANCES: &str = "/v1/views/balances";

/// The rows of a client, by key.
type Rows = BTreeMap<String, i64>;

/// A client that comes back with the last id it has seen, wherever the service is.
struct Client {
    /// And what tells of a change of it.
    heard: Arc<(Mutex<Heard>, Condvar)>,
    has_ended: Arc<AtomicBool>,
    task: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Heard {
    address: String,
    last_id: String,
    rows: Rows,
    is_live: bool,
    resets: usize,
    keys: Vec<String>,
}

impl Client {
    fn start() -> Self {
        let (heard, has_ended) = (Arc::<(Mutex<Heard>, Condvar)>::default(), Arc::<AtomicBool>::default());
        let (its, ends) = (heard.clone(), has_ended.clone());
        let task = thread::spawn(move || {
            while !ends.load(Ordering::SeqCst) {
                let heard = its.0.lock().unwrap();
                let (address, id) = (heard.address.clone(), heard.last_id.clone());
                match TcpStream::connect(address) {
                    Ok(connection) => {
                        drop(heard);
                        hear(connection, &id, &its, &ends);
                    }
                    // Until it is somewhere else.
                    Err(_) => drop(its.1.wait_timeout(heard, GLANCE).unwrap()),
                }
            }
        });
        Self { heard, has_ended, task: Some(task) }
    }

    /// The service is there from now on.
    fn tell(&self, serving: &Serving) {
        serving.address.clone_into(&mut self.heard.0.lock().unwrap().address);
        self.heard.1.notify_all();
    }

    /// Waits until it has what a page says.
    fn agrees(&self, serving: &Serving, position: u64) {
        let page = page(serving, position);
        let differs = |heard: &mut Heard| !heard.is_live || heard.rows != page;
        let heard = self.heard.0.lock().unwrap();
        let (heard, waited) = self.heard.1.wait_timeout_while(heard, LONG, differs).unwrap();
        assert!(!waited.timed_out(), "it has {heard:?}, and a page says {page:?}");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::SeqCst);
        if let Some(task) = self.task.take() {
            task.join().unwrap();
        }
    }
}

/// Hears one answer to its end.
fn hear(mut connection: TcpStream, id: &str, heard: &(Mutex<Heard>, Condvar), ends: &AtomicBool) {
    connection.set_read_timeout(Some(GLANCE)).unwrap();
    let request = format!(
        "GET {BALANCES} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: {id}\r\n\r\n"
    );
    if connection.write_all(request.as_bytes()).is_err() {
        return;
    }
    let (mut lines, mut line) = (BufReader::new(connection), String::new());
    let (mut event, mut data, mut id) = (String::new(), String::new(), None);
    while !ends.load(Ordering::SeqCst) {
        match lines.read_line(&mut line) {
            Ok(0) => return,
            Ok(_) => {}
            // What was read of the line stays.
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                continue;
            }
            Err(_) => return,
        }
        // Lines between the chunks of the answer look like no field.
        match line.trim_end().split_once(": ") {
            Some(("event", name)) => name.clone_into(&mut event),
            Some(("data", text)) => text.clone_into(&mut data),
            Some(("id", text)) => id = Some(text.to_owned()),
            None if line == "\n" => {
                let mut known = heard.0.lock().unwrap();
                known.take(&event, &data);
                known.last_id = id.take().unwrap_or_else(|| known.last_id.clone());
                drop(known);
                heard.1.notify_all();
                event.clear();
            }
            _ => {}
        }
        line.clear();
    }
}

impl Heard {
    fn take(&mut self, event: &str, data: &str) {
        match event {
            "row" => {
                let (key, cents) = row(data);
                self.keys.push(key.clone());
                self.rows.insert(key, cents);
            }
            "removed" => drop(self.rows.remove(&row(data).0)),
            "reset" => {
                self.rows.clear();
                (self.is_live, self.resets) = (false, self.resets + 1);
            }
            "live" => self.is_live = true,
            _ => {}
        }
    }
}

/// The key of a row, and its cents, where it has any.
fn row(text: &str) -> (String, i64) {
    let member = |name: &str| {
        let rest = text.split_once(&format!("\"{name}\":"))?.1;
        Some(rest.split([',', '}']).next()?.trim_matches('"').to_owned())
    };
    (member("key").unwrap(), member("cents").map_or(0, |cents| cents.parse().unwrap()))
}

/// The rows as a page has them once the view is there.
fn page(serving: &Serving, position: u64) -> Rows {
    let answer = serving.get(&format!("{BALANCES}?limit=1000&min_position={position}&wait=30"));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.split("{\"key\"").skip(1).map(|rest| row(&format!("{{\"key\"{rest}"))).collect()
}

/// A process that writes, beside the one that serves.
struct Writer {
    runtime: tokio::runtime::Runtime,
    database: String,
    stored: u64,
}

impl Writer {
    fn moves(&mut self, tenant: &str, accounts: &[&str], cents: i64) {
        self.stored += accounts.len() as u64;
        self.runtime.block_on(async {
            let store = Store::open(&self.database).await.unwrap();
            for account in accounts {
                let payload = Json::parse(format!(r#"{{"cents":{cents}}}"#)).unwrap();
                let event = NewEvent::new(EventType::new("moved").unwrap(), SchemaVersion(1), payload);
                let stream = StreamName::parse(&format!("account-{account}")).unwrap();
                let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![event]);
                store.commit(&TenantId::new(tenant).unwrap(), commit).await.unwrap();
            }
            store.close().await.unwrap();
        });
    }
}

/// Runs on a store that is empty.
pub(crate) fn a_view_is_followed(database: &str) {
    let order = |args: &[&str]| {
        let output = Command::new(program()).args(["--database", database]).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut writer = Writer { runtime, database: database.to_owned(), stored: 0 };
    writer.moves("main", &["a", "b"], 1);
    let client = Client::start();
    let mut serving = Serving::on(database);
    client.tell(&serving);
    client.agrees(&serving, writer.stored);
    for round in 0..6 {
        writer.moves("other", &["theirs", "a"], 1_000);
        writer.moves("main", &["a", "b", "c", "a"], 10 + round);
        match round {
            1 => order(&["view", "rebuild", "balances", "--anew", "--as", "ann"]),
            2 | 4 => {
                // Killed in the middle of whatever it was giving.
                drop(serving);
                writer.moves("main", &["d", "a"], 7);
                serving = Serving::on(database);
                client.tell(&serving);
            }
            3 => order(&["view", "revert", "balances"]),
            _ => {}
        }
        client.agrees(&serving, writer.stored);
    }
    let heard = client.heard.0.lock().unwrap();
    assert!(!heard.keys.contains(&"theirs".to_owned()), "{heard:?}");
    assert!(heard.resets >= 2, "another generation was read twice: {heard:?}");
}

#[test]
fn a_view_is_followed_while_the_service_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    a_view_is_followed(&format!("sqlite:{}", directory.path().join("bank.db").display()));
}
