use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::words::limits::LEASE_NAME_BYTES_MAX;
use crate::words::{CommitId, Error, Lane, TenantId, Timestamp, WorkId, WorkKind};

/// Something to do, as a scheduler knows it: what it is called, and what people search for. What it is about stays in
/// the store. Schedulers keep it as JSON for as long as the job takes, so fields are added only with a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Whose it is.
    pub tenant: TenantId,
    /// What is done.
    pub task: JobTask,
    /// Who does it: the name of a handler, of a category, of an operation or of a process. Of a schedule it is what the
    /// schedule is for.
    pub receiver: String,
    /// Jobs of one tenant, receiver and key are done one at a time. Of a schedule it is its name.
    pub key: String,
    /// What it is called: the type of a message, the name of a command, a timer or a schedule.
    pub name: String,
    /// What goes first.
    pub lane: Lane,
    /// What it belongs to.
    pub correlation_id: Option<Uuid>,
    /// The moment it waits for; none where it is due at once.
    pub due_at: Option<Timestamp>,
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobTask {
    /// A piece of work.
    Work {
        /// What it is.
        kind: WorkKind,
        /// The commit that sent it.
        commit: CommitId,
        /// Its place there, from 0.
        number: u32,
    },
    /// A schedule that is due.
    Schedule {
        /// The revision it was put with.
        revision: u64,
        /// The moment.
        moment: Timestamp,
    },
}

impl Job {
    /// What tells it from all other jobs of its tenant: it follows from the job alone. No more than 200 bytes.
    #[must_use]
    pub fn id(&self) -> String {
        match &self.task {
            JobTask::Work { commit, number, .. } => WorkId::of(&self.tenant, *commit, *number).to_string(),
            JobTask::Schedule { revision, moment } => {
                format!("schedule/{}/{revision}/{}", self.key, moment.as_microsecond())
            }
        }
    }

    /// The word for what it does: that of [`WorkKind::name`], or `schedule`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.task {
            JobTask::Work { kind, .. } => kind.name(),
            JobTask::Schedule { .. } => "schedule",
        }
    }
}

/// What an attempt at a job, or the job itself, came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobEnd {
    /// It is done.
    Done,
    /// The store has no such job, or has it no more: somebody else did it, or it was given up.
    Gone,
    /// The attempt failed.
    Failed {
        /// Why. People of the tenant read it.
        reason: String,
        /// Whether no other attempt can succeed.
        is_final: bool,
        /// The pause before the next attempt; none where no other follows.
        retry_in: Option<Duration>,
    },
    /// This program cannot do it, and another may. It is no failure.
    Anothers {
        /// Why.
        reason: String,
    },
    /// Its line is not free: it is begun again once it is said to be due.
    Waits,
}

/// One attempt at a job.
#[derive(Debug)]
pub struct JobAttempt<'a> {
    /// The job.
    pub job: &'a Job,
    /// Which attempt it is, from 1.
    pub number: u32,
    /// Whether whoever holds its line had it begun. Otherwise its moment has come by the scheduler's own clock, and
    /// it must look whether its line is free.
    pub is_due: bool,
    /// Tells the scheduler that it goes on.
    pub heartbeats: &'a Notify,
}

/// Makes attempts at jobs: the engine does.
#[async_trait]
pub trait JobRunner: Send + Sync + 'static {
    /// Makes one attempt. It never takes longer than its own time without a heartbeat. Dropping it ends it at the point
    /// where it waits; made again, it decides nothing twice.
    async fn attempt(&self, attempt: JobAttempt<'_>) -> JobEnd;

    /// How long an attempt at a job may go on without a heartbeat.
    fn timeout(&self, job: &Job) -> Duration;
}

/// Checks the identity of a scheduler.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_scheduler(identity: &str) -> Result<(), Error> {
    if identity.is_empty() || identity.len() > LEASE_NAME_BYTES_MAX || identity.contains('\0') {
        return Err(Error::invalid(format!(
            "the identity of a scheduler has 1 to LEASE_NAME_BYTES_MAX = {LEASE_NAME_BYTES_MAX} bytes and no NUL, this \
             one has {}",
            identity.len()
        )));
    }
    Ok(())
}

/// Has jobs done: it begins each once, in whatever process, drives its attempts and its pauses, and says what it came
/// to. The store stays the truth: what a job is about is read there at each attempt, and it is done only when that is
/// stored there. A scheduler may forget everything, and then a job is begun anew.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *However often a job is asked for, at once or one after another, it is begun once, and all are told what it came to.* `a_job_is_begun_once`
/// 2. *An attempt that fails is told to whoever waits, with its reason; the next follows after its pause, without being asked for, until one is the last.* `a_failed_attempt_is_told_and_followed`
/// 3. *After the last attempt no other follows, until the job is asked for with attempt 1 again.* `a_job_that_failed_is_begun_again_from_its_first_attempt`
/// 4. *Who stops waiting ends nothing: the job goes on, and whoever asks next is told what it came to.* `who_stops_waiting_ends_nothing`
/// 5. *An attempt that ends with its process is made again in another.* `an_attempt_of_a_process_that_ends_is_made_again`
/// 6. *A job that is to wait is begun after its time, or as soon as it is asked for; both begin it once.* `a_job_that_waits_is_begun_once`
/// 7. *A job whose line is not free waits until it is asked for.* `a_job_whose_line_is_not_free_waits`
/// 8. *What another program is to do goes on until one can.* `what_is_anothers_goes_on`
/// 9. *An attempt that gives heartbeats goes on beyond its time.* `heartbeats_keep_an_attempt`
/// 10. *Stopping ends what serves once the attempts that go on have ended, or their grace is over.* `stopping_ends_serving`
/// 11. *A job that was gone is begun anew where it is asked for again.* `a_job_that_was_gone_is_begun_anew`
#[async_trait]
pub trait Scheduler: Send + Sync + 'static {
    /// What tells it from another in whose hands jobs may be: it is the same in every process of an installation. 1 to
    /// [`LEASE_NAME_BYTES_MAX`] bytes; see [`check_scheduler`].
    fn identity(&self) -> &str;

    /// Has a job done and waits for what its attempt comes to, or one before it that nobody was told of. A job that was
    /// begun before is waited for. It waits as long as the scheduler cannot be reached; dropping it ends the waiting, and
    /// not the job. `number` is the attempt that is next as the store counts, from 1.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the scheduler refuses the job itself.
    async fn run(&self, job: &Job, number: u32) -> Result<JobEnd, Error>;

    /// Has a job begun after a time, unless it was begun before, and waits for nothing else. Where it fails nothing is
    /// lost: whoever holds the job asks for it when it is due.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Invalid`] where the scheduler refuses the job itself.
    async fn later(&self, job: &Job, delay: Duration) -> Result<(), Error>;

    /// Lets this process make attempts, until it is stopped: it is told so, or nobody is left who could tell it.
    ///
    /// # Errors
    /// What ended it before that.
    async fn serve(&self, runner: Arc<dyn JobRunner>, stop: watch::Receiver<bool>) -> Result<(), Error>;

    /// Asks whether it can be reached and used.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Invalid`] with what is wrong and what would be right.
    async fn check(&self) -> Result<(), Error>;
}
