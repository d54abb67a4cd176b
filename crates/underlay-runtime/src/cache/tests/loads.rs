//! Loads: one for each key, none that anybody waits for in vain, and none that outlives an invalidation.

use tokio::sync::Notify;
use underlay_core::Cache as _;

use super::super::LOAD_WAIT_MAX;
use super::*;

/// A load that waits until it is let go.
#[derive(Clone, Default)]
struct Held {
    begun: Arc<Notify>,
    go: Arc<Notify>,
}

impl Held {
    async fn bring<T>(&self, value: T) -> T {
        self.begun.notify_one();
        self.go.notified().await;
        value
    }

    /// Begins to load a number, and comes back when the load has begun.
    async fn begin(
        &self,
        cache: &TenantCache,
        key: &'static str,
        keep: Keep,
    ) -> tokio::task::JoinHandle<u64> {
        let (held, cache) = (self.clone(), cache.clone());
        let loading = tokio::spawn(async move {
            *cache.get_or_load(key, keep, async || Ok(held.bring(7_u64).await)).await.unwrap()
        });
        self.begun.notified().await;
        loading
    }
}

#[tokio::test]
async fn many_who_want_one_value_load_it_once() {
    let (_, cache, clock) = cache_before(None);
    let loads = Loads::default();
    for round in 1..=2 {
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let (cache, loads) = (cache.clone(), loads.clone());
                tokio::spawn(async move { loads.through(&cache, "a", LONG).await })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), round);
        }
        assert_eq!(loads.count(), round);
        clock.advance(LONG);
    }
}

#[tokio::test]
async fn an_error_is_its_caller_s_alone_and_is_not_kept() {
    let (_, cache, _) = cache_before(None);
    let held = Held::default();
    let failing = tokio::spawn({
        let (held, cache) = (held.clone(), cache.clone());
        async move {
            let load = async || held.bring(Err::<u64, _>(Error::unavailable("the source is away"))).await;
            cache.get_or_load("a", LONG, load).await
        }
    });
    held.begun.notified().await;
    let loads = Loads::default();
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let (cache, loads) = (cache.clone(), loads.clone());
            tokio::spawn(async move { loads.through(&cache, "a", LONG).await })
        })
        .collect();
    settle().await;
    assert_eq!(loads.count(), 0, "they wait");
    held.go.notify_one();
    assert!(failing.await.unwrap().is_err());
    for caller in waiting {
        assert_eq!(caller.await.unwrap(), 1, "one of them loads for all");
    }
    // Nobody waits where the next load fails at once.
    cache.delete("a").await.unwrap();
    let failed = cache.get_or_load("a", LONG, async || Err::<u64, _>(Error::unavailable("away"))).await;
    assert!(matches!(failed, Err(Error::Unavailable { .. })));
    assert_eq!(loads.through(&cache, "a", LONG).await, 2);
}

#[tokio::test]
async fn a_load_whose_caller_goes_away_or_panics_frees_the_others() {
    let (_, cache, _) = cache_before(None);
    for ends in ["aborted", "panicked"] {
        let held = Held::default();
        let leader = tokio::spawn({
            let (held, cache) = (held.clone(), cache.clone());
            async move {
                let load = async || -> Result<u64, Error> {
                    held.bring(()).await;
                    panic!("the load panics");
                };
                cache.get_or_load(ends, LONG, load).await
            }
        });
        held.begun.notified().await;
        let loads = Loads::default();
        let waiting = tokio::spawn({
            let (cache, loads) = (cache.clone(), loads.clone());
            async move { loads.through(&cache, ends, LONG).await }
        });
        settle().await;
        assert_eq!(loads.count(), 0, "{ends}: it waits");
        match ends {
            "aborted" => leader.abort(),
            _ => held.go.notify_one(),
        }
        assert_eq!(waiting.await.unwrap(), 1, "{ends}");
        assert!(leader.await.is_err());
    }
}

