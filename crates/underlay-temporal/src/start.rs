use std::time::Duration;

use temporalio_client::Client as SdkClient;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{Code, Status};
use temporalio_common::protos::temporal::api::common::v1::{Payloads, WorkflowExecution, WorkflowType};
use temporalio_common::protos::temporal::api::enums::v1::{
    HistoryEventFilterType, TaskQueueKind, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
};
use temporalio_common::protos::temporal::api::errordetails::v1::WorkflowExecutionAlreadyStartedFailure;
use temporalio_common::protos::temporal::api::failure::v1::failure::FailureInfo;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use temporalio_common::protos::temporal::api::sdk::v1::UserMetadata;
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    GetWorkflowExecutionHistoryRequest, SignalWithStartWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
};
use temporalio_common::protos::utilities::decode_status_detail;
use underlay_core::ports::JobEnd;
use underlay_core::words::Error;
use uuid::Uuid;

use crate::attributes::found_by;
use crate::client::{Client, call, long_call};
use crate::job::{DUE, JobInput, from_payloads, to_payload, workflow_type};
use crate::router::Way;

/// Asks for the workflow of a job.
pub(crate) struct Start<'a> {
    pub id: &'a str,
    pub input: JobInput,
    pub way: &'a Way,
    /// What becomes of a workflow of this id that has ended.
    pub reuse: WorkflowIdReusePolicy,
    pub delay: Option<Duration>,
    /// Whether a workflow that waits is told that its job is due.
    pub is_told: bool,
    /// The same for each time it is asked for, so that an answer that was lost begins nothing twice.
    pub request_id: Uuid,
}

/// The run that stands for a job.
#[derive(Debug)]
pub(crate) struct Started {
    pub run_id: String,
    pub standing: Stands,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    /// It was begun by this call.
    Begun,
    /// It was begun before, and goes on.
    GoesOn,
    /// It was begun before, and has ended.
    Ended,
}

/// Why a call came to nothing.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// No connection.
    Connection(Error),
    /// What the server answers.
    Status(Status),
}

/// An attempt that failed, where another follows.
#[derive(Debug)]
pub(crate) struct FailedAttempt {
    pub number: u32,
    pub end: JobEnd,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Close {
    /// By itself.
    Came(JobEnd),
    /// It goes on in another run, after an attempt that failed or is another's to make.
    GoesOn { run_id: String, failed: Option<FailedAttempt> },
    /// Somebody ended it, and nothing follows from that.
    ByHand,
}

impl Client {
    /// Begins the workflow of a job, or finds the one that stands for it.
    pub(crate) async fn start(&self, start: &Start<'_>) -> Result<Started, Trouble> {
        let mut client = self.connected().await.map_err(Trouble::Connection)?;
        let Ok(_room) = self.starts.acquire().await else {
            return Err(Trouble::Connection(Error::unavailable("the client of Temporal is closed")));
        };
        let has_attributes = self.has_attributes();
        let mut answer = self.ask(&mut client, start, has_attributes).await;
        if has_attributes && answer.as_ref().is_err_and(lacks_attributes) {
            self.lost_attributes();
            answer = self.ask(&mut client, start, false).await;
        }
        match answer {
            Ok((run_id, true)) => Ok(Started { run_id, standing: Stands::Begun }),
            Ok((run_id, false)) => Ok(Started { run_id, standing: Stands::GoesOn }),
            Err(status) if status.code() == Code::AlreadyExists => {
                let found = decode_status_detail::<WorkflowExecutionAlreadyStartedFailure>(status.details());
                Ok(Started {
                    run_id: found.map(|found| found.run_id).unwrap_or_default(),
                    standing: Stands::Ended,
                })
            }
            Err(status) => Err(Trouble::Status(status)),
        }
    }

    /// Says which run stands for the job, and whether it was begun now.
    async fn ask(
        &self,
        client: &mut SdkClient,
        start: &Start<'_>,
        has_attributes: bool,
    ) -> Result<(String, bool), Status> {
        let request = self.request(start, has_attributes);
        if !start.is_told {
            let answer = client.start_workflow_execution(call(request)).await?.into_inner();
            return Ok((answer.run_id, answer.started));
        }
        // A signal alone does not end the delay of a start: the server does that where it comes with a start.
        let request = with_signal(request, DUE, None);
        let answer = client.signal_with_start_workflow_execution(call(request)).await?.into_inner();
        Ok((answer.run_id, answer.started))
    }

