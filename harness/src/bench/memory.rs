//! The memory a process needs to read and fold a log, and that it does not grow with the log.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::Result;

use super::disk::Disk;
use super::figure::{Aim, Figure, Sample};
use super::{Scale, catch_up, log_file};

/// Of these sizes of the log.
const SIZES: u64 = 10;

/// What a child tells, in MiB.
#[derive(Debug, Deserialize, Serialize)]
struct Memory {
    now: f64,
    most: f64,
}

pub(crate) async fn measure(disk: &Disk, scale: &Scale) -> Result<Vec<Figure>> {
    if own().is_none() {
        eprintln!("  SKIP memory: this system has no /proc/self/status");
        return Ok(Vec::new());
    }
    let large = log_file::numbered(disk, scale.log_events).await?;
    let small = log_file::numbered(disk, scale.log_events / SIZES).await?;
    let (mut most, mut now, mut growth, mut before) = (vec![], vec![], vec![], vec![]);
    for _ in 0..scale.rounds {
        let (large, small) = (of_child(&large)?, of_child(&small)?);
        most.push(Sample::of(large.most));
        now.push(Sample::of(large.now));
        growth.push(Sample::of(large.most - small.most));
        before.push(Sample::of(small.most));
    }
    let name = |what: &str| format!("memory, {what} over {} events", scale.log_events);
    Ok(vec![
        Figure::new(name("highest"), "MiB", most).with_baseline("at a tenth", before),
        Figure::new(name("at the end"), "MiB", now),
        Figure::new(name("growth from a tenth"), "MiB", growth).with_aim(Aim::AtMost(64.0)),
    ])
}

/// What a child does: opens the store, catches up, folds the view, and prints what it took.
pub(crate) async fn print_own(path: &Path) -> Result<()> {
    let store = log_file::open(path).await?;
    let events = store.store.head().await?.number();
    catch_up::whole_log(&store.store, events).await?;
    let engine = log_file::engine(log_file::ports(&store))?;
    engine.rebuild_view("balances", underlay_runtime::RebuildFrom::default(), |_| {}).await?;
    let memory = own().ok_or("this system does not tell how much memory a process has")?;
    println!("{}", serde_json::to_string(&memory)?);
    drop(engine);
    store.close().await
}

fn of_child(path: &Path) -> Result<Memory> {
    let output = Command::new(std::env::current_exe()?)
        .args(["bench", "--memory-of"])
        .arg(path)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the child that measures memory ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn own() -> Option<Memory> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(Memory { now: mebibytes(&status, "VmRSS:")?, most: mebibytes(&status, "VmHWM:")? })
}

pub(crate) fn mebibytes(status: &str, name: &str) -> Option<f64> {
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
