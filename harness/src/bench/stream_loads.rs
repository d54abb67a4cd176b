//! Loads of a stream of a thousand events, that lie between those of other streams as they came.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use underlay_core::{
    AggregateState, EventStore, EventStoreExt, ExpectedVersion, StreamName, TenantId, Version,
};
use underlay_runtime::{ExecuteError, Ports, Request};

use crate::Result;

use super::account::{Account, AccountCommand, Bookings, stream, tenant};
use super::disk::Disk;
use super::figure::{Aim, Figure, Latency, Sample};
use super::{Scale, log_file, plain_scan};

/// Streams in the log.
const STREAMS: u64 = 100;
/// Events in each.
const EVENTS: u64 = 1_000;
/// Events in a commit.
const COMMIT_EVENTS: u64 = 10;
/// How often each stream is loaded in a run.
const PASSES: u64 = 3;

pub(crate) async fn measure(disk: &Disk, scale: &Scale) -> Result<Vec<Figure>> {
    let path = disk.file("streams.db");
    write(&path).await?;
    let store = log_file::open(&path).await?;
    let (tenant, connection) = (tenant()?, plain_scan::open(&path)?);
    let ports = log_file::ports(&store);
    let streams: Vec<StreamName> = (0..STREAMS).map(stream).collect::<Result<_>>()?;
    let (mut whole, mut cold, mut restored, mut scanned) = (vec![], vec![], vec![], vec![]);
    let plain = Ports { snapshots: None, ..ports.clone() };
    if ports.snapshots.is_some() {
        take_snapshots(&ports, &tenant, &streams).await?;
    }
    for _ in 0..scale.rounds {
        log_file::warm(&path)?;
        let mut times = Vec::new();
        for stream in streams.iter().cycle().take((STREAMS * PASSES) as usize) {
            let start = Instant::now();
            let mut state = AggregateState::new::<Account>();
            state.evolve(&ports.store.read_stream_whole(&tenant, stream, Version::NONE).await?)?;
            times.push(start.elapsed());
            verify(&state)?;
        }
        whole.push(sample(&times)?);
        cold.push(look_at_each(&plain, &tenant).await?);
        if ports.snapshots.is_some() {
            restored.push(look_at_each(&ports, &tenant).await?);
        }
        scanned.push(tokio::task::block_in_place(|| {
            let mut times = Vec::new();
            for stream in streams.iter().cycle().take((STREAMS * PASSES) as usize) {
                let start = Instant::now();
                plain_scan::stream(&connection, stream.as_str())?.rate(EVENTS)?;
                times.push(start.elapsed());
            }
            sample(&times)
        })?);
    }
    let figure = |name: &str, runs| Figure::new(format!("load of {EVENTS} events, {name}"), "events/s", runs);
    let mut figures = vec![
        figure("typed", whole)
            .with_baseline("plain scan", scanned.clone())
            .with_aim(Aim::AtLeast(1_000_000.0)),
        figure("by a command", cold.clone()).with_baseline("plain scan", scanned),
    ];
    if restored.is_empty() {
        eprintln!("  SKIP loads with a snapshot: the store keeps none");
    } else {
        figures.push(figure("by a command with a snapshot", restored).with_baseline("without it", cold));
    }
    drop((ports, plain, connection));
    store.close().await?;
    Ok(figures)
}

/// Writes the streams, some events of each in turn.
async fn write(path: &Path) -> Result<()> {
    let store = log_file::open(path).await?;
    let (tenant, bookings) = (tenant()?, Arc::new(Bookings::new()?));
    for first in (0..EVENTS).step_by(COMMIT_EVENTS as usize) {
        let mut tasks = Vec::new();
        for account in 0..STREAMS {
            let commit = bookings.commit(
                &stream(account)?,
                ExpectedVersion::Any,
                first * STREAMS + account,
                COMMIT_EVENTS,
            );
            let (store, tenant) = (store.store.clone(), tenant.clone());
            tasks.push(tokio::spawn(async move { store.commit(&tenant, commit).await }));
        }
        for task in tasks {
            task.await??;
        }
    }
    store.close().await
}

/// Loads every stream once, by a command of an engine that has seen none of them.
async fn look_at_each(ports: &Ports, tenant: &TenantId) -> Result<Sample> {
    let mut times = Vec::new();
    for _ in 0..PASSES {
        let engine = log_file::engine(ports.clone())?;
        for account in 0..STREAMS {
            let start = Instant::now();
            let request = Request::new(tenant.clone());
            match engine.execute::<Account>(&request, &account, AccountCommand::Look).await {
                Ok(_) => times.push(start.elapsed()),
                Err(ExecuteError::Refused(refusal)) => return Err(refusal.to_string().into()),
                Err(ExecuteError::Ended(ended)) => return Err(ended.to_string().into()),
                Err(ExecuteError::Failed(error)) => return Err(error.into()),
            }
        }
    }
    sample(&times)
}

/// Lets an engine take the snapshots, and waits until they are stored.
async fn take_snapshots(ports: &Ports, tenant: &TenantId, streams: &[StreamName]) -> Result<()> {
    let Some(snapshots) = &ports.snapshots else { return Ok(()) };
    let mut missing: Vec<&StreamName> = streams.iter().collect();
    while !missing.is_empty() {
        // Only some are stored at once; what is left out is taken by the next engine that loads it.
        look_at_each(ports, tenant).await?;
        let mut still = Vec::new();
        for stream in missing {
            if snapshots.load_snapshot(tenant, stream).await?.is_none() {
                still.push(stream);
            }
        }
        missing = still;
    }
    Ok(())
}

fn verify(state: &AggregateState) -> Result<()> {
    match state.get::<Account>() {
        Some(account) if account.bookings == EVENTS => Ok(()),
        _ => Err("a stream was not loaded whole".into()),
    }
}

fn sample(times: &[Duration]) -> Result<Sample> {
    let seconds: f64 = times.iter().map(Duration::as_secs_f64).sum();
    let nanoseconds =
        times.iter().map(|time| Ok(u64::try_from(time.as_nanos())?)).collect::<Result<Vec<u64>>>()?;
    let value = times.len() as f64 * EVENTS as f64 / seconds;
    Ok(Sample { latency: Latency::of(nanoseconds), ..Sample::of(value) })
}
