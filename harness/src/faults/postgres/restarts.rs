//! The server goes away and comes back, or ends its sessions, under load.

use std::process::Command;
use std::time::{Duration, Instant};

use servers::{LOGIN, Shutdown};

use super::load::{Load, Resumed, note_resumption};
use super::place::Place;
use crate::Result;
use crate::faults::fault::Means;
use crate::faults::report::Measured;

pub(crate) const PROMISED: &str = "it goes on within 5 s after the server answers, by itself; every acknowledged \
                                   commit is there once; each caller is told the truth";

/// How long the load runs before a fault, and after it.
const BEFORE: Duration = Duration::from_secs(1);
const AFTER: Duration = Duration::from_secs(2);

pub(crate) async fn fast(means: &Means) -> Result<Measured> {
    restart(means, Shutdown::Fast, Duration::from_millis(500)).await
}

pub(crate) async fn immediate(means: &Means) -> Result<Measured> {
    restart(means, Shutdown::Immediate, Duration::from_millis(500)).await
}

/// So long that every retry has come to its longest pause.
pub(crate) async fn away_for_long(means: &Means) -> Result<Measured> {
    let away = if means.quick { 12 } else { 45 };
    restart(means, Shutdown::Fast, Duration::from_secs(away)).await
}

async fn restart(means: &Means, shutdown: Shutdown, away: Duration) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut place = Place::new(means, &[]).await?;
    let address = place.address();
    let load = Load::start(&mut place, &address).await?;
    let mut moments = Vec::new();
    let mut services = Resumed::default();
    let rounds = if means.quick || away > BEFORE { 1 } else { 3 };
    for _ in 0..rounds {
        tokio::time::sleep(BEFORE).await;
        let answered = place.restart(shutdown, away).await?;
        services = services.max(load.services_go_on(&place.admin().await?, answered).await?);
        moments.push(answered);
        tokio::time::sleep(AFTER).await;
    }
    let (told, findings) = load.finish(&place.admin().await?).await?;
    measured.see(format!("{rounds} restarts, the server was away for {away:?} each"));
    note_resumption(&mut measured, &told, &moments, Some(services));
    measured.compare(&findings);
    Ok(measured)
}

/// Every session of the service is ended, again and again.
pub(crate) async fn backends_ended(means: &Means) -> Result<Measured> {
    const PAUSE: Duration = Duration::from_millis(400);
    let mut measured = Measured::default();
    let mut place = Place::new(means, &[]).await?;
    let address = place.address();
    let load = Load::start(&mut place, &address).await?;
    let admin = place.admin().await?;
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
    let (mut moments, mut sessions) = (Vec::new(), 0);
    for _ in 0..if means.quick { 5 } else { 25 } {
        tokio::time::sleep(PAUSE).await;
        sessions += admin.query(kill, &[&LOGIN]).await?.len();
        moments.push(Instant::now());
    }
    let last = Instant::now();
    let services = load.services_go_on(&admin, last).await?;
    tokio::time::sleep(AFTER).await;
    let (told, findings) = load.finish(&admin).await?;
    measured.see(format!("{sessions} sessions ended at {} moments", moments.len()));
    note_resumption(&mut measured, &told, &moments, Some(services));
    measured.compare(&findings);
    Ok(measured)
}

/// One server process is killed: the server throws out everybody and recovers as after a crash.
pub(crate) async fn backend_killed(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut place = Place::new(means, &[]).await?;
    let address = place.address();
    let load = Load::start(&mut place, &address).await?;
    let busiest =
        "SELECT pid FROM pg_stat_activity WHERE usename = $1 ORDER BY state = 'active' DESC LIMIT 1";
    let mut moments = Vec::new();
    let mut services = Resumed::default();
    for _ in 0..if means.quick { 1 } else { 4 } {
        tokio::time::sleep(BEFORE).await;
        let admin = place.admin().await?;
        let process: i32 = admin.query_one(busiest, &[&LOGIN]).await?.try_get(0)?;
        servers::output(Command::new("kill").args(["-KILL", &process.to_string()]))?;
        // The server ends this session too: then it recovers.
        while !admin.is_closed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let answered = place.answers().await?;
        services = services.max(load.services_go_on(&place.admin().await?, answered).await?);
        moments.push(answered);
    }
    tokio::time::sleep(AFTER).await;
    let (told, findings) = load.finish(&place.admin().await?).await?;
    measured.see(format!("{} recoveries after a killed server process", moments.len()));
    note_resumption(&mut measured, &told, &moments, Some(services));
    measured.compare(&findings);
    Ok(measured)
}
