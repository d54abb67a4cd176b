//! Tells a scheduler of a timer as soon as it is set, so that it has it begun when its moment comes.
//!
//! ```text
//!  commit ──► the timers it sends ──► a queue of bounded length ──► later
//! ```
//!
//! What happens when something fails: a timer that is not told of is begun by the store's moment, as every other piece of
//! work. So nobody waits for it: where the queue is full or the scheduler is away, it is dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use underlay_core::{Clock, Commit, Job, Scheduler, TenantId, WorkKind};

use super::driven::job;
use super::standing::until;
use super::worker::stopped;

/// Timers that wait to be told of.
const WAITING_MAX: usize = 1_000;
/// Timers that are told of side by side.
const AT_ONCE: usize = 16;
/// How long it is tried to tell of one.
const TELL_MAX: Duration = Duration::from_secs(5);

/// Where commits leave their timers. A clone leaves them at the same place.
#[derive(Clone)]
pub(crate) struct Announcer(mpsc::Sender<Job>);

/// Tells a scheduler of what commits left.
pub(crate) struct Announcements {
    scheduler: Arc<dyn Scheduler>,
    clock: Arc<dyn Clock>,
    jobs: Mutex<mpsc::Receiver<Job>>,
}

impl Announcer {
    pub(crate) fn new(scheduler: Arc<dyn Scheduler>, clock: Arc<dyn Clock>) -> (Self, Announcements) {
        let (jobs, left) = mpsc::channel(WAITING_MAX);
        (Self(jobs), Announcements { scheduler, clock, jobs: Mutex::new(left) })
    }

    /// The timers that a commit sets.
    pub(crate) fn timers(tenant: &TenantId, commit: &Commit) -> Vec<Job> {
        let is_set = |work: &underlay_core::NewWork| work.kind == WorkKind::Timer && work.due_at.is_some();
        let timers = (0..).zip(&commit.work).filter(|(_, work)| is_set(work));
        let correlation_id = commit.metadata.correlation_id;
        timers.map(|(number, work)| job(tenant, commit.id, number, work, correlation_id)).collect()
    }

    /// Leaves timers to be told of.
    pub(crate) fn announce(&self, timers: Vec<Job>) {
        for timer in timers {
            if self.0.try_send(timer).is_err() {
                tracing::debug!("a timer is not told of to its scheduler: the store has it begun");
            }
        }
    }
}

impl Announcements {
    /// Tells of them until it is stopped. Those that are left while nobody tells of them wait.
    pub(super) async fn tell(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut jobs = tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            jobs = self.jobs.lock() => jobs,
        };
        let mut telling = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                Some(_) = telling.join_next() => {}
                job = jobs.recv(), if telling.len() < AT_ONCE => match job {
                    Some(job) => drop(telling.spawn(self.clone().tell_of(job))),
                    None => return,
                },
            }
        }
    }

    async fn tell_of(self: Arc<Self>, job: Job) {
        let Some(due_at) = job.due_at else { return };
        let delay = until(self.clock.now(), due_at);
        let told = tokio::select! {
            biased;
            told = self.scheduler.later(&job, delay) => told.map_err(|error| error.to_string()),
            () = self.clock.sleep(TELL_MAX) => Err(format!("it did not answer within {TELL_MAX:?}")),
        };
        if let Err(error) = told {
            tracing::debug!(job = job.id(), tenant = %job.tenant, error, "a timer could not be told of to its scheduler");
        }
    }
}
