//! What follows a commit: messages, stored commands, inputs and timers of processes.
//!
//! A worker holds shards ([`keeper`]), reads their work ([`shard`]) into lines of bounded length ([`lines`],
//! [`rooms`]), makes attempts at it ([`attempt`]) by whoever receives it ([`receiver`]), counts those that may have
//! ended a process ([`suspects`]), and settles in bulk what became of it ([`settling`]). [`worker`] has all of that in
//! hand. Where a scheduler drives the attempts, the worker asks it for them ([`driven`]), and this process makes those
//! that the scheduler asks for ([`attempting`], [`serving`]).

mod announcing;
mod anothers;
mod attempt;
mod attempting;
mod driven;
mod handlers;
mod holders;
mod keeper;
mod lines;
mod one_tenant;
mod receiver;
mod rooms;
mod rotation;
mod serving;
mod settling;
mod shard;
mod standing;
mod suspects;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use underlay_core::{
    Clock, Error, Scheduler, TenantId, Wakeups, WorkKind, WorkQueue, Worker, WorkerId, check_worker,
};

pub(crate) use announcing::{Announcements, Announcer};
pub(crate) use handlers::{HandlerEntry, Handling, check_handler};
pub(crate) use holders::Holders;
use receiver::Receivers;
pub(crate) use receiver::{Attempt, GivenUp, NotDone, Receiver, Shown};
pub(crate) use standing::until;
pub use standing::{QueueStanding, ReceiverState, SchedulerState, WorkStandings, WorkerState};

pub(crate) use worker::stopped;

use crate::commands::{Commands, StoredCommands};
use crate::metrics::WorkMetrics;
use crate::processes::Processes;
use crate::schedules::Timetable;
use crate::stops::Stops;
use crate::traces::Tracer;
use crate::views::Views;
use crate::{EngineConfig, Ports, Registry};
use anothers::Anothers;
use attempting::Attempting;
use keeper::Keeper;
use serving::{Beside, Serving};
use standing::{Depths, Told};
use worker::{Means, WorkRunner};

/// Does work, and says where it stands.
pub(crate) struct Workers {
    /// None where commits send nothing on.
    queue: Option<Arc<dyn WorkQueue>>,
    wakeups: Arc<dyn Wakeups>,
    clock: Arc<dyn Clock>,
    receivers: Arc<Receivers>,
    /// What drives the attempts, where this process does not by itself.
    scheduler: Option<Arc<dyn Scheduler>>,
    /// The timers that it is to be told of.
    announcements: Option<Arc<Announcements>>,
    config: EngineConfig,
    /// The worker of this process, as it asks for shards. Whoever is started has an id of its own.
    worker: Worker,
    /// What the worker that was started last tells of itself.
    told: Mutex<Option<Told>>,
    depths: Depths,
    metrics: WorkMetrics,
}

impl Workers {
    pub(crate) fn new(
        ports: &Ports,
        registry: &Registry,
        commands: &Arc<Commands>,
        views: &Arc<Views>,
        processes: Option<&Arc<Processes>>,
        config: &EngineConfig,
    ) -> Result<Self, Error> {
        let scheduler = ports.work.as_ref().and_then(|work| work.scheduler.clone());
        let mut worker = Worker::embedded(views.holder_name());
        if let Some(scheduler) = &scheduler {
            scheduler.identity().clone_into(&mut worker.scheduler);
        }
        check_worker(&worker, config.work_lease)?;
        let mut metrics = WorkMetrics::default();
        let receivers = receivers(ports, registry, commands, views, processes);
        let receivers = receivers.measured(&ports.clock, &mut metrics);
        Ok(Self {
            queue: ports.work.as_ref().map(|work| work.queue.clone()),
            wakeups: ports.wakeups.clone(),
            clock: ports.clock.clone(),
            receivers: Arc::new(receivers),
            scheduler,
            announcements: None,
            config: config.clone(),
            worker,
            told: Mutex::default(),
            depths: Depths::default(),
            metrics,
        })
    }

    /// The same, with the timers that its scheduler is told of.
    pub(crate) fn announcing(self, announcements: Option<Announcements>) -> Self {
        Self { announcements: announcements.map(Arc::new), ..self }
    }

    /// What is counted of the work of this process.
    pub(crate) fn metrics(&self) -> &WorkMetrics {
        &self.metrics
    }

