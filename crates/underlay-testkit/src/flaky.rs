use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use underlay_core::{Commit, Committed, Error, EventStore, TenantId, Wakeup, Wakeups};

use crate::{Call, EventStoreLayer};

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

/// A layer whose calls fail by a script, as calls over a network fail: [`Over`](crate::Over) makes an event
/// store of it.
///
/// Calls are counted by kind, from 1. A fault is bound to the kind and the number, so one script
/// fails the same calls again in every run.
#[derive(Debug)]
pub struct Flaky<S> {
    inner: Arc<S>,
    script: Mutex<Script>,
}

impl<S> Flaky<S> {
    /// A store that does not fail yet.
    pub fn new(inner: S) -> Self {
        Self { inner: Arc::new(inner), script: Mutex::default() }
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
impl<S: EventStore> EventStoreLayer for Flaky<S> {
    type Below = Arc<S>;

    fn below(&self) -> Arc<S> {
        self.inner.clone()
    }

    async fn before(&self, call: Call) -> Result<(), Error> {
        match self.fault(call) {
            Some(_) => Err(lost(call)),
            None => Ok(()),
        }
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
}

impl<S: Wakeups> Wakeups for Flaky<S> {
    fn subscribe(&self) -> Wakeup {
        self.inner.subscribe()
    }
}
