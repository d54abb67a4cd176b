use underlay_core::Error;

use super::{Counter, Exposition, Family, Kind};
use crate::cache::Item;

static READS: Family = Family::new(
    "underlay_cache_reads_total",
    Kind::Counter,
    &["tier", "result"],
    "Keys that were looked for in a tier of the cache: hit, negative where it knew that there is nothing, or miss.",
);
static LOADS: Family = Family::new(
    "underlay_cache_loads_total",
    Kind::Counter,
    &["result"],
    "Loads of values that the cache did not have: loaded, failed, abandoned by their caller, or joined by another.",
);
static INVALIDATIONS: Family = Family::new(
    "underlay_cache_invalidations_total",
    Kind::Counter,
    &[],
    "Tags, patterns and tenants that were invalidated in this process, by calls and by events.",
);
static EVICTIONS: Family = Family::new(
    "underlay_cache_evictions_total",
    Kind::Counter,
    &[],
    "Values that made room for others in this process before their time was over.",
);
static ITEMS: Family =
    Family::new("underlay_cache_items", Kind::Gauge, &[], "Values that the cache keeps in this process.");
static BYTES: Family = Family::new(
    "underlay_cache_bytes",
    Kind::Gauge,
    &[],
    "Bytes of the values that the cache keeps in this process.",
);

/// What is counted of a cache.
#[derive(Default)]
pub(crate) struct CacheMetrics {
    pub(crate) process: TierMetrics,
    pub(crate) outer: TierMetrics,
    loaded: Counter,
    failed: Counter,
    abandoned: Counter,
    joined: Counter,
    invalidations: Counter,
}

/// What is counted of one tier.
#[derive(Default)]
pub(crate) struct TierMetrics {
    hits: Counter,
    negative: Counter,
    misses: Counter,
}

impl TierMetrics {
    /// A key was looked for.
    pub(crate) fn read(&self, found: Option<&Item>) {
        match found {
            Some(item) if item.is_negative() => self.negative.increment(),
            Some(_) => self.hits.increment(),
            None => self.misses.increment(),
        }
    }
}

impl CacheMetrics {
    /// A value is loaded. Where nobody says how that ended, it was abandoned.
    pub(crate) fn begin_load(&self) -> Loading<'_> {
        Loading(Some(self))
    }

    /// Somebody was given what another one loaded.
    pub(crate) fn joined(&self) {
        self.joined.increment();
    }

    /// Values were invalidated.
    pub(crate) fn invalidated(&self) {
        self.invalidations.increment();
    }

    /// Writes them, with how many values there are, their bytes, and how many made room.
    pub(crate) fn write(&self, sizes: (usize, usize, u64), has_outer: bool, out: &mut Exposition) {
        let mut reads = out.begin(&READS);
        let outer = has_outer.then_some(("outer", &self.outer));
        for (tier, read) in [("process", &self.process)].into_iter().chain(outer) {
            reads.add(&[tier, "hit"], read.hits.get());
            reads.add(&[tier, "negative"], read.negative.get());
            reads.add(&[tier, "miss"], read.misses.get());
        }
        out.begin(&LOADS)
            .add(&["loaded"], self.loaded.get())
            .add(&["failed"], self.failed.get())
            .add(&["abandoned"], self.abandoned.get())
            .add(&["joined"], self.joined.get());
        out.begin(&INVALIDATIONS).add(&[], self.invalidations.get());
        out.begin(&EVICTIONS).add(&[], sizes.2);
        out.begin(&ITEMS).add(&[], sizes.0);
        out.begin(&BYTES).add(&[], sizes.1);
    }
}

/// A load that goes on.
pub(crate) struct Loading<'a>(Option<&'a CacheMetrics>);

impl Loading<'_> {
    pub(crate) fn ended<T>(mut self, ended: Result<T, Error>) -> Result<T, Error> {
        if let Some(metrics) = self.0.take() {
            let counter = if ended.is_ok() { &metrics.loaded } else { &metrics.failed };
            counter.increment();
        }
        ended
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        if let Some(metrics) = self.0 {
            metrics.abandoned.increment();
        }
    }
}
