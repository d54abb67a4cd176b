//! Commits by callers that each wait for their answer, against one transaction per append.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;
use underlay_core::{EventStore, ExpectedVersion, StreamName, TenantId, Version};
use uuid::Uuid;

use crate::Result;

use super::account::{Bookings, stream, tenant};
use super::disk::Disk;
use super::figure::{Aim, Figure, Latency, Sample};
use super::plain_appends::{Append, PlainAppender, PlainEvent, PlainWriter};
use super::{Scale, log_file, plain_appends};

/// Streams each caller writes in turn.
const STREAMS_EACH: u64 = 100;

/// Who writes how much.
#[derive(Clone, Copy)]
pub(super) struct Pressure {
    pub(super) callers: u64,
    /// The number of the first: callers write streams of their own.
    pub(super) first: u64,
    pub(super) events_each: u64,
}

pub(crate) async fn measure(disk: &Disk, scale: &Scale) -> Result<Vec<Figure>> {
    let bookings = Arc::new(Bookings::new()?);
    let mut figures = Vec::new();
    for (callers, events_each) in [(1, 1), (8, 1), (64, 1), (256, 1), (1, 100), (8, 100)] {
        let pressure = Pressure { callers, first: 0, events_each };
        eprintln!("  {callers} callers, {events_each} events each");
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..scale.rounds {
            ours.push(commit_in_groups(disk, scale, &bookings, pressure).await?);
            theirs.push(append_one_by_one(disk, scale, &bookings, pressure).await?);
        }
        let events = if events_each == 1 { String::new() } else { format!(", {events_each} events each") };
        let name = format!("commits, {callers} callers{events}");
        let mut figure = Figure::new(name, "events/s", ours).with_baseline("plain appends", theirs);
        if events_each == 1 {
            figure = match callers {
                1 => figure.with_aim(Aim::RatioAtLeast(0.95)),
                64 => figure.with_aim(Aim::RatioAtLeast(12.0)).with_aim(Aim::SpreadAtMost(4.0)),
                256 => figure.with_aim(Aim::RatioAtLeast(15.0)).with_aim(Aim::SpreadAtMost(4.0)),
                _ => figure,
            };
        }
        figures.push(figure);
    }
    Ok(figures)
}

async fn commit_in_groups(
    disk: &Disk,
    scale: &Scale,
    bookings: &Arc<Bookings>,
    pressure: Pressure,
) -> Result<Sample> {
    let folder = disk.fresh()?;
    let store = log_file::open(&folder.path().join("log.db")).await?;
    let writer = GroupWriter::new(store.store.clone(), bookings)?;
    let sample = press(writer, pressure, scale).await?;
    store.close().await?;
    Ok(sample)
}

async fn append_one_by_one(
    disk: &Disk,
    scale: &Scale,
    bookings: &Arc<Bookings>,
    pressure: Pressure,
) -> Result<Sample> {
    let folder = disk.fresh()?;
    let writer = PlainWriter::start(plain_appends::create(&folder.path().join("log.db")).await?)?;
    let caller = SingleWriter { appender: writer.appender(), bookings: bookings.clone() };
    let sample = press(caller, pressure, scale).await?;
    writer.stop()?;
    Ok(sample)
}

/// One call: the next events of a stream, the first of them of `number`.
pub(super) struct Turn<'s> {
    pub(super) caller: u64,
    pub(super) stream: &'s StreamName,
    pub(super) version: u64,
    pub(super) number: u64,
    events: u64,
}

/// What callers write with.
pub(super) trait Writer: Clone + Send + 'static {
    /// Writes, and tells when the wait for the answer began.
    fn write(&self, turn: Turn<'_>) -> impl Future<Output = Result<Instant>> + Send;
}

/// Writes with a store.
#[derive(Clone)]
pub(super) struct GroupWriter {
    store: Arc<dyn EventStore>,
    tenant: TenantId,
    bookings: Arc<Bookings>,
}

impl GroupWriter {
    pub(super) fn new(store: Arc<dyn EventStore>, bookings: &Arc<Bookings>) -> Result<Self> {
        Ok(Self { store, tenant: tenant()?, bookings: bookings.clone() })
    }
}

impl Writer for GroupWriter {
    async fn write(&self, turn: Turn<'_>) -> Result<Instant> {
        let expected = match turn.version {
            0 => ExpectedVersion::NoStream,
            version => ExpectedVersion::Exact(Version(version)),
        };
        let commit = self.bookings.commit(turn.stream, expected, turn.number, turn.events);
        let start = Instant::now();
        self.store.commit(&self.tenant, commit).await?;
        Ok(start)
    }
}

#[derive(Clone)]
struct SingleWriter {
    appender: PlainAppender,
    bookings: Arc<Bookings>,
}

impl Writer for SingleWriter {
    async fn write(&self, turn: Turn<'_>) -> Result<Instant> {
        let event = |number| {
            let (event_type, payload) = self.bookings.of(number);
            PlainEvent {
                id: Uuid::now_v7(),
                event_type: event_type.as_str().to_owned(),
                payload: payload.as_str().to_owned(),
            }
        };
        let append = Append {
            stream: turn.stream.as_str().to_owned(),
            expected: i64::try_from(turn.version)?,
            events: (turn.number..turn.number + turn.events).map(event).collect(),
        };
        let start = Instant::now();
        self.appender.append(append).await?;
        Ok(start)
    }
}

/// Lets callers write until the time is up, and counts what was answered after the warm-up.
pub(super) async fn press(writer: impl Writer, pressure: Pressure, scale: &Scale) -> Result<Sample> {
    let start = Arc::new(Barrier::new(usize::try_from(pressure.callers)?));
    let (warm_up, end) = (scale.warm_up, scale.warm_up + scale.run);
    let tasks: Vec<_> = (pressure.first..pressure.first + pressure.callers)
        .map(|caller| {
            tokio::spawn(call(writer.clone(), caller, pressure.events_each, start.clone(), warm_up, end))
        })
        .collect();
    drop(writer);
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let events = times.len() as f64 * pressure.events_each as f64;
    Ok(Sample { latency: Latency::of(times), ..Sample::of(events / scale.run.as_secs_f64()) })
}

/// Writes one event, or several, after the other; the nanoseconds of each call that counts.
async fn call(
    writer: impl Writer,
    caller: u64,
    events: u64,
    start: Arc<Barrier>,
    warm_up: Duration,
    end: Duration,
) -> Result<Vec<u64>> {
    let streams: Vec<StreamName> =
        (0..STREAMS_EACH).map(|own| stream(caller * STREAMS_EACH + own)).collect::<Result<_>>()?;
    let mut times = Vec::new();
    start.wait().await;
    let begun = Instant::now();
    for turn in 0.. {
        let writing = Turn {
            caller,
            stream: &streams[(turn % STREAMS_EACH) as usize],
            version: turn / STREAMS_EACH * events,
            number: caller * 31 + turn * events,
            events,
        };
        let asked = writer.write(writing).await?;
        let answered = Instant::now();
        if answered - begun >= end {
            break;
        }
        if answered - begun >= warm_up {
            times.push(u64::try_from((answered - asked).as_nanos())?);
        }
    }
    Ok(times)
}
