//! A process that does work, or a part of this one: an engine with a worker, callers, and a journal.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::watch;
use tokio::task::JoinSet;
use underlay_core::{Handler, Scheduler, WorkQueue};
use underlay_runtime::{CommandInfo, CommandStatus, Engine, EngineConfig, RunningViews, RunningWork};
use underlay_temporal::{Route, Router, Temporal, TemporalAddress, TemporalOptions};
use uuid::Uuid;

use super::domain::{Courier, registry};
use super::errand::{Errand, Line, Told};
use super::fall::{Fall, Falling};
use super::receiver::{Post, now};
use crate::dice::Dice;
use crate::journal::Journal;
use crate::subject::{Address, OpenStore};
use crate::{Result, child, journal};

/// How long a process that is gone keeps others from its shards.
pub(crate) const LEASE: Duration = Duration::from_secs(1);
/// How often a worker looks for work without a hint, in the time of a lease: as the defaults have it.
const POLLS_IN_A_LEASE: u32 = 10;
/// How soon a scheduler gives to another process what one had in hand that is gone.
const TASK_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest pause of a caller.
const PAUSE_MAX: Duration = Duration::from_millis(40);
/// How often it is looked whether terms were lost.
const LOOK: Duration = Duration::from_millis(10);
/// Errands of another process that are asked for again at the start.
const PAST_MAX: usize = 20;

/// The process `work-child`, which is killed.
#[derive(Args, Debug)]
pub(crate) struct ChildArguments {
    #[arg(long)]
    database: Address,
    /// The port of the receiver.
    #[arg(long)]
    receiver: u16,
    #[arg(long)]
    worker: Uuid,
    #[arg(long)]
    journal: PathBuf,
    /// The journal of a process that was killed, whose open errands are asked for again.
    #[arg(long)]
    past: Option<PathBuf>,
    #[arg(long)]
    callers: usize,
    /// How much may wait before callers ask for more.
    #[arg(long)]
    backlog: Option<u64>,
    #[arg(long)]
    lease_millis: u64,
    /// What has its work done; it does it itself where there is none.
    #[arg(long)]
    scheduler: Option<TemporalAddress>,
    /// When it dies by itself.
    #[arg(long, requires = "scheduler")]
    falls: Option<Fall>,
    #[arg(long)]
    seed: u64,
}

impl ChildArguments {
    /// The same, on a command line.
    pub(crate) fn write(&self, command: &mut std::process::Command) {
        command.arg("--database").arg(self.database.to_string());
        command.arg("--receiver").arg(self.receiver.to_string());
        command.arg("--worker").arg(self.worker.to_string());
        command.arg("--journal").arg(&self.journal);
        if let Some(past) = &self.past {
            command.arg("--past").arg(past);
        }
        command.arg("--callers").arg(self.callers.to_string());
        if let Some(backlog) = self.backlog {
            command.arg("--backlog").arg(backlog.to_string());
        }
        command.arg("--lease-millis").arg(self.lease_millis.to_string());
        if let Some(scheduler) = &self.scheduler {
            command.arg("--scheduler").arg(scheduler.to_string());
        }
        if let Some(fall) = self.falls {
            command.arg("--falls").arg(fall.to_string());
        }
        command.arg("--seed").arg(self.seed.to_string());
    }
}

/// Works until it is told to finish, or killed.
pub(crate) async fn run_child(arguments: ChildArguments) -> Result<()> {
    let open = arguments.database.open_when_there().await?;
    let mut past = Vec::new();
    if let Some(path) = &arguments.past {
        past = open_errands(journal::read(path)?);
    }
    let plan = Plan {
        worker: arguments.worker,
        receiver: arguments.receiver,
        journal: arguments.journal,
        past,
        callers: arguments.callers,
        backlog: arguments.backlog,
        lease: Duration::from_millis(arguments.lease_millis),
        scheduler: arguments.scheduler,
        falls: arguments.falls,
        seed: arguments.seed,
    };
    let mut station = Station::start(open, plan)?;
    child::say_ready()?;
    tokio::select! {
        () = child::told_to_finish() => {}
        ended = station.callers.join_next(), if !station.callers.is_empty() => {
            ended.transpose()?.transpose()?;
        }
    }
    station.finish().await
}

