//! Makes the attempts that a scheduler asks for, in whatever process it asks.
//!
//! ```text
//!  find the piece ──► not there, or given up ──────────────────────► gone
//!        │ ├────────► the store does not answer, this process has no part in the work, or nobody here can do it
//!        │ │            ──► another's: it is no failure
//!        │ ├────────► its moment came by the scheduler's clock, and its line is not free ──► waits
//!        │ └────────► begun too often without an end ─────────────► failed for good
//!        └──► attempt ──┬──► done, or failed, with the pause before the next
//!                       └──► the work is with another scheduler meanwhile ──► another's
//! ```
//!
//! What it comes to is a value: what becomes of the piece is stored by whoever holds its shard. An attempt that is made
//! twice decides once, as what it decides is stored under an id that derives from the piece.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{
    Clock, Error, Job, JobAttempt, JobEnd, JobRunner, JobTask, Work, WorkFilter, WorkInfo, WorkKind,
    WorkPlace, WorkQueue, WorkStanding,
};

use super::anothers::Anothers;
use super::attempt::{Trying, attempts_of, pause};
use super::receiver::{NotDone, Receiver, Receivers};
use super::serving::Beside;
use crate::schedules::Timetable;
use crate::traces::Tracer;

/// How long it is waited for the store to find a piece, before its attempt begins.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// Makes attempts with the receivers of this process.
pub(super) struct Attempting {
    pub(super) queue: Arc<dyn WorkQueue>,
    pub(super) receivers: Arc<Receivers>,
    pub(super) timetable: Arc<Timetable>,
    pub(super) beside: Beside,
    pub(super) anothers: Arc<Anothers>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tracer: Tracer,
}

#[async_trait]
impl JobRunner for Attempting {
    async fn attempt(&self, attempt: JobAttempt<'_>) -> JobEnd {
        match self.look_in_time(&attempt).await {
            Ok(Looked::Work(work, receiver)) => tokio::select! {
                biased;
                end = self.attempt_work(&attempt, &work, receiver) => end,
                () = self.beside.withdrawn() => not_shared(),
            },
            Ok(Looked::Schedule) => self.timetable.attempt(attempt.job, attempt.number).await,
            Ok(Looked::Ended(end)) => end,
            // The store is asked by whoever can reach it, and until then nothing is counted.
            Err(error) => {
                tracing::warn!(job = attempt.job.id(), tenant = %attempt.job.tenant, %error,
                    "an attempt waits for the store");
                JobEnd::Anothers { reason: error.for_tenant() }
            }
        }
    }

    fn timeout(&self, job: &Job) -> Duration {
        let of_attempt = match &job.task {
            JobTask::Work { kind, .. } => {
                let receiver = self.receivers.named(*kind, &job.receiver);
                receiver.and_then(|receiver| attempts_of(&**receiver).ok()).unwrap_or_default().timeout
            }
            _ => Timetable::ATTEMPT_MAX,
        };
        of_attempt.saturating_add(LOOK_MAX)
    }
}

/// What there is of a job.
enum Looked<'r> {
    Work(Box<Work>, &'r Arc<dyn Receiver>),
    Schedule,
    Ended(JobEnd),
}

impl Attempting {
    async fn look_in_time(&self, attempt: &JobAttempt<'_>) -> Result<Looked<'_>, Error> {
        tokio::select! {
            biased;
            looked = self.look(attempt) => looked,
            () = self.clock.sleep(LOOK_MAX) => {
                Err(Error::unavailable(format!("the store did not answer within {LOOK_MAX:?}")))
            }
        }
    }

    async fn look(&self, attempt: &JobAttempt<'_>) -> Result<Looked<'_>, Error> {
        let Job { tenant, task, .. } = attempt.job;
        let (commit, number) = match task {
            JobTask::Work { commit, number, .. } => (*commit, *number),
            JobTask::Schedule { .. } => return Ok(Looked::Schedule),
            _ => {
                let reason = "this program does not know such a job; one that is newer does".to_owned();
                return Ok(Looked::Ended(JobEnd::Anothers { reason }));
            }
        };
        if !self.beside.permits(self.clock.now()) {
            return Ok(Looked::Ended(not_shared()));
        }
        let Some(WorkInfo { work, standing }) = self.queue.find_work(tenant, commit, number).await? else {
            return Ok(Looked::Ended(JobEnd::Gone));
        };
        if matches!(standing, WorkStanding::Dead { .. }) {
            return Ok(Looked::Ended(JobEnd::Gone));
        }
        let Some(receiver) = self.receivers.of(&work) else {
            let (kind, receiver) = (work.sent.kind.name(), &work.sent.receiver);
            let reason = format!("this program cannot do a {kind} for {receiver}; one that is newer can");
            self.anothers.note(work.id, &reason);
            return Ok(Looked::Ended(JobEnd::Anothers { reason }));
        };
        let waits = work.sent.kind == WorkKind::Timer && !attempt.is_due;
        if waits && !self.is_line_free(&work).await? {
            return Ok(Looked::Ended(JobEnd::Waits));
        }
        Ok(Looked::Work(Box::new(work), receiver))
    }

    /// Whether nothing else of the line of a piece is to be done before it. Of a line that is longer than a page,
    /// nobody looks at the rest: it waits for whoever holds it.
    async fn is_line_free(&self, work: &Work) -> Result<bool, Error> {
        let filter = |dead| WorkFilter {
            tenant: Some(work.tenant.clone()),
            dead,
            holds: dead,
            kind: None,
            receiver: Some(work.sent.receiver.clone()),
            key: Some(work.sent.key.clone()),
        };
        if !self.queue.list_work(&filter(true), WorkPlace::START, 1).await?.work.is_empty() {
            return Ok(false);
        }
        let line = self.queue.list_work(&filter(false), WorkPlace::START, WORK_PAGE_MAX).await?;
        let now = self.clock.now();
        let is_before = |other: &WorkInfo| match other.standing {
            // What was tried and waits for its next attempt blocks the line; what waits for its moment does not.
            WorkStanding::Later => {
                other.work.attempts > 0 || other.work.sent.due_at.is_none_or(|due_at| due_at <= now)
            }
            _ => true,
        };
        Ok(line.at_end && !line.work.iter().any(|other| other.work.id != work.id && is_before(other)))
    }

    async fn attempt_work(
        &self,
        attempt: &JobAttempt<'_>,
        work: &Work,
        receiver: &Arc<dyn Receiver>,
    ) -> JobEnd {
        let number = attempt.number;
        let trying = Trying {
            receiver: &**receiver,
            work,
            number,
            heard: Some(attempt.heartbeats),
            clock: &*self.clock,
            tracer: &self.tracer,
        };
        match trying.run().await {
            (_, Ok(())) => JobEnd::Done,
            (_, Err(NotDone { is_anothers: true, reason, .. })) => {
                self.anothers.note(work.id, &reason);
                JobEnd::Anothers { reason }
            }
            (attempts, Err(NotDone { reason, is_final, .. })) => {
                let follows = !is_final && number < attempts.attempts_max;
                let retry_in = follows.then(|| pause(work.id, number, &attempts));
                JobEnd::Failed { reason, is_final, retry_in }
            }
        }
    }
}

/// What becomes of an attempt that this process may not make.
fn not_shared() -> JobEnd {
    let reason = "this process does not share the work at the moment; one that does can do it".to_owned();
    JobEnd::Anothers { reason }
}