    /// Starts a worker, and with it what submits commands that are due by a schedule, and what follows the log for
    /// processes.
    pub(crate) fn start(
        &self,
        timetable: &Arc<Timetable>,
        processes: Option<&Arc<Processes>>,
    ) -> RunningWork {
        let mut stops = Stops::default();
        let Some(queue) = &self.queue else { return RunningWork { stops, tasks: Vec::new() } };
        let told = Told::new(&self.worker.holder, self.scheduler.as_deref());
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(told.clone());
        let tracer = Tracer::new(&self.config.traces, &self.clock);
        let beside = self.scheduler.is_some().then(Beside::new);
        let anothers = Arc::<Anothers>::default();
        let serving = self.scheduler.as_ref().zip(beside.clone()).map(|(scheduler, beside)| Serving {
            scheduler: scheduler.clone(),
            runner: Arc::new(Attempting {
                queue: queue.clone(),
                receivers: self.receivers.clone(),
                timetable: timetable.clone(),
                beside: beside.clone(),
                anothers: anothers.clone(),
                clock: self.clock.clone(),
                tracer: tracer.clone(),
            }),
            clock: self.clock.clone(),
            backoff: self.config.backoff(),
            told: told.clone(),
            beside,
        });
        let means = Means {
            queue: queue.clone(),
            clock: self.clock.clone(),
            receivers: self.asked(queue, &anothers),
            config: self.config.clone(),
            told,
            // The span of an attempt is that of whoever makes it.
            tracer: if serving.is_some() { Tracer::none() } else { tracer },
            beside,
        };
        let mut tasks = vec![timetable.start(stops.add())];
        if let Some(announcements) = &self.announcements {
            tasks.push(tokio::spawn(announcements.clone().tell(stops.add())));
        }
        tasks.extend(processes.into_iter().flat_map(|processes| processes.start(&mut stops)));
        let worker = tokio::spawn(work(means, self.worker.clone(), self.wakeups.clone(), stops.add()));
        tasks.push(match serving {
            Some(serving) => tokio::spawn(serving.until_ended(worker)),
            None => worker,
        });
        RunningWork { stops, tasks }
    }

    /// Whom the worker asks for attempts.
    fn asked(&self, queue: &Arc<dyn WorkQueue>, anothers: &Arc<Anothers>) -> Arc<Receivers> {
        match &self.scheduler {
            Some(scheduler) => {
                Arc::new(Receivers::clone(&self.receivers).driven(scheduler, queue, &self.clock, anothers))
            }
            None => self.receivers.clone(),
        }
    }

    /// What the worker of this process does; none where none was started.
    pub(crate) fn state(&self) -> Option<WorkerState> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.as_ref().map(Told::state)
    }

    /// As [`Engine::work_standings`](crate::Engine::work_standings).
    pub(crate) async fn standings(&self) -> Result<WorkStandings, Error> {
        let queues = match &self.queue {
            Some(queue) => self.depths.standings(&**queue, None, &*self.clock, &self.receivers).await?,
            None => Vec::new(),
        };
        Ok(WorkStandings { worker: self.state(), queues })
    }

    /// As [`Engine::tenant_queues`](crate::Engine::tenant_queues).
    pub(crate) async fn tenant_queues(&self, tenant: &TenantId) -> Result<Vec<QueueStanding>, Error> {
        match &self.queue {
            Some(queue) => self.depths.standings(&**queue, Some(tenant), &*self.clock, &self.receivers).await,
            None => Ok(Vec::new()),
        }
    }
}

/// Works until it is stopped. Where a bug ends a worker another begins, as one that is gone: its shards run out.
async fn work(means: Means, worker: Worker, wakeups: Arc<dyn Wakeups>, stopped: watch::Receiver<bool>) {
    let (clock, config) = (means.clock.clone(), means.config.clone());
    loop {
        let keeper = Keeper {
            queue: means.queue.clone(),
            clock: clock.clone(),
            worker: Worker { id: WorkerId::draw(), ..worker.clone() },
            lease: config.work_lease,
            backoff: config.backoff(),
        };
        let runner =
            WorkRunner::new(means.clone(), keeper.start(), wakeups.subscribe_work(), stopped.clone());
        match tokio::spawn(runner.run()).await {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(%error, "the worker ended badly, and another begins");
                means.told.tell(|state| state.error = Some(format!("the worker ended badly: {error}")));
            }
        }
        clock.sleep(config.retry_delay_max).await;
    }
}

/// Who does work in this process: whatever the registry lists that receives any.
fn receivers(
    ports: &Ports,
    registry: &Registry,
    commands: &Arc<Commands>,
    views: &Arc<Views>,
    processes: Option<&Arc<Processes>>,
) -> Receivers {
    let mut receivers = Receivers::default();
    for (name, handler) in registry.handler_entries() {
        receivers.add(WorkKind::Message, name, handler.clone().receiver(&ports.store, views));
    }
    let stored: Arc<dyn Receiver> = Arc::new(StoredCommands::new(commands.clone()));
    let categories = registry.aggregates().into_iter().map(|aggregate| aggregate.category);
    for name in categories.chain(registry.operations().into_iter().map(|operation| operation.name)) {
        receivers.add(WorkKind::Command, name, stored.clone());
    }
    for ((kind, name), receiver) in processes.into_iter().flat_map(Processes::receivers) {
        receivers.add(kind, name, receiver);
    }
    receivers
}

/// The worker of this process. Dropping it stops it at its next step.
#[derive(Debug)]
pub struct RunningWork {
    stops: Stops,
    tasks: Vec<JoinHandle<()>>,
}

impl RunningWork {
    /// Lets the attempts that were begun end, within [`EngineConfig::work_drain`], stores what became of them,
    /// gives every shard back, and waits for it.
    pub async fn stop(self) {
        self.stops.stop();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "the worker ended badly");
            }
        }
    }
}
