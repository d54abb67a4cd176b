use std::sync::Arc;
use std::time::Duration;

use underlay_core::memory::{
    MemoryCache, MemoryCheckpoints, MemoryEntities, MemoryEventStore, MemoryLeases, MemoryMail,
    MemoryReadModels, MemoryScheduler, MemorySchedules, MemorySnapshots, SentMail,
};
use underlay_core::{
    Archive, Cache, Checkpoints, Clock, Column, ColumnType, Entities, EntityChange, EntitySchema, EventStore,
    Leases, Mail, MailError, Mailbox, ManualClock, ReadModels, Retention, Scheduler, Schedules, Snapshots,
    StoredEntity, SystemClock, TenantId, Value, WorkQueue,
};

use crate::{
    ArchiveFixture, ArrivedMail, CacheFixture, CheckpointsFixture, Damage, EntitiesFixture,
    EventStoreFixture, Fixture, LeasesFixture, MailAnswer, MailFixture, ReadModelsFixture, RetentionFixture,
    SchedulerFixture, SchedulesFixture, Skip, SnapshotsFixture, WorkQueueFixture,
};

/// Opens the adapters in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryFixture {
    /// The log.
    pub events: MemoryEventStore,
    /// The tables of views.
    pub views: MemoryReadModels,
    /// The stored states.
    pub snapshots: MemorySnapshots,
    /// The entities. `events` keeps none of them.
    pub entities: MemoryEntities,
}

impl MemoryFixture {
    /// Empty stores whose log stamps events by `clock`.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { events: MemoryEventStore::new(clock), ..Self::default() }
    }
}

impl Fixture for MemoryFixture {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::default())
    }

    async fn reopen(self) -> Self {
        self.clone()
    }
}

impl EventStoreFixture for MemoryFixture {
    fn event_store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.events.clone())
    }
}

impl ReadModelsFixture for MemoryFixture {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(self.views.clone())
    }
}

impl EntitiesFixture for MemoryFixture {
    fn entities(&self) -> Arc<dyn Entities> {
        Arc::new(self.entities.clone())
    }

    fn log_of_entities(&self) -> Option<Arc<dyn EventStore>> {
        Some(Arc::new(self.events.clone().with_entities(self.entities.clone())))
    }

    /// Writes the entity by a schema that is none of its own.
    async fn damage(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        id: &str,
        column: &str,
        damage: Damage,
    ) -> bool {
        let stored =
            self.entities.load(schema, tenant, &[id.to_owned()]).await.expect("it can be read until now");
        let StoredEntity { version, mut values, .. } =
            stored.into_iter().flatten().next().expect("it is there");
        let mut forged = schema.clone();
        let at = forged.column_at(column);
        match (damage, at) {
            (Damage::Missing, Some(at)) => {
                forged.columns.remove(at);
                values.remove(at);
            }
            (Damage::OtherType, Some(at)) => {
                let other = match forged.columns[at].column_type {
                    ColumnType::Boolean => Value::Integer(2),
                    _ => Value::Boolean(true),
                };
                forged.columns[at].column_type = other.column_type().expect("it is not empty");
                values[at] = other;
            }
            (_, _) => {
                let name = column.to_owned();
                let unknown =
                    Column { name, column_type: ColumnType::Boolean, nullable: false, indexed: false };
                forged.columns.push(unknown);
                values.push(Value::Boolean(true));
            }
        }
        let change = EntityChange::update(Arc::new(forged), id, version, values);
        self.entities.apply(tenant, vec![change]).await.expect("the damage is done");
        true
    }
}

impl SnapshotsFixture for MemoryFixture {
    fn snapshots(&self) -> Arc<dyn Snapshots> {
        Arc::new(self.snapshots.clone())
    }
}

impl ArchiveFixture for MemoryFixture {
    fn archive(&self) -> Arc<dyn Archive> {
        Arc::new(self.events.clone())
    }
}

impl RetentionFixture for MemoryFixture {
    fn retention(&self) -> Arc<dyn Retention> {
        Arc::new(self.events.clone())
    }
}

/// Opens the mail in memory.
#[derive(Clone, Debug)]
pub struct MemoryMailFixture(pub MemoryMail);