    fn request(&self, start: &Start<'_>, has_attributes: bool) -> StartWorkflowExecutionRequest {
        let job = &start.input.job;
        let (search_attributes, memo) = found_by(job, has_attributes);
        let summary = format!("{} of {} for {}", job.name, job.receiver, job.key);
        StartWorkflowExecutionRequest {
            namespace: self.address.namespace.clone(),
            workflow_id: start.id.to_owned(),
            workflow_type: Some(WorkflowType { name: workflow_type(job) }),
            task_queue: Some(TaskQueue {
                name: start.way.task_queue.clone(),
                kind: TaskQueueKind::Normal as i32,
                ..TaskQueue::default()
            }),
            input: Some(Payloads { payloads: vec![to_payload(&start.input)] }),
            workflow_task_timeout: start.way.task_timeout.and_then(|timeout| timeout.try_into().ok()),
            identity: self.process().to_owned(),
            request_id: start.request_id.to_string(),
            workflow_id_reuse_policy: start.reuse as i32,
            workflow_id_conflict_policy: WorkflowIdConflictPolicy::UseExisting as i32,
            workflow_start_delay: start.delay.and_then(|delay| delay.try_into().ok()),
            user_metadata: Some(UserMetadata { summary: Some(to_payload(&summary)), details: None }),
            search_attributes,
            memo,
            ..StartWorkflowExecutionRequest::default()
        }
    }

    /// Waits until a run has ended.
    pub(crate) async fn closed(&self, id: &str, run_id: &str) -> Result<Close, Trouble> {
        let mut client = self.connected().await.map_err(Trouble::Connection)?;
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: self.address.namespace.clone(),
            execution: Some(WorkflowExecution { workflow_id: id.to_owned(), run_id: run_id.to_owned() }),
            wait_new_event: true,
            history_event_filter_type: HistoryEventFilterType::CloseEvent as i32,
            skip_archival: true,
            ..GetWorkflowExecutionHistoryRequest::default()
        };
        loop {
            let answer = client.get_workflow_execution_history(long_call(request.clone())).await;
            let history = answer.map_err(Trouble::Status)?.into_inner().history;
            // None where the server waited as long as it does.
            if let Some(last) = history.and_then(|mut history| history.events.pop()) {
                return Ok(read_close(last.attributes));
            }
        }
    }
}

/// The same start, with a signal that comes with it, or alone where the workflow runs.
pub(crate) fn with_signal(
    start: StartWorkflowExecutionRequest,
    signal: &str,
    signal_input: Option<Payloads>,
) -> SignalWithStartWorkflowExecutionRequest {
    SignalWithStartWorkflowExecutionRequest {
        namespace: start.namespace,
        workflow_id: start.workflow_id,
        workflow_type: start.workflow_type,
        task_queue: start.task_queue,
        input: start.input,
        workflow_task_timeout: start.workflow_task_timeout,
        identity: start.identity,
        request_id: start.request_id,
        workflow_id_reuse_policy: start.workflow_id_reuse_policy,
        workflow_id_conflict_policy: start.workflow_id_conflict_policy,
        signal_name: signal.to_owned(),
        signal_input,
        user_metadata: start.user_metadata,
        search_attributes: start.search_attributes,
        memo: start.memo,
        ..SignalWithStartWorkflowExecutionRequest::default()
    }
}

/// What follows from the last event of a run.
fn read_close(event: Option<Attributes>) -> Close {
    match event {
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(completed)) => {
            from_payloads(completed.result).map_or(Close::ByHand, Close::Came)
        }
        Some(Attributes::WorkflowExecutionFailedEventAttributes(failed)) => {
            let details = match failed.failure.and_then(|failure| failure.failure_info) {
                Some(FailureInfo::ApplicationFailureInfo(info)) => info.details,
                _ => None,
            };
            from_payloads(details).map_or(Close::ByHand, Close::Came)
        }
        Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(next)) => {
            let failed = from_payloads::<JobInput>(next.input).and_then(|input| {
                let end = input.before.filter(|before| matches!(before, JobEnd::Failed { .. }))?;
                Some(FailedAttempt { number: input.number.saturating_sub(1), end })
            });
            Close::GoesOn { run_id: next.new_execution_run_id, failed }
        }
        _ => Close::ByHand,
    }
}

/// Whether a start was refused because of a search attribute that the namespace has no more.
pub(crate) fn lacks_attributes(status: &Status) -> bool {
    status.code() == Code::InvalidArgument && status.message().to_lowercase().contains("search attribute")
}
