use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use underlay_core::{
    Archive, Cache, Checkpoints, Email, Entities, EntitySchema, Error, EventBus, EventStore, Leases, Mail,
    Mailbox, ManualClock, ReadModels, Retention, Scheduler, Schedules, Snapshots, TenantId, WorkQueue,
};

/// Opens an adapter for a conformance case. Every case gets a fixture of its own.
pub trait Fixture: Sized + Send + Sync + 'static {
    /// Opens a fresh, empty store. It panics where that fails for a reason the test must show.
    ///
    /// # Errors
    /// [`Skip`] where a server the store needs is not there.
    fn create() -> impl Future<Output = Result<Self, Skip>> + Send;

    /// Closes the store and opens it again, as a restarted process does. The case has let go of every
    /// handle to it. A store in memory gives a new handle to the same data.
    fn reopen(self) -> impl Future<Output = Self> + Send;
}

/// A fixture of an event store.
pub trait EventStoreFixture: Fixture {
    /// A handle to the store.
    fn event_store(&self) -> Arc<dyn EventStore>;
}

/// A fixture of read models.
pub trait ReadModelsFixture: Fixture {
    /// A handle to the read models.
    fn read_models(&self) -> Arc<dyn ReadModels>;
}

/// A fixture of entities.
pub trait EntitiesFixture: Fixture {
    /// A handle to the entities, as one more process has it: where the store allows it, with connections of its own.
    fn entities(&self) -> Arc<dyn Entities>;

    /// The log that keeps these entities with its commits; none where they are kept beside a log, or without one.
    fn log_of_entities(&self) -> Option<Arc<dyn EventStore>>;

    /// Whether the store keeps the definitions of its entities. One behind an API of others keeps none, and what is
    /// said of other definitions does not hold there.
    fn keeps_definitions(&self) -> bool {
        true
    }

    /// A faster way to the same entities, for a case that needs very many of them; none takes that of
    /// [`EntitiesFixture::entities`].
    fn fast_entities(&self) -> Option<Arc<dyn Entities>> {
        None
    }

    /// Damages what is stored of an entity in a column, past the port; false where the store lets nobody do that. Each
    /// store lets at least one kind happen to one of its columns.
    fn damage(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        id: &str,
        column: &str,
        damage: Damage,
    ) -> impl Future<Output = bool> + Send;
}

/// What happened to a stored entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The column is not there any more, or is empty where it must not be.
    Missing,
    /// The column holds something that is none of its type: a text that is no number, a time past the range of times.
    OtherType,
    /// A column is there that the schema does not have; it has the name that is given.
    Unknown,
}

/// A fixture of stored states.
pub trait SnapshotsFixture: Fixture {
    /// A handle to the stored states.
    fn snapshots(&self) -> Arc<dyn Snapshots>;
}

/// A fixture of a store whose commits can leave it and enter it. Cases that import open a second one.
pub trait ArchiveFixture: EventStoreFixture {
    /// A handle to the same store.
    fn archive(&self) -> Arc<dyn Archive>;
}

/// A fixture of a store that forgets what is no longer owed, and whose commits can leave it.
pub trait RetentionFixture: ArchiveFixture {
    /// A handle to the same store.
    fn retention(&self) -> Arc<dyn Retention>;
}

/// A fixture of leases, and of read models that are stored under them.
pub trait LeasesFixture: ReadModelsFixture {
    /// A handle to the leases.
    fn leases(&self) -> Arc<dyn Leases>;

    /// Lets time pass on the clock the leases run out by, also after reopening.
    fn pass(&self, time: Duration);
}

/// A fixture of an adapter that sends mail, with somebody who takes it.
pub trait MailFixture: Fixture {
    /// A handle to the adapter.
    fn mail(&self) -> Arc<dyn Mail>;

    /// The sender of mail that names none.
    fn sender(&self) -> Mailbox;

    /// Everything that has arrived, in any order. What was taken is in it.
    fn arrived(&self) -> impl Future<Output = Vec<ArrivedMail>> + Send;

    /// How mail to an address is answered from now on. False where whoever takes the mail knows no addresses,
    /// as a folder does not; then nothing has changed.
    fn answer(&self, address: &Mailbox, answer: MailAnswer) -> bool;

    /// Lets whoever takes the mail go away, or come back. Nothing that has arrived is lost.
    fn set_away(&mut self, away: bool) -> impl Future<Output = ()> + Send;
}

/// A mail where it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedMail {
    /// What tells a repeat from another mail there.
    pub id: String,
    /// The mail, with its sender.
    pub mail: Email,
}

/// How mail to an address is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailAnswer {
    /// It is taken.
    Taken,
    /// It is refused for good.
    RefusedForGood,
    /// It is refused for now.
    RefusedForNow,
}

/// A fixture of a cache.
pub trait CacheFixture: Fixture {
    /// A handle to the cache, as one more process has it: where the adapter allows it, with connections of its own.
    fn cache(&self) -> Arc<dyn Cache>;

    /// Lets time pass on the clock that values run out by.
    fn pass(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Lets the server of the cache go away, or come back with what it had. False where it cannot go away; then nothing
    /// has changed.
    fn set_away(&mut self, away: bool) -> impl Future<Output = bool> + Send;
}

/// A fixture of an event bus.
pub trait EventBusFixture: Fixture {
    /// A handle to the bus.
    fn event_bus(&self) -> Arc<dyn EventBus>;

    /// Lets time pass on the clock of the pauses and the timeouts of the bus.
    fn pass(&self, time: Duration);
}

/// A fixture of a store that keeps the work of its commits.
pub trait WorkQueueFixture: EventStoreFixture {
    /// A handle to the work of the same store.
    fn work_queue(&self) -> Arc<dyn WorkQueue>;

    /// The clock of the store: commits are stamped, work is due and terms run out by it, also after reopening.
    fn clock(&self) -> Arc<ManualClock>;
}

/// A fixture of schedules.
pub trait SchedulesFixture: Fixture {
    /// A handle to the schedules.
    fn schedules(&self) -> Arc<dyn Schedules>;
}

/// A fixture of a scheduler. Its cases wait: nobody moves the clock of a scheduler.
pub trait SchedulerFixture: Fixture {
    /// A handle to the scheduler, as one more process of the same installation has it.
    fn scheduler(&self) -> Arc<dyn Scheduler>;

    /// Ends a process that makes attempts, as one that is killed ends: its attempts end where they are, and it tells
    /// nobody.
    fn kill(&self, process: ServingProcess) -> impl Future<Output = ()> + Send {
        async move {
            process.serving.abort();
            // It says that it was cancelled, and has ended.
            process.serving.await.ok();
        }
    }
}

/// A process that makes attempts. Dropping it stops it.
#[derive(Debug)]
pub struct ServingProcess {
    /// Stops it.
    pub stop: watch::Sender<bool>,
    /// [`Scheduler::serve`], on a handle of its own.
    pub serving: JoinHandle<Result<(), Error>>,
}

/// A fixture of checkpoints that are stored under the leases of the same store.
pub trait CheckpointsFixture: LeasesFixture {
    /// A handle to the checkpoints.
    fn checkpoints(&self) -> Arc<dyn Checkpoints>;
}

/// Why a case cannot run here: a server is missing. The case prints `SKIP name: reason` and passes;
/// with `REQUIRE_SERVERS=1` in the environment it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// What is missing, and how to provide it.
    pub reason: String,
}

impl Skip {
    /// A reason to skip.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}
