//! A process that dies at a chosen moment of a job that a scheduler drives.

use std::fmt;
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use underlay_core::{Error, Job, JobAttempt, JobEnd, JobRunner, Scheduler};

/// When a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The commit is stored, and the scheduler knows nothing of its work.
    BeforeStart,
    /// An attempt goes on.
    DuringAttempt,
    /// What the attempt decided is stored, and the scheduler was not told.
    AfterAttempt,
    /// The scheduler has told how it ended, and nothing is settled.
    BeforeSettlement,
}

impl Moment {
    pub(crate) const ALL: [Self; 4] =
        [Self::BeforeStart, Self::DuringAttempt, Self::AfterAttempt, Self::BeforeSettlement];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BeforeStart => "before-start",
            Self::DuringAttempt => "during-attempt",
            Self::AfterAttempt => "after-attempt",
            Self::BeforeSettlement => "before-settlement",
        }
    }
}

/// The moment, and which time that it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fall {
    pub(crate) moment: Moment,
    pub(crate) time: u32,
}

impl FromStr for Fall {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = text.split_once(':').and_then(|(name, time)| {
            let moment = Moment::ALL.into_iter().find(|moment| moment.name() == name)?;
            Some(Self { moment, time: time.parse().ok()? })
        });
        read.ok_or_else(|| format!("{text:?} is no moment to die at; one is before-start:1"))
    }
}

impl fmt::Display for Fall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.moment.name(), self.time)
    }
}

/// A scheduler whose process dies.
pub(super) struct Falling<T: ?Sized> {
    inner: Arc<T>,
    fall: Fall,
    /// How often the moment has come.
    came: Arc<AtomicU32>,
}

impl Falling<dyn Scheduler> {
    pub(super) fn new(inner: Arc<dyn Scheduler>, fall: Fall) -> Self {
        Self { inner, fall, came: Arc::default() }
    }
}

impl<T: ?Sized> Falling<T> {
    /// Whether the process dies now.
    fn falls_at(&self, moment: Moment) -> bool {
        self.fall.moment == moment && self.came.fetch_add(1, Ordering::Relaxed) + 1 == self.fall.time
    }

    /// Dies where it is to die now.
    async fn pass(&self, moment: Moment) {
        if self.falls_at(moment) {
            die();
            // What kills is on its way.
            std::future::pending::<()>().await;
        }
    }
}

/// Sends this process SIGKILL.
fn die() {
    let killed = Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status();
    if let Err(error) = killed {
        panic!("this process cannot kill itself: {error}");
    }
}

#[async_trait]
impl Scheduler for Falling<dyn Scheduler> {
    fn identity(&self) -> &str {
        self.inner.identity()
    }

    async fn run(&self, job: &Job, number: u32) -> Result<JobEnd, Error> {
        self.pass(Moment::BeforeStart).await;
        let end = self.inner.run(job, number).await?;
        self.pass(Moment::BeforeSettlement).await;
        Ok(end)
    }

    async fn later(&self, job: &Job, delay: Duration) -> Result<(), Error> {
        self.inner.later(job, delay).await
    }

    async fn serve(&self, runner: Arc<dyn JobRunner>, stop: watch::Receiver<bool>) -> Result<(), Error> {
        let runner = Falling { inner: runner, fall: self.fall, came: self.came.clone() };
        self.inner.serve(Arc::new(runner), stop).await
    }

    async fn check(&self) -> Result<(), Error> {
        self.inner.check().await
    }
}

#[async_trait]
impl JobRunner for Falling<dyn JobRunner> {
    async fn attempt(&self, attempt: JobAttempt<'_>) -> JobEnd {
        if self.falls_at(Moment::DuringAttempt) {
            tokio::task::spawn_blocking(die);
        }
        let end = self.inner.attempt(attempt).await;
        self.pass(Moment::AfterAttempt).await;
        end
    }

    fn timeout(&self, job: &Job) -> Duration {
        self.inner.timeout(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_reads_the_moment_that_it_is_given() {
        for moment in Moment::ALL {
            let fall = Fall { moment, time: 7 };
            assert_eq!(fall.to_string().parse(), Ok(fall));
        }
        assert!("before-start".parse::<Fall>().is_err() && "some-day:1".parse::<Fall>().is_err());
    }
}
