//! A place with work: a store, processes with a worker each, and a book of what was done.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use underlay_core::memory::{
    MemoryCheckpoints, MemoryEventStore, MemoryReadModels, MemoryScheduler, MemorySchedules,
};
use underlay_core::{
    Attempts, BegunWork, Clock, Commit, CommitId, Delivery, DueLook, DuePage, Error, EventStore, Handled,
    Handler, HandlerError, Lane, ManualClock, NewWork, Outgoing, Scheduler, Settlement, Shard, TenantId,
    Timestamp, Wakeups, WorkFilter, WorkInfo, WorkPage, WorkPlace, WorkQueue, WorkScope, Worker,
};
use underlay_derive::event;
use underlay_runtime::{Engine, EngineConfig, Ports, Registry, RunningWork, WorkPorts, WorkerState};
use underlay_testkit::{Over, WorkCall, WorkQueueLayer};

/// The time of a lease, and between two polls.
pub const LEASE: Duration = Duration::from_secs(10);
pub const POLL: Duration = Duration::from_secs(1);
/// How often an attempt is made that goes on when the term of its worker is over: a scheduler has it go on.
pub const MADE_BEYOND_A_TERM: usize = if super::IS_DRIVEN { 1 } else { 2 };
/// How far the clock moves at a time.
pub const MOMENT: Duration = Duration::from_millis(50);
/// How long an attempt may take.
pub const TIMEOUT: Duration = Duration::from_secs(30);

#[event(crate = underlay_core)]
pub enum Note {
    #[event(name = "note", version = 1)]
    Note { number: u64, text: String },
}

#[event(crate = underlay_core)]
pub enum Order {
    #[event(name = "order", version = 1)]
    Order { number: u64 },
}

/// What a handler does with a message.
#[derive(Clone)]
pub enum Act {
    Do,
    Fail,
    FailForGood,
    Panic,
    /// Goes on until the gate is open.
    Wait,
    /// Goes on for so many heartbeats, one every so often.
    Beat(u32, Duration),
    /// Sends something on.
    Send(NewWork),
}

/// Something that happened to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub by: String,
    pub tenant: String,
    pub key: String,
    pub number: u64,
    pub attempt: u32,
    pub what: &'static str,
}

type Script = Box<dyn Fn(&Delivery, u64) -> Act + Send>;

/// What all handlers of a yard write down, whichever process they are in.
pub struct Book {
    pub lines: Mutex<Vec<Line>>,
    script: Mutex<Script>,
    pub gate: watch::Sender<bool>,
    attempts: Mutex<Attempts>,
    pub running: AtomicUsize,
    pub most_running: AtomicUsize,
}

impl Book {
    pub fn script(&self, script: impl Fn(&Delivery, u64) -> Act + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub fn all(&self) -> Vec<Line> {
        self.lines.lock().unwrap().clone()
    }

    pub fn count(&self, what: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.what == what).count()
    }

    /// The numbers of a key, as this happened to them.
    pub fn numbers(&self, tenant: &str, key: &str, what: &str) -> Vec<u64> {
        let lines = self.lines.lock().unwrap();
        let is_it = |line: &&Line| line.tenant == tenant && line.key == key && line.what == what;
        lines.iter().filter(is_it).map(|line| line.number).collect()
    }

    /// Every message was done once, in order, and of a key one at a time.
    pub fn assert_in_order(&self) {
        let mut keys: BTreeMap<(String, String), Vec<Line>> = BTreeMap::new();
        for line in self.all() {
            keys.entry((line.tenant.clone(), line.key.clone())).or_default().push(line);
        }
        for (key, lines) in keys {
            let done: Vec<u64> =
                lines.iter().filter(|line| line.what == "done").map(|line| line.number).collect();
            assert!(done.is_sorted_by(|a, b| a < b), "{key:?}: {done:?}");
            let mut open = None;
            for line in lines {
                if line.what == "begun" {
                    assert_eq!(open, None, "{key:?} overlaps at {line:?}");
                    open = Some(line.number);
                } else {
                    assert_eq!(open.take(), Some(line.number), "{key:?}");
                }
            }
        }
    }

    async fn handle(&self, by: &str, number: u64, delivery: &Delivery) -> Result<Handled, HandlerError> {
        let write = |what| {
            let line = Line {
                by: by.to_owned(),
                tenant: delivery.tenant.to_string(),
                key: delivery.key.clone(),
                number,
                attempt: delivery.attempt,
                what,
            };
            self.lines.lock().unwrap().push(line);
        };
        let act = (self.script.lock().unwrap())(delivery, number);
        write("begun");
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_running.fetch_max(running, Ordering::Relaxed);
        let mut ending = Ending { book: self, write: Some(&write) };
        let ended = match act {
            Act::Do => Ok(Handled::done()),
            Act::Fail => Err(HandlerError::passing("not\0now")),
            Act::FailForGood => Err(HandlerError::last("never")),
            Act::Panic => panic!("a bug in a handler"),
            Act::Wait => {
                self.gate.subscribe().wait_for(|open| *open).await.unwrap();
                Ok(Handled::done())
            }
            Act::Beat(beats, pause) => {
                for _ in 0..beats {
                    self.clock_sleep(pause).await;
                    delivery.heartbeat();
                }
                Ok(Handled::done())
            }
            Act::Send(work) => Ok(Handled::done().send(work)),
        };
        ending.write = None;
        write(if ended.is_ok() { "done" } else { "failed" });
        ended
    }

