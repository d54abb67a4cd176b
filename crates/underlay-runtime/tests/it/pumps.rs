//! Pumps bring the log to sinks and to subscribers of the bus: nothing is lost, whatever fails, and whoever is slow is
//! slow alone.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use underlay_core::adapter::WakeupHub;
use underlay_core::memory::{
    MemoryCheckpoints, MemoryEventStore, MemoryLeases, MemoryReadModels, MemorySchedules,
};
use underlay_core::{
    BusSubscription, Checkpoint, Checkpoints, Commit, CommitId, Error, EventStore, EventType,
    ExpectedVersion, HandlerError, Json, LeaseTerm, LogFilter, ManualClock, NewEvent, Position, ProcessStart,
    RecordedEvent, SchemaVersion, Sink, StoreId, StoredCheckpoint, StreamName, Subscriber, SystemClock,
    TenantId, Timestamp, Wakeup, Wakeups, WorkWakeup,
};
use underlay_runtime::{
    Engine, EngineConfig, FollowerStanding, FollowerStatus, Ports, Registry, RewindTo, SubscriptionState,
    WorkPorts,
};
use underlay_testkit::{Call, CheckpointsLayer, EventStoreLayer, Over};

use crate::shared::{LEASE, MOMENT, POLL};

/// A store that several processes share, and that can fail.
#[derive(Clone)]
pub struct House {
    pub clock: Arc<ManualClock>,
    id: StoreId,
    pub log: Arc<Mutex<MemoryEventStore>>,
    pub hub: Arc<WakeupHub>,
    leases: MemoryLeases,
    checkpoints: Arc<Over<Faulty>>,
    pub is_away: Arc<AtomicBool>,
    pub reads: Arc<AtomicU64>,
    /// Of so many reads one fails.
    fails_every: Arc<AtomicU64>,
}

/// Checkpoints whose moves fail, before or after their effect.
struct Faulty {
    inner: MemoryCheckpoints,
    moves: AtomicU64,
    fails_every: AtomicU64,
}

