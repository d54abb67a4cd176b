//! Lets a scheduler have attempts made in this process, for as long as the worker goes on and until it has drained:
//! what the worker still waits for may be done here.
//!
//! ```text
//!  serve ──► it ended, and nobody stopped it ──► a pause ──► serve …
//!    └────► the worker has ended ──► stopped: the attempts that go on here end
//!  check, now and then ──► what the worker tells of its scheduler
//! ```
//!
//! What happens when something fails: it is served again after a pause. Commits go on meanwhile, and work waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use underlay_core::{Clock, Error, JobRunner, Scheduler};

use super::standing::Told;
use super::worker::stopped;
use crate::subscription::Backoff;

/// How often a scheduler is asked whether it can be reached.
const CHECK_EVERY: Duration = Duration::from_secs(10);
/// How long its answer is waited for.
const CHECK_MAX: Duration = Duration::from_secs(5);

/// What a scheduler is served with.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) scheduler: Arc<dyn Scheduler>,
    pub(super) runner: Arc<dyn JobRunner>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) backoff: Backoff,
    pub(super) told: Told,
}

impl Serving {
    /// Serves until a worker has ended.
    pub(super) async fn beside(self, worker: JoinHandle<()>) {
        let (stop, stopping) = watch::channel(false);
        let served = tokio::spawn(self.clone().serve(stopping.clone()));
        let checked = tokio::spawn(self.check(stopping));
        if let Err(error) = worker.await {
            tracing::error!(%error, "the worker ended badly");
        }
        stop.send_replace(true);
        for task in [served, checked] {
            if let Err(error) = task.await {
                tracing::error!(%error, "serving a scheduler ended badly");
            }
        }
    }

    async fn serve(self, mut stop: watch::Receiver<bool>) {
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
            let lasted = super::standing::until(begun_at, self.clock.now());
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
    async fn check(self, mut stop: watch::Receiver<bool>) {
        loop {
            let checked = tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                checked = self.scheduler.check() => checked,
                () = self.clock.sleep(CHECK_MAX) => {
                    Err(Error::unavailable(format!("it did not answer within {CHECK_MAX:?}")))
                }
            };
            let scheduler = self.scheduler.identity();
            self.told.tell_scheduler(|state| {
                let error = checked.err().map(|error| error.to_string());
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
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                () = self.clock.sleep(CHECK_EVERY) => {}
            }
        }
    }
}
