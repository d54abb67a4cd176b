//! Messages that are sent and handled all the time: by callers that each wait for their commit, and never with more
//! on its way than a bound, or at a steady pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use underlay_core::{EventStore, ExpectedVersion};

use super::courier::{LINES, Round, message};
use crate::Result;
use crate::bench::account::{Bookings, stream};

/// Callers that send as fast as they can.
const CALLERS: u64 = 64;
/// Messages that may be on their way before callers wait.
const AHEAD_MAX: u64 = 4_000;
/// How long callers wait before they look again.
const LOOK: Duration = Duration::from_millis(1);
/// How often a steady pace is kept up with.
const TICK: Duration = Duration::from_millis(10);

/// Callers that send until they are stopped.
pub(super) struct Flow {
    stopped: Arc<AtomicBool>,
    callers: JoinSet<Result<()>>,
}

impl Flow {
    /// Begins to send; each commit books one event, and carries one message. Each caller keeps to lines of its own,
    /// so that what it sends on a line is in order.
    pub(super) fn start(store: &Arc<dyn EventStore>, round: &Arc<Round>) -> Result<Self> {
        let (stopped, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let bookings = Arc::new(Bookings::new()?);
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (store, round, bookings) = (store.clone(), round.clone(), bookings.clone());
            let (stopped, sent) = (stopped.clone(), sent.clone());
            callers.spawn(async move {
                // A multiple of the lines comes back to the same ones.
                for number in (caller..).step_by(CALLERS as usize) {
                    while sent.load(Ordering::Relaxed) > round.handled() + AHEAD_MAX {
                        tokio::time::sleep(LOOK).await;
                    }
                    if stopped.load(Ordering::Relaxed) {
                        break;
                    }
                    send(&store, &bookings, number).await?;
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Ok(Self { stopped, callers })
    }

    /// Ends it, and gives what went wrong.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.stopped.store(true, Ordering::Relaxed);
        while let Some(caller) = self.callers.join_next().await {
            caller??;
        }
        Ok(())
    }
}

/// Messages handled a second in a time.
pub(super) async fn rate(round: &Round, window: Duration) -> f64 {
    let (before, begun) = (round.handled(), Instant::now());
    tokio::time::sleep(window).await;
    (round.handled() - before) as f64 / begun.elapsed().as_secs_f64()
}

/// A commit of one event, with the message of this number.
pub(super) async fn send(store: &Arc<dyn EventStore>, bookings: &Bookings, number: u64) -> Result<()> {
    let (tenant, work) = message(number)?;
    let commit = bookings.commit(&stream(number % LINES)?, ExpectedVersion::Any, number, 1);
    store.commit(&tenant, commit.send(work)).await?;
    Ok(())
}

/// Sends messages of these numbers at a steady pace; when each was stored, by its number.
pub(super) async fn steadily(
    store: &Arc<dyn EventStore>,
    numbers: std::ops::Range<u64>,
    per_second: f64,
) -> Result<Vec<(u64, Instant)>> {
    let bookings = Arc::new(Bookings::new()?);
    let mut sending = JoinSet::new();
    let mut times = Vec::new();
    let (begun, mut ticks) = (Instant::now(), tokio::time::interval(TICK));
    let mut next = numbers.start;
    while next < numbers.end {
        ticks.tick().await;
        let due = numbers.start + (begun.elapsed().as_secs_f64() * per_second) as u64;
        while next < due.min(numbers.end) {
            let (store, bookings, number) = (store.clone(), bookings.clone(), next);
            sending.spawn(async move {
                send(&store, &bookings, number).await?;
                Result::Ok((number, Instant::now()))
            });
            next += 1;
        }
        while let Some(sent) = sending.try_join_next() {
            times.push(sent??);
        }
    }
    while let Some(sent) = sending.join_next().await {
        times.push(sent??);
    }
    Ok(times)
}
