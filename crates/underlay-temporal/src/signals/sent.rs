//! How far a workflow has come with what a sink sent: its history tells.

use temporalio_client::grpc::WorkflowService as _;
use temporalio_client::tonic::Code;
use temporalio_common::protos::temporal::api::common::v1::{Header, WorkflowExecution};
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use temporalio_common::protos::temporal::api::workflowservice::v1::GetWorkflowExecutionHistoryReverseRequest;
use underlay_core::words::Position;

use crate::client::{Client, call};
use crate::job::to_payload;
use crate::start::Trouble;

/// Events of a history that are read at once.
const PAGE_EVENTS: i32 = 200;
/// Pages that are read before the search ends with nothing.
const PAGES_MAX: usize = 100;
/// The headers of a signal.
const SINK: &str = "underlay-sink";
const POSITION: &str = "underlay-position";

/// What a signal carries beside its input: who sent it, and where its event is in the log.
pub(super) struct Mark {
    pub(super) sink: String,
    pub(super) position: Position,
}

impl Mark {
    /// Bytes in the name of a sink.
    pub(super) const NAME_BYTES_MAX: usize = 128;

    pub(super) fn header(&self) -> Header {
        let fields = [(SINK, to_payload(&self.sink)), (POSITION, to_payload(&self.position.number()))];
        Header { fields: fields.map(|(name, value)| (name.to_owned(), value)).into() }
    }

    fn of(header: &Header) -> Option<Self> {
        let sink = serde_json::from_slice(&header.fields.get(SINK)?.data).ok()?;
        let position = serde_json::from_slice(&header.fields.get(POSITION)?.data).ok()?;
        Some(Self { sink, position: Position::from_number(position) })
    }
}

/// The position of the last event that the sink has signalled to a workflow, over the runs that it continued as.
pub(super) async fn last_position(
    client: &Client,
    workflow_id: &str,
    sink: &str,
) -> Result<Option<Position>, Trouble> {
    let mut connected = client.connected().await.map_err(Trouble::Connection)?;
    let mut execution = WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id: String::new() };
    let mut next_page_token = Vec::new();
    for _ in 0..PAGES_MAX {
        let request = GetWorkflowExecutionHistoryReverseRequest {
            namespace: client.address.namespace.clone(),
            execution: Some(execution.clone()),
            maximum_page_size: PAGE_EVENTS,
            next_page_token,
        };
        let page = match connected.get_workflow_execution_history_reverse(call(request)).await {
            Ok(page) => page.into_inner(),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(Trouble::Status(status)),
        };
        let events = page.history.map(|history| history.events).unwrap_or_default();
        let marks = events.iter().filter_map(mark);
        if let Some(mark) = marks.into_iter().find(|mark| mark.sink == sink) {
            return Ok(Some(mark.position));
        }
        next_page_token = page.next_page_token;
        if next_page_token.is_empty() {
            let Some(before) = events.iter().find_map(run_before) else { return Ok(None) };
            execution.run_id = before;
        }
    }
    Ok(None)
}

fn mark(event: &HistoryEvent) -> Option<Mark> {
    match event.attributes.as_ref()? {
        Attributes::WorkflowExecutionSignaledEventAttributes(signaled) => Mark::of(signaled.header.as_ref()?),
        _ => None,
    }
}

/// The run that this one continues, where the event is its first.
fn run_before(event: &HistoryEvent) -> Option<String> {
    match event.attributes.as_ref()? {
        Attributes::WorkflowExecutionStartedEventAttributes(started) => {
            Some(started.continued_execution_run_id.clone()).filter(|run| !run.is_empty())
        }
        _ => None,
    }
}