    async fn clock_sleep(&self, pause: Duration) {
        let clock = CLOCK.with(Arc::clone);
        clock.sleep(pause).await;
    }
}

thread_local! {
    /// The tests run on one thread each, and each has a clock of its own.
    static CLOCK: Arc<ManualClock> = Arc::new(ManualClock::new(Timestamp::from_second(1_900_000_000).unwrap()));
}

/// An attempt that is dropped, or panics, has ended too.
struct Ending<'a> {
    book: &'a Book,
    write: Option<&'a (dyn Fn(&'static str) + Sync)>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.book.running.fetch_sub(1, Ordering::Relaxed);
        if let Some(write) = self.write {
            write("dropped");
        }
    }
}

/// Lets the next of a key go where a message is given up.
pub struct Scribe {
    pub by: String,
    pub book: Arc<Book>,
}

impl Handler for Scribe {
    const NAME: &'static str = "scribe";
    type Message = Note;

    fn attempts(&self) -> Attempts {
        *self.book.attempts.lock().unwrap()
    }

    async fn handle(&self, message: Note, delivery: &Delivery) -> Result<Handled, HandlerError> {
        let Note::Note { number, .. } = message;
        self.book.handle(&self.by, number, delivery).await
    }
}

/// Holds a key where a message is given up.
pub struct Clerk {
    pub by: String,
    pub book: Arc<Book>,
}

impl Handler for Clerk {
    const NAME: &'static str = "clerk";
    const HOLDS_KEY: bool = true;
    type Message = Order;

    fn attempts(&self) -> Attempts {
        *self.book.attempts.lock().unwrap()
    }

    async fn handle(&self, message: Order, delivery: &Delivery) -> Result<Handled, HandlerError> {
        let Order::Order { number } = message;
        self.book.handle(&self.by, number, delivery).await
    }
}

/// A clock that is so many seconds ahead of another, or behind it.
struct Ahead {
    clock: Arc<ManualClock>,
    seconds: i64,
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.clock.now().as_microsecond() + self.seconds * 1_000_000).unwrap()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.clock.sleep(duration)
    }
}

pub struct Yard {
    pub clock: Arc<ManualClock>,
    pub store: MemoryEventStore,
    pub book: Arc<Book>,
    /// What drives the attempts, where they are driven.
    pub scheduler: Option<MemoryScheduler>,
}

pub struct Process {
    pub engine: Engine,
    pub gate: Arc<Over<Gate>>,
}

impl Process {
    pub fn start(&self) -> RunningWork {
        self.engine.start_work()
    }

    pub fn state(&self) -> WorkerState {
        self.engine.worker_state().unwrap()
    }

    pub fn shards(&self) -> usize {
        self.state().shards.len()
    }
}

pub fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub fn note(key: &str, number: u64) -> NewWork {
    Outgoing::message::<Scribe>(key, &Note::Note { number, text: String::new() }).into_work().unwrap()
}

pub fn order(key: &str, number: u64) -> NewWork {
    Outgoing::message::<Clerk>(key, &Order::Order { number }).into_work().unwrap()
}

impl Yard {
    pub fn new() -> Self {
        let clock = CLOCK.with(Arc::clone);
        let attempts = Attempts {
            attempts_max: 5,
            delay_min: Duration::from_millis(200),
            delay_max: Duration::from_secs(2),
            timeout: TIMEOUT,
        };
        let book = Book {
            lines: Mutex::default(),
            script: Mutex::new(Box::new(|_, _| Act::Do)),
            gate: watch::Sender::new(false),
            attempts: Mutex::new(attempts),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
        };
        let scheduler =
            super::IS_DRIVEN.then(|| MemoryScheduler::new(clock.clone()).with_grace(Duration::ZERO));
        Self { store: MemoryEventStore::new(clock.clone()), book: Arc::new(book), clock, scheduler }
    }

    /// A worker as those of the processes are.
    pub fn worker(&self, name: &str) -> Worker {
        let scheduler = self.scheduler.as_ref().map_or(Worker::EMBEDDED, |scheduler| scheduler.identity());
        Worker { scheduler: scheduler.to_owned(), ..Worker::embedded(name) }
    }

