//! A store in memory that outlives programs, and a program over it that goes one step at a time and can be killed at
//! any write: what it does is the same in every run.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::memory::{
    MemoryCheckpoints, MemoryEventStore, MemoryLeases, MemoryReadModels, MemoryScheduler, MemorySchedules,
};
use underlay_core::{
    Checkpoint, Checkpoints, Clock, CommandOutcome, Commit, CommitId, Committed, DueLook, Error, EventStore,
    Lane, LeaseTerm, ManualClock, Origin, ReadWork, Scheduler, Settled, Settlement, ShardTerm,
    StoredCheckpoint, StoredCommand, StoredInput, SystemClock, TenantId, Timestamp, Wakeups, Work, WorkKind,
    WorkPlace, WorkQueue, WorkScope, Worker,
};
use underlay_testkit::{CheckpointsLayer, EventStoreLayer, FailsOnce, Over, Troubles};

use crate::processes::Processes;
use crate::subscription::{Advance, DurableFollower, Follower, Signals};
use crate::work::{Attempt, NotDone, Receiver};
use crate::{Engine, EngineConfig, ExecuteNamedError, Ports, Registry, Request, WorkPorts};

/// How long a worker holds its shards.
const LEASE: Duration = Duration::from_secs(10);

/// What outlives programs.
#[derive(Clone)]
pub(super) struct House {
    pub(super) log: MemoryEventStore,
    pub(super) rows: MemoryReadModels,
    pub(super) checkpoints: MemoryCheckpoints,
    leases: MemoryLeases,
    pub(super) clock: Arc<ManualClock>,
    /// What drives attempts, where they are driven.
    pub(super) scheduler: Option<MemoryScheduler>,
}

/// The writes that a program has left before it is killed.
#[derive(Clone, Debug)]
pub(super) struct Life {
    left: Arc<AtomicI64>,
    /// Whether the last write is still made, and only its answer is lost.
    loses_answer: bool,
}

/// It was killed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Killed;

impl Life {
    pub(super) fn long() -> Self {
        Self::of(i64::MAX, false)
    }

    /// Ends at write `number`, from 1.
    pub(super) fn of(number: i64, loses_answer: bool) -> Self {
        Self { left: Arc::new(AtomicI64::new(number)), loses_answer }
    }

    fn is_over(&self) -> bool {
        self.left.load(Ordering::SeqCst) <= 0
    }

    /// Makes a write.
    async fn write<T>(&self, effect: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let gone = || Error::unavailable("the program was killed");
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            2.. => effect.await,
            1 if self.loses_answer => {
                effect.await?;
                Err(gone())
            }
            _ => Err(gone()),
        }
    }
}

struct MortalLog {
    log: MemoryEventStore,
    life: Life,
}

#[async_trait]
impl EventStoreLayer for MortalLog {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.log.clone()
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        self.life.write(self.log.commit(tenant, commit)).await
    }
}

struct MortalCheckpoints {
    checkpoints: MemoryCheckpoints,
    life: Life,
}

#[async_trait]
impl CheckpointsLayer for MortalCheckpoints {
    type Below = MemoryCheckpoints;

    fn below(&self) -> &MemoryCheckpoints {
        &self.checkpoints
    }

    async fn move_checkpoint(
        &self,
        name: &str,
        from: Option<&Checkpoint>,
        to: &StoredCheckpoint,
        lease: Option<&LeaseTerm>,
    ) -> Result<(), Error> {
        self.life.write(self.checkpoints.move_checkpoint(name, from, to, lease)).await
    }
}

