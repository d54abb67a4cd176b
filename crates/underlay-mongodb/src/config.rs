use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use underlay_core::adapter::ReadLimits;
use underlay_core::options::Options;
use underlay_core::{Clock, SystemClock};

/// How a [`MongoStore`](crate::MongoStore) is connected.
#[derive(Clone)]
pub struct MongoConfig {
    /// Connections that write, load and renew leases at the same time, in turns by tenant. Queries have connections
    /// of their own.
    pub connections_max: usize,
    /// Bounds of the queries that requests ask for: how many run at the same time, each on a connection, and how many
    /// wait, in turns by tenant.
    pub query_limits: ReadLimits,
    /// How long a query may run; the server ends it.
    pub query_timeout: Duration,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a call waits for a primary to be there.
    pub selection_timeout: Duration,
    /// How long a read may take that no request asked for.
    pub read_timeout: Duration,
    /// How long a write may take, with everything it is tried again for.
    pub write_timeout: Duration,
    /// How long it may take to make or extend a collection, with its indexes.
    pub prepare_timeout: Duration,
    /// What leases run out by; none takes the server's clock, which all processes share.
    pub clock: Option<Arc<dyn Clock>>,
    /// What pauses between tries go by.
    pub timer: Arc<dyn Clock>,
}

impl Default for MongoConfig {
    fn default() -> Self {
        Self {
            connections_max: 16,
            query_limits: ReadLimits::default(),
            query_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            selection_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            prepare_timeout: Duration::from_secs(10 * 60),
            clock: None,
            timer: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for MongoConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoConfig")
            .field("connections_max", &self.connections_max)
            .field("query_limits", &self.query_limits)
            .field("query_timeout", &self.query_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("selection_timeout", &self.selection_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("prepare_timeout", &self.prepare_timeout)
            .finish_non_exhaustive()
    }
}

impl MongoConfig {
    /// Sets the number of connections beside those of queries.
    #[must_use]
    pub fn with_connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// Sets the bounds of queries.
    #[must_use]
    pub fn with_query_limits(mut self, limits: ReadLimits) -> Self {
        self.query_limits = limits;
        self
    }

    /// Sets how long a query may run.
    #[must_use]
    pub fn with_query_timeout(mut self, timeout: Duration) -> Self {
        self.query_timeout = timeout;
        self
    }

    /// Sets how long making a connection may take.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long a call waits for a primary to be there.
    #[must_use]
    pub fn with_selection_timeout(mut self, timeout: Duration) -> Self {
        self.selection_timeout = timeout;
        self
    }

    /// Sets how long a read may take that no request asked for.
    #[must_use]
    pub fn with_read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// Sets how long a write may take, with everything it is tried again for.
    #[must_use]
    pub fn with_write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Lets leases run out by this clock and not by the server's: for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    pub(crate) fn validate(&self) -> Result<(), underlay_core::Error> {
        self.check_bounds()
    }
}