/// What was asked for and not answered, the last first.
fn open_errands(lines: Vec<Line>) -> Vec<Errand> {
    let mut open: Vec<Errand> = Vec::new();
    for line in lines {
        match line {
            Line::Asked(errand) => open.push(errand),
            Line::Told(id, told) if told != Told::Nothing => open.retain(|errand| errand.id != id),
            Line::Told(..) | Line::LostTerms { .. } => {}
        }
    }
    open.reverse();
    open.truncate(PAST_MAX);
    open
}

/// What a station is to do.
pub(crate) struct Plan {
    pub(crate) worker: Uuid,
    pub(crate) receiver: u16,
    pub(crate) journal: PathBuf,
    pub(crate) past: Vec<Errand>,
    pub(crate) callers: usize,
    pub(crate) backlog: Option<u64>,
    pub(crate) lease: Duration,
    pub(crate) scheduler: Option<TemporalAddress>,
    pub(crate) falls: Option<Fall>,
    pub(crate) seed: u64,
}

impl Plan {
    pub(crate) fn arguments(self, database: Address, past: Option<PathBuf>) -> ChildArguments {
        let Self { worker, receiver, journal, callers, backlog, lease, scheduler, falls, seed, .. } = self;
        ChildArguments {
            database,
            receiver,
            worker,
            journal,
            past,
            callers,
            backlog,
            lease_millis: u64::try_from(lease.as_millis()).unwrap_or(u64::MAX),
            scheduler,
            falls,
            seed,
        }
    }
}

/// An engine at work.
pub(crate) struct Station {
    pub(crate) engine: Engine,
    open: OpenStore,
    views: RunningViews,
    work: RunningWork,
    journal: Arc<Journal>,
    callers: JoinSet<Result<()>>,
    watcher: JoinSet<Result<()>>,
    stop: watch::Sender<bool>,
    has_ended: watch::Sender<bool>,
}

impl Station {
    pub(crate) fn start(open: OpenStore, plan: Plan) -> Result<Self> {
        let Plan { worker, receiver, journal, past, callers: count, backlog, lease, scheduler, falls, seed } =
            plan;
        let config = EngineConfig {
            process: worker.to_string(),
            view_lease: lease,
            work_lease: lease,
            work_poll_interval: lease / POLLS_IN_A_LEASE,
            view_poll_interval: lease / POLLS_IN_A_LEASE,
            ..EngineConfig::default()
        };
        let mut ports = open.ports();
        if let (Some(work), Some(address)) = (&mut ports.work, &scheduler) {
            work.scheduler = Some(scheduler_of(address, falls)?);
        }
        let engine = Engine::new(ports, registry(Post::new(worker, receiver)), config)?;
        let journal = Arc::new(Journal::open(&journal)?);
        let (stop, stopped) = watch::channel(false);
        let (has_ended, ended) = watch::channel(false);
        let (views, work) = (engine.start_views(), engine.start_work());
        let mut watcher = JoinSet::new();
        watcher.spawn(watch_terms(engine.clone(), worker, journal.clone(), ended));
        let mut dice = Dice::new(seed);
        let mut callers = JoinSet::new();
        let asks = backlog.map(|most| open.work().map(|(queue, _)| (queue, most))).transpose()?;
        for number in 0..count {
            let past = if number == 0 { past.clone() } else { Vec::new() };
            callers.spawn(call(
                engine.clone(),
                journal.clone(),
                dice.fork(),
                past,
                asks.clone(),
                stopped.clone(),
            ));
        }
        Ok(Self { engine, open, views, work, journal, callers, watcher, stop, has_ended })
    }

