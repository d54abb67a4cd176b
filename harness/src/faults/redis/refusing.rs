//! The server is there and takes no changes, or takes nothing yet.

use std::time::{Duration, Instant};

use super::stand::RedisStand;
use crate::Result;
use crate::faults::entities::{AFTER, BEFORE, Load, Stand, Times};
use crate::faults::fault::Means;
use crate::faults::report::Measured;

/// How long the server takes no changes.
const REFUSING: Duration = Duration::from_secs(2);
/// Microseconds that a server takes for each command that it loads: so it is seen to load.
const LOAD_DELAY: &str = "400";

/// The server is a replica for a time, as after a failover that left the address where it was.
pub(super) async fn read_only(means: &Means) -> Result<Measured> {
    let replica = ["replicaof", "127.0.0.1", "1"];
    refusing(means, &replica, &["replicaof", "no", "one"], "replica").await
}

/// The server has no memory left for a time.
pub(super) async fn out_of_memory(means: &Means) -> Result<Measured> {
    let full = ["config", "set", "maxmemory", "1"];
    refusing(means, &full, &["config", "set", "maxmemory", "0"], "maxmemory").await
}

/// The server is told to take no changes, and to take them again.
async fn refusing(means: &Means, begin: &[&str], end: &[&str], named: &str) -> Result<Measured> {
    let mut measured = Measured::default();
    let stand = RedisStand::start(None).await?;
    let load = Load::start(&stand, stand.port(), Times::Usual).await?;
    let (mut moments, mut reads) = (Vec::new(), Duration::ZERO);
    for _ in 0..if means.quick { 1 } else { 5 } {
        tokio::time::sleep(BEFORE).await;
        tokio::task::block_in_place(|| stand.0.ask(begin))?;
        // What is there is read meanwhile.
        load.reads(Instant::now()).await?;
        tokio::time::sleep(REFUSING).await;
        tokio::task::block_in_place(|| stand.0.ask(end))?;
        let answered = Instant::now();
        reads = reads.max(load.goes_on(answered).await?);
        moments.push(answered);
    }
    tokio::time::sleep(AFTER).await;
    measured.hold(load.heard().times(named) > 0, format!("callers are told why: {named}"));
    load.finish(&stand, &moments, reads, &mut measured).await?;
    Ok(measured)
}

/// The server comes back after a kill and needs a while to load what it has.
pub(super) async fn loading(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut stand = RedisStand::with(&["--key-load-delay", LOAD_DELAY])?;
    let load = Load::start(&stand, stand.port(), Times::Usual).await?;
    tokio::time::sleep(if means.quick { BEFORE } else { BEFORE * 5 }).await;
    tokio::task::block_in_place(|| stand.stop(true))?;
    let began = Instant::now();
    tokio::task::block_in_place(|| stand.resume())?;
    let answered = Instant::now();
    measured.see(format!("it loaded for {} ms", answered.duration_since(began).as_millis()));
    let reads = load.goes_on(answered).await?;
    tokio::time::sleep(AFTER).await;
    measured.hold(
        load.heard().times("busy with itself") > 0,
        "callers are told that it is busy with itself".to_owned(),
    );
    load.finish(&stand, &[answered], reads, &mut measured).await?;
    Ok(measured)
}
