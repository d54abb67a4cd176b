//! Three processes on one database, killed and paused while commands come to all of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use underlay::{CommitId, Decimal, Store, TenantId};

use super::Place;
use crate::archive::{rows_folded_anew, rows_of};
use crate::http::{Client, eur};
use crate::program::{Ledger, Serving};

const PROCESSES: usize = 3;
const CALLERS: usize = 6;
/// The time of a lease, and far more than a process needs to take over once it has run out: the machine
/// may be busy.
const LEASE: Duration = Duration::from_secs(1);
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(30);
/// How long a caller waits for an answer before it asks another process.
const PATIENCE: Duration = Duration::from_millis(700);

/// The processes, each at its address; none while it is down.
struct Processes {
    ledger: Ledger,
    running: [RwLock<Option<(Serving, String)>>; PROCESSES],
}

impl Processes {
    fn start(ledger: Ledger) -> Self {
        let processes = Self { ledger, running: Default::default() };
        (0..PROCESSES).for_each(|number| processes.start_one(number));
        processes
    }

    fn start_one(&self, number: usize) {
        let seconds = LEASE.as_secs().to_string();
        let started = self.ledger.serve_with(&["--view-lease", &seconds]);
        *self.running[number].write().unwrap() = Some(started);
    }

    /// Ends one at once.
    fn kill(&self, number: usize) {
        drop(self.running[number].write().unwrap().take());
    }

    fn signal(&self, number: usize, name: &str) {
        self.running[number].read().unwrap().as_ref().unwrap().0.signal(name);
    }

    fn address(&self, number: usize) -> Option<String> {
        self.running[number].read().unwrap().as_ref().map(|(_, address)| address.clone())
    }

    fn with_process(&self, process: u32) -> Option<usize> {
        let is = |number: &usize| {
            let running = self.running[*number].read().unwrap();
            running.as_ref().is_some_and(|(serving, _)| serving.process() == process)
        };
        (0..PROCESSES).find(is)
    }
}

/// Who folds the balances now: the number of its process, and the term.
fn holder(place: &Place) -> Option<(u32, i64)> {
    let rows = place.ask(
        "SELECT holder, term FROM underlay.leases WHERE name = 'view:balances' \
         AND expires_at > extract(epoch FROM clock_timestamp()) * 1000000",
    );
    let row = rows.first()?;
    // Machine, process, and what was drawn.
    let process = row.get::<_, &str>(0).rsplit('/').nth(1).unwrap().parse().unwrap();
    Some((process, row.get(1)))
}

/// Waits until one of the processes that run has the lease, by a term above `after`.
fn next_holder(place: &Place, processes: &Processes, after: i64) -> (usize, i64) {
    let began = Instant::now();
    loop {
        if let Some((process, term)) = holder(place)
            && let Some(number) = processes.with_process(process).filter(|_| term > after)
        {
            return (number, term);
        }
        assert!(began.elapsed() < TAKEN_OVER_WITHIN, "nobody has taken over");
    }
}

/// A command as it is sent again and again until it is answered.
struct Command {
    key: String,
    target: String,
    body: Value,
}

/// Sends a command to one process after another until one says that it is done.
fn send(agent: &ureq::Agent, processes: &Processes, command: &Command, first: usize) {
    let began = Instant::now();
    for process in (0..PROCESSES).cycle().skip(first) {
        assert!(began.elapsed() < Duration::from_secs(60), "{} is never answered", command.key);
        let Some(address) = processes.address(process) else { continue };
        let request = agent
            .post(format!("{address}/v1/{}", command.target))
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", &command.key);
        // A process that is gone, or that does not answer in time, may have done it.
        let Ok(mut response) = request.send(command.body.to_string()) else { continue };
        let (status, body) = (response.status().as_u16(), response.body_mut().read_to_string());
        match status {
            200 => return,
            // Not now, or nobody knows: the same again.
            503 => {}
            500 if body.as_ref().is_ok_and(|body| body.contains("problem:uncertain")) => {}
            status => panic!("{}: {status} {body:?}", command.key),
        }
    }
}

/// Sends commands until it is told to stop; gives them.
fn call(processes: &Processes, caller: usize, stop: &AtomicBool, answered: &AtomicU64) -> Vec<Command> {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = config.timeout_global(Some(PATIENCE)).build().into();
    let mut sent = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = sent.len();
        let to = (caller + number) % CALLERS;
        let (target, body) = if number % 3 == 2 && to != caller {
            let (from, to) = (format!("A{caller}"), format!("A{to}"));
            let body = json!({ "from": from, "to": to, "amount": "1", "commodity": "EUR" });
            ("operations/transfer".to_owned(), body)
        } else {
            (format!("account/A{caller}/deposit"), eur("1"))
        };
        let command = Command { key: format!("{caller}-{number}"), target, body };
        send(&agent, processes, &command, caller + number);
        answered.fetch_add(1, Ordering::Relaxed);
        sent.push(command);
    }
    sent
}

