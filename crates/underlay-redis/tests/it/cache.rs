//! What a cache does beside its contract.

use std::time::{Duration, Instant};

use redis::cmd;
use underlay_core::{Cache, CacheEntry, CacheExt};

use crate::place::{Place, place_or_skip, tenant};

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_mark_that_the_server_evicted_brings_no_value_back() {
    let place = place_or_skip!(Place::find());
    let store = place.store();
    let entry = || CacheEntry::new("a", "old", LONG).tagged("tag");
    for mark in ["c:t:tag", "c:a"] {
        store.set(&tenant(), entry()).await.unwrap();
        place.ask::<i64>(cmd("DEL").arg(place.key(&tenant(), mark))).await;
        assert_eq!(store.get(&tenant(), "a").await.unwrap(), None, "{mark}");
        store.set(&tenant(), CacheEntry::new("b", "new", LONG).tagged("tag")).await.unwrap();
        assert_eq!(store.get(&tenant(), "a").await.unwrap(), None, "{mark}: another has its tag again");
        assert!(store.exists(&tenant(), "b").await.unwrap());
    }
}

#[tokio::test]
async fn everything_in_a_cache_runs_out() {
    let place = place_or_skip!(Place::find());
    let store = place.store();
    store.set(&tenant(), CacheEntry::new("a", "a", LONG).tagged("tag")).await.unwrap();
    store.set(&tenant(), CacheEntry::new("b", "b", LONG / 2).tagged("tag")).await.unwrap();
    let keys: Vec<String> = place.ask(cmd("KEYS").arg(place.key(&tenant(), "*"))).await;
    assert_eq!(keys.len(), 4, "two values, a tag and the tenant: {keys:?}");
    for key in keys {
        let left: i64 = place.ask(cmd("PTTL").arg(&key)).await;
        assert!(left > 0 && left <= 600_000, "{key} has an end: {left}");
        let shorter = key.ends_with(":b");
        assert!(shorter || left > 300_000, "{key}: a shorter value does not shorten a mark");
    }
}

#[tokio::test]
async fn a_cache_that_does_not_answer_costs_its_timeout_once() {
    let place = place_or_skip!(Place::start(&[]));
    let config = place.config().with_cache_timeout(Duration::from_millis(300));
    let store = underlay_redis::RedisStore::new(&place.address, config).unwrap();
    store.set(&tenant(), CacheEntry::new("a", "a", LONG)).await.unwrap();
    assert!(store.cache_answers());
    place.tell(&["client", "pause", "2000", "ALL"]);
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(store.get(&tenant(), "a").await.unwrap(), None);
        store.delete(&tenant(), "a").await.unwrap();
    }
    let took = began.elapsed();
    assert!(took < Duration::from_millis(40 * 300 / 2), "forty calls wait for few timeouts: {took:?}");
    assert!(!store.cache_answers(), "it is said that it is away");
    place.tell(&["client", "unpause"]);
    while !store.exists(&tenant(), "b").await.unwrap() {
        assert_eq!(store.get(&tenant(), "a").await.unwrap(), None, "it was deleted meanwhile");
        store.set(&tenant(), CacheEntry::new("b", "b", LONG)).await.unwrap();
    }
    assert_eq!(store.get(&tenant(), "a").await.unwrap(), None, "it was deleted meanwhile");
    assert!(store.cache_answers(), "it is back");
}

#[tokio::test]
async fn what_a_full_server_does_not_keep_is_not_there_as_it_was() {
    let place = place_or_skip!(Place::start(&[]));
    let store = place.store();
    store.set(&tenant(), CacheEntry::new("a", "old", LONG)).await.unwrap();
    place.tell(&["config", "set", "maxmemory", "1"]);
    store.set(&tenant(), CacheEntry::new("a", "new", LONG)).await.unwrap();
    assert_eq!(store.get(&tenant(), "a").await.unwrap(), None);
}
