//! A reader of the whole log, beside a plain scan of it.

use std::sync::Arc;
use std::time::Instant;

use figures::read_whole;
use underlay_core::EventStore;

use crate::Result;

use super::disk::Disk;
use super::figure::{Aim, Figure, Sample};
use super::{Scale, log_file, plain_scan};

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

/// Reads and decodes a log of this many events.
pub(crate) async fn whole_log(store: &Arc<dyn EventStore>, events: u64) -> Result<()> {
    let seen = read_whole(store).await?.events;
    if seen == events {
        return Ok(());
    }
    Err(format!("the log holds {seen} events, not {events}").into())
}
