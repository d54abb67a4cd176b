//! A scheduler in memory. It begins, tells and forgets as the port says ([`jobs`]), and whoever serves makes the attempts
//! here, each until its process ends or it was silent for too long.
//!
//! What happens when something fails: an attempt that is dropped, with its process or by its time, is ready again.

mod jobs;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::ports::{Clock, Job, JobAttempt, JobEnd, JobRunner, Scheduler, SystemClock};
use crate::words::{Error, Timestamp};
use jobs::{Asked, Jobs, Key, Process, Turn, key_of};

/// Has jobs done by those who serve in this process, for tests. A clone is the same scheduler, as another process has it:
/// whoever serves is a process of its own, and dropping what serves ends it.
#[derive(Clone)]
pub struct MemoryScheduler {
    shared: Arc<Shared>,
    grace: Duration,
}

struct Shared {
    clock: Arc<dyn Clock>,
    jobs: Mutex<Jobs>,
    changed: watch::Sender<u64>,
}

impl Default for MemoryScheduler {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl fmt::Debug for MemoryScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryScheduler").field("jobs", &*self.shared.lock()).finish_non_exhaustive()
    }
}

impl MemoryScheduler {
    /// No jobs yet; pauses go by a clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let shared = Shared { clock, jobs: Mutex::default(), changed: watch::Sender::new(0) };
        Self { shared: Arc::new(shared), grace: Duration::from_secs(10) }
    }

    /// Sets how long attempts may go on after who makes them was stopped.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// From now on nobody reaches it, or everybody does again. What goes on goes on.
    pub fn set_away(&self, away: bool) {
        self.shared.change(|jobs| jobs.is_away = away);
    }

    /// Forgets every job, as one that lost all that it kept.
    pub fn forget(&self) {
        self.shared.change(Jobs::forget);
    }

    fn reached(&self) -> Result<MutexGuard<'_, Jobs>, Error> {
        let jobs = self.shared.lock();
        if jobs.is_away { Err(Error::unavailable("the scheduler is away")) } else { Ok(jobs) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        // Nothing in it panics half way.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Jobs) -> T) -> T {
        let came = change(&mut self.lock());
        self.changed.send_modify(|changes| *changes += 1);
        came
    }
}

#[async_trait]
impl Scheduler for MemoryScheduler {
    fn identity(&self) -> &str {
        "memory"
    }

    async fn run(&self, job: &Job, number: u32) -> Result<JobEnd, Error> {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let asked = self.reached().ok().map(|mut jobs| jobs.ask(job, number));
            match asked {
                Some(Asked::Told(end)) => return Ok(end),
                // Where nobody tells, the job was forgotten, and is asked for anew.
                Some(Asked::Waits(told)) => {
                    self.shared.change(|_| ());
                    if let Ok(end) = told.await {
                        return Ok(end);
                    }
                }
                // The sender is in `self`.
                None => drop(changed.changed().await),
            }
        }
    }

    async fn later(&self, job: &Job, delay: Duration) -> Result<(), Error> {
        let until = self.shared.clock.now().saturating_add(delay).unwrap_or(Timestamp::MAX);
        self.reached()?.put_off(job, until);
        self.shared.change(|_| ());
        Ok(())
    }

    async fn serve(&self, runner: Arc<dyn JobRunner>, mut stop: watch::Receiver<bool>) -> Result<(), Error> {
        let process = Serving { shared: self.shared.clone(), number: self.shared.lock().arrive() };
        let mut going = JoinSet::new();
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let now = self.shared.clock.now();
            let wakes_at = {
                let mut jobs = self.shared.lock();
                while let Some(turn) = jobs.next(process.number, now) {
                    going.spawn(process.going(&turn.job).make(runner.clone(), turn));
                }
                jobs.next_moment().filter(|_| !jobs.is_away)
            };
            let woken = async {
                either(changed.changed(), sleep_until(&*self.shared.clock, wakes_at)).await;
            };
            // Where nobody is left to stop it, it is stopped.
            if matches!(either(stop.wait_for(|stopped| *stopped), woken).await, Either::First(_)) {
                break;
            }
            while going.try_join_next().is_some() {}
        }
        drop(process);
        let ended = async { while going.join_next().await.is_some() {} };
        either(ended, self.shared.clock.sleep(self.grace)).await;
        Ok(())
    }

    async fn check(&self) -> Result<(), Error> {
        self.reached().map(drop)
    }
}

/// A process that makes attempts, until this is dropped.
struct Serving {
    shared: Arc<Shared>,
    number: Process,
}

impl Serving {
    fn going(&self, job: &Job) -> Going {
        Going { shared: self.shared.clone(), process: self.number, key: Some(key_of(job)) }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.shared.change(|jobs| jobs.leave(self.number));
    }
}

/// An attempt that goes on. Dropped before it ended, it is made again.
struct Going {
    shared: Arc<Shared>,
    process: Process,
    key: Option<Key>,
}

impl Going {
    async fn make(mut self, runner: Arc<dyn JobRunner>, turn: Turn) {
        let Turn { job, number, is_due } = turn;
        let heartbeats = Notify::new();
        let (clock, timeout) = (self.shared.clock.clone(), runner.timeout(&job));
        let attempt = JobAttempt { job: &job, number, is_due, heartbeats: &heartbeats };
        let mut attempt = pin!(runner.attempt(attempt));
        let end = loop {
            let silence = either(heartbeats.notified(), clock.sleep(timeout));
            match either(attempt.as_mut(), silence).await {
                Either::First(end) => break end,
                Either::Second(Either::First(())) => {}
                Either::Second(Either::Second(())) => return,
            }
        };
        if let Some(key) = self.key.take() {
            let now = clock.now();
            self.shared.change(|jobs| jobs.ended(key, self.process, end, now));
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.shared.change(|jobs| jobs.lost(key));
        }
    }
}

/// Which of two ended first.
enum Either<A, B> {
    First(A),
    Second(B),
}

/// Ends with whichever of two ends first; with the first where both do.
async fn either<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> Either<A, B> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|context| {
        if let Poll::Ready(first) = first.as_mut().poll(context) {
            return Poll::Ready(Either::First(first));
        }
        second.as_mut().poll(context).map(Either::Second)
    })
    .await
}

async fn sleep_until(clock: &dyn Clock, moment: Option<Timestamp>) {
    let Some(moment) = moment else { return std::future::pending().await };
    let microseconds = moment.as_microsecond().saturating_sub(clock.now().as_microsecond());
    clock.sleep(Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))).await;
}
