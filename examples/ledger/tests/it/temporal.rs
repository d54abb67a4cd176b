//! The whole program on a real Temporal server: it says and does the same as with its own workers, and people find its
//! work in Temporal's lists.

use serde_json::{Value, json};
use servers::Temporal;

use crate::gateway::{DECLINED, HANGS, LOCKED_OUT, PAID, TestGateway};
use crate::payments::{events, get, open_purse, wait_until};
use crate::program::{Ledger, Serving, text};

/// The task queue where the address names none: the name of the service.
const TASK_QUEUE: &str = "ledger";
/// What differs from run to run, beside ids and moments.
const DRAWN: [&str; 2] = ["place", "position"];

fn started() -> Option<Temporal> {
    Temporal::start_kept().map_err(|missing| missing.skip_test()).ok()
}

fn address(server: &Temporal) -> String {
    format!("temporal://{}/default", server.host())
}

/// Leaves a command with the store, and gives the answer. Its key says what it belongs to.
fn submit(address: &str, key: &str, path: &str, body: &Value) -> Value {
    let sent = ureq::post(format!("{address}/v1/{path}"))
        .header("content-type", "application/json")
        .header("prefer", "respond-async")
        .header("x-correlation-id", correlation(key))
        .header("idempotency-key", key)
        .send(body.to_string().as_bytes());
    let mut answer = sent.unwrap();
    assert_eq!(answer.status(), 202);
    serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
}

/// What a command of a key belongs to.
fn correlation(key: &str) -> String {
    let number = key.bytes().fold(0_u128, |number, byte| number << 8 | u128::from(byte));
    uuid::Uuid::from_u128(number).to_string()
}

fn transfer(address: &str, key: &str, amount: &str) -> Value {
    let body = json!({"from": "purse", "to": "other", "amount": amount, "commodity": "EUR"});
    submit(address, key, "operations/transfer", &body)
}

/// The answer about a command, once it says that.
fn command(address: &str, key: &str, status: &str) -> Value {
    wait_until(address, &format!("{key} is not {status}"), || {
        let answer = get(address, &format!("/v1/commands/{key}"));
        (answer["status"] == status).then_some(answer)
    })
}

/// What the command line prints for programs, line by line.
fn printed(ledger: &Ledger, arguments: &[&str]) -> Value {
    let printed = ledger.answer(&[arguments, &["--json"]].concat());
    printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
}

/// An answer without what differs from run to run.
fn masked(value: &Value) -> Value {
    let mask = |text: &str| {
        let is_drawn = text.parse::<uuid::Uuid>().is_ok() || text.parse::<jiff::Timestamp>().is_ok();
        if is_drawn { json!("drawn") } else { json!(text) }
    };
    match value {
        Value::String(text) => mask(text),
        Value::Array(values) => values.iter().map(masked).collect(),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                let is_drawn = DRAWN.contains(&name.as_str()) && !value.is_null();
                (name.clone(), if is_drawn { json!("drawn") } else { masked(value) })
            };
            fields.iter().map(field).collect()
        }
        other => other.clone(),
    }
}

/// A ledger that is served on a scheduler.
struct Served {
    ledger: Ledger,
    address: String,
    _serving: Serving,
    _gateway: TestGateway,
}

impl Served {
    /// `answer_within` is how long the gateway may take for a payment.
    fn on(scheduler: &str, answer_within: &str) -> Self {
        let (ledger, gateway) = (Ledger::new(), TestGateway::new());
        let gateway_options =
            ["--gateway-address", &gateway.address, "--gateway-answer-within", answer_within];
        let more = ["--scheduler", scheduler, "--server-access-log=false"];
        let (serving, address) = ledger.serve_with(&[&gateway_options[..], &more].concat());
        open_purse(&address);
        Self { ledger, address, _serving: serving, _gateway: gateway }
    }

    fn pay(&self, id: &str, payee: &str) {
        let body = json!({"account": "purse", "amount": "10", "commodity": "EUR", "payee": payee});
        submit(&self.address, &format!("pay-{id}"), &format!("payment/{id}/pay"), &body);
    }

    /// What is told of a payment that has ended.
    fn ended(&self, id: &str) -> Value {
        wait_until(&self.address, &format!("the payment {id} does not end"), || {
            let shown = self.ledger.run(&["process", "show", "payments", id, "--json"]);
            let shown: Value = serde_json::from_slice(&shown.stdout).ok()?;
            (shown["is_finished"] == true).then_some(shown)
        })
    }

