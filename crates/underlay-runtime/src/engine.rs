mod cache;
mod entities;
mod health;
mod processes;
mod schedules;
mod stored_commands;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use underlay_core::{
    Aggregate, Cache, Checkpoints, Clock, Error, EventStore, Leases, LogFilter, Operation, Position, Query,
    ReadModels, RecordedEvent, Scheduler, Schedules, SkippedEvent, Snapshots, StreamName, TenantId, ViewInfo,
    Wakeups, WorkQueue,
};

use crate::cache::{CACHE_PUMP, Invalidator, TieredCache};
use crate::commands::Commands;
use crate::entities::EntityKeeper;
use crate::health::StoreHealth;
use crate::metrics::{
    CommandMetrics, EntityMetrics, MeasuredScheduler, MeasuredStore, ScheduleMetrics, SchedulerMetrics,
    StoreMetrics, ViewMetrics, WorkMetrics,
};
use crate::overview::KnownStandings;
use crate::processes::Processes;
use crate::pumps::Pumps;
use crate::schedules::Timetable;
use crate::stops::Stops;
use crate::subscription::RecentLog;
use crate::traces::Tracer;
use crate::views::Views;
use crate::work::{Announcer, Workers};
use crate::{
    AsOf, EngineConfig, EntityStores, ExecuteError, ExecuteNamedError, Executed, OrderRequest, OrderStanding,
    PastState, QueueStanding, RebuildFrom, Registry, Request, Retried, RowAnswer, RowsAt, RunningWork,
    Standings, ViewAnswer, ViewOrder, ViewStanding, ViewState, WatchedStore, WorkStandings, WorkerState,
};

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
    /// What keeps that which commits send on; none where commits send nothing on.
    pub work: Option<WorkPorts>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The ports of what follows a commit. They are of the store that keeps the log.
#[derive(Clone)]
pub struct WorkPorts {
    /// Work that commits sent on.
    pub queue: Arc<dyn WorkQueue>,
    /// What is due again and again.
    pub schedules: Arc<dyn Schedules>,
    /// How far processes and pumps have come.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// The leases that checkpoints are moved under; none where every process follows the log for itself.
    pub leases: Option<Arc<dyn Leases>>,
    /// What has work done; none where each process does that of the shards it holds.
    pub scheduler: Option<Arc<dyn Scheduler>>,
}

impl WorkPorts {
    /// The same, with a scheduler whose jobs are counted.
    fn measured(self, clock: &Arc<dyn Clock>, metrics: &Arc<SchedulerMetrics>) -> Self {
        let measured = |scheduler| -> Arc<dyn Scheduler> {
            Arc::new(MeasuredScheduler { scheduler, clock: clock.clone(), metrics: metrics.clone() })
        };
        Self { scheduler: self.scheduler.map(measured), ..self }
    }
}

impl std::fmt::Debug for WorkPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkPorts")
            .field("has_leases", &self.leases.is_some())
            .field("scheduler", &self.scheduler.as_ref().map(|scheduler| scheduler.identity()))
            .finish_non_exhaustive()
    }
}

/// Where rows of views are kept, beside the store of the log.
#[derive(Clone)]
pub struct RowStore {
    /// The rows.
    pub read_models: Arc<dyn ReadModels>,
    /// The leases that these rows are stored under; none where every process folds.
    pub leases: Option<Arc<dyn Leases>>,
}

impl std::fmt::Debug for RowStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowStore").field("has_leases", &self.leases.is_some()).finish_non_exhaustive()
    }
}

/// Stores of rows, by the names that views have for them; see [`View::STORE`](underlay_core::View::STORE).
pub type RowStores = BTreeMap<String, RowStore>;

