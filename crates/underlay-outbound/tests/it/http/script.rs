//! A service that does what it is told, one request after the other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use underlay_core::{
    Column, ColumnType, Entities, EntityChange, EntitySchema, EntityVersion, Error, StoredEntity, TenantId,
    Value,
};
use underlay_outbound::http::{HttpConfig, HttpEntities};

/// What the service does with a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// It answers, and goes on with the connection.
    Answer(String),
    /// It writes this much, and ends the connection.
    Cut(String),
    /// It answers, and ends the connection after that without saying so.
    Leave(String),
    /// It says nothing, and keeps the connection.
    Silent,
    /// It writes this, and then more and more.
    Endless(String),
}

/// What the service heard.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

#[derive(Default)]
pub(crate) struct Told {
    acts: Mutex<VecDeque<Act>>,
    heard: Mutex<Vec<Heard>>,
    connections: Mutex<usize>,
    /// Somebody was heard.
    pub(crate) asked: Notify,
}

pub(crate) struct Script {
    pub(crate) authority: String,
    pub(crate) told: Arc<Told>,
}

impl Script {
    /// Does these things in their order, whichever connection a request comes by. Whoever asks for more is answered 418.
    pub(crate) async fn of(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let told = Arc::new(Told { acts: Mutex::new(acts.into_iter().collect()), ..Told::default() });
        let script = told.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                *script.connections.lock().unwrap() += 1;
                let script = script.clone();
                tokio::spawn(async move { play(socket, &script).await });
            }
        });
        Self { authority, told }
    }

    /// One that has rates, and then does these things.
    pub(crate) async fn with_rates(acts: impl IntoIterator<Item = Act>) -> (Self, HttpEntities) {
        Self::with_rates_and("", acts).await
    }

    /// The same, with these options.
    pub(crate) async fn with_rates_and(
        options: &str,
        acts: impl IntoIterator<Item = Act>,
    ) -> (Self, HttpEntities) {
        let script = Self::of([page(&[], None)].into_iter().chain(acts)).await;
        let rates = HttpEntities::new(&script.address(options), config()).unwrap();
        rates.prepare(&rates_schema()).await.unwrap();
        script.told.heard.lock().unwrap().clear();
        (script, rates)
    }

    pub(crate) fn address(&self, options: &str) -> String {
        format!("http://{}/v1/entities/rate?shared=true{options}", self.authority)
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.told.heard.lock().unwrap().clone()
    }

    /// The methods of all requests, in their order.
    pub(crate) fn methods(&self) -> String {
        self.heard().iter().map(|heard| heard.method.clone()).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn connections(&self) -> usize {
        *self.told.connections.lock().unwrap()
    }
}

/// Answers the requests of one connection.
pub(crate) async fn play(mut socket: impl AsyncRead + AsyncWrite + Unpin, script: &Told) {
    while let Some(heard) = hear(&mut socket).await {
        script.heard.lock().unwrap().push(heard);
        script.asked.notify_waiters();
        let act = script.acts.lock().unwrap().pop_front().unwrap_or_else(|| answer(418, &[], ""));
        let (text, goes_on) = match &act {
            Act::Answer(text) => (text.as_str(), true),
            Act::Cut(text) | Act::Leave(text) | Act::Endless(text) => (text.as_str(), false),
            Act::Silent => ("", true),
        };
        if socket.write_all(text.as_bytes()).await.is_err() {
            return;
        }
        if matches!(act, Act::Endless(_)) {
            while socket.write_all(&[b' '; 4096]).await.is_ok() {}
        }
        if !goes_on {
            let _gone = socket.shutdown().await;
            return;
        }
    }
}

async fn hear(socket: &mut (impl AsyncRead + Unpin)) -> Option<Heard> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_lowercase(), value.trim().to_owned())
    };
    let headers: BTreeMap<String, String> = lines.map(header).collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + 4 + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[end + 4..].to_vec()).unwrap();
    Some(Heard { method, target, headers, body })
}

/// An answer as it goes over the wire.
pub(crate) fn raw(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("HTTP/1.1 {status} As Told\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    // These two have none.
    if status != 304 && status != 204 {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text + "\r\n" + body
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Act {
    Act::Answer(raw(status, headers, body))
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// A problem as Underlay has them.
pub(crate) fn problem(status: u16, kind: &str, members: &str) -> Act {
    let body = format!(
        r#"{{"type":"urn:underlay:problem:{kind}","title":"t","status":{status},"detail":"told as {kind}"{members}}}"#
    );
    answer(status, &[("content-type", "application/problem+json")], &body)
}

pub(crate) fn missing() -> Act {
    problem(404, "not-found", "")
}

/// A rate as Underlay has it.
pub(crate) fn body(id: &str, version: u64, value: &str) -> String {
    format!(r#"{{"id":"{id}","version":{version},"base":"EUR","value":"{value}","note":null}}"#)
}

/// The answer with a rate.
pub(crate) fn raw_rate(version: u64, value: &str) -> String {
    raw(200, &[JSON, ("etag", &format!("\"{version}\""))], &body("eur", version, value))
}

pub(crate) fn rate(version: u64, value: &str) -> Act {
    Act::Answer(raw_rate(version, value))
}

pub(crate) fn page(rates: &[String], next: Option<&str>) -> Act {
    let next = next.map_or_else(|| "null".to_owned(), |next| format!("\"{next}\""));
    answer(200, &[JSON], &format!(r#"{{"entities":[{}],"next":{next}}}"#, rates.join(",")))
}

/// Nothing of an answer.
pub(crate) fn lost() -> Act {
    Act::Cut(String::new())
}

pub(crate) fn rates_schema() -> EntitySchema {
    let column = |name: &str, column_type, nullable, indexed| Column {
        name: name.to_owned(),
        column_type,
        nullable,
        indexed,
    };
    let columns = vec![
        column("base", ColumnType::Text, false, true),
        column("value", ColumnType::Decimal, false, true),
        column("note", ColumnType::Text, true, false),
    ];
    EntitySchema::new("rate", 1, columns)
}

pub(crate) fn values(value: &str) -> Vec<Value> {
    vec![Value::Text("EUR".to_owned()), Value::Decimal(value.parse().unwrap()), Value::Null]
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// Waits shortly for what does not come.
pub(crate) fn config() -> HttpConfig {
    HttpConfig {
        attempt_timeout: Duration::from_millis(300),
        timeout: Duration::from_secs(5),
        ..HttpConfig::default()
    }
}

pub(crate) async fn get(rates: &HttpEntities) -> Result<Option<StoredEntity>, Error> {
    let loaded = rates.load(&rates_schema(), &tenant(), &["eur".to_owned()]).await?;
    Ok(loaded.into_iter().next().flatten())
}

pub(crate) async fn change(rates: &HttpEntities, change: EntityChange) -> Result<u64, Error> {
    rates.apply(&tenant(), vec![change]).await.map(|versions| versions[0].0)
}

pub(crate) fn create(value: &str) -> EntityChange {
    EntityChange::create(Arc::new(rates_schema()), "eur", values(value))
}

pub(crate) fn update(expected: u64, value: &str) -> EntityChange {
    EntityChange::update(Arc::new(rates_schema()), "eur", EntityVersion(expected), values(value))
}

pub(crate) fn delete(expected: Option<u64>) -> EntityChange {
    EntityChange::delete(Arc::new(rates_schema()), "eur", expected.map(EntityVersion))
}
