//! Lets a scheduler have attempts made in this process, for as long as the worker goes on and until it has drained:
//! what the worker still waits for may be done here. Then it ends before the worker leaves. So whoever comes after the
//! last worker of a scheduler, with another or with none, is alone with the work.
//!
//! ```text
//!  serve ──► it ended, and nobody stopped it ──► a pause ──► serve …
//!    └────► the worker has drained ──► stopped: the attempts that go on here end ──► the worker leaves
//!  check, now and then ──► what the worker tells of its scheduler
//! ```
//!
//! An attempt begins while the worker is among those who share the work, by the clock of this process: not while it
//! waits for workers of another scheduler, and not after its lease is over. One that goes on is the scheduler's, and ends
//! early only where the work is found to be with another scheduler.
//!
//! What happens when something fails: it is served again after a pause. Commits go on meanwhile, and work waits.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use underlay_core::{Clock, Error, JobRunner, Scheduler, Timestamp};

use super::standing::{Told, until};
use super::worker::stopped;
use crate::health;
use crate::subscription::Backoff;

/// What the worker has of the serving beside it. A clone is the same.
#[derive(Clone)]
pub(super) struct Beside(Arc<Shared>);

struct Shared {
    /// Attempts begin before this moment.
    permitted_to: Mutex<Timestamp>,
    /// Whether the work is with another scheduler.
    is_withdrawn: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    has_ended: watch::Sender<bool>,
}

impl Beside {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            permitted_to: Mutex::new(Timestamp::MIN),
            is_withdrawn: watch::Sender::new(false),
            stop: watch::Sender::new(false),
            has_ended: watch::Sender::new(false),
        }))
    }

    /// Lets attempts begin before a moment.
    pub(super) fn permit(&self, to: Timestamp) {
        self.0.is_withdrawn.send_replace(false);
        *self.0.permitted_to.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    /// Lets none begin and ends those that go on: the work is with another scheduler.
    pub(super) fn withdraw(&self) {
        self.permit(Timestamp::MIN);
        self.0.is_withdrawn.send_replace(true);
    }

    /// Waits until the work is with another scheduler.
    pub(super) async fn withdrawn(&self) {
        // An error says that nobody is left to say so.
        self.0.is_withdrawn.subscribe().wait_for(|withdrawn| *withdrawn).await.ok();
    }

    /// Whether an attempt may begin.
    pub(super) fn permits(&self, now: Timestamp) -> bool {
        now < *self.0.permitted_to.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the serving, and waits for it.
    pub(super) async fn end(&self) {
        self.0.stop.send_replace(true);
        // An error says that nobody is left to serve.
        self.0.has_ended.subscribe().wait_for(|ended| *ended).await.ok();
    }
}

/// Says that the serving has ended, however it does.
struct Ending(Beside);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.0.has_ended.send_replace(true);
    }
}

/// What a scheduler is served with.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) scheduler: Arc<dyn Scheduler>,
    pub(super) runner: Arc<dyn JobRunner>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) backoff: Backoff,
    pub(super) told: Told,
    pub(super) beside: Beside,
}

impl Serving {
    /// Serves until the worker ends that, or has ended itself.
    pub(super) async fn until_ended(self, worker: JoinHandle<()>) {
        let beside = self.beside.clone();
        let served = tokio::spawn(self.clone().serve());
        let checked = tokio::spawn(self.check());
        if let Err(error) = worker.await {
            tracing::error!(%error, "the worker ended badly");
        }
        beside.end().await;
        for task in [served, checked] {
            if let Err(error) = task.await {
                tracing::error!(%error, "serving a scheduler ended badly");
            }
        }
    }

    async fn serve(self) {
        let _ending = Ending(self.beside.clone());
        let mut stop = self.beside.0.stop.subscribe();
        let mut failures = 0;
        loop {
            let begun_at = self.clock.now();
            let (scheduler, runner, stopping) = (self.scheduler.clone(), self.runner.clone(), stop.clone());
            // A bug there ends one serving, and not all of them.
            let served = tokio::spawn(async move { scheduler.serve(runner, stopping).await }).await;
            if *stop.borrow() {
                return;
            }
            let error = match served {
                Ok(Ok(())) => Error::unavailable("it ended, and nobody had stopped it"),
                Ok(Err(error)) => error,
                Err(error) => Error::backend("serving a scheduler", error),
            };
            let scheduler = self.scheduler.identity();
            tracing::error!(scheduler, %error, "this process makes no attempts for its scheduler, and tries again");
            self.told.tell_scheduler(|state| state.serving_error = Some(error.to_string()));
            let lasted = until(begun_at, self.clock.now());
            failures = if lasted > self.backoff.max { 1 } else { failures + 1 };
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                () = self.clock.sleep(self.backoff.delay(failures)) => {}
            }
            self.told.tell_scheduler(|state| state.serving_error = None);
        }
    }

    /// Asks now and then whether the scheduler can be reached.
    async fn check(self) {
        let stop = self.beside.0.stop.subscribe();
        let ask = || {
            let scheduler = self.scheduler.clone();
            async move { scheduler.check().await }
        };
        health::watch(&*self.clock, stop, ask, |asked| self.tell_of_scheduler(asked)).await;
    }

    fn tell_of_scheduler(&self, asked: Result<(), Error>) {
        let scheduler = self.scheduler.identity();
        self.told.tell_scheduler(|state| {
            let error = asked.err().map(|error| error.to_string());
            match (&state.error, &error) {
                (None, Some(error)) => {
                    tracing::warn!(scheduler, error, "the scheduler cannot be used: work waits")
                }
                (Some(_), None) => {
                    tracing::warn!(scheduler, "the scheduler can be used again: work goes on")
                }
                _ => {}
            }
            state.is_reachable = error.is_none();
            state.error = error;
        });
    }
}
