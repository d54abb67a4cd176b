//! What is kept in the process of a cache behind it: no longer than it should be, and nothing that was taken away.

use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::Notify;
use underlay_core::memory::MemoryCache;
use underlay_core::{CacheEntry, CacheExt as _, CachedValue};

use super::*;

/// A cache whose answers are held back where a test says so: the call has its effect, and then waits.
#[derive(Clone)]
struct Held {
    inner: MemoryCache,
    held: Arc<Mutex<Option<Hold>>>,
    begun: Arc<Notify>,
    go: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Once it has been done.
    After(&'static str),
    /// Before it is done.
    Before(&'static str),
}

impl Held {
    fn new(clock: Arc<ManualClock>) -> Self {
        let inner = MemoryCache::new(clock);
        Self { inner, held: Arc::default(), begun: Arc::default(), go: Arc::default() }
    }

    /// Holds the next call of this kind back.
    fn hold(&self, hold: Hold) {
        *self.held.lock().unwrap() = Some(hold);
    }

    async fn pass(&self, at: Hold) {
        let is_held = self.held.lock().unwrap().take_if(|held| *held == at).is_some();
        if is_held {
            self.begun.notify_one();
            self.go.notified().await;
        }
    }

    async fn around<T>(&self, call: &'static str, done: impl Future<Output = T>) -> T {
        self.pass(Hold::Before(call)).await;
        let answer = done.await;
        self.pass(Hold::After(call)).await;
        answer
    }
}

#[async_trait]
impl Cache for Held {
    async fn get_many(&self, tenant: &TenantId, keys: &[String]) -> Result<Vec<Option<CachedValue>>, Error> {
        self.around("get", self.inner.get_many(tenant, keys)).await
    }
    async fn exists(&self, tenant: &TenantId, key: &str) -> Result<bool, Error> {
        self.inner.exists(tenant, key).await
    }
    async fn set_many(&self, tenant: &TenantId, entries: &[CacheEntry]) -> Result<(), Error> {
        self.around("set", self.inner.set_many(tenant, entries)).await
    }
    async fn delete_many(&self, tenant: &TenantId, keys: &[String]) -> Result<(), Error> {
        self.around("take", self.inner.delete_many(tenant, keys)).await
    }
    async fn invalidate(&self, tenant: &TenantId, tag: &str) -> Result<(), Error> {
        self.around("take", self.inner.invalidate(tenant, tag)).await
    }
    async fn invalidate_matching(&self, tenant: &TenantId, pattern: &str) -> Result<(), Error> {
        self.around("take", self.inner.invalidate_matching(tenant, pattern)).await
    }
    async fn clear(&self, tenant: &TenantId) -> Result<(), Error> {
        self.around("take", self.inner.clear(tenant)).await
    }
}

/// Two processes before one cache that can be held back in the first of them.
struct House {
    clock: Arc<ManualClock>,
    outer: Held,
    tiers: TieredCache,
    cache: TenantCache,
    other: TenantCache,
}

fn house() -> House {
    let clock = clock();
    let outer = Held::new(clock.clone());
    let tiers = |outer: Arc<dyn Cache>| TieredCache::new(clock.clone(), CacheConfig::default(), Some(outer));
    let (one, two) = (tiers(Arc::new(outer.clone())), tiers(Arc::new(outer.inner.clone())));
    let of = |tiers| TenantCache::new(tiers, tenant("acme"));
    House { cache: of(&one), other: of(&two), tiers: one, outer, clock }
}

impl House {
    /// How many values the first process keeps.
    fn items(&self) -> usize {
        self.tiers.with(|local| local.sizes().0)
    }

    async fn get(&self, key: &str) -> Option<u64> {
        self.cache.get::<u64>(key).await.unwrap().as_deref().copied()
    }

    /// What is behind the processes.
    async fn outside(&self, key: &str) -> Option<Vec<u8>> {
        self.outer.inner.get(&tenant("acme"), key).await.unwrap()
    }
}

#[tokio::test]
async fn a_value_of_the_outer_tier_stays_no_longer_than_its_rest() {
    let House { cache, other, clock, .. } = &house();
    let ttl = Duration::from_secs(20);
    other.set("a", 1_u64, ttl).await.unwrap();
    clock.advance(ttl / 2);
    assert_eq!(cache.get::<u64>("a").await.unwrap().as_deref(), Some(&1));
    clock.advance(ttl / 2 - Duration::from_millis(1));
    assert_eq!(cache.get::<u64>("a").await.unwrap().as_deref(), Some(&1));
    clock.advance(Duration::from_millis(1));
    assert_eq!(cache.get::<u64>("a").await.unwrap(), None);
}

#[tokio::test]
async fn what_another_process_takes_away_is_found_for_the_inner_time_at_most() {
    let House { cache, other, clock, .. } = &house();
    let inner_ttl = CacheConfig::default().inner_ttl;
    for key in ["set here", "read here"] {
        let owner = if key == "set here" { cache } else { other };
        owner.set(key, 1_u64, Keep::new(LONG).tagged("rates")).await.unwrap();
        assert_eq!(cache.get::<u64>(key).await.unwrap().as_deref(), Some(&1));
    }
    other.invalidate_tag("rates").await.unwrap();
    clock.advance(inner_ttl - Duration::from_millis(1));
    for key in ["set here", "read here"] {
        assert_eq!(cache.get::<u64>(key).await.unwrap().as_deref(), Some(&1), "{key}: the process has it");
    }
    clock.advance(Duration::from_millis(1));
    for key in ["set here", "read here"] {
        assert_eq!(cache.get::<u64>(key).await.unwrap(), None, "{key}");
    }
}

#[tokio::test]
async fn tags_come_with_a_value_of_the_outer_tier() {
    let House { cache, other, .. } = &house();
    other.set("a", 1_u64, Keep::new(LONG).tagged("rates")).await.unwrap();
    assert_eq!(cache.get::<u64>("a").await.unwrap().as_deref(), Some(&1));
    cache.invalidate_tag("rates").await.unwrap();
    assert_eq!(cache.get::<u64>("a").await.unwrap(), None);
    assert_eq!(other.get::<u64>("a").await.unwrap().as_deref(), Some(&1), "the other process has a copy");
}

#[tokio::test]
async fn what_was_taken_away_while_it_was_read_is_not_kept() {
    for what in ["key", "tag", "pattern", "tenant", "set"] {
        let house = house();
        house.other.set("a", 1_u64, Keep::new(LONG).tagged("rates")).await.unwrap();
        house.outer.hold(Hold::After("get"));
        let reading = tokio::spawn({
            let cache = house.cache.clone();
            async move { cache.get::<u64>("a").await.unwrap().as_deref().copied() }
        });
        house.outer.begun.notified().await;
        match what {
            "key" => house.cache.delete("a").await.unwrap(),
            "tag" => house.cache.invalidate_tag("rates").await.unwrap(),
            "pattern" => house.cache.invalidate_pattern("*").await.unwrap(),
            "tenant" => house.cache.clear().await.unwrap(),
            _ => house.cache.set("a", 2_u64, LONG).await.unwrap(),
        }
        house.outer.go.notify_one();
        assert_eq!(reading.await.unwrap(), Some(1), "{what}: it was asked for before");
        let later = (what == "set").then_some(2);
        assert_eq!(house.get("a").await, later, "{what}");
    }
}

#[tokio::test]
async fn what_is_read_while_it_is_taken_away_is_not_kept() {
    for what in ["key", "tag", "set"] {
        let house = house();
        house.other.set("a", 1_u64, Keep::new(LONG).tagged("rates")).await.unwrap();
        house.outer.hold(Hold::Before(if what == "set" { "set" } else { "take" }));
        let taking = tokio::spawn({
            let cache = house.cache.clone();
            async move {
                match what {
                    "key" => cache.delete("a").await.unwrap(),
                    "tag" => cache.invalidate_tag("rates").await.unwrap(),
                    _ => cache.set("a", 2_u64, LONG).await.unwrap(),
                }
            }
        });
        house.outer.begun.notified().await;
        assert_eq!(house.get("a").await, Some(1), "{what}: it is not taken away yet");
        let loads = Loads::default();
        assert_eq!(loads.through(&house.cache, "a", LONG).await, 1);
        assert_eq!((house.items(), loads.count()), (0, 0), "{what}: it is found, and not kept");
        house.outer.go.notify_one();
        taking.await.unwrap();
        let later = (what == "set").then_some(2);
        assert_eq!(house.get("a").await, later, "{what}");
    }
}

#[tokio::test]
async fn a_load_that_was_invalidated_while_it_was_stored_is_taken_back() {
    for hold in [Hold::Before("set"), Hold::After("set")] {
        for what in ["key", "tag", "tenant", "caller gone"] {
            let house = house();
            house.outer.hold(hold);
            let loading = tokio::spawn({
                let cache = house.cache.clone();
                let keep = Keep::new(LONG).tagged("rates");
                async move { *cache.get_or_load("a", keep, async || Ok(1_u64)).await.unwrap() }
            });
            house.outer.begun.notified().await;
            match what {
                "key" => house.cache.delete("a").await.unwrap(),
                "tenant" => house.cache.clear().await.unwrap(),
                "tag" => house.cache.invalidate_tag("rates").await.unwrap(),
                _ => {
                    loading.abort();
                    settle().await;
                    house.cache.invalidate_tag("rates").await.unwrap();
                }
            }
            house.outer.go.notify_one();
            match what {
                "caller gone" => assert!(loading.await.is_err()),
                _ => assert_eq!(loading.await.unwrap(), 1),
            }
            settle().await;
            assert_eq!(house.get("a").await, None, "{what} {hold:?}: the process has it");
            assert_eq!(house.outside("a").await, None, "{what} {hold:?}: the outer tier has it");
        }
    }
}

#[tokio::test]
async fn two_writers_leave_what_the_outer_tier_has() {
    for holds in ["before", "after"] {
        let house = house();
        house.outer.hold(if holds == "before" { Hold::Before("set") } else { Hold::After("set") });
        let first = tokio::spawn({
            let cache = house.cache.clone();
            async move { cache.set("a", 1_u64, LONG).await.unwrap() }
        });
        house.outer.begun.notified().await;
        house.cache.set("a", 2_u64, LONG).await.unwrap();
        house.outer.go.notify_one();
        first.await.unwrap();
        let outside = house.outside("a").await.unwrap();
        assert_eq!(outside, if holds == "before" { b"11" } else { b"12" });
        let found = house.get("a").await.unwrap();
        assert_eq!(found.to_string().as_bytes(), &outside[1..], "{holds}");
    }
}

#[tokio::test]
async fn whoever_comes_after_an_invalidation_joins_no_load_of_before() {
    let house = house();
    house.other.set("a", 1_u64, Keep::new(LONG).tagged("rates")).await.unwrap();
    // A load that began while the invalidation went on, and has read the outer tier before it came there.
    house.outer.hold(Hold::Before("take"));
    let taking = tokio::spawn({
        let cache = house.cache.clone();
        async move { cache.invalidate_tag("rates").await.unwrap() }
    });
    house.outer.begun.notified().await;
    house.outer.hold(Hold::After("get"));
    let early = Loads::default();
    let reading = tokio::spawn({
        let (cache, loads) = (house.cache.clone(), early);
        async move { loads.through(&cache, "a", Keep::new(LONG).tagged("rates")).await }
    });
    let held = house.outer.clone();
    settle().await;
    // Both wait: the invalidation goes on first.
    house.outer.go.notify_one();
    taking.await.unwrap();
    let late = Loads::default();
    let loaded = tokio::spawn({
        let (cache, loads) = (house.cache.clone(), late.clone());
        async move { loads.through(&cache, "a", Keep::new(LONG).tagged("rates")).await }
    });
    settle().await;
    assert_eq!(late.count(), 1, "it does not wait for the one that has read what is old");
    assert_eq!(loaded.await.unwrap(), 1);
    held.go.notify_one();
    assert_eq!(reading.await.unwrap(), 1);
}
