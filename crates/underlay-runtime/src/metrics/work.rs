//! What is counted of attempts at work: a receiver that says and does what the one behind it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::{Attempts, Clock, Error, Timestamp, Work, WorkKind};
use uuid::Uuid;

use super::{Counter, Exposition, Family, Histogram, Kind};
use crate::WorkerState;
use crate::work::{Attempt, GivenUp, NotDone, Receiver, Shown};

static ATTEMPTS: Family = Family::new(
    "underlay_work_attempts_total",
    Kind::Counter,
    &["receiver", "kind", "outcome"],
    "Attempts at work in this process: done, failed, left for another program, or cut by their time, a panic or the \
     end of a term.",
);
static DURATION: Family = Family::new(
    "underlay_work_attempt_duration_seconds",
    Kind::Histogram,
    &["receiver", "kind"],
    "How long an attempt took, whatever came of it.",
);
static GIVEN_UP: Family = Family::new(
    "underlay_work_given_up_total",
    Kind::Counter,
    &["receiver", "kind"],
    "Pieces of work that this process gave up, which became dead letters.",
);
static RUNNING: Family =
    Family::new("underlay_work_running", Kind::Gauge, &[], "Attempts that go on in this process.");
static BUFFERED: Family = Family::new(
    "underlay_work_buffered_bytes",
    Kind::Gauge,
    &[],
    "Bytes of work that this process has read and not settled.",
);
static SHARDS: Family =
    Family::new("underlay_work_shards", Kind::Gauge, &[], "Shards of work that this process holds.");
static TERMS_LOST: Family = Family::new(
    "underlay_work_terms_lost_total",
    Kind::Counter,
    &[],
    "Terms of shards that this process lost before it gave them back.",
);

/// What came of an attempt.
#[derive(Clone, Copy)]
enum Ending {
    Done,
    Failed,
    Left,
    Cut,
}

impl Ending {
    const WORDS: [&str; 4] = ["done", "failed", "left", "cut"];
}

#[derive(Default)]
pub(crate) struct Measured {
    /// By [`Ending`].
    endings: [Counter; Ending::WORDS.len()],
    duration: Histogram,
    given_up: Counter,
}

/// What is counted of the work of a process, by receiver and kind.
#[derive(Default)]
pub(crate) struct WorkMetrics(BTreeMap<(String, &'static str), Arc<Measured>>);

impl WorkMetrics {
    /// What is counted of a receiver.
    pub(crate) fn of(&mut self, kind: WorkKind, receiver: &str) -> Arc<Measured> {
        self.0.entry((receiver.to_owned(), kind.name())).or_default().clone()
    }

    pub(crate) fn write(&self, out: &mut Exposition, worker: Option<&WorkerState>) {
        let mut attempts = out.begin(&ATTEMPTS);
        for ((receiver, kind), measured) in &self.0 {
            for (word, count) in Ending::WORDS.iter().zip(&measured.endings) {
                attempts.add(&[receiver, kind, word], count.get());
            }
        }
        let mut durations = out.begin(&DURATION);
        for ((receiver, kind), measured) in &self.0 {
            durations.add_histogram(&[receiver, kind], &measured.duration);
        }
        let mut given_up = out.begin(&GIVEN_UP);
        for ((receiver, kind), measured) in &self.0 {
            given_up.add(&[receiver, kind], measured.given_up.get());
        }
        let none = WorkerState::default();
        let worker = worker.unwrap_or(&none);
        out.begin(&RUNNING).add(&[], worker.running);
        out.begin(&BUFFERED).add(&[], worker.buffered_bytes);
        out.begin(&SHARDS).add(&[], worker.shards.len());
        out.begin(&TERMS_LOST).add(&[], worker.lost_terms);
    }
}

/// A receiver whose attempts are counted.
pub(crate) struct MeasuredReceiver {
    pub(crate) receiver: Arc<dyn Receiver>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) measured: Arc<Measured>,
}

/// An attempt that goes on. It is counted when it is dropped, so one that is cut is counted too.
struct Going<'r> {
    of: &'r MeasuredReceiver,
    begun: Timestamp,
    ending: Ending,
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        let measured = &self.of.measured;
        measured.endings[self.ending as usize].increment();
        measured.duration.observe_between(self.begun, self.of.clock.now());
    }
}

#[async_trait]
impl Receiver for MeasuredReceiver {
    fn attempts(&self) -> Attempts {
        self.receiver.attempts()
    }

    fn holds_key(&self) -> bool {
        self.receiver.holds_key()
    }

    fn reads(&self, work: &Work) -> bool {
        self.receiver.reads(work)
    }

    fn traceparent(&self, work: &Work) -> Option<String> {
        self.receiver.traceparent(work)
    }

    fn show(&self, work: &Work) -> Option<Shown> {
        self.receiver.show(work)
    }

    fn correlation_id(&self, work: &Work) -> Option<Uuid> {
        self.receiver.correlation_id(work)
    }

    async fn attempt(&self, attempt: Attempt<'_>) -> Result<(), NotDone> {
        let mut going = Going { of: self, begun: self.clock.now(), ending: Ending::Cut };
        let ended = self.receiver.attempt(attempt).await;
        going.ending = match &ended {
            Ok(()) => Ending::Done,
            Err(not_done) if not_done.is_anothers => Ending::Left,
            Err(_) => Ending::Failed,
        };
        ended
    }

    async fn is_stored(&self, work: &Work) -> Result<bool, Error> {
        self.receiver.is_stored(work).await
    }

    async fn give_up(&self, work: &Work, reason: &str) -> Result<GivenUp, Error> {
        let given_up = self.receiver.give_up(work, reason).await;
        if matches!(given_up, Ok(GivenUp::Dead { .. })) {
            self.measured.given_up.increment();
        }
        given_up
    }

    async fn buried(&self, work: &Work) -> Result<(), Error> {
        self.receiver.buried(work).await
    }
}