impl House {
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_900_000_000).unwrap()));
        let leases = MemoryLeases::new(clock.clone());
        let log = MemoryEventStore::new(clock.clone());
        let checkpoints = MemoryCheckpoints::new(leases.clone());
        Self {
            id: log.store_id(),
            clock,
            log: Arc::new(Mutex::new(log)),
            hub: Arc::default(),
            leases,
            checkpoints: Arc::new(Over(Faulty {
                inner: checkpoints,
                moves: AtomicU64::new(0),
                fails_every: AtomicU64::new(0),
            })),
            is_away: Arc::default(),
            reads: Arc::default(),
            fails_every: Arc::default(),
        }
    }

    fn log(&self) -> MemoryEventStore {
        self.log.lock().unwrap().clone()
    }

    pub fn engine(&self, name: &str, registry: Registry) -> Engine {
        self.engine_with(name, registry, |config| config)
    }

    fn engine_with(
        &self,
        name: &str,
        registry: Registry,
        change: impl FnOnce(EngineConfig) -> EngineConfig,
    ) -> Engine {
        Engine::new(self.ports(), registry, change(Self::config(name))).unwrap()
    }

    pub fn ports(&self) -> Ports {
        let store = Arc::new(self.log());
        let work = WorkPorts {
            queue: store,
            schedules: Arc::new(MemorySchedules::default()),
            checkpoints: self.checkpoints.clone(),
            leases: Some(Arc::new(self.leases.clone())),
            scheduler: None,
        };
        Ports {
            store: Arc::new(Over(self.clone())),
            read_models: Arc::new(MemoryReadModels::default()),
            wakeups: Arc::new(self.clone()),
            snapshots: None,
            leases: None,
            work: Some(work),
            clock: self.clock.clone(),
        }
    }

    pub fn config(name: &str) -> EngineConfig {
        EngineConfig {
            program: "bank".to_owned(),
            process: name.to_owned(),
            pump_batch_events_max: 7,
            view_poll_interval: POLL,
            view_lease: LEASE,
            ..EngineConfig::default()
        }
    }

    /// Commits so many events of a tenant to a stream of their own, and hints.
    pub async fn write(&self, tenant: &str, count: u64) {
        self.write_unhinted(tenant, count).await;
        self.hub.wake();
    }

    pub async fn write_unhinted(&self, tenant: &str, count: u64) {
        for _ in 0..count {
            self.write_bytes(tenant, "note", 8).await;
        }
    }

    pub async fn write_bytes(&self, tenant: &str, category: &str, bytes: usize) {
        let payload = Json::encode(&"x".repeat(bytes)).unwrap();
        let event = NewEvent::new(EventType::new("noted").unwrap(), SchemaVersion(1), payload);
        let stream = StreamName::new(category, "1").unwrap();
        let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![event]);
        self.log().commit(&TenantId::new(tenant).unwrap(), commit).await.unwrap();
    }

    /// Lets everybody work until `done`, while the time stands still.
    pub async fn until(&self, what: &str, done: impl Fn() -> bool) {
        for _ in 0..20_000 {
            if done() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{what} never comes");
    }

    /// The same, while time passes.
    pub async fn in_time(&self, what: &str, done: impl Fn() -> bool) {
        for _ in 0..5_000 {
            if done() {
                return;
            }
            self.pass(MOMENT).await;
        }
        panic!("{what} never comes");
    }

    pub async fn pass(&self, time: Duration) {
        let mut passed = Duration::ZERO;
        while passed < time {
            self.clock.advance(MOMENT);
            passed += MOMENT;
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn stored(&self, pump: &str) -> u64 {
        let stored = self.checkpoints.inner.find_checkpoint(&format!("pump:{pump}")).await.unwrap();
        stored.map_or(0, |stored| stored.checkpoint.position.number())
    }
}

impl Wakeups for House {
    fn subscribe(&self) -> Wakeup {
        self.hub.subscribe()
    }

    fn subscribe_work(&self) -> WorkWakeup {
        self.hub.subscribe_work()
    }
}

#[async_trait]
impl EventStoreLayer for House {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.log()
    }

    fn store_id(&self) -> StoreId {
        self.id
    }

    async fn before(&self, _: Call) -> Result<(), Error> {
        let (read, every) =
            (self.reads.fetch_add(1, Ordering::SeqCst), self.fails_every.load(Ordering::SeqCst));
        if self.is_away.load(Ordering::SeqCst) || (every > 0 && read % every == 0) {
            return Err(Error::unavailable("the store is away"));
        }
        Ok(())
    }
}

#[async_trait]
impl CheckpointsLayer for Faulty {
    type Below = MemoryCheckpoints;

    fn below(&self) -> &MemoryCheckpoints {
        &self.inner
    }

    async fn move_checkpoint(
        &self,
        name: &str,
        from: Option<&Checkpoint>,
        to: &StoredCheckpoint,
        lease: Option<&LeaseTerm>,
    ) -> Result<(), Error> {
        let (number, every) =
            (self.moves.fetch_add(1, Ordering::SeqCst), self.fails_every.load(Ordering::SeqCst));
        if every > 0 && number % every == 0 {
            if number % (every * 2) == 0 {
                self.inner.move_checkpoint(name, from, to, lease).await?;
            }
            return Err(Error::unavailable("the answer was lost"));
        }
        self.inner.move_checkpoint(name, from, to, lease).await
    }
}

/// What a sink does with a batch, told by the number of the call, from 1.
type Act = Box<dyn Fn(u64) -> Result<(), HandlerError> + Send + Sync>;

/// A sink and a subscriber that remember the positions they were given.
#[derive(Clone)]
struct Taken(Arc<Inner>);

struct Inner {
    positions: Mutex<Vec<u64>>,
    batches: Mutex<Vec<usize>>,
    calls: AtomicU64,
    act: Act,
    /// Closed, it takes nothing, and does not end.
    gate: watch::Sender<bool>,
    start: ProcessStart,
    filter: LogFilter,
}

impl Taken {
    fn new() -> Self {
        Self::acting(|_| Ok(()))
    }

    fn acting(act: impl Fn(u64) -> Result<(), HandlerError> + Send + Sync + 'static) -> Self {
        Self::of(act, ProcessStart::Beginning, LogFilter::default())
    }

    fn of(
        act: impl Fn(u64) -> Result<(), HandlerError> + Send + Sync + 'static,
        start: ProcessStart,
        filter: LogFilter,
    ) -> Self {
        Self(Arc::new(Inner {
            positions: Mutex::default(),
            batches: Mutex::default(),
            calls: AtomicU64::new(0),
            act: Box::new(act),
            gate: watch::Sender::new(true),
            start,
            filter,
        }))
    }

    fn set_open(&self, open: bool) {
        self.0.gate.send_replace(open);
    }

    fn positions(&self) -> Vec<u64> {
        self.0.positions.lock().unwrap().clone()
    }

    fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::SeqCst)
    }

    fn last(&self) -> u64 {
        self.positions().last().copied().unwrap_or_default()
    }

    /// Every position came, and none before the one below it had come.
    fn assert_whole(&self, to: u64) {
        let (mut seen, mut highest) = (HashSet::new(), 0);
        for position in self.positions() {
            assert!(position <= highest + 1, "{position} came after {highest}: {:?}", self.positions());
            highest = highest.max(position);
            seen.insert(position);
        }
        assert_eq!((highest, seen.len() as u64), (to, to), "all of them came");
    }

    async fn take_all(&self, events: &[RecordedEvent]) -> Result<(), HandlerError> {
        let call = self.0.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.gate.subscribe().wait_for(|open| *open).await.unwrap();
        (self.0.act)(call)?;
        self.0.positions.lock().unwrap().extend(events.iter().map(|event| event.position.number()));
        self.0.batches.lock().unwrap().push(events.len());
        Ok(())
    }
}

