//! A log ten times as long, with ten times the streams and tenants: what a process needs to start on it and to serve it, and
//! how fast it is there, beside the log of a tenth.
//!
//! Each log is served by a process of its own, so that its memory is nobody else's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use underlay_core::{EventStore, EventStoreExt, ExpectedVersion, TenantId, Version};
use underlay_runtime::RebuildFrom;

use crate::Result;

use super::account::{Bookings, stream};
use super::commits::{Pressure, Turn, Writer, press};
use super::disk::Disk;
use super::figure::{Aim, Figure, Sample};
use super::{Scale, catch_up, log_file};

pub(super) const PART: &str = "size";

/// How many times the smaller log the larger one is.
const TIMES: u64 = 10;
/// Rounds: each reads both logs from end to end, twice.
const ROUNDS: usize = 3;
/// Events of each stream.
const STREAM_EVENTS: u64 = 10;
/// Events of each tenant.
const TENANT_EVENTS: u64 = 10_000;
/// Events in a commit of the logs.
const COMMIT_EVENTS: u64 = 5;
/// Commits under way while a log is written.
const WRITERS: usize = 512;
/// Callers that commit.
const CALLERS: u64 = 64;
/// Streams that are loaded, one after the other.
const LOADS: u64 = 5_000;

/// What a process came to on one log.
#[derive(Debug, Deserialize, Serialize)]
struct Served {
    /// From opening the file to the answer to a first commit, in milliseconds.
    start: f64,
    /// The most memory that was resident, in MiB.
    memory: f64,
    /// Each a second.
    commits: f64,
    loads: f64,
    caught_up: f64,
    folded: f64,
}

/// The streams of a log, spread over its tenants.
#[derive(Clone, Copy)]
struct Spread {
    events: u64,
}

impl Spread {
    fn streams(self) -> u64 {
        self.events / STREAM_EVENTS
    }

    fn tenant(self, account: u64) -> Result<TenantId> {
        let tenants = (self.events / TENANT_EVENTS).max(1);
        Ok(TenantId::new(format!("tenant-{}", account % tenants))?)
    }

    /// The account of a number: neighbours in number are not neighbours in name.
    fn account(self, number: u64) -> u64 {
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % self.streams()
    }
}

pub(crate) async fn measure(disk: &Disk, scale: &Scale) -> Result<Vec<Figure>> {
    if memory().is_none() {
        eprintln!("  SKIP {PART}: this system has no /proc/self/status");
        return Ok(Vec::new());
    }
    let large = written(disk, scale.log_events * TIMES).await?;
    let small = written(disk, scale.log_events).await?;
    let mut runs = Vec::new();
    let events = scale.log_events * TIMES;
    for _ in 0..ROUNDS.min(scale.rounds) {
        runs.push((of_child(&large, events, scale)?, of_child(&small, scale.log_events, scale)?));
    }
    let figure = |what: &str, unit, value: fn(&Served) -> f64| {
        let of = |served: &Served| Sample::of(value(served));
        Figure::new(
            format!("{what}, {events} events"),
            unit,
            runs.iter().map(|(large, _)| of(large)).collect(),
        )
        .with_baseline("with a tenth", runs.iter().map(|(_, small)| of(small)).collect())
    };
    let kept = Aim::RatioAtLeast(0.8);
    Ok(vec![
        figure("start", "ms", |served| served.start).with_aim(Aim::AtMost(1_000.0)),
        figure("memory at its highest", "MiB", |served| served.memory).with_aim(Aim::RatioAtMost(1.2)),
        figure(&format!("commits, {CALLERS} callers"), "commits/s", |served| served.commits).with_aim(kept),
        figure(&format!("loads of {STREAM_EVENTS} events"), "loads/s", |served| served.loads).with_aim(kept),
        figure("catch-up, typed", "events/s", |served| served.caught_up).with_aim(kept),
        figure("view from nothing", "events/s", |served| served.folded).with_aim(kept),
    ])
}

