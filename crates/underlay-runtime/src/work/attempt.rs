//! One attempt at a piece of work, and what becomes of it.
//!
//! ```text
//!  it was begun too often without an end ──► given up ──► Dead
//!  begun ──► done ─────────────────────────────────────────────► Done
//!    │ │ └─► failed, panicked, or silent for too long ──┬───────► Retry, due after a pause
//!    │ └──── a heartbeat: its time begins anew          └─ final, or the last ──► given up ──► Dead, or Done after all
//!    ├─────► another program's ──► left, as it was
//!    └─────► dropped: the term is over, or the worker ends. It is begun again by whoever works there next
//! ```
//!
//! What happens when something fails: where that which follows from giving up cannot be stored, it is tried for
//! a while, and then the piece is left for one more attempt.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::Instrument;
use underlay_core::limits::WORK_BEGUN_MAX;
use underlay_core::{Attempts, Clock, Error, Fingerprint, Settled, SpanKind, Timestamp, Work, WorkId};

use super::receiver::{Attempt, GivenUp, NotDone, Receiver};
use crate::subscription::Backoff;
use crate::traces::{OpenSpan, Tracer};

/// How often it is tried in a row to store what follows from giving up.
const GIVE_UP_TRIES_MAX: u32 = 8;

/// The longest pause before the next attempt, whatever a receiver asks for: every store can write that moment.
const PAUSE_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What an attempt came to.
#[derive(Debug)]
pub(super) enum Attempted {
    /// This became of the piece.
    Settled(Settled),
    /// It is another program's.
    Left,
}

/// Makes an attempt, and says what became of the piece.
pub(super) async fn attempt(
    receiver: Arc<dyn Receiver>,
    work: Arc<Work>,
    clock: Arc<dyn Clock>,
    backoff: Backoff,
    tracer: Tracer,
) -> Attempted {
    let number = work.attempts.saturating_add(1);
    let trying =
        Trying { receiver: &*receiver, work: &work, number, heard: None, clock: &*clock, tracer: &tracer };
    let (attempts, tried) = trying.run().await;
    let Err(NotDone { reason, is_final, is_last, retry_in, is_anothers, cause: _ }) = tried else {
        return Attempted::Settled(Settled::Done);
    };
    if is_anothers {
        return Attempted::Left;
    }
    // No store keeps a NUL in a text.
    let error = reason.replace('\0', "\u{fffd}");
    if is_final || is_last || number >= attempts.attempts_max {
        match give_up(&*receiver, &work, &error, &*clock, backoff).await {
            Ok(GivenUp::Dead { holds }) => {
                return Attempted::Settled(Settled::Dead { error, is_final, holds });
            }
            Ok(GivenUp::Done) => return Attempted::Settled(Settled::Done),
            Err(failed) => {
                tracing::error!(work = %work.id, error = %failed, "the work is given up later");
            }
        }
    }
    let delay = retry_in.unwrap_or_else(|| pause(work.id, number, &attempts)).min(PAUSE_MAX);
    Attempted::Settled(Settled::Retry { delay, error })
}

/// An attempt that is about to be made.
pub(super) struct Trying<'a> {
    /// Who makes it.
    pub(super) receiver: &'a dyn Receiver,
    /// The piece.
    pub(super) work: &'a Work,
    /// Which attempt it is, from 1.
    pub(super) number: u32,
    /// Who is told of each heartbeat.
    pub(super) heard: Option<&'a Notify>,
    pub(super) clock: &'a dyn Clock,
    pub(super) tracer: &'a Tracer,
}

impl Trying<'_> {
    /// Makes it, within its time; says too how often and for how long such a piece is tried.
    pub(super) async fn run(self) -> (Attempts, Result<(), NotDone>) {
        let Self { receiver, work, number, tracer, .. } = self;
        let span = begin(tracer, receiver, work, number);
        let (attempts, tried) = match attempts_of(receiver) {
            Ok(attempts) if work.begun >= WORK_BEGUN_MAX => (attempts, Err(ended_too_often(work))),
            Ok(attempts) => {
                let (tenant, receiving) = (&work.tenant, work.sent.receiver.as_str());
                let log = tracing::error_span!("work", id = %work.id, %tenant, receiver = receiving, number);
                let trying = self.within_time(attempts.timeout, span.traceparent());
                (attempts, trying.instrument(log).await)
            }
            // A bug there fails the attempt, as one in the receiver itself does.
            Err(panic) => (Attempts::default(), Err(NotDone::passing(panic))),
        };
        span.ended(&tried);
        if let Err(not_done) = &tried {
            log_failure(work, number, not_done);
        }
        (attempts, tried)
    }

    /// Ends with its time, which each heartbeat begins anew.
    async fn within_time(&self, timeout: Duration, traceparent: Option<String>) -> Result<(), NotDone> {
        let Self { receiver, work, number, heard, clock, .. } = *self;
        let heartbeats = Notify::new();
        let deadline = after(clock.now(), timeout);
        let attempt = Attempt { work, number, deadline, heartbeats: &heartbeats, traceparent };
        let mut going = pin!(caught(receiver.attempt(attempt)));
        loop {
            tokio::select! {
                biased;
                ended = &mut going => return ended.unwrap_or_else(|panic| Err(NotDone::passing(panic))),
                () = heartbeats.notified() => if let Some(heard) = heard {
                    heard.notify_one();
                },
                () = clock.sleep(timeout) => {
                    return Err(NotDone::passing(format!("it did not end within {timeout:?}, and gave no heartbeat")));
                }
            }
        }
    }
}

