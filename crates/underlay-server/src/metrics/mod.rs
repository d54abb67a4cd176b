//! `/metrics`: what is counted in this process and where everything stands, as Prometheus reads it.
//!
//! ```text
//!  around each request ─► requests ─┐
//!  feeds, connections, budgets ─────┼─► scrape: one text at a time ─► GET /metrics
//!  the engine, /proc, health ───────┘
//! ```
//!
//! Counting waits for nobody. A scrape asks the store at most once a second, with an end, and whoever else asks
//! meanwhile is given the same text. It takes no place of the requests: where they are refused for load, it is answered.
//! A store that cannot be read is told by a number, and never fails a scrape.
//!
//! Values of labels come from the registry and from the table of routes, never from a request. Tenants are told apart
//! only where the configuration names them.

mod connections;
mod feeds;
mod paces;
mod process;
mod requests;
mod scrape;
mod tenants;

use underlay_core::Error;

pub(crate) use connections::Connections;
pub(crate) use feeds::{FeedKind, Feeds, Followed, GONE};
pub(crate) use paces::{Arrival, Follows, Pace, Paces};
pub(crate) use requests::Requests;
pub(crate) use scrape::{MEDIA_TYPE, PATH, show};
pub(crate) use tenants::{Tenants, check_tenants};

use crate::ServerConfig;
use scrape::LastText;

/// What is counted of requests and feeds, and the text that was told last.
pub(crate) struct Metrics {
    pub(crate) requests: Requests,
    pub(crate) feeds: std::sync::Arc<Feeds>,
    pub(crate) tenants: Tenants,
    /// How fast everything is, for pages.
    pub(crate) paces: Paces,
    last: LastText,
}

impl Metrics {
    /// # Errors
    /// [`Error::Invalid`] where `metrics_tenants` cannot be told apart.
    pub(crate) fn new(config: &ServerConfig) -> Result<Self, Error> {
        Ok(Self {
            requests: Requests::default(),
            feeds: std::sync::Arc::default(),
            tenants: Tenants::new(&config.metrics_tenants)?,
            paces: Paces::default(),
            last: LastText::default(),
        })
    }
}
