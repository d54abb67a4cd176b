//! Stored commands from their submission to their outcome: driven by the service's own workers, and by a Temporal server.
//! Beside them stands the SDK alone, which starts a workflow that does nothing and waits for its end.
//!
//! All three have one process, as many callers, and the same server, which keeps everything in memory. A caller gives its
//! next command, or starts its next workflow, once the one before has ended.

mod bare;
mod stored;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use servers::Temporal;
use tokio::task::JoinSet;

use super::Scale;
use super::disk::Disk;
use super::figure::{Aim, Figure, Latency, Sample};
use crate::Result;
use crate::subject::skip;

pub(super) const PART: &str = "scheduler";

/// Callers that give one after the other, and all of them at a time.
const CALLERS: [u64; 2] = [1, 64];
/// How many times longer than a run of commits one is here.
const RUN_TIMES: u32 = 4;
/// Of the rate of the bare SDK.
const RATE_MIN: f64 = 0.8;
/// How much later than a bare workflow half of the commands may end, in microseconds.
const MEDIAN_ABOVE_MAX: f64 = 10_000.0;

/// What callers do again and again.
#[async_trait]
trait Ending: Send + Sync + 'static {
    /// Begins one and waits for its end. `name` is of this one alone.
    async fn one(&self, caller: u64, name: String) -> Result<()>;
}

pub(super) async fn measure(disk: &Disk, scale: &Scale) -> Result<Vec<Figure>> {
    let server = match Temporal::start() {
        Ok(server) => server,
        Err(missing) if skip(&missing)? => return Ok(Vec::new()),
        Err(missing) => return Err(missing.into()),
    };
    let mut figures = Vec::new();
    for callers in CALLERS {
        let (mut embedded, mut temporal, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..scale.rounds {
            embedded.push(stored::run(disk, None, callers, scale).await?);
            temporal.push(stored::run(disk, Some(&server), callers, scale).await?);
            bare.push(bare::run(&server, callers, scale).await?);
        }
        let who = if callers == 1 { "one caller".to_owned() } else { format!("{callers} callers") };
        let aim = match callers {
            1 => Aim::MedianAboveBaselineAtMost(MEDIAN_ABOVE_MAX),
            _ => Aim::RatioAtLeast(RATE_MIN),
        };
        let on_temporal =
            Figure::new(format!("submit to outcome on Temporal, {who}"), "commands/s", temporal);
        figures.extend([
            Figure::new(format!("submit to outcome, embedded, {who}"), "commands/s", embedded),
            on_temporal.with_baseline("bare workflow", bare.clone()).with_aim(aim),
            Figure::new(format!("bare workflow from start to end, {who}"), "workflows/s", bare),
        ]);
    }
    Ok(figures)
}

/// Lets callers do it for the time of a run, after a time that is not counted.
async fn call(ending: Arc<dyn Ending>, callers: u64, scale: &Scale) -> Result<Sample> {
    let (warm_up, run) = (scale.warm_up * RUN_TIMES, scale.run * RUN_TIMES);
    let begun = Instant::now();
    let mut calling = JoinSet::new();
    for caller in 0..callers {
        calling.spawn(call_alone(ending.clone(), caller, begun, warm_up, run));
    }
    let mut times = Vec::new();
    while let Some(called) = calling.join_next().await {
        times.extend(called??);
    }
    Ok(Sample { latency: Latency::of(times.clone()), ..Sample::of(times.len() as f64 / run.as_secs_f64()) })
}

/// How long each took that ended within the run, in nanoseconds.
async fn call_alone(
    ending: Arc<dyn Ending>,
    caller: u64,
    begun: Instant,
    warm_up: Duration,
    run: Duration,
) -> Result<Vec<u64>> {
    let mut times = Vec::new();
    for turn in 0_u64.. {
        if begun.elapsed() > warm_up + run {
            break;
        }
        let at = Instant::now();
        ending.one(caller, format!("{caller}x{turn}")).await?;
        if (warm_up..warm_up + run).contains(&begun.elapsed()) {
            times.push(u64::try_from(at.elapsed().as_nanos())?);
        }
    }
    Ok(times)
}