    /// Submits a command that stands behind no other, until it is stored, and waits until it is done.
    pub(crate) async fn do_one(&self) -> Result<()> {
        let errand = Errand::probe()?;
        self.journal.write(&Line::Asked(errand.clone()))?;
        loop {
            let told = errand.run(&self.engine).await;
            self.journal.write(&Line::Told(errand.id, told.clone()))?;
            if told != Told::Nothing {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        loop {
            let info = self.engine.command_status(&errand.tenant, errand.id).await;
            let is_done = matches!(info, Ok(Some(CommandInfo { status: CommandStatus::Processed(_), .. })));
            if is_done {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets callers hear the end of what they asked for.
    pub(crate) async fn finish_callers(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        while let Some(ended) = self.callers.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Ends in good order.
    pub(crate) async fn finish(mut self) -> Result<()> {
        self.finish_callers().await?;
        self.work.stop().await;
        self.views.stop().await;
        self.has_ended.send_replace(true);
        while let Some(ended) = self.watcher.join_next().await {
            ended??;
        }
        self.open.close().await
    }
}

/// A scheduler that soon gives to another process what one had in hand that is gone. Parcels of the courier go as local
/// activities, and those of the herald as activities with heartbeats.
fn scheduler_of(address: &TemporalAddress, falls: Option<Fall>) -> Result<Arc<dyn Scheduler>> {
    let soon = || Route::new().task_timeout(TASK_TIMEOUT);
    let router = ["command", "message", "input", "timer", "schedule"]
        .into_iter()
        .fold(Router::new(), |router, kind| router.kind(kind, soon()))
        .receiver(Courier::NAME, Route::new().local_activity());
    let options = TemporalOptions { router, ..TemporalOptions::default() };
    let scheduler: Arc<dyn Scheduler> = Arc::new(Temporal::open(address, options)?);
    Ok(match falls {
        Some(fall) => Arc::new(Falling::new(scheduler, fall)),
        None => scheduler,
    })
}

async fn call(
    engine: Engine,
    journal: Arc<Journal>,
    mut dice: Dice,
    mut past: Vec<Errand>,
    backlog: Option<(Arc<dyn WorkQueue>, u64)>,
    stopped: watch::Receiver<bool>,
) -> Result<()> {
    let mut asked: Vec<Errand> = Vec::new();
    while !*stopped.borrow() {
        if let Some((queue, most)) = &backlog
            && waiting(&**queue).await > *most
        {
            tokio::time::sleep(PAUSE_MAX).await;
            continue;
        }
        let errand = match past.pop() {
            Some(errand) => errand,
            None if dice.chance(10) && !asked.is_empty() => asked[dice.index(asked.len())].clone(),
            None => Errand::new(&mut dice)?,
        };
        journal.write(&Line::Asked(errand.clone()))?;
        let told = errand.run(&engine).await;
        journal.write(&Line::Told(errand.id, told))?;
        asked.push(errand);
        tokio::time::sleep(dice.time_below(PAUSE_MAX)).await;
    }
    Ok(())
}

/// How much waits; nothing where the store is away.
async fn waiting(queue: &dyn WorkQueue) -> u64 {
    let depths = queue.queue_depths(None).await.unwrap_or_default();
    depths.iter().map(|depth| depth.ready + depth.later).sum()
}

/// Writes down when the worker says that it has lost terms, until it has ended and once more after.
async fn watch_terms(
    engine: Engine,
    worker: Uuid,
    journal: Arc<Journal>,
    mut ended: watch::Receiver<bool>,
) -> Result<()> {
    let mut known = 0;
    loop {
        // Who ends it may be gone, which is an end too.
        let has_ended = tokio::time::timeout(LOOK, ended.wait_for(|ended| *ended)).await.is_ok();
        let lost = engine.worker_state().map_or(0, |state| state.lost_terms);
        if lost > known {
            known = lost;
            journal.write(&Line::LostTerms { worker, at: now() })?;
        }
        if has_ended {
            return Ok(());
        }
    }
}
