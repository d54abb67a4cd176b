//! The product as a user runs it: `ledger serve` in a process of its own, asked over HTTP; and its
//! other commands.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use underlay_core::{CommitId, TenantId};
use ureq::Agent;

use super::callers::{Answer, Counter, Errand};
use super::told::Acknowledged;
use crate::Result;

/// How long an answer may take before it counts as none.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// Whose requests they are when nobody says so.
const TENANT: &str = "main";

/// The program of the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Ledger(PathBuf);

impl Ledger {
    pub(crate) fn new(program: impl Into<PathBuf>) -> Self {
        Self(program.into())
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, database: &str, arguments: &[&str]) -> Result<Output> {
        Ok(Command::new(&self.0).args(["--database", database]).args(arguments).output()?)
    }

    /// Runs a command to its good end.
    pub(crate) fn done(&self, database: &str, arguments: &[&str]) -> Result<String> {
        let output = self.run(database, arguments)?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(format!("ledger {}: {}", arguments.join(" "), complaint.trim()).into())
    }

    /// Serves until what comes back is dropped; what it complains of goes into a file.
    pub(crate) fn serve(&self, database: &str, complaints: &Path) -> Result<Serving> {
        let mut command = Command::new(&self.0);
        command.args(["--database", database, "serve", "--listen", "127.0.0.1:0"]);
        let tenant = TenantId::new(TENANT)?;
        let file = std::fs::File::create(complaints)?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).spawn()?;
        let output = child.stdout.take().ok_or("a child without output")?;
        let mut serving = Serving { child, output: BufReader::new(output), address: String::new(), tenant };
        let mut line = String::new();
        serving.output.read_line(&mut line)?;
        if let Some(address) = line.trim().rsplit(' ').next().filter(|address| address.starts_with("http")) {
            serving.address = address.to_owned();
            return Ok(serving);
        }
        let status = serving.child.wait()?;
        let complaint = std::fs::read_to_string(complaints)?;
        Err(format!("{status}, {}", complaint.trim().lines().last().unwrap_or_default()).into())
    }
}

/// A process that serves. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Serving {
    child: Child,
    output: BufReader<ChildStdout>,
    address: String,
    tenant: TenantId,
}

impl Serving {
    /// Where it serves.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn client(&self) -> Client {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(ANSWER_MAX));
        let (agent, address) = (config.build().into(), self.address.clone().into());
        Client { agent, address, tenant: self.tenant.clone() }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What was answered over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: bool,
    pub(crate) body: Value,
}

impl Reply {
    /// Whether it is the answer of a service that is away for a moment: 503, and when to come back.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.status == 503 && self.retry_after
    }

    /// Whether it is the answer of a service that does not know what became of a command: nothing that a
    /// proxy sends again, and as the command had a key, when to do that.
    fn is_uncertain(&self) -> bool {
        self.status == 500 && self.retry_after && self.body["type"] == "urn:underlay:problem:uncertain"
    }

    /// What it says for a person.
    pub(crate) fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }

    /// The position a command was stored at.
    pub(crate) fn position(&self) -> Option<u64> {
        number(&self.body["position"])
    }
}

/// Asks a service over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    agent: Agent,
    address: Arc<str>,
    tenant: TenantId,
}

impl Client {
    pub(crate) async fn get(&self, target: &str) -> Result<Reply> {
        let (agent, url) = (self.agent.clone(), format!("{}/{target}", self.address));
        tokio::task::spawn_blocking(move || reply(agent.get(url).call()?)).await?
    }

    pub(crate) async fn post(&self, target: &str, key: &str, body: String) -> Result<Reply> {
        let (agent, url) = (self.agent.clone(), format!("{}/{target}", self.address));
        let key = key.to_owned();
        let send = move || {
            let request = agent.post(url).header("Content-Type", "application/json");
            reply(request.header("Idempotency-Key", key).send(body)?)
        };
        tokio::task::spawn_blocking(send).await?
    }
}

fn reply(mut response: ureq::http::Response<ureq::Body>) -> Result<Reply> {
    let text = response.body_mut().read_to_string()?;
    Ok(Reply {
        status: response.status().as_u16(),
        retry_after: response.headers().contains_key("retry-after"),
        body: serde_json::from_str(&text).map_err(|error| format!("{error} in {text:?}"))?,
    })
}

/// A number, also where it is written as a text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[async_trait]
impl Counter for Client {
    fn commit_id(&self, errand: &Errand) -> CommitId {
        CommitId::from_key(&self.tenant, &errand.key.to_string())
    }

    async fn ask(&self, errand: &Errand) -> Answer {
        let account = format!("caller-{}", errand.caller);
        let (command, body) = match errand.version {
            0 => ("open", "{}"),
            _ => ("deposit", r#"{"amount":"1","commodity":"EUR"}"#),
        };
        let target = format!("v1/account/{account}/{command}");
        let reply = match self.post(&target, &errand.key.to_string(), body.to_owned()).await {
            Ok(reply) => reply,
            Err(error) => return Answer::Wrong(format!("no answer: {error}")),
        };
        match (reply.status, reply.position(), number(&reply.body["streams"][0]["version"])) {
            (200, Some(position), Some(version)) => Answer::Stored(Acknowledged {
                commit: self.commit_id(errand).0,
                stream: format!("account-{account}"),
                version,
                position: Some(position),
            }),
            _ if reply.is_uncertain() => Answer::Uncertain,
            _ if reply.is_unavailable() => Answer::Declined,
            _ => Answer::Wrong(format!("{target} was answered by {reply:?}")),
        }
    }
}
