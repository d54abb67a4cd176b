use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use underlay_core::{
    Cache, CacheEntry, CachedValue, Clock, Error, TenantId, Timestamp, check_cache_entries, check_cache_keys,
};

use super::CacheConfig;
use super::flight::{Flight, Landing, Leading};
use super::item::{Decoded, Item, later};
use super::local::{Local, Swept};
use super::writes::{Read, Worth};
use super::writing::{Sweeping, Writing};
use crate::metrics::{CacheMetrics, Exposition};

/// A cache in the process, before another one where there is one. A clone is a reference count.
///
/// It keeps the contract of [`Cache`] for all who use it in this process. What another process takes away from the outer tier is
/// found here for [`CacheConfig::inner_ttl`] at most.
#[derive(Clone)]
pub struct TieredCache(Arc<Tiers>);

struct Tiers {
    local: Mutex<Local>,
    outer: Option<Arc<dyn Cache>>,
    clock: Arc<dyn Clock>,
    inner_ttl: Option<Duration>,
    metrics: CacheMetrics,
}

impl fmt::Debug for TieredCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TieredCache").field("has_outer", &self.0.outer.is_some()).finish_non_exhaustive()
    }
}

/// A value of the outer tier.
pub(super) struct Outside {
    pub(super) item: Item,
    /// Whether nobody has written it since it was asked for, so that it is kept in the process.
    pub(super) is_kept: bool,
}

/// What somebody takes who wants a value.
pub(super) struct Takes {
    /// What is there already.
    pub(super) is_there: bool,
    /// What others load.
    pub(super) is_loaded: bool,
    /// But for this load, which takes too long.
    pub(super) hangs: Option<Landing>,
}

impl Takes {
    fn is_loading(&self, landing: &Landing) -> bool {
        self.is_loaded && !self.hangs.as_ref().is_some_and(|hangs| hangs.same_channel(landing))
    }
}

/// How somebody comes to a value that has to be loaded.
pub(super) enum Part {
    /// It is there after all.
    Found(Item),
    /// Somebody loads it: this tells what comes of it, or ends where nothing does.
    Follow(Landing),
    /// Nobody does.
    Lead(Leading),
}

impl TieredCache {
    /// An empty cache in the process, before an outer one where there is one. Values run out by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, config: CacheConfig, outer: Option<Arc<dyn Cache>>) -> Self {
        let inner_ttl = outer.is_some().then_some(config.inner_ttl);
        let (local, metrics) = (Mutex::new(Local::new(config)), CacheMetrics::default());
        Self(Arc::new(Tiers { local, outer, clock, inner_ttl, metrics }))
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    pub(super) fn metrics(&self) -> &CacheMetrics {
        &self.0.metrics
    }

    pub(crate) fn write_metrics(&self, out: &mut Exposition) {
        let sizes = self.with(|local| local.sizes());
        self.0.metrics.write(sizes, self.0.outer.is_some(), out);
    }

