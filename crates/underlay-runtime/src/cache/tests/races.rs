//! Readers, writers and invalidations at once: no answer is older than an invalidation that was answered before it was asked for.

use std::hash::{BuildHasher, RandomState};

use async_trait::async_trait;
use underlay_core::memory::MemoryCache;
use underlay_core::{CacheEntry, CachedValue};

use super::*;

const KEYS: usize = 4;
const ROUNDS: u64 = 400;

/// A cache whose calls take turns that nobody foresees.
struct Late(MemoryCache);

/// Lets others go before, some times.
async fn dawdle() {
    for _ in 0..RandomState::new().hash_one(0) % 4 {
        tokio::task::yield_now().await;
    }
}

impl Late {
    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        dawdle().await;
        let answer = call.await;
        dawdle().await;
        answer
    }
}

#[async_trait]
impl Cache for Late {
    async fn get_many(&self, tenant: &TenantId, keys: &[String]) -> Result<Vec<Option<CachedValue>>, Error> {
        self.around(self.0.get_many(tenant, keys)).await
    }
    async fn exists(&self, tenant: &TenantId, key: &str) -> Result<bool, Error> {
        self.around(self.0.exists(tenant, key)).await
    }
    async fn set_many(&self, tenant: &TenantId, entries: &[CacheEntry]) -> Result<(), Error> {
        self.around(self.0.set_many(tenant, entries)).await
    }
    async fn delete_many(&self, tenant: &TenantId, keys: &[String]) -> Result<(), Error> {
        self.around(self.0.delete_many(tenant, keys)).await
    }
    async fn invalidate(&self, tenant: &TenantId, tag: &str) -> Result<(), Error> {
        self.around(self.0.invalidate(tenant, tag)).await
    }
    async fn invalidate_matching(&self, tenant: &TenantId, pattern: &str) -> Result<(), Error> {
        self.around(self.0.invalidate_matching(tenant, pattern)).await
    }
    async fn clear(&self, tenant: &TenantId) -> Result<(), Error> {
        self.around(self.0.clear(tenant)).await
    }
}

/// What is cached: numbers that only grow.
#[derive(Default)]
struct Source {
    stored: [AtomicU64; KEYS],
    /// What was stored of each key when an invalidation was answered last: nothing older is found after it.
    floor: [AtomicU64; KEYS],
}

fn key(number: usize) -> String {
    format!("key:{number}")
}

async fn write(source: &Source, cache: &TenantCache, number: usize) {
    let stored = source.stored[number].fetch_add(1, Ordering::SeqCst) + 1;
    match RandomState::new().hash_one(0) % 4 {
        0 => cache.delete(&key(number)).await.unwrap(),
        1 => cache.invalidate_tag(&format!("tag {number}")).await.unwrap(),
        2 => cache.invalidate_pattern(&format!("*:{number}")).await.unwrap(),
        _ => cache.clear().await.unwrap(),
    }
    source.floor[number].fetch_max(stored, Ordering::SeqCst);
}

async fn read(source: &Source, cache: &TenantCache, number: usize) {
    let floor = source.floor[number].load(Ordering::SeqCst);
    let keep = Keep::new(LONG).tagged("numbers").tagged(format!("tag {number}"));
    let load = async || {
        let stored = source.stored[number].load(Ordering::SeqCst);
        dawdle().await;
        Ok(stored)
    };
    let found = *cache.get_or_load(&key(number), keep, load).await.unwrap();
    assert!(found >= floor, "{} is {found}, and {floor} was there before it was asked for", key(number));
}

async fn race(outer: Option<Arc<dyn Cache>>) {
    let (tiers, cache, _) = cache_before(outer.clone());
    let source = Arc::new(Source::default());
    let callers: Vec<_> = (0..12)
        .map(|caller| {
            let (source, cache) = (source.clone(), cache.clone());
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let number = (RandomState::new().hash_one(round) % KEYS as u64) as usize;
                    match caller % 4 {
                        0 => write(&source, &cache, number).await,
                        _ => read(&source, &cache, number).await,
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    tiers.with(|local| local.check());
    // Another process finds nothing older in the outer tier either.
    let (_, another, _) = cache_before(outer);
    for number in 0..KEYS {
        read(&source, &cache, number).await;
        if let Some(found) = another.get::<u64>(&key(number)).await.unwrap() {
            assert_eq!(
                *found,
                source.stored[number].load(Ordering::SeqCst),
                "the outer tier has what is old"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_outlives_its_invalidation_in_a_process() {
    race(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_outlives_its_invalidation_with_a_cache_behind_it() {
    race(Some(Arc::new(Late(MemoryCache::default())))).await;
}
