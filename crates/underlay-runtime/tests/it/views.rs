use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::adapter::WakeupHub;
use underlay_core::memory::{MemoryEventStore, MemoryReadModels};
use underlay_core::{
    Clock, Error, EventStore, Keys, Position, Query, Recorded, StoreId, SystemClock, TenantId, View, Wakeup,
    Wakeups, WorkWakeup,
};
use underlay_runtime::{
    Engine, EngineConfig, OnViewChange, Ports, RebuildFrom, Registry, Request, SubscriptionState,
};
use underlay_testkit::{Call, EventStoreLayer, Over};

use crate::bank::{
    Account, AccountEvent, Balance, Balances, Bank, deposited, poison, registry, request, tenant,
};

pub const LONG: Duration = Duration::from_secs(30);

pub async fn rows(engine: &Engine) -> Vec<(String, Vec<String>)> {
    let answer = engine.query(&tenant(), "balances", &Query::default()).await.unwrap();
    let text = |value: &underlay_core::Value| serde_json::to_string(value).unwrap();
    answer.page.rows.iter().map(|(key, values)| (key.clone(), values.iter().map(text).collect())).collect()
}

pub fn row(key: &str, cents: i64, events: i64) -> (String, Vec<String>) {
    (key.to_owned(), vec![cents.to_string(), events.to_string()])
}

