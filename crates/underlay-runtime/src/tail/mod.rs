//! The end of the log, read once for everybody in a process who follows a tenant's events.
//!
//! ```text
//!  log ── page ──► TailKeeper ── by tenant ──► Strand ── shared events ──► TailReader, as many as there are
//!   │                                           │
//!   │                                           └─ the oldest make room: whoever had not taken them is behind
//!   └──── page of one tenant, in turns ──────────────────────────────► TailReader that is behind
//! ```
//!
//! The keeper is one follower of the log. It begins where the log ends when the first reader comes, and ends with the last
//! one. What it reads it puts into the strand of each tenant that somebody follows, and nobody else's. So a page of the
//! log is read once, however many follow, and no reader can come by what is another tenant's.
//!
//! A strand holds all events of its tenant above its floor, up to where the keeper has come. A reader whose place is
//! at or above the floor takes them from there. One that is below it reads pages of its own until it is not: one that
//! begins further back, or whose client was slow while others wrote. Such reads take turns, of the tenant and in all.
//! Both go by position alone, so between the two nothing is left out and nothing comes twice.
//!
//! What happens when something fails: the keeper tries again from its place, and readers wait. Where an older copy
//! of the log was restored under it, every reader is told so, and ends: what it was given is not in this log.

mod keeper;
mod reader;
mod ring;
mod strand;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};
use underlay_core::{Checkpoint, Clock, EventStore, LogFilter, Position, RecordedEvent, TenantId, Wakeups};

pub use reader::{TailPage, TailReader};
pub(crate) use ring::{Look, Ring};
pub(crate) use strand::Strand;

use crate::{Engine, EngineConfig};

/// What a tail keeps of an event, for everybody who is given it.
pub trait Kept: Send + Sync + 'static {
    /// Of an event that was read.
    fn of(event: RecordedEvent) -> Self;

    /// The event.
    fn record(&self) -> &RecordedEvent;

    /// Bytes it holds in memory, about.
    fn bytes(&self) -> usize;
}

/// The bounds of a tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailBounds {
    /// Events that are kept in memory.
    pub events_max: usize,
    /// Bytes of them.
    pub bytes_max: usize,
    /// Events of one tenant.
    pub tenant_events_max: usize,
    /// Bytes of them.
    pub tenant_bytes_max: usize,
    /// Reads at one time for those who are behind.
    pub reads_max: usize,
    /// The same, of one tenant.
    pub tenant_reads_max: usize,
    /// Events in one such read.
    pub read_events_max: usize,
}

impl Default for TailBounds {
    fn default() -> Self {
        Self {
            events_max: 65_536,
            bytes_max: 64 << 20,
            tenant_events_max: 8_192,
            tenant_bytes_max: 16 << 20,
            reads_max: 8,
            tenant_reads_max: 2,
            read_events_max: 64,
        }
    }
}

/// The end of the log for everybody in this process who follows it. A clone is a reference count.
pub struct Tail<K>(Arc<Inner<K>>);

pub(crate) struct Inner<K> {
    store: Arc<dyn EventStore>,
    wakeups: Arc<dyn Wakeups>,
    clock: Arc<dyn Clock>,
    config: EngineConfig,
    bounds: TailBounds,
    /// Of those who are behind.
    turns: Arc<Semaphore>,
    state: Mutex<State<K>>,
    /// Every strand holds what there is of its tenant up to here; none until the keeper has found its place.
    end: Mutex<Option<Checkpoint>>,
}

struct State<K> {
    strands: HashMap<TenantId, Arc<Strand<K>>>,
    /// The keeper at work, by its number, and what ends it.
    keeper: Option<(u64, watch::Sender<bool>)>,
    keepers: u64,
}

impl<K> Clone for Tail<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> std::fmt::Debug for Tail<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("bounds", &self.0.bounds).finish_non_exhaustive()
    }
}

impl<K: Kept> Tail<K> {
    /// The tail of an engine's log. Nothing is read until somebody follows it.
    #[must_use]
    pub fn new(engine: &Engine, bounds: TailBounds) -> Self {
        let ports = engine.ports();
        Self(Arc::new(Inner {
            store: ports.store.clone(),
            wakeups: ports.wakeups.clone(),
            clock: ports.clock.clone(),
            config: engine.config().clone(),
            bounds,
            turns: Arc::new(Semaphore::new(bounds.reads_max)),
            state: Mutex::new(State { strands: HashMap::new(), keeper: None, keepers: 0 }),
            end: Mutex::new(None),
        }))
    }

    /// Follows a tenant's events above a place that is in the log, from inside a runtime.
    #[must_use]
    pub fn follow(&self, tenant: &TenantId, filter: LogFilter, after: Position) -> TailReader<K> {
        let inner = &self.0;
        let mut state = inner.state();
        let end = inner.end();
        let strand = state.strands.entry(tenant.clone()).or_insert_with(|| {
            let floor = end.map(|end| end.position);
            Arc::new(Strand::new(floor, inner.bounds.tenant_reads_max))
        });
        let strand = strand.clone();
        strand.enter();
        if state.keeper.is_none() {
            let (stop, stopped) = watch::channel(false);
            state.keepers += 1;
            let number = state.keepers;
            state.keeper = Some((number, stop));
            keeper::start(self.clone(), number, stopped);
        }
        drop(state);
        TailReader::new(self.clone(), tenant.clone(), strand, filter, after)
    }

    /// How far the keeper has come; none where nobody follows, or where it has only begun.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.0.end().map(|end| end.position)
    }
}

impl<K> Inner<K> {
    fn state(&self) -> MutexGuard<'_, State<K>> {
        // Nothing below the lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) -> Option<Checkpoint> {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_end(&self, end: Option<Checkpoint>) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    /// A reader has gone. With the last one of a tenant its strand goes, and with the last of all the keeper.
    fn leave(&self, tenant: &TenantId, strand: &Arc<Strand<K>>) {
        let mut state = self.state();
        if !strand.leave() {
            return;
        }
        if state.strands.get(tenant).is_some_and(|known| Arc::ptr_eq(known, strand)) {
            state.strands.remove(tenant);
        }
        if state.strands.is_empty()
            && let Some((_, stop)) = state.keeper.take()
        {
            stop.send_replace(true);
            self.set_end(None);
        }
    }
}
