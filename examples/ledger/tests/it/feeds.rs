//! Clients that follow the log while processes of the service are killed: no gap, and nothing twice.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use crate::http::{Client, eur};
use crate::program::Ledger;

/// Where the service is to be found, and the how many-th that is.
#[derive(Default)]
pub(crate) struct Whereabouts {
    now: Mutex<(u64, String)>,
    moved: Condvar,
}

impl Whereabouts {
    /// The service is there from now on.
    pub(crate) fn tell(&self, address: &str) {
        let mut now = self.now.lock().unwrap();
        *now = (now.0 + 1, address.trim_start_matches("http://").to_owned());
        self.moved.notify_all();
    }

    /// Waits for one after the one that was known.
    fn after(&self, known: u64) -> (u64, String) {
        let now = self.now.lock().unwrap();
        self.moved.wait_while(now, |now| now.0 <= known).unwrap().clone()
    }
}

/// A client that comes back with the last id it has seen, wherever the service is. It ends once it was given an event
/// of its last position, and says which positions it was given.
pub(crate) fn follow(whereabouts: Arc<Whereabouts>, last: u64) -> JoinHandle<Vec<u64>> {
    thread::spawn(move || {
        let (mut known, mut id, mut taken) = (0, "0".to_owned(), Vec::new());
        while taken.last() != Some(&last) {
            let (number, address) = whereabouts.after(known);
            known = number;
            let Ok(mut connection) = TcpStream::connect(&address) else { continue };
            let request = format!(
                "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: {id}\r\n\r\n"
            );
            if connection.write_all(request.as_bytes()).is_err() {
                continue;
            }
            let mut block: (Option<String>, Option<Value>) = (None, None);
            // Lines between the chunks of the answer look like no field.
            for line in BufReader::new(connection).lines().map_while(Result::ok) {
                match line.split_once(": ") {
                    Some(("id", text)) => block.0 = Some(text.to_owned()),
                    Some(("data", text)) => block.1 = serde_json::from_str(text).ok(),
                    None if line.is_empty() => {
                        let (Some(text), data) = std::mem::take(&mut block) else { continue };
                        id = text;
                        let position =
                            |data: Value| data["position"].as_str().unwrap().parse::<u64>().unwrap();
                        taken.extend(data.map(position));
                        if taken.last() == Some(&last) {
                            break;
                        }
                    }
                    _ => {}
                }
            }
        }
        taken
    })
}

#[test]
fn clients_miss_nothing_while_the_service_is_killed_under_them() {
    const CLIENTS: usize = 8;
    const KILLS: u64 = 3;
    const DEPOSITS: u64 = 15;
    let ledger = Ledger::new();
    let whereabouts = Arc::<Whereabouts>::default();
    let last = 1 + (KILLS + 1) * DEPOSITS;
    let clients: Vec<_> = (0..CLIENTS).map(|_| follow(whereabouts.clone(), last)).collect();
    for round in 0..=KILLS {
        let (serving, address) = ledger.serve();
        whereabouts.tell(&address);
        let client = Client::new(address);
        if round == 0 {
            assert_eq!(client.post("account/Cash/open", &[], &json!({})).0, 200);
        }
        for _ in 0..DEPOSITS {
            assert_eq!(client.post("account/Cash/deposit", &[], &eur("1")).0, 200);
        }
        if round == KILLS {
            for client in clients {
                assert_eq!(client.join().unwrap(), (1..=last).collect::<Vec<_>>());
            }
            return;
        }
        // Killed in the middle of whatever it was giving.
        drop(serving);
    }
}

#[test]
fn the_command_line_follows_what_another_process_writes() {
    let ledger = Ledger::new();
    let (_serving, address) = ledger.serve();
    let client = Client::new(address);
    assert_eq!(client.post("account/Cash/open", &[], &json!({})).0, 200);
    let mut child = ledger
        .command(&["--json", "events", "--follow", "--after", "0", "--category", "account"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["position"], "1");
    for position in ["2", "3"] {
        assert_eq!(client.post("account/Cash/deposit", &[], &eur("1")).0, 200);
        assert_eq!(next()["position"], position);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let beyond = ledger.run(&["events", "--follow", "--after", "99"]);
    assert_eq!(beyond.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&beyond.stderr).contains("ends before"));
    let both = ledger.run(&["events", "--follow", "--limit", "3"]);
    assert_eq!(both.status.code(), Some(2));
}
