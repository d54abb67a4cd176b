//! Commits by callers that each wait for their answer, against one transaction per append.

use std::ops::AsyncFnMut;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Barrier;
use underlay_core::{EventStore, ExpectedVersion, StreamName, Version};
use uuid::Uuid;

use crate::Result;

use super::account::{Bookings, stream, tenant};
use super::figure::{Aim, Figure, Latency, Sample};
use super::place::Place;
use super::plain_appends::{Append, PlainEvent, PlainWriter};
use super::{Scale, log_file, plain_appends};

/// Streams each caller writes in turn.
const STREAMS_EACH: u64 = 100;

/// Who writes how much.
#[derive(Clone, Copy)]
struct Pressure {
    callers: u64,
    events_each: u64,
}

pub(crate) async fn measure(place: &Place, scale: &Scale) -> Result<Vec<Figure>> {
    let bookings = Arc::new(Bookings::new()?);
    let mut figures = Vec::new();
    for (callers, events_each) in [(1, 1), (8, 1), (64, 1), (256, 1), (1, 100), (8, 100)] {
        let pressure = Pressure { callers, events_each };
        eprintln!("  {callers} callers, {events_each} events each");
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..scale.rounds {
            ours.push(commit_in_groups(place, scale, &bookings, pressure).await?);
            theirs.push(append_one_by_one(place, scale, &bookings, pressure).await?);
        }
        let events = if events_each == 1 { String::new() } else { format!(", {events_each} events each") };
        let name = format!("commits, {callers} callers{events}");
        let mut figure = Figure::new(name, "events/s", ours).with_baseline("plain appends", theirs);
        if events_each == 1 {
            figure = match callers {
                1 => figure.with_aim(Aim::RatioAtLeast(0.85)),
                64 => figure.with_aim(Aim::RatioAtLeast(10.0)).with_aim(Aim::SpreadAtMost(4.0)),
                _ => figure,
            };
        }
        figures.push(figure);
    }
    Ok(figures)
}

async fn commit_in_groups(
    place: &Place,
    scale: &Scale,
    bookings: &Arc<Bookings>,
    pressure: Pressure,
) -> Result<Sample> {
    let folder = place.fresh()?;
    let store = log_file::open(&folder.path().join("log.db"))?;
    let sample = under(pressure, scale, |caller| {
        let (store, bookings) = (store.clone(), bookings.clone());
        async move |turn: &Turn| {
            let expected = match turn.version {
                0 => ExpectedVersion::NoStream,
                version => ExpectedVersion::Exact(Version(version)),
            };
            let number = caller * 31 + turn.number;
            let commit = bookings.commit(&turn.stream, expected, number, pressure.events_each);
            let start = Instant::now();
            store.commit(&tenant()?, commit).await?;
            Ok(start)
        }
    })
    .await?;
    store.close().await?;
    Ok(sample)
}

async fn append_one_by_one(
    place: &Place,
    scale: &Scale,
    bookings: &Arc<Bookings>,
    pressure: Pressure,
) -> Result<Sample> {
    let folder = place.fresh()?;
    let writer = PlainWriter::start(plain_appends::create(&folder.path().join("log.db")).await?)?;
    let sample = under(pressure, scale, |caller| {
        let (appender, bookings) = (writer.appender(), bookings.clone());
        async move |turn: &Turn| {
            let first = caller * 31 + turn.number;
            let event = |number| {
                let (event_type, payload) = bookings.of(number);
                PlainEvent {
                    id: Uuid::now_v7(),
                    event_type: event_type.as_str().to_owned(),
                    payload: payload.as_str().to_owned(),
                }
            };
            let append = Append {
                stream: turn.stream.as_str().to_owned(),
                expected: i64::try_from(turn.version)?,
                events: (first..first + pressure.events_each).map(event).collect(),
            };
            let start = Instant::now();
            appender.append(append).await?;
            Ok(start)
        }
    })
    .await?;
    writer.stop()?;
    Ok(sample)
}

/// One call of a caller.
struct Turn {
    number: u64,
    stream: StreamName,
    version: u64,
}

/// Lets callers write until the time is up, and counts what was answered after the warm-up.
/// A call tells when its wait began.
async fn under<C>(pressure: Pressure, scale: &Scale, caller: impl Fn(u64) -> C) -> Result<Sample>
where
    C: AsyncFnMut(&Turn) -> Result<Instant> + Send + 'static,
    for<'t> C::CallRefFuture<'t>: Send,
{
    let _ = (&pressure, &scale, &caller);
    unimplemented!()
}
