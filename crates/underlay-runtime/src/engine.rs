use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use underlay_core::{
    Clock, CommitId, Error, EventStore, Leases, ReadModels, Snapshots, ViewTable, Wakeups, check_lease,
};

use crate::commands::snapshots;
use crate::commands::states::States;
use crate::commands::turns::Turns;
use crate::subscription::held_lease::HeldLease;
use crate::views::runner::{RunnerHandle, ViewRunner, view_lease};
use crate::{EngineConfig, Registry, ViewState};

/// Digits drawn for the name of a holder.
const HOLDER_DIGITS: usize = 8;

/// The ports an engine works with.
#[derive(Clone)]
pub struct Ports {
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// The rows of views.
    pub read_models: Arc<dyn ReadModels>,
    /// Hints that the log has grown.
    pub wakeups: Arc<dyn Wakeups>,
    /// Stored states, where there are any.
    pub snapshots: Option<Arc<dyn Snapshots>>,
    /// Who of several processes folds a view; none where every process does, and the checkpoint alone
    /// decides whose rows are stored. They are the leases that `read_models` stores batches under.
    pub leases: Option<Arc<dyn Leases>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").field("store", &self.store.store_id()).finish_non_exhaustive()
    }
}

/// Runs commands and keeps views. A clone is a reference count.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

struct Inner {
    ports: Ports,
    registry: Registry,
    config: EngineConfig,
    states: States,
    turns: Turns,
    tables: Mutex<HashMap<String, ViewTable>>,
    runners: Mutex<HashMap<String, RunnerHandle>>,
    /// Names this engine to people, in leases.
    holder: String,
    snapshots_in_flight: Arc<Semaphore>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("ports", &self.ports)
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over these ports. Nothing runs yet; see [`Engine::start_views`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where a name is used twice, a view is not well formed, or a bound makes no sense.
    pub fn new(ports: Ports, registry: Registry, config: EngineConfig) -> Result<Self, Error> {
        registry.validate()?;
        config.validate()?;
        // Of two engines in one process each is a holder of its own.
        let drawn = CommitId::draw().to_string();
        let holder = format!("{}/{}", config.process, &drawn[drawn.len() - HOLDER_DIGITS..]);
        check_lease("view", &holder, config.view_lease)?;
        Ok(Self(Arc::new(Inner {
            states: States::new(config.states_bytes_max, config.states_tenant_bytes_max),
            turns: Turns::new(config.turns_waiting_max),
            ports,
            registry,
            config,
            tables: Mutex::default(),
            runners: Mutex::default(),
            holder,
            snapshots_in_flight: snapshots::in_flight(),
        })))
    }

    /// The log.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.0.ports.store
    }

    /// The rows of views.
    #[must_use]
    pub fn read_models(&self) -> &Arc<dyn ReadModels> {
        &self.0.ports.read_models
    }

    /// What the service is made of.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The bounds.
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.0.config
    }

    /// Hints that the log has grown.
    #[must_use]
    pub fn wakeups(&self) -> &Arc<dyn Wakeups> {
        &self.0.ports.wakeups
    }

    /// Time.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.ports.clock
    }

    /// Runs a command, all by name: `category`, the id's text, the command's name, its body as JSON.
    ///
    /// # Errors
    /// [`Failure`](crate::Failure).
    pub async fn execute_named(
        &self,
        request: &crate::Request,
        category: &str,
        id: &str,
        command: &str,
        body: &str,
    ) -> Result<crate::Executed, crate::Failure> {
        let aggregate = self.registry().find_aggregate(category)?;
        aggregate.execute(self, request, id, command, body).await
    }

    /// Runs an operation by its name, with its body as JSON.
    ///
    /// # Errors
    /// [`Failure`](crate::Failure).
    pub async fn operate_named(
        &self,
        request: &crate::Request,
        name: &str,
        body: &str,
    ) -> Result<crate::Executed, crate::Failure> {
        self.registry().find_operation(name)?.operate(self, request, body).await
    }

    /// Starts a runner for every view. They work until the answer is stopped or dropped.
    #[must_use]
    pub fn start_views(&self) -> RunningViews {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        for folder in self.registry().folders() {
            let (runner, handle) = ViewRunner::new(self.clone(), folder.clone(), stopped.clone());
            self.runners().insert(folder.schema().name, handle);
            tasks.push(tokio::spawn(runner.run()));
        }
        RunningViews { stop, tasks }
    }

    /// What the runners in this process are doing, by name.
    #[must_use]
    pub fn view_states(&self) -> Vec<ViewState> {
        let mut states: Vec<ViewState> =
            self.runners().values().map(|runner| runner.state.borrow().clone()).collect();
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }

    /// The process that folds a view at the moment, by the name it goes by; `None` where none does, or
    /// where every process does.
    ///
    /// # Errors
    /// What the leases say.
    pub async fn view_holder(&self, view: &str) -> Result<Option<String>, Error> {
        let Some(leases) = self.leases() else { return Ok(None) };
        Ok(leases.find(&view_lease(view)).await?.map(|lease| lease.holder))
    }

    pub(crate) fn runner(&self, view: &str) -> Option<RunnerHandle> {
        self.runners().get(view).cloned()
    }

    pub(crate) fn leases(&self) -> Option<&Arc<dyn Leases>> {
        self.0.ports.leases.as_ref()
    }

    /// Takes a lease for this engine; `None` where another holds it, or where there are no leases.
    pub(crate) async fn acquire_lease(&self, name: &str) -> Result<Option<HeldLease>, Error> {
        let Some(leases) = self.leases() else { return Ok(None) };
        HeldLease::acquire(leases, self.clock(), name, &self.0.holder, self.config().view_lease).await
    }

    pub(crate) fn snapshots(&self) -> Option<&Arc<dyn Snapshots>> {
        self.0.ports.snapshots.as_ref()
    }

    pub(crate) fn snapshots_in_flight(&self) -> Arc<Semaphore> {
        self.0.snapshots_in_flight.clone()
    }

    pub(crate) fn states(&self) -> &States {
        &self.0.states
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    pub(crate) fn tables(&self) -> std::sync::MutexGuard<'_, HashMap<String, ViewTable>> {
        self.0.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runners(&self) -> std::sync::MutexGuard<'_, HashMap<String, RunnerHandle>> {
        self.0.runners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The views that run in this process. Dropping it stops them at their next step.
#[derive(Debug)]
pub struct RunningViews {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl RunningViews {
    /// Lets every view finish its step, and waits for it.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a view's runner ended badly");
            }
        }
    }
}
