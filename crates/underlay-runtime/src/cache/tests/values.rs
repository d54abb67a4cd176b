//! Typed values, and the bounds of what a process keeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use underlay_core::limits::CACHE_VALUE_BYTES_MAX;
use underlay_core::{CacheExt as _, Error};

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Rate {
    base: String,
    value: f64,
}

#[tokio::test]
async fn a_typed_value_is_shared_and_not_copied() {
    let (_, cache, _) = cache_before(None);
    cache.set("a", Rate { base: "EUR".to_owned(), value: 1.5 }, LONG).await.unwrap();
    let (one, two): (Option<Arc<Rate>>, Option<Arc<Rate>>) =
        (cache.get("a").await.unwrap(), cache.get("a").await.unwrap());
    assert_eq!(*one.clone().unwrap(), Rate { base: "EUR".to_owned(), value: 1.5 });
    assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
    assert!(cache.exists("a").await.unwrap() && !cache.exists("b").await.unwrap());
    cache.delete("a").await.unwrap();
    assert_eq!(cache.get::<Rate>("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_value_of_another_type_is_not_found_and_is_loaded_anew() {
    let (_, cache, _) = cache_before(None);
    cache.set("a", "text".to_owned(), LONG).await.unwrap();
    assert_eq!(cache.get::<u64>("a").await.unwrap(), None);
    let loads = Loads::default();
    assert_eq!((loads.through(&cache, "a", LONG).await, loads.through(&cache, "a", LONG).await), (1, 1));
    assert_eq!(cache.get::<String>("a").await.unwrap(), None);
    // What two types have in common is read as either.
    assert_eq!(cache.get::<i32>("a").await.unwrap().as_deref(), Some(&1));
    assert_eq!(cache.get::<u64>("a").await.unwrap().as_deref(), Some(&1));
}

#[tokio::test]
async fn many_at_once_come_in_the_order_of_their_keys() {
    let (_, cache, _) = cache_before(Some(Arc::new(underlay_core::memory::MemoryCache::default())));
    cache.set_many([("a", 1_u64), ("b", 2)], Keep::new(LONG).tagged("numbers")).await.unwrap();
    let keys = ["b", "nothing", "a"].map(str::to_owned);
    let found = cache.get_many::<u64>(&keys).await.unwrap();
    assert_eq!(found, [Some(Arc::new(2)), None, Some(Arc::new(1))]);
    cache.invalidate_tag("numbers").await.unwrap();
    assert_eq!(cache.get_many::<u64>(&keys).await.unwrap(), [None, None, None]);
    cache.set_many([("rate:a", 1_u64), ("rate:b", 2), ("c", 3)], LONG).await.unwrap();
    cache.invalidate_pattern("rate:*").await.unwrap();
    let keys = ["rate:a", "rate:b", "c"].map(str::to_owned);
    assert_eq!(cache.get_many::<u64>(&keys).await.unwrap(), [None, None, Some(Arc::new(3))]);
    cache.clear().await.unwrap();
    assert!(!cache.exists("c").await.unwrap());
}

#[tokio::test]
async fn what_does_not_fit_is_told_before_anything_is_loaded() {
    let (_, cache, _) = cache_before(None);
    let loads = Loads::default();
    let load = async || loads.next().await;
    for (key, keep) in [
        ("", Keep::new(LONG)),
        ("\u{1}own", Keep::new(LONG)),
        ("a", Keep::new(Duration::ZERO)),
        ("a", Keep::new(LONG).none_for(Duration::ZERO)),
        ("a", Keep::new(LONG).tagged("")),
    ] {
        let refused = cache.get_or_load(key, keep.clone(), load).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{key:?} {keep:?}: {refused:?}");
    }
    assert_eq!(loads.count(), 0);
    let no_json = BTreeMap::from([(vec![1_u8], 1)]);
    assert!(matches!(cache.set("a", no_json, LONG).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn a_value_that_is_too_large_is_given_and_not_kept() {
    let (_, cache, _) = cache_before(None);
    let huge = "x".repeat(CACHE_VALUE_BYTES_MAX);
    let loaded = cache.get_or_load("a", LONG, async || Ok(huge.clone())).await.unwrap();
    assert_eq!(loaded.len(), CACHE_VALUE_BYTES_MAX);
    assert_eq!(cache.get::<String>("a").await.unwrap(), None);
    assert!(matches!(cache.set("a", huge, LONG).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn a_process_keeps_no_more_than_it_may_and_a_tenant_keeps_its_share() {
    let config = CacheConfig {
        items_max: 100,
        bytes_max: 1 << 20,
        tenant_bytes_max: 1 << 18,
        ..CacheConfig::default()
    };
    let tiers = TieredCache::new(clock(), config, None);
    let (calm, flood) = (TenantCache::new(&tiers, tenant("calm")), TenantCache::new(&tiers, tenant("flood")));
    for number in 0..20_u64 {
        calm.set(&number.to_string(), number, LONG).await.unwrap();
    }
    // Small values come to the bound of the items, large ones to that of the bytes.
    for size in [1, 50_000] {
        for number in 0..500 {
            let text = "x".repeat(size);
            flood
                .set(&format!("{size}:{number}"), text, Keep::new(LONG).tagged(number.to_string()))
                .await
                .unwrap();
            tiers.with(|local| local.check());
        }
        let (items, bytes, evicted) = tiers.with(|local| local.sizes());
        assert!(items <= 100 && bytes <= 1 << 20, "{items} values of {bytes} bytes");
        assert!(evicted >= 400, "{evicted} made room");
        for number in 0..20_u64 {
            let found = calm.get::<u64>(&number.to_string()).await.unwrap();
            assert_eq!(found.as_deref(), Some(&number), "a flood of {size} bytes each");
        }
    }
}

#[tokio::test]
async fn the_bytes_of_a_typed_value_are_those_of_its_json() {
    let (tiers, cache, _) = cache_before(None);
    cache.set("a", 7_u64, LONG).await.unwrap();
    assert_eq!(tiers.get(&tenant("acme"), "a").await.unwrap().as_deref(), Some(&b"17"[..]));
    let none = cache.find_or_load("b", Keep::new(LONG).none_for(LONG), async || Ok(None::<u64>)).await;
    assert_eq!(none.unwrap(), None);
    assert_eq!(tiers.get(&tenant("acme"), "b").await.unwrap().as_deref(), Some(&b"0"[..]));
}
