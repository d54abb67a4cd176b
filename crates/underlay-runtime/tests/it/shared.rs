//! Several processes on one store: engines over the same memory adapters, each of which can be paused
//! as a signal would, and a clock that is moved by hand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use underlay_core::memory::{MemoryEventStore, MemoryLeases, MemoryReadModels};
use underlay_core::{
    Error, EventStore, Keys, Lease, Leases, ManualClock, Position, ReadModels, Recorded, Timestamp, View,
};
use underlay_runtime::{Engine, EngineConfig, Ports, Registry, RunningViews, SubscriptionState, ViewState};
use underlay_testkit::{Over, ReadModelsLayer, RowsCall};

use crate::bank::{AccountEvent, Balance, Balances, deposited, tenant};

/// The time of a lease, and between two polls.
pub const LEASE: Duration = Duration::from_secs(5);
pub const POLL: Duration = Duration::from_secs(1);
/// How far the clock moves at a time.
pub const MOMENT: Duration = Duration::from_millis(50);

/// What processes share.
pub struct Shared {
    pub clock: Arc<ManualClock>,
    pub store: MemoryEventStore,
    pub leases: MemoryLeases,
    pub read_models: MemoryReadModels,
}

impl Shared {
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_900_000_000).unwrap()));
        let leases = MemoryLeases::new(clock.clone());
        let read_models = MemoryReadModels::with_leases(leases.clone());
        Self { store: MemoryEventStore::new(clock.clone()), leases, read_models, clock }
    }

    /// A process that folds the balances and counts what it folds.
    pub fn process(&self, name: &str) -> Process {
        let folded = Arc::new(AtomicU64::new(0));
        let registry = Registry::default().view(Counting(folded.clone()));
        Process { folded, ..self.process_of(name, registry, |config| config) }
    }

    pub fn process_of(
        &self,
        name: &str,
        registry: Registry,
        change: impl FnOnce(EngineConfig) -> EngineConfig,
    ) -> Process {
        let place = Place::default();
        let config = EngineConfig {
            program: "bank".to_owned(),
            process: name.to_owned(),
            view_batch_events_max: 7,
            view_poll_interval: POLL,
            view_lease: LEASE,
            ..EngineConfig::default()
        };
        let engine = Engine::new(self.ports(&place), registry, change(config)).unwrap();
        Process { engine, place, folded: Arc::default() }
    }

    pub fn ports(&self, place: &Place) -> Ports {
        Ports {
            work: None,
            store: Arc::new(self.store.clone()),
            read_models: Arc::new(Over(Paused { inner: self.read_models.clone(), place: place.clone() })),
            wakeups: Arc::new(self.store.clone()),
            snapshots: None,
            leases: Some(Arc::new(Paused { inner: self.leases.clone(), place: place.clone() })),
            clock: self.clock.clone(),
        }
    }

    pub async fn deposit(&self, account: &str) -> Position {
        self.store.commit(&tenant(), deposited(account, 1)).await.unwrap();
        self.store.head().await.unwrap()
    }

    /// Lets everybody work until `done`, while the time stands still.
    pub async fn until(&self, done: impl AsyncFn() -> bool) {
        for _ in 0..10_000 {
            if done().await {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("it never comes to that");
    }

    /// Lets time pass, moment by moment, while everybody works.
    pub async fn pass(&self, time: Duration) {
        let mut passed = Duration::ZERO;
        while passed < time {
            self.clock.advance(MOMENT);
            passed += MOMENT;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// How far the rows that are stored are.
    pub async fn stored(&self) -> u64 {
        let views = self.read_models.views().await.unwrap();
        views.first().map_or(0, |view| view.active.checkpoint.position.number())
    }

    /// Who has a lease, by asking for it.
    pub async fn is_free(&self, lease: &str) -> bool {
        let taken = self.leases.acquire(lease, "a test", LEASE).await.unwrap();
        if let Some(lease) = &taken {
            self.leases.release(lease).await.unwrap();
        }
        taken.is_some()
    }
}

/// One process.
pub struct Process {
    pub engine: Engine,
    pub place: Place,
    folded: Arc<AtomicU64>,
}

impl Process {
    pub fn start(&self) -> RunningViews {
        self.engine.start_views()
    }

    pub fn state(&self) -> ViewState {
        self.engine.view_states().remove(0)
    }

    pub fn is(&self, status: SubscriptionState) -> bool {
        self.state().status == status
    }

    /// How many events it has folded.
    pub fn folded(&self) -> u64 {
        self.folded.load(Ordering::Relaxed)
    }
}

/// The balances, counted.
pub struct Counting(pub Arc<AtomicU64>);

impl View for Counting {
    const NAME: &'static str = "balances";
    type Event = AccountEvent;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<String>) {
        Balances.route(event, keys);
    }
    fn fold(&self, key: &String, row: Option<Balance>, event: &Recorded<AccountEvent>) -> Option<Balance> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Balances.fold(key, row, event)
    }
}

/// A call a process can be paused at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A batch is about to be stored.
    Apply,
    /// A lease is about to be asked for.
    Acquire,
    /// The answer to that is on its way.
    Acquired,
    /// It is about to be stored what has become of an order.
    PutOrder,
}