#[async_trait]
impl Sink for Taken {
    async fn take(&self, events: &[RecordedEvent]) -> Result<(), HandlerError> {
        self.take_all(events).await
    }

    fn start(&self) -> ProcessStart {
        self.0.start
    }

    fn filter(&self) -> LogFilter {
        self.0.filter.clone()
    }
}

#[async_trait]
impl Subscriber for Taken {
    async fn take(&self, event: &RecordedEvent) -> Result<(), HandlerError> {
        self.take_all(std::slice::from_ref(event)).await
    }
}

fn pump(sink: &Taken) -> Registry {
    Registry::default().pump("audit", sink.clone())
}

async fn standing(engine: &Engine) -> FollowerStanding {
    engine.pump_standings_now().await.unwrap().remove(0)
}

#[tokio::test]
async fn a_sink_gets_every_event_in_order_and_once_while_nothing_fails() {
    let (house, sink) = (House::new(), Taken::new());
    house.write("acme", 20).await;
    let engine = house.engine("one", pump(&sink));
    assert_eq!(standing(&engine).await.status, FollowerStatus::NotRunning);
    let pumps = engine.start_pumps();
    house.until("the log", || sink.last() == 20).await;
    for count in 21..=40 {
        house.write("globex", 1).await;
        // No time passes: the hint wakes it.
        house.until("the next event", || sink.last() == count).await;
    }
    assert_eq!(sink.positions(), (1..=40).collect::<Vec<_>>());
    assert!(sink.0.batches.lock().unwrap().iter().all(|batch| *batch <= 7));
    let shown = standing(&engine).await;
    assert_eq!((shown.status, shown.position.number(), shown.behind), (FollowerStatus::Live, 40, 0));
    assert!(shown.held_by.unwrap().starts_with("one/"));
    let state = engine.pump_states().remove(0);
    assert_eq!((state.status, state.events), (SubscriptionState::Live, 40));
    pumps.stop().await;
    assert_eq!(house.stored("audit").await, 40);

    house.write("acme", 2).await;
    let pumps = house.engine("two", pump(&sink)).start_pumps();
    house.until("what came meanwhile", || sink.last() == 42).await;
    assert_eq!(sink.positions(), (1..=42).collect::<Vec<_>>(), "it was handed over at once");
    pumps.stop().await;
}

