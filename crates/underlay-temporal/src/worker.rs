use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::future::try_join_all;
use temporalio_client::Client as SdkClient;
use temporalio_common::worker::WorkerDeploymentOptions;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder};
use temporalio_sdk::runtime::{PollerBehavior, RuntimeOptions};
use temporalio_sdk::{ApplicationFailure, Runtime, Worker, WorkerOptions};
use tokio::sync::{Notify, oneshot, watch};
use underlay_core::ports::{Clock, JobAttempt, JobEnd, JobRunner, SystemClock, kept_work_error};
use underlay_core::words::Error;

use crate::answers::{self, Answers};
use crate::job::{AttemptInput, CommandJob, InputJob, MessageJob, ScheduleJob, TimerJob};
use crate::line::Line;

/// How many polls for workflows and for activities a process has at the server at once.
const POLLERS: usize = 8;
/// The share of the polls for workflows that are for new ones: most runs need one task alone.
const NEW_SHARE: f32 = 0.75;
/// How many workflows a process keeps in memory between two of their tasks.
const WORKFLOWS_KEPT_MAX: usize = 2_000;
/// How often an activity says that its process lives.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);
/// How long it takes at most to tell the server of attempts that were cut off.
const CUT_MAX: Duration = Duration::from_secs(2);

/// Makes the attempts that workflows ask for.
pub(crate) struct Attempts {
    pub runner: Arc<dyn JobRunner>,
    pub answers: Arc<Answers>,
    /// True once attempts may go on no longer.
    pub cut: watch::Receiver<bool>,
}

#[activities]
impl Attempts {
    #[activity(name = "underlay.attempt")]
    pub(crate) async fn attempt(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: AttemptInput,
    ) -> Result<JobEnd, ActivityError> {
        let local_id = local_id(&ctx);
        if let Some(end) = local_id.as_ref().and_then(|id| self.answers.kept(id)) {
            return Ok(end);
        }
        let AttemptInput { job, number, is_due } = input;
        let heartbeats = Notify::new();
        let attempt = JobAttempt { job: &job, number, is_due, heartbeats: &heartbeats };
        let end = tokio::select! {
            end = self.runner.attempt(attempt) => short(end),
            () = living(&ctx, &heartbeats) => return Err(lost("it was cancelled")),
            () = is_cut(self.cut.clone()) => return Err(cut_off(&ctx).await),
        };
        if let Some(id) = local_id {
            self.answers.keep(id, &end);
        }
        if !matches!(end, JobEnd::Anothers { .. } | JobEnd::Waits) {
            self.answers.tell(&answers::name(&job), number, &end);
        }
        Ok(end)
    }
}

/// What an attempt came to, with a reason no longer than stores keep it: the server has limits too.
fn short(end: JobEnd) -> JobEnd {
    match end {
        JobEnd::Failed { reason, is_final, retry_in } => {
            JobEnd::Failed { reason: kept_work_error(&reason), is_final, retry_in }
        }
        JobEnd::Anothers { reason } => JobEnd::Anothers { reason: kept_work_error(&reason) },
        end => end,
    }
}

/// What tells a local activity from all others.
fn local_id(ctx: &ActivityContext) -> Option<(String, String)> {
    let info = ctx.info();
    let run_id = info.workflow_run_id.clone().filter(|_| info.is_local)?;
    Some((run_id, info.activity_id.clone()))
}

/// Ends once attempts may go on no longer.
async fn is_cut(mut cut: watch::Receiver<bool>) {
    // Whoever serves has gone where it says nothing any more.
    drop(cut.wait_for(|is_cut| *is_cut).await);
}

/// What the server is told of an attempt that was cut off. Of a local activity it is told nothing: its workflow task is
/// not answered, and so another process gets it.
async fn cut_off(ctx: &ActivityContext) -> ActivityError {
    if ctx.info().is_local {
        std::future::pending::<()>().await;
    }
    lost("its process stops")
}

/// Says that an attempt goes on, until it is cancelled.
async fn living(ctx: &ActivityContext, heartbeats: &Notify) {
    if ctx.info().is_local {
        return ctx.cancelled().await;
    }
    loop {
        tokio::select! {
            () = ctx.cancelled() => return,
            () = heartbeats.notified() => {}
            () = SystemClock.sleep(HEARTBEAT_EVERY) => {}
        }
        if let Err(error) = ctx.record_heartbeat(()).await {
            tracing::warn!(%error, "a heartbeat of an attempt cannot be sent");
        }
    }
}

/// An attempt that another process makes again.
fn lost(why: &'static str) -> ActivityError {
    ActivityError::application(ApplicationFailure::new(format!(
        "the attempt ended before it came to anything: {why}"
    )))
}

