//! Loads that go on: one for each key. Whoever wants the same value meanwhile waits for it.
//!
//! ```text
//!  nobody loads it ──► lead ──── loaded ────────► landed: whoever waits has it, and it is kept
//!       ▲               │  │
//!       │               │  └─ invalidated meanwhile ─► landed: whoever waits has it, and it is not kept;
//!       │               │                              whoever comes after that begins another
//!       └── failed, or dropped: one of those who wait loads it himself
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use underlay_core::TenantId;

use super::TieredCache;
use super::item::Item;
use super::marks::Marked;

/// Tells what comes of a load: the value, or the end of the channel where nothing does.
pub(super) type Landing = watch::Receiver<Option<Item>>;

/// A load that goes on.
pub(super) struct Flight {
    /// What its tags had when it began.
    marked: Marked,
    /// False once its key was written or taken away.
    on_course: AtomicBool,
    landed: watch::Sender<Option<Item>>,
}

impl Flight {
    pub(super) fn new(marked: Marked) -> Self {
        Self { marked, on_course: AtomicBool::new(true), landed: watch::Sender::new(None) }
    }

    /// Whether nothing was invalidated since it began, so that what it brings may be kept.
    pub(super) fn counts(&self) -> bool {
        self.on_course.load(Ordering::Relaxed) && self.marked.is_live()
    }

    /// Tells those who wait for it.
    pub(super) fn watch(&self) -> Landing {
        self.landed.subscribe()
    }

    fn divert(&self) {
        self.on_course.store(false, Ordering::Relaxed);
    }
}

/// The loads that may be joined.
#[derive(Default)]
pub(super) struct Flights(HashMap<TenantId, HashMap<Box<str>, Arc<Flight>>>);

// Whatever has flights is behind one lock, which orders what is done to them.
impl Flights {
    pub(super) fn get(&self, tenant: &TenantId, key: &str) -> Option<&Arc<Flight>> {
        self.0.get(tenant)?.get(key)
    }

    /// Begins one, in the place of one that is not joined any more. What that one brings is not kept.
    pub(super) fn begin(&mut self, tenant: &TenantId, key: &str, flight: &Arc<Flight>) {
        let flights = self.0.entry(tenant.clone()).or_default();
        if let Some(before) = flights.insert(key.into(), flight.clone()) {
            before.divert();
        }
    }

    /// What this one brings is not kept, and nobody joins it any more.
    pub(super) fn divert(&mut self, tenant: &TenantId, key: &str) {
        let Some(flights) = self.0.get_mut(tenant) else { return };
        if let Some(flight) = flights.remove(key) {
            flight.divert();
        }
        if flights.is_empty() {
            self.0.remove(tenant);
        }
    }

    /// The same of all of this kind.
    pub(super) fn divert_where(&mut self, tenant: &TenantId, is_it: impl Fn(&str) -> bool) {
        let Some(flights) = self.0.get_mut(tenant) else { return };
        flights.retain(|key, flight| {
            let stays = !is_it(key);
            if !stays {
                flight.divert();
            }
            stays
        });
        if flights.is_empty() {
            self.0.remove(tenant);
        }
    }

    pub(super) fn divert_all(&mut self) {
        for flight in self.0.drain().flat_map(|(_, flights)| flights.into_values()) {
            flight.divert();
        }
    }

    /// One has ended.
    fn end(&mut self, tenant: &TenantId, key: &str, flight: &Arc<Flight>) {
        let Some(flights) = self.0.get_mut(tenant) else { return };
        if flights.get(key).is_some_and(|there| Arc::ptr_eq(there, flight)) {
            flights.remove(key);
        }
        if flights.is_empty() {
            self.0.remove(tenant);
        }
    }
}

/// The right to load a value. Where it is dropped, one of those who wait has it.
pub(super) struct Leading {
    cache: TieredCache,
    pub(super) tenant: TenantId,
    pub(super) key: String,
    pub(super) flight: Arc<Flight>,
}

impl Leading {
    pub(super) fn new(cache: TieredCache, tenant: TenantId, key: String, flight: Arc<Flight>) -> Self {
        Self { cache, tenant, key, flight }
    }

    /// Hands the value to all who wait.
    pub(super) fn land(self, item: Item) {
        self.flight.landed.send_replace(Some(item));
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.cache.with(|local| local.flights.end(&self.tenant, &self.key, &self.flight));
    }
}
