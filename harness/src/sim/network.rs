//! The way of a program to the stores and to the outside: calls take time, get lost before their effect or after it,
//! happen twice, and the program is paused or killed in the middle of them.
//!
//! All of it is drawn from the seed, in the order in which the calls come. Each life of a program has dice of its own.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::memory::{MemoryCheckpoints, MemoryLeases, MemorySchedules};
use underlay_core::{
    Checkpoint, Clock, Commit, Committed, Error, EventStore, HandlerError, Lease, LeaseTerm, Leases,
    ReadModels, Settlement, Shard, ShardTerm, Share, StoredCheckpoint, TenantId, ViewBatch, ViewTable,
    WorkHint, WorkQueue, Worker,
};
use underlay_testkit::{
    Call, CheckpointsCall, CheckpointsLayer, EventStoreLayer, Over, ReadModelsLayer, RowsCall, SchedulesCall,
    SchedulesLayer, ScriptedCall, WorkCall, WorkQueueLayer,
};

use super::mistakes::{Rows, Stores, name_events};
use super::stage::{Promise, Stage};
use super::world::Happening;
use crate::dice::Dice;

/// How bad a run is: of a hundred calls, so many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Fail before their effect, and as many after it.
    pub(crate) faults: u64,
    /// Take long.
    pub(crate) slow: u64,
    /// Happen twice.
    pub(crate) twice: u64,
    /// Of hints, are lost.
    pub(crate) hints_lost: u64,
    /// To the outside, fail before their effect, and as many after it or too late.
    pub(crate) outside: u64,
    /// Of ten thousand calls with an effect, so many in the middle of which the program is paused or killed.
    pub(crate) halts: u64,
}

impl Weather {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        Self {
            faults: [0, 1, 3, 8][dice.index(4)],
            slow: [0, 2, 5][dice.index(3)],
            twice: [0, 2, 10][dice.index(3)],
            hints_lost: [0, 20, 60, 100][dice.index(4)],
            outside: [0, 5, 15][dice.index(3)],
            halts: [0, 20, 60][dice.index(3)],
        }
    }
}

/// How long a call takes on its way.
const QUICK_MAX: Duration = Duration::from_millis(4);
/// And where it takes long.
const SLOW_MAX: Duration = Duration::from_millis(1_500);
/// An answer of the outside that comes later than its handler waits for.
const LATE_MAX: Duration = Duration::from_secs(9);

struct Way {
    stage: Arc<Stage>,
    clock: Arc<dyn Clock>,
    weather: Weather,
    program: usize,
    programs: usize,
    dice: Mutex<Dice>,
    /// Until when nothing gets through.
    cut_until: AtomicI64,
}

/// The way of one program, in one of its lives.
#[derive(Clone)]
pub(crate) struct Network(Arc<Way>);

impl Network {
    pub(crate) fn new(
        stage: Arc<Stage>,
        clock: Arc<dyn Clock>,
        weather: Weather,
        (program, programs): (usize, usize),
        dice: Dice,
    ) -> Self {
        let (dice, cut_until) = (Mutex::new(dice), AtomicI64::new(i64::MIN));
        Self(Arc::new(Way { stage, clock, weather, program, programs, dice, cut_until }))
    }