/// The view's state once it has stopped.
pub async fn stopped(engine: &Engine) -> underlay_runtime::ViewState {
    loop {
        let state = engine.view_states().remove(0);
        if matches!(state.status, SubscriptionState::Paused | SubscriptionState::Failed) {
            return state;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_query_reads_what_was_written_before_it() {
    let bank = Bank::new();
    let views = bank.engine.start_views();
    for number in 0..50 {
        bank.deposit(["a", "b", "c"][number % 3], 1).await;
        let head = bank.store.head().await.unwrap();
        bank.engine.wait_for_view("balances", head, LONG).await.unwrap();
    }
    assert_eq!(rows(&bank.engine).await, [row("a", 17, 17), row("b", 17, 17), row("c", 16, 16)]);
    views.stop().await;
}

#[tokio::test]
async fn a_view_that_catches_up_is_reached_only_where_its_rows_are_stored() {
    let bank = Bank::new();
    for number in 0..100 {
        bank.deposit(["a", "b"][number % 2], 1).await;
    }
    // This store lets others run at every page.
    let engine = Swapped::new(bank.store.clone()).engine();
    let views = engine.start_views();
    for position in 1..=100 {
        engine.wait_for_view("balances", Position::from_number(position), LONG).await.unwrap();
        let answer = engine.query(&tenant(), "balances", &Query::default()).await.unwrap();
        assert!(answer.page.position.number() >= position, "{} of {position}", answer.page.position);
    }
    assert_eq!(rows(&engine).await, [row("a", 50, 50), row("b", 50, 50)]);
    views.stop().await;
}

#[tokio::test]
async fn two_processes_fold_each_event_once() {
    let (bank, other) = {
        let bank = Bank::new();
        let other = bank.beside();
        (bank, other)
    };
    let views = (bank.engine.start_views(), other.engine.start_views());
    for _ in 0..200 {
        bank.deposit("a", 1).await;
        other.deposit("b", 1).await;
    }
    let head = bank.store.head().await.unwrap();
    bank.engine.wait_for_view("balances", head, LONG).await.unwrap();
    other.engine.wait_for_view("balances", head, LONG).await.unwrap();
    assert_eq!(rows(&bank.engine).await, [row("a", 200, 200), row("b", 200, 200)]);
    views.0.stop().await;
    views.1.stop().await;
}

#[tokio::test]
async fn stopping_and_starting_goes_on_from_the_checkpoint() {
    let bank = Bank::new();
    for round in 1..=5 {
        bank.deposit("a", 1).await;
        let engine = bank.beside().engine;
        let views = engine.start_views();
        engine.wait_for_view("balances", bank.store.head().await.unwrap(), LONG).await.unwrap();
        views.stop().await;
        assert_eq!(rows(&engine).await, [row("a", round, round)]);
    }
}

#[tokio::test]
async fn an_event_it_cannot_take_pauses_that_view_after_all_before_it() {
    let bank = Bank::over(
        MemoryEventStore::default(),
        MemoryReadModels::default(),
        underlay_core::memory::MemorySnapshots::default(),
        registry().view(Counts),
    );
    for _ in 0..10 {
        bank.deposit("a", 1).await;
    }
    bank.store.commit(&tenant(), poison("a")).await.unwrap();
    bank.deposit("b", 1).await;
    let views = bank.engine.start_views();
    let waited =
        bank.engine.wait_for_view("balances", bank.store.head().await.unwrap(), LONG).await.unwrap_err();
    assert!(waited.to_string().contains("position 11 (account-a, version 11)"), "{waited}");
    assert_eq!(rows(&bank.engine).await, [row("a", 10, 10)]);
    // The other view does not read payloads, and goes on.
    bank.engine.wait_for_view("counts", bank.store.head().await.unwrap(), LONG).await.unwrap();
    views.stop().await;
}

#[tokio::test]
async fn a_fold_that_panics_pauses_its_view() {
    let registry = Registry::default().aggregate::<Account>().view(Panics);
    let bank = Bank::new();
    let bank = Bank::over(bank.store, bank.read_models, bank.snapshots, registry);
    bank.deposit("a", 1).await;
    bank.deposit("a", 13).await;
    let views = bank.engine.start_views();
    let state = stopped(&bank.engine).await;
    assert_eq!((state.status, state.position), (SubscriptionState::Paused, Position::START));
    assert!(state.error.unwrap().contains("position 2"));
    views.stop().await;
    let answer = bank.engine.query(&tenant(), "panics", &Query::default()).await.unwrap();
    assert_eq!(answer.page.position.number(), 1, "what came before is stored");
}

#[tokio::test]
async fn a_rebuild_answers_from_the_old_rows_until_it_swaps() {
    let bank = Bank::new();
    for _ in 0..100 {
        bank.deposit("a", 1).await;
    }
    let views = bank.engine.start_views();
    let head = bank.store.head().await.unwrap();
    bank.engine.wait_for_view("balances", head, LONG).await.unwrap();
    let mut seen = Vec::new();
    let generation = bank
        .beside()
        .engine
        .rebuild_view("balances", RebuildFrom::default(), |position| seen.push(position))
        .await
        .unwrap();
    assert_eq!((generation, seen.last()), (2, Some(&head)));
    assert!(seen.len() > 10, "it told where it was: {seen:?}");
    // The runner finds the new table by itself.
    bank.deposit("a", 1).await;
    bank.engine.wait_for_view("balances", bank.store.head().await.unwrap(), LONG).await.unwrap();
    assert_eq!(rows(&bank.engine).await, [row("a", 101, 101)]);
    views.stop().await;
}

#[tokio::test]
async fn a_changed_definition_is_refused_or_rebuilt_as_configured() {
    let bank = Bank::new();
    bank.deposit("a", 1).await;
    let views = bank.engine.start_views();
    bank.engine.wait_for_view("balances", bank.store.head().await.unwrap(), LONG).await.unwrap();
    views.stop().await;

    let changed = |on_view_change| {
        let ports = Ports {
            work: None,
            store: bank.engine.store().clone(),
            read_models: bank.engine.read_models("balances").clone(),
            wakeups: bank.engine.wakeups().clone(),
            snapshots: None,
            leases: None,
            clock: Arc::new(SystemClock),
        };
        let config = EngineConfig { on_view_change, ..EngineConfig::default() };
        Engine::new(ports, Registry::default().view(Doubled), config).unwrap()
    };
    let refusing = changed(OnViewChange::Refuse);
    let views = refusing.start_views();
    let state = stopped(&refusing).await;
    assert!(state.error.unwrap().contains("view rebuild balances"));
    views.stop().await;

    let rebuilding = changed(OnViewChange::Rebuild);
    let views = rebuilding.start_views();
    rebuilding.wait_for_view("balances", bank.store.head().await.unwrap(), LONG).await.unwrap();
    assert_eq!(rows(&rebuilding).await, [row("a", 2, 1)]);
    views.stop().await;
}

#[tokio::test]
async fn a_log_restored_under_a_running_view_is_refused_and_the_repair_named() {
    let bank = Bank::new();
    for _ in 0..10 {
        bank.deposit("a", 1).await;
    }
    let swapped = Swapped::new(bank.store.clone());
    let engine = swapped.engine();
    let views = engine.start_views();
    engine.wait_for_view("balances", bank.store.head().await.unwrap(), LONG).await.unwrap();

    // Yesterday's copy: the same log, shorter.
    let yesterday = MemoryEventStore::default();
    let copy = Bank::over(yesterday.clone(), bank.read_models.clone(), bank.snapshots.clone(), registry());
    copy.deposit("a", 1).await;
    swapped.swap(yesterday);
    let state = stopped(&engine).await;
    let error = state.error.unwrap();
    assert!(error.contains("the log ends at position 1"), "{error}");
    assert!(error.contains("`bank view rebuild balances`"), "{error}");

    // What the message says repairs it.
    engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    assert_eq!(rows(&engine).await, [row("a", 1, 1)]);
    views.stop().await;
}

#[tokio::test]
async fn tenants_have_their_own_rows() {
    let bank = Bank::new();
    bank.deposit("a", 1).await;
    let other = TenantId::new("other").unwrap();
    let deposit = crate::bank::AccountCommand::Deposit { cents: 99 };
    bank.engine.execute::<Account>(&Request::new(other.clone()), &"a".to_owned(), deposit).await.unwrap();
    bank.engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    assert_eq!(rows(&bank.engine).await, [row("a", 1, 1)]);
    let theirs = bank.engine.row(&other, "balances", "a").await.unwrap();
    assert_eq!(serde_json::to_string(&theirs.values).unwrap(), "[99,1]");
    assert!(matches!(bank.engine.row(&other, "balances", "b").await, Err(Error::NotFound(_))));
    let _unused = request();
}

/// A view over the same log that does not look into payloads.
struct Counts;

#[derive(Clone, Debug)]
struct Any;

impl underlay_core::Event for Any {
    fn descriptors() -> Vec<underlay_core::EventDescriptor> {
        AccountEvent::descriptors()
    }
    fn schemas() -> Vec<underlay_core::Json> {
        AccountEvent::schemas()
    }
    fn descriptor(&self) -> underlay_core::EventDescriptor {
        underlay_core::EventDescriptor { name: "deposited", version: 1 }
    }
    fn encode(&self) -> Result<underlay_core::Json, Error> {
        underlay_core::Json::encode(&())
    }
    fn decode(_: &str, _: u32, _: &str) -> Result<Option<Self>, underlay_core::DecodeError> {
        Ok(Some(Self))
    }
}

impl View for Counts {
    const NAME: &'static str = "counts";
    type Event = Any;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<Any>, keys: &mut Keys<String>) {
        keys.push(event.stream().id().to_owned());
    }
    fn fold(&self, _: &String, row: Option<Balance>, _: &Recorded<Any>) -> Option<Balance> {
        Some(Balance { cents: 0, events: row.map_or(0, |row| row.events) + 1 })
    }
}

/// Cannot take a deposit of 13.
struct Panics;

impl View for Panics {
    const NAME: &'static str = "panics";
    type Event = AccountEvent;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<String>) {
        Balances.route(event, keys);
    }
    fn fold(&self, key: &String, row: Option<Balance>, event: &Recorded<AccountEvent>) -> Option<Balance> {
        assert_ne!(event.event, AccountEvent::Deposited { cents: 13 });
        Balances.fold(key, row, event)
    }
}

/// The balances by another definition: doubled.
pub struct Doubled;

impl View for Doubled {
    const NAME: &'static str = "balances";
    const VERSION: u32 = 2;
    type Event = AccountEvent;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<String>) {
        Balances.route(event, keys);
    }
    fn fold(&self, key: &String, row: Option<Balance>, event: &Recorded<AccountEvent>) -> Option<Balance> {
        let before = row.as_ref().map_or(0, |row| row.cents);
        let folded = Balances.fold(key, row, event)?;
        Some(Balance { cents: before + (folded.cents - before) * 2, ..folded })
    }
}

