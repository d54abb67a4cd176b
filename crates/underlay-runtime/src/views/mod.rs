//! What happens to a view: its rows are folded from the log, answered from, and built anew.

mod changes;
mod fold;
mod held_rows;
mod mending;
mod order;
mod orders;
mod progress;
mod queries;
mod rebuild;
mod runner;
mod standing;
mod verify;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use underlay_core::{Clock, Error, EventStore, Leases, ReadModels, ViewInfo, ViewTable, Wakeups};

pub use changes::RowsAt;
pub(crate) use fold::{FoldedView, ViewFolder};
pub use mending::Retried;
pub use order::{OrderProgress, OrderStanding, OrderState, RowDifference, Verified, ViewOrder, ViewTask};
pub use orders::OrderRequest;
pub use queries::{RowAnswer, ViewAnswer};
pub use rebuild::RebuildFrom;
pub use runner::ViewState;
pub use standing::{Standings, ViewStanding};

use crate::known::Known;
use crate::metrics::ViewMetrics;
use crate::stops::Stops;
use crate::subscription::{HeldLease, RecentLog, Running};
use crate::traces::Tracer;
use crate::{EngineConfig, Ports, Registry, RowStore, RowStores, RunningViews};
use runner::view_lease;
use standing::Facts;

/// Keeps views, and answers from their rows.
pub(crate) struct Views {
    store: Arc<dyn EventStore>,
    recent_log: Arc<RecentLog>,
    rows: RowStore,
    /// What views that name a store of their own keep their rows in, by that name.
    more_rows: RowStores,
    wakeups: Arc<dyn Wakeups>,
    clock: Arc<dyn Clock>,
    registry: Registry,
    config: EngineConfig,
    tracer: Tracer,
    /// Names this process to people, in leases.
    holder: String,
    /// The tables that are read, as this process knows them.
    tables: Mutex<HashMap<String, ViewTable>>,
    running: Running<ViewState>,
    /// That an order was given in this process.
    look_for_orders: Notify,
    /// What the store last said of all views.
    known: Known<Arc<Facts>>,
    metrics: ViewMetrics,
}

impl Views {
    pub(crate) fn new(
        ports: &Ports,
        recent_log: &Arc<RecentLog>,
        more_rows: RowStores,
        registry: &Registry,
        config: &EngineConfig,
    ) -> Result<Self, Error> {
        registry.check_stores(&more_rows)?;
        let holder = config.draw_holder("view", config.view_lease)?;
        Ok(Self {
            store: ports.store.clone(),
            recent_log: recent_log.clone(),
            rows: RowStore { read_models: ports.read_models.clone(), leases: ports.leases.clone() },
            more_rows,
            wakeups: ports.wakeups.clone(),
            clock: ports.clock.clone(),
            registry: registry.clone(),
            config: config.clone(),
            tracer: Tracer::new(&config.traces, &ports.clock),
            holder,
            tables: Mutex::default(),
            running: Running::default(),
            look_for_orders: Notify::new(),
            known: Known::default(),
            metrics: ViewMetrics::new(registry),
        })
    }

    /// What is counted of views.
    pub(crate) fn metrics(&self) -> &ViewMetrics {
        &self.metrics
    }

    /// Starts a runner for every view, and what carries out the orders for them.
    pub(crate) fn start(self: &Arc<Self>) -> RunningViews {
        let mut stops = Stops::default();
        let mut tasks = Vec::new();
        for folder in self.registry.folders() {
            let (subscription, runner) = runner::new(self.clone(), folder.clone(), stops.add());
            self.running.insert(&folder.schema().name, runner);
            tasks.push(tokio::spawn(subscription.run()));
        }
        if !tasks.is_empty() {
            tasks.push(tokio::spawn(self.clone().keep_orders(stops.add())));
        }
        RunningViews { stops, tasks }
    }

    /// What the runners in this process are doing, by name.
    pub(crate) fn states(&self) -> Vec<ViewState> {
        self.running.states()
    }

    /// The process that folds a view.
    pub(crate) async fn holder(&self, view: &str) -> Result<Option<String>, Error> {
        let Some(leases) = self.leases(view) else { return Ok(None) };
        Ok(leases.find(&view_lease(view)).await?.map(|lease| lease.holder))
    }

    /// The name of this process for people, with a part that is drawn.
    pub(crate) fn holder_name(&self) -> &str {
        &self.holder
    }

    /// What the catalogue holds of a view.
    pub(crate) async fn info(&self, view: &str) -> Result<Option<ViewInfo>, Error> {
        Ok(self.rows(view).views().await?.into_iter().find(|info| info.name == view))
    }

    /// What the catalogues hold of all views.
    async fn infos(&self) -> Result<Vec<ViewInfo>, Error> {
        let mut infos = self.rows.read_models.views().await?;
        for (name, store) in &self.more_rows {
            let of_store = |info: &ViewInfo| self.registry.view_store(&info.name) == Some(name.as_str());
            infos.retain(|info| !of_store(info));
            infos.extend(store.read_models.views().await?.into_iter().filter(of_store));
        }
        Ok(infos)
    }

    /// The store of a view's rows.
    pub(crate) fn rows(&self, view: &str) -> &Arc<dyn ReadModels> {
        &self.store_of(view).read_models
    }

    /// The leases of that store.
    fn leases(&self, view: &str) -> Option<&Arc<dyn Leases>> {
        self.store_of(view).leases.as_ref()
    }

    fn store_of(&self, view: &str) -> &RowStore {
        self.registry.view_store(view).and_then(|name| self.more_rows.get(name)).unwrap_or(&self.rows)
    }

    /// Takes a lease for this process; `None` where another holds it, or where there are no leases.
    async fn acquire_lease(&self, view: &str, name: &str) -> Result<Option<HeldLease>, Error> {
        let Some(leases) = self.leases(view) else { return Ok(None) };
        HeldLease::acquire(leases, &self.clock, name, &self.holder, self.config.view_lease).await
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<String, ViewTable>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
