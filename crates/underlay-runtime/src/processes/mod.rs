//! Processes: each follows the log, gives events to its instances, and takes their steps.
//!
//! A [`follower`] turns events into inputs, which are work like any other; a
//! [receiver](step_receiver::StepReceiver) takes a step for each, in one commit with all that the step sends.
//! How commands ended comes as input too, and timers come as work of their own.

mod definition;
mod entry;
mod follower;
mod held_instances;
mod inputs;
mod instance;
mod instances_view;
mod listing;
mod place;
mod standing;
mod step_receiver;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;
use underlay_core::{
    Clock, CommitId, Error, EventStore, StreamName, TenantId, Version, Wakeups, WorkKind, check_lease,
};

pub(crate) use entry::{ProcessEntry, ProcessOf};
pub use follower::ProcessState;
pub(crate) use instance::CATEGORY_PREFIX;
pub(crate) use instances_view::InstancesView;
pub use listing::{
    BlockingLetter, ProcessFilter, ProcessInstance, ProcessPage, ProcessSummary, WaitedCommand, WaitedTimer,
};
pub use standing::ProcessStanding;

use crate::stops::Stops;
use crate::work::Receiver;
use crate::{EngineConfig, Ports, Registry, WorkPorts};
use follower::FollowerHandle;
use held_instances::HeldInstances;
use instance::{Instance, STEP_TYPE, STEP_VERSION, StepTaken};
use step_receiver::StepReceiver;

/// Digits drawn for the name of a holder.
const HOLDER_DIGITS: usize = 8;

/// Keeps processes.
pub(crate) struct Processes {
    store: Arc<dyn EventStore>,
    work: WorkPorts,
    wakeups: Arc<dyn Wakeups>,
    clock: Arc<dyn Clock>,
    entries: BTreeMap<&'static str, Arc<dyn ProcessEntry>>,
    config: EngineConfig,
    /// Names this program to people, in leases.
    holder: String,
    held: HeldInstances,
    followers: Mutex<HashMap<String, FollowerHandle>>,
}

impl Processes {
    /// The processes of a registry; `None` where it has none.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are processes and nothing that keeps their work.
    pub(crate) fn new(
        ports: &Ports,
        registry: &Registry,
        config: &EngineConfig,
    ) -> Result<Option<Arc<Self>>, Error> {
        let entries: BTreeMap<_, _> =
            registry.processes().map(|entry| (entry.name(), entry.clone())).collect();
        let Some(first) = entries.keys().next() else { return Ok(None) };
        let Some(work) = ports.work.clone() else {
            return Err(Error::invalid(format!(
                "process {first} needs a store that keeps work, and this one keeps none"
            )));
        };
        let drawn = CommitId::draw().to_string();
        let holder = format!("{}/{}", config.process, &drawn[drawn.len() - HOLDER_DIGITS..]);
        check_lease("process", &holder, config.work_lease)?;
        Ok(Some(Arc::new(Self {
            store: ports.store.clone(),
            work,
            wakeups: ports.wakeups.clone(),
            clock: ports.clock.clone(),
            entries,
            config: config.clone(),
            holder,
            held: HeldInstances::default(),
            followers: Mutex::default(),
        })))
    }

    /// Starts a follower for every process. They end once they are told to stop.
    pub(crate) fn start(self: &Arc<Self>, stops: &mut Stops) -> Vec<JoinHandle<()>> {
        let start = |entry: &Arc<dyn ProcessEntry>| {
            let (follower, handle) = follower::new(self.clone(), entry.clone(), stops.add());
            self.followers().insert(entry.name().to_owned(), handle);
            tokio::spawn(follower.run())
        };
        self.entries.values().map(start).collect()
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
        self.entries.get(process).ok_or_else(|| {
            let known: Vec<&str> = self.entries.keys().copied().collect();
            Error::NotFound(format!("process {process:?} (there are: {})", known.join(", ")))
        })
    }

    /// Reads an instance by the last event of its stream, and keeps it.
    async fn read_instance(&self, tenant: &TenantId, stream: &StreamName) -> Result<Arc<Instance>, Error> {
        let versions = self.store.versions(tenant, std::slice::from_ref(stream)).await?;
        let mut version = versions.first().copied().unwrap_or_default();
        loop {
            if version == Version::NONE {
                return Ok(Arc::default());
            }
            let page = self.store.read_stream(tenant, stream, Version(version.0 - 1), 1).await?;
            let Some(event) = page.events.first() else {
                return Err(Error::Damaged(format!("{stream} has version {version}, and no event there")));
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
                return Err(unreadable(format!("it is a {}", event.event_type)));
            }
            if event.schema_version.0 > STEP_VERSION {
                return Err(Error::unavailable(format!(
                    "{stream} was written by a newer program, which goes on with it"
                )));
            }
            let json = event.payload.json().map_err(|error| unreadable(error.to_string()))?;
            let last = json.decode::<StepTaken>().map_err(|error| unreadable(error.to_string()))?;
            let instance = Arc::new(Instance { version: event.version, last: Some(last) });
            self.held.keep(tenant, stream, instance.clone(), json.bytes());
            return Ok(instance);
        }
    }

    fn followers(&self) -> MutexGuard<'_, HashMap<String, FollowerHandle>> {
        // Each change is one call of the map, so a panic leaves none half done.
        self.followers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