/// What a process serves, and how.
pub(crate) struct Serving {
    pub client: SdkClient,
    pub task_queues: Vec<String>,
    pub runner: Arc<dyn JobRunner>,
    pub answers: Arc<Answers>,
    pub attempts_running_max: usize,
    pub stop_grace: Duration,
}

impl Serving {
    /// Serves until it is stopped. The SDK's workers stay on one thread: their workflows cannot move between threads.
    pub(crate) async fn until(self, mut stop: watch::Receiver<bool>) -> Result<(), Error> {
        let (cut, is_cut) = watch::channel(false);
        let (stopping, stopped) = watch::channel(false);
        let (ended, mut end) = oneshot::channel();
        let grace = self.stop_grace;
        let handle = tokio::runtime::Handle::current();
        let spawned = thread::Builder::new().name("underlay-temporal".to_owned()).spawn(move || {
            let result = handle.block_on(self.run(is_cut, stopped));
            // Who no longer waits for it needs no answer.
            ended.send(result).ok();
        });
        spawned.map_err(|error| Error::unavailable(format!("a thread for Temporal's workers: {error}")))?;
        tokio::select! {
            result = &mut end => return result.unwrap_or_else(|_| Err(panicked())),
            _ = stop.wait_for(|is_stopped| *is_stopped) => {}
        }
        stopping.send_replace(true);
        tokio::select! {
            result = &mut end => return result.unwrap_or_else(|_| Err(panicked())),
            () = SystemClock.sleep(grace) => {}
        }
        cut.send_replace(true);
        end.await.unwrap_or_else(|_| Err(panicked()))
    }

    async fn run(self, cut: watch::Receiver<bool>, mut stopping: watch::Receiver<bool>) -> Result<(), Error> {
        let options =
            RuntimeOptions::builder().heartbeat_interval(None).build().map_err(Error::unavailable)?;
        let runtime = Runtime::from_current_tokio(options).map_err(broken)?;
        let mut workers = Vec::new();
        for task_queue in &self.task_queues {
            workers.push(
                Worker::new(&runtime, self.client.clone(), self.options(task_queue, cut.clone())?)
                    .map_err(broken)?,
            );
        }
        let shutdowns: Vec<_> = workers.iter().map(Worker::shutdown_handle).collect();
        let running = try_join_all(workers.iter_mut().map(Worker::run));
        tokio::pin!(running);
        tokio::select! {
            ended = &mut running => return ended.map(drop).map_err(broken),
            // Dropped, it stops too.
            _ = stopping.wait_for(|is_stopping| *is_stopping) => {}
        }
        for shutdown in &shutdowns {
            shutdown();
        }
        let cut_and_told = async {
            is_cut(cut).await;
            SystemClock.sleep(CUT_MAX).await;
        };
        tokio::select! {
            ended = &mut running => ended.map(drop).map_err(broken),
            () = cut_and_told => Ok(()),
        }
    }

    fn options(&self, task_queue: &str, cut: watch::Receiver<bool>) -> Result<WorkerOptions, Error> {
        let attempts = Attempts { runner: self.runner.clone(), answers: self.answers.clone(), cut };
        let slots = || FixedSizeSlotSupplier::new(self.attempts_running_max);
        let tuner = TunerHolder::builder()
            .workflow_task_slot_supplier(slots())
            .activity_task_slot_supplier(slots())
            .local_activity_task_slot_supplier(slots())
            .nexus_task_slot_supplier(slots())
            .build();
        let options = WorkerOptions::new(task_queue)
            .register_workflow::<CommandJob>()
            .and_then(|options| options.register_workflow::<MessageJob>())
            .and_then(|options| options.register_workflow::<InputJob>())
            .and_then(|options| options.register_workflow::<TimerJob>())
            .and_then(|options| options.register_workflow::<ScheduleJob>())
            .and_then(|options| options.register_workflow::<Line>())
            .map_err(broken)?;
        Ok(options
            .register_activities(attempts)
            .tuner(tuner)
            .deployment_options(WorkerDeploymentOptions::from_build_id(env!("CARGO_PKG_VERSION").to_owned()))
            .max_cached_workflows(WORKFLOWS_KEPT_MAX)
            .workflow_task_poller_behavior(PollerBehavior::SimpleMaximum(POLLERS))
            .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(POLLERS))
            .nonsticky_to_sticky_poll_ratio(NEW_SHARE)
            .build())
    }
}

fn panicked() -> Error {
    Error::unavailable("the thread of Temporal's workers panicked")
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::unavailable(format!("Temporal's worker: {error}"))
}
