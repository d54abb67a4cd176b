//! The cache of a process against the rules that its room says.

mod loads;
mod outer;
mod races;
mod suite;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use underlay_core::{Cache, Clock as _, Error, ManualClock, SystemClock, TenantId};

use super::{CacheConfig, Keep, TenantCache, TieredCache};

const LONG: Duration = Duration::from_secs(60 * 60);

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(SystemClock.now()))
}

/// A cache under a clock that stands still, seen by a tenant.
fn cache_before(outer: Option<Arc<dyn Cache>>) -> (TieredCache, TenantCache, Arc<ManualClock>) {
    let clock = clock();
    let tiers = TieredCache::new(clock.clone(), CacheConfig::default(), outer);
    (tiers.clone(), TenantCache::new(&tiers, tenant("acme")), clock)
}

/// Counts loads, each of which brings the number of loads so far.
#[derive(Clone, Default)]
struct Loads(Arc<AtomicU64>);

impl Loads {
    async fn next(&self) -> Result<u64, Error> {
        // Others run between the call and its answer.
        tokio::task::yield_now().await;
        Ok(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    async fn through(&self, cache: &TenantCache, key: &str, keep: impl Into<Keep>) -> u64 {
        *cache.get_or_load(key, keep, async || self.next().await).await.unwrap()
    }
}

/// Lets everybody else run until they wait.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
