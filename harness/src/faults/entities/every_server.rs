//! The faults that every server can suffer.

use std::time::{Duration, Instant};

use super::load::Load;
use super::stand::{Stand, Times};
use crate::Result;
use crate::faults::disk::Disk;
use crate::faults::fault::Means;
use crate::faults::report::Measured;
use crate::faults::resumption::{longest_answer, ms};
use crate::faults::wire::{Passage, Wire};

/// How long the load runs before a fault, and after it.
pub(crate) const BEFORE: Duration = Duration::from_secs(1);
pub(crate) const AFTER: Duration = Duration::from_secs(1);
/// How long nothing is stored while a disk is full.
const FULL: Duration = Duration::from_secs(3);
/// The longest that a store which gives up soon lets anybody wait: for a load and a unit, each with a new connection.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The server is stopped in good order, and started again.
pub(crate) async fn stopped<S: Stand>(means: &Means) -> Result<Measured> {
    restart::<S>(means, false, Duration::from_millis(500)).await
}

/// The server is killed, and started again.
pub(crate) async fn killed<S: Stand>(means: &Means) -> Result<Measured> {
    restart::<S>(means, true, Duration::from_millis(500)).await
}

/// So long that every retry has come to its longest pause.
pub(crate) async fn long_away<S: Stand>(means: &Means) -> Result<Measured> {
    restart::<S>(means, true, Duration::from_secs(if means.quick { 8 } else { 30 })).await
}

async fn restart<S: Stand>(means: &Means, hard: bool, away: Duration) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut stand = S::start(None).await?;
    let load = Load::start(&stand, stand.port(), Times::Usual).await?;
    let (mut moments, mut reads) = (Vec::new(), Duration::ZERO);
    let rounds = if means.quick || away > BEFORE { 1 } else { 5 };
    for _ in 0..rounds {
        tokio::time::sleep(BEFORE).await;
        tokio::task::block_in_place(|| stand.stop(hard))?;
        tokio::time::sleep(away).await;
        tokio::task::block_in_place(|| stand.resume())?;
        let answered = Instant::now();
        reads = reads.max(load.goes_on(answered).await?);
        moments.push(answered);
        tokio::time::sleep(AFTER).await;
    }
    measured.see(format!("{rounds} times the server was away for {away:?}"));
    load.finish(&stand, &moments, reads, &mut measured).await?;
    Ok(measured)
}

/// Nothing moves between the stores and the server, for longer than anybody waits.
pub(crate) async fn silence<S: Stand>(means: &Means) -> Result<Measured> {
    let silent = Duration::from_secs(if means.quick { 5 } else { 15 });
    disturbed::<S>(means, 1, async |wire| {
        wire.set(Passage::Silent);
        tokio::time::sleep(silent).await;
    })
    .await
}

/// Every piece takes longer than an answer may, and then so long that it may.
pub(crate) async fn slow<S: Stand>(means: &Means) -> Result<Measured> {
    let time = Duration::from_secs(if means.quick { 2 } else { 6 });
    disturbed::<S>(means, 1, async |wire| {
        wire.set(Passage::Slow(Duration::from_millis(1_500)));
        tokio::time::sleep(time).await;
        wire.set(Passage::Slow(Duration::from_millis(30)));
        tokio::time::sleep(time).await;
    })
    .await
}

/// Every connection is cut, again and again.
pub(crate) async fn cut<S: Stand>(means: &Means) -> Result<Measured> {
    disturbed::<S>(means, if means.quick { 3 } else { 20 }, async |wire| {
        wire.set(Passage::Cut);
        tokio::time::sleep(Duration::from_millis(100)).await;
    })
    .await
}

/// The server gets everything, its answers are lost, and then the connections are cut.
pub(crate) async fn answers_lost<S: Stand>(means: &Means) -> Result<Measured> {
    disturbed::<S>(means, if means.quick { 2 } else { 10 }, async |wire| {
        wire.set(Passage::AnswersLost);
        tokio::time::sleep(Duration::from_millis(400)).await;
        wire.set(Passage::Cut);
    })
    .await
}

/// Disturbs the network between the stores and the server, and lets it be as it was, several times.
async fn disturbed<S: Stand>(_: &Means, rounds: usize, disturb: impl AsyncFn(&Wire)) -> Result<Measured> {
    let mut measured = Measured::default();
    let stand = S::start(None).await?;
    let wire = Wire::to(stand.port()).await?;
    let load = Load::start(&stand, wire.port(), Times::Short).await?;
    let (mut moments, mut reads) = (Vec::new(), Duration::ZERO);
    for _ in 0..rounds {
        tokio::time::sleep(BEFORE).await;
        disturb(&wire).await;
        wire.set(Passage::Open);
        let open = Instant::now();
        reads = reads.max(load.goes_on(open).await?);
        moments.push(open);
    }
    tokio::time::sleep(AFTER).await;
    let told = load.finish(&stand, &moments, reads, &mut measured).await?;
    let longest = longest_answer(&told);
    measured.hold(
        longest <= ANSWER_MAX,
        format!("every caller was answered within {}, of {}", ms(longest), ms(ANSWER_MAX)),
    );
    Ok(measured)
}

/// The disk of the server is full for a time.
pub(crate) async fn full_disk<S: Stand>(means: &Means) -> Result<Measured> {
    let disk = match Disk::mount(means.directory.join("disk-of-entities")) {
        Ok(disk) => disk,
        Err(error) => return Ok(Measured::skipped(format!("a small disk cannot be mounted here: {error}"))),
    };
    let stand = S::start(Some(disk.path())).await?;
    let measured = fill_and_clear(stand, &disk).await;
    drop(disk);
    measured
}

async fn fill_and_clear<S: Stand>(mut stand: S, disk: &Disk) -> Result<Measured> {
    let mut measured = Measured::default();
    let load = Load::start(&stand, stand.port(), Times::Short).await?;
    tokio::time::sleep(BEFORE).await;
    let filler = tokio::task::block_in_place(|| disk.fill())?;
    tokio::time::sleep(FULL).await;
    std::fs::remove_file(filler)?;
    // One that cannot write gives up; whoever watches it starts it again.
    tokio::task::block_in_place(|| {
        stand.stop(true).ok();
        stand.resume()
    })?;
    let answered = Instant::now();
    let reads = load.goes_on(answered).await?;
    tokio::time::sleep(AFTER).await;
    let told = load.finish(&stand, &[answered], reads, &mut measured).await?;
    let declined: usize = told.iter().map(|told| told.declined.len()).sum();
    let uncertain: u64 = told.iter().map(|told| told.uncertain).sum();
    measured.hold(
        declined > 0 || uncertain > 0,
        format!("while the disk was full, {declined} changes were declined and {uncertain} were uncertain"),
    );
    Ok(measured)
}
