//! Where callers leave their commits and the committer takes them.
//!
//! States: `Open` takes commits. `Broken` refuses them at once, while the committer tries to reach the
//! server again. `Closing` refuses them, and the committer still does what waits. `Ended` refuses them
//! for good.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use underlay_core::adapter::{BatchLimits, BatchQueue, Queued, Ticket, Unanswered};
use underlay_core::{Clock, Commit, Committed, Error, Fingerprint, Json, TenantId};

use crate::error::RETRY_AFTER;

/// A commit that waits, with what was prepared of it and the place of its answer.
pub(crate) type Request = Queued<Reply>;

/// What a commit is answered, once it is durable.
pub(crate) type Answer = Result<Committed, Error>;

/// What a commit carries beside itself.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) metadata: Json,
    pub(crate) answer: oneshot::Sender<Answer>,
    /// Says that there is no answer yet, to who asks by the id.
    pub(crate) ticket: Ticket,
}

impl Reply {
    pub(crate) fn answer(self, answer: Answer) {
        // Before the caller goes on: from then on the commit is not under way.
        drop(self.ticket);
        // A caller that has gone away needs no answer.
        self.answer.send(answer).ok();
    }
}

/// The place between callers and committer.
pub(crate) struct Intake {
    /// What was left here and has no answer.
    pub(crate) unanswered: Unanswered,
    waiting: Mutex<Waiting>,
    changed: Notify,
}

struct Waiting {
    state: State,
    commits: BatchQueue<Reply>,
}

enum State {
    Open,
    Broken { reason: String, overloaded: bool },
    Closing,
    Ended,
}

impl Intake {
    pub(crate) fn new(limits: BatchLimits) -> Self {
        let waiting = Waiting { state: State::Open, commits: BatchQueue::new(limits) };
        Self { unanswered: Unanswered::default(), waiting: Mutex::new(waiting), changed: Notify::new() }
    }

    /// Leaves a commit.
    ///
    /// # Errors
    /// `Unavailable` where the queue is full, or the state is not `Open`.
    pub(crate) fn push(&self, tenant: TenantId, commit: Commit, reply: Reply) -> Result<(), Error> {
        let mut waiting = self.lock();
        waiting.check_open()?;
        waiting.commits.push(tenant, commit, reply).map_err(|(error, _)| error)?;
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for commits; `None` once it is closing and nothing waits.
    pub(crate) async fn next(&self) -> Option<Vec<Request>> {
        loop {
            {
                let mut waiting = self.lock();
                if !waiting.commits.is_empty() {
                    return Some(waiting.commits.take());
                }
                if !matches!(waiting.state, State::Open) {
                    return None;
                }
            }
            // A push between the look and the wait leaves a permit, so it is not missed.
            self.changed.notified().await;
        }
    }

    /// Takes in what the commits of a batch were answered.
    pub(crate) fn learn<'a>(&self, answers: impl Iterator<Item = (&'a TenantId, &'a Answer)>) {
        self.lock().commits.learn(answers);
    }

    /// Refuses what comes and answers what waits, until [`Intake::mend`].
    pub(crate) fn break_down(&self, reason: &str, overloaded: bool) {
        let mut waiting = self.lock();
        if matches!(waiting.state, State::Open | State::Broken { .. }) {
            waiting.state = State::Broken { reason: reason.to_owned(), overloaded };
        }
        waiting.refuse(reason, overloaded);
    }

    /// Takes commits again.
    pub(crate) fn mend(&self) {
        let mut waiting = self.lock();
        if matches!(waiting.state, State::Broken { .. }) {
            waiting.state = State::Open;
        }
    }

    /// Waits, at most `duration`; false once it is closing.
    pub(crate) async fn pause(&self, clock: &dyn Clock, duration: Duration) -> bool {
        let goes_on = || matches!(self.lock().state, State::Open | State::Broken { .. });
        let closed = async {
            while goes_on() {
                self.changed.notified().await;
            }
        };
        tokio::select! {
            () = clock.sleep(duration) => goes_on(),
            () = closed => false,
        }
    }

    /// Takes nothing more; what waits is still done.
    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        if !matches!(waiting.state, State::Ended) {
            waiting.state = State::Closing;
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Refuses what waits and all that comes: nobody is left to do it.
    pub(crate) fn end(&self) {
        let mut waiting = self.lock();
        waiting.state = State::Ended;
        waiting.refuse("the committer of this store has ended", false);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic while it is held leaves a queue that is whole: each change is one call.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn check_open(&self) -> Result<(), Error> {
        match &self.state {
            State::Open => Ok(()),
            State::Broken { reason, overloaded } => Err(unavailable(reason, *overloaded)),
            State::Closing => Err(Error::unavailable("the store is closing")),
            State::Ended => Err(Error::unavailable("the committer of this store has ended")),
        }
    }

    fn refuse(&mut self, reason: &str, overloaded: bool) {
        for request in self.commits.drain() {
            request.reply.answer(Err(unavailable(reason, overloaded)));
        }
    }
}

/// That the server is away, or has no place left.
pub(crate) fn unavailable(reason: &str, overloaded: bool) -> Error {
    Error::Unavailable { reason: reason.to_owned(), retry_after: Some(RETRY_AFTER), overloaded }
}
