use std::time::Duration;

use temporalio_client::grpc::WorkflowService as _;
use temporalio_client::tonic::{Code, Status};
use temporalio_common::protos::temporal::api::common::v1::{Payloads, WorkflowExecution, WorkflowType};
use temporalio_common::protos::temporal::api::enums::v1::{
    TaskQueueKind, UpdateWorkflowExecutionLifecycleStage, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
};
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::update::v1::{
    Input, Meta, Outcome, Request, UpdateRef, WaitPolicy, outcome,
};
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    ExecuteMultiOperationRequest, PollWorkflowExecutionUpdateRequest, StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest, UpdateWorkflowExecutionResponse,
    execute_multi_operation_request as request, execute_multi_operation_response as response,
};
use underlay_core::ports::{Clock as _, Job, JobEnd, SystemClock};
use uuid::Uuid;

use super::workflow::{Answer, Asked, Later, LineInput};
use crate::attributes::line_found_by;
use crate::client::{Client, call, long_call};
use crate::job::{from_payloads, to_payload};
use crate::router::Way;
use crate::start::{Trouble, lacks_attributes, with_signal};

/// The pauses before a line is asked again that had no answer: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

impl Client {
    /// Asks the line of a job for an attempt, until it says what that came to. The line is started where it does not run.
    pub(crate) async fn ask_line(&self, job: &Job, number: u32, way: &Way) -> Result<JobEnd, Trouble> {
        let (mut pause, longest) = PAUSES;
        loop {
            match self.ask_line_once(job, number, way).await {
                Ok(Some(Answer::Ended { end })) => return Ok(end),
                Ok(Some(Answer::AskAgain) | None) => {}
                Err(Trouble::Status(status)) if is_of_the_line(&status) => {
                    tracing::debug!(
                        reason = status.message(),
                        "a line ended before it answered, and is asked again"
                    );
                }
                Err(Trouble::Status(status)) if self.has_attributes() && lacks_attributes(&status) => {
                    self.lost_attributes();
                }
                Err(trouble) => return Err(trouble),
            }
            SystemClock.sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Has the line of a job begin it after a time.
    pub(crate) async fn tell_line_later(&self, job: &Job, delay: Duration, way: &Way) -> Result<(), Trouble> {
        let mut client = self.connected().await.map_err(Trouble::Connection)?;
        let start = self.line_start(job, way);
        let later = Later { job: job.clone(), delay };
        let input = Payloads { payloads: vec![to_payload(&later)] };
        let request = with_signal(start, "later", Some(input));
        client.signal_with_start_workflow_execution(call(request)).await.map(drop).map_err(Trouble::Status)
    }

    /// None where the line has ended without an answer.
    async fn ask_line_once(&self, job: &Job, number: u32, way: &Way) -> Result<Option<Answer>, Trouble> {
        let mut client = self.connected().await.map_err(Trouble::Connection)?;
        let start = self.line_start(job, way);
        let resource_id = start.workflow_id.clone();
        let update = self.line_update(&resource_id, job, number);
        let operations = [
            request::operation::Operation::StartWorkflow(start),
            request::operation::Operation::UpdateWorkflow(update),
        ];
        let request = ExecuteMultiOperationRequest {
            namespace: self.address.namespace.clone(),
            operations: operations.map(|operation| request::Operation { operation: Some(operation) }).into(),
            resource_id,
        };
        let answered = client.execute_multi_operation(long_call(request)).await.map_err(Trouble::Status)?;
        let updated =
            answered.into_inner().responses.into_iter().find_map(|response| match response.response {
                Some(response::response::Response::UpdateWorkflow(updated)) => Some(updated),
                _ => None,
            });
        let Some(UpdateWorkflowExecutionResponse { update_ref, outcome, .. }) = updated else {
            return Err(Trouble::Status(Status::internal(
                "the server says nothing of the update it was asked for",
            )));
        };
        let outcome = match outcome {
            Some(outcome) => outcome,
            None => self.updated(update_ref).await?,
        };
        Ok(read_answer(outcome))
    }

    /// Waits for the end of an update that was accepted.
    async fn updated(&self, update_ref: Option<UpdateRef>) -> Result<Outcome, Trouble> {
        let mut client = self.connected().await.map_err(Trouble::Connection)?;
        let request = PollWorkflowExecutionUpdateRequest {
            namespace: self.address.namespace.clone(),
            update_ref,
            identity: self.process().to_owned(),
            wait_policy: Some(completed()),
        };
        loop {
            let polled = client.poll_workflow_execution_update(long_call(request.clone())).await;
            // None where the server waited as long as it does.
            if let Some(outcome) = polled.map_err(Trouble::Status)?.into_inner().outcome {
                return Ok(outcome);
            }
        }
    }

    fn line_start(&self, job: &Job, way: &Way) -> StartWorkflowExecutionRequest {
        let input = LineInput::new(way);
        let (search_attributes, memo) = line_found_by(job, self.has_attributes());
        StartWorkflowExecutionRequest {
            namespace: self.address.namespace.clone(),
            workflow_id: self.line_id(job),
            workflow_type: Some(WorkflowType { name: "underlay.line".to_owned() }),
            task_queue: Some(TaskQueue {
                name: way.task_queue.clone(),
                kind: TaskQueueKind::Normal as i32,
                ..TaskQueue::default()
            }),
            input: Some(Payloads { payloads: vec![to_payload(&input)] }),
            workflow_task_timeout: way.task_timeout.and_then(|timeout| timeout.try_into().ok()),
            identity: self.process().to_owned(),
            request_id: Uuid::new_v4().to_string(),
            workflow_id_reuse_policy: WorkflowIdReusePolicy::AllowDuplicate as i32,
            workflow_id_conflict_policy: WorkflowIdConflictPolicy::UseExisting as i32,
            search_attributes,
            memo,
            ..StartWorkflowExecutionRequest::default()
        }
    }

    /// The id of the line of a job, by which everybody finds the same.
    fn line_id(&self, job: &Job) -> String {
        let Job { tenant, receiver, key, .. } = job;
        format!("{}/{tenant}/line/{receiver}/{key}", self.address.task_queue)
    }

    fn line_update(&self, workflow_id: &str, job: &Job, number: u32) -> UpdateWorkflowExecutionRequest {
        // An id of its own: a job that was given up is asked for again, and the server must not tell what it told before.
        let update_id = format!("{}/{number}/{}", job.id(), Uuid::new_v4().simple());
        let asked = Asked { job: job.clone(), number };
        let args = Some(Payloads { payloads: vec![to_payload(&asked)] });
        UpdateWorkflowExecutionRequest {
            namespace: self.address.namespace.clone(),
            workflow_execution: Some(WorkflowExecution {
                workflow_id: workflow_id.to_owned(),
                run_id: String::new(),
            }),
            wait_policy: Some(completed()),
            request: Some(Request {
                meta: Some(Meta { update_id, identity: self.process().to_owned() }),
                input: Some(Input { header: None, name: "attempt".to_owned(), args }),
                ..Request::default()
            }),
            ..UpdateWorkflowExecutionRequest::default()
        }
    }
}

/// None where the line ended before it could answer: the server says so by a failure.
fn read_answer(outcome: Outcome) -> Option<Answer> {
    match outcome.value? {
        outcome::Value::Success(payloads) => from_payloads(Some(payloads)),
        outcome::Value::Failure(failure) => {
            tracing::debug!(reason = failure.message, "a line ended before it answered, and is asked again");
            None
        }
    }
}

/// Whether a call failed because the line ended meanwhile.
fn is_of_the_line(status: &Status) -> bool {
    let is_of_the_namespace = || status.message().to_lowercase().contains("namespace");
    match status.code() {
        Code::Aborted | Code::FailedPrecondition => true,
        Code::NotFound => !is_of_the_namespace(),
        _ => false,
    }
}

fn completed() -> WaitPolicy {
    WaitPolicy { lifecycle_stage: UpdateWorkflowExecutionLifecycleStage::Completed as i32 }
}
