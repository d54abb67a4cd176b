use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use underlay_core::{
    Checkpoints, Commit, Committed, Entities, EntityChange, EntityVersion, Error, EventStore, Schedules,
    TenantId, Wakeup, Wakeups, WorkQueue, WorkWakeup,
};

use crate::{
    Call, CheckpointsCall, CheckpointsLayer, EntitiesCall, EntitiesLayer, EventStoreLayer, SchedulesCall,
    SchedulesLayer, WorkCall, WorkQueueLayer,
};

/// What became of a commit whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is in the log.
    Yes,
    /// It never arrived.
    No,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The call does not reach the port.
    Unavailable,
    /// It does, and its answer is lost.
    AnswerLost,
    /// The same of a commit, which says that it is uncertain.
    Uncertain(Stored),
}

/// A call that can fail by a script.
pub trait ScriptedCall: Copy + Debug + Eq + Hash + Send + Sync + 'static {
    /// What a seed tells the kinds of calls apart by.
    fn number(self) -> u64;

    /// Whether the call changes anything, so that a lost answer leaves its caller in doubt.
    fn has_effect(self) -> bool;
}

macro_rules! scripted {
    ($($call:ident: $($effect:ident)|+;)*) => {$(
        impl ScriptedCall for $call {
            fn number(self) -> u64 {
                self as u64
            }

            fn has_effect(self) -> bool {
                matches!(self, $(Self::$effect)|+)
            }
        }
    )*};
}

scripted! {
    Call: Commit;
    WorkCall: Share | Release | Leave | Settle | Replay | Discard;
    SchedulesCall: Put | Remove | Advance;
    CheckpointsCall: Move;
    EntitiesCall: Apply;
}

#[derive(Debug)]
struct Script<C> {
    faults: HashMap<(C, u64), Fault>,
    /// Seed and percentage.
    seeded: Option<(u64, u8)>,
    calls: HashMap<C, u64>,
    failed: u64,
}

/// A layer whose calls fail by a script, as calls over a network fail: [`Over`](crate::Over) makes an event
/// store of it, or the port that it was made for.
///
/// Calls are counted by kind, from 1. A fault is bound to the kind and the number, so one script
/// fails the same calls again in every run.
#[derive(Debug)]
pub struct Flaky<S, C = Call> {
    inner: Arc<S>,
    script: Mutex<Script<C>>,
}

impl<S> Flaky<S> {
    /// An event store that does not fail yet.
    pub fn new(inner: S) -> Self {
        Self::unscripted(inner)
    }

    /// Commit `number` is [`Error::Uncertain`]; `stored` says what became of it.
    #[must_use]
    pub fn uncertain(self, number: u64, stored: Stored) -> Self {
        self.lock().faults.insert((Call::Commit, number), Fault::Uncertain(stored));
        self
    }
}

impl<S> Flaky<S, WorkCall> {
    /// A work queue that does not fail yet.
    pub fn work_queue(inner: S) -> Self {
        Self::unscripted(inner)
    }
}

impl<S> Flaky<S, SchedulesCall> {
    /// Schedules that do not fail yet.
    pub fn schedules(inner: S) -> Self {
        Self::unscripted(inner)
    }
}

impl<S> Flaky<S, CheckpointsCall> {
    /// Checkpoints that do not fail yet.
    pub fn checkpoints(inner: S) -> Self {
        Self::unscripted(inner)
    }
}

impl<S> Flaky<S, EntitiesCall> {
    /// Entities that do not fail yet. Changes whose answer is lost are [`Error::unit_uncertain`].
    pub fn entities(inner: S) -> Self {
        Self::unscripted(inner)
    }
}

impl<S, C: ScriptedCall> Flaky<S, C> {
    fn unscripted(inner: S) -> Self {
        let script = Script { faults: HashMap::new(), seeded: None, calls: HashMap::new(), failed: 0 };
        Self { inner: Arc::new(inner), script: Mutex::new(script) }
    }

    /// Call `number` of a kind is [`Error::Unavailable`]; it does not reach the store.
    #[must_use]
    pub fn unavailable(self, call: C, number: u64) -> Self {
        self.lock().faults.insert((call, number), Fault::Unavailable);
        self
    }

    /// Call `number` of a kind reaches the store, which does what it is asked; its answer is lost, and the caller
    /// gets [`Error::Unavailable`]. Where the store says no, the caller hears it. A commit whose answer is lost is
    /// [uncertain](Self::uncertain).
    #[must_use]
    pub fn answer_lost(self, call: C, number: u64) -> Self {
        self.lock().faults.insert((call, number), Fault::AnswerLost);
        self
    }

    /// Of all calls, about `percent` in a hundred fail; the seed decides which and how. Calls that change
    /// nothing are only ever unavailable.
    #[must_use]
    pub fn seeded(self, seed: u64, percent: u8) -> Self {
        self.lock().seeded = Some((seed, percent));
        self
    }

    /// How many calls of a kind came so far.
    pub fn calls(&self, call: C) -> u64 {
        self.lock().calls.get(&call).copied().unwrap_or_default()
    }

