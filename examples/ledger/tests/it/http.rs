//! The first five minutes over HTTP, on a file, with a restart in between.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::program::Ledger;

/// What was answered: the status, and the body.
pub(crate) type Answer = (u16, Value);

pub(crate) struct Client {
    agent: ureq::Agent,
    address: String,
}

impl Client {
    pub(crate) fn new(address: String) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Self { agent: config.into(), address }
    }

    pub(crate) fn post(&self, target: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut request = self.agent.post(format!("{}/v1/{target}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("Content-Type", "application/json");
        answer(request.send(body.to_string()).unwrap())
    }

    pub(crate) fn put(&self, target: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let request = self.agent.put(format!("{}/v1/{target}", self.address));
        let with =
            |request: ureq::RequestBuilder<_>, (name, value): &(&str, &str)| request.header(*name, *value);
        let request = headers.iter().fold(request, with).header("Content-Type", "application/json");
        answer(request.send(body.to_string()).unwrap())
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.get_with(target, &[])
    }

    pub(crate) fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.agent.get(format!("{}/v1/{target}", self.address));
        let with =
            |request: ureq::RequestBuilder<_>, (name, value): &(&str, &str)| request.header(*name, *value);
        answer(headers.iter().fold(request, with).call().unwrap())
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let body = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&body).unwrap())
}

pub(crate) fn eur(amount: &str) -> Value {
    json!({ "amount": amount, "commodity": "EUR" })
}

#[test]
fn accounts_over_http_also_after_a_restart() {
    let ledger = Ledger::new();
    let (serving, address) = ledger.serve();
    let client = Client::new(address);
    for account in ["Cash", "Savings"] {
        assert_eq!(client.post(&format!("account/{account}/open"), &[], &json!({})).0, 200);
    }
    assert_eq!(client.post("account/Cash/deposit", &[], &eur("100")).0, 200);
    let key = [("Idempotency-Key", "payday")];
    let first = client.post("account/Cash/withdraw", &key, &eur("30"));
    assert_eq!(first.1["streams"][0]["version"], 3);
    let transfer = json!({ "from": "Cash", "to": "Savings", "amount": "20", "commodity": "EUR" });
    let (status, moved) = client.post("operations/transfer", &[], &transfer);
    assert_eq!((status, moved["events"].as_array().unwrap().len()), (200, 2));

    let refused_key = [("Idempotency-Key", "too-much")];
    let (status, refused) = client.post("account/Cash/withdraw", &refused_key, &eur("1000"));
    assert_eq!((status, &refused["code"], &refused["available"]), (422, &json!("overdrawn"), &json!("50")));
    let (status, conflict) = client.post("account/Cash/deposit", &[("If-Match", "\"2\"")], &eur("1"));
    assert_eq!((status, &conflict["expected"], &conflict["actual"]), (409, &json!(2), &json!(4)));
    let (status, reused) = client.post("account/Cash/withdraw", &key, &eur("31"));
    assert_eq!((status, &reused["type"]), (409, &json!("urn:underlay:problem:id-reused")));

    // Killed, and started again.
    drop(serving);
    let (_serving, address) = ledger.serve();
    let client = Client::new(address);
    assert_eq!(client.post("account/Cash/withdraw", &key, &eur("30")), first);
    assert_eq!(client.post("account/Cash/deposit", &[], &eur("5000")).0, 200);
    assert_eq!(client.post("account/Cash/withdraw", &refused_key, &eur("1000")), (422, refused));

    let (_, stream) = client.get("streams/account-Cash");
    assert_eq!(stream["version"], 5);
    let head = stream["events"][4]["position"].as_str().unwrap().to_owned();
    let mut seen = Vec::new();
    let filters = format!("commodity=EUR&sort=-balance&limit=1&min_position={head}");
    let mut page = client.get(&format!("views/balances?{filters}")).1;
    loop {
        seen.extend(page["rows"].as_array().unwrap().iter().map(|row| row["balance"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        page = client.get(&format!("views/balances?{filters}&cursor={next}")).1;
    }
    assert_eq!(seen, [json!("5050"), json!("20")]);
}

#[test]
fn a_name_is_served_once_it_is_allowed() {
    let status_of = |address: &str, host: &str| {
        let mut connection = TcpStream::connect(address.strip_prefix("http://").unwrap()).unwrap();
        let request = format!("GET /v1/views HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let ledger = Ledger::new();
    let (serving, address) = ledger.serve();
    assert_eq!(
        (status_of(&address, "localhost").as_str(), status_of(&address, "bank.example").as_str()),
        ("200", "421")
    );
    drop(serving);
    let (_serving, address) =
        ledger.serve_with(&["--allow-host", "bank.example", "--allow-host", "b.example"]);
    for (host, status) in [("bank.example", "200"), ("b.example:443", "200"), ("c.example", "421")] {
        assert_eq!(status_of(&address, host), status, "{host}");
    }
    assert_eq!(ledger.run(&["serve", "--allow-host", "https://bank.example"]).status.code(), Some(2));
}
