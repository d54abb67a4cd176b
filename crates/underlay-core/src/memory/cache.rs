use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::ports::{
    Cache, CacheEntry, CachedValue, Clock, SystemClock, cache_pattern_matches, check_cache_entries,
    check_cache_keys, check_cache_pattern, check_cache_tag,
};
use crate::words::{Error, TenantId, Timestamp};

/// A cache in memory, for tests: nothing bounds how much it holds.
#[derive(Clone)]
pub struct MemoryCache {
    clock: Arc<dyn Clock>,
    values: Arc<Mutex<Values>>,
}

type Values = HashMap<(TenantId, String), Kept>;

#[derive(Debug)]
struct Kept {
    value: Vec<u8>,
    tags: Vec<String>,
    until: Timestamp,
}

impl Default for MemoryCache {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl std::fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryCache").finish_non_exhaustive()
    }
}

impl MemoryCache {
    /// An empty cache; its values run out by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, values: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Values> {
        // Each change below is one call of the map, so a panic leaves none half done.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get_many(&self, tenant: &TenantId, keys: &[String]) -> Result<Vec<Option<CachedValue>>, Error> {
        check_cache_keys(keys.iter().map(String::as_str))?;
        let now = self.clock.now();
        let values = self.lock();
        let get = |key: &String| {
            let kept = values.get(&(tenant.clone(), key.clone())).filter(|kept| kept.until > now)?;
            let left = Duration::try_from(kept.until.duration_since(now)).unwrap_or_default();
            Some(CachedValue { value: kept.value.clone(), left, tags: kept.tags.clone() })
        };
        Ok(keys.iter().map(get).collect())
    }

    async fn exists(&self, tenant: &TenantId, key: &str) -> Result<bool, Error> {
        Ok(self.get_many(tenant, &[key.to_owned()]).await?.iter().any(Option::is_some))
    }

    async fn set_many(&self, tenant: &TenantId, entries: &[CacheEntry]) -> Result<(), Error> {
        check_cache_entries(entries)?;
        let now = self.clock.now();
        let mut values = self.lock();
        for CacheEntry { key, value, ttl, tags } in entries {
            let until = now.saturating_add(*ttl).unwrap_or(Timestamp::MAX);
            let kept = Kept { value: value.clone(), tags: tags.clone(), until };
            values.insert((tenant.clone(), key.clone()), kept);
        }
        Ok(())
    }

    async fn delete_many(&self, tenant: &TenantId, keys: &[String]) -> Result<(), Error> {
        check_cache_keys(keys.iter().map(String::as_str))?;
        let mut values = self.lock();
        for key in keys {
            values.remove(&(tenant.clone(), key.clone()));
        }
        Ok(())
    }

    async fn invalidate(&self, tenant: &TenantId, tag: &str) -> Result<(), Error> {
        check_cache_tag(tag)?;
        self.lock().retain(|(owner, _), kept| owner != tenant || !kept.tags.iter().any(|has| has == tag));
        Ok(())
    }

    async fn invalidate_matching(&self, tenant: &TenantId, pattern: &str) -> Result<(), Error> {
        check_cache_pattern(pattern)?;
        self.lock().retain(|(owner, key), _| owner != tenant || !cache_pattern_matches(pattern, key));
        Ok(())
    }

    async fn clear(&self, tenant: &TenantId) -> Result<(), Error> {
        self.lock().retain(|(owner, _), _| owner != tenant);
        Ok(())
    }
}
