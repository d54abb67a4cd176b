use std::sync::Arc;

use tokio::sync::Semaphore;
use underlay_core::{Error, ViewSchema};
use underlay_runtime::Engine;

use crate::budget::Budgets;
use crate::door::admission::Admission;
use crate::links::LINKS_AT_ONCE_MAX;
use crate::{LogReaders, ServerConfig};

/// What every handler works with. A clone is a reference count.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    engine: Engine,
    config: ServerConfig,
    budgets: Arc<Budgets>,
    admission: Admission,
    links_at_once: Semaphore,
    schemas: Vec<ViewSchema>,
    roles: Vec<String>,
}

impl App {
    pub(crate) fn new(engine: Engine, config: ServerConfig) -> Self {
        let schemas = engine.registry().views();
        let budgets = Arc::new(Budgets::new(&config));
        let admission = Admission::new(&config);
        let mut roles: Vec<String> = engine.registry().roles().into_iter().map(str::to_owned).collect();
        if let LogReaders::Roles(readers) = &config.log_readers {
            roles.extend(readers.iter().cloned());
        }
        roles.extend(config.operators.iter().chain(&config.store_operators).cloned());
        let links_at_once = Semaphore::new(LINKS_AT_ONCE_MAX);
        Self(Arc::new(Inner { engine, config, budgets, admission, links_at_once, schemas, roles }))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn config(&self) -> &ServerConfig {
        &self.0.config
    }

    /// What requests may hold at one time.
    pub(crate) fn budgets(&self) -> &Arc<Budgets> {
        &self.0.budgets
    }

    /// Who waits to be identified.
    pub(crate) fn admission(&self) -> &Admission {
        &self.0.admission
    }

    /// The places of links that are being opened.
    pub(crate) fn links_at_once(&self) -> &Semaphore {
        &self.0.links_at_once
    }

    /// Every role that something of the service asks for.
    pub(crate) fn roles(&self) -> &[String] {
        &self.0.roles
    }

    /// The stored shapes of the views, by name.
    pub(crate) fn schemas(&self) -> &[ViewSchema] {
        &self.0.schemas
    }

    pub(crate) fn schema(&self, view: &str) -> Result<&ViewSchema, Error> {
        self.schemas().iter().find(|schema| schema.name == view).ok_or_else(|| {
            let known: Vec<&str> = self.schemas().iter().map(|schema| schema.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::NotFound(format!("view {view:?} (there are: {known})"))
        })
    }
}