    /// The dead letters, once there is one.
    fn dead(&self) -> Value {
        wait_until(&self.address, "nothing is given up", || {
            let dead = printed(&self.ledger, &["dead-letters", "list"]);
            dead.as_array().is_some_and(|dead| !dead.is_empty()).then_some(dead)
        })
    }
}

/// What is told of commands: those that end, are refused, wait for their moment, and are cancelled.
fn told_of_commands(scheduler: &str) -> Vec<Value> {
    let Served { ledger, address, .. } = &Served::on(scheduler, "10m");
    ledger.answer(&["command", "submit", "account", "other", "open", "--key", "opened"]);
    let mut told = vec![command(address, "opened", "processed"), transfer(address, "moved", "5")];
    told.push(command(address, "moved", "processed"));
    transfer(address, "dear", "5000");
    told.push(command(address, "dear", "processed"));
    let later = ["command", "submit", "account", "late", "open", "--key"];
    ledger.answer(&[&later[..], &["soon", "--in", "1s"]].concat());
    ledger.answer(&[&later[..], &["never", "--in", "7d"]].concat());
    told.push(get(address, "/v1/commands/never"));
    told.push(command(address, "soon", "processed"));
    told.push(printed(ledger, &["command", "list"]));
    ledger.answer(&["command", "cancel", "never"]);
    told.extend([get(address, "/v1/commands/never"), printed(ledger, &["command", "list"])]);
    told.push(json!(ledger.answer(&["balances", "--format", "csv"])));
    told.iter().map(masked).collect()
}

/// What is told of payments: one that is paid, one that is declined, and one whose request is given up.
fn told_of_payments(scheduler: &str) -> Vec<Value> {
    let served = Served::on(scheduler, "10m");
    for (id, payee) in [("paid", PAID), ("declined", DECLINED), ("locked", LOCKED_OUT)] {
        served.pay(id, payee);
    }
    let mut told = vec![served.ended("paid"), served.ended("declined"), served.dead()];
    let ledger = &served.ledger;
    told.push(printed(ledger, &["process", "show", "payments", "locked"]));
    told.push(printed(ledger, &["process", "list", "payments"]));
    told.push(printed(ledger, &["dead-letters", "replay", "--all", "--yes"]));
    told.extend([served.dead(), json!(ledger.answer(&["balances", "--format", "csv"]))]);
    told.iter().map(masked).collect()
}

/// What is told of a payment whose gateway does not answer: a timer ends it.
fn told_of_a_timer(scheduler: &str) -> Vec<Value> {
    let served = Served::on(scheduler, "1s");
    served.pay("hangs", HANGS);
    let told = [served.ended("hangs"), json!(served.ledger.answer(&["balances", "--format", "csv"]))];
    told.iter().map(masked).collect()
}

fn are_told_in_the_same_words(told: fn(&str) -> Vec<Value>) {
    let Some(server) = started() else { return };
    for (embedded, temporal) in told("embedded").iter().zip(&told(&address(&server))) {
        assert_eq!(embedded, temporal);
    }
}

#[test]
fn commands_are_told_in_the_same_words_on_both_schedulers() {
    are_told_in_the_same_words(told_of_commands);
}

#[test]
fn payments_and_dead_letters_are_told_in_the_same_words_on_both_schedulers() {
    are_told_in_the_same_words(told_of_payments);
}

#[test]
fn a_timer_ends_a_payment_in_the_same_words_on_both_schedulers() {
    are_told_in_the_same_words(told_of_a_timer);
}

/// How many workflows Temporal finds; what it is asked for may be a moment behind. `None` where its command line gives
/// up, as it does on a busy machine.
fn count(server: &Temporal, query: &str) -> Option<u64> {
    let found = server.ask(&["workflow", "count", "--query", query, "--output", "json"]).ok()?;
    let found: Value = serde_json::from_str(&found).unwrap();
    Some(found["count"].as_str().map_or(0, |count| count.parse().unwrap()))
}

