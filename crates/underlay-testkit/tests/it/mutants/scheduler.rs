use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use underlay_core::{Clock, Error, Job, JobAttempt, JobEnd, JobRunner, Scheduler, SystemClock};
use underlay_testkit::{Fixture, MemorySchedulerFixture, SchedulerFixture, Skip};

use super::caught;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Whoever asks has it begun, whether it was or not.
    BeginsForEach,
    /// People are told that it failed, and not why.
    KeepsReasons,
    /// A job that failed has failed for ever.
    NeverBeginsAgain,
    /// Who stops waiting ends the job.
    EndsWithWhoWaits,
    /// An attempt that ended with its process counts.
    CountsLostAttempts,
    /// Nothing waits for its time.
    BeginsAtOnce,
    /// Every attempt is said to be asked for.
    TakesEveryLineForFree,
    /// What is another program's is a failure.
    FailsWhatIsAnothers,
    /// Heartbeats are not heard.
    HearsNoHeartbeats,
    /// Stopping it is an error.
    EndsBadly,
    /// What was gone is gone for ever.
    RemembersWhatIsGone,
}

struct Broken {
    mutation: Mutation,
    inner: Arc<dyn Scheduler>,
    gone: Mutex<HashSet<String>>,
    forget: Box<dyn Fn() + Send + Sync>,
}

struct Mutant {
    broken: Arc<Broken>,
}

impl Mutant {
    fn with(mutation: Mutation) -> Self {
        let scheduler = underlay_core::memory::MemoryScheduler::default().with_grace(Duration::from_secs(1));
        let forgetting = scheduler.clone();
        let inner = MemorySchedulerFixture { scheduler }.scheduler();
        let forget = Box::new(move || forgetting.forget());
        Self { broken: Arc::new(Broken { mutation, inner, gone: Mutex::default(), forget }) }
    }
}

impl Fixture for Mutant {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::with(Mutation::None))
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl SchedulerFixture for Mutant {
    fn scheduler(&self) -> Arc<dyn Scheduler> {
        self.broken.clone()
    }
}

/// Forgets all jobs where it is dropped before its time.
struct Forgets<'a>(Option<&'a Broken>);

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        if let Some(broken) = self.0 {
            (broken.forget)();
        }
    }
}

impl Broken {
    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }
}

#[async_trait]
impl Scheduler for Broken {
    fn identity(&self) -> &str {
        self.inner.identity()
    }

    async fn run(&self, job: &Job, number: u32) -> Result<JobEnd, Error> {
        if self.is(Mutation::BeginsForEach) {
            (self.forget)();
        }
        let number = if self.is(Mutation::NeverBeginsAgain) { number + 1 } else { number };
        if self.is(Mutation::RemembersWhatIsGone) && self.gone.lock().unwrap().contains(&job.id()) {
            return Ok(JobEnd::Gone);
        }
        let mut forgets = Forgets(self.is(Mutation::EndsWithWhoWaits).then_some(self));
        let end = self.inner.run(job, number).await?;
        forgets.0 = None;
        if end == JobEnd::Gone {
            self.gone.lock().unwrap().insert(job.id());
        }
        Ok(match end {
            JobEnd::Failed { is_final, retry_in, .. } if self.is(Mutation::KeepsReasons) => {
                JobEnd::Failed { reason: "it failed".to_owned(), is_final, retry_in }
            }
            end => end,
        })
    }

    async fn later(&self, job: &Job, delay: Duration) -> Result<(), Error> {
        let delay = if self.is(Mutation::BeginsAtOnce) { Duration::ZERO } else { delay };
        self.inner.later(job, delay).await
    }

    async fn serve(&self, runner: Arc<dyn JobRunner>, stop: watch::Receiver<bool>) -> Result<(), Error> {
        let runner = Arc::new(BrokenRunner { mutation: self.mutation, runner });
        self.inner.serve(runner, stop).await?;
        if self.is(Mutation::EndsBadly) { Err(Error::unavailable("it was stopped")) } else { Ok(()) }
    }

    async fn check(&self) -> Result<(), Error> {
        self.inner.check().await
    }
}

/// How often each job was begun, in whatever process.
static BEGUN: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);

struct BrokenRunner {
    mutation: Mutation,
    runner: Arc<dyn JobRunner>,
}

#[async_trait]
impl JobRunner for BrokenRunner {
    async fn attempt(&self, attempt: JobAttempt<'_>) -> JobEnd {
        let mut number = attempt.number;
        if self.mutation == Mutation::CountsLostAttempts {
            let mut begun = BEGUN.lock().unwrap();
            let count = begun.get_or_insert_default().entry(attempt.job.id()).or_default();
            *count += 1;
            number = *count;
        }
        let is_due = attempt.is_due || self.mutation == Mutation::TakesEveryLineForFree;
        let unheard = Notify::new();
        let hears = self.mutation != Mutation::HearsNoHeartbeats;
        let heartbeats = if hears { attempt.heartbeats } else { &unheard };
        let failed = |reason: String| JobEnd::Failed { reason, is_final: false, retry_in: None };
        let made = self.runner.attempt(JobAttempt { job: attempt.job, number, is_due, heartbeats });
        let end = tokio::select! {
            end = made => end,
            () = SystemClock.sleep(self.runner.timeout(attempt.job)), if !hears => failed("silent".to_owned()),
        };
        match end {
            JobEnd::Anothers { reason } if self.mutation == Mutation::FailsWhatIsAnothers => {
                JobEnd::Failed { reason, is_final: false, retry_in: Some(Duration::from_millis(100)) }
            }
            end => end,
        }
    }

    fn timeout(&self, job: &Job) -> Duration {
        // It ends the attempt itself before that.
        self.runner.timeout(job) * 2
    }
}

underlay_testkit::conformance!(scheduler, Mutant);

caught! { scheduler;
    begun_for_each: a_job_is_begun_once fails on BeginsForEach;
    without_a_reason: a_failed_attempt_is_told_and_followed fails on KeepsReasons;
    never_again: a_job_that_failed_is_begun_again_from_its_first_attempt fails on NeverBeginsAgain;
    ended_by_who_waits: who_stops_waiting_ends_nothing fails on EndsWithWhoWaits;
    a_lost_attempt_counts: an_attempt_of_a_process_that_ends_is_made_again fails on CountsLostAttempts;
    at_once: a_job_that_waits_is_begun_once fails on BeginsAtOnce;
    every_line_is_free: a_job_whose_line_is_not_free_waits fails on TakesEveryLineForFree;
    a_failure_of_anothers: what_is_anothers_goes_on fails on FailsWhatIsAnothers;
    unheard: heartbeats_keep_an_attempt fails on HearsNoHeartbeats;
    badly_ended: stopping_ends_serving fails on EndsBadly;
    gone_for_ever: a_job_that_was_gone_is_begun_anew fails on RemembersWhatIsGone;
}