/// How often and for how long a receiver tries; why not, where it panics.
pub(super) fn attempts_of(receiver: &dyn Receiver) -> Result<Attempts, String> {
    catch_unwind(AssertUnwindSafe(|| receiver.attempts())).map_err(|panic| panicked(&*panic))
}

/// Says in the log of the service why an attempt did not do a piece.
fn log_failure(work: &Work, number: u32, not_done: &NotDone) {
    let NotDone { reason, is_final, is_anothers, cause, .. } = not_done;
    let receiver = &work.sent.receiver;
    if let Some(cause) = cause {
        let error: &dyn std::error::Error = &**cause;
        tracing::warn!(work = %work.id, tenant = %work.tenant, receiver, number, error,
            "the infrastructure failed an attempt");
    }
    if *is_anothers {
        tracing::debug!(work = %work.id, receiver, reason, "an attempt showed that work is another's");
    } else {
        tracing::debug!(work = %work.id, receiver, number, is_final, error = reason, "an attempt failed");
    }
}

/// Begins the span of an attempt.
fn begin(tracer: &Tracer, receiver: &dyn Receiver, work: &Work, number: u32) -> OpenSpan {
    let came = if tracer.is_recording() { receiver.traceparent(work) } else { None };
    let sent = &work.sent;
    let mut span = tracer.follow(SpanKind::Consumer, came.as_deref(), || {
        format!("{} {} {}", sent.kind.name(), sent.receiver, sent.name)
    });
    span.tell(|span| {
        span.set("underlay.tenant", work.tenant.as_str());
        span.set("underlay.work_id", work.id.to_string());
        span.set("underlay.key", sent.key.as_str());
        span.set("underlay.attempt", u64::from(number));
    });
    span
}

/// Why a piece is given up that may have ended every process that began it.
fn ended_too_often(work: &Work) -> NotDone {
    NotDone::last(format!(
        "it was begun {} times, and each time the process was gone before it ended: WORK_BEGUN_MAX = \
         {WORK_BEGUN_MAX}",
        work.begun
    ))
}

async fn give_up(
    receiver: &dyn Receiver,
    work: &Work,
    reason: &str,
    clock: &dyn Clock,
    backoff: Backoff,
) -> Result<GivenUp, Error> {
    let mut failures = 0;
    loop {
        let given_up = caught(receiver.give_up(work, reason)).await;
        match given_up.unwrap_or_else(|panic| Err(Error::backend("giving work up", panic))) {
            Err(error) if error.is_retryable() && failures < GIVE_UP_TRIES_MAX => {
                failures += 1;
                clock.sleep(backoff.delay(failures)).await;
            }
            given_up => return given_up,
        }
    }
}

/// Runs a future, and says it where it panics.
pub(super) async fn caught<T>(run: impl Future<Output = T>) -> Result<T, String> {
    let mut run = pin!(run);
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panicked(&*panic))),
    })
    .await
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("no message"))
}

/// The pause after an attempt that failed: drawn between nothing and a bound that doubles with each failure. It
/// is drawn from the work and the attempt, so that a simulation draws the same again.
pub(super) fn pause(work: WorkId, number: u32, attempts: &Attempts) -> Duration {
    let Attempts { delay_min, delay_max, .. } = *attempts;
    let most = Backoff { min: delay_min, max: delay_max }.delay(number).min(PAUSE_MAX);
    let Fingerprint(drawn) =
        Fingerprint::of([b"work-pause".as_slice(), work.0.as_bytes(), &number.to_le_bytes()]);
    let drawn =
        u64::from_le_bytes([drawn[0], drawn[1], drawn[2], drawn[3], drawn[4], drawn[5], drawn[6], drawn[7]]);
    let microseconds = (most.as_micros() * u128::from(drawn)) >> u64::BITS;
    Duration::from_micros(u64::try_from(microseconds).unwrap_or(u64::MAX))
}

/// The moment so long after another.
pub(super) fn after(moment: Timestamp, duration: Duration) -> Timestamp {
    moment.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use underlay_core::{CommitId, TenantId};

    use super::*;

    #[test]
    fn pauses_are_drawn_from_all_of_the_time_there_is_and_double() {
        let tenant = TenantId::new("acme").unwrap();
        let attempts = Attempts {
            delay_min: Duration::from_millis(100),
            delay_max: Duration::from_secs(10),
            ..Attempts::default()
        };
        for (number, most) in [(1, 100), (2, 200), (3, 400), (8, 10_000), (40, 10_000)] {
            let drawn = |n| pause(WorkId::of(&tenant, CommitId(uuid::Uuid::nil()), n), number, &attempts);
            let all: Vec<u128> = (0..1_000).map(|n| drawn(n).as_millis()).collect();
            assert!(all.iter().all(|pause| *pause < most), "{number}");
            assert!(*all.iter().min().unwrap() < most / 20 && *all.iter().max().unwrap() > most - most / 20);
            let mean = all.iter().sum::<u128>() / 1_000;
            assert!(mean > most * 2 / 5 && mean < most * 3 / 5, "{mean} of {most}");
            assert_eq!(drawn(7), drawn(7), "a simulation draws the same again");
        }
    }

    #[test]
    fn the_longest_pause_is_a_moment_that_a_store_can_write() {
        let tenant = TenantId::new("acme").unwrap();
        let attempts = Attempts { delay_min: Duration::MAX, delay_max: Duration::MAX, ..Attempts::default() };
        assert!(pause(WorkId::of(&tenant, CommitId::draw(), 0), 9, &attempts) <= PAUSE_MAX);
    }
}
