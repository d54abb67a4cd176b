//! A view folded from nothing by the engine: one row an account.

use std::time::Instant;

use crate::Result;

use super::disk::Disk;
use super::figure::{Aim, Figure, Sample};
use super::{Scale, log_file, plain_scan};

pub(crate) async fn measure(disk: &Disk, scale: &Scale) -> Result<Vec<Figure>> {
    let path = log_file::numbered(disk, scale.log_events).await?;
    let store = log_file::open(&path).await?;
    let engine = log_file::engine(log_file::ports(&store))?;
    let connection = plain_scan::open(&path)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        log_file::warm(&path)?;
        let start = Instant::now();
        engine.rebuild_view("balances", underlay_runtime::RebuildFrom::default(), |_| {}).await?;
        ours.push(Sample::of(scale.log_events as f64 / start.elapsed().as_secs_f64()));
        log_file::warm(&path)?;
        theirs.push(Sample::of(tokio::task::block_in_place(|| {
            plain_scan::log(&connection).and_then(|scanned| scanned.rate(scale.log_events))
        })?));
    }
    drop(connection);
    drop(engine);
    store.close().await?;
    let name = format!("view from nothing, {} events", scale.log_events);
    let figure = Figure::new(name, "events/s", ours)
        .with_baseline("plain scan", theirs)
        .with_aim(Aim::AtLeast(1_000_000.0));
    Ok(vec![figure])
}
