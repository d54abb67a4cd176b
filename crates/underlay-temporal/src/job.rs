use std::collections::HashMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use temporalio_client::RetryPolicy;
use temporalio_common::data_converters::RawValue;
use temporalio_common::protos::temporal::api::common::v1::{Payload, Payloads};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, ApplicationFailure, ContinueAsNewOptions, LocalActivityOptions, SyncWorkflowContext,
    WorkflowContext, WorkflowResult, WorkflowTermination, workflows,
};
use temporalio_workflow::workflows::WorkflowImplementation;
use underlay_core::ports::{Job, JobEnd};

use crate::worker::Attempts;

/// The signal that says that a job is due, whatever its workflow waits for.
pub(crate) const DUE: &str = "due";
/// The type of the failure of a job that was given up.
pub(crate) const GIVEN_UP: &str = "GivenUp";
/// The pause before a job is offered again that another program is to do.
const ANOTHERS_PAUSE: Duration = Duration::from_secs(1);
/// How long a job waits for its line until it looks again: what it was may be gone meanwhile.
const LINE_PAUSE: Duration = Duration::from_secs(300);
/// The longest an attempt takes as a local activity. The server lets one process keep a workflow for half an hour.
const LOCAL_ATTEMPT_MAX: Duration = Duration::from_secs(20 * 60);
/// The longest an attempt takes as an activity: it ends by its own time.
const ATTEMPT_MAX: Duration = Duration::from_secs(30 * 86_400);
/// The longest pause between two heartbeats of an activity.
const HEARTBEAT_MAX: Duration = Duration::from_secs(30);
/// The first and the longest pause before an attempt is made again that ended with its process.
const LOST_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What a run of a job's workflow begins with. Histories keep it, so fields are added only with a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobInput {
    pub job: Job,
    /// The attempt this run makes, from 1.
    pub number: u32,
    /// Whether whoever holds the job's line asked for it.
    pub is_due: bool,
    /// Whether the attempt is a local activity.
    pub is_local: bool,
    /// What the run before this one came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<JobEnd>,
}

/// What an attempt is made with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AttemptInput {
    pub job: Job,
    pub number: u32,
    pub is_due: bool,
}

/// A workflow that can be told that its job is due.
trait Due {
    fn is_due(&self) -> bool;
}

macro_rules! job_workflow {
    ($type:ident, $name:literal, $what:literal) => {
        #[doc = $what]
        #[workflow]
        #[derive(Default)]
        pub(crate) struct $type {
            is_due: bool,
        }

        #[workflow_methods]
        impl $type {
            #[run(name = $name)]
            pub(crate) async fn run(
                ctx: &mut WorkflowContext<Self>,
                input: JobInput,
            ) -> WorkflowResult<JobEnd> {
                drive(ctx, input).await
            }

            #[signal(name = "due")]
            pub(crate) fn due(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
                self.is_due = true;
            }
        }

        impl Due for $type {
            fn is_due(&self) -> bool {
                self.is_due
            }
        }
    };
}

job_workflow!(CommandJob, "underlay.command", "A command for an aggregate or an operation.");
job_workflow!(MessageJob, "underlay.message", "A message for a handler.");
job_workflow!(InputJob, "underlay.input", "What a process is given.");
job_workflow!(TimerJob, "underlay.timer", "A timer of a process.");
job_workflow!(ScheduleJob, "underlay.schedule", "A schedule that is due.");

/// The type of the workflow of a job.
pub(crate) fn workflow_type(job: &Job) -> String {
    format!("underlay.{}", job.kind())
}

/// One run: one attempt, and what follows from it. What an attempt came to is a value. Only an attempt that ended with
/// its process is an error to the server, and is made again by it.
async fn drive<W>(ctx: &WorkflowContext<W>, input: JobInput) -> WorkflowResult<JobEnd>
where
    W: WorkflowImplementation + Due,
    W::Run: temporalio_common::WorkflowDefinition<Input = JobInput>,
{
    let mut is_due = input.is_due;
    loop {
        is_due |= ctx.state(Due::is_due);
        let attempt = AttemptInput { job: input.job.clone(), number: input.number, is_due };
        let end = if input.is_local {
            ctx.execute_local_activity(Attempts::attempt, attempt, local_activity()).await?
        } else {
            ctx.execute_activity(Attempts::attempt, attempt, activity()).await?
        };
        is_due |= ctx.state(Due::is_due);
        let next = |number| JobInput { number, is_due, before: Some(end.clone()), ..input.clone() };
        match &end {
            JobEnd::Done | JobEnd::Gone => return Ok(end),
            JobEnd::Failed { retry_in: Some(pause), .. } => {
                return again(ctx, next(input.number.saturating_add(1)), *pause);
            }
            JobEnd::Anothers { .. } => return again(ctx, next(input.number), ANOTHERS_PAUSE),
            JobEnd::Waits => {
                let is_told = is_due || {
                    workflows::select! {
                        told = ctx.wait_condition(Due::is_due) => { told?; true }
                        _ = ctx.timer(LINE_PAUSE) => false
                    }
                };
                if !is_told {
                    return again(ctx, next(input.number), Duration::ZERO);
                }
                is_due = true;
            }
            _ => return Err(given_up(&end)),
        }
    }
}

/// Goes on in a new run: its history begins anew, and whoever waits for this one learns what it came to.
fn again<W>(ctx: &WorkflowContext<W>, input: JobInput, pause: Duration) -> WorkflowResult<JobEnd>
where
    W: WorkflowImplementation,
    W::Run: temporalio_common::WorkflowDefinition<Input = JobInput>,
{
    let pause = Some(pause).filter(|pause| !pause.is_zero());
    let options = ContinueAsNewOptions::builder().maybe_backoff_start_interval(pause).build();
    match ctx.continue_as_new(input, options)? {}
}

/// The end of a job whose last attempt failed: its workflow fails too, with what became of it in the details.
fn given_up(end: &JobEnd) -> WorkflowTermination {
    let reason = match end {
        JobEnd::Failed { reason, .. } => reason.clone(),
        other => format!("{other:?}"),
    };
    let details = RawValue::new(vec![to_payload(end)]);
    WorkflowTermination::failed_application(
        ApplicationFailure::builder(reason)
            .type_name(GIVEN_UP.to_owned())
            .non_retryable(true)
            .details(details)
            .build(),
    )
}

pub(crate) fn local_activity() -> LocalActivityOptions {
    LocalActivityOptions::builder()
        .start_to_close_timeout(LOCAL_ATTEMPT_MAX)
        .retry_policy(made_again())
        .build()
}

pub(crate) fn activity() -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(ATTEMPT_MAX)
        .heartbeat_timeout(HEARTBEAT_MAX)
        .retry_policy(made_again())
        .build()
}

/// Without bound.
fn made_again() -> RetryPolicy {
    let (first, longest) = LOST_PAUSES;
    RetryPolicy::builder().initial_interval(first).maximum_interval(longest).build()
}

/// A value as the SDK's own converter keeps it.
pub(crate) fn to_payload(value: &impl Serialize) -> Payload {
    // Only maps with keys that are no text fail, and a float that is no number becomes null.
    let data = serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec());
    let encoding = HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]);
    Payload { metadata: encoding, data, ..Payload::default() }
}

/// The first of some values, where it can be read.
pub(crate) fn from_payloads<T: DeserializeOwned>(payloads: Option<Payloads>) -> Option<T> {
    let payload = payloads?.payloads.into_iter().next()?;
    serde_json::from_slice(&payload.data).ok()
}