/// The path of such a log.
async fn written(disk: &Disk, events: u64) -> Result<PathBuf> {
    let path = disk.file(&format!("spread-{events}.db"));
    eprintln!("  writing a log of {events} events");
    let store = log_file::open(&path).await?;
    let (spread, bookings) = (Spread { events }, Arc::new(Bookings::new()?));
    let places = Arc::new(Semaphore::new(WRITERS));
    for number in (0..events).step_by(COMMIT_EVENTS as usize) {
        let place = places.clone().acquire_owned().await?;
        let account = number / COMMIT_EVENTS % spread.streams();
        let (log, tenant) = (store.store.clone(), spread.tenant(account)?);
        let commit = bookings.commit(&stream(account)?, ExpectedVersion::Any, number, COMMIT_EVENTS);
        tokio::spawn(async move {
            let stored = log.commit(&tenant, commit).await;
            drop(place);
            stored
        });
    }
    let all = places.acquire_many(u32::try_from(WRITERS)?).await?;
    drop(all);
    let head = store.store.head().await?.number();
    store.close().await?;
    if head == events { Ok(path) } else { Err(format!("the log has {head} events, not {events}").into()) }
}

fn of_child(path: &Path, events: u64, scale: &Scale) -> Result<Served> {
    // Every run begins with the same file, as far as one that is written to can be the same.
    log_file::warm(path)?;
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["bench", "--size-of"]).arg(path).args(["--written", &events.to_string()]);
    if scale.is_quick() {
        child.arg("--quick");
    }
    let output = child.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the child that serves a log ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What a child does with a log that was written with so many events: opens the store, commits, loads, reads everything,
/// folds the view, and prints what that came to.
pub(crate) async fn print_own(path: &Path, written: u64, scale: &Scale) -> Result<()> {
    let bookings = Arc::new(Bookings::new()?);
    let began = Instant::now();
    let store = log_file::open(path).await?;
    let engine = log_file::engine(log_file::ports(&store))?;
    // The children before have added events, and no stream.
    let spread = Spread { events: written };
    let writer = SpreadWriter { store: store.store.clone(), bookings, spread, sent: Arc::default() };
    writer.commit().await?;
    let start = began.elapsed().as_secs_f64() * 1e3;
    let pressure = Pressure { callers: CALLERS, first: 0, events_each: 1 };
    let commits = press(writer, pressure, scale).await?.value;
    let began = Instant::now();
    for number in 0..LOADS {
        let account = spread.account(number);
        let (tenant, stream) = (spread.tenant(account)?, stream(account)?);
        if store.store.read_stream_whole(&tenant, &stream, Version::NONE).await?.is_empty() {
            return Err(format!("the stream of account {account} is empty").into());
        }
    }
    let loads = LOADS as f64 / began.elapsed().as_secs_f64();
    let events = store.store.head().await?.number();
    let rate = |began: Instant| events as f64 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    catch_up::whole_log(&store.store, events).await?;
    let caught_up = rate(began);
    let began = Instant::now();
    engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await?;
    let folded = rate(began);
    let memory = memory().ok_or("this system does not tell how much memory a process has")?;
    println!("{}", serde_json::to_string(&Served { start, memory, commits, loads, caught_up, folded })?);
    drop(engine);
    store.close().await
}

/// Writes to streams all over the log.
#[derive(Clone)]
struct SpreadWriter {
    store: Arc<dyn EventStore>,
    bookings: Arc<Bookings>,
    spread: Spread,
    sent: Arc<AtomicU64>,
}

impl SpreadWriter {
    async fn commit(&self) -> Result<Instant> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let account = self.spread.account(number);
        let tenant = self.spread.tenant(account)?;
        let commit = self.bookings.commit(&stream(account)?, ExpectedVersion::Exists, number, 1);
        let start = Instant::now();
        self.store.commit(&tenant, commit).await?;
        Ok(start)
    }
}

impl Writer for SpreadWriter {
    async fn write(&self, _: Turn<'_>) -> Result<Instant> {
        self.commit().await
    }
}

/// The most memory of this process that was resident, in MiB.
fn memory() -> Option<f64> {
    mebibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

pub(super) fn mebibytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_by_their_name() {
        let status = "Name:\tharness\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n";
        assert_eq!(mebibytes(status, "VmHWM:"), Some(20.0));
        assert_eq!(mebibytes(status, "VmRSS:"), Some(10.0));
        assert_eq!(mebibytes(status, "VmSwap:"), None);
    }
}
