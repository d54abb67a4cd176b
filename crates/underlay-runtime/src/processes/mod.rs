//! Processes: each follows the log, gives events to its instances, and takes their steps.
//!
//! A [`consumer`] turns events into inputs, which are work like any other; a
//! [receiver](step_receiver::StepReceiver) takes a step for each, in one commit with all that the step sends.
//! How commands ended comes as input too, and timers come as work of their own.

mod consumer;
mod definition;
mod entry;
mod held_instances;
mod in_flight;
mod inputs;
mod instance;
mod instances_view;
mod listing;
mod step_receiver;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinHandle;
use underlay_core::{
    Error, EventStore, Position, ProcessStart, StreamName, TenantId, Version, WorkKind, WorkQueue,
};

pub(crate) use entry::{ProcessEntry, ProcessOf};
pub(crate) use instance::CATEGORY_PREFIX;
pub(crate) use instances_view::InstancesView;
pub use listing::{
    BlockingLetter, ProcessFilter, ProcessInstance, ProcessPage, ProcessSummary, SentLetter, WaitedCommand,
    WaitedTimer,
};

use crate::names::not_found;
use crate::stops::Stops;
use crate::subscription::{DurableSubscriptions, FollowerKind, RecentLog, start_of};
use crate::work::{NotDone, Receiver};
use crate::{EngineConfig, FollowerStanding, FollowerState, Ports, Registry};
use consumer::ProcessConsumer;
use held_instances::HeldInstances;
use instance::{Instance, STEP_TYPE, STEP_VERSION, StepTaken};
use step_receiver::StepReceiver;

/// Why an instance was not read.
#[derive(Debug, thiserror::Error)]
enum NotRead {
    /// It is in a shape that this program does not know.
    #[error("{0} was written by a newer program, which goes on with it")]
    Newer(StreamName),
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Whoever asks this program may ask another.
impl From<NotRead> for Error {
    fn from(not_read: NotRead) -> Self {
        match not_read {
            NotRead::Newer(_) => Self::unavailable(not_read.to_string()),
            NotRead::Failed(error) => error,
        }
    }
}

impl From<NotRead> for NotDone {
    fn from(not_read: NotRead) -> Self {
        match not_read {
            NotRead::Newer(_) => Self::anothers(not_read),
            NotRead::Failed(error) => error.into(),
        }
    }
}

/// Keeps processes.
pub(crate) struct Processes {
    store: Arc<dyn EventStore>,
    queue: Arc<dyn WorkQueue>,
    entries: BTreeMap<&'static str, Arc<dyn ProcessEntry>>,
    held: HeldInstances,
    subscriptions: Arc<DurableSubscriptions>,
}

impl Processes {
    /// The processes of a registry; `None` where it has none.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are processes and nothing that keeps their work.
    pub(crate) fn new(
        ports: &Ports,
        recent_log: &Arc<RecentLog>,
        registry: &Registry,
        config: &EngineConfig,
    ) -> Result<Option<Arc<Self>>, Error> {
        let entries: BTreeMap<_, _> =
            registry.processes().map(|entry| (entry.name(), entry.clone())).collect();
        let Some(first) = entries.keys().next() else { return Ok(None) };
        let Some(work) = &ports.work else {
            return Err(Error::invalid(format!(
                "process {first} needs a store that keeps work, and this one keeps none"
            )));
        };
        let (kind, lease, poll) = (FollowerKind::Process, config.work_lease, config.work_poll_interval);
        let subscriptions = DurableSubscriptions::new(kind, ports, recent_log, work, config, lease, poll)?;
        Ok(Some(Arc::new(Self {
            store: ports.store.clone(),
            queue: work.queue.clone(),
            entries,
            held: HeldInstances::default(),
            subscriptions: Arc::new(subscriptions),
        })))
    }

    /// Starts a follower for every process. They end once they are told to stop.
    pub(crate) fn start(self: &Arc<Self>, stops: &mut Stops) -> Vec<JoinHandle<()>> {
        let start = |consumer| tokio::spawn(self.subscriptions.subscribe(consumer, stops.add()).run());
        self.consumers().into_iter().map(start).collect()
    }

