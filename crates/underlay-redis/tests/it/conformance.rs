use std::sync::Arc;
use std::time::Duration;

use redis::cmd;
use underlay_core::{Cache, Clock, Entities, EntitySchema, EventStore, SystemClock, TenantId};
use underlay_redis::RedisStore;
use underlay_testkit::{CacheFixture, Damage, EntitiesFixture, Fixture, Skip};

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
