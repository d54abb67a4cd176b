//! What is counted of a scheduler: one that says and does what the one behind it does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use underlay_core::{Clock, Error, Job, JobEnd, JobRunner, Scheduler, Timestamp, WorkKind};

use super::{Counter, Exposition, Family, Histogram, Kind};
use crate::SchedulerState;

static UP: Family = Family::new(
    "underlay_scheduler_up",
    Kind::Gauge,
    &[],
    "1 where the scheduler could be used when this process asked it last, 0 where not; absent where the service drives \
     its work itself.",
);
static JOBS: Family = Family::new(
    "underlay_scheduler_jobs_total",
    Kind::Counter,
    &["kind", "end"],
    "Jobs that this process had the scheduler do, by what it was told: done, failed, other where another is to do it \
     or it was done before, refused by the scheduler, or left where this process stopped waiting.",
);
static WAITING: Family = Family::new(
    "underlay_scheduler_jobs_waiting",
    Kind::Gauge,
    &[],
    "Jobs of the scheduler that this process waits for.",
);
static DURATION: Family = Family::new(
    "underlay_scheduler_job_duration_seconds",
    Kind::Histogram,
    &["kind"],
    "How long this process waited until it was told what became of a job.",
);
static LATER: Family = Family::new(
    "underlay_scheduler_timers_total",
    Kind::Counter,
    &["result"],
    "Timers that this process told the scheduler of before they were due: told, or failed where the store alone keeps \
     them.",
);

/// What a moment of a schedule is called.
const SCHEDULE: &str = "schedule";

/// What this process was told of a job.
#[derive(Clone, Copy)]
enum Told {
    Done,
    Failed,
    Other,
    Refused,
    Left,
}

impl Told {
    const WORDS: [&str; 5] = ["done", "failed", "other", "refused", "left"];

    fn of(end: &Result<JobEnd, Error>) -> Self {
        match end {
            Ok(JobEnd::Done) => Self::Done,
            Ok(JobEnd::Failed { .. }) => Self::Failed,
            Ok(_) => Self::Other,
            Err(_) => Self::Refused,
        }
    }
}

#[derive(Default)]
struct Measured {
    /// By [`Told`].
    told: [Counter; Told::WORDS.len()],
    duration: Histogram,
}

/// What is counted of a scheduler, by the kind of job.
pub(crate) struct SchedulerMetrics {
    kinds: BTreeMap<&'static str, Measured>,
    waiting: AtomicU64,
    told_later: Counter,
    failed_later: Counter,
}

impl Default for SchedulerMetrics {
    fn default() -> Self {
        let kinds = WorkKind::ALL.map(WorkKind::name).into_iter().chain([SCHEDULE]);
        Self {
            kinds: kinds.map(|kind| (kind, Measured::default())).collect(),
            waiting: AtomicU64::default(),
            told_later: Counter::default(),
            failed_later: Counter::default(),
        }
    }
}

impl SchedulerMetrics {
    /// `state` is what a worker of this process knows of it; none where there is no worker, or no scheduler.
    pub(crate) fn write(&self, out: &mut Exposition, state: Option<&SchedulerState>) {
        let mut up = out.begin(&UP);
        let Some(state) = state else { return declare(out) };
        if let Some(is_up) = state.is_up() {
            up.add(&[], u8::from(is_up));
        }
        let mut jobs = out.begin(&JOBS);
        for (kind, measured) in &self.kinds {
            for (word, count) in Told::WORDS.iter().zip(&measured.told) {
                jobs.add(&[kind, word], count.get());
            }
        }
        out.begin(&WAITING).add(&[], self.waiting.load(Ordering::Relaxed));
        let mut durations = out.begin(&DURATION);
        for (kind, measured) in &self.kinds {
            durations.add_histogram(&[kind], &measured.duration);
        }
        out.begin(&LATER).add(&["told"], self.told_later.get()).add(&["failed"], self.failed_later.get());
    }
}

/// The names alone, where there is nothing to count.
fn declare(out: &mut Exposition) {
    for family in [&JOBS, &WAITING, &DURATION, &LATER] {
        out.begin(family);
    }
}

/// A scheduler whose jobs are counted.
pub(crate) struct MeasuredScheduler {
    pub(crate) scheduler: Arc<dyn Scheduler>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<SchedulerMetrics>,
}

/// A job that is waited for. It is counted when it is dropped, so one that nobody waits for any more is counted too.
struct Waiting<'s> {
    of: &'s MeasuredScheduler,
    kind: &'static str,
    begun: Timestamp,
    told: Told,
}

impl<'s> Waiting<'s> {
    fn for_job(of: &'s MeasuredScheduler, job: &Job) -> Self {
        of.metrics.waiting.fetch_add(1, Ordering::Relaxed);
        Self { of, kind: job.kind(), begun: of.clock.now(), told: Told::Left }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.of.metrics.waiting.fetch_sub(1, Ordering::Relaxed);
        if let Some(measured) = self.of.metrics.kinds.get(self.kind) {
            measured.told[self.told as usize].increment();
            measured.duration.observe_between(self.begun, self.of.clock.now());
        }
    }
}

#[async_trait]
impl Scheduler for MeasuredScheduler {
    fn identity(&self) -> &str {
        self.scheduler.identity()
    }

    async fn run(&self, job: &Job, number: u32) -> Result<JobEnd, Error> {
        let mut waiting = Waiting::for_job(self, job);
        let end = self.scheduler.run(job, number).await;
        waiting.told = Told::of(&end);
        end
    }

    async fn later(&self, job: &Job, delay: Duration) -> Result<(), Error> {
        let told = self.scheduler.later(job, delay).await;
        let count = if told.is_ok() { &self.metrics.told_later } else { &self.metrics.failed_later };
        count.increment();
        told
    }

    async fn serve(&self, runner: Arc<dyn JobRunner>, stop: watch::Receiver<bool>) -> Result<(), Error> {
        self.scheduler.serve(runner, stop).await
    }

    async fn check(&self) -> Result<(), Error> {
        self.scheduler.check().await
    }
}
