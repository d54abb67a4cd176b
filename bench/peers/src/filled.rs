//! Logs that are read and folded: the same events in every store.

use figures::Booking;

use crate::entrants::{Entrant, Log, Opened};
use crate::figure::Report;
use crate::place::Place;
use crate::{Result, Scale};

/// Accounts of a log.
const ACCOUNTS: u64 = 10_000;
/// Events of an account that are stored together.
const TOGETHER: u64 = 10;
/// Who fills a log.
const FILLERS: u64 = 16;

/// A store with its log.
pub(crate) struct Filled {
    pub(crate) entrant: Entrant,
    pub(crate) opened: Opened,
}

/// Fills a log in every store that reads one in a way of its own.
pub(crate) async fn fill_all(
    place: &Place,
    scale: &Scale,
    entrants: &[Entrant],
    report: &mut Report,
) -> Vec<Filled> {
    let mut filled = Vec::new();
    for entrant in entrants.iter().copied().filter(|entrant| reads(*entrant)) {
        match open_filled(place, scale, entrant).await {
            Ok(Some(opened)) => filled.push(Filled { entrant, opened }),
            Ok(None) => {}
            Err(error) => report.skip(entrant, format!("a log to read: {error}")),
        }
    }
    filled
}

/// Those that read a log in a way of their own.
fn reads(entrant: Entrant) -> bool {
    !matches!(entrant, Entrant::CqrsEsPersist | Entrant::Disintegrate | Entrant::Insert | Entrant::Unnest)
}

/// Opens a store with its log filled; none where it has no server.
async fn open_filled(place: &Place, scale: &Scale, entrant: Entrant) -> Result<Option<Opened>> {
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
        database.admin().await?.batch_execute("VACUUM (ANALYZE)").await?;
        database.admin().await?.batch_execute("CHECKPOINT").await?;
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
