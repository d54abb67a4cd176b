use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use underlay_core::{
    Commit, CommitId, Committed, Error, EventId, EventStore, LogFilter, LogPage, LogScope, Position,
    RecordedCommit, StoreId, StreamName, StreamPage, TenantId, Timestamp, Underway, Version, Wakeup, Wakeups,
};

/// A call of an event store that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`EventStore::commit`].
    Commit,
    /// [`EventStore::find_commit`].
    FindCommit,
    /// [`EventStore::read_stream`].
    ReadStream,
    /// [`EventStore::read_all`].
    ReadAll,
    /// [`EventStore::versions`].
    Versions,
    /// [`EventStore::head`].
    Head,
    /// [`EventStore::position_at`].
    PositionAt,
    /// [`EventStore::event_id_at`].
    EventIdAt,
}

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
    Unavailable,
    Uncertain(Stored),
}

#[derive(Debug, Default)]
struct Script {
    faults: HashMap<(Call, u64), Fault>,
    /// Seed and percentage.
    seeded: Option<(u64, u8)>,
    calls: HashMap<Call, u64>,
    failed: u64,
}

/// An event store whose calls fail by a script, as calls over a network fail.
///
/// Calls are counted by kind, from 1. A fault is bound to the kind and the number, so one script
/// fails the same calls again in every run.
#[derive(Debug)]
pub struct Flaky<S> {
    inner: S,
    script: Mutex<Script>,
}

impl<S> Flaky<S> {
    /// A store that does not fail yet.
    pub fn new(inner: S) -> Self {
        Self { inner, script: Mutex::default() }
    }

    /// Call `number` of a kind is [`Error::Unavailable`]; it does not reach the store.
    #[must_use]
    pub fn unavailable(self, call: Call, number: u64) -> Self {
        self.lock().faults.insert((call, number), Fault::Unavailable);
        self
    }

    /// Commit `number` is [`Error::Uncertain`]; `stored` says what became of it.
    #[must_use]
    pub fn uncertain(self, number: u64, stored: Stored) -> Self {
        self.lock().faults.insert((Call::Commit, number), Fault::Uncertain(stored));
        self
    }

    /// Of all calls, about `percent` in a hundred fail; the seed decides which and how. Reads are only
    /// ever unavailable.
    #[must_use]
    pub fn seeded(self, seed: u64, percent: u8) -> Self {
        self.lock().seeded = Some((seed, percent));
        self
    }

    /// How many calls of a kind came so far.
    pub fn calls(&self, call: Call) -> u64 {
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

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, call: Call) -> Option<Fault> {
        self.lock().next(call)
    }

    fn arrives(&self, call: Call) -> Result<(), Error> {
        match self.fault(call) {
            Some(_) => Err(lost(call)),
            None => Ok(()),
        }
    }
}

fn lost(call: Call) -> Error {
    Error::unavailable(format!("the script lost a call of {call:?}"))
}

impl Script {
    fn next(&mut self, call: Call) -> Option<Fault> {
        let number = self.calls.entry(call).or_default();
        *number += 1;
        let number = *number;
        let fault = self.faults.get(&(call, number)).copied().or_else(|| self.drawn(call, number));
        self.failed += u64::from(fault.is_some());
        fault
    }

    /// The fault the seed has for a call, whatever came before it.
    fn drawn(&self, call: Call, number: u64) -> Option<Fault> {
        let (seed, percent) = self.seeded?;
        let drawn = scramble(scramble(seed ^ call as u64).wrapping_add(number));
        if drawn % 100 >= u64::from(percent) {
            return None;
        }
        Some(match (call, drawn / 100 % 3) {
            (Call::Commit, 0) => Fault::Uncertain(Stored::Yes),
            (Call::Commit, 1) => Fault::Uncertain(Stored::No),
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
impl<S: EventStore> EventStore for Flaky<S> {
    fn store_id(&self) -> StoreId {
        self.inner.store_id()
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        let id = commit.id;
        let uncertain = || Error::Uncertain { id, reason: "the script lost the answer".to_owned() };
        match self.fault(Call::Commit) {
            None => self.inner.commit(tenant, commit).await,
            Some(Fault::Unavailable) => Err(lost(Call::Commit)),
            Some(Fault::Uncertain(Stored::No)) => Err(uncertain()),
            Some(Fault::Uncertain(Stored::Yes)) => {
                // An answer that says nothing was stored is no secret: only the acknowledgement is lost.
                self.inner.commit(tenant, commit).await?;
                Err(uncertain())
            }
        }
    }

    async fn find_commit(&self, tenant: &TenantId, id: CommitId) -> Result<Option<RecordedCommit>, Error> {
        self.arrives(Call::FindCommit)?;
        self.inner.find_commit(tenant, id).await
    }

    fn underway(&self, tenant: &TenantId, id: CommitId) -> Option<Underway> {
        self.inner.underway(tenant, id)
    }

    async fn read_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<StreamPage, Error> {
        self.arrives(Call::ReadStream)?;
        self.inner.read_stream(tenant, stream, after, limit).await
    }

    async fn read_all(
        &self,
        scope: &LogScope,
        after: Position,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<LogPage, Error> {
        self.arrives(Call::ReadAll)?;
        self.inner.read_all(scope, after, filter, limit).await
    }

    async fn versions(&self, tenant: &TenantId, streams: &[StreamName]) -> Result<Vec<Version>, Error> {
        self.arrives(Call::Versions)?;
        self.inner.versions(tenant, streams).await
    }

    async fn head(&self) -> Result<Position, Error> {
        self.arrives(Call::Head)?;
        self.inner.head().await
    }

    async fn position_at(&self, time: Timestamp) -> Result<Position, Error> {
        self.arrives(Call::PositionAt)?;
        self.inner.position_at(time).await
    }

    async fn event_id_at(&self, position: Position) -> Result<Option<EventId>, Error> {
        self.arrives(Call::EventIdAt)?;
        self.inner.event_id_at(position).await
    }
}

impl<S: Wakeups> Wakeups for Flaky<S> {
    fn subscribe(&self) -> Wakeup {
        self.inner.subscribe()
    }
}
