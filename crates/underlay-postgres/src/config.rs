use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use underlay_core::adapter::{BatchLimits, FaultHook, ReadLimits};
use underlay_core::options::Options;
use underlay_core::{Clock, SystemClock, check_plain_name};

use crate::error::Failure;
use crate::fault::FaultPoint;

/// How a process hears of the commits of others before it polls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    /// By LISTEN on a connection of its own to the address of the store.
    #[default]
    Store,
    /// By LISTEN on a connection to this address: the server itself, where the store's address is a
    /// pooler's.
    At(String),
    /// Not at all: it polls.
    Off,
}

/// How a [`PostgresStore`](crate::PostgresStore) is connected.
#[derive(Clone)]
pub struct PostgresConfig {
    /// The schema of the log; the rows of views are in `<schema>_views`, entities in `<schema>_entities`.
    pub schema: String,
    /// What the names of the roles begin with. Roles belong to the whole server, so two installations
    /// in one server that must not share them take two prefixes.
    pub role_prefix: String,
    /// Whether a superuser, or a role that passes over row-level security, may be used: for
    /// development. The roles of the installation hold all the same, but a mistake would not show.
    pub superuser_allowed: bool,
    /// A file of certificates in PEM form that sign the server's; none takes those of the system. Where one
    /// is named TLS must be there, unless the address says `sslmode=disable`.
    pub root_certificates: Option<PathBuf>,
    /// Connections that read for commands, write views and renew leases at the same time, in turns by
    /// tenant. Queries have connections of their own; one more writes the log, one listens, and one writes the commits
    /// that change entities, where there are any.
    pub connections_max: usize,
    /// Bounds of the queries that requests ask for: how many run at the same time, each on a connection,
    /// and how many wait, in turns by tenant.
    pub query_limits: ReadLimits,
    /// How long a query may run; the server ends it. One that waits for a lock for half of it is ended too.
    pub query_timeout: Duration,
    /// How long a call waits for one of them before it is `Unavailable`.
    pub acquire_timeout: Duration,
    /// How long making a connection may take; of several servers of an address each has an equal part.
    pub connect_timeout: Duration,
    /// How long a statement may run; the server ends it.
    pub statement_timeout: Duration,
    /// How long a transaction may wait for the process that began it; then the server ends it, so that
    /// a process that is paused holds up nobody who takes over from it.
    pub idle_timeout: Duration,
    /// How long a transaction that reads, or writes views, may take before its connection is given up:
    /// a server or a network that fell silent holds nobody for longer.
    pub transaction_timeout: Duration,
    /// How long a group commit may take before its connection is given up and its commits are looked up.
    pub commit_timeout: Duration,
    /// How long it may take to find out what became of a group commit whose answer was lost, before its
    /// commits are `Uncertain`. No other commit waits for longer.
    pub doubt_timeout: Duration,
    /// Bounds of the queue of commits and of a group commit.
    pub limits: BatchLimits,
    /// How often the log is asked for commits of other processes.
    pub poll_interval: Duration,
    /// The least time between two hints to other processes; hints in between become one.
    pub notify_interval: Duration,
    /// How commits of other processes are heard of.
    pub listen: Listen,
    /// Stamps commits; none takes the server's clock, which all processes share.
    pub clock: Option<Arc<dyn Clock>>,
    /// What pauses between polls and retries go by.
    pub timer: Arc<dyn Clock>,
    pub(crate) faults: FaultHook<FaultPoint>,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            schema: "underlay".to_owned(),
            role_prefix: "underlay".to_owned(),
            superuser_allowed: false,
            root_certificates: None,
            connections_max: 8,
            query_limits: ReadLimits::default(),
            query_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(5),
            transaction_timeout: Duration::from_secs(60),
            commit_timeout: Duration::from_secs(60),
            doubt_timeout: Duration::from_secs(5),
            limits: BatchLimits::default(),
            poll_interval: Duration::from_secs(1),
            notify_interval: Duration::from_millis(20),
            listen: Listen::default(),
            clock: None,
            timer: Arc::new(SystemClock),
            faults: FaultHook::default(),
        }
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address to listen at may hold a password.
        let listen = match &self.listen {
            Listen::Store => "Store",
            Listen::At(_) => "At(..)",
            Listen::Off => "Off",
        };
        f.debug_struct("PostgresConfig")
            .field("schema", &self.schema)
            .field("role_prefix", &self.role_prefix)
            .field("superuser_allowed", &self.superuser_allowed)
            .field("root_certificates", &self.root_certificates)
            .field("connections_max", &self.connections_max)
            .field("query_limits", &self.query_limits)
            .field("query_timeout", &self.query_timeout)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("transaction_timeout", &self.transaction_timeout)
            .field("commit_timeout", &self.commit_timeout)
            .field("doubt_timeout", &self.doubt_timeout)
            .field("limits", &self.limits)
            .field("poll_interval", &self.poll_interval)
            .field("notify_interval", &self.notify_interval)
            .field("listen", &listen)
            .finish_non_exhaustive()
    }
}