#[tokio::test]
async fn nothing_is_lost_where_the_store_the_checkpoint_and_the_sink_fail() {
    for seed in 2..8 {
        let house = House::new();
        let sink =
            Taken::acting(
                move |call| {
                    if call % seed == 0 { Err(HandlerError::passing("not now")) } else { Ok(()) }
                },
            );
        house.fails_every.store(seed + 1, Ordering::SeqCst);
        house.checkpoints.fails_every.store(seed, Ordering::SeqCst);
        let pumps = house.engine("one", pump(&sink)).start_pumps();
        for _ in 0..10 {
            house.write("acme", 11).await;
            house.pass(MOMENT).await;
        }
        house.in_time("the end", || sink.last() == 110).await;
        sink.assert_whole(110);
        house.fails_every.store(0, Ordering::SeqCst);
        house.checkpoints.fails_every.store(0, Ordering::SeqCst);
        pumps.stop().await;
    }
}

#[tokio::test]
async fn a_lost_hint_delays_by_a_poll_and_a_store_that_is_away_by_a_pause() {
    let (house, sink) = (House::new(), Taken::new());
    let engine = house.engine("one", pump(&sink));
    let pumps = engine.start_pumps();
    let live = || engine.pump_states()[0].status == SubscriptionState::Live;
    house.until("the head", live).await;
    house.write_unhinted("acme", 5).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(sink.positions().is_empty());
    house.pass(POLL + MOMENT).await;
    assert_eq!(sink.last(), 5);
    house.is_away.store(true, Ordering::SeqCst);
    house.write("acme", 5).await;
    house.pass(Duration::from_secs(30)).await;
    let state = engine.pump_states().remove(0);
    assert!(state.error.unwrap().contains("the store is away"));
    house.is_away.store(false, Ordering::SeqCst);
    house.pass(EngineConfig::default().retry_delay_max + MOMENT).await;
    sink.assert_whole(10);
    assert_eq!(engine.pump_states()[0].error, None);
    pumps.stop().await;
}

#[test]
fn killed_processes_lose_nothing() {
    const ROUNDS: u64 = 12;
    let house = House::new();
    let sink = Taken::new();
    let mut written = 0;
    for round in 0..ROUNDS {
        // Killed at another point each time, wherever it is: nothing of it runs any more.
        let process =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let engine = house.engine(&format!("process {round}"), pump(&sink));
        process.block_on(async {
            let pumps = engine.start_pumps();
            house.write("acme", 30).await;
            written += 30;
            let wanted = sink.last() + round * 2;
            for _ in 0..100_000 {
                if sink.last() >= wanted {
                    break;
                }
                tokio::task::yield_now().await;
            }
            std::mem::forget(pumps);
        });
        process.shutdown_timeout(Duration::from_secs(5));
        house.clock.advance(LEASE);
    }
    let last = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    last.block_on(async {
        let pumps = house.engine("the last", pump(&sink)).start_pumps();
        house.until("the end", || sink.last() == written).await;
        pumps.stop().await;
    });
    sink.assert_whole(written);
    let repeated = sink.positions().len() as u64 - written;
    assert!(repeated <= ROUNDS * 7, "a batch for each kill at most: {repeated}");
}

#[tokio::test]
async fn who_was_paused_in_a_batch_moves_no_checkpoint_when_it_comes_back() {
    let (house, first, second) = (House::new(), Taken::new(), Taken::new());
    first.set_open(false);
    let (one, other) = (house.engine("one", pump(&first)), house.engine("other", pump(&second)));
    let pumps = one.start_pumps();
    house.write("acme", 3).await;
    house.until("the first batch", || first.calls() == 1).await;
    let others = other.start_pumps();
    house.until("a second process", || other.pump_states()[0].status == SubscriptionState::Standby).await;
    // The lease is renewed while it waits for its sink, so that the other leaves it alone.
    house.pass(LEASE * 2).await;
    assert!(second.positions().is_empty());
    let lease = house.leases.clone();
    let held = underlay_core::Leases::find(&lease, "pump:audit").await.unwrap().unwrap();
    underlay_core::Leases::release(&lease, &held).await.unwrap();
    house.pass(POLL + MOMENT).await;
    house.until("the other one", || second.last() == 3).await;
    first.set_open(true);
    house.pass(POLL * 2).await;
    assert_eq!(one.pump_states()[0].status, SubscriptionState::Standby);
    house.write("acme", 4).await;
    house.until("the rest", || second.last() == 7).await;
    assert_eq!(second.positions(), (1..=7).collect::<Vec<_>>());
    assert_eq!(house.stored("audit").await, 7);
    pumps.stop().await;
    others.stop().await;
}

