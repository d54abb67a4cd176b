//! Whether a subscriber is given every event that was committed, while some transactions take long.
//!
//! A trigger on the table of events, which runs when a transaction commits, makes some of them wait: as
//! a slow disk, a synchronous replica or a busy machine does. So transactions end in another order than
//! they drew their numbers in. UmaDB has no transactions to slow down; there it is writers alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use figures::{Booking, Sample};
use tokio::time::timeout;

use crate::entrants::{Appended, Entrant, Log, Opened, Tally};
use crate::figure::{Figure, Report};
use crate::place::Place;
use crate::{Result, Scale};

pub(crate) const TEST: &str = "committed, never delivered";

const WRITERS: u64 = 16;
/// Accounts each writer has.
const ACCOUNTS_EACH: u64 = 50;
/// A subscriber that was silent so long has delivered what it will.
const SILENCE: Duration = Duration::from_secs(4);
/// How long it is waited for in all.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn measure(
    place: &Place,
    scale: &Scale,
    entrants: &[Entrant],
    report: &mut Report,
) -> Result<()> {
    report.begin(TEST);
    for entrant in entrants.iter().filter(|entrant| follows(**entrant)) {
        eprintln!("  {}", entrant.name());
        match open_and_run(place, scale, *entrant).await {
            Ok(Ended::Compared { missing, note }) => {
                let mut figure = Figure::new(TEST, "events", *entrant);
                figure.runs.push(Sample::of(missing as f64));
                figure.note = note;
                report.figures.push(figure);
            }
            Ok(Ended::NoSubscriber) => report.skip(*entrant, "subscribers: it has none"),
            Ok(Ended::NoServer) => {}
            Err(error) => report.skip(*entrant, format!("subscribers: {error}")),
        }
    }
    Ok(())
}

async fn open_and_run(place: &Place, scale: &Scale, entrant: Entrant) -> Result<Ended> {
    let Some(opened) = entrant.open(place, WRITERS as usize * 2).await? else { return Ok(Ended::NoServer) };
    let ended = run(&opened, scale).await;
    opened.close().await?;
    ended
}

/// Those that have no subscriber say so by themselves; baselines and other forms of a store are left out.
fn follows(entrant: Entrant) -> bool {
    !matches!(entrant, Entrant::CqrsEsPersist | Entrant::Disintegrate | Entrant::Insert | Entrant::Unnest)
}

/// How a comparison ended.
enum Ended {
    NoServer,
    NoSubscriber,
    Compared { missing: u64, note: String },
}

async fn run(opened: &Opened, scale: &Scale) -> Result<Ended> {
    let tally = Arc::new(Tally::default());
    let Some(follower) = opened.log.follow(tally.clone()).await? else { return Ok(Ended::NoSubscriber) };
    if let (Some(database), Some(table)) = (&opened.database, opened.log.events_table()) {
        database.admin().await?.batch_execute(include_str!("../sql/create_slow_commit.sql")).await?;
        database
            .admin()
            .await?
            .batch_execute(&include_str!("../sql/create_slow_trigger.sql").replace("{table}", table))
            .await?;
    }
    let numbers = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + scale.followed;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(opened.log.clone(), writer, numbers.clone(), end)))
        .collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await??);
    }
    wait_until_silent(&tally, &acknowledged).await;
    let missing = tally.missing(&acknowledged);
    let (stored, repeated) = (opened.log.count().await?, tally.repeated());
    follower.end().await?;
    if stored < acknowledged.len() as u64 {
        return Err(format!("{stored} events are stored, {} were acknowledged", acknowledged.len()).into());
    }
    let share = missing as f64 * 100.0 / acknowledged.len() as f64;
    let note = format!("{share:.2} % of {}, {repeated} delivered again", acknowledged.len());
    Ok(Ended::Compared { missing, note })
}

/// Writes until the time is up; the numbers that were acknowledged.
async fn write(log: Arc<dyn Log>, writer: u64, numbers: Arc<AtomicU64>, end: Instant) -> Result<Vec<u64>> {
    let mut acknowledged = Vec::new();
    let mut seen = [0_i64; ACCOUNTS_EACH as usize];
    for turn in 0.. {
        let own = turn % ACCOUNTS_EACH;
        let account = writer * ACCOUNTS_EACH + own;
        let seen = &mut seen[own as usize];
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        while Instant::now() < end {
            match log.append(Booking { account, number }, *seen).await? {
                Appended::Stored(now) => {
                    *seen = now;
                    acknowledged.push(number);
                    break;
                }
                Appended::Conflict(now) => *seen = now,
            }
        }
        if Instant::now() >= end {
            break;
        }
    }
    Ok(acknowledged)
}

async fn wait_until_silent(tally: &Tally, acknowledged: &[u64]) {
    let mut deliveries = tally.deliveries();
    let began = Instant::now();
    while tally.missing(acknowledged) > 0 && began.elapsed() < PATIENCE {
        deliveries.mark_unchanged();
        if timeout(SILENCE, deliveries.changed()).await.is_err() {
            return;
        }
    }
}