/// A store whose log can be exchanged under its users, as restoring a copy of a file does. It keeps
/// its identity, as the copy does. A read of the log lets others run first.
#[derive(Clone)]
pub struct Swapped {
    id: StoreId,
    log: Arc<Mutex<MemoryEventStore>>,
    hub: Arc<WakeupHub>,
    read_models: MemoryReadModels,
    reads: Arc<AtomicU64>,
    written: Arc<AtomicBool>,
}

impl Swapped {
    pub fn new(log: MemoryEventStore) -> Self {
        Self {
            id: log.store_id(),
            log: Arc::new(Mutex::new(log)),
            hub: Arc::default(),
            read_models: MemoryReadModels::default(),
            reads: Arc::default(),
            written: Arc::default(),
        }
    }

    pub fn engine(&self) -> Engine {
        self.engine_of(registry(), |config| config)
    }

    pub fn engine_of(&self, registry: Registry, change: impl FnOnce(EngineConfig) -> EngineConfig) -> Engine {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ports = Ports {
            work: None,
            store: Arc::new(Over(self.clone())),
            read_models: Arc::new(self.read_models.clone()),
            wakeups: Arc::new(self.clone()),
            snapshots: None,
            leases: None,
            clock,
        };
        let config = EngineConfig {
            program: "bank".to_owned(),
            view_batch_events_max: 7,
            view_poll_interval: Duration::from_millis(5),
            retry_delay_max: Duration::from_millis(50),
            ..EngineConfig::default()
        };
        Engine::new(ports, registry, change(config)).unwrap()
    }

