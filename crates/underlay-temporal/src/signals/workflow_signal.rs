use serde::Serialize;
use temporalio_common::protos::temporal::api::common::v1::{Header, Payloads, WorkflowType};
use temporalio_common::protos::temporal::api::enums::v1::{TaskQueueKind, WorkflowIdConflictPolicy};
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::workflowservice::v1::SignalWithStartWorkflowExecutionRequest;
use underlay_core::words::{Error, Json};

use crate::job::to_payload;

/// A signal to a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowSignal {
    /// The type of the workflow, by which its worker knows it.
    pub workflow_type: String,
    /// Which workflow it is.
    pub workflow_id: String,
    /// Where its worker asks for tasks.
    pub task_queue: String,
    /// The name of the signal.
    pub signal: String,
    /// What the signal carries.
    pub input: Json,
    /// What the workflow is started with, where it is started; nothing where it takes none.
    pub start_input: Option<Json>,
    /// What happens where the workflow has closed.
    pub when_closed: WhenClosed,
}

/// What becomes of a signal to a workflow that has closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenClosed {
    /// It is left out: the workflow needs no more.
    #[default]
    Done,
    /// The workflow is started again with it.
    Restart,
}

impl WorkflowSignal {
    /// A signal to a workflow, which is left out where that has closed.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the input has no JSON form.
    pub fn new(
        workflow_type: impl Into<String>,
        workflow_id: impl Into<String>,
        task_queue: impl Into<String>,
        signal: impl Into<String>,
        input: &impl Serialize,
    ) -> Result<Self, Error> {
        Ok(Self {
            workflow_type: workflow_type.into(),
            workflow_id: workflow_id.into(),
            task_queue: task_queue.into(),
            signal: signal.into(),
            input: Json::encode(input)?,
            start_input: None,
            when_closed: WhenClosed::default(),
        })
    }

    /// Starts the workflow with this, where it does not run.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the input has no JSON form.
    pub fn with_start_input(mut self, input: &impl Serialize) -> Result<Self, Error> {
        self.start_input = Some(Json::encode(input)?);
        Ok(self)
    }

    /// Starts the workflow again where it has closed.
    #[must_use]
    pub fn restarting(mut self) -> Self {
        self.when_closed = WhenClosed::Restart;
        self
    }

    /// The call that sends it, without its id and its policy.
    pub(super) fn request(
        &self,
        namespace: &str,
        identity: &str,
        header: Header,
    ) -> SignalWithStartWorkflowExecutionRequest {
        let task_queue = TaskQueue {
            name: self.task_queue.clone(),
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        };
        SignalWithStartWorkflowExecutionRequest {
            namespace: namespace.to_owned(),
            workflow_id: self.workflow_id.clone(),
            workflow_type: Some(WorkflowType { name: self.workflow_type.clone() }),
            task_queue: Some(task_queue),
            input: self.start_input.as_ref().map(payloads),
            identity: identity.to_owned(),
            workflow_id_conflict_policy: WorkflowIdConflictPolicy::UseExisting as i32,
            signal_name: self.signal.clone(),
            signal_input: Some(payloads(&self.input)),
            header: Some(header),
            ..SignalWithStartWorkflowExecutionRequest::default()
        }
    }
}

fn payloads(json: &Json) -> Payloads {
    Payloads { payloads: vec![to_payload(json)] }
}