/// Stores beside that of the log.
#[derive(Clone, Default)]
pub struct Stores {
    /// Stores of rows, for the views that name one.
    pub rows: RowStores,
    /// Which store has which entities. The store of the log is one of them, where it keeps entities.
    pub entities: EntityStores,
    /// Those of them that can be asked how they are.
    pub health: Vec<WatchedStore>,
    /// The cache behind that of the process; none where each process has its own alone.
    pub cache: Option<Arc<dyn Cache>>,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stores")
            .field("rows", &self.rows)
            .field("entities", &self.entities)
            .field("health", &self.health)
            .field("has_cache", &self.cache.is_some())
            .finish()
    }
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
    commands: Arc<Commands>,
    timetable: Arc<Timetable>,
    views: Arc<Views>,
    entities: Arc<EntityKeeper>,
    store_health: StoreHealth,
    cache: TieredCache,
    /// What events take away from the cache; none where they take nothing.
    invalidator: Option<Invalidator>,
    recent_log: Arc<RecentLog>,
    processes: Option<Arc<Processes>>,
    workers: Workers,
    pumps: Arc<Pumps>,
    tracer: Tracer,
    /// What the store last said of all pumps.
    known_standings: KnownStandings,
    store_metrics: Arc<StoreMetrics>,
    entity_metrics: Arc<EntityMetrics>,
    scheduler_metrics: Arc<SchedulerMetrics>,
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
    /// [`Error::Invalid`] where a name is used twice, a view is not well formed, a bound makes no sense, or there
    /// are processes and nothing that keeps their work.
    pub fn new(ports: Ports, registry: Registry, config: EngineConfig) -> Result<Self, Error> {
        Self::with_row_stores(ports, RowStores::default(), registry, config)
    }

    /// The same, with stores of rows for the views that name one.
    ///
    /// # Errors
    /// As [`Engine::new`]; [`Error::Invalid`] where a view names a store that is not among these.
    pub fn with_row_stores(
        ports: Ports,
        row_stores: RowStores,
        registry: Registry,
        config: EngineConfig,
    ) -> Result<Self, Error> {
        let stores = Stores { rows: row_stores, ..Stores::default() };
        Self::with_stores(ports, stores, registry, config)
    }

    /// The same, with stores of rows and of entities.
    ///
    /// # Errors
    /// As [`Engine::with_row_stores`]; [`Error::Invalid`] where an entity has no store.
    pub fn with_stores(
        ports: Ports,
        stores: Stores,
        registry: Registry,
        config: EngineConfig,
    ) -> Result<Self, Error> {
        config.validate()?;
        let cache = TieredCache::new(ports.clock.clone(), config.cache.clone(), stores.cache.clone());
        let invalidator = match registry.invalidations() {
            none if none.is_empty() => None,
            some => Some(Invalidator::new(&cache, some)?),
        };
        let registry = match &invalidator {
            // Of what happened while no process was there, the outer tier hears by a pump.
            Some(outer) if stores.cache.is_some() && ports.work.is_some() => {
                registry.pump(CACHE_PUMP, outer.clone())
            }
            _ => registry,
        };
        registry.validate()?;
        let store_metrics = Arc::<StoreMetrics>::default();
        let scheduler_metrics = Arc::<SchedulerMetrics>::default();
        let work = ports.work.map(|work| work.measured(&ports.clock, &scheduler_metrics));
        let scheduler = work.as_ref().and_then(|work| work.scheduler.clone());
        let (announcer, announcements) =
            scheduler.map(|scheduler| Announcer::new(scheduler, ports.clock.clone())).unzip();
        let measured = MeasuredStore {
            store: ports.store,
            clock: ports.clock.clone(),
            metrics: store_metrics.clone(),
            announcer,
        };
        let ports = Ports { store: Arc::new(measured), work, ..ports };
        let tracer = Tracer::new(&config.traces, &ports.clock);
        let commands = Arc::new(Commands::new(&ports, &registry, &config));
        let recent_log = Arc::new(RecentLog::new(ports.store.clone(), &*ports.wakeups));
        let views = Arc::new(Views::new(&ports, &recent_log, stores.rows, &registry, &config)?);
        let entity_metrics = Arc::new(EntityMetrics::new(&registry));
        let entity_stores = stores.entities.measured(&ports.clock, &entity_metrics);
        let entities = Arc::new(EntityKeeper::new(
            &registry,
            &entity_stores,
            ports.store.keeps_entities(),
            &cache,
            &tracer,
        )?);
        let store_health = StoreHealth::new(stores.health, ports.clock.clone());
        let timetable = Arc::new(Timetable::new(&ports, commands.clone(), &config));
        let processes = Processes::new(&ports, &recent_log, &registry, &config)?;
        let workers = Workers::new(&ports, &registry, &commands, &views, processes.as_ref(), &config)?
            .announcing(announcements);
        let pumps = Arc::new(Pumps::new(&ports, &recent_log, &registry, &config)?);
        let known_standings = KnownStandings::default();
        Ok(Self(Arc::new(Inner {
            ports,
            registry,
            config,
            commands,
            timetable,
            views,
            entities,
            store_health,
            cache,
            invalidator,
            recent_log,
            processes,
            workers,
            pumps,
            tracer,
            known_standings,
            store_metrics,
            entity_metrics,
            scheduler_metrics,
        })))
    }

    /// Everything it works with.
    pub(crate) fn ports(&self) -> &Ports {
        &self.0.ports
    }

    pub(crate) fn pumps(&self) -> &Arc<Pumps> {
        &self.0.pumps
    }

    pub(crate) fn known_standings(&self) -> &KnownStandings {
        &self.0.known_standings
    }

    pub(crate) fn store_metrics(&self) -> &StoreMetrics {
        &self.0.store_metrics
    }

    pub(crate) fn entity_metrics(&self) -> &EntityMetrics {
        &self.0.entity_metrics
    }

    pub(crate) fn scheduler_metrics(&self) -> &SchedulerMetrics {
        &self.0.scheduler_metrics
    }

    pub(crate) fn command_metrics(&self) -> &CommandMetrics {
        self.0.commands.metrics()
    }

    pub(crate) fn view_metrics(&self) -> &ViewMetrics {
        self.0.views.metrics()
    }

    pub(crate) fn work_metrics(&self) -> &WorkMetrics {
        self.0.workers.metrics()
    }

    pub(crate) fn schedule_metrics(&self) -> &ScheduleMetrics {
        self.0.timetable.metrics()
    }

    /// The log.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.0.ports.store
    }

    /// The rows of a view, in the store it names.
    #[must_use]
    pub fn read_models(&self, view: &str) -> &Arc<dyn ReadModels> {
        self.0.views.rows(view)
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

    /// Begins spans of traces.
    #[must_use]
    pub fn tracer(&self) -> &Tracer {
        &self.0.tracer
    }

    /// Time.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.ports.clock
    }

    /// Runs a command against one aggregate.
    ///
    /// # Errors
    /// The aggregate's refusal, or [`Error`]: [`Error::Conflict`] where the stream is not at
    /// `request.expected`, or was written by others at every try.
    pub async fn execute<A: Aggregate>(
        &self,
        request: &Request,
        id: &A::Id,
        command: A::Command,
    ) -> Result<Executed, ExecuteError<A::Refusal>> {
        self.0.commands.execute::<A>(request, id, command).await
    }

    /// Runs an operation over several streams, in one commit.
    ///
    /// # Errors
    /// The operation's refusal, or [`Error`].
    pub async fn operate<O: Operation>(
        &self,
        request: &Request,
        operation: O,
    ) -> Result<Executed, ExecuteError<O::Refusal>> {
        self.0.commands.operate(request, operation).await
    }

    /// Runs a command, all by name: `category`, the id's text, the command's name, its body as JSON.
    ///
    /// # Errors
    /// [`ExecuteNamedError`].
    pub async fn execute_named(
        &self,
        request: &Request,
        category: &str,
        id: &str,
        command: &str,
        body: &str,
    ) -> Result<Executed, ExecuteNamedError> {
        self.0.commands.execute_named(request, category, id, command, body).await
    }

    /// Runs an operation by its name, with its body as JSON.
    ///
    /// # Errors
    /// [`ExecuteNamedError`].
    pub async fn operate_named(
        &self,
        request: &Request,
        name: &str,
        body: &str,
    ) -> Result<Executed, ExecuteNamedError> {
        self.0.commands.operate_named(request, name, body).await
    }

    /// The state of an aggregate as it was, folded from its stream. It is there for aggregates whose states can be
    /// stored: see [`Registry::snapshots`].
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such stream, version or moment of it, or the aggregate says not how its
    /// state is shown; [`Error::Invalid`] with the name of the limit where too many events would be folded; what the
    /// store says.
    pub async fn past_state(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        as_of: AsOf,
    ) -> Result<PastState, Error> {
        self.0.commands.past_state(tenant, stream, as_of).await
    }

    /// Starts a runner for every view. They work until the answer is stopped or dropped.
    #[must_use]
    pub fn start_views(&self) -> RunningViews {
        self.0.views.start()
    }

    /// Starts a worker that does what commits send on, submits the commands that are due by a schedule, and follows the
    /// log for processes. It works until the answer is stopped or dropped. Where there are no
    /// [ports of work](Ports::work), it does nothing.
    #[must_use]
    pub fn start_work(&self) -> RunningWork {
        self.0.workers.start(&self.0.timetable, self.0.processes.as_ref())
    }

    /// What the worker of this process does; none where none was started.
    #[must_use]
    pub fn worker_state(&self) -> Option<WorkerState> {
        self.0.workers.state()
    }

    /// Where all work stands, in whatever process it is done: what the worker of this process knows now, and
    /// what the store said at most a second ago. However often it is asked, the store is asked once in that time.
    ///
    /// # Errors
    /// What the store says.
    pub async fn work_standings(&self) -> Result<WorkStandings, Error> {
        self.0.workers.standings().await
    }

    /// Where the work of one tenant stands, in whatever process it is done, as the store said at most a second ago.
    /// Nothing in it differs by what other tenants have.
    ///
    /// # Errors
    /// What the store says.
    pub async fn tenant_queues(&self, tenant: &TenantId) -> Result<Vec<QueueStanding>, Error> {
        self.0.workers.tenant_queues(tenant).await
    }

    /// What the runners in this process are doing, by name.
    #[must_use]
    pub fn view_states(&self) -> Vec<ViewState> {
        self.0.views.states()
    }

    /// Where every view stands, in whatever process it is kept: what the runners of this process know now, and
    /// what the store said at most a second ago. However often it is asked, the store is asked once in that time.
    ///
    /// # Errors
    /// What the store says.
    pub async fn view_standings(&self) -> Result<Standings, Error> {
        self.0.views.standings().await
    }

    /// Where every view stands, and the store is asked now.
    ///
    /// # Errors
    /// What the store says.
    pub async fn view_standings_now(&self) -> Result<Standings, Error> {
        self.0.views.standings_now().await
    }

    /// Where one view stands, and the store is asked now.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view; what the store says.
    pub async fn view_standing(&self, view: &str) -> Result<ViewStanding, Error> {
        self.0.views.standing_now(view).await
    }

    /// Tries a view again that is stopped, in whatever process, and says what came of it. Every runner that
    /// had stopped there tries too.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view; [`Error::ViewChanged`] or
    /// [`Error::CheckpointRefused`] where only a rebuild mends it; what the store says.
    pub async fn retry_view(&self, view: &str) -> Result<Retried, Error> {
        self.0.views.retry(view).await
    }

    /// Orders a view to pass over the event that it is stopped at, and remembers who ordered it and why, for
    /// as long as there is the view. Its runner goes on by itself, in whatever process.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view; [`Error::Invalid`] that says where it stands, where it is
    /// not stopped at that event, or the event is not at fault.
    pub async fn skip_view(
        &self,
        view: &str,
        position: Position,
        by: &str,
        why: &str,
    ) -> Result<SkippedEvent, Error> {
        self.0.views.skip(view, position, by, why).await
    }

    /// The process that folds a view at the moment, by the name it goes by; `None` where none does, or
    /// where every process does.
    ///
    /// # Errors
    /// What the leases say.
    pub async fn view_holder(&self, view: &str) -> Result<Option<String>, Error> {
        self.0.views.holder(view).await
    }

    /// What the catalogue holds of a view; `None` where it was never folded.
    ///
    /// # Errors
    /// What the store says.
    pub async fn view_info(&self, view: &str) -> Result<Option<ViewInfo>, Error> {
        self.0.views.info(view).await
    }

    /// Folds the log into the view's next generation and makes it the one that is read, in one step. Until
    /// then queries answer from the old one, which is kept and can come back by [`Engine::revert_view`].
    /// `progress` is told the position reached. Returns the generation. Failures that may pass are tried
    /// again; where it is interrupted all the same, the next rebuild goes on from there.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view, [`Error::Invalid`] that names the event where
    /// the view cannot take one, [`Error::Unavailable`] where another process rebuilds it, or the store
    /// was away for too long.
    pub async fn rebuild_view(
        &self,
        view: &str,
        from: RebuildFrom,
        progress: impl FnMut(Position) + Send,
    ) -> Result<u32, Error> {
        self.0.views.rebuild_view(view, from, progress).await
    }

    /// Orders a view to be rebuilt, verified, or verified and repaired, and stores the order with the view. The same
    /// order given again is one order. One in the background is carried out by whatever process keeps the view; any other
    /// by [`Engine::carry_out_order`].
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view; [`Error::Busy`] where another order is being carried out;
    /// [`Error::Invalid`] where a comparison would throw away what an interrupted rebuild has built; [`Error::ViewChanged`] where the rows that
    /// are to be compared were built by another definition.
    pub async fn order_view(&self, view: &str, request: &OrderRequest) -> Result<ViewOrder, Error> {
        self.0.views.order(view, request).await
    }

    /// Carries out in this process what is ordered of a view, from where it is, and tells how far it comes. What is
    /// interrupted stands, and goes on from there when it is carried out again.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where another process carries it out, or the store was away for too long;
    /// [`Error::Invalid`] where nothing is ordered, it was cancelled meanwhile, or it cannot be carried out.
    pub async fn carry_out_order(
        &self,
        view: &str,
        told: impl FnMut(&ViewOrder) + Send,
    ) -> Result<ViewOrder, Error> {
        self.0.views.carry_out_here(view, told).await
    }

    /// Cancels what is ordered of a view, in whatever process it is carried out. What was built stays, until
    /// [`Engine::discard_view`] gives it up or another order takes its place.
    ///
    /// # Errors
    /// [`Error::Invalid`] where nothing is ordered; [`Error::Busy`] where what was built is being swapped in.
    pub async fn cancel_order(&self, view: &str, by: &str) -> Result<OrderStanding, Error> {
        self.0.views.cancel_order(view, by).await
    }

    /// Gives up what a rebuild has built and did not swap in, and the generation that could be brought back. Returns
    /// the numbers of those that are given up. What is ordered of the view is cancelled.
    ///
    /// # Errors
    /// As [`Engine::cancel_order`], where something is ordered; what the store says.
    pub async fn discard_view(&self, view: &str, by: &str) -> Result<Vec<u32>, Error> {
        self.0.views.discard(view, by).await
    }

    /// Makes the generation that a rebuild replaced the one that is read again; it is brought up to date
    /// from where it stood. What is read now is kept in its stead. Returns the generation.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view or none was replaced, [`Error::ViewChanged`] where
    /// it was built by another definition: a program that has that one can bring it back;
    /// [`Error::CheckpointRefused`] where it does not fit the log.
    pub async fn revert_view(&self, view: &str) -> Result<u32, Error> {
        self.0.views.revert_view(view).await
    }

    /// Reads a page of a tenant's rows.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view, [`Error::Invalid`] where the query does not fit it.
    pub async fn query(&self, tenant: &TenantId, view: &str, query: &Query) -> Result<ViewAnswer, Error> {
        self.0.views.query(tenant, view, query).await
    }

    /// Reads one row of a tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view or row.
    pub async fn row(&self, tenant: &TenantId, view: &str, key: &str) -> Result<RowAnswer, Error> {
        self.0.views.row(tenant, view, key).await
    }

    /// The events that a view folds.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view.
    pub fn view_filter(&self, view: &str) -> Result<LogFilter, Error> {
        self.0.views.filter(view)
    }

    /// The keys of the rows that an event changes in a view, by its code alone. None where this process cannot say,
    /// since the event is of a newer version or in an encoding that it does not read.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view.
    pub fn changed_keys(&self, view: &str, event: &RecordedEvent) -> Result<Option<Vec<String>>, Error> {
        self.0.views.changed_keys(view, event)
    }

    /// Reads rows of a tenant by their keys, once the view's rows reflect a position. It is read once for however many
    /// clients want it: it takes no turn of theirs, so who asks sees to it.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such view, [`Error::Unavailable`] where it has stopped.
    pub async fn rows_at(
        &self,
        tenant: &TenantId,
        view: &str,
        keys: &[String],
        position: Position,
    ) -> Result<RowsAt, Error> {
        self.0.views.rows_at(tenant, view, keys, position).await
    }

    /// Counts a tenant's rows that meet the filters of a query.
    ///
    /// # Errors
    /// As [`Engine::query`].
    pub async fn count(&self, tenant: &TenantId, view: &str, query: &Query) -> Result<u64, Error> {
        self.0.views.count(tenant, view, query).await
    }

    /// Waits until a view's rows reflect a position: read your writes.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where that takes longer than `timeout`, or the view has stopped.
    pub async fn wait_for_view(
        &self,
        view: &str,
        position: Position,
        timeout: Duration,
    ) -> Result<(), Error> {
        self.0.views.wait_for_view(view, position, timeout).await
    }
}

/// The views that run in this process. Dropping it stops them at their next step.
#[derive(Debug)]
pub struct RunningViews {
    pub(crate) stops: Stops,
    pub(crate) tasks: Vec<JoinHandle<()>>,
}

impl RunningViews {
    /// Lets every view finish its step, and waits for it.
    pub async fn stop(self) {
        self.stops.stop();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a view's runner ended badly");
            }
        }
    }
}