#[tokio::test]
async fn a_sink_without_end_and_a_panic_are_failures_that_pass() {
    let house = House::new();
    let sink = Taken::acting(|call| if call == 1 { panic!("a bug") } else { Ok(()) });
    let engine = house.engine("one", pump(&sink));
    let pumps = engine.start_pumps();
    house.write("acme", 2).await;
    house.in_time("the next try", || sink.last() == 2).await;
    sink.set_open(false);
    house.write("acme", 2).await;
    house.until("a batch", || sink.calls() == 3).await;
    house.pass(Duration::from_secs(31)).await;
    let error = standing(&engine).await.problem.unwrap();
    assert!(error.contains("within 30s"), "{error}");
    sink.set_open(true);
    house.in_time("an end", || sink.last() == 4).await;
    sink.assert_whole(4);
    pumps.stop().await;
}

#[tokio::test]
async fn a_final_failure_pauses_one_pump_and_every_process_says_so() {
    let house = House::new();
    let broken = Arc::new(AtomicBool::new(true));
    let sink = {
        let broken = broken.clone();
        Taken::acting(move |_| match broken.load(Ordering::SeqCst) {
            true => Err(HandlerError::last("the index has another shape")),
            false => Ok(()),
        })
    };
    let well = Taken::new();
    let registry = || pump(&sink).pump("well", well.clone());
    let (engine, elsewhere) = (house.engine("one", registry()), house.engine("elsewhere", registry()));
    let pumps = engine.start_pumps();
    house.write("acme", 3).await;
    house.until("a pause", || engine.pump_states()[0].status == SubscriptionState::Paused).await;
    house.until("the other pump", || well.last() == 3).await;
    house.pass(MOMENT).await;
    for engine in [&engine, &elsewhere] {
        let shown = standing(engine).await;
        assert_eq!((shown.status, shown.position.number(), shown.behind), (FollowerStatus::Paused, 0, 3));
        let problem = shown.problem.unwrap();
        assert!(problem.contains("position 1") && problem.contains("another shape"), "{problem}");
        assert!(shown.stop.is_some());
    }
    assert_eq!(elsewhere.overview().await.unwrap().pumps_stopped().count(), 1);
    let since = standing(&engine).await.stop.unwrap().since;
    let calls = sink.calls();
    house.pass(Duration::from_secs(30)).await;
    assert_eq!(sink.calls(), calls, "it does not try again and again");
    house.pass(Duration::from_secs(40)).await;
    assert_eq!(sink.calls(), calls + 1, "and by itself after a while");
    assert_eq!(standing(&engine).await.stop.unwrap().since, since, "it is the same stop");

    broken.store(false, Ordering::SeqCst);
    assert!(elsewhere.retry_pump("audit").await.unwrap());
    house.pass(POLL * 2).await;
    sink.assert_whole(3);
    assert_eq!(standing(&elsewhere).await.stop, None);
    assert!(!elsewhere.retry_pump("audit").await.unwrap(), "nothing stops it");
    assert!(matches!(engine.retry_pump("nothing").await, Err(Error::NotFound(_))));
    pumps.stop().await;
}