#[tokio::test]
async fn nobody_waits_for_ever_for_a_load_that_hangs() {
    let (_, cache, clock) = cache_before(None);
    let held = Held::default();
    let hanging = held.begin(&cache, "a", Keep::new(LONG)).await;
    let loads = Loads::default();
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let (cache, loads) = (cache.clone(), loads.clone());
            tokio::spawn(async move { loads.through(&cache, "a", LONG).await })
        })
        .collect();
    settle().await;
    clock.advance(LOAD_WAIT_MAX - Duration::from_millis(1));
    settle().await;
    assert_eq!(loads.count(), 0, "they wait");
    clock.advance(Duration::from_millis(1));
    for caller in waiting {
        assert_eq!(caller.await.unwrap(), 1, "one of them loads it");
    }
    // Where all loads hang, each caller comes to its own in the end.
    let others = [held.begin(&cache, "b", Keep::new(LONG)).await];
    let second = tokio::spawn({
        let (cache, held) = (cache.clone(), held.clone());
        async move { cache.get_or_load("b", LONG, async || Ok(held.bring(8_u64).await)).await }
    });
    let third = tokio::spawn({
        let (cache, loads) = (cache.clone(), loads.clone());
        async move { loads.through(&cache, "b", LONG).await }
    });
    settle().await;
    clock.advance(LOAD_WAIT_MAX);
    settle().await;
    clock.advance(LOAD_WAIT_MAX);
    settle().await;
    assert!(loads.count() == 2 || third.is_finished(), "nobody waits for more than two others");
    assert_eq!(third.await.unwrap(), 2);
    others.iter().for_each(tokio::task::JoinHandle::abort);
    second.abort();
    held.go.notify_one();
    assert_eq!(hanging.await.unwrap(), 7, "whoever hung has what it loaded");
    assert_eq!(cache.get::<u64>("a").await.unwrap().as_deref(), Some(&1), "the later load is kept");
}

#[tokio::test]
async fn what_is_invalidated_while_it_is_loaded_is_given_and_not_kept() {
    let (tiers, cache, _) = cache_before(None);
    let of = tenant("acme");
    for what in ["tag", "other tag", "key", "set", "pattern", "tenant", "everything"] {
        let (held, loads) = (Held::default(), Loads::default());
        let keep = || Keep::new(LONG).tagged("rates").tagged("numbers");
        let before = held.begin(&cache, "rate:a", keep()).await;
        let joined = tokio::spawn({
            let (cache, loads) = (cache.clone(), loads.clone());
            async move { loads.through(&cache, "rate:a", keep()).await }
        });
        settle().await;
        match what {
            "tag" => cache.invalidate_tag("numbers").await.unwrap(),
            "other tag" => cache.invalidate_tag("members").await.unwrap(),
            "key" => cache.delete("rate:a").await.unwrap(),
            "set" => cache.set("rate:a", 9_u64, LONG).await.unwrap(),
            "pattern" => cache.invalidate_pattern("rate:*").await.unwrap(),
            "tenant" => tiers.clear(&of).await.unwrap(),
            _ => tiers.forget(),
        }
        let later = match what {
            "set" => 9,
            "other tag" => 7,
            _ => 1,
        };
        if later == 1 {
            // Whoever comes now does not wait for the old one, and has what is loaded now.
            assert_eq!(loads.through(&cache, "rate:a", keep()).await, 1, "{what}");
        }
        held.go.notify_one();
        assert_eq!((before.await.unwrap(), joined.await.unwrap()), (7, 7), "{what}: who asked before has it");
        let found = cache.get::<u64>("rate:a").await.unwrap();
        assert_eq!(found.as_deref(), Some(&later), "{what}: it is not kept");
        cache.clear().await.unwrap();
    }
}

#[tokio::test]
async fn that_there_is_nothing_is_kept_for_a_time_of_its_own() {
    let (_, cache, clock) = cache_before(None);
    let loads = Loads::default();
    let missing = async || {
        loads.next().await?;
        Ok(None::<u64>)
    };
    let keep = Keep::new(LONG).none_for(Duration::from_secs(5)).tagged("rates");
    for _ in 0..3 {
        assert_eq!(cache.find_or_load("a", keep.clone(), missing).await.unwrap(), None);
    }
    assert_eq!(loads.count(), 1);
    assert!(!cache.exists("a").await.unwrap() && cache.get::<u64>("a").await.unwrap().is_none());
    clock.advance(Duration::from_secs(5));
    assert_eq!(cache.find_or_load("a", keep.clone(), missing).await.unwrap(), None);
    cache.invalidate_tag("rates").await.unwrap();
    assert_eq!(cache.find_or_load("a", keep.clone(), missing).await.unwrap(), None);
    assert_eq!(loads.count(), 3, "its time is over, and then it is invalidated");
    // Who needs a value does not take that there is none.
    assert_eq!(loads.through(&cache, "a", LONG).await, 4);
    assert_eq!(cache.find_or_load("a", keep, missing).await.unwrap().as_deref(), Some(&4));
    // Where nothing is said it is not kept.
    for _ in 0..2 {
        assert_eq!(cache.find_or_load("b", LONG, missing).await.unwrap(), None);
    }
    assert_eq!(loads.count(), 6);
}

#[tokio::test]
async fn a_value_runs_out_and_is_loaded_again() {
    let (_, cache, clock) = cache_before(None);
    let loads = Loads::default();
    let ttl = Duration::from_secs(10);
    assert_eq!(loads.through(&cache, "a", ttl).await, 1);
    clock.advance(ttl - Duration::from_millis(1));
    assert_eq!(loads.through(&cache, "a", ttl).await, 1);
    clock.advance(Duration::from_millis(1));
    assert_eq!(loads.through(&cache, "a", ttl).await, 2);
}
