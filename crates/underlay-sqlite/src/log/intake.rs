//! Where callers leave their writes and the writer thread takes them.
//!
//! States: `Open` takes writes. `Broken` refuses them at once, while the writer tries to get the file
//! back. `Closing` refuses them, and the writer still does what waits. `Ended` refuses them for good.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use underlay_core::adapter::{
    Answer, BatchLimits, BatchQueue, CommitIntake, Outage, Reply, Request, Unanswered,
};
use underlay_core::{Commit, CommitId, EntityChange, Error, TenantId};

use crate::error::Failure;
use crate::log::unit_flight::{Unit, UnitAnswer};

/// What a write beside the log does inside its transaction.
pub(crate) type Change = Box<dyn FnOnce(&Connection) -> Result<(), Failure> + Send>;

/// Whether a write is flushed before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Yes: a power cut does not undo it.
    Now,
    /// With the next one that is. A power cut before that takes back all that was written since, and nothing
    /// of it alone.
    Later,
}

/// A write beside the log that waits: of views, work, leases, or what else the file keeps.
pub(crate) struct SideWrite {
    pub(crate) flush: Flush,
    pub(crate) change: Change,
    pub(crate) answer: oneshot::Sender<Result<(), Error>>,
    /// One of the places there are; given back when the write is done, also where nobody waits for it.
    pub(crate) place: OwnedSemaphorePermit,
}

/// What the writer does next: at most one group commit, in which units of entities are too, and one write beside the
/// log.
pub(crate) struct Turn {
    pub(crate) batch: Vec<Request>,
    pub(crate) units: Vec<Unit>,
    pub(crate) side_write: Option<SideWrite>,
}

/// What the writer is told by [`Intake::next`].
pub(crate) enum Next {
    /// There is work.
    Turn(Turn),
    /// None came for as long as was asked.
    Rested,
    /// It is closing, and nothing waits.
    Closed,
}

/// The place between callers and writer.
pub(crate) struct Intake {
    /// What was left here and has no answer.
    pub(crate) unanswered: Unanswered,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

struct Waiting {
    commits: CommitIntake,
    /// Units of entities, by the bounds of the commits.
    units: BatchQueue<oneshot::Sender<UnitAnswer>>,
    side_writes: VecDeque<SideWrite>,
    /// The writer sleeps, and nobody has called it yet.
    writer_sleeps: bool,
}

impl Intake {
    pub(crate) fn new(limits: BatchLimits) -> Self {
        let waiting = Waiting {
            commits: CommitIntake::new(limits.clone()),
            units: BatchQueue::new(limits),
            side_writes: VecDeque::new(),
            writer_sleeps: false,
        };
        Self { unanswered: Unanswered::default(), waiting: Mutex::new(waiting), changed: Condvar::new() }
    }

    /// Leaves a commit.
    ///
    /// # Errors
    /// `Unavailable` where the queue is full, or the state is not `Open`.
    pub(crate) fn push_commit(&self, tenant: TenantId, commit: Commit, reply: Reply) -> Result<(), Error> {
        let mut waiting = self.lock();
        waiting.commits.push(tenant, commit, reply)?;
        self.call_writer(waiting);
        Ok(())
    }

