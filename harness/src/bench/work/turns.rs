//! A tenant whose first message comes while a hundred thousand of another wait: the time until its handler begins,
//! against the 95th percentile of the same on an idle system.

use std::sync::Arc;
use std::time::{Duration, Instant};

use underlay_core::{Commit, CommitId, EventStore};
use underlay_runtime::EngineConfig;

use super::Ground;
use super::backlog;
use super::courier::{self, LINES, Round, TENANTS, message};
use super::crew::Crew;
use crate::Result;
use crate::bench::Scale;
use crate::bench::figure::{Aim, Figure, Latency, Sample};
use crate::subject::Way;

/// What each message of the large tenant takes, as the call of another service does.
const PAUSE: Duration = Duration::from_millis(20);
/// Messages of the small tenant in a run, one after the other: each is the first. On a slow machine there are fewer,
/// so that all of them come while others wait.
const FIRSTS: u64 = 100;
const FIRSTS_MIN: usize = 20;
/// Between two of them.
const BETWEEN: Duration = Duration::from_millis(20);
/// The tenants of the two; the small one has nothing of the backlog.
const LARGE: u64 = 0;
const SMALL: u64 = 1;

pub(super) async fn measure(ground: &Ground, scale: &Scale) -> Result<Vec<Figure>> {
    let (mut beside, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        idle.push(firsts(ground, 0, 0.95).await?);
        beside.push(firsts(ground, scale.backlog, 0.5).await?);
    }
    let name = format!("time to the first of a tenant, {} of another wait", scale.backlog);
    Ok(vec![Figure::new(name, "µs", beside).with_baseline("idle, p95", idle).with_aim(Aim::RatioAtMost(2.0))])
}

/// Microseconds from the answer to the handler, at a share of the times: half of them take no longer than that at 0.5.
async fn firsts(ground: &Ground, backlog: u64, share: f64) -> Result<Sample> {
    let place = ground.place().await?;
    let sender = place.address(Way::USUAL).open().await?;
    store_backlog(&sender.store, backlog).await?;
    let round = Arc::new(Round::open().with_pause(PAUSE).timed());
    let crew = Crew::start(&*place, 1, &round, &EngineConfig::default()).await?;
    if backlog > 0 {
        // It is at work on what waits.
        round.wait_for(1).await?;
    }
    let mut waits = Vec::new();
    for turn in 0..FIRSTS {
        if backlog > 0 && round.handled() > backlog * 3 / 4 {
            break;
        }
        let number = turn * LINES + SMALL;
        let (tenant, work) = message(number)?;
        sender.store.commit(&tenant, Commit::new(CommitId::draw()).send(work)).await?;
        let answered = Instant::now();
        let begun = begun(&round, number).await;
        waits.push(u64::try_from(begun.saturating_duration_since(answered).as_nanos())?);
        tokio::time::sleep(BETWEEN).await;
    }
    if waits.len() < FIRSTS_MIN {
        return Err(format!("the backlog of {backlog} was at its end after {} firsts", waits.len()).into());
    }
    crew.stop().await?;
    sender.close().await?;
    waits.sort_unstable();
    let at = ((waits.len() as f64 * share) as usize).min(waits.len() - 1);
    let value = waits[at] as f64 / 1e3;
    Ok(Sample { latency: Latency::of(waits), ..Sample::of(value) })
}

/// When the message of a number was begun, once it is.
async fn begun(round: &Round, number: u64) -> Instant {
    loop {
        if let Some(begun) = round.take_begun(number) {
            return begun;
        }
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
}

async fn store_backlog(store: &Arc<dyn EventStore>, count: u64) -> Result<()> {
    let tenant = courier::tenant(LARGE)?;
    let numbers: Vec<u64> = (0..count).map(|number| number * TENANTS + LARGE).collect();
    for batch in numbers.chunks(backlog::BATCH) {
        let mut commit = Commit::new(CommitId::draw());
        for number in batch {
            commit = commit.send(message(*number)?.1);
        }
        store.commit(&tenant, commit).await?;
    }
    Ok(())
}
