//! Every sentence of the contracts, as a login without rights of its own, reopened where the case asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use underlay_core::{
    Archive, Checkpoints, Clock, ColumnType, Entities, EntitySchema, EventStore, Leases, ManualClock,
    ReadModels, Retention, Schedules, Snapshots, SystemClock, TenantId, WorkQueue,
};
use underlay_postgres::{FaultPoint, PostgresStore};
use underlay_testkit::{
    ArchiveFixture, CheckpointsFixture, Damage, EntitiesFixture, EventStoreFixture, Fixture, LeasesFixture,
    ReadModelsFixture, RetentionFixture, SchedulesFixture, Skip, SnapshotsFixture, WorkQueueFixture,
};

use crate::place::Place;

struct Database {
    store: PostgresStore,
    place: Place,
}

impl Fixture for Database {
    async fn create() -> Result<Self, Skip> {
        let place = Place::for_case().await?;
        Ok(Self { store: place.open().await, place })
    }

    async fn reopen(self) -> Self {
        self.store.close().await.unwrap();
        Self { store: self.place.open().await, place: self.place }
    }
}

impl EventStoreFixture for Database {
    fn event_store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.store.clone())
    }
}

impl ReadModelsFixture for Database {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(self.store.clone())
    }
}

impl SnapshotsFixture for Database {
    fn snapshots(&self) -> Arc<dyn Snapshots> {
        Arc::new(self.store.clone())
    }
}

impl ArchiveFixture for Database {
    fn archive(&self) -> Arc<dyn Archive> {
        Arc::new(self.store.clone())
    }
}

impl RetentionFixture for Database {
    fn retention(&self) -> Arc<dyn Retention> {
        Arc::new(self.store.clone())
    }
}

/// The same, where a commit that is alone is written as one of many.
struct InBatches {
    store: PostgresStore,
    place: Place,
}

impl InBatches {
    async fn open(place: Place) -> Self {
        let config = place.config().with_faults(|step| step == FaultPoint::Alone);
        Self { store: place.open_with(config).await, place }
    }
}

impl Fixture for InBatches {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::open(Place::for_case().await?).await)
    }

    async fn reopen(self) -> Self {
        self.store.close().await.unwrap();
        Self::open(self.place).await
    }
}

impl EventStoreFixture for InBatches {
    fn event_store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.store.clone())
    }
}

/// The same, by a clock that is moved by hand.
struct Timed {
    clock: Arc<ManualClock>,
    store: PostgresStore,
    place: Place,
}

impl Timed {
    async fn open(clock: Arc<ManualClock>, place: Place) -> Self {
        let store = place.open_with(place.config().with_clock(clock.clone())).await;
        Self { clock, store, place }
    }
}

impl Fixture for Timed {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::open(Arc::new(ManualClock::new(SystemClock.now())), Place::for_case().await?).await)
    }

    async fn reopen(self) -> Self {
        self.store.close().await.unwrap();
        Self::open(self.clock, self.place).await
    }
}

impl EventStoreFixture for Timed {
    fn event_store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.store.clone())
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

impl WorkQueueFixture for Timed {
    fn work_queue(&self) -> Arc<dyn WorkQueue> {
        Arc::new(self.store.clone())
    }

    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }
}

impl SchedulesFixture for Timed {
    fn schedules(&self) -> Arc<dyn Schedules> {
        Arc::new(self.store.clone())
    }
}

impl CheckpointsFixture for Timed {
    fn checkpoints(&self) -> Arc<dyn Checkpoints> {
        Arc::new(self.store.clone())
    }
}

/// Two stores of one database, which take turns: each handle may be another process.
struct Processes {
    stores: [PostgresStore; 2],
    turn: AtomicUsize,
    place: Place,
}

impl Processes {
    async fn open(place: Place) -> Self {
        let stores = [place.open().await, place.open().await];
        Self { stores, turn: AtomicUsize::new(0), place }
    }

    fn next(&self) -> PostgresStore {
        self.stores[self.turn.fetch_add(1, Ordering::Relaxed) % 2].clone()
    }
}

impl Fixture for Processes {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::open(Place::for_case().await?).await)
    }

    async fn reopen(self) -> Self {
        for store in self.stores {
            store.close().await.unwrap();
        }
        Self::open(self.place).await
    }
}

impl EntitiesFixture for Processes {
    fn entities(&self) -> Arc<dyn Entities> {
        Arc::new(self.next())
    }

    fn log_of_entities(&self) -> Option<Arc<dyn EventStore>> {
        Some(Arc::new(self.next()))
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

/// Damages an entity as an administrator, past the walls. Of most types the server takes no other value.
pub(crate) async fn damage_entity(
    place: &Place,
    schema: &EntitySchema,
    tenant: &TenantId,
    id: &str,
    column: &str,
    damage: Damage,
) -> bool {
    let Some(at) = schema.column_at(column) else { return false };
    let table = format!("underlay_entities.{}", schema.name);
    let value = match (damage, schema.columns[at].column_type) {
        (Damage::Missing, _) if !schema.columns[at].nullable => "NULL",
        (Damage::OtherType, ColumnType::Decimal) => "'many'",
        (Damage::OtherType, ColumnType::Timestamp) => "9223372036854775807",
        _ => return false,
    };
    let admin = place.admin().await;
    let free = format!("ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL");
    admin.batch_execute(&free).await.unwrap();
    let update = format!("UPDATE {table} SET {column} = {value} WHERE tenant = $1 AND key = $2");
    assert_eq!(admin.execute(&update, &[&tenant.as_str(), &id]).await.unwrap(), 1);
    true
}

mod entities {
    use super::Processes;

    underlay_testkit::conformance!(entities, Processes);
}

mod work_queue {
    use super::Timed;

    underlay_testkit::conformance!(work_queue, Timed);
}

mod schedules {
    use super::Timed;

    underlay_testkit::conformance!(schedules, Timed);
}

mod checkpoints {
    use super::Timed;

    underlay_testkit::conformance!(checkpoints, Timed);
}

mod event_store {
    use super::Database;

    underlay_testkit::conformance!(event_store, Database);
}

mod event_store_in_batches {
    use super::InBatches;

    underlay_testkit::conformance!(event_store, InBatches);
}

mod read_models {
    use super::Database;

    underlay_testkit::conformance!(read_models, Database);
}

mod snapshots {
    use super::Database;

    underlay_testkit::conformance!(snapshots, Database);
}

mod archive {
    use super::Database;

    underlay_testkit::conformance!(archive, Database);
}

mod retention {
    use super::Database;

    underlay_testkit::conformance!(retention, Database);
}