    pub fn process(&self, name: &str) -> Process {
        self.process_with(name, |config| config)
    }

    pub fn process_with(&self, name: &str, change: impl FnOnce(EngineConfig) -> EngineConfig) -> Process {
        let (by, book) = (name.to_owned(), self.book.clone());
        let registry = Registry::default()
            .handler(Scribe { by: by.clone(), book: book.clone() })
            .handler(Clerk { by, book });
        self.process_of(name, registry, change)
    }

    /// A process that hears no hint.
    pub fn deaf_process(&self, name: &str) -> Process {
        let registry = Registry::default().handler(Scribe { by: name.to_owned(), book: self.book.clone() });
        let wakeups = Arc::new(MemoryEventStore::new(self.clock.clone()));
        self.process_over(name, registry, wakeups, self.clock.clone(), |config| config)
    }

    /// A process whose clock is so many seconds ahead of that of the store, or behind it.
    pub fn process_ahead(&self, name: &str, seconds: i64) -> Process {
        let registry = Registry::default().handler(Scribe { by: name.to_owned(), book: self.book.clone() });
        let clock = Arc::new(Ahead { clock: self.clock.clone(), seconds });
        self.process_over(name, registry, Arc::new(self.store.clone()), clock, |config| config)
    }

    pub fn process_of(
        &self,
        name: &str,
        registry: Registry,
        change: impl FnOnce(EngineConfig) -> EngineConfig,
    ) -> Process {
        self.process_over(name, registry, Arc::new(self.store.clone()), self.clock.clone(), change)
    }

    fn process_over(
        &self,
        name: &str,
        registry: Registry,
        wakeups: Arc<dyn Wakeups>,
        clock: Arc<dyn Clock>,
        change: impl FnOnce(EngineConfig) -> EngineConfig,
    ) -> Process {
        let gate = Arc::new(Over(Gate::new(self.store.clone())));
        let ports = Ports {
            store: Arc::new(self.store.clone()),
            read_models: Arc::new(MemoryReadModels::default()),
            wakeups,
            snapshots: None,
            leases: None,
            work: Some(WorkPorts {
                queue: gate.clone(),
                schedules: Arc::new(MemorySchedules::default()),
                checkpoints: Arc::new(MemoryCheckpoints::default()),
                leases: None,
                scheduler: self.scheduler.clone().map(|scheduler| Arc::new(scheduler) as Arc<dyn Scheduler>),
            }),
            clock,
        };
        let config = EngineConfig {
            process: name.to_owned(),
            work_lease: LEASE,
            work_poll_interval: POLL,
            ..EngineConfig::default()
        };
        Process { engine: Engine::new(ports, registry, change(config)).unwrap(), gate }
    }

    pub async fn send(&self, name: &str, work: Vec<NewWork>) -> CommitId {
        let id = CommitId::draw();
        let commit = work.into_iter().fold(Commit::new(id), Commit::send);
        self.store.commit(&tenant(name), commit).await.unwrap();
        id
    }

    /// Sends notes numbered from 1 to one key.
    pub async fn send_notes(&self, name: &str, key: &str, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            self.send(name, vec![note(key, number)]).await;
        }
    }

    pub async fn dead(&self) -> Vec<WorkInfo> {
        let filter = WorkFilter { dead: true, ..WorkFilter::default() };
        self.store.list_work(&filter, WorkPlace::START, 1_000).await.unwrap().work
    }

    pub async fn left(&self) -> usize {
        self.store.list_work(&WorkFilter::default(), WorkPlace::START, 1_000).await.unwrap().work.len()
    }

    /// Lets everybody work until `done`, while the time stands still.
    pub async fn until(&self, done: impl AsyncFn() -> bool) {
        for _ in 0..100_000 {
            if done().await {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("it never comes to that: {:?}", self.book.all());
    }

    /// Lets everybody work, while the time stands still.
    pub async fn settle_down(&self) {
        for _ in 0..300 {
            tokio::task::yield_now().await;
        }
    }

    /// Lets time pass, moment by moment, while everybody works.
    pub async fn pass(&self, time: Duration) {
        let mut passed = Duration::ZERO;
        while passed < time {
            self.clock.advance(MOMENT);
            passed += MOMENT;
            self.settle_down().await;
        }
    }

    /// Lets time pass until it comes to that, and says how much did.
    pub async fn pass_until(&self, done: impl AsyncFn() -> bool) -> Duration {
        let mut passed = Duration::ZERO;
        while !done().await {
            assert!(passed < Duration::from_secs(600), "it never comes to that: {:?}", self.book.all());
            self.pass(MOMENT).await;
            passed += MOMENT;
        }
        passed
    }
}

/// How the next settlement goes wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is not stored.
    Unavailable,
    /// It is stored, and the answer is lost.
    Uncertain,
}

