//! A reader of the whole log: pages of the default size, the next one read while this one is decoded.

use std::sync::Arc;
use std::time::Instant;

use underlay_core::{DecodeError, Error, EventStore, LogFilter, LogPage, LogScope, Position, Recorded};

use crate::Result;

use super::account::AccountEvent;
use super::disk::Disk;
use super::figure::{Aim, Figure, Sample};
use super::{Scale, log_file, plain_scan};

/// Events in a page.
const PAGE_EVENTS: usize = 5_000;

pub(crate) async fn measure(disk: &Disk, scale: &Scale) -> Result<Vec<Figure>> {
    let path = log_file::numbered(disk, scale.log_events).await?;
    let store = log_file::open(&path).await?;
    let connection = plain_scan::open(&path)?;
    let log = store.store.clone();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        log_file::warm(&path)?;
        let start = Instant::now();
        whole_log(&log, scale.log_events).await?;
        ours.push(Sample::of(scale.log_events as f64 / start.elapsed().as_secs_f64()));
        log_file::warm(&path)?;
        theirs.push(Sample::of(tokio::task::block_in_place(|| {
            plain_scan::log(&connection).and_then(|scanned| scanned.rate(scale.log_events))
        })?));
    }
    drop((connection, log));
    store.close().await?;
    let name = format!("catch-up over {} events, typed", scale.log_events);
    let figure = Figure::new(name, "events/s", ours)
        .with_baseline("plain scan", theirs)
        .with_aim(Aim::RatioAtLeast(0.5));
    Ok(vec![figure])
}

/// Reads and decodes a log of this many events; the sum of what they book.
pub(crate) async fn whole_log(store: &Arc<dyn EventStore>, events: u64) -> Result<i64> {
    let (mut seen, mut cents) = (0, 0);
    let mut page = read(store.clone(), Position::START).await?;
    loop {
        let (at_head, to) = (page.at_head, page.scanned_to);
        // Asked for first, in this task: the thread that decodes would keep one it spawned to itself.
        let ahead = async { if at_head { Ok(None) } else { read(store.clone(), to).await.map(Some) } };
        let decoding = async {
            tokio::task::block_in_place(|| {
                for record in page.events {
                    if let Some(recorded) = Recorded::<AccountEvent>::decode(record)? {
                        seen += 1;
                        cents += recorded.event.cents();
                    }
                }
                Ok::<_, DecodeError>(())
            })
        };
        let (ahead, decoded) = tokio::join!(ahead, decoding);
        decoded?;
        match ahead? {
            Some(next) => page = next,
            None if seen == events => return Ok(cents),
            None => return Err(format!("the log holds {seen} events, not {events}").into()),
        }
    }
}

async fn read(store: Arc<dyn EventStore>, after: Position) -> std::result::Result<LogPage, Error> {
    store.read_all(&LogScope::EveryTenant, after, &LogFilter::default(), PAGE_EVENTS).await
}
