use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;
use underlay_core::{Error, ViewSchema};
use underlay_runtime::{Engine, Tail, TailBounds};

use crate::api::describe::Document;
use crate::budget::Budgets;
use crate::door::admission::Admission;
use crate::edge::asked::RequestIds;
use crate::feed::{FollowedRows, Shown};
use crate::links::LINKS_AT_ONCE_MAX;
use crate::metrics::Metrics;
use crate::{LogReaders, ServerConfig};

/// What every handler works with. A clone is a reference count.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    engine: Engine,
    config: ServerConfig,
    budgets: Arc<Budgets>,
    tail: Tail<Shown>,
    followed_rows: FollowedRows,
    admission: Admission,
    request_ids: RequestIds,
    links_at_once: Semaphore,
    metrics: Metrics,
    schemas: Vec<ViewSchema>,
    roles: Vec<String>,
    document: OnceLock<Document>,
}

impl App {
    /// # Errors
    /// [`Error::Invalid`] where a part of the configuration makes no sense.
    pub(crate) fn new(engine: Engine, config: ServerConfig) -> Result<Self, Error> {
        let metrics = Metrics::new(&config)?;
        let schemas = engine.registry().views();
        let budgets = Arc::new(Budgets::new(&config));
        let tail = Tail::new(&engine, TailBounds::default());
        let followed_rows = FollowedRows::default();
        let admission = Admission::new(&config);
        let mut roles: Vec<String> = engine.registry().roles().into_iter().map(str::to_owned).collect();
        if let LogReaders::Roles(readers) = &config.log_readers {
            roles.extend(readers.iter().cloned());
        }
        roles.extend(config.operators.iter().chain(&config.store_operators).cloned());
        roles.extend(config.metrics_readers.iter().cloned());
        let links_at_once = Semaphore::new(LINKS_AT_ONCE_MAX);
        let request_ids = RequestIds::new();
        Ok(Self(Arc::new(Inner {
            engine,
            config,
            budgets,
            tail,
            followed_rows,
            admission,
            request_ids,
            links_at_once,
            metrics,
            schemas,
            roles,
            document: OnceLock::new(),
        })))
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

    /// The end of the log, for whoever follows it.
    pub(crate) fn tail(&self) -> &Tail<Shown> {
        &self.0.tail
    }

    /// The rows that are read for whoever follows a view.
    pub(crate) fn followed_rows(&self) -> &FollowedRows {
        &self.0.followed_rows
    }

    /// Who waits to be identified.
    pub(crate) fn admission(&self) -> &Admission {
        &self.0.admission
    }

    /// The ids of requests that come without one.
    pub(crate) fn request_ids(&self) -> &RequestIds {
        &self.0.request_ids
    }

    /// The places of links that are being opened.
    pub(crate) fn links_at_once(&self) -> &Semaphore {
        &self.0.links_at_once
    }

    /// What is counted of requests and feeds.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Every role that something of the service asks for.
    pub(crate) fn roles(&self) -> &[String] {
        &self.0.roles
    }

    /// What is said of the API. It is made when it is first asked for.
    pub(crate) fn document(&self) -> &Document {
        self.0.document.get_or_init(|| Document::of(self.0.engine.registry(), &self.0.config))
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
