//! What events take away from the cache: in every process, and behind them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use underlay_core::memory::{MemoryCache, MemoryEventStore};
use underlay_core::{Cache, Commit, EventStore, Recorded, TenantId};
use underlay_runtime::{
    Engine, Exposition, Keep, Registry, Request, RunningSubscribers, Stores, TenantCache,
};

use crate::bank::{Account, AccountEvent, deposited, poison, request, tenant};
use crate::pumps::House;
use crate::shared::POLL;

const LONG: Duration = Duration::from_secs(600);

fn registry() -> Registry {
    Registry::default().aggregate::<Account>().cache_invalidated_by(|event: &Recorded<AccountEvent>| {
        match &event.event {
            AccountEvent::Deposited { cents: 666 } => panic!("a bug in what says the tags"),
            _ => vec![format!("account:{}", event.stream().id())],
        }
    })
}

/// A process with its cache, before an outer one where there is one.
struct Process {
    engine: Engine,
    running: RunningSubscribers,
}

impl Process {
    async fn start(house: &House, outer: Option<Arc<dyn Cache>>) -> Self {
        let stores = Stores { cache: outer, ..Stores::default() };
        let engine = Engine::with_stores(house.ports(), stores, registry(), House::config("one")).unwrap();
        let running = engine.start_subscribers().await.unwrap();
        // It follows the log once an event takes away what was kept before it.
        let cache = engine.cache(&request());
        keep(&cache, "begun").await;
        while has(&cache, "begun").await {
            commit(house, &tenant(), deposited("begun", 1)).await;
            house.pass(POLL).await;
        }
        Self { engine, running }
    }

    fn cache(&self) -> TenantCache {
        self.engine.cache(&request())
    }

    fn metrics(&self) -> String {
        let mut out = Exposition::default();
        self.engine.write_metrics(&mut out);
        out.into_text()
    }
}

async fn commit(house: &House, tenant: &TenantId, commit: Commit) {
    let log: MemoryEventStore = house.log.lock().unwrap().clone();
    log.commit(tenant, commit).await.unwrap();
    house.hub.wake();
}

async fn keep(cache: &TenantCache, account: &str) {
    let tagged = Keep::new(LONG).tagged(format!("account:{account}"));
    cache.set(account, account.to_owned(), tagged).await.unwrap();
}

async fn has(cache: &TenantCache, key: &str) -> bool {
    cache.exists(key).await.unwrap()
}

async fn gone(house: &House, cache: &TenantCache, key: &str) {
    for _ in 0..5_000 {
        if !has(cache, key).await {
            return;
        }
        house.pass(Duration::from_millis(50)).await;
    }
    panic!("{key} is never taken away");
}

#[tokio::test]
async fn an_event_takes_away_what_it_makes_stale_in_every_process() {
    let house = House::new();
    let processes = [Process::start(&house, None).await, Process::start(&house, None).await];
    let other = processes[0].engine.cache(&Request::new(TenantId::new("other").unwrap()));
    for cache in [processes[0].cache(), processes[1].cache(), other.clone()] {
        keep(&cache, "a").await;
        keep(&cache, "b").await;
    }
    commit(&house, &tenant(), deposited("a", 1)).await;
    for process in &processes {
        gone(&house, &process.cache(), "a").await;
        assert!(has(&process.cache(), "b").await, "it is about another account");
    }
    assert!(has(&other, "a").await, "it is another tenant's");
    for counted in
        ["underlay_cache_reads_total{tier=\"process\",result=\"hit\"}", "underlay_cache_invalidations_total"]
    {
        let metrics = processes[0].metrics();
        let line = metrics.lines().find(|line| line.starts_with(counted)).unwrap();
        assert!(!line.ends_with(" 0"), "{line}");
    }
    for process in processes {
        process.running.stop().await;
    }
}

#[tokio::test]
async fn where_the_tags_cannot_be_told_everything_of_the_tenant_goes() {
    let house = House::new();
    let process = Process::start(&house, None).await;
    let other = process.engine.cache(&Request::new(TenantId::new("other").unwrap()));
    for wrong in [poison("a"), deposited("a", 666)] {
        for cache in [&process.cache(), &other] {
            keep(cache, "b").await;
        }
        commit(&house, &tenant(), wrong).await;
        gone(&house, &process.cache(), "b").await;
        assert!(has(&other, "b").await);
    }
    keep(&process.cache(), "c").await;
    commit(&house, &tenant(), deposited("c", 1)).await;
    gone(&house, &process.cache(), "c").await;
}

#[tokio::test]
async fn nothing_is_kept_of_a_log_that_was_replaced_by_an_older_copy() {
    let house = House::new();
    let process = Process::start(&house, None).await;
    let copy = MemoryEventStore::new(house.clock.clone());
    keep(&process.cache(), "b").await;
    *house.log.lock().unwrap() = copy;
    gone(&house, &process.cache(), "b").await;
}

#[tokio::test]
async fn a_store_that_fails_for_a_while_delays_it_and_loses_nothing() {
    let house = House::new();
    let process = Process::start(&house, None).await;
    house.is_away.store(true, Ordering::SeqCst);
    keep(&process.cache(), "a").await;
    commit(&house, &tenant(), deposited("a", 1)).await;
    house.pass(Duration::from_secs(3)).await;
    assert!(has(&process.cache(), "a").await, "nobody can know yet");
    house.is_away.store(false, Ordering::SeqCst);
    gone(&house, &process.cache(), "a").await;
}

#[tokio::test]
async fn what_happened_while_no_process_was_there_is_taken_from_the_outer_tier() {
    let house = House::new();
    let outer: Arc<dyn Cache> = Arc::new(MemoryCache::new(house.clock.clone()));
    let first = Process::start(&house, Some(outer.clone())).await;
    let pumps = first.engine.start_pumps();
    keep(&first.cache(), "a").await;
    keep(&first.cache(), "b").await;
    // The pump has begun once it has a place.
    commit(&house, &tenant(), deposited("c", 1)).await;
    house
        .in_time("the pump begins", || {
            first.engine.pump_states().iter().any(|pump| pump.position.number() >= 1)
        })
        .await;
    pumps.stop().await;
    first.running.stop().await;

    commit(&house, &tenant(), deposited("a", 1)).await;
    let second = Process::start(&house, Some(outer)).await;
    assert!(has(&second.cache(), "b").await);
    let pumps = second.engine.start_pumps();
    gone(&house, &second.cache(), "a").await;
    assert!(has(&second.cache(), "b").await);
    pumps.stop().await;
}

#[tokio::test]
async fn an_event_that_no_aggregate_declares_takes_nothing_away() {
    let stray = Registry::default().cache_invalidated_by(|_: &Recorded<AccountEvent>| Vec::new());
    let refused = Engine::new(House::new().ports(), stray, House::config("one")).unwrap_err().to_string();
    assert!(refused.contains("the cache is invalidated by event type"), "{refused}");
}
