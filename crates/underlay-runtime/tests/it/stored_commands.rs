//! Stored commands and schedules, run by the workers of several processes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::memory::{
    MemoryCheckpoints, MemoryEventStore, MemoryReadModels, MemoryScheduler, MemorySchedules,
};
use underlay_core::{
    Actor, Clock, Commit, CommitId, Committed, Error, EventStore, EventStoreExt, ManualClock, Outcome,
    Scheduler, Settled, Settlement, Shard, StreamName, SystemClock, TenantId, Version, WorkFilter, WorkInfo,
    WorkPlace, WorkQueue, WorkStanding,
};
use underlay_runtime::{
    Cancelled, CommandStatus, Engine, EngineConfig, Missed, Ports, ScheduleDefinition, SubmitOptions,
    WorkPorts,
};
use underlay_testkit::{EventStoreLayer, Over, WorkQueueLayer};

use crate::bank::{Account, AccountCommand, Transfer, registry, repeatable, stream, tenant};

/// A bank in two processes, over stores in memory.
struct Branches {
    store: MemoryEventStore,
    clock: Arc<ManualClock>,
    ports: Ports,
    engines: [Engine; 2],
}

impl Branches {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new("2026-03-28T23:00:00Z".parse().unwrap()));
        let scheduler =
            super::IS_DRIVEN.then(|| Arc::new(MemoryScheduler::new(clock.clone())) as Arc<dyn Scheduler>);
        Self::over_nothing(clock, scheduler)
    }

    /// The same bank over a store that has nothing in it.
    fn begun_anew(&self) -> Self {
        let work = self.ports.work.as_ref().unwrap();
        Self::over_nothing(self.clock.clone(), work.scheduler.clone())
    }

    fn over_nothing(clock: Arc<ManualClock>, scheduler: Option<Arc<dyn Scheduler>>) -> Self {
        let store = MemoryEventStore::new(clock.clone());
        let work = WorkPorts {
            queue: Arc::new(store.clone()),
            schedules: Arc::new(MemorySchedules::default()),
            checkpoints: Arc::new(MemoryCheckpoints::default()),
            leases: None,
            scheduler,
        };
        let ports = Ports {
            work: Some(work),
            store: Arc::new(store.clone()),
            read_models: Arc::new(MemoryReadModels::default()),
            wakeups: Arc::new(store.clone()),
            snapshots: None,
            leases: None,
            clock: clock.clone(),
        };
        let engine = || Engine::new(ports.clone(), registry(), EngineConfig::default()).unwrap();
        let engines = [engine(), engine()];
        Self { store, clock, ports, engines }
    }

    async fn status(&self, key: &str) -> CommandStatus {
        let id = CommitId::from_key(&tenant(), key);
        self.engines[1].command_status(&tenant(), id).await.unwrap().unwrap().status
    }

    /// Lets time pass until nothing waits any more: slowly while something is done, so that no attempt runs out of
    /// time on a busy machine.
    async fn drain(&self) {
        for look in 1_u32.. {
            let listed = self.store.list_work(&WorkFilter::default(), WorkPlace::START, 100).await;
            let work = listed.unwrap().work;
            if work.is_empty() {
                return;
            }
            let now = self.clock.now();
            let waits = |work: &WorkInfo| {
                let due_at = work.work.sent.due_at;
                work.standing == WorkStanding::Later && due_at.is_some_and(|due_at| due_at > now)
            };
            if work.iter().all(waits) || look.is_multiple_of(1_000) {
                self.clock.advance(Duration::from_millis(100));
            }
            tokio::task::yield_now().await;
        }
    }

    async fn deposits(&self, account: &str) -> u64 {
        let stream: StreamName = stream(account);
        self.store.read_stream_whole(&tenant(), &stream, Version::NONE).await.unwrap().len() as u64
    }
}

