//! The tiers keep the contract of a cache, with another one behind them and without.

use std::sync::Arc;
use std::time::Duration;

use underlay_core::{Cache, ManualClock};
use underlay_testkit::{CacheFixture, Fixture, MemoryCacheFixture, Skip};

use super::{CacheConfig, TieredCache, clock};

struct Alone {
    clock: Arc<ManualClock>,
    cache: TieredCache,
}

impl Fixture for Alone {
    async fn create() -> Result<Self, Skip> {
        let clock = clock();
        Ok(Self { cache: TieredCache::new(clock.clone(), CacheConfig::default(), None), clock })
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl CacheFixture for Alone {
    fn cache(&self) -> Arc<dyn Cache> {
        Arc::new(self.cache.clone())
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    async fn set_away(&mut self, _: bool) -> bool {
        false
    }
}

mod alone {
    use super::*;

    underlay_testkit::conformance!(cache, Alone);
}

/// Before a cache in memory, in one process.
struct Before {
    outer: MemoryCacheFixture,
    cache: TieredCache,
}

impl Fixture for Before {
    async fn create() -> Result<Self, Skip> {
        let outer = MemoryCacheFixture::default();
        let behind: Arc<dyn Cache> = Arc::new(outer.cache.clone());
        let cache = TieredCache::new(outer.clock.clone(), CacheConfig::default(), Some(behind));
        Ok(Self { outer, cache })
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl CacheFixture for Before {
    fn cache(&self) -> Arc<dyn Cache> {
        Arc::new(self.cache.clone())
    }

    async fn pass(&self, time: Duration) {
        self.outer.pass(time).await;
    }

    async fn set_away(&mut self, _: bool) -> bool {
        false
    }
}

mod before {
    use super::*;

    underlay_testkit::conformance!(cache, Before);
}

/// Before a cache in memory, with a process of its own for each handle and nothing kept in any of them for longer than a moment:
/// whatever is found comes from the outer tier, through the tier in the process.
struct Processes {
    outer: MemoryCacheFixture,
}

impl Fixture for Processes {
    async fn create() -> Result<Self, Skip> {
        Ok(Self { outer: MemoryCacheFixture::default() })
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl CacheFixture for Processes {
    fn cache(&self) -> Arc<dyn Cache> {
        let behind: Arc<dyn Cache> = Arc::new(self.outer.cache.clone());
        let config = CacheConfig { inner_ttl: Duration::ZERO, ..CacheConfig::default() };
        Arc::new(TieredCache::new(self.outer.clock.clone(), config, Some(behind)))
    }

    async fn pass(&self, time: Duration) {
        self.outer.pass(time).await;
    }

    async fn set_away(&mut self, _: bool) -> bool {
        false
    }
}

mod processes {
    use super::*;

    underlay_testkit::conformance!(cache, Processes);
}
