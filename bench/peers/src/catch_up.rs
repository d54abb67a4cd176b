//! The whole log read in order from its start, each event decoded.

use std::time::Instant;

use crate::account::Booking;
use crate::entrants::{Entrant, Log, Opened, Seen};
use crate::figure::{Figure, Report, Sample};
use crate::place::Place;
use crate::{Result, Scale};

pub(crate) const TEST: &str = "catch-up over the whole log";

/// Accounts of a log.
const ACCOUNTS: u64 = 10_000;
/// Events of an account that are stored together.
const TOGETHER: u64 = 10;
/// Who fills a log.
const FILLERS: u64 = 16;

pub(crate) async fn measure(
    place: &Place,
    scale: &Scale,
    entrants: &[Entrant],
    report: &mut Report,
) -> Result<()> {
    let mut filled = Vec::new();
    for entrant in entrants.iter().filter(|entrant| reads(**entrant)) {
        match open_filled(place, scale, *entrant).await {
            Ok(Some(opened)) => filled.push((Figure::new(TEST, "events/s", *entrant), opened)),
            Ok(None) => {}
            Err(error) => report.skip(*entrant, format!("{TEST}: {error}")),
        }
    }
    let expected = expected(scale.log_events);
    for round in 0..=scale.rounds {
        for (figure, opened) in &mut filled {
            let began = Instant::now();
            let seen = opened.log.read_whole().await;
            let speed = scale.log_events as f64 / began.elapsed().as_secs_f64();
            match seen {
                // The first finds nothing in memory, which says little: the logs fit into it.
                Ok(Some(seen)) if seen == expected && round > 0 => figure.runs.push(Sample::of(speed)),
                Ok(Some(seen)) if seen == expected => {}
                Ok(seen) => {
                    report.skip(figure.entrant, format!("{TEST}: it read {seen:?}, not {expected:?}"))
                }
                Err(error) => report.skip(figure.entrant, format!("{TEST}: {error}")),
            }
        }
    }
    for (figure, opened) in filled {
        report.figures.extend(Some(figure).filter(|figure| !figure.runs.is_empty()));
        opened.close().await?;
    }
    Ok(())
}

/// Those that read a log in a way of their own.
pub(crate) fn reads(entrant: Entrant) -> bool {
    !matches!(
        entrant,
        Entrant::OursBare
            | Entrant::CqrsEsPersist
            | Entrant::DisintegrateUnchecked
            | Entrant::Insert
            | Entrant::Unnest
    )
}

/// Opens a store with its log filled; none where it has no server.
pub(crate) async fn open_filled(place: &Place, scale: &Scale, entrant: Entrant) -> Result<Option<Opened>> {
    eprintln!("  filling {}", entrant.name());
    let Some(opened) = entrant.open(place, FILLERS as usize * 2).await? else { return Ok(None) };
    let fillers: Vec<_> = (0..FILLERS)
        .map(|filler| {
            let log = opened.log.clone();
            let events = scale.log_events;
            tokio::spawn(async move { fill(&*log, filler, events).await })
        })
        .collect();
    for filler in fillers {
        filler.await??;
    }
    let stored = opened.log.count().await?;
    if stored != scale.log_events {
        return Err(format!("the log holds {stored} events, not {}", scale.log_events).into());
    }
    if let Some(database) = &opened.database {
        database.run("VACUUM (ANALYZE)").await?;
        database.run("CHECKPOINT").await?;
    }
    Ok(Some(opened))
}

/// The share of a filler: every account that leaves its number over, ten events at a time.
async fn fill(log: &dyn Log, filler: u64, events: u64) -> Result<()> {
    let rounds = events.div_ceil(ACCOUNTS * TOGETHER);
    for round in 0..rounds {
        for account in (filler..ACCOUNTS).step_by(FILLERS as usize) {
            let first = (round * ACCOUNTS + account) * TOGETHER;
            let numbers = first..(first + TOGETHER).min(events);
            let bookings: Vec<Booking> = numbers.map(|number| Booking { account, number }).collect();
            if !bookings.is_empty() {
                log.append_many(&bookings, round * TOGETHER).await?;
            }
        }
    }
    Ok(())
}

fn expected(events: u64) -> Seen {
    let cents = (0..events).map(|number| Booking { account: 0, number }.event().cents()).sum();
    Seen { events, cents }
}
