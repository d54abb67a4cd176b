//! The same through a pooler that gives every transaction another connection.

use std::sync::Arc;
use std::time::Duration;

use underlay_core::{
    Clock, Entities, EntitySchema, EventStore, ExpectedVersion, ManualClock, ReadModels, SystemClock,
    TenantId, Version, Wakeups, WorkQueue,
};
use underlay_postgres::{Listen, PostgresConfig, PostgresStore};
use underlay_testkit::{
    Damage, EntitiesFixture, EventStoreFixture, Fixture, ReadModelsFixture, Skip, WorkQueueFixture,
};

use crate::conformance::damage_entity;
use crate::place::{Place, with_place};
use crate::sample::{acme, append};

struct Pooled {
    store: PostgresStore,
    address: String,
    place: Place,
}

async fn open(address: &str, config: PostgresConfig) -> PostgresStore {
    PostgresStore::connect(address, config).await.unwrap()
}

impl Fixture for Pooled {
    async fn create() -> Result<Self, Skip> {
        let place = Place::for_case().await?;
        let pooled = place.login_address_through_pooler();
        let address = pooled.map_err(|missing| Skip::new(missing.reason))?;
        let config = place.config().with_listen(Listen::Off);
        Ok(Self { store: open(&address, config).await, address, place })
    }

    async fn reopen(self) -> Self {
        self.store.close().await.unwrap();
        let config = self.place.config().with_listen(Listen::Off);
        Self { store: open(&self.address, config).await, ..self }
    }
}

impl EventStoreFixture for Pooled {
    fn event_store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.store.clone())
    }
}

impl ReadModelsFixture for Pooled {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(self.store.clone())
    }
}

impl EntitiesFixture for Pooled {
    fn entities(&self) -> Arc<dyn Entities> {
        Arc::new(self.store.clone())
    }

    fn log_of_entities(&self) -> Option<Arc<dyn EventStore>> {
        Some(Arc::new(self.store.clone()))
    }

    async fn damage(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        id: &str,
        column: &str,
        damage: Damage,
    ) -> bool {
        damage_entity(&self.place, schema, tenant, id, column, damage).await
    }
}

/// The same, by a clock that is moved by hand.
struct Timed {
    clock: Arc<ManualClock>,
    pooled: Pooled,
}

impl Fixture for Timed {
    async fn create() -> Result<Self, Skip> {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        Ok(Self { pooled: Pooled::create().await?, clock }.reopen().await)
    }

    async fn reopen(self) -> Self {
        self.pooled.store.close().await.unwrap();
        let config = self.pooled.place.config().with_listen(Listen::Off).with_clock(self.clock.clone());
        let store = open(&self.pooled.address, config).await;
        Self { pooled: Pooled { store, ..self.pooled }, ..self }
    }
}

impl EventStoreFixture for Timed {
    fn event_store(&self) -> Arc<dyn EventStore> {
        self.pooled.event_store()
    }
}

impl WorkQueueFixture for Timed {
    fn work_queue(&self) -> Arc<dyn WorkQueue> {
        Arc::new(self.pooled.store.clone())
    }

    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }
}

mod work_queue {
    use super::Timed;

    underlay_testkit::conformance!(work_queue, Timed);
}

mod event_store {
    use super::Pooled;

    underlay_testkit::conformance!(event_store, Pooled);
}

mod entities {
    use super::Pooled;

    underlay_testkit::conformance!(entities, Pooled);
}

mod read_models {
    use super::Pooled;

    underlay_testkit::conformance!(read_models, Pooled);
}

#[test]
fn hints_come_by_a_direct_connection() {
    with_place(async |place| {
        let Ok(address) = place.login_address_through_pooler() else { return };
        let config = place
            .config()
            .with_listen(Listen::At(place.login_address()))
            .with_poll_interval(Duration::from_secs(3_600));
        let here = open(&address, config).await;
        let there = open(&address, place.config().with_listen(Listen::Off)).await;
        let mut wakeup = here.subscribe();
        let mut version = 0;
        // The listener may not be there at the first one.
        loop {
            version += 1;
            let commit = append("a-1", ExpectedVersion::Exact(Version(version - 1)));
            there.commit(&acme(), commit).await.unwrap();
            if tokio::time::timeout(Duration::from_millis(300), wakeup.hint()).await.is_ok() {
                break;
            }
            assert!(version < 100, "no hint for 100 commits");
        }
    });
}
