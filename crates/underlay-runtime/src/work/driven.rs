//! Work whose attempts a scheduler drives: a receiver that asks for the job and waits for what it comes to.
//!
//! ```text
//!  run ──► done ────────────────────────────────────────────► settled
//!   │ ├──► failed ──► tried again after the pause that was drawn, or given up where no attempt follows
//!   │ ├──► another program's, and none has come for a time ───► left, as it was
//!   │ └──► gone ──┬── not in the store, or dead there ──────► settled, which changes nothing
//!   │             └── alive there ──► a failure: whoever made the attempt sees another store
//!   └────► the scheduler is away: it waits, and nothing is counted
//! ```
//!
//! What happens when something fails: an attempt that is dropped ends the waiting, and not the job. Whoever asks for
//! it next is told what it came to. So a shard that is lost, a worker that ends and an answer that is lost cost one
//! more asking.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::{
    Attempts, Clock, CommitId, Error, Job, JobEnd, JobTask, NewWork, Scheduler, TenantId, Work, WorkKind,
    WorkQueue, WorkStanding,
};
use uuid::Uuid;

use super::anothers::Anothers;
use super::receiver::{Attempt, GivenUp, NotDone, Receiver};

/// The pause before a job is asked for again that nobody could be told of.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A receiver whose attempts a scheduler drives. The one behind it makes them, in whatever process.
pub(super) struct DrivenReceiver {
    pub(super) inner: Arc<dyn Receiver>,
    pub(super) scheduler: Arc<dyn Scheduler>,
    pub(super) queue: Arc<dyn WorkQueue>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) anothers: Arc<Anothers>,
}

impl DrivenReceiver {
    /// Looks at a piece that whoever made an attempt did not find. None where the store cannot say.
    async fn gone(&self, work: &Work) -> Option<Result<(), NotDone>> {
        match self.queue.find_work(&work.tenant, work.commit_id, work.place.in_commit()).await {
            Ok(None) => Some(Ok(())),
            // It is left as it is: what is dead cannot be settled.
            Ok(Some(found)) if matches!(found.standing, WorkStanding::Dead { .. }) => Some(Ok(())),
            Ok(Some(_)) => Some(Err(NotDone::passing(format!(
                "the workers of {} do not know this piece: does another installation use the same task queue? Give \
                 each its own",
                self.scheduler.identity()
            )))),
            Err(error) => {
                tracing::debug!(work = %work.id, %error, "the store cannot say whether a piece is gone");
                None
            }
        }
    }
}

#[async_trait]
impl Receiver for DrivenReceiver {
    /// The scheduler counts attempts and keeps their time.
    fn attempts(&self) -> Attempts {
        Attempts { attempts_max: u32::MAX, timeout: Duration::MAX, ..self.inner.attempts() }
    }

    fn holds_key(&self) -> bool {
        self.inner.holds_key()
    }

    fn reads(&self, work: &Work) -> bool {
        self.inner.reads(work)
    }

    fn traceparent(&self, work: &Work) -> Option<String> {
        self.inner.traceparent(work)
    }

    fn correlation_id(&self, work: &Work) -> Option<Uuid> {
        self.inner.correlation_id(work)
    }

    async fn attempt(&self, attempt: Attempt<'_>) -> Result<(), NotDone> {
        let work = attempt.work;
        let _shown = self.inner.show(work);
        let job = job_of(work, self.inner.correlation_id(work));
        let mut waiting = self.anothers.wait(work.id);
        loop {
            let end = tokio::select! {
                biased;
                end = self.scheduler.run(&job, attempt.number) => end?,
                reason = waiting.for_long(&*self.clock) => return Err(NotDone::anothers(reason)),
            };
            match end {
                JobEnd::Done => return Ok(()),
                JobEnd::Gone => {
                    if let Some(ended) = self.gone(work).await {
                        return ended;
                    }
                }
                JobEnd::Failed { reason, is_final, retry_in } => {
                    let is_last = retry_in.is_none();
                    return Err(NotDone { is_final, is_last, retry_in, ..NotDone::passing(reason) });
                }
                end => tracing::debug!(work = %work.id, ?end, "a job goes on, and is waited for"),
            }
            self.clock.sleep(ASK_AGAIN).await;
        }
    }

    async fn give_up(&self, work: &Work, reason: &str) -> Result<GivenUp, Error> {
        self.inner.give_up(work, reason).await
    }

    async fn buried(&self, work: &Work) -> Result<(), Error> {
        self.inner.buried(work).await
    }
}

/// The job that a piece of work is.
fn job_of(work: &Work, correlation_id: Option<Uuid>) -> Job {
    let mut job = job(&work.tenant, work.commit_id, work.place.in_commit(), &work.sent, correlation_id);
    // One that stood behind another is due at once, and its moment has come all the same.
    job.due_at = (work.sent.kind == WorkKind::Timer).then(|| work.sent.due_at.unwrap_or(work.sent_at));
    job
}

/// The job that a piece of work is which a commit sends. Only a timer has a moment: whatever else is asked for is due.
pub(super) fn job(
    tenant: &TenantId,
    commit: CommitId,
    number: u32,
    sent: &NewWork,
    correlation_id: Option<Uuid>,
) -> Job {
    Job {
        tenant: tenant.clone(),
        task: JobTask::Work { kind: sent.kind, commit, number },
        receiver: sent.receiver.clone(),
        key: sent.key.clone(),
        name: sent.name.clone(),
        lane: sent.lane,
        correlation_id,
        due_at: sent.due_at.filter(|_| sent.kind == WorkKind::Timer),
    }
}