    /// How many calls failed by the script so far.
    pub fn failed(&self) -> u64 {
        self.lock().failed
    }

    /// The store itself, which never fails.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn lock(&self) -> MutexGuard<'_, Script<C>> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, call: C) -> Option<Fault> {
        self.lock().next(call)
    }

    /// Runs a call as the script has it.
    async fn run<T>(
        &self,
        call: C,
        effect: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        match self.fault(call) {
            None => effect.await,
            Some(Fault::AnswerLost | Fault::Uncertain(Stored::Yes)) => {
                effect.await?;
                Err(lost(call))
            }
            Some(Fault::Unavailable | Fault::Uncertain(Stored::No)) => Err(lost(call)),
        }
    }
}

fn lost(call: impl Debug) -> Error {
    Error::unavailable(format!("the script lost a call of {call:?}"))
}

impl<C: ScriptedCall> Script<C> {
    fn next(&mut self, call: C) -> Option<Fault> {
        let number = self.calls.entry(call).or_default();
        *number += 1;
        let number = *number;
        let fault = self.faults.get(&(call, number)).copied().or_else(|| self.drawn(call, number));
        self.failed += u64::from(fault.is_some());
        fault
    }

    /// The fault the seed has for a call, whatever came before it.
    fn drawn(&self, call: C, number: u64) -> Option<Fault> {
        let (seed, percent) = self.seeded?;
        let drawn = scramble(scramble(seed ^ call.number()).wrapping_add(number));
        if drawn % 100 >= u64::from(percent) {
            return None;
        }
        Some(match (call.has_effect(), drawn / 100 % 3) {
            (true, 0) => Fault::AnswerLost,
            (true, 1) => Fault::Uncertain(Stored::No),
            _ => Fault::Unavailable,
        })
    }
}

/// Spreads a number over all 64 bits: neighbours share nothing.
fn scramble(number: u64) -> u64 {
    let mixed =
        (number ^ (number >> 32)).wrapping_add(0x5851_f42d_4c95_7f2d).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

#[async_trait]
impl<S: EventStore> EventStoreLayer for Flaky<S> {
    type Below = Arc<S>;

    fn below(&self) -> Arc<S> {
        self.inner.clone()
    }

    async fn before(&self, call: Call) -> Result<(), Error> {
        self.run(call, async { Ok(()) }).await
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        let id = commit.id;
        let uncertain = || Error::Uncertain { id, reason: "the script lost the answer".to_owned() };
        match self.fault(Call::Commit) {
            None => self.inner.commit(tenant, commit).await,
            Some(Fault::Unavailable) => Err(lost(Call::Commit)),
            Some(Fault::Uncertain(Stored::No)) => Err(uncertain()),
            Some(Fault::AnswerLost | Fault::Uncertain(Stored::Yes)) => {
                // An answer that says nothing was stored is no secret: only the acknowledgement is lost.
                self.inner.commit(tenant, commit).await?;
                Err(uncertain())
            }
        }
    }
}

impl<S: WorkQueue> WorkQueueLayer for Flaky<S, WorkCall> {
    type Below = S;

    fn below(&self) -> &S {
        &self.inner
    }

    fn around<T: Send>(
        &self,
        call: WorkCall,
        effect: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        self.run(call, effect)
    }
}

impl<S: Schedules> SchedulesLayer for Flaky<S, SchedulesCall> {
    type Below = S;

    fn below(&self) -> &S {
        &self.inner
    }

    fn around<T: Send>(
        &self,
        call: SchedulesCall,
        effect: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        self.run(call, effect)
    }
}

impl<S: Checkpoints> CheckpointsLayer for Flaky<S, CheckpointsCall> {
    type Below = S;

    fn below(&self) -> &S {
        &self.inner
    }

    fn around<T: Send>(
        &self,
        call: CheckpointsCall,
        effect: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        self.run(call, effect)
    }
}

#[async_trait]
impl<S: Entities> EntitiesLayer for Flaky<S, EntitiesCall> {
    type Below = S;

    fn below(&self) -> &S {
        &self.inner
    }

    fn around<T: Send>(
        &self,
        call: EntitiesCall,
        effect: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        self.run(call, effect)
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        match self.fault(EntitiesCall::Apply) {
            None => self.inner.apply(tenant, changes).await,
            Some(Fault::Unavailable) => Err(lost(EntitiesCall::Apply)),
            Some(Fault::Uncertain(Stored::No)) => Err(Error::unit_uncertain("the script lost the call")),
            Some(Fault::AnswerLost | Fault::Uncertain(Stored::Yes)) => {
                self.inner.apply(tenant, changes).await?;
                Err(Error::unit_uncertain("the script lost the answer"))
            }
        }
    }
}

impl<S: Wakeups> Wakeups for Flaky<S> {
    fn subscribe(&self) -> Wakeup {
        self.inner.subscribe()
    }

    fn subscribe_work(&self) -> WorkWakeup {
        self.inner.subscribe_work()
    }
}
