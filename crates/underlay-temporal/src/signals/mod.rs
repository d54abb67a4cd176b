//! A sink that signals workflows: events reach workflows that are written by hand.
//!
//! A pump brings the log to [`WorkflowSink`]. A function says for each event which workflow it is for, if any. The
//! workflow is started where it does not run. A pump brings events again after a failure, so a signal carries the id of its event:
//!
//! - The server takes a request id once in a run, so a repeat in the same run leaves no trace.
//! - A signal also carries the name of its sink and the position of its event. Where the events of a batch may
//!   come again, the sink reads there how far the workflow has come, over the runs that it continued as, and leaves out what it had.
//!
//! So a signal counts once, for as long as the server keeps the history of the workflow.

mod sent;
mod workflow_signal;

pub use workflow_signal::{WhenClosed, WorkflowSignal};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use temporalio_client::grpc::WorkflowService as _;
use temporalio_client::tonic::{Code, Status};
use temporalio_common::protos::temporal::api::enums::v1::WorkflowIdReusePolicy;
use underlay_core::domain::{HandlerError, ProcessStart};
use underlay_core::ports::{Clock as _, LogFilter, Sink, SystemClock};
use underlay_core::words::{Error, EventId, Position, RecordedEvent, Timestamp};

use self::sent::Mark;
use crate::client::{Client, call};
use crate::scheduler::Temporal;
use crate::start::Trouble;

/// Workflows that are signalled side by side.
const WORKFLOWS_AT_ONCE: usize = 16;
/// How long nobody else can have taken the pump over after a batch, and signalled: a lease takes longer to run out.
const ALONE: Duration = Duration::from_secs(2);

/// Signals workflows with what the log tells.
pub struct WorkflowSink<F> {
    client: Arc<Client>,
    name: String,
    route: F,
    filter: LogFilter,
    start: ProcessStart,
    last: Mutex<Option<Taken>>,
}

/// The last batch that was taken.
#[derive(Clone, Copy)]
struct Taken {
    to: Position,
    at: Timestamp,
}

/// An event on its way to a workflow.
struct Sending {
    position: Position,
    event_id: EventId,
    signal: WorkflowSignal,
}