impl PostgresConfig {
    /// Sets the schema: 1 to 40 characters of `a-z 0-9 _`, starting with a letter.
    #[must_use]
    pub fn with_schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Sets what the names of the roles begin with, by the same rule.
    #[must_use]
    pub fn with_role_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.role_prefix = prefix.into();
        self
    }

    /// Allows a superuser: for development.
    #[must_use]
    pub fn with_superuser_allowed(mut self, allowed: bool) -> Self {
        self.superuser_allowed = allowed;
        self
    }

    /// Sets the file of certificates that sign the server's.
    #[must_use]
    pub fn with_root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }

    /// Sets the number of connections beside those of queries and those that write the log and listen.
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

    /// Sets how long a call waits for a connection.
    #[must_use]
    pub fn with_acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// Sets how long making a connection may take.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long a statement may run.
    #[must_use]
    pub fn with_statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout;
        self
    }

    /// Sets how long a transaction that reads, or writes views, may take.
    #[must_use]
    pub fn with_transaction_timeout(mut self, timeout: Duration) -> Self {
        self.transaction_timeout = timeout;
        self
    }

    /// Sets how long a transaction may wait for the process that began it.
    #[must_use]
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets how long a group commit may take before its commits are looked up.
    #[must_use]
    pub fn with_commit_timeout(mut self, timeout: Duration) -> Self {
        self.commit_timeout = timeout;
        self
    }

    /// Sets how long commits are looked up before they are `Uncertain`.
    #[must_use]
    pub fn with_doubt_timeout(mut self, timeout: Duration) -> Self {
        self.doubt_timeout = timeout;
        self
    }

    /// Sets the bounds of the queue and of a group commit.
    #[must_use]
    pub fn with_limits(mut self, limits: BatchLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how often the log is asked for commits of other processes.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets the least time between two hints to other processes.
    #[must_use]
    pub fn with_notify_interval(mut self, interval: Duration) -> Self {
        self.notify_interval = interval;
        self
    }

    /// Sets how commits of other processes are heard of.
    #[must_use]
    pub fn with_listen(mut self, listen: Listen) -> Self {
        self.listen = listen;
        self
    }

    /// Stamps commits by this clock and not by the server's: for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// For tests: makes the steps of the committer fail for which `hook` says true.
    #[doc(hidden)]
    #[must_use]
    pub fn with_faults(mut self, hook: impl Fn(FaultPoint) -> bool + Send + Sync + 'static) -> Self {
        self.faults = FaultHook::new(hook);
        self
    }

    pub(crate) fn validate(&self) -> Result<(), Failure> {
        self.check_bounds().map_err(Failure::Answer)
    }

    /// The channel hints are sent on.
    pub(crate) fn channel(&self) -> String {
        self.schema.clone()
    }

    /// The schema of the rows of views.
    pub(crate) fn views_schema(&self) -> String {
        format!("{}_views", self.schema)
    }

    /// The schema of the tables of entities.
    pub(crate) fn entities_schema(&self) -> String {
        format!("{}_entities", self.schema)
    }

    /// The name of a role.
    pub(crate) fn role(&self, role: &str) -> String {
        format!("{}_{role}", self.role_prefix)
    }
}

/// Checks the name of a schema, or what the names of roles begin with.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    const NAME_BYTES_MAX: usize = 40;
    check_plain_name(name, NAME_BYTES_MAX)?;
    if name.starts_with("pg_") {
        return Err(format!("{name:?}: names with pg_ belong to PostgreSQL"));
    }
    Ok(())
}

/// A time as the server takes it; where it is too long, the longest.
pub(crate) fn milliseconds(time: Duration) -> i64 {
    i64::from(i32::try_from(time.as_millis()).unwrap_or(i32::MAX))
}
