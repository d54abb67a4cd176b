//! Every sentence of the contracts, reopened where the case asks.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use underlay_core::{
    Clock, Entities, EntitySchema, EventStore, Leases, ManualClock, ReadModels, SystemClock, TenantId,
};
use underlay_mongodb::{MongoConfig, MongoStore};
use underlay_testkit::{Damage, EntitiesFixture, Fixture, LeasesFixture, ReadModelsFixture, Skip};

use crate::place::Place;

struct Opened {
    store: MongoStore,
    place: Place,
}

impl Fixture for Opened {
    async fn create() -> Result<Self, Skip> {
        let place = Place::for_case()?;
        Ok(Self { store: place.open().await, place })
    }

    async fn reopen(self) -> Self {
        self.store.close().await.unwrap();
        Self { store: self.place.open().await, place: self.place }
    }
}

impl EntitiesFixture for Opened {
    fn entities(&self) -> Arc<dyn Entities> {
        Arc::new(self.store.clone())
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
        let field = format!("c.{column}");
        let change: Document = match damage {
            Damage::Missing => doc! { "$unset": { field: "" } },
            Damage::OtherType => doc! { "$set": { field: Bson::Double(0.5) } },
            Damage::Unknown => doc! { "$set": { field: "unknown" } },
        };
        let command = doc! {
            "update": format!("entity_{}", schema.name),
            "updates": [{ "q": { "_id": { "t": tenant.as_str(), "k": id } }, "u": change }],
            "bypassDocumentValidation": true,
        };
        let done = self.place.database().await.run_command(command).await.unwrap();
        assert_eq!(done.get_i32("nModified").unwrap(), 1, "{done}");
        true
    }
}

impl ReadModelsFixture for Opened {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(self.store.clone())
    }
}

/// The same, by a clock that is moved by hand.
struct Timed {
    clock: Arc<ManualClock>,
    store: MongoStore,
    place: Place,
}

impl Timed {
    async fn open(clock: Arc<ManualClock>, place: Place) -> Self {
        let store = place.open_with(MongoConfig::default().with_clock(clock.clone())).await;
        Self { clock, store, place }
    }
}

impl Fixture for Timed {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::open(Arc::new(ManualClock::new(SystemClock.now())), Place::for_case()?).await)
    }

    async fn reopen(self) -> Self {
        self.store.close().await.unwrap();
        Self::open(self.clock, self.place).await
    }
}

impl ReadModelsFixture for Timed {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(self.store.clone())
    }
}

impl LeasesFixture for Timed {
    fn leases(&self) -> Arc<dyn Leases> {
        Arc::new(self.store.clone())
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

mod entities {
    use super::Opened;

    underlay_testkit::conformance!(entities, Opened);
}

mod read_models {
    use super::Opened;

    underlay_testkit::conformance!(read_models, Opened);
}

mod leases {
    use super::Timed;

    underlay_testkit::conformance!(leases, Timed);
}