impl House {
    pub(super) fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_700_000_000).unwrap()));
        Self::by(clock.clone(), clock)
    }

    fn by(as_port: Arc<dyn Clock>, clock: Arc<ManualClock>) -> Self {
        let leases = MemoryLeases::new(as_port.clone());
        Self {
            log: MemoryEventStore::new(as_port),
            rows: MemoryReadModels::default(),
            checkpoints: MemoryCheckpoints::new(leases.clone()),
            leases,
            clock,
            scheduler: None,
        }
    }

    pub(super) fn program(&self, registry: Registry) -> Program {
        self.mortal(registry, Life::long())
    }

    pub(super) fn mortal(&self, registry: Registry, life: Life) -> Program {
        let store = Arc::new(Over(MortalLog { log: self.log.clone(), life: life.clone() }));
        self.over(registry, life, store, Arc::new(self.log.clone()))
    }

    /// A program whose commits and settlements fail once at each point.
    pub(super) fn troubled(&self, registry: Registry, troubles: &Troubles) -> Program {
        let store = Arc::new(Over(FailsOnce::new(self.log.clone(), troubles)));
        self.over(registry, Life::long(), store.clone(), store)
    }

    pub(super) fn over(
        &self,
        registry: Registry,
        life: Life,
        store: Arc<dyn EventStore>,
        queue: Arc<dyn WorkQueue>,
    ) -> Program {
        let checkpoints = MortalCheckpoints { checkpoints: self.checkpoints.clone(), life: life.clone() };
        let checkpoints = Arc::new(Over(checkpoints));
        let schedules = Arc::new(MemorySchedules::default());
        let work = WorkPorts { queue: queue.clone(), schedules, checkpoints, leases: None, scheduler: None };
        let engine =
            Engine::new(self.ports(store, work, self.clock.clone()), registry, EngineConfig::default())
                .unwrap();
        let processes = engine.processes_in_tests();
        let receivers = processes.receivers().into_iter().collect();
        let worker = Worker::embedded("program");
        let unanswered = HashSet::new();
        let left = Mutex::default();
        Program { house: self.clone(), engine, processes, receivers, queue, worker, life, unanswered, left }
    }

    fn ports(&self, store: Arc<dyn EventStore>, work: WorkPorts, clock: Arc<dyn Clock>) -> Ports {
        Ports {
            store,
            read_models: Arc::new(self.rows.clone()),
            wakeups: Arc::new(self.log.clone()),
            snapshots: None,
            leases: None,
            work: Some(work),
            clock,
        }
    }

    /// A house whose time is that of the machine; attempts are driven by a scheduler or not.
    pub(super) fn in_time(is_driven: bool) -> Self {
        let house = Self::by(Arc::new(SystemClock), Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)));
        Self { scheduler: is_driven.then(MemoryScheduler::default), ..house }
    }

    /// An engine that runs by itself, in a house whose time is that of the machine.
    pub(super) fn engine(&self, registry: Registry) -> Engine {
        self.engine_by(Arc::new(SystemClock), registry)
    }

    /// An engine that runs by itself, by a clock.
    pub(super) fn engine_by(&self, clock: Arc<dyn Clock>, registry: Registry) -> Engine {
        let work = WorkPorts {
            queue: Arc::new(self.log.clone()),
            schedules: Arc::new(MemorySchedules::default()),
            checkpoints: Arc::new(self.checkpoints.clone()),
            leases: Some(Arc::new(self.leases.clone())),
            scheduler: self.scheduler.clone().map(|scheduler| Arc::new(scheduler) as Arc<dyn Scheduler>),
        };
        let config = EngineConfig {
            work_lease: Duration::from_millis(500),
            work_poll_interval: Duration::from_millis(50),
            ..EngineConfig::default()
        };
        let ports = self.ports(Arc::new(self.log.clone()), work, clock);
        Engine::new(ports, registry, config).unwrap()
    }
}

/// A program that goes one step at a time.
pub(super) struct Program {
    pub(super) house: House,
    pub(super) engine: Engine,
    pub(super) processes: Arc<Processes>,
    pub(super) receivers: HashMap<(WorkKind, String), Arc<dyn Receiver>>,
    queue: Arc<dyn WorkQueue>,
    worker: Worker,
    life: Life,
    /// Receivers of commands that never answer.
    pub(super) unanswered: HashSet<String>,
    /// Lines that are left for another program.
    left: Mutex<HashSet<(TenantId, String, String)>>,
}

impl Program {
    /// Signals that never come.
    pub(super) fn signals(&self) -> Signals {
        let (_, stopped) = tokio::sync::watch::channel(false);
        Signals::new(self.house.clock.clone(), self.house.log.subscribe(), stopped).0
    }

    /// Follows the log for every process to its end.
    pub(super) async fn follow(&self) -> Result<(), String> {
        for consumer in self.processes.consumers() {
            let (mut follower, _) = DurableFollower::new(self.processes.subscriptions.clone(), consumer);
            follower.open(&mut self.signals()).await.map_err(|halt| halt.to_string())?;
            loop {
                match follower.advance().await {
                    Ok(Advance::FoundNothing) => break,
                    Ok(Advance::Advanced | Advance::ReachedHead) => {}
                    Err(halt) => {
                        follower.abandon();
                        follower.leave_word(&halt).await;
                        return Err(halt.to_string());
                    }
                }
            }
        }
        Ok(())
    }

    /// Does all work that is ready now; whether there was any.
    pub(super) async fn work(&self) -> Result<bool, Killed> {
        let share = self.house.log.share(&self.worker, LEASE, &[]).await.unwrap();
        let mut did = false;
        for held in share.held {
            let shard = held.term.shard;
            let mut pieces = self.house.log.read_due(shard, &DueLook::default(), 1_000).await.unwrap().work;
            for lane in Lane::ALL {
                let all = WorkScope::EveryTenantBut(Vec::new());
                let page =
                    self.house.log.read_work(shard, lane, &all, WorkPlace::START, 1_000).await.unwrap();
                pieces.extend(page.work);
            }
            let mut stopped = HashSet::new();
            for ReadWork { work, is_blocked } in pieces {
                let line = (work.tenant.clone(), work.sent.receiver.clone(), work.sent.key.clone());
                if self.left.lock().unwrap().contains(&line) {
                    continue;
                }
                let settled = if is_blocked || stopped.contains(&line) {
                    Some(Settled::Held)
                } else {
                    self.attempt(&work).await
                };
                if self.life.is_over() {
                    return Err(Killed);
                }
                let Some(settled) = settled else {
                    self.left.lock().unwrap().insert(line);
                    continue;
                };
                if !matches!(settled, Settled::Done) {
                    stopped.insert(line);
                }
                self.settle(held.term, &work, settled).await?;
                did = true;
            }
        }
        Ok(did)
    }