    pub(crate) fn stage(&self) -> &Arc<Stage> {
        &self.0.stage
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// Lets nothing through for a time.
    pub(crate) fn cut(&self, duration: Duration) {
        let until = self.0.stage.agenda.now() + i64::try_from(duration.as_micros()).unwrap_or(0);
        self.0.cut_until.store(until, Ordering::SeqCst);
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.0.dice.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn chance(&self, percent: u64) -> bool {
        !self.stage().is_calm() && self.draw(|dice| dice.chance(percent))
    }

    fn fault(&self, what: impl Debug, how: &str) {
        self.stage().fault(format_args!("#{}", self.0.program), format_args!("{what:?} {how}"));
    }

    async fn travel(&self) {
        let slow = self.chance(self.0.weather.slow);
        let most = if slow { SLOW_MAX } else { QUICK_MAX };
        // Full milliseconds, so that much happens at one moment.
        let millis = self.draw(|dice| dice.below(u64::try_from(most.as_millis()).unwrap_or(1)));
        self.0.clock.sleep(Duration::from_millis(millis.max(1))).await;
    }

    /// In the middle of a call with an effect, a program is paused or killed now and then.
    async fn halt(&self, what: impl Debug) {
        let weather = &self.0.weather;
        if self.stage().is_calm() || !self.draw(|dice| dice.below(10_000) < weather.halts) {
            return;
        }
        let (kills, pause) = self.draw(|dice| (dice.chance(40), dice.time_below(Duration::from_secs(25))));
        self.fault(
            what,
            if kills { "is where the program is killed" } else { "is where the program is paused" },
        );
        let happening = match kills {
            true => Happening::Kill(self.0.program),
            false => Happening::Pause(self.0.program, pause),
        };
        self.stage().agenda.after(Duration::ZERO, happening);
        // It happens while this waits.
        self.0.clock.sleep(Duration::from_millis(1)).await;
    }

    /// A call goes out; an error where it does not arrive.
    async fn go(&self, what: impl Debug, has_effect: bool) -> Result<(), Error> {
        self.travel().await;
        if has_effect {
            self.halt(&what).await;
        }
        if !self.stage().is_calm() && self.stage().agenda.now() < self.0.cut_until.load(Ordering::SeqCst) {
            return Err(Error::unavailable("the network is cut"));
        }
        if self.chance(self.0.weather.faults) {
            self.fault(what, "did not arrive");
            return Err(Error::unavailable("the call did not arrive"));
        }
        Ok(())
    }

    /// An answer comes back; an error where it does not arrive.
    async fn come_back(&self, what: impl Debug, has_effect: bool) -> Result<(), Error> {
        if has_effect {
            self.halt(&what).await;
        }
        self.travel().await;
        if has_effect && self.chance(self.0.weather.faults) {
            self.fault(what, "was not answered");
            return Err(Error::unavailable("the answer was lost"));
        }
        Ok(())
    }

    async fn around<T, C: ScriptedCall>(
        &self,
        call: C,
        effect: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.go(call, call.has_effect()).await?;
        let answer = effect.await;
        match self.come_back(call, call.has_effect()).await {
            Err(lost) if answer.is_ok() => Err(lost),
            _ => answer,
        }
    }

    fn happens_twice(&self, what: impl Debug) -> bool {
        let twice = self.chance(self.0.weather.twice);
        if twice {
            self.fault(what, "happens twice");
        }
        twice
    }

    /// Tells the programs that the log has grown, and where there is work; some do not hear it, and some hear it
    /// twice.
    fn hint(&self, hint: WorkHint) {
        for program in 0..self.0.programs {
            if self.draw(|dice| dice.chance(self.0.weather.hints_lost)) {
                continue;
            }
            for _ in 0..=usize::from(self.draw(|dice| dice.chance(10))) {
                let after = Duration::from_millis(self.draw(|dice| dice.below(6)));
                self.stage().agenda.after(after, Happening::Hint(program, hint));
            }
        }
    }

    /// Calls the outside.
    pub(crate) async fn outside<T>(
        &self,
        what: &'static str,
        effect: impl Fn() -> T + Send,
    ) -> Result<T, HandlerError> {
        let percent = self.0.weather.outside;
        self.travel().await;
        if self.chance(percent) {
            self.fault(what, "did not arrive");
            return Err(HandlerError::passing("the outside did not answer"));
        }
        let mut answer = effect();
        if self.happens_twice(what) {
            answer = effect();
        }
        if self.chance(percent) {
            if self.draw(|dice| dice.chance(50)) {
                self.fault(what, "was not answered");
                return Err(HandlerError::passing("the answer was lost"));
            }
            self.fault(what, "is answered late");
            let late = self.draw(|dice| dice.time_below(LATE_MAX));
            self.0.clock.sleep(late).await;
        }
        self.travel().await;
        Ok(answer)
    }
}

/// The ports of a store as a program reaches them.
#[derive(Clone)]
pub(crate) struct Reached<S> {
    pub(crate) network: Network,
    pub(crate) store: S,
}

fn uncertain(id: underlay_core::CommitId, error: &Error) -> Error {
    Error::Uncertain { id, reason: error.to_string() }
}

#[async_trait]
impl EventStoreLayer for Reached<Stores> {
    type Below = Over<Stores>;

    fn below(&self) -> Over<Stores> {
        Over(self.store.clone())
    }

    async fn before(&self, call: Call) -> Result<(), Error> {
        self.network.go(call, call.has_effect()).await
    }

    async fn after(&self, call: Call) -> Result<(), Error> {
        self.network.come_back(call, call.has_effect()).await
    }

    async fn commit(&self, tenant: &TenantId, mut commit: Commit) -> Result<Committed, Error> {
        let (network, stage, id) = (&self.network, self.network.stage(), commit.id);
        name_events(tenant, &mut commit);
        if let Err(error) = network.go(Call::Commit, true).await {
            let is_certain = network.draw(|dice| dice.chance(50));
            return Err(if is_certain { error } else { uncertain(id, &error) });
        }
        let again = network.happens_twice(Call::Commit).then(|| commit.clone());
        let wrote: Vec<String> =
            commit.writes.iter().map(|write| format!("{}+{}", write.stream, write.events.len())).collect();
        let sent = commit.work.len();
        let mut hint = WorkHint::default();
        hint.add(tenant, &commit.work);
        let committed = Over(self.store.clone()).commit(tenant, commit).await;
        if let Ok(committed) = &committed
            && !committed.repeated
        {
            let place = committed.position.number();
            let program = network.0.program;
            stage.tell(
                format_args!("#{program}"),
                format_args!("commit {tenant} {id} to {place}: {} sends {sent}", wrote.join(" ")),
            );
            stage.committed(tenant, id);
            network.hint(hint);
        }
        if let (Some(again), Ok(_)) = (again, &committed) {
            let again = Over(self.store.clone()).commit(tenant, again).await;
            if !again.as_ref().is_ok_and(|again| again.repeated) {
                stage.breach(
                    Promise::Once,
                    format_args!("commit {id} came twice, and was answered by {again:?}"),
                );
            }
        }
        match network.come_back(Call::Commit, true).await {
            Err(lost) if committed.is_ok() => Err(uncertain(id, &lost)),
            _ => committed,
        }
    }
}

#[async_trait]
impl WorkQueueLayer for Reached<Over<Stores>> {
    type Below = Over<Stores>;

    fn below(&self) -> &Over<Stores> {
        &self.store
    }

    fn around<T: Send>(
        &self,
        call: WorkCall,
        effect: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        self.network.around(call, effect)
    }

    async fn share(
        &self,
        worker: &Worker,
        duration: Duration,
        cursors: &[(Shard, underlay_core::LaneCursors)],
    ) -> Result<Share, Error> {
        let stage = self.network.stage();
        let effect = async {
            let twice = self.network.happens_twice(WorkCall::Share);
            let mut share = self.store.share(worker, duration, cursors).await?;
            if twice {
                share = self.store.share(worker, duration, cursors).await?;
            }
            let until = stage.agenda.now() + i64::try_from(duration.as_micros()).unwrap_or(0);
            stage.shared(&share.held, until);
            Ok(share)
        };
        self.network.around(WorkCall::Share, effect).await
    }

    async fn release(&self, terms: &[ShardTerm]) -> Result<(), Error> {
        let effect = async {
            self.store.release(terms).await?;
            self.network.stage().released(|term| terms.contains(term));
            Ok(())
        };
        self.network.around(WorkCall::Release, effect).await
    }

    async fn leave(&self, worker: &Worker) -> Result<(), Error> {
        let effect = async {
            self.store.leave(worker).await?;
            self.network.stage().released(|term| term.worker == worker.id);
            Ok(())
        };
        self.network.around(WorkCall::Leave, effect).await
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Shard>, Error> {
        let stage = self.network.stage();
        let effect = async {
            let twice = self.network.happens_twice(WorkCall::Settle);
            let lost = self.store.settle(settlements).await?;
            for settlement in settlements.iter().filter(|one| !lost.contains(&one.term.shard)) {
                stage.settled_under(settlement.term);
            }
            let program = self.network.0.program;
            let places: Vec<String> = settlements.iter().map(shown).collect();
            stage.tell(
                format_args!("#{program}"),
                format_args!("settle {}, lost {}", places.join(" "), lost.len()),
            );
            if twice {
                self.store.settle(settlements).await?;
            }
            Ok(lost)
        };
        self.network.around(WorkCall::Settle, effect).await
    }
}

fn shown(settlement: &Settlement) -> String {
    use underlay_core::Settled;
    let word = match settlement.settled {
        Settled::Done => "done",
        Settled::Retry { .. } => "retry",
        Settled::Held => "held",
        Settled::Dead { .. } => "dead",
    };
    format!("{}:{word}", settlement.place.number())
}

#[async_trait]
impl ReadModelsLayer for Reached<Rows> {
    type Below = Over<Rows>;

    fn below(&self) -> Over<Rows> {
        Over(self.store.clone())
    }

    async fn before(&self, call: RowsCall) -> Result<(), Error> {
        self.network.go(call, call == RowsCall::Apply).await
    }

    async fn after(&self, call: RowsCall) -> Result<(), Error> {
        self.network.come_back(call, call == RowsCall::Apply).await
    }

    async fn apply(&self, table: &ViewTable, batch: ViewBatch) -> Result<(), Error> {
        self.before(RowsCall::Apply).await?;
        let (lease, to) = (batch.lease.clone(), batch.to.position.number());
        let applied = Over(self.store.clone()).apply(table, batch).await;
        if applied.is_ok() {
            let (stage, program) = (self.network.stage(), self.network.0.program);
            if let Some(lease) = lease {
                stage.stored_under(&lease);
            }
            stage.tell(format_args!("#{program}"), format_args!("view {} to {to}", table.schema.name));
            self.after(RowsCall::Apply).await?;
        }
        applied
    }
}

#[async_trait]
impl SchedulesLayer for Reached<MemorySchedules> {
    type Below = MemorySchedules;

    fn below(&self) -> &MemorySchedules {
        &self.store
    }

    fn around<T: Send>(
        &self,
        call: SchedulesCall,
        effect: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        self.network.around(call, effect)
    }
}

#[async_trait]
impl CheckpointsLayer for Reached<MemoryCheckpoints> {
    type Below = MemoryCheckpoints;

    fn below(&self) -> &MemoryCheckpoints {
        &self.store
    }

    fn around<T: Send>(
        &self,
        call: CheckpointsCall,
        effect: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        self.network.around(call, effect)
    }

    async fn move_checkpoint(
        &self,
        name: &str,
        from: Option<&Checkpoint>,
        to: &StoredCheckpoint,
        lease: Option<&LeaseTerm>,
    ) -> Result<(), Error> {
        let (stage, program) = (self.network.stage(), self.network.0.program);
        let effect = async {
            underlay_core::Checkpoints::move_checkpoint(&self.store, name, from, to, lease).await?;
            if let Some(lease) = lease {
                stage.stored_under(lease);
            }
            let position = to.checkpoint.position.number();
            stage.tell(format_args!("#{program}"), format_args!("{name} to {position}"));
            Ok(())
        };
        self.network.around(CheckpointsCall::Move, effect).await
    }
}

/// What can be asked of leases.
#[derive(Clone, Copy, Debug)]
enum LeaseCall {
    Acquire,
    Renew,
    Find,
    Release,
}

impl Reached<MemoryLeases> {
    fn until(&self, duration: Duration) -> i64 {
        self.network.stage().agenda.now() + i64::try_from(duration.as_micros()).unwrap_or(0)
    }
}

#[async_trait]
impl Leases for Reached<MemoryLeases> {
    async fn acquire(&self, name: &str, holder: &str, duration: Duration) -> Result<Option<Lease>, Error> {
        self.network.go(LeaseCall::Acquire, true).await?;
        let lease = self.store.acquire(name, holder, duration).await?;
        if let Some(lease) = &lease {
            self.network.stage().leased(lease.term(), self.until(duration));
        }
        self.network.come_back(LeaseCall::Acquire, true).await?;
        Ok(lease)
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Lease, Error> {
        self.network.go(LeaseCall::Renew, true).await?;
        let renewed = self.store.renew(lease, duration).await?;
        self.network.stage().leased(renewed.term(), self.until(duration));
        self.network.come_back(LeaseCall::Renew, true).await?;
        Ok(renewed)
    }

    async fn find(&self, name: &str) -> Result<Option<Lease>, Error> {
        self.network.go(LeaseCall::Find, false).await?;
        let found = self.store.find(name).await?;
        self.network.come_back(LeaseCall::Find, false).await?;
        Ok(found)
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        self.network.go(LeaseCall::Release, true).await?;
        self.store.release(lease).await?;
        self.network.stage().lease_released(&lease.term());
        self.network.come_back(LeaseCall::Release, true).await
    }
}
