use std::time::Duration;

use temporalio_client::tonic::{Code, IntoRequest as _, Status};
use temporalio_client::{Client, NamespacedClient as _, grpc::WorkflowService as _};
use temporalio_common::protos::temporal::api::common::v1::{Memo, Payloads, SearchAttributes, WorkflowExecution, WorkflowType};
use temporalio_common::protos::temporal::api::enums::v1::{
    TaskQueueKind, UpdateWorkflowExecutionLifecycleStage, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
};
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::update::v1::{Input, Meta, Outcome, Request, UpdateRef, WaitPolicy, outcome};
use temporalio_common::protos::temporal::api::workflowservice::v1::execute_multi_operation_request::Operation;
use temporalio_common::protos::temporal::api::workflowservice::v1::execute_multi_operation_request::operation::Operation as Asks;
use temporalio_common::protos::temporal::api::workflowservice::v1::execute_multi_operation_response::response::Response as Answers;
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    ExecuteMultiOperationRequest, PollWorkflowExecutionUpdateRequest, StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest, UpdateWorkflowExecutionResponse,
};
use underlay_core::ports::{Clock as _, Job, JobEnd, SystemClock};
use uuid::Uuid;

use super::workflow::{Answer, Asked, LineInput};
use crate::job::{from_payloads, to_payload};

/// The pauses before a line is asked again that had no answer: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// A line that is asked.
#[derive(Clone, Debug)]
pub(crate) struct AskedLine {
    pub workflow_id: String,
    pub task_queue: String,
    pub is_local: bool,
    /// Events in the history of a run, after which it continues as new.
    pub events_max: u32,
    pub memo: Option<Memo>,
    pub search_attributes: Option<SearchAttributes>,
}

/// Asks a line for an attempt at a job, until it says what that came to. The line is started where it does not run.
///
/// # Errors
/// What the server says of a call. It is asked again after a pause where the line alone was the reason.
pub(crate) async fn ask(client: &Client, line: &AskedLine, job: &Job, number: u32) -> Result<JobEnd, Status> {
    let (mut pause, longest) = PAUSES;
    loop {
        match ask_once(client, line, job, number).await {
            Ok(Some(Answer::Ended { end })) => return Ok(end),
            Ok(Some(Answer::AskAgain) | None) => {}
            // The line ended before it answered, or has as many askers as the server lets it have.
            Err(status) if matches!(status.code(), Code::Aborted | Code::FailedPrecondition | Code::NotFound) => {
                if is_of_the_namespace(&status) {
                    return Err(status);
                }
            }
            Err(status) => return Err(status),
        }
        SystemClock.sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

fn is_of_the_namespace(status: &Status) -> bool {
    status.message().to_lowercase().contains("namespace")
}

/// None where the line has ended without an answer.
async fn ask_once(client: &Client, line: &AskedLine, job: &Job, number: u32) -> Result<Option<Answer>, Status> {
    // An id of its own: a job that was given up is asked for again, and the server must not tell what it told before.
    let update_id = format!("{}/{number}/{}", job.id(), Uuid::new_v4().simple());
    let operations = [Asks::StartWorkflow(line.start(client)), Asks::UpdateWorkflow(line.update(client, job, number, &update_id))];
    let request = ExecuteMultiOperationRequest {
        namespace: client.namespace(),
        operations: operations.map(|operation| Operation { operation: Some(operation) }).into(),
        resource_id: line.workflow_id.clone(),
    };
    let response = client.clone().execute_multi_operation(request.into_request()).await?.into_inner();
    let updated = response.responses.into_iter().find_map(|response| match response.response {
        Some(Answers::UpdateWorkflow(updated)) => Some(updated),
        _ => None,
    });
    let UpdateWorkflowExecutionResponse { update_ref, outcome, .. } =
        updated.ok_or_else(|| Status::internal("the server says nothing of the update it was asked for"))?;
    let outcome = match outcome {
        Some(outcome) => outcome,
        None => poll(client, update_ref).await?,
    };
    Ok(answer_of(outcome))
}

/// Waits for the end of an update that was accepted.
async fn poll(client: &Client, update_ref: Option<UpdateRef>) -> Result<Outcome, Status> {
    loop {
        let request = PollWorkflowExecutionUpdateRequest {
            namespace: client.namespace(),
            update_ref: update_ref.clone(),
            identity: client.identity(),
            wait_policy: Some(completed()),
        };
        let polled = client.clone().poll_workflow_execution_update(request.into_request()).await?.into_inner();
        if let Some(outcome) = polled.outcome {
            return Ok(outcome);
        }
    }
}

/// None where the line ended before it could answer: the server says so by a failure.
fn answer_of(outcome: Outcome) -> Option<Answer> {
    match outcome.value? {
        outcome::Value::Success(payloads) => from_payloads(Some(payloads)),
        outcome::Value::Failure(failure) => {
            tracing::debug!(reason = failure.message, "a line ended without an answer, and is asked again");
            None
        }
    }
}

fn completed() -> WaitPolicy {
    WaitPolicy { lifecycle_stage: UpdateWorkflowExecutionLifecycleStage::Completed as i32 }
}

impl AskedLine {
    fn start(&self, client: &Client) -> StartWorkflowExecutionRequest {
        let name = self.task_queue.clone();
        let task_queue = TaskQueue { name, kind: TaskQueueKind::Normal as i32, normal_name: String::new() };
        let input = LineInput::new(self.is_local, self.events_max);
        StartWorkflowExecutionRequest {
            namespace: client.namespace(),
            workflow_id: self.workflow_id.clone(),
            workflow_type: Some(WorkflowType { name: "underlay.line".to_owned() }),
            task_queue: Some(task_queue),
            input: Some(Payloads { payloads: vec![to_payload(&input)] }),
            identity: client.identity(),
            request_id: Uuid::new_v4().to_string(),
            workflow_id_reuse_policy: WorkflowIdReusePolicy::AllowDuplicate as i32,
            workflow_id_conflict_policy: WorkflowIdConflictPolicy::UseExisting as i32,
            memo: self.memo.clone(),
            search_attributes: self.search_attributes.clone(),
            ..StartWorkflowExecutionRequest::default()
        }
    }

    fn update(&self, client: &Client, job: &Job, number: u32, update_id: &str) -> UpdateWorkflowExecutionRequest {
        let asked = Asked { job: job.clone(), number };
        let meta = Meta { update_id: update_id.to_owned(), identity: client.identity() };
        let args = Some(Payloads { payloads: vec![to_payload(&asked)] });
        let input = Input { header: None, name: "attempt".to_owned(), args };
        UpdateWorkflowExecutionRequest {
            namespace: client.namespace(),
            workflow_execution: Some(WorkflowExecution { workflow_id: self.workflow_id.clone(), run_id: String::new() }),
            wait_policy: Some(completed()),
            request: Some(Request { meta: Some(meta), input: Some(input), ..Request::default() }),
            ..UpdateWorkflowExecutionRequest::default()
        }
    }
}
