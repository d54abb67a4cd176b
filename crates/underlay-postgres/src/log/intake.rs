//! Where callers leave their commits and the committer takes them.
//!
//! States: `Open` takes commits. `Broken` refuses them at once, while the committer tries to reach the
//! server again. `Closing` refuses them, and the committer still does what waits. `Ended` refuses them
//! for good.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use underlay_core::adapter::{BatchLimits, CommitIntake, Outage, Reply, Request, Unanswered};
use underlay_core::{Clock, Commit, Error, TenantId};

use crate::error::RETRY_AFTER;
use crate::log::append::Verdict;

/// The place between callers and committer.
pub(crate) struct Intake {
    /// What was left here and has no answer.
    pub(crate) unanswered: Unanswered,
    waiting: Mutex<CommitIntake>,
    changed: Notify,
}

impl Intake {
    pub(crate) fn new(limits: BatchLimits) -> Self {
        let waiting = Mutex::new(CommitIntake::new(limits).telling_in_turns());
        Self { unanswered: Unanswered::default(), waiting, changed: Notify::new() }
    }

    /// Leaves a commit.
    ///
    /// # Errors
    /// `Unavailable` where the queue is full, or the state is not `Open`.
    pub(crate) fn push(&self, tenant: TenantId, commit: Commit, reply: Reply) -> Result<(), Error> {
        self.lock().push(tenant, commit, reply)?;
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for commits; `None` once it is closing and nothing waits.
    pub(crate) async fn next(&self) -> Option<Vec<Request>> {
        // Nobody else takes them, and what is broken has none.
        self.reached().await.then(|| self.lock().take())
    }

    /// Waits for commits, and leaves them there; false once it is closing and nothing waits.
    pub(crate) async fn reached(&self) -> bool {
        loop {
            {
                let waiting = self.lock();
                if !waiting.is_empty() {
                    return true;
                }
                if !waiting.is_open() {
                    return false;
                }
            }
            // A push between the look and the wait leaves a permit, so it is not missed.
            self.changed.notified().await;
        }
    }

    /// Takes in what the commits of a batch are answered, and puts into each conflict the version that was stored beside
    /// it, or since.
    pub(crate) fn learn(&self, batch: &[Request], verdicts: &mut [Verdict]) {
        let mut waiting = self.lock();
        let answers = batch.iter().zip(&*verdicts).filter_map(|(request, verdict)| match verdict {
            Verdict::Answered(answer) => Some((&request.tenant, answer)),
            Verdict::Known => None,
        });
        waiting.learn(answers);
        for (request, verdict) in batch.iter().zip(verdicts) {
            if let Verdict::Answered(Err(Error::Conflict(conflict))) = verdict {
                waiting.renew(&request.tenant, conflict);
            }
        }
    }

    /// Refuses what comes and answers what waits, until [`Intake::mend`].
    pub(crate) fn break_down(&self, outage: &Outage) {
        self.lock().break_down(outage);
    }

    /// Takes commits again.
    pub(crate) fn mend(&self) {
        self.lock().mend();
    }

    /// Waits, at most `duration`; false once it is closing.
    pub(crate) async fn pause(&self, clock: &dyn Clock, duration: Duration) -> bool {
        let goes_on = || self.lock().goes_on();
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
        self.lock().close();
        self.changed.notify_one();
    }

    /// Refuses what waits and all that comes: nobody is left to do it.
    pub(crate) fn end(&self) {
        self.lock().end();
    }

    fn lock(&self) -> MutexGuard<'_, CommitIntake> {
        // A panic while it is held leaves a queue that is whole: each change is one call.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That the server is away, or has no place left.
pub(crate) fn outage(reason: impl Into<String>, overloaded: bool) -> Outage {
    Outage { reason: reason.into(), retry_after: Some(RETRY_AFTER), overloaded }
}
