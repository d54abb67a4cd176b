//! What a store takes in and what it refuses; every adapter with a committer keeps one behind its own lock
//! and signal.
//!
//! States: `Open` takes commits. `Broken` refuses them at once, while the committer tries to get its store
//! back. `Closing` refuses them, and the committer still does what waits. `Ended` refuses them for good.

use std::time::Duration;

use super::batch::{BatchLimits, BatchQueue};
use super::reply::{Answer, Reply, Request};
use crate::words::{Commit, Conflict, Error, TenantId};

/// Why a store takes nothing for now.
#[derive(Clone, Debug)]
pub struct Outage {
    /// In words.
    pub reason: String,
    /// When to try again, where that is known.
    pub retry_after: Option<Duration>,
    /// Whether the store is there and has no place left.
    pub overloaded: bool,
}

impl Outage {
    /// That nobody is left who writes.
    #[must_use]
    pub fn ended() -> Self {
        Self::new("the writer of this store has ended")
    }

    /// An outage of which nobody knows how long it takes.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None, overloaded: false }
    }

    /// As the answer to a call.
    #[must_use]
    pub fn error(&self) -> Error {
        Error::Unavailable {
            reason: self.reason.clone(),
            retry_after: self.retry_after,
            overloaded: self.overloaded,
        }
    }
}

/// The commits that wait, and whether more may come.
#[derive(Debug)]
pub struct CommitIntake {
    state: State,
    commits: BatchQueue<Reply>,
}

#[derive(Debug)]
enum State {
    Open,
    Broken(Outage),
    Closing,
    Ended,
}

impl CommitIntake {
    /// One that is open and empty.
    #[must_use]
    pub fn new(limits: BatchLimits) -> Self {
        Self { state: State::Open, commits: BatchQueue::new(limits) }
    }

    /// This one, telling conflicts in turns: see [`BatchQueue::telling_in_turns`].
    #[must_use]
    pub fn telling_in_turns(self) -> Self {
        Self { commits: self.commits.telling_in_turns(), ..self }
    }

    /// Puts the newest version into a conflict: whoever hears it may write next.
    pub fn renew(&self, tenant: &TenantId, conflict: &mut Conflict) {
        let newest = self.commits.version(tenant, &conflict.stream);
        if let Some(newest) = newest.filter(|newest| *newest > conflict.actual)
            && !conflict.expected.allows(newest)
        {
            conflict.actual = newest;
        }
    }

    /// Leaves a commit.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the queue is full, or it is not open.
    pub fn push(&mut self, tenant: TenantId, commit: Commit, reply: Reply) -> Result<(), Error> {
        self.check_open()?;
        self.commits.push(tenant, commit, reply).map_err(|(error, _)| error)
    }

    /// Whether no commit waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    /// The next batch; empty where nothing waits.
    pub fn take(&mut self) -> Vec<Request> {
        self.commits.take()
    }

    /// Takes in what the commits of a batch were answered.
    pub fn learn<'a>(&mut self, answers: impl Iterator<Item = (&'a TenantId, &'a Answer)>) {
        self.commits.learn(answers);
    }

    /// Refuses where it is not open.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with why.
    pub fn check_open(&self) -> Result<(), Error> {
        match &self.state {
            State::Open => Ok(()),
            State::Broken(outage) => Err(outage.error()),
            State::Closing => Err(Error::unavailable("the store is closing")),
            State::Ended => Err(Outage::ended().error()),
        }
    }

    /// Whether it takes commits.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether it takes commits, or will again.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        matches!(self.state, State::Open | State::Broken(_))
    }

    /// Refuses what comes and answers what waits, until [`CommitIntake::mend`].
    pub fn break_down(&mut self, outage: &Outage) {
        if self.goes_on() {
            self.state = State::Broken(outage.clone());
        }
        self.refuse(outage);
    }

    /// Takes commits again.
    pub fn mend(&mut self) {
        if matches!(self.state, State::Broken(_)) {
            self.state = State::Open;
        }
    }

    /// Takes nothing more; what waits is still done.
    pub fn close(&mut self) {
        if !matches!(self.state, State::Ended) {
            self.state = State::Closing;
        }
    }

    /// Refuses what waits and all that comes: nobody is left to do it.
    pub fn end(&mut self) {
        self.state = State::Ended;
        self.refuse(&Outage::ended());
    }

    fn refuse(&mut self, outage: &Outage) {
        for request in self.commits.drain() {
            request.reply.answer(Err(outage.error()));
        }
    }
}