#[tokio::test]
async fn a_pump_that_has_ended_is_not_told_to_run() {
    let (house, sink) = (House::new(), Taken::new());
    let engine = house.engine("one", pump(&sink));
    let pumps = engine.start_pumps();
    house.write("acme", 3).await;
    house.until("the head", || engine.pump_states()[0].status == SubscriptionState::Live).await;
    assert_eq!(standing(&engine).await.status, FollowerStatus::Live);
    pumps.stop().await;
    assert_eq!(engine.pump_states(), []);
    let shown = standing(&engine).await;
    assert_eq!((shown.status, shown.position.number()), (FollowerStatus::NotRunning, 3));
    let told = serde_json::to_string(&shown).unwrap();
    let fields = r#"{"pump":"audit","status":"not_running","position":"3","behind":0,"held_by":null,"stop":null,"problem":null}"#;
    assert_eq!(told, fields);
}

#[tokio::test]
async fn a_slow_sink_slows_its_own_pump_alone() {
    let (house, slow, quick) = (House::new(), Taken::new(), Taken::new());
    slow.set_open(false);
    let registry = pump(&quick).pump("slow", slow.clone());
    let engine = house.engine("one", registry);
    let pumps = engine.start_pumps();
    for count in 1..=50 {
        house.write("acme", 1).await;
        house.until("the quick one", || quick.last() == count).await;
    }
    assert_eq!(slow.calls(), 1);
    let pumps_now = engine.pump_standings_now().await.unwrap();
    let behind: Vec<_> = pumps_now.iter().map(|pump| (pump.name.as_str(), pump.behind)).collect();
    assert_eq!(behind, [("audit", 0), ("slow", 50)]);
    slow.set_open(true);
    house.until("the slow one", || slow.last() == 50).await;
    pumps.stop().await;
}

#[tokio::test]
async fn a_pump_begins_where_its_sink_says_and_brings_what_it_wants() {
    let house = House::new();
    house.write("acme", 5).await;
    let notes = LogFilter { categories: vec!["note".parse_category()], event_types: Vec::new() };
    let sink = Taken::of(|_| Ok(()), ProcessStart::Now, notes);
    let engine = house.engine("one", pump(&sink));
    let pumps = engine.start_pumps();
    house.until("the head", || engine.pump_states()[0].status == SubscriptionState::Live).await;
    assert_eq!(house.stored("audit").await, 5, "so that nothing after it is left out");
    house.write_bytes("acme", "task", 8).await;
    house.write("acme", 2).await;
    house.until("the notes", || sink.last() == 8).await;
    assert_eq!(sink.positions(), [7, 8]);
    for _ in 0..5 {
        house.write_bytes("acme", "task", 8).await;
    }
    house.hub.wake();
    house.pass(POLL * 2).await;
    assert_eq!(house.stored("audit").await, 13, "it does not look at them again");
    pumps.stop().await;
}

/// A category by its name.
trait ParseCategory {
    fn parse_category(&self) -> underlay_core::Category;
}

impl ParseCategory for str {
    fn parse_category(&self) -> underlay_core::Category {
        underlay_core::Category::new(self).unwrap()
    }
}

#[tokio::test]
async fn a_batch_is_bounded_in_bytes() {
    let (house, sink) = (House::new(), Taken::new());
    for _ in 0..12 {
        house.write_bytes("acme", "note", 900_000).await;
    }
    let engine =
        house.engine_with("one", pump(&sink), |config| EngineConfig { pump_batch_events_max: 100, ..config });
    let pumps = engine.start_pumps();
    house.until("the end", || sink.last() == 12).await;
    assert_eq!(*sink.0.batches.lock().unwrap(), [5, 5, 2]);
    pumps.stop().await;
    assert_eq!(house.stored("audit").await, 12);
}