    /// Does something under the lock. What goes by that is dropped after it.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut Local) -> R) -> R {
        // Nothing below the lock can panic half way.
        let mut local = self.0.local.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(&mut local);
        let gone = local.take_gone();
        drop(local);
        drop(gone);
        done
    }

    /// Finds a value of the process.
    pub(super) fn look(&self, tenant: &TenantId, key: &str) -> Option<Item> {
        let now = self.0.clock.now();
        let found = self.with(|local| local.look(tenant, key, now));
        self.0.metrics.process.read(found.as_ref());
        found
    }

    /// Finds a value in either tier.
    pub(crate) async fn find(&self, tenant: &TenantId, key: &str) -> Result<Option<Item>, Error> {
        check_cache_keys([key].into_iter())?;
        match (self.look(tenant, key), &self.0.outer) {
            (Some(found), _) => Ok(Some(found)),
            (None, None) => Ok(None),
            (None, Some(outer)) => {
                let found = self.find_outside(&**outer, tenant, &[key.to_owned()]).await?.pop().flatten();
                Ok(found.map(|found| found.item))
            }
        }
    }

    /// Whether either tier has a value.
    pub(super) async fn has(&self, tenant: &TenantId, key: &str) -> Result<bool, Error> {
        check_cache_keys([key].into_iter())?;
        match (self.look(tenant, key), &self.0.outer) {
            (Some(_), _) => Ok(true),
            (None, None) => Ok(false),
            (None, Some(outer)) => outer.exists(tenant, key).await,
        }
    }

    /// Finds values in either tier, in the order of the keys.
    pub(super) async fn find_many(
        &self,
        tenant: &TenantId,
        keys: &[String],
    ) -> Result<Vec<Option<Item>>, Error> {
        check_cache_keys(keys.iter().map(String::as_str))?;
        let mut found: Vec<Option<Item>> = keys.iter().map(|key| self.look(tenant, key)).collect();
        let Some(outer) = &self.0.outer else { return Ok(found) };
        let missing: Vec<usize> = (0..keys.len()).filter(|at| found[*at].is_none()).collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let wanted: Vec<String> = missing.iter().map(|at| keys[*at].clone()).collect();
        for (at, outside) in missing.into_iter().zip(self.find_outside(&**outer, tenant, &wanted).await?) {
            found[at] = outside.map(|outside| outside.item);
        }
        Ok(found)
    }

    /// Asks the outer tier, and keeps in the process what nobody has written meanwhile.
    async fn find_outside(
        &self,
        outer: &dyn Cache,
        tenant: &TenantId,
        keys: &[String],
    ) -> Result<Vec<Option<Outside>>, Error> {
        let reads: Vec<Read> =
            self.with(|local| keys.iter().map(|key| local.writes.read(tenant, key)).collect());
        let found = outer.get_many(tenant, keys).await?;
        let now = self.0.clock.now();
        Ok(self.with(|local| {
            let mut take = |((key, read), found): ((&String, Read), Option<CachedValue>)| {
                let worth = local.writes.worth(&read);
                let item = found
                    .filter(|_| worth != Worth::Nothing)
                    .map(|found| Item::new(found.value, found.tags, later(now, found.left), None));
                self.0.metrics.outer.read(item.as_ref());
                let item = item?;
                let is_kept = worth == Worth::Kept;
                if is_kept {
                    local.keep(tenant, key, item.clone(), self.fresh_until(&item));
                }
                Some(Outside { item, is_kept })
            };
            keys.iter().zip(reads).zip(found).map(&mut take).collect()
        }))
    }

    /// Until when the process need not ask the outer tier.
    fn fresh_until(&self, item: &Item) -> Timestamp {
        self.0.inner_ttl.map_or_else(|| item.until(), |ttl| later(self.0.clock.now(), ttl))
    }

    /// Keeps values in both tiers. Of each it may be known what its bytes decode to.
    pub(super) async fn put(
        &self,
        tenant: &TenantId,
        entries: Vec<CacheEntry>,
        decoded: Vec<Decoded>,
    ) -> Result<(), Error> {
        check_cache_entries(&entries)?;
        let written = match &self.0.outer {
            None => None,
            Some(outer) => {
                let keys = entries.iter().map(|entry| entry.key.clone()).collect();
                let writing = Writing::begin(self, tenant, keys);
                outer.set_many(tenant, &entries).await?;
                Some(writing)
            }
        };
        let now = self.0.clock.now();
        let mut decoded = decoded.into_iter();
        let entries: Vec<(String, Item)> = entries
            .into_iter()
            .map(|CacheEntry { key, value, ttl, tags }| {
                (key, Item::new(value, tags, later(now, ttl), decoded.next()))
            })
            .collect();
        let keep = |local: &mut Local, alone: Option<Vec<bool>>| {
            for (at, (key, item)) in entries.into_iter().enumerate() {
                local.take_away(tenant, &key);
                if alone.as_ref().is_none_or(|alone| alone[at]) {
                    let fresh_until = self.fresh_until(&item);
                    local.keep(tenant, &key, item, fresh_until);
                }
            }
        };
        match written {
            None => self.with(|local| keep(local, None)),
            Some(writing) => writing.end(|local, alone| keep(local, Some(alone))),
        }
        Ok(())
    }

    /// Takes values away from both tiers, and what is being loaded for them.
    pub(crate) async fn take_away(&self, tenant: &TenantId, keys: &[String]) -> Result<(), Error> {
        check_cache_keys(keys.iter().map(String::as_str))?;
        let Some(outer) = &self.0.outer else {
            self.with(|local| keys.iter().for_each(|key| local.take_away(tenant, key)));
            return Ok(());
        };
        let _writing = Writing::begin(self, tenant, keys.to_vec());
        outer.delete_many(tenant, keys).await
    }

    /// Takes many values of a tenant away from both tiers, and what is being loaded for them.
    pub(super) async fn sweep(&self, tenant: &TenantId, swept: Swept) -> Result<(), Error> {
        self.0.metrics.invalidated();
        let Some(outer) = &self.0.outer else {
            self.with(|local| local.sweep(tenant, &swept));
            return Ok(());
        };
        let sweeping = Sweeping::begin(self, tenant, swept);
        match &sweeping.swept {
            Swept::Tag(tag) => outer.invalidate(tenant, tag).await,
            Swept::Matching(pattern) => outer.invalidate_matching(tenant, pattern).await,
            Swept::Everything => outer.clear(tenant).await,
        }
    }

    /// Takes everything away from the process; the outer tier keeps what it has.
    pub(crate) fn forget(&self) {
        self.with(Local::forget);
    }

    /// Finds a value of the process, who loads it, or the right to load it.
    pub(super) fn take_part(&self, tenant: &TenantId, key: &str, tags: &[String], takes: &Takes) -> Part {
        let now = self.0.clock.now();
        self.with(|local| {
            if takes.is_there
                && let Some(found) = local.look(tenant, key, now)
            {
                return Part::Found(found);
            }
            if let Some(landing) = local.flight(tenant, key).map(|flight| flight.watch())
                && takes.is_loading(&landing)
            {
                return Part::Follow(landing);
            }
            let flight = Arc::new(Flight::new(local.marks.of(tenant, tags)));
            local.flights.begin(tenant, key, &flight);
            Part::Lead(Leading::new(self.clone(), tenant.clone(), key.to_owned(), flight))
        })
    }

    /// A value of the outer tier, where there is one.
    pub(super) async fn find_for(&self, leading: &Leading) -> Result<Option<Outside>, Error> {
        match &self.0.outer {
            None => Ok(None),
            Some(outer) => {
                let (tenant, keys) = (&leading.tenant, std::slice::from_ref(&leading.key));
                Ok(self.find_outside(&**outer, tenant, keys).await?.pop().flatten())
            }
        }
    }

    /// When the time is over of what is set now.
    pub(super) fn until(&self, ttl: Duration) -> Timestamp {
        later(self.0.clock.now(), ttl)
    }

    /// Hands a value that was loaded to those who wait, and keeps it in both tiers where there is an entry of it. Where it
    /// was invalidated since the load began, or is too large, it is not kept.
    pub(super) async fn land(&self, leading: Leading, entry: Option<CacheEntry>, item: Item) {
        let entry = entry.filter(|entry| check_cache_entries(std::slice::from_ref(entry)).is_ok());
        let Some(entry) = entry else { return leading.land(item) };
        let Some(outer) = &self.0.outer else {
            self.with(|local| {
                if leading.flight.counts() {
                    local.keep(&leading.tenant, &leading.key, item.clone(), item.until());
                }
            });
            return leading.land(item);
        };
        // It goes on where the caller is gone: what was sent to the outer tier may have to be taken back.
        let (cache, outer) = (self.clone(), outer.clone());
        let kept = tokio::spawn(async move {
            cache.keep_outside(&*outer, &leading, entry, &item).await;
            leading.land(item);
        });
        if let Err(error) = kept.await {
            tracing::error!(%error, "keeping a value that was loaded ended badly");
        }
    }

    async fn keep_outside(&self, outer: &dyn Cache, leading: &Leading, entry: CacheEntry, item: &Item) {
        let Leading { tenant, key, flight, .. } = leading;
        let begun = self.with(|local| {
            local.remove(tenant, key);
            flight.counts().then(|| local.writes.begin(tenant, key, true))
        });
        let Some(write) = begun else { return };
        let mut told = outer.set_many(tenant, &[entry]).await;
        // Whoever invalidates it after this takes it away from there himself.
        if !self.with(|_| flight.counts()) {
            told = told.and(outer.delete_many(tenant, std::slice::from_ref(key)).await);
        }
        let fresh_until = self.fresh_until(item);
        self.with(|local| {
            local.remove(tenant, key);
            if local.writes.end(&write) && flight.counts() {
                local.keep(tenant, key, item.clone(), fresh_until);
            }
        });
        if let Err(error) = told {
            tracing::error!(%error, "a value that keeps its limits was refused by the cache");
        }
    }
}
