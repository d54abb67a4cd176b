use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::future::try_join_all;
use temporalio_client::Client as SdkClient;
use temporalio_client::grpc::WorkflowService as _;
use temporalio_client::tonic::{Code, Status};
use temporalio_common::protos::temporal::api::workflowservice::v1::RecordActivityTaskHeartbeatRequest;
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
use crate::client::call;
use crate::job::{AttemptInput, CommandJob, HEARTBEAT_MAX, InputJob, MessageJob, ScheduleJob, TimerJob};
use crate::line::Line;

/// How many polls for workflows and for activities a process has at the server at once.
const POLLERS: usize = 8;
/// The share of the polls for workflows that are for new ones: most runs need one task alone.
const NEW_SHARE: f32 = 0.75;
/// How many workflows a process keeps in memory between two of their tasks.
const WORKFLOWS_KEPT_MAX: usize = 2_000;
/// How often an activity says that its process lives, and how long after the server could not be told.
const HEARTBEAT_EVERY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));
/// How long after the last heartbeat that the server took an attempt goes on. The server gives it to another process
/// after [`HEARTBEAT_MAX`].
const UNHEARD_MAX: Duration = Duration::from_secs(25);
const _: () = assert!(UNHEARD_MAX.as_secs() < HEARTBEAT_MAX.as_secs());
/// How long it takes at most to tell the server of attempts that were cut off.
const CUT_MAX: Duration = Duration::from_secs(2);

/// Makes the attempts that workflows ask for.
pub(crate) struct Attempts {
    pub runner: Arc<dyn JobRunner>,
    pub answers: Arc<Answers>,
    pub client: SdkClient,
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
            () = self.living(&ctx) => return Err(lost("it was cancelled, or the server was not reached")),
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

impl Attempts {
    /// Says that an attempt goes on, until it is cancelled, or another process may have got it: where the server is not
    /// reached for so long, no two make it side by side.
    async fn living(&self, ctx: &ActivityContext) {
        if ctx.info().is_local {
            return ctx.cancelled().await;
        }
        let mut given_away = SystemClock.sleep(UNHEARD_MAX);
        let mut pause = HEARTBEAT_EVERY.0;
        loop {
            let told = async {
                SystemClock.sleep(pause).await;
                // It is counted from before the server hears of it.
                let given_away = SystemClock.sleep(UNHEARD_MAX);
                self.heartbeat(ctx).await.map(|goes_on| goes_on.then_some(given_away))
            };
            let told = tokio::select! {
                () = ctx.cancelled() => return,
                () = &mut given_away => return,
                told = told => told,
            };
            match told {
                Ok(Some(from_now)) => (given_away, pause) = (from_now, HEARTBEAT_EVERY.0),
                Ok(None) => return,
                Err(status) => {
                    tracing::debug!(reason = status.message(), "a heartbeat of an attempt cannot be sent");
                    pause = HEARTBEAT_EVERY.1;
                }
            }
        }
    }

    /// Tells the server that an attempt goes on; false where it is not to.
    async fn heartbeat(&self, ctx: &ActivityContext) -> Result<bool, Status> {
        // The SDK ends an activity by itself that does not tell it.
        if let Err(error) = ctx.record_heartbeat(()).await {
            tracing::warn!(%error, "a heartbeat of an attempt cannot be recorded");
        }
        let request = RecordActivityTaskHeartbeatRequest {
            task_token: ctx.info().task_token.clone(),
            namespace: ctx.info().namespace.clone(),
            ..RecordActivityTaskHeartbeatRequest::default()
        };
        match self.client.clone().record_activity_task_heartbeat(call(request)).await {
            Ok(answer) => Ok(!answer.into_inner().cancel_requested),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(status),
        }
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
        let attempts = Attempts {
            runner: self.runner.clone(),
            answers: self.answers.clone(),
            client: self.client.clone(),
            cut,
        };
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
