use std::time::Duration;

use underlay_core::options::Options;
use underlay_core::{CommitId, Error, check_lease};

use crate::subscription::Backoff;
use crate::{CacheConfig, Traces};

/// What happens at start to a view whose definition is not the one its rows were built by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnViewChange {
    /// The view stays as it is and says which command rebuilds it.
    #[default]
    Refuse,
    /// It is rebuilt beside the rows that are read, and swapped in when it has caught up.
    Rebuild,
}

/// The bounds of an engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The name of the program, for the commands that messages name.
    pub program: String,
    /// How often a decision is made again after a conflict.
    pub conflict_retries_max: u32,
    /// Commands that may wait for their turn at one stream, where others write it too; one more is
    /// told that this is too many. At least 1.
    pub turns_waiting_max: usize,
    /// Bytes of aggregate states kept in memory, as [`Aggregate::held_bytes`] counts or estimates them.
    ///
    /// [`Aggregate::held_bytes`]: underlay_core::Aggregate::held_bytes
    pub states_bytes_max: usize,
    /// Bytes of them that one tenant keeps for certain while others want room; what is free anybody may
    /// use.
    pub states_tenant_bytes_max: usize,
    /// Events in one page of a view's work: 1 to [`PAGE_EVENTS_MAX`](underlay_core::limits::PAGE_EVENTS_MAX).
    pub view_batch_events_max: usize,
    /// How long a view waits for a hint before it looks for itself.
    pub view_poll_interval: Duration,
    /// How long a process that folds a view and does not answer any more keeps others from it: the
    /// time of a lease, which is renewed whenever a third of it has passed.
    pub view_lease: Duration,
    /// How long the generation that a rebuild replaced is kept, so that it can come back.
    pub view_replaced_kept: Duration,
    /// Events in one page of a pump's work: 1 to [`PAGE_EVENTS_MAX`](underlay_core::limits::PAGE_EVENTS_MAX).
    pub pump_batch_events_max: usize,
    /// Names the process to people who ask who folds a view: its machine and number, say.
    pub process: String,
    /// The first pause after a failure that may pass; it doubles from there.
    pub retry_delay_min: Duration,
    /// The longest pause: a store that was away for however long is noticed within it.
    pub retry_delay_max: Duration,
    /// How long a worker that does not answer any more keeps others from its shards: the time of their terms,
    /// which are renewed whenever a third of it has passed.
    pub work_lease: Duration,
    /// How long a worker waits for a hint before it looks for work.
    pub work_poll_interval: Duration,
    /// How long a worker that ends waits for the attempts it has begun. What is not done by then is dropped, and
    /// begun again by whoever works there next.
    pub work_drain: Duration,
    /// Attempts that go on side by side. No tenant and no receiver has more of them than are free beside it, so
    /// that whoever comes later finds room.
    pub work_running_max: usize,
    /// Attempts of them for one tenant. By one receiver it has at most half of what its other receivers leave free.
    pub work_tenant_running_max: usize,
    /// Attempts of them by one receiver, so that one which hangs does not hold up the others.
    pub work_receiver_running_max: usize,
    /// Pieces of work that a worker has in memory, read ahead or being done.
    pub work_buffered_max: usize,
    /// Bytes of them. A single piece may exceed what is left.
    pub work_buffered_bytes_max: usize,
    /// Pieces of them for one tenant; fewer where there is little room left.
    pub work_tenant_buffered_max: usize,
    /// Bytes of them for one tenant.
    pub work_tenant_buffered_bytes_max: usize,
    /// What to do with a view whose definition changed.
    pub on_view_change: OnViewChange,
    /// The bounds of the cache.
    pub cache: CacheConfig,
    /// Who records traces; nobody where nothing is said.
    pub traces: Traces,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            program: "underlay".to_owned(),
            conflict_retries_max: 16,
            turns_waiting_max: 1_000,
            states_bytes_max: 64 << 20,
            states_tenant_bytes_max: 16 << 20,
            view_batch_events_max: 5_000,
            view_poll_interval: Duration::from_secs(1),
            view_lease: Duration::from_secs(5),
            view_replaced_kept: Duration::from_secs(24 * 60 * 60),
            pump_batch_events_max: 500,
            process: std::process::id().to_string(),
            retry_delay_min: Duration::from_millis(100),
            retry_delay_max: Duration::from_secs(2),
            work_lease: Duration::from_secs(10),
            work_poll_interval: Duration::from_secs(1),
            work_drain: Duration::from_secs(10),
            work_running_max: 128,
            work_tenant_running_max: 64,
            work_receiver_running_max: 64,
            work_buffered_max: 8_192,
            work_buffered_bytes_max: 32 << 20,
            work_tenant_buffered_max: 2_048,
            work_tenant_buffered_bytes_max: 8 << 20,
            on_view_change: OnViewChange::default(),
            cache: CacheConfig::default(),
            traces: Traces::default(),
        }
    }
}

/// Digits drawn for the name of a holder.
const HOLDER_DIGITS: usize = 8;

impl EngineConfig {
    /// A name of this process for people, in leases of so long. Of two engines in one process each is a holder of
    /// its own.
    ///
    /// # Errors
    /// [`Error::Invalid`] where no store takes such a lease.
    pub(crate) fn draw_holder(&self, of: &str, lease: Duration) -> Result<String, Error> {
        let drawn = CommitId::draw().to_string();
        let holder = format!("{}/{}", self.process, &drawn[drawn.len() - HOLDER_DIGITS..]);
        check_lease(of, &holder, lease)?;
        Ok(holder)
    }

    /// The pauses after failures.
    pub(crate) fn backoff(&self) -> Backoff {
        Backoff { min: self.retry_delay_min, max: self.retry_delay_max }
    }

    /// Checks what nothing could work with.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        self.check_bounds()?;
        self.cache.check_bounds()
    }
}
