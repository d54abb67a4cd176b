//! Commands through the front door: the ledger as a user runs it, asked by a client that is not ours, beside a route that
//! does nothing.
//!
//! Each command has a key of its own, so its outcome is stored; the views and the process of the ledger follow, and the log
//! has a line for each request. The client is [wrk](https://github.com/wg/wrk), on the same processors.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use figures::flush_microseconds;
use tokio::net::TcpListener;

use super::Scale;
use super::disk::Disk;
use super::figure::{Aim, Figure, Latency, Sample};
use crate::Result;
use crate::faults::serving::Ledger;

/// Connections of many callers at once.
const CALLERS: usize = 64;
/// Accounts that they deposit to.
const ACCOUNTS: usize = 64;
/// Commands a second that are to be reached.
const COMMANDS_AIM: f64 = 25_000.0;
/// What the slowest hundredth may take, in medians.
const SPREAD_AIM: f64 = 4.0;
/// What a command may take alone, in times of a bare route and one flush.
const ALONE_AIM: f64 = 1.5;

/// What wrk is told: deposits to many accounts, each with a key that no other has.
const COMMANDS: &str = r#"
local threads = 0
function setup(thread) threads = threads + 1; thread:set("number", threads) end
function init() sent = 0; run = tostring(os.time()) .. tostring(os.clock()) end
function request()
  sent = sent + 1
  local path = "/v1/account/Assets:A" .. (sent * 7 + number * 131) % ACCOUNTS .. "/deposit"
  local headers = { ["Content-Type"] = "application/json", ["Idempotency-Key"] = run .. "-" .. number .. "-" .. sent }
  return wrk.format("POST", path, headers, '{"amount":"1","commodity":"EUR"}')
end
function done(summary, latency)
  local wrong = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  print(string.format("figures %d %d %d %f %f", summary.requests, summary.duration, wrong, latency:percentile(50), latency:percentile(99)))
end
"#;

pub(crate) async fn measure(disk: &Disk, ledger: Option<&Path>, scale: &Scale) -> Result<Vec<Figure>> {
    let Some(ledger) = ledger else {
        eprintln!("  SKIP front-door: --ledger names no program");
        return Ok(Vec::new());
    };
    if Command::new("wrk").arg("--version").output().is_err() {
        eprintln!("  SKIP front-door: wrk is not installed");
        return Ok(Vec::new());
    }
    let (ledger, seconds) = (Ledger::new(ledger), scale.run.as_secs().max(1) * 4);
    let script = disk.file("commands.lua");
    fs::write(&script, COMMANDS.replace("ACCOUNTS", &ACCOUNTS.to_string()))?;
    let (mut many, mut bare_many, mut alone, mut bare_alone) = (vec![], vec![], vec![], vec![]);
    for _ in 0..scale.rounds {
        let folder = disk.fresh()?;
        let database = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let serving = ledger.serve(&database, &folder.path().join("log"))?;
        let client = serving.client();
        for account in 0..ACCOUNTS {
            let target = format!("v1/account/Assets:A{account}/open");
            let opened = client.post(&target, &format!("open-{account}"), "{}".to_owned()).await?;
            if opened.status != 200 {
                return Err(format!("an account was not opened: {}", opened.body).into());
            }
        }
        many.push(asked(serving.address(), CALLERS, seconds, &script)?.rate());
        alone.push(asked(serving.address(), 1, seconds, &script)?.each());
        drop(serving);
        let bare = Bare::start()?;
        bare_many.push(asked(&bare.address, CALLERS, seconds, &script)?.rate());
        let mut one = asked(&bare.address, 1, seconds, &script)?.each();
        one.value += flush_microseconds(folder.path())?;
        bare_alone.push(one);
    }
    Ok(vec![
        Figure::new(format!("front door, {CALLERS} connections"), "commands/s", many)
            .with_baseline("requests/s of a bare route", bare_many)
            .with_aim(Aim::AtLeast(COMMANDS_AIM))
            .with_aim(Aim::SpreadAtMost(SPREAD_AIM)),
        Figure::new("front door, a command alone", "µs", alone)
            .with_baseline("µs of a bare route and a flush", bare_alone)
            .with_aim(Aim::RatioAtMost(ALONE_AIM)),
    ])
}

/// What wrk says of a run.
struct Run {
    requests: f64,
    seconds: f64,
    latency: Latency,
}

impl Run {
    fn rate(&self) -> Sample {
        Sample { latency: Some(self.latency), ..Sample::of(self.requests / self.seconds) }
    }

    /// Microseconds of one request after the other.
    fn each(&self) -> Sample {
        Sample { latency: Some(self.latency), ..Sample::of(self.seconds * 1e6 / self.requests) }
    }
}

/// Has wrk ask for some seconds.
fn asked(address: &str, connections: usize, seconds: u64, script: &Path) -> Result<Run> {
    let threads = connections.min(2);
    let output = Command::new("wrk")
        .args([format!("-t{threads}"), format!("-c{connections}"), format!("-d{seconds}s")])
        .arg("-s")
        .arg(script)
        .arg(address)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().find_map(|line| line.strip_prefix("figures "));
    let numbers: Option<Vec<f64>> =
        figures.and_then(|figures| figures.split(' ').map(|number| number.parse().ok()).collect());
    match numbers.as_deref() {
        Some([_, _, wrong, ..]) if *wrong > 0.0 => Err(format!("{wrong} requests went wrong: {text}").into()),
        Some([requests, microseconds, _, p50, p99]) if *requests > 0.0 => Ok(Run {
            requests: *requests,
            seconds: microseconds / 1e6,
            latency: Latency { p50: *p50, p99: *p99 },
        }),
        _ => Err(format!("wrk gave no figures: {text}{}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// A route that takes a body and answers, in a process of its own.
struct Bare {
    child: Child,
    address: String,
}

impl Bare {
    fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "--bare-route"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        let answers = child.stdout.take().ok_or("the child gives no answers")?;
        BufReader::new(answers).read_line(&mut address)?;
        Ok(Self { child, address: address.trim().to_owned() })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to kill.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// Serves the bare route until it is killed.
pub(crate) async fn serve_bare() -> Result<()> {
    let answer = |body: Bytes| async move { (axum::http::StatusCode::OK, body) };
    let router = Router::new().route("/{*path}", post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}
