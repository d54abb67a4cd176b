use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use underlay_core::adapter::{BatchLimits, FaultHook, ReadLimits};
use underlay_core::options::Options;
use underlay_core::{Clock, SystemClock};

use crate::error::Failure;
use crate::fault::FaultPoint;

/// How a [`SqliteStore`](crate::SqliteStore) is opened.
#[derive(Clone)]
pub struct SqliteConfig {
    /// How long a write waits for another process that holds the file, before it is `Unavailable`.
    pub busy_timeout: Duration,
    /// Connections that read for commands and views at the same time; further reads wait for one, in
    /// turns by tenant. Queries have connections of their own.
    pub readers_max: usize,
    /// Bounds of the queries that requests ask for: how many run at the same time, each on a connection,
    /// and how many wait, in turns by tenant.
    pub query_limits: ReadLimits,
    /// How long a query may run before SQLite ends it.
    pub query_timeout: Duration,
    /// Bounds of the queue of commits and of a group commit. Units of entities have a queue of their own, with the
    /// same bounds.
    pub limits: BatchLimits,
    /// Writes beside commits that may wait, of views, work and leases; further ones wait outside.
    pub view_writes_max: usize,
    /// Bytes of the WAL past which the writer makes it begin again.
    pub wal_bytes_max: u64,
    /// How often the file is asked for commits of other processes.
    pub poll_interval: Duration,
    /// Stamps commits.
    pub clock: Arc<dyn Clock>,
    /// Bytes of pages the writing connection keeps. More is not better: a commit that splits a page looks through all.
    pub writer_cache_bytes: usize,
    /// Bytes of pages each reading connection keeps.
    pub reader_cache_bytes: usize,
    /// Whether processes that share the file agree by leases who folds a view. Otherwise each folds every
    /// view, and the checkpoint alone decides whose rows are stored.
    pub leases: bool,
    pub(crate) faults: FaultHook<FaultPoint>,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            readers_max: 4,
            query_limits: ReadLimits::default(),
            query_timeout: Duration::from_secs(5),
            limits: BatchLimits::default(),
            view_writes_max: 16,
            wal_bytes_max: 64 << 20,
            poll_interval: Duration::from_millis(100),
            clock: Arc::new(SystemClock),
            writer_cache_bytes: 16 << 20,
            reader_cache_bytes: 16 << 20,
            leases: false,
            faults: FaultHook::default(),
        }
    }
}

impl fmt::Debug for SqliteConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteConfig")
            .field("busy_timeout", &self.busy_timeout)
            .field("readers_max", &self.readers_max)
            .field("query_limits", &self.query_limits)
            .field("query_timeout", &self.query_timeout)
            .field("limits", &self.limits)
            .field("view_writes_max", &self.view_writes_max)
            .field("wal_bytes_max", &self.wal_bytes_max)
            .field("poll_interval", &self.poll_interval)
            .field("writer_cache_bytes", &self.writer_cache_bytes)
            .field("reader_cache_bytes", &self.reader_cache_bytes)
            .field("leases", &self.leases)
            .finish_non_exhaustive()
    }
}

impl SqliteConfig {
    /// Sets how long a write waits for another process; at most a day.
    #[must_use]
    pub fn with_busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Sets the number of connections that read for commands and views.
    #[must_use]
    pub fn with_readers_max(mut self, readers: usize) -> Self {
        self.readers_max = readers;
        self
    }

    /// Sets the bounds of queries.
    #[must_use]
    pub fn with_query_limits(mut self, limits: ReadLimits) -> Self {
        self.query_limits = limits;
        self
    }

    /// Sets how long a query may run; at most a day.
    #[must_use]
    pub fn with_query_timeout(mut self, timeout: Duration) -> Self {
        self.query_timeout = timeout;
        self
    }

    /// Sets the bounds of the queue and of a group commit.
    #[must_use]
    pub fn with_limits(mut self, limits: BatchLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how many writes beside commits may wait.
    #[must_use]
    pub fn with_view_writes_max(mut self, writes: usize) -> Self {
        self.view_writes_max = writes;
        self
    }

    /// Sets the size past which the WAL begins again; at least 64 KiB.
    #[must_use]
    pub fn with_wal_bytes_max(mut self, bytes: u64) -> Self {
        self.wal_bytes_max = bytes;
        self
    }

    /// Sets how often the file is asked for commits of other processes.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets the clock that stamps commits.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the page cache of the writing connection and of each reading one, in bytes.
    #[must_use]
    pub fn with_cache_bytes(mut self, writer: usize, reader: usize) -> Self {
        self.writer_cache_bytes = writer;
        self.reader_cache_bytes = reader;
        self
    }

    /// Sets whether processes that share the file agree by leases who folds a view.
    #[must_use]
    pub fn with_leases(mut self, leases: bool) -> Self {
        self.leases = leases;
        self
    }

    /// For tests: makes the steps of the writer fail for which `hook` says true.
    #[doc(hidden)]
    #[must_use]
    pub fn with_faults(mut self, hook: impl Fn(FaultPoint) -> bool + Send + Sync + 'static) -> Self {
        self.faults = FaultHook::new(hook);
        self
    }

    pub(crate) fn validate(&self) -> Result<(), Failure> {
        self.check_bounds().map_err(Failure::Answer)
    }
}
