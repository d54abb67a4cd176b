//! From a commit to its handler: the time from the answer to whoever committed until the handler of its message
//! begins, on an idle system and at half of what it can do. The worker shares its store with whoever commits, as in a
//! service of one process, or has one of its own, as in another process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use underlay_core::EventStore;
use underlay_runtime::EngineConfig;

use super::Ground;
use super::courier::{LINES, Round};
use super::crew::Crew;
use super::flow::{Flow, rate, send, steadily};
use crate::Result;
use crate::bench::Scale;
use crate::bench::account::Bookings;
use crate::bench::figure::{Figure, Latency, Sample};
use crate::subject::{OpenStore, Place, Way};

/// Between two messages on an idle system.
const IDLE: Duration = Duration::from_millis(25);
/// Messages on an idle system, for each round.
const IDLE_MESSAGES: u64 = 200;

/// Who commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// The process that works.
    Own,
    /// Another one.
    Other,
}

/// A worker and somebody who commits.
struct Line {
    round: Arc<Round>,
    crew: Crew,
    store: Arc<dyn EventStore>,
    /// The other store, where there is one.
    other: Option<OpenStore>,
    /// The place goes last.
    _place: Arc<dyn Place>,
}

impl Line {
    async fn start(ground: &Ground, sender: Sender) -> Result<Self> {
        let place = ground.place().await?;
        let round = Arc::new(Round::open().timed());
        let crew = Crew::start(&*place, 1, &round, &EngineConfig::default()).await?;
        let (store, other) = match sender {
            Sender::Own => (crew.engine().store().clone(), None),
            Sender::Other => {
                let other = place.address(Way::USUAL).open().await?;
                (other.store.clone(), Some(other))
            }
        };
        Ok(Self { round, crew, store, other, _place: place })
    }

    async fn stop(self) -> Result<()> {
        drop(self.store);
        self.crew.stop().await?;
        match self.other {
            Some(other) => other.close().await,
            None => Ok(()),
        }
    }
}

pub(super) async fn measure(ground: &Ground, scale: &Scale) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (sender, who) in [(Sender::Own, "the same process"), (Sender::Other, "another process")] {
        let (mut idle, mut half, mut full) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..scale.rounds {
            idle.push(idle_run(ground, sender).await?);
            let most = full_run(ground, sender, scale).await?;
            full.push(Sample::of(most));
            half.push(half_run(ground, sender, scale, most / 2.0).await?);
        }
        figures.push(Figure::new(format!("commit to handler in {who}, idle"), "messages/s", idle));
        figures.push(
            Figure::new(format!("commit to handler in {who}, half load"), "messages/s", half)
                .with_baseline("at most", full),
        );
    }
    Ok(figures)
}

/// One message after the other.
async fn idle_run(ground: &Ground, sender: Sender) -> Result<Sample> {
    let line = Line::start(ground, sender).await?;
    let bookings = Bookings::new()?;
    let begun = Instant::now();
    let mut times = Vec::new();
    for number in 0..IDLE_MESSAGES {
        send(&line.store, &bookings, number).await?;
        times.push((number, Instant::now()));
        line.round.wait_for(number + 1).await?;
        tokio::time::sleep(IDLE).await;
    }
    let value = IDLE_MESSAGES as f64 / begun.elapsed().as_secs_f64();
    let latency = Latency::of(waits(&line.round, &times));
    line.stop().await?;
    Ok(Sample { latency, ..Sample::of(value) })
}

/// Messages sent and handled a second, where callers send as fast as they can.
async fn full_run(ground: &Ground, sender: Sender, scale: &Scale) -> Result<f64> {
    let line = Line::start(ground, sender).await?;
    let flow = Flow::start(&line.store, &line.round)?;
    tokio::time::sleep(scale.warm_up).await;
    let most = rate(&line.round, scale.run).await;
    flow.stop().await?;
    line.stop().await?;
    Ok(most)
}

/// Messages at a steady pace.
async fn half_run(ground: &Ground, sender: Sender, scale: &Scale, pace: f64) -> Result<Sample> {
    let line = Line::start(ground, sender).await?;
    // Where it is done within the lines, each is sent on once, and no two of one line are on their way.
    let count = (pace * (scale.warm_up + scale.run).as_secs_f64()) as u64;
    let begun = Instant::now();
    let sent = steadily(&line.store, 0..count.clamp(1, LINES), pace).await?;
    line.round.wait_for(sent.len() as u64).await?;
    let value = sent.len() as f64 / begun.elapsed().as_secs_f64();
    let latency = Latency::of(waits(&line.round, &sent));
    line.stop().await?;
    Ok(Sample { latency, ..Sample::of(value) })
}

/// From each answer to the handler, in nanoseconds. A handler may begin before the answer is read.
fn waits(round: &Round, sent: &[(u64, Instant)]) -> Vec<u64> {
    let wait = |(number, answered): &(u64, Instant)| {
        let begun = round.take_begun(*number)?;
        u64::try_from(begun.saturating_duration_since(*answered).as_nanos()).ok()
    };
    sent.iter().filter_map(wait).collect()
}