#[test]
fn people_find_work_by_tenant_category_command_and_correlation() {
    let Some(server) = started() else { return };
    let (ledger, gateway) = (Ledger::new(), TestGateway::new());
    let options = ["--gateway-address", &gateway.address, "--tenant", "acme"];
    let scheduler = address(&server);
    let more = ["--scheduler", &scheduler, "--server-access-log=false"];
    let (_serving, address) = ledger.serve_with(&[&options[..], &more].concat());
    open_purse(&address);
    for (number, key) in ["one", "two"].into_iter().enumerate() {
        submit(&address, key, "account/purse/deposit", &json!({"amount": "1", "commodity": "EUR"}));
        let body = json!({"account": "purse", "amount": "10", "commodity": "EUR", "payee": PAID});
        submit(&address, &format!("pay-{key}"), &format!("payment/{number}/pay"), &body);
    }
    wait_until(&address, "the payments do not end", || {
        let all = events(&address);
        (all.iter().filter(|event| event["type"] == "account-settled").count() == 2).then_some(())
    });
    let found = |query: &str, is_right: fn(u64) -> bool| {
        wait_until(&address, &format!("{query} finds {:?}", count(&server, query)), || {
            count(&server, query).is_some_and(is_right).then_some(())
        });
    };
    // Each payment is a command, and is told of as an input, and so on; a deposit is a command.
    found(r#"UnderlayTenant = "acme" AND UnderlayReceiver = "account" AND UnderlayName = "deposit""#, |n| {
        n == 2
    });
    found(r#"UnderlayTenant = "main""#, |n| n == 0);
    found(r#"UnderlayReceiver = "payment" AND UnderlayName = "pay""#, |n| n == 2);
    found(r#"UnderlayKind = "message" AND UnderlayName = "charge-payment""#, |n| n == 2);
    found(r#"WorkflowType = "underlay.command" AND UnderlayKey = "account-purse""#, |n| n >= 2);
    found(&format!(r#"TaskQueue = "{TASK_QUEUE}" AND UnderlayReceiver = "payments""#), |n| n >= 2);
    // What belongs to one payment, and nothing of the other.
    let query = format!(r#"UnderlayCorrelation = "{}""#, correlation("pay-one"));
    found(&query, |n| n >= 3);
    found(&format!(r#"{query} AND UnderlayName = "charge-payment""#), |n| n == 1);
    found(&format!(r#"{query} AND UnderlayName = "pay""#), |n| n == 1);
    found(&format!(r#"{query} AND UnderlayName = "deposit""#), |n| n == 0);
}

#[test]
fn a_server_that_is_away_is_told_and_what_was_stored_is_done_once_it_is_back() {
    let Some(mut server) = started() else { return };
    let scheduler = address(&server);
    server.stop().unwrap();
    // A service starts beside a server that is away.
    let ledger = Ledger::new();
    let (_serving, address) = ledger.serve_with(&["--scheduler", &scheduler]);
    open_purse(&address);
    ledger.answer(&["command", "submit", "account", "other", "open", "--key", "opened"]);
    transfer(&address, "moved", "5");
    let ready = wait_until(&address, "it is not told", || {
        let ready = get(&address, "/readyz");
        (ready["parts"]["scheduler"] == "degraded").then_some(ready)
    });
    assert_eq!((&ready["status"], &ready["parts"]["work"]), (&json!("degraded"), &json!("ready")));
    assert_eq!(ready["scheduler"]["identity"], format!("temporal default {TASK_QUEUE}"));
    assert_eq!(ready["scheduler"]["is_reachable"], false);
    assert!(ready["scheduler"]["error"].is_string(), "{ready}");
    assert_eq!(get(&address, "/v1/commands/moved")["attempts"], 0);
    let metrics = || {
        let answer = ureq::get(format!("{address}/metrics")).call().unwrap();
        answer.into_body().read_to_string().unwrap()
    };
    assert!(metrics().contains("\nunderlay_scheduler_up 0\n"));

    server.resume().unwrap();
    command(&address, "moved", "processed");
    wait_until(&address, "it is told to be away for ever", || {
        let ready = get(&address, "/readyz");
        (ready["status"] == "ready" && ready["scheduler"]["is_reachable"] == true).then_some(())
    });
    wait_until(&address, "the metrics do not follow", || {
        let metrics = metrics();
        let is_told = metrics.contains("\nunderlay_scheduler_up 1\n")
            && metrics.contains("underlay_scheduler_jobs_total{kind=\"command\",end=\"done\"} 2\n");
        is_told.then_some(())
    });
}

#[test]
fn a_server_that_cannot_be_used_ends_the_service_at_its_start() {
    let Some(server) = started() else { return };
    let ledger = Ledger::new();
    for command in ["serve", "worker"] {
        let nowhere = format!("temporal://{}/nowhere", server.host());
        let output = ledger.run(&[command, "--scheduler", &nowhere]);
        let told = text(&output.stderr);
        assert!(!output.status.success() && told.contains("nowhere"), "{told}");
    }
    let keyed = ledger
        .command(&["serve", "--scheduler", &address(&server)])
        .env("LEDGER_SCHEDULER_API_KEY", "hunter2")
        .output();
    let output = keyed.unwrap();
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(2) && told.contains("tls=true"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}