#[test]
fn three_processes_that_are_killed_and_paused_lose_and_repeat_nothing() {
    let Some(place) = Place::new() else { return };
    let processes = Processes::start(Ledger::at(place.address()));
    let client = Client::new(processes.address(0).unwrap());
    for caller in 0..CALLERS {
        assert_eq!(client.post(&format!("account/A{caller}/open"), &[], &json!({})).0, 200);
    }
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let sent: Vec<Command> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (processes, stop, answered) = (&processes, &stop, &answered);
                scope.spawn(move || call(processes, caller, stop, answered))
            })
            .collect();
        let more = |count: u64| {
            let from = answered.load(Ordering::Relaxed);
            while answered.load(Ordering::Relaxed) < from + count && callers.iter().all(|c| !c.is_finished())
            {
            }
        };
        let (mut folding, mut term) = next_holder(&place, &processes, 0);
        // Who folds is killed, every time another; and somebody who does not.
        for _ in 0..PROCESSES {
            more(30);
            let other = (folding + 1) % PROCESSES;
            processes.kill(folding);
            let (next, next_term) = next_holder(&place, &processes, term);
            processes.start_one(folding);
            if other != next {
                processes.kill(other);
                more(30);
                processes.start_one(other);
            }
            (folding, term) = (next, next_term);
        }
        // Who folds stands still for longer than its lease, and comes back.
        more(30);
        processes.signal(folding, "STOP");
        let (next, next_term) = next_holder(&place, &processes, term);
        assert_ne!(next, folding);
        more(30);
        processes.signal(folding, "CONT");
        more(60);
        let status = processes.ledger.answer(&["view", "status", "--json"]);
        let status: Value = serde_json::from_str(status.lines().next().unwrap()).unwrap();
        let folded_by = status["folded_by"].as_str().unwrap().split('/').nth(1).unwrap().parse().unwrap();
        assert_eq!(processes.with_process(folded_by), Some(next), "{status}");
        assert_eq!(
            next_holder(&place, &processes, next_term - 1),
            (next, next_term),
            "it does not take it back"
        );
        stop.store(true, Ordering::Relaxed);
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });

    // Every process answers, up to what was written last.
    let events = processes.ledger.events();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let head = events.last().unwrap()["position"].as_str().unwrap().to_owned();
    let mut pages = Vec::new();
    for number in 0..PROCESSES {
        let client = Client::new(processes.address(number).unwrap());
        let (status, page) = client.get(&format!("views/balances?min_position={head}&wait=30"));
        assert_eq!(status, 200, "process {number}: {page}");
        assert_eq!(client.get("views").1["views"][0]["status"], "live", "process {number}");
        pages.push(page["rows"].clone());
    }
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:?}");

    // Each command is there once, and nothing else is.
    let mut by_command: HashMap<String, usize> = HashMap::new();
    let mut balances: BTreeMap<String, Decimal> = BTreeMap::new();
    for event in events.iter().filter(|event| event["type"] != "account-opened") {
        let id = event["metadata"]["command_id"].as_str().unwrap();
        *by_command.entry(id.to_owned()).or_default() += 1;
        let amount: Decimal = event["payload"]["money"]["amount"].as_str().unwrap().parse().unwrap();
        let amount = if event["type"] == "account-withdrawn" { -amount } else { amount };
        let account = event["stream"].as_str().unwrap().strip_prefix("account-").unwrap();
        *balances.entry(account.to_owned()).or_default() += amount;
    }
    let tenant = TenantId::new("main").unwrap();
    for command in &sent {
        let expected = if command.target.starts_with("operations") { 2 } else { 1 };
        let found = by_command.remove(&CommitId::from_key(&tenant, &command.key).to_string());
        assert_eq!(found, Some(expected), "{} {}", command.key, command.target);
    }
    assert_eq!(by_command, HashMap::new(), "what nobody sent");
    let rows = pages[0].as_array().unwrap();
    for row in rows {
        let balance: Decimal = row["balance"].as_str().unwrap().parse().unwrap();
        assert_eq!(Some(&balance), balances.get(row["account"].as_str().unwrap()), "{row}");
    }
    assert_eq!(rows.len(), balances.len());

    // Ending in good order hands over long before a lease runs out; the last one leaves nothing held.
    for number in 0..PROCESSES {
        let (serving, _) = processes.running[number].write().unwrap().take().unwrap();
        serving.signal("TERM");
        serving.wait();
    }
    assert_eq!(holder(&place), None);
    let database = processes.ledger.database.clone();
    place.runtime.block_on(async {
        let store = Store::open(&database).await.unwrap();
        let engine = ledger::service().open(&store).unwrap();
        let kept = rows_of(&engine, "main").await;
        store.close().await.unwrap();
        assert_eq!(kept, rows_folded_anew(&database, "main").await);
    });
}