impl<F> WorkflowSink<F>
where
    F: Fn(&RecordedEvent) -> Result<Option<WorkflowSignal>, HandlerError> + Send + Sync + 'static,
{
    /// A sink with a name of its own, which never changes: signals carry it. The function says what an event signals; where it fails,
    /// the batch fails with its error.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name is empty or longer than 128 bytes.
    pub fn new(temporal: &Temporal, name: impl Into<String>, route: F) -> Result<Self, Error> {
        let name = name.into();
        if name.is_empty() || name.len() > Mark::NAME_BYTES_MAX {
            let max = Mark::NAME_BYTES_MAX;
            return Err(Error::invalid(format!(
                "the name of a sink has 1 to {max} bytes, and not {}",
                name.len()
            )));
        }
        let filter = LogFilter::default();
        let client = temporal.client.clone();
        Ok(Self { client, name, route, filter, start: ProcessStart::Beginning, last: Mutex::new(None) })
    }

    /// Takes these events alone.
    #[must_use]
    pub fn with_filter(mut self, filter: LogFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Begins there, where its pump has never run.
    #[must_use]
    pub fn with_start(mut self, start: ProcessStart) -> Self {
        self.start = start;
        self
    }

    /// What is to be sent, by the workflow that it is for.
    fn sort(&self, events: &[RecordedEvent]) -> Result<Vec<Vec<Sending>>, HandlerError> {
        let mut places = HashMap::new();
        let mut lines: Vec<Vec<Sending>> = Vec::new();
        for event in events {
            let Some(signal) = (self.route)(event)? else { continue };
            let place = *places.entry(signal.workflow_id.clone()).or_insert(lines.len());
            if place == lines.len() {
                lines.push(Vec::new());
            }
            lines[place].push(Sending { position: event.position, event_id: event.event_id, signal });
        }
        Ok(lines)
    }

    /// Whether somebody may have sent some of a batch that begins here.
    fn may_repeat(&self, begin: Position) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        let is_next =
            |last: Taken| begin > last.to && SystemClock.now().duration_since(last.at).unsigned_abs() < ALONE;
        !last.is_some_and(is_next)
    }

    /// Sends what is for one workflow, in order.
    async fn send_all(&self, sendings: &[Sending], may_repeat: bool) -> Result<(), HandlerError> {
        let Some(first) = sendings.first() else { return Ok(()) };
        let mut had = if may_repeat { self.had(&first.signal).await? } else { None };
        for sending in sendings {
            let signal = &sending.signal;
            if had.is_some_and(|had| sending.position <= had) {
                continue;
            }
            match self.send(sending, WorkflowIdReusePolicy::RejectDuplicate).await {
                Ok(()) => continue,
                Err(Trouble::Status(status)) if status.code() == Code::AlreadyExists => {}
                Err(trouble) => return Err(failed(signal, &trouble)),
            }
            if signal.when_closed == WhenClosed::Done {
                continue;
            }
            had = self.had(signal).await?;
            if had.is_none_or(|had| sending.position > had) {
                let sent = self.send(sending, WorkflowIdReusePolicy::AllowDuplicate).await;
                sent.map_err(|trouble| failed(signal, &trouble))?;
            }
        }
        Ok(())
    }

    async fn send(&self, sending: &Sending, reuse: WorkflowIdReusePolicy) -> Result<(), Trouble> {
        let mark = Mark { sink: self.name.clone(), position: sending.position };
        let mut client = self.client.connected().await.map_err(Trouble::Connection)?;
        let mut request =
            sending.signal.request(&self.client.address.namespace, self.client.process(), mark.header());
        request.request_id = sending.event_id.to_string();
        request.workflow_id_reuse_policy = reuse as i32;
        client.signal_with_start_workflow_execution(call(request)).await.map(drop).map_err(Trouble::Status)
    }

    /// How far the workflow has come with what this sink sent.
    async fn had(&self, signal: &WorkflowSignal) -> Result<Option<Position>, HandlerError> {
        let had = sent::last_position(&self.client, &signal.workflow_id, &self.name).await;
        had.map_err(|trouble| failed(signal, &trouble))
    }
}

#[async_trait]
impl<F> Sink for WorkflowSink<F>
where
    F: Fn(&RecordedEvent) -> Result<Option<WorkflowSignal>, HandlerError> + Send + Sync + 'static,
{
    async fn take(&self, events: &[RecordedEvent]) -> Result<(), HandlerError> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        let may_repeat = self.may_repeat(first.position);
        let lines = self.sort(events)?;
        let sends: Vec<_> = lines.iter().map(|line| self.send_all(line, may_repeat)).collect();
        stream::iter(sends).buffer_unordered(WORKFLOWS_AT_ONCE).try_collect::<()>().await?;
        let taken = Taken { to: last.position, at: SystemClock.now() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
        Ok(())
    }

    fn filter(&self) -> LogFilter {
        self.filter.clone()
    }

    fn start(&self) -> ProcessStart {
        self.start
    }
}

/// Why a signal was not taken, as a failure that may pass or that somebody has to look at.
fn failed(signal: &WorkflowSignal, trouble: &Trouble) -> HandlerError {
    let (is_final, why) = match trouble {
        Trouble::Connection(error) => (matches!(error, Error::Invalid(_)), error.to_string()),
        Trouble::Status(status) => (is_final(status), status.message().to_owned()),
    };
    let reason = format!("the signal {} to the workflow {:?}: {why}", signal.signal, signal.workflow_id);
    if is_final { HandlerError::last(reason) } else { HandlerError::passing(reason) }
}

fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
    )
}