/// The queue as a process reaches it.
pub struct Gate {
    inner: MemoryEventStore,
    /// Every call waits, as if the process stood still.
    paused: watch::Sender<bool>,
    /// Pages that were read wait before they are given.
    holds_pages: watch::Sender<bool>,
    pub held_pages: AtomicU64,
    pub wrong: Mutex<Vec<Wrong>>,
    /// Refuses a settlement of such a piece for good.
    pub refuses: Mutex<Option<WorkPlace>>,
    /// No piece can be found.
    pub finds_nothing: AtomicBool,
    pub settles: AtomicU64,
    pub reads: AtomicU64,
    pub most_read: AtomicUsize,
    pub shares: AtomicU64,
}

impl Gate {
    fn new(inner: MemoryEventStore) -> Self {
        Self {
            inner,
            paused: watch::Sender::new(false),
            holds_pages: watch::Sender::new(false),
            held_pages: AtomicU64::new(0),
            wrong: Mutex::default(),
            refuses: Mutex::default(),
            finds_nothing: AtomicBool::new(false),
            settles: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            most_read: AtomicUsize::new(0),
            shares: AtomicU64::new(0),
        }
    }

    pub fn pause(&self) {
        self.paused.send_replace(true);
    }

    pub fn go_on(&self) {
        self.paused.send_replace(false);
    }

    pub fn hold_pages(&self, holds: bool) {
        self.holds_pages.send_replace(holds);
    }

    async fn pass(&self) {
        self.paused.subscribe().wait_for(|paused| !paused).await.unwrap();
    }

    async fn give(&self, pieces: usize) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.most_read.fetch_max(pieces, Ordering::Relaxed);
        if *self.holds_pages.borrow() && pieces > 0 {
            self.held_pages.fetch_add(1, Ordering::Relaxed);
            self.holds_pages.subscribe().wait_for(|holds| !holds).await.unwrap();
        }
    }
}

#[async_trait]
impl WorkQueueLayer for Gate {
    type Below = MemoryEventStore;

    fn below(&self) -> &MemoryEventStore {
        &self.inner
    }

    fn around<T: Send>(
        &self,
        call: WorkCall,
        effect: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        let waits = matches!(call, WorkCall::Share | WorkCall::Release | WorkCall::Leave);
        async move {
            if waits {
                self.pass().await;
            }
            if call == WorkCall::Share {
                self.shares.fetch_add(1, Ordering::Relaxed);
            }
            if call == WorkCall::FindWork && self.finds_nothing.load(Ordering::Relaxed) {
                return Err(Error::unavailable("the store is away"));
            }
            effect.await
        }
    }

    async fn read_work(
        &self,
        shard: Shard,
        lane: Lane,
        scope: &WorkScope,
        after: WorkPlace,
        limit: usize,
    ) -> Result<WorkPage, Error> {
        self.pass().await;
        let page = self.inner.read_work(shard, lane, scope, after, limit).await?;
        self.give(page.work.len()).await;
        Ok(page)
    }

    async fn read_due(&self, shard: Shard, look: &DueLook, limit: usize) -> Result<DuePage, Error> {
        self.pass().await;
        let page = self.inner.read_due(shard, look, limit).await?;
        self.give(page.work.len()).await;
        Ok(page)
    }

    async fn begin(&self, begun: &[BegunWork]) -> Result<Vec<Shard>, Error> {
        self.pass().await;
        self.inner.begin(begun).await
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Shard>, Error> {
        self.pass().await;
        self.settles.fetch_add(1, Ordering::Relaxed);
        let refused = *self.refuses.lock().unwrap();
        if settlements.iter().any(|settlement| Some(settlement.place) == refused) {
            return Err(Error::invalid("it is not liked"));
        }
        let wrong = self.wrong.lock().unwrap().pop();
        match wrong {
            None => self.inner.settle(settlements).await,
            Some(Wrong::Unavailable) => Err(Error::unavailable("the store is away")),
            Some(Wrong::Uncertain) => {
                self.inner.settle(settlements).await?;
                Err(Error::Uncertain { id: CommitId::draw(), reason: "the answer was lost".to_owned() })
            }
        }
    }
}

impl Yard {
    /// The first piece of work that is not dead.
    pub async fn store_first(&self) -> underlay_core::Work {
        let all = self.store.list_work(&WorkFilter::default(), WorkPlace::START, 1).await.unwrap().work;
        all[0].work.clone()
    }
}

/// Says whether there is work, whatever there is of it.
pub trait QueueIsEmpty {
    async fn queue_is_empty(&self) -> bool;
}

impl QueueIsEmpty for MemoryEventStore {
    async fn queue_is_empty(&self) -> bool {
        let depths = self.queue_depths(None).await.unwrap();
        depths.iter().all(|depth| depth.ready + depth.later == 0)
    }
}