#[tokio::test]
async fn an_older_copy_of_the_log_stops_a_pump_until_a_person_rewinds_it() {
    let (house, sink) = (House::new(), Taken::new());
    let engine = house.engine("one", pump(&sink));
    let pumps = engine.start_pumps();
    house.write("acme", 10).await;
    house.until("the log", || sink.last() == 10).await;
    // Yesterday's copy: the same log, shorter.
    *house.log.lock().unwrap() = MemoryEventStore::new(house.clock.clone());
    house.write("acme", 4).await;
    house.pass(POLL * 2).await;
    let shown = standing(&engine).await;
    assert_eq!(shown.status, FollowerStatus::Failed);
    let problem = shown.problem.unwrap();
    assert!(problem.contains("bank pump rewind audit --to"), "{problem}");
    let beyond = engine.rewind_pump("audit", RewindTo::Position(Position::from_number(7))).await.unwrap_err();
    assert!(beyond.to_string().contains("the log has no event at position 7"), "{beyond}");
    let to = engine.rewind_pump("audit", RewindTo::Position(Position::from_number(2))).await.unwrap();
    assert_eq!(to.number(), 2);
    house.in_time("the rest of the copy", || sink.last() == 4).await;
    assert_eq!(sink.positions()[10..], [3, 4]);
    // A pump that works is moved too.
    house.until("the head", || engine.pump_states()[0].status == SubscriptionState::Live).await;
    engine.rewind_pump("audit", RewindTo::Start(ProcessStart::Beginning)).await.unwrap();
    house.pass(POLL * 2).await;
    assert_eq!(sink.positions()[12..], [1, 2, 3, 4]);
    pumps.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pump_that_never_rests_is_moved_and_leaves_nothing_out() {
    const REWINDS: usize = 40;
    let (house, sink) = (House::new(), Taken::new());
    let engine = house.engine("one", pump(&sink));
    let pumps = engine.start_pumps();
    let busy = Arc::new(AtomicBool::new(true));
    let writing = tokio::spawn({
        let (house, busy) = (house.clone(), busy.clone());
        async move {
            while busy.load(Ordering::SeqCst) {
                house.write("acme", 3).await;
                house.clock.advance(Duration::from_millis(1));
                tokio::task::yield_now().await;
            }
        }
    });
    house.in_time("the first", || sink.last() > 20).await;
    for _ in 0..REWINDS {
        let (before, to) = (sink.calls(), sink.last() / 2);
        let to = RewindTo::Position(Position::from_number(to));
        engine.rewind_pump("audit", to).await.unwrap();
        house.in_time("more", || sink.calls() > before + 3).await;
    }
    busy.store(false, Ordering::SeqCst);
    writing.await.unwrap();
    let head = house.log().head().await.unwrap().number();
    house.in_time("the head", || sink.last() == head).await;
    pumps.stop().await;
    sink.assert_whole(head);
    let positions = sink.positions();
    let back: Vec<&[u64]> = positions.windows(2).filter(|pair| pair[1] <= pair[0]).collect();
    // Where a lease runs out, on a machine that is busy with something else, the batch that was under way comes again.
    let batch = House::config("one").pump_batch_events_max as u64;
    let (again, moved): (Vec<_>, Vec<_>) = back.into_iter().partition(|pair| pair[1] + batch > pair[0]);
    assert!((1..=REWINDS).contains(&moved.len()), "moved {moved:?}, and again {again:?}");
    assert_eq!(house.stored("audit").await, head);
}

#[tokio::test]
async fn a_pump_without_checkpoints_is_refused_by_its_name() {
    let house = House::new();
    let ports = Ports {
        store: Arc::new(house.log()),
        read_models: Arc::new(MemoryReadModels::default()),
        wakeups: Arc::new(house.clone()),
        snapshots: None,
        leases: None,
        work: None,
        clock: Arc::new(SystemClock),
    };
    let refused = Engine::new(ports.clone(), pump(&Taken::new()), EngineConfig::default()).unwrap_err();
    assert!(refused.to_string().contains("pump audit"), "{refused}");
    let twice = pump(&Taken::new()).pump("audit", Taken::new());
    let refused = Engine::new(ports.clone(), twice, EngineConfig::default()).unwrap_err();
    assert!(refused.to_string().contains("two pumps have the name audit"), "{refused}");
    // A subscriber needs none.
    let registry = Registry::default().subscriber(BusSubscription::new("feed"), Taken::new());
    Engine::new(ports, registry, EngineConfig::default()).unwrap().start_subscribers().await.unwrap();
}

#[tokio::test]
async fn subscribers_of_every_process_get_what_is_committed_from_then_on() {
    let (house, here, there) = (House::new(), Taken::new(), Taken::new());
    house.write("acme", 5).await;
    let registry =
        |taken: &Taken| Registry::default().subscriber(BusSubscription::new("feed"), taken.clone());
    let (one, other) = (house.engine("one", registry(&here)), house.engine("other", registry(&there)));
    let running = (one.start_subscribers().await.unwrap(), other.start_subscribers().await.unwrap());
    for count in 6..=30 {
        house.write("globex", 1).await;
        house.until("both", || here.last() == count && there.last() == count).await;
    }
    for taken in [&here, &there] {
        assert_eq!(taken.positions(), (6..=30).collect::<Vec<_>>());
    }
    running.0.stop().await;
    house.write("acme", 1).await;
    house.until("the other", || there.last() == 31).await;
    assert_eq!(here.last(), 30);
    assert!(one.overview().await.unwrap().subscribers.is_empty());
    running.1.stop().await;
}

#[tokio::test]
async fn a_slow_subscriber_has_no_gap_holds_up_nobody_and_shows_its_lag() {
    let (house, slow, quick) = (House::new(), Taken::new(), Taken::new());
    let engine = house.engine("one", Registry::default());
    slow.set_open(false);
    let wanted = BusSubscription::new("slow").with_items_max(5);
    let slowly = engine.subscribe(wanted, Arc::new(slow.clone())).await.unwrap();
    let of_acme = BusSubscription::new("quick").of_tenant(TenantId::new("acme").unwrap());
    let quickly = engine.subscribe(of_acme, Arc::new(quick.clone())).await.unwrap();
    for count in 1..=40 {
        house.write(if count % 2 == 0 { "acme" } else { "globex" }, 1).await;
    }
    house.until("the quick one", || quick.last() == 40).await;
    assert_eq!(quick.positions(), (1..=20).map(|half| half * 2).collect::<Vec<_>>());
    let subscribers = engine.overview().await.unwrap().subscribers.clone();
    let standing = subscribers.iter().find(|standing| standing.id == slowly.id()).unwrap();
    assert_eq!((standing.waiting, standing.taken), (5, 0), "its own reader waits for room");
    assert_eq!(standing.lag.iter().map(|lag| lag.waiting).sum::<usize>(), 5);
    assert!(slowly.position().number() < 10 && quickly.position().number() == 40);
    // Whatever fails meanwhile, it goes on where it was.
    house.is_away.store(true, Ordering::SeqCst);
    slow.set_open(true);
    house.pass(POLL).await;
    house.is_away.store(false, Ordering::SeqCst);
    house.in_time("the end", || slow.last() == 40).await;
    assert_eq!(slow.positions(), (1..=40).collect::<Vec<_>>());
    slowly.unsubscribe().await;
    drop(quickly);
    house.in_time("an end", || engine.bus().subscribers().is_empty()).await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_subscriber_that_hangs() {
    let (house, hangs) = (House::new(), Taken::new());
    hangs.set_open(false);
    let engine = house.engine("one", Registry::default());
    let wanted = BusSubscription::new("hangs").with_items_max(1);
    let subscribed = engine.subscribe(wanted, Arc::new(hangs.clone())).await.unwrap();
    house.write("acme", 9).await;
    house.until("a call", || hangs.calls() == 1).await;
    tokio::time::timeout(Duration::from_secs(10), subscribed.unsubscribe()).await.expect("it ends");
    assert!(engine.bus().subscribers().is_empty());
}

#[tokio::test]
async fn a_subscriber_goes_on_from_the_end_of_an_older_copy_of_the_log() {
    let (house, taken) = (House::new(), Taken::new());
    let engine = house.engine("one", Registry::default());
    let subscribed = engine.subscribe(BusSubscription::new("feed"), Arc::new(taken.clone())).await.unwrap();
    house.write("acme", 10).await;
    house.until("the log", || taken.last() == 10).await;
    *house.log.lock().unwrap() = MemoryEventStore::new(house.clock.clone());
    house.write("acme", 4).await;
    house.pass(POLL * 2).await;
    assert_eq!(subscribed.position().number(), 4);
    house.write("acme", 1).await;
    house.in_time("the next", || taken.last() == 5).await;
    assert_eq!(taken.positions()[10..], [5]);
}
