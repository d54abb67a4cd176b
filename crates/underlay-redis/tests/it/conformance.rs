use std::sync::Arc;
use std::time::Duration;

use redis::cmd;
use underlay_core::{
    Cache, Clock, Entities, EntitySchema, EventStore, Leases, ManualClock, ReadModels, SystemClock, TenantId,
};
use underlay_redis::RedisStore;
use underlay_testkit::{
    CacheFixture, Damage, EntitiesFixture, Fixture, LeasesFixture, ReadModelsFixture, Skip,
};

use crate::place::Place;

struct Opened(Place);

impl Fixture for Opened {
    async fn create() -> Result<Self, Skip> {
        Place::find().map(Self).map_err(|missing| Skip::new(missing.to_string()))
    }

    async fn reopen(mut self) -> Self {
        if let Some(server) = &mut self.0.server {
            server.stop("KILL").unwrap();
            server.resume().unwrap();
        }
        self
    }
}

impl EntitiesFixture for Opened {
    fn entities(&self) -> Arc<dyn Entities> {
        // Time is not what the sentences are about, and other tests run beside them.
        let config = self.0.config().with_query_timeout(Duration::from_secs(60));
        Arc::new(RedisStore::new(&self.0.address, config).unwrap())
    }

    fn log_of_entities(&self) -> Option<Arc<dyn EventStore>> {
        None
    }

    async fn damage(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        id: &str,
        column: &str,
        damage: Damage,
    ) -> bool {
        let key = self.0.key(tenant, &format!("e:{}:{id}", schema.name));
        let changed: i64 = match damage {
            Damage::Missing => self.0.ask(cmd("HDEL").arg(key).arg(column)).await,
            Damage::OtherType => {
                let changed: i64 = self.0.ask(cmd("HSET").arg(key).arg(column).arg("x1")).await;
                changed + 1
            }
            Damage::Unknown => self.0.ask(cmd("HSET").arg(key).arg(column).arg("b1")).await,
        };
        changed == 1
    }
}

mod entities {
    use super::*;

    underlay_testkit::conformance!(entities, Opened);
}

/// Rows on a server of their own: a batch of many thousand rows holds up everybody on it, and longer where other tests run.
struct Rows(Opened);

impl Fixture for Rows {
    async fn create() -> Result<Self, Skip> {
        let place = Place::start(&["--busy-reply-threshold", "60000"]);
        place.map(|place| Self(Opened(place))).map_err(|missing| Skip::new(missing.to_string()))
    }

    async fn reopen(self) -> Self {
        Self(self.0.reopen().await)
    }
}

impl ReadModelsFixture for Rows {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        let place = &self.0.0;
        let longest = Duration::from_secs(60);
        let config = place.config().with_query_timeout(longest).with_response_timeout(longest);
        Arc::new(RedisStore::new(&place.address, config).unwrap())
    }
}

mod read_models {
    use super::*;

    underlay_testkit::conformance!(read_models, Rows);
}

/// Leases that run out by a clock that is moved by hand.
struct Timed {
    clock: Arc<ManualClock>,
    opened: Opened,
}

impl Timed {
    fn store(&self) -> RedisStore {
        let config = self.opened.0.config().with_clock(self.clock.clone());
        RedisStore::new(&self.opened.0.address, config).unwrap()
    }
}

impl Fixture for Timed {
    async fn create() -> Result<Self, Skip> {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        Ok(Self { clock, opened: Opened::create().await? })
    }

    async fn reopen(self) -> Self {
        Self { opened: self.opened.reopen().await, ..self }
    }
}

impl ReadModelsFixture for Timed {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(self.store())
    }
}

impl LeasesFixture for Timed {
    fn leases(&self) -> Arc<dyn Leases> {
        Arc::new(self.store())
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

mod leases {
    use super::*;

    underlay_testkit::conformance!(leases, Timed);
}

/// A cache on a server of its own, which can be stopped.
struct Cached(Place);

impl Fixture for Cached {
    async fn create() -> Result<Self, Skip> {
        Place::start(&[]).map(Self).map_err(|missing| Skip::new(missing.to_string()))
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl CacheFixture for Cached {
    fn cache(&self) -> Arc<dyn Cache> {
        Arc::new(self.0.store())
    }

    async fn pass(&self, time: Duration) {
        SystemClock.sleep(time).await;
    }

    async fn set_away(&mut self, away: bool) -> bool {
        let server = self.0.server.as_mut().unwrap();
        if away {
            server.stop("KILL").unwrap();
        } else {
            server.resume().unwrap();
        }
        true
    }
}

mod cache {
    use super::*;

    underlay_testkit::conformance!(cache, Cached);
}
