//! The tier in the process: values, the marks of their tags, the loads that go on, and who writes. All of it is behind one
//! lock, and nothing here waits.

use std::sync::Arc;

use underlay_core::{TenantId, Timestamp, cache_pattern_matches};

use super::CacheConfig;
use super::flight::{Flight, Flights};
use super::item::Item;
use super::marks::{Marked, Marks};
use super::writes::Writes;
use crate::lru::TenantLru;

/// About what an entry takes beside its key, its tags and the value.
const ENTRY_BYTES: usize = 256;
/// About what a tag of an entry takes beside its text.
const TAG_BYTES: usize = 48;

/// What the process keeps.
pub(super) struct Local {
    kept: TenantLru<Arc<str>, Slot>,
    pub(super) marks: Marks,
    pub(super) flights: Flights,
    pub(super) writes: Writes,
    config: CacheConfig,
    /// Values that made room since the cache began.
    evicted: u64,
    /// What is dropped when the lock is given back: a value may be large.
    gone: Vec<Item>,
}

struct Slot {
    item: Item,
    marked: Marked,
    /// When the process asks anew, which is before the end of the value where there is an outer tier.
    fresh_until: Timestamp,
}

/// What is taken away at once.
#[derive(Clone, Debug)]
pub(super) enum Swept {
    Tag(String),
    Matching(String),
    Everything,
}

impl Local {
    pub(super) fn new(config: CacheConfig) -> Self {
        Self {
            kept: TenantLru::new(config.bytes_max, config.tenant_bytes_max),
            marks: Marks::default(),
            flights: Flights::default(),
            writes: Writes::default(),
            config,
            evicted: 0,
            gone: Vec::new(),
        }
    }

    /// The value of a key, where it counts.
    pub(super) fn look(&mut self, tenant: &TenantId, key: &str, now: Timestamp) -> Option<Item> {
        let slot = self.kept.get(tenant, key)?;
        if slot.fresh_until > now && slot.marked.is_live() {
            return Some(slot.item.clone());
        }
        self.remove(tenant, key);
        None
    }

    /// Keeps a value until this moment at most.
    pub(super) fn keep(&mut self, tenant: &TenantId, key: &str, item: Item, fresh_until: Timestamp) {
        let marked = self.marks.of(tenant, item.tags());
        let fresh_until = fresh_until.min(item.until());
        let tags: usize = item.tags().iter().map(|tag| TAG_BYTES + tag.len()).sum();
        // As it is stored and as it is used.
        let bytes =
            (ENTRY_BYTES + key.len() + tags + 2 * item.bytes().len()).max(self.config.item_bytes_min());
        let inserted = self.kept.insert(tenant, key.into(), Slot { item, marked, fresh_until }, bytes);
        self.evicted += inserted.evicted.len() as u64;
        self.gone.extend(inserted.replaced.into_iter().chain(inserted.evicted).map(|slot| slot.item));
    }

    /// Takes a value away, and what is being loaded for it.
    pub(super) fn take_away(&mut self, tenant: &TenantId, key: &str) {
        self.remove(tenant, key);
        self.flights.divert(tenant, key);
    }

    /// Takes many values of a tenant away, and what is being loaded for them. Those with a tag are left where they are, and do
    /// not count any more.
    pub(super) fn sweep(&mut self, tenant: &TenantId, swept: &Swept) {
        match swept {
            Swept::Tag(tag) => self.marks.end(tenant, tag),
            Swept::Matching(pattern) => {
                self.remove_where(tenant, |key| cache_pattern_matches(pattern, key));
                self.flights.divert_where(tenant, |key| cache_pattern_matches(pattern, key));
            }
            Swept::Everything => {
                self.remove_where(tenant, |_| true);
                self.flights.divert_where(tenant, |_| true);
            }
        }
    }

    /// Takes everything away, and what is being loaded.
    pub(super) fn forget(&mut self) {
        let empty = TenantLru::new(self.config.bytes_max, self.config.tenant_bytes_max);
        let kept = std::mem::replace(&mut self.kept, empty);
        self.gone.extend(kept.into_values().map(|slot| slot.item));
        self.flights.divert_all();
        self.writes.forget();
    }

    /// The load of a key that goes on and may be joined.
    pub(super) fn flight(&self, tenant: &TenantId, key: &str) -> Option<&Arc<Flight>> {
        self.flights.get(tenant, key).filter(|flight| flight.counts())
    }

    /// How many values there are, their bytes, and how many made room.
    pub(super) fn sizes(&self) -> (usize, usize, u64) {
        (self.kept.len(), self.kept.bytes(), self.evicted)
    }

    /// What is to be dropped once the lock is given back.
    pub(super) fn take_gone(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.gone)
    }

    pub(super) fn remove(&mut self, tenant: &TenantId, key: &str) {
        self.gone.extend(self.kept.remove(tenant, key).map(|slot| slot.item));
    }

    fn remove_where(&mut self, tenant: &TenantId, is_it: impl Fn(&str) -> bool) {
        let gone = self.kept.remove_where(tenant, |key| is_it(key));
        self.gone.extend(gone.into_iter().map(|slot| slot.item));
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        self.kept.check();
    }
}