    async fn settle(&self, term: ShardTerm, work: &Work, settled: Settled) -> Result<(), Killed> {
        let settlements = [Settlement { term, place: work.place, settled }];
        loop {
            match self.life.write(self.queue.settle(&settlements)).await {
                Ok(lost) => {
                    assert_eq!(lost, [], "the shard is held");
                    return Ok(());
                }
                Err(_) if self.life.is_over() => return Err(Killed),
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    }

    /// Makes an attempt; none where the work is another program's.
    async fn attempt(&self, work: &Work) -> Option<Settled> {
        let number = work.attempts + 1;
        let receiver = self.receivers.get(&(work.sent.kind, work.sent.receiver.clone()));
        let attempts_max = receiver.map_or(20, |receiver| receiver.attempts().attempts_max);
        let attempted = match work.sent.kind {
            WorkKind::Command => self.command(work).await.map_err(NotDone::from),
            _ => self.receive(work).await,
        };
        Some(match attempted {
            Ok(()) => Settled::Done,
            Err(NotDone { is_anothers: true, .. }) => return None,
            Err(NotDone { reason, is_final, .. }) if is_final || number >= attempts_max => {
                Settled::Dead { error: reason, is_final, holds: true }
            }
            Err(NotDone { reason, .. }) => Settled::Retry { delay: Duration::from_secs(1), error: reason },
        })
    }

    /// Whether its receiver can read a piece of work.
    pub(super) fn reads(&self, work: &Work) -> bool {
        self.receivers[&(work.sent.kind, work.sent.receiver.clone())].reads(work)
    }

    /// Gives work to its receiver.
    pub(super) async fn receive(&self, work: &Work) -> Result<(), NotDone> {
        let heartbeats = tokio::sync::Notify::new();
        let attempt = Attempt {
            work,
            number: work.attempts + 1,
            deadline: Timestamp::MAX,
            heartbeats: &heartbeats,
            traceparent: None,
        };
        let receiver = &self.receivers[&(work.sent.kind, work.sent.receiver.clone())];
        receiver.attempt(attempt).await
    }

    /// Runs a stored command, and tells who waits how it ended.
    async fn command(&self, work: &Work) -> Result<(), Error> {
        if self.unanswered.contains(&work.sent.receiver) {
            return Ok(());
        }
        let command: StoredCommand = work.sent.payload.json().unwrap().decode().unwrap();
        let command_id = command.command_id.unwrap();
        let request = Request {
            causation_id: command.causation_id,
            correlation_id: command.correlation_id,
            ..Request::new(work.tenant.clone()).with_command_id(command_id)
        };
        let id = command.id.clone().unwrap();
        let (category, name) = (&work.sent.receiver, &work.sent.name);
        let executed = self.engine.execute_named(&request, category, &id, name, command.body.as_str()).await;
        let outcome = match executed {
            Ok(_) => CommandOutcome::Accepted,
            Err(ExecuteNamedError::Refused(refusal)) => {
                let (code, message, body) = (refusal.code, refusal.message, refusal.fields);
                CommandOutcome::Refused { code, message, body }
            }
            Err(ExecuteNamedError::Command(error)) => CommandOutcome::Failed { reason: error.to_string() },
            Err(ExecuteNamedError::Failed(error)) => return Err(error),
        };
        let Some(reply_to) = command.reply_to else { return Ok(()) };
        let input = StoredInput::Outcome { name: reply_to.name, command_id, outcome };
        let id = CommitId::derived(&work.tenant, Origin::Work, [work.id.0.as_bytes().as_slice()]);
        let told = Commit::new(id).send(input.work(&reply_to.process, &reply_to.instance)?);
        self.engine.store().commit(&work.tenant, told).await.map(drop)
    }

    /// Goes on until nothing is left to be done now.
    pub(super) async fn run(&self) -> Result<(), Killed> {
        loop {
            let mut tries = 0;
            while let Err(error) = self.follow().await {
                if self.life.is_over() {
                    return Err(Killed);
                }
                tries += 1;
                assert!(tries < 100, "{error}");
            }
            if !self.work().await? {
                self.leave().await;
                return Ok(());
            }
        }
    }

    /// Gives its shards back, so that another program may go on at once.
    pub(super) async fn leave(&self) {
        self.house.log.leave(&self.worker).await.unwrap();
    }

    /// All work that is there, or all that was given up.
    pub(super) async fn waiting(&self, dead: bool) -> Vec<underlay_core::WorkInfo> {
        let filter = underlay_core::WorkFilter { dead, ..underlay_core::WorkFilter::default() };
        self.house.log.list_work(&filter, WorkPlace::START, 1_000).await.unwrap().work
    }
}