/// Where a process is: it can be paused before its calls, and its calls can be counted or fail.
#[derive(Clone)]
pub struct Place(Arc<At>);

struct At {
    paused: watch::Sender<bool>,
    /// Pauses before the next call of this kind.
    pauses_at: Mutex<Option<(Call, usize)>>,
    leases_away: Mutex<bool>,
}

impl Default for Place {
    fn default() -> Self {
        Self(Arc::new(At {
            paused: watch::Sender::new(false),
            pauses_at: Mutex::default(),
            leases_away: Mutex::default(),
        }))
    }
}

impl Place {
    /// Stops the process before its next call.
    pub fn pause(&self) {
        self.0.paused.send_replace(true);
    }

    /// Stops the process once it is about to make such a call.
    pub fn pause_at(&self, call: Call) {
        self.pause_after(call, 0);
    }

    /// The same, after so many more calls of the kind.
    pub fn pause_after(&self, call: Call, calls: usize) {
        *self.0.pauses_at.lock().unwrap() = Some((call, calls));
    }

    pub fn is_paused(&self) -> bool {
        *self.0.paused.borrow()
    }

    /// Lets the process go on.
    pub fn go_on(&self) {
        self.0.paused.send_replace(false);
    }

    /// Whether the process can reach the leases.
    pub fn set_leases_away(&self, away: bool) {
        *self.0.leases_away.lock().unwrap() = away;
    }

    async fn pass_to(&self, call: Call) {
        let is_due = |at: &mut (Call, usize)| {
            let left = at.1;
            if at.0 == call {
                at.1 = left.saturating_sub(1);
            }
            at.0 == call && left == 0
        };
        if self.0.pauses_at.lock().unwrap().take_if(is_due).is_some() {
            self.pause();
        }
        self.pass().await;
    }

    async fn pass(&self) {
        self.0.paused.subscribe().wait_for(|paused| !paused).await.unwrap();
    }

    async fn pass_to_leases(&self) -> Result<(), Error> {
        self.pass().await;
        match *self.0.leases_away.lock().unwrap() {
            true => Err(Error::unavailable("the leases are away")),
            false => Ok(()),
        }
    }
}

/// A port as a process reaches it.
struct Paused<P> {
    inner: P,
    place: Place,
}

#[async_trait]
impl Leases for Paused<MemoryLeases> {
    async fn acquire(&self, name: &str, holder: &str, duration: Duration) -> Result<Option<Lease>, Error> {
        self.place.pass_to(Call::Acquire).await;
        self.place.pass_to_leases().await?;
        let lease = self.inner.acquire(name, holder, duration).await;
        self.place.pass_to(Call::Acquired).await;
        lease
    }
    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Lease, Error> {
        self.place.pass_to_leases().await?;
        self.inner.renew(lease, duration).await
    }
    async fn find(&self, name: &str) -> Result<Option<Lease>, Error> {
        self.place.pass_to_leases().await?;
        self.inner.find(name).await
    }
    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        self.place.pass_to_leases().await?;
        self.inner.release(lease).await
    }
}

#[async_trait]
impl ReadModelsLayer for Paused<MemoryReadModels> {
    type Below = MemoryReadModels;

    fn below(&self) -> MemoryReadModels {
        self.inner.clone()
    }

    async fn before(&self, call: RowsCall) -> Result<(), Error> {
        match call {
            RowsCall::Activate | RowsCall::Apply => self.place.pass_to(Call::Apply).await,
            RowsCall::PutOrder => self.place.pass_to(Call::PutOrder).await,
            _ => self.place.pass().await,
        }
        Ok(())
    }
}
