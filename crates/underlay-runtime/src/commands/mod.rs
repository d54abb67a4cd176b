//! What happens to a command: the states it is decided over, whose turn it is at a stream, and the commit.

mod decide;
mod past;
mod request;
mod snapshots;
mod states;
pub(crate) mod stored;
mod traced;
mod turns;

use std::sync::Arc;

use tokio::sync::Semaphore;
use underlay_core::{Clock, EventStore, Snapshots, WorkQueue};

pub(crate) use decide::{guarded, refusal_to_json};
pub use past::{AsOf, PastState};
pub use request::{ErasedRefusal, ExecuteError, ExecuteNamedError, Executed, Request, check_command_key};
pub(crate) use snapshots::{SnapshotsOf, Snapshotter};
pub use stored::{
    Cancelled, CommandInfo, CommandList, CommandPage, CommandStatus, SubmitOptions, Submitted, WaitingCommand,
};
pub(crate) use stored::{StoredCommands, Target, told_process, waited_for};

use crate::metrics::CommandMetrics;
use crate::registry::Body;
use crate::traces::Tracer;
use crate::{EngineConfig, Ports, Registry};
use states::States;
use stored::Running;
use turns::Turns;

/// Runs commands and operations.
pub(crate) struct Commands {
    store: Arc<dyn EventStore>,
    snapshots: Option<Arc<dyn Snapshots>>,
    work: Option<Arc<dyn WorkQueue>>,
    clock: Arc<dyn Clock>,
    registry: Registry,
    config: EngineConfig,
    states: States,
    turns: Turns,
    snapshots_in_flight: Arc<Semaphore>,
    running: Running,
    metrics: CommandMetrics,
    tracer: Tracer,
}

impl Commands {
    pub(crate) fn new(ports: &Ports, registry: &Registry, config: &EngineConfig) -> Self {
        Self {
            store: ports.store.clone(),
            snapshots: ports.snapshots.clone(),
            work: ports.work.as_ref().map(|work| work.queue.clone()),
            running: Running::default(),
            tracer: Tracer::new(&config.traces, &ports.clock),
            clock: ports.clock.clone(),
            registry: registry.clone(),
            states: States::new(config.states_bytes_max, config.states_tenant_bytes_max),
            turns: Turns::new(config.turns_waiting_max),
            snapshots_in_flight: snapshots::in_flight(),
            config: config.clone(),
            metrics: CommandMetrics::new(registry),
        }
    }

    /// What is counted of commands.
    pub(crate) fn metrics(&self) -> &CommandMetrics {
        &self.metrics
    }

    /// Runs a command that is named: `category`, the id's text, the command's name, its body as JSON.
    pub(crate) async fn execute_named(
        &self,
        request: &Request,
        category: &str,
        id: &str,
        command: &str,
        body: &str,
    ) -> Result<Executed, ExecuteNamedError> {
        self.registry.find_aggregate(category)?.execute(self, request, id, command, Body::sent(body)).await
    }

    /// Runs an operation that is named, with its body as JSON.
    pub(crate) async fn operate_named(
        &self,
        request: &Request,
        name: &str,
        body: &str,
    ) -> Result<Executed, ExecuteNamedError> {
        self.registry.find_operation(name)?.operate(self, request, Body::sent(body)).await
    }
}