    /// From now on somebody writes before every read of the log.
    pub fn write_at_every_read(&self) {
        self.written.store(true, Ordering::Relaxed);
    }

    /// How often the log was read.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    pub fn swap(&self, log: MemoryEventStore) {
        *self.log.lock().unwrap() = log;
        self.hub.wake();
    }

    pub fn log(&self) -> MemoryEventStore {
        self.log.lock().unwrap().clone()
    }
}

impl Wakeups for Swapped {
    fn subscribe(&self) -> Wakeup {
        self.hub.subscribe()
    }

    fn subscribe_work(&self) -> WorkWakeup {
        self.hub.subscribe_work()
    }
}

#[async_trait]
impl EventStoreLayer for Swapped {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.log()
    }

    fn store_id(&self) -> StoreId {
        self.id
    }

    async fn before(&self, call: Call) -> Result<(), Error> {
        if call == Call::ReadAll {
            tokio::task::yield_now().await;
            self.reads.fetch_add(1, Ordering::Relaxed);
            if self.written.load(Ordering::Relaxed) {
                self.log().commit(&tenant(), deposited("busy", 1)).await?;
            }
        }
        Ok(())
    }
}

/// A log that cannot be read now and then.
struct Unreliable {
    log: MemoryEventStore,
    reads: Arc<AtomicU64>,
    /// Of how many reads one fails.
    of: u64,
}

#[async_trait]
impl EventStoreLayer for Unreliable {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.log.clone()
    }

    async fn before(&self, call: Call) -> Result<(), Error> {
        if call == Call::ReadAll && self.reads.fetch_add(1, Ordering::Relaxed) % self.of == self.of - 1 {
            return Err(Error::unavailable("a read failed"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_rebuild_gets_on_where_reads_fail_now_and_then() {
    const EVENTS: i64 = 2_000;
    let log = MemoryEventStore::default();
    for _ in 0..EVENTS {
        log.commit(&tenant(), deposited("a", 1)).await.unwrap();
    }
    let reads = Arc::new(AtomicU64::new(0));
    let unreliable = Unreliable { log: log.clone(), reads: reads.clone(), of: 7 };
    let ports = Ports {
        store: Arc::new(Over(unreliable)),
        read_models: Arc::new(MemoryReadModels::default()),
        wakeups: Arc::new(log),
        snapshots: None,
        leases: None,
        work: None,
        clock: Arc::new(SystemClock),
    };
    let config = EngineConfig {
        view_batch_events_max: 5,
        retry_delay_min: Duration::from_millis(1),
        retry_delay_max: Duration::from_millis(1),
        ..EngineConfig::default()
    };
    let engine = Engine::new(ports, Registry::default().view(Balances), config).unwrap();
    engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    assert_eq!(rows(&engine).await, [row("a", EVENTS, EVENTS)]);
    // It read the log about once, and not from its start after each failure.
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads < 3 * EVENTS as u64 / 5, "{reads} reads");
}