    /// Leaves a unit of entities; gives the place of its answer.
    ///
    /// # Errors
    /// As [`Intake::push_commit`].
    pub(crate) fn push_unit(
        &self,
        tenant: TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<oneshot::Receiver<UnitAnswer>, Error> {
        let (answer, answered) = oneshot::channel();
        let unit = Commit::new(CommitId::draw()).with_entities(changes);
        let mut waiting = self.lock();
        waiting.commits.check_open()?;
        waiting.units.push(tenant, unit, answer).map_err(|(error, _)| error)?;
        self.call_writer(waiting);
        Ok(answered)
    }

    /// Leaves a write beside the log. Their number is bounded by the caller.
    ///
    /// # Errors
    /// `Unavailable` where the state is not `Open`.
    pub(crate) fn push_side_write(&self, write: SideWrite) -> Result<(), Error> {
        let mut waiting = self.lock();
        waiting.commits.check_open()?;
        waiting.side_writes.push_back(write);
        self.call_writer(waiting);
        Ok(())
    }

    /// Waits for work, and where `rest` is given, at most as long.
    pub(crate) fn next(&self, rest: Option<Duration>) -> Next {
        let mut waiting = self.lock();
        loop {
            if !waiting.is_empty() {
                return Next::Turn(Turn {
                    batch: waiting.commits.take(),
                    units: waiting.units.take(),
                    side_write: waiting.side_writes.pop_front(),
                });
            }
            if !waiting.commits.is_open() {
                return Next::Closed;
            }
            let timed_out;
            (waiting, timed_out) = self.sleep(waiting, rest);
            if timed_out && waiting.is_empty() && waiting.commits.is_open() {
                return Next::Rested;
            }
        }
    }

    /// Sleeps until anything changes here, at most as long as is said; whether the time ran out.
    fn sleep<'w>(
        &self,
        mut waiting: MutexGuard<'w, Waiting>,
        most: Option<Duration>,
    ) -> (MutexGuard<'w, Waiting>, bool) {
        waiting.writer_sleeps = true;
        let timed_out;
        (waiting, timed_out) = match most {
            None => (self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner), false),
            Some(most) => {
                let waited = self.changed.wait_timeout(waiting, most);
                let (waiting, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                (waiting, waited.timed_out())
            }
        };
        waiting.writer_sleeps = false;
        (waiting, timed_out)
    }

    /// Tells the writer that something was left here. One that is awake sees it, so only one that sleeps is called,
    /// and once.
    fn call_writer(&self, mut waiting: MutexGuard<'_, Waiting>) {
        let sleeps = std::mem::take(&mut waiting.writer_sleeps);
        drop(waiting);
        if sleeps {
            self.changed.notify_one();
        }
    }

    /// Takes in what the commits of a batch were answered.
    pub(crate) fn learn<'a>(&self, answers: impl Iterator<Item = (&'a TenantId, &'a Answer)>) {
        self.lock().commits.learn(answers);
    }

    /// Refuses what comes and answers what waits, until [`Intake::mend`].
    pub(crate) fn break_down(&self, reason: &str) {
        let mut waiting = self.lock();
        let outage = Outage::new(reason);
        waiting.commits.break_down(&outage);
        waiting.refuse_others(&outage);
    }

    /// Takes writes again.
    pub(crate) fn mend(&self) {
        self.lock().commits.mend();
    }

    /// Waits at most `duration`, or until it is closing; whether it is.
    pub(crate) fn wait_for_closing(&self, duration: Duration) -> bool {
        let goes_on = |waiting: &mut Waiting| waiting.commits.goes_on();
        let (mut waiting, _) = self
            .changed
            .wait_timeout_while(self.lock(), duration, goes_on)
            .unwrap_or_else(PoisonError::into_inner);
        !goes_on(&mut waiting)
    }

    /// Waits at most `duration`, or until anything changes here; whether the time ran out.
    pub(crate) fn wait_for_change(&self, duration: Duration) -> bool {
        self.sleep(self.lock(), Some(duration)).1
    }

    /// Takes nothing more; what waits is still done.
    pub(crate) fn close(&self) {
        self.lock().commits.close();
        self.changed.notify_all();
    }

    /// Refuses what waits and all that comes: nobody is left to do it.
    pub(crate) fn end(&self) {
        let mut waiting = self.lock();
        waiting.commits.end();
        waiting.refuse_others(&Outage::ended());
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic while it is held leaves a queue that is whole: each change is one call.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.units.is_empty() && self.side_writes.is_empty()
    }

    /// Refuses all that waits beside commits.
    fn refuse_others(&mut self, outage: &Outage) {
        // A caller that has gone away needs no answer.
        for unit in self.units.drain() {
            unit.reply.send(Err(outage.error())).ok();
        }
        for write in self.side_writes.drain(..) {
            write.answer.send(Err(outage.error())).ok();
        }
    }
}