fn deposit(cents: i64) -> AccountCommand {
    AccountCommand::Deposit { cents }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_submitted_runs_once_whoever_works() {
    let bank = Branches::new();
    for n in 0..40 {
        // Each is submitted in both processes.
        for engine in &bank.engines {
            let (key, account) = (repeatable(&format!("k{n}")), format!("a{}", n % 5));
            engine.submit::<Account>(&key, &account, &deposit(1), SubmitOptions::default()).await.unwrap();
        }
    }
    let working = bank.engines.each_ref().map(Engine::start_work);
    bank.drain().await;
    for account in 0..5 {
        assert_eq!(bank.deposits(&format!("a{account}")).await, 8);
    }
    let CommandStatus::Processed(committed) = bank.status("k0").await else { panic!("it has run") };
    assert_eq!(committed.versions[0].version, Version(1), "commands of one account are run in order");
    for one in working {
        one.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_in_a_store_that_is_gone_is_done_again() {
    let lost = Branches::new();
    let restored = lost.begun_anew();
    for bank in [&lost, &restored] {
        for n in 0..5 {
            let key = repeatable(&format!("k{n}"));
            let now = SubmitOptions::default();
            bank.engines[0].submit::<Account>(&key, &"a".to_owned(), &deposit(1), now).await.unwrap();
        }
        let working = bank.engines[0].start_work();
        bank.drain().await;
        assert_eq!(bank.deposits("a").await, 5, "whatever the scheduler remembers");
        assert!(matches!(bank.status("k0").await, CommandStatus::Processed(_)));
        working.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_ends_a_command_and_holds_nobody_up() {
    let bank = Branches::new();
    let engine = &bank.engines[0];
    let account = "a".to_owned();
    let withdraw = AccountCommand::Withdraw { cents: 5 };
    let now = SubmitOptions::default();
    engine.submit::<Account>(&repeatable("refused"), &account, &withdraw, now).await.unwrap();
    engine.submit::<Account>(&repeatable("accepted"), &account, &deposit(9), now).await.unwrap();
    let transfer = Transfer { from: account.clone(), to: "b".to_owned(), cents: 2 };
    let later = now.due_at(bank.clock.now() + Duration::from_secs(60));
    engine.submit_operation(&repeatable("moved"), &transfer, later).await.unwrap();
    let working = engine.start_work();
    bank.drain().await;
    let CommandStatus::Processed(refused) = bank.status("refused").await else { panic!("it has run") };
    assert!(matches!(refused.outcome, Outcome::Refused { code, .. } if code == "overdrawn"));
    let CommandStatus::Processed(moved) = bank.status("moved").await else { panic!("it has run") };
    assert_eq!(moved.versions.len(), 2);
    assert!(moved.recorded_at >= later.due_at.unwrap());
    assert_eq!(bank.deposits("a").await, 2);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_was_cancelled_is_cleared_away_and_does_nothing() {
    let bank = Branches::new();
    let engine = &bank.engines[0];
    let later = SubmitOptions::default().due_at(bank.clock.now() + Duration::from_secs(3_600));
    engine.submit::<Account>(&repeatable("k"), &"a".to_owned(), &deposit(1), later).await.unwrap();
    let id = CommitId::from_key(&tenant(), "k");
    let ann = Actor { name: Some("ann".to_owned()), roles: Vec::new() };
    let cancelled = bank.engines[1].cancel_command(&tenant(), &ann, id, |_| true).await.unwrap();
    assert!(matches!(cancelled, Cancelled::Cancelled(_)));
    let working = engine.start_work();
    bank.clock.advance(Duration::from_secs(3_600));
    bank.drain().await;
    let CommandStatus::Cancelled(committed) = bank.status("k").await else { panic!("it is cancelled") };
    assert!(matches!(committed.outcome, Outcome::Refused { message, .. } if message.contains("ann")));
    assert_eq!(bank.deposits("a").await, 0);
    working.stop().await;
}

/// A store that takes nothing under one id.
struct Denying(MemoryEventStore, CommitId);

#[async_trait]
impl EventStoreLayer for Denying {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.0.clone()
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        match commit.id == self.1 {
            true => Err(Error::invalid("a store that does not take it")),
            false => self.0.commit(tenant, commit).await,
        }
    }
}

/// A queue in which a command is decided directly just before it is stored that it was given up.
struct DecidedMeanwhile(MemoryEventStore, Engine);

#[async_trait]
impl WorkQueueLayer for DecidedMeanwhile {
    type Below = MemoryEventStore;

    fn below(&self) -> &MemoryEventStore {
        &self.0
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Shard>, Error> {
        if settlements.iter().any(|settlement| matches!(settlement.settled, Settled::Dead { .. })) {
            let decided = self.1.execute::<Account>(&repeatable("k"), &"a".to_owned(), deposit(1)).await;
            assert!(!decided.unwrap().repeated);
        }
        self.0.settle(settlements).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_decided_while_it_is_given_up_holds_nobody() {
    let bank = Branches::new();
    for key in ["k", "behind"] {
        let (id, now) = (repeatable(key), SubmitOptions::default());
        bank.engines[0].submit::<Account>(&id, &"a".to_owned(), &deposit(1), now).await.unwrap();
    }
    let id = CommitId::from_key(&tenant(), "k");
    let mut ports = bank.ports.clone();
    ports.store = Arc::new(Over(Denying(bank.store.clone(), id)));
    let queue = Arc::new(Over(DecidedMeanwhile(bank.store.clone(), bank.engines[0].clone())));
    ports.work = ports.work.map(|work| WorkPorts { queue, ..work });
    let working = Engine::new(ports, registry(), EngineConfig::default()).unwrap().start_work();
    let drained = tokio::time::timeout(Duration::from_secs(60), bank.drain()).await;
    drained.expect("the next command goes on");
    working.stop().await;
    assert_eq!(bank.deposits("a").await, 2);
    let letters = WorkFilter { dead: true, ..WorkFilter::default() };
    assert!(bank.store.list_work(&letters, WorkPlace::START, 9).await.unwrap().work.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_while_the_last_is_settled_waits_for_no_time_to_pass() {
    let bank = Branches::new();
    for round in 0..150_u32 {
        let id = repeatable(&round.to_string());
        bank.engines[0]
            .submit::<Account>(&id, &"a".to_owned(), &deposit(1), SubmitOptions::default())
            .await
            .unwrap();
        let working = bank.engines[0].start_work();
        bank.drain().await;
        let stopped = tokio::time::timeout(Duration::from_secs(30), working.stop()).await;
        stopped.unwrap_or_else(|_| panic!("round {round}: it waits for ever"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_runs_its_command_once_a_day_through_a_change_of_clocks() {
    let bank = Branches::new();
    let daily =
        ScheduleDefinition::command::<Account>("30 2 * * *", "Europe/Berlin", &"a".to_owned(), &deposit(1));
    // Time passes here as fast as it can, so a process may come late.
    let daily = daily.unwrap().with_missed(Missed::All);
    bank.engines[0].put_schedule(&tenant(), "interest", daily).await.unwrap();
    let working = bank.engines.each_ref().map(Engine::start_work);
    // Three nights, on the first of which half past two does not exist.
    let end = "2026-04-01T00:00:00Z".parse().unwrap();
    while bank.clock.now() < end {
        bank.clock.advance(Duration::from_secs(30));
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    }
    // Slowly from here on, so that the next night does not come while somebody waits for a processor.
    while bank.deposits("a").await < 3 {
        SystemClock.sleep(Duration::from_millis(1)).await;
        bank.clock.advance(Duration::from_millis(100));
    }
    for one in working {
        one.stop().await;
    }
    assert_eq!(bank.deposits("a").await, 3);
    let listed = bank.engines[1].schedules(Some(&tenant()), None, 10).await.unwrap();
    assert_eq!(listed[0].next_due_at, Some("2026-04-01T00:30:00Z".parse().unwrap()));
    let by = bank.store.read_stream_whole(&tenant(), &stream("a"), Version::NONE).await.unwrap();
    assert!(by[0].metadata.as_str().contains("schedule interest"), "{:?}", by[0].metadata);
    assert!(bank.engines[0].remove_schedule(&tenant(), "interest").await.unwrap());
}
