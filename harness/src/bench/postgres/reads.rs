//! A log read from end to end, and a view folded from nothing, against the rows of the log copied out.

use std::pin::pin;
use std::time::Instant;

use futures_util::StreamExt as _;

use crate::Result;
use crate::bench::figure::{Aim, Figure, Sample};
use crate::bench::{Scale, catch_up, log_file};
use crate::subject::{OpenStore, Place, Postgres, PostgresPlace, Way};

pub(super) async fn measure_catch_up(scale: &Scale) -> Result<Vec<Figure>> {
    let log = Log::write(scale).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let start = Instant::now();
        catch_up::whole_log(&log.store.store, scale.log_events).await?;
        ours.push(rate(scale, start));
        theirs.push(log.copy_out(scale).await?);
    }
    log.store.close().await?;
    let name = format!("catch-up over {} events, typed", scale.log_events);
    let figure = Figure::new(name, "events/s", ours).with_baseline("COPY", theirs);
    Ok(vec![figure.with_aim(Aim::AtLeast(800_000.0))])
}

pub(super) async fn measure_view(scale: &Scale) -> Result<Vec<Figure>> {
    let log = Log::write(scale).await?;
    let engine = log_file::engine(log.store.ports())?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let start = Instant::now();
        engine.rebuild_view("balances", underlay_runtime::RebuildFrom::default(), |_| {}).await?;
        ours.push(rate(scale, start));
        theirs.push(log.copy_out(scale).await?);
    }
    drop(engine);
    log.store.close().await?;
    let name = format!("view from nothing, {} events", scale.log_events);
    let figure = Figure::new(name, "events/s", ours).with_baseline("COPY", theirs);
    Ok(vec![figure.with_aim(Aim::AtLeast(250_000.0))])
}

/// A log to read, with its server.
struct Log {
    store: OpenStore,
    place: PostgresPlace,
    _subject: Postgres,
}

impl Log {
    async fn write(scale: &Scale) -> Result<Self> {
        let subject = Postgres::start()?;
        let place = subject.new_place().await?;
        let store = place.address(Way::USUAL).open().await?;
        eprintln!("  writing a log of {} events", scale.log_events);
        log_file::write(&store.store, scale.log_events).await?;
        place.admin().await?.batch_execute("VACUUM ANALYZE").await?;
        Ok(Self { store, place, _subject: subject })
    }

    /// Every column of every event, in binary form and in the order they lie in, with nothing made of it.
    async fn copy_out(&self, scale: &Scale) -> Result<Sample> {
        let admin = self.place.admin().await?;
        let start = Instant::now();
        let mut rows = pin!(admin.copy_out("COPY underlay.events TO STDOUT (FORMAT binary)").await?);
        let mut bytes = 0;
        while let Some(part) = rows.next().await {
            bytes += part?.len();
        }
        if bytes == 0 { Err("the log is empty".into()) } else { Ok(rate(scale, start)) }
    }
}

fn rate(scale: &Scale, start: Instant) -> Sample {
    Sample::of(scale.log_events as f64 / start.elapsed().as_secs_f64())
}