    /// Who is given the log for every process, by name.
    fn consumers(self: &Arc<Self>) -> Vec<ProcessConsumer> {
        self.entries.values().map(|entry| ProcessConsumer::new(self.clone(), entry.clone())).collect()
    }

    /// What the followers in this program are doing, by name.
    pub(crate) fn states(&self) -> Vec<FollowerState> {
        self.subscriptions.states()
    }

    /// As [`Engine::process_standings`](crate::Engine::process_standings).
    pub(crate) async fn standings(self: &Arc<Self>) -> Result<Vec<FollowerStanding>, Error> {
        self.subscriptions.standings(&self.consumers()).await
    }

    /// As [`Engine::retry_process`](crate::Engine::retry_process).
    pub(crate) async fn retry(self: &Arc<Self>, process: &str) -> Result<bool, Error> {
        let consumer = ProcessConsumer::new(self.clone(), self.find_entry(process)?.clone());
        self.subscriptions.retry(&consumer).await
    }

    /// As [`Engine::restart_process`](crate::Engine::restart_process).
    pub(crate) async fn restart(
        self: &Arc<Self>,
        process: &str,
        from: ProcessStart,
    ) -> Result<Position, Error> {
        let consumer = ProcessConsumer::new(self.clone(), self.find_entry(process)?.clone());
        let to = start_of(&*self.store, from).await?;
        self.subscriptions.go_on_from(&consumer, to).await
    }

    /// Who takes the steps, by what is received.
    pub(crate) fn receivers(self: &Arc<Self>) -> Vec<((WorkKind, String), Arc<dyn Receiver>)> {
        let of_process = |entry: &Arc<dyn ProcessEntry>| {
            let receiver: Arc<dyn Receiver> = Arc::new(StepReceiver::new(self.clone(), entry.clone()));
            [WorkKind::Input, WorkKind::Timer].map(|kind| ((kind, entry.name().to_owned()), receiver.clone()))
        };
        self.entries.values().flat_map(of_process).collect()
    }

    pub(crate) fn find_entry(&self, process: &str) -> Result<&Arc<dyn ProcessEntry>, Error> {
        self.entries.get(process).ok_or_else(|| not_found("process", process, self.entries.keys().copied()))
    }

    /// Reads an instance by the last event of its stream, and keeps it.
    async fn read_instance(&self, tenant: &TenantId, stream: &StreamName) -> Result<Arc<Instance>, NotRead> {
        let versions = self.store.versions(tenant, std::slice::from_ref(stream)).await?;
        let mut version = versions.first().copied().unwrap_or_default();
        loop {
            if version == Version::NONE {
                return Ok(Arc::default());
            }
            let page = self.store.read_stream(tenant, stream, Version(version.0 - 1), 1).await?;
            let Some(event) = page.events.first() else {
                let told = format!("{stream} has version {version}, and no event there");
                return Err(Error::Damaged(told).into());
            };
            if page.version > event.version {
                // A step was taken between the two reads.
                version = page.version;
                continue;
            }
            let unreadable = |reason: String| {
                Error::Damaged(format!(
                    "version {} of {stream} is no step of a process: {reason}",
                    event.version
                ))
            };
            if event.event_type.as_str() != STEP_TYPE {
                return Err(unreadable(format!("it is a {}", event.event_type)).into());
            }
            if event.schema_version.0 > STEP_VERSION {
                return Err(NotRead::Newer(stream.clone()));
            }
            let json = event.payload.json().map_err(|error| unreadable(error.to_string()))?;
            let last = json.decode::<StepTaken>().map_err(|error| unreadable(error.to_string()))?;
            let instance = Arc::new(Instance { version: event.version, last: Some(last) });
            self.held.keep(tenant, stream, instance.clone(), json.bytes());
            return Ok(instance);
        }
    }
}