impl Fixture for MemoryMailFixture {
    async fn create() -> Result<Self, Skip> {
        let sender = Mailbox::parse("The Tests <tests@example.com>").expect("an address");
        Ok(Self(MemoryMail::new(sender)))
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl MailFixture for MemoryMailFixture {
    fn mail(&self) -> Arc<dyn Mail> {
        Arc::new(self.0.clone())
    }

    fn sender(&self) -> Mailbox {
        self.0.sender().clone()
    }

    async fn arrived(&self) -> Vec<ArrivedMail> {
        self.0.sent().into_iter().map(|SentMail { key, mail }| ArrivedMail { id: key, mail }).collect()
    }

    fn answer(&self, address: &Mailbox, answer: MailAnswer) -> bool {
        let error = match answer {
            MailAnswer::Taken => None,
            MailAnswer::RefusedForGood => Some(MailError::Refused("nobody of this name".to_owned())),
            MailAnswer::RefusedForNow => Some(MailError::Deferred("come back later".to_owned())),
        };
        self.0.refuse(address.address(), error);
        true
    }

    async fn set_away(&mut self, away: bool) {
        self.0.refuse_all(away.then(|| MailError::Unavailable("nobody is there".to_owned())));
    }
}

/// Opens the adapters in memory under a clock that is moved by hand: for contracts in which time passes.
#[derive(Clone, Debug)]
pub struct TimedMemoryFixture {
    /// The clock of all of them.
    pub clock: Arc<ManualClock>,
    /// The log, and the work of its commits.
    pub events: MemoryEventStore,
    /// The leases.
    pub leases: MemoryLeases,
    /// The tables of views, stored under the leases.
    pub views: MemoryReadModels,
    /// The schedules.
    pub schedules: MemorySchedules,
    /// The checkpoints, stored under the leases.
    pub checkpoints: MemoryCheckpoints,
}

impl Default for TimedMemoryFixture {
    fn default() -> Self {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let leases = MemoryLeases::new(clock.clone());
        Self {
            events: MemoryEventStore::new(clock.clone()),
            views: MemoryReadModels::with_leases(leases.clone()),
            schedules: MemorySchedules::default(),
            checkpoints: MemoryCheckpoints::new(leases.clone()),
            leases,
            clock,
        }
    }
}

impl Fixture for TimedMemoryFixture {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::default())
    }

    async fn reopen(self) -> Self {
        self.clone()
    }
}

impl EventStoreFixture for TimedMemoryFixture {
    fn event_store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.events.clone())
    }
}

impl ReadModelsFixture for TimedMemoryFixture {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(self.views.clone())
    }
}

impl LeasesFixture for TimedMemoryFixture {
    fn leases(&self) -> Arc<dyn Leases> {
        Arc::new(self.leases.clone())
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

impl WorkQueueFixture for TimedMemoryFixture {
    fn work_queue(&self) -> Arc<dyn WorkQueue> {
        Arc::new(self.events.clone())
    }

    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }
}

impl SchedulesFixture for TimedMemoryFixture {
    fn schedules(&self) -> Arc<dyn Schedules> {
        Arc::new(self.schedules.clone())
    }
}

impl CheckpointsFixture for TimedMemoryFixture {
    fn checkpoints(&self) -> Arc<dyn Checkpoints> {
        Arc::new(self.checkpoints.clone())
    }
}

/// Opens the scheduler in memory.
#[derive(Clone, Debug)]
pub struct MemorySchedulerFixture {
    /// The scheduler.
    pub scheduler: MemoryScheduler,
}

impl Fixture for MemorySchedulerFixture {
    async fn create() -> Result<Self, Skip> {
        Ok(Self { scheduler: MemoryScheduler::default().with_grace(Duration::from_secs(1)) })
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl SchedulerFixture for MemorySchedulerFixture {
    fn scheduler(&self) -> Arc<dyn Scheduler> {
        Arc::new(self.scheduler.clone())
    }
}

/// Opens the cache in memory under a clock that is moved by hand.
#[derive(Clone, Debug)]
pub struct MemoryCacheFixture {
    /// The clock that values run out by.
    pub clock: Arc<ManualClock>,
    /// The cache.
    pub cache: MemoryCache,
}

impl Default for MemoryCacheFixture {
    fn default() -> Self {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        Self { cache: MemoryCache::new(clock.clone()), clock }
    }
}

impl Fixture for MemoryCacheFixture {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::default())
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl CacheFixture for MemoryCacheFixture {
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
