use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use temporalio_client::tonic::{Code, Status};
use temporalio_common::protos::temporal::api::enums::v1::WorkflowIdReusePolicy;
use tokio::sync::watch;
use underlay_core::ports::{Clock, Job, JobEnd, JobRunner, JobTask, Scheduler, SystemClock};
use underlay_core::words::Error;
use uuid::Uuid;

use crate::address::TemporalAddress;
use crate::answers::{self, Answers};
use crate::client::{Client, may_pass};
use crate::job::{HEARTBEAT_MAX, JobInput};
use crate::options::{ApiKey, TemporalOptions};
use crate::router::Way;
use crate::start::{Close, Stands, Start, Started, Trouble};
use crate::worker::Serving;

/// The first and the longest pause before the server is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// The pause before a job is begun again that somebody ended by hand.
const BY_HAND_PAUSE: Duration = Duration::from_secs(1);

/// Has jobs done as workflows of a Temporal server.
pub struct Temporal {
    identity: String,
    pub(crate) client: Arc<Client>,
    answers: Arc<Answers>,
    options: TemporalOptions,
}

impl fmt::Debug for Temporal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Temporal")
            .field("address", &self.client.address)
            .field("options", &self.options)
            .finish()
    }
}

impl Temporal {
    /// A scheduler on a server. It connects when it is first needed; `check` says whether it can.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a file for TLS cannot be read, an API key would be sent in the open, or no job could take
    /// a route.
    pub fn open(address: &TemporalAddress, options: TemporalOptions) -> Result<Self, Error> {
        options.router.check()?;
        Ok(Self {
            identity: address.identity(),
            client: Arc::new(Client::new(address, &options)?),
            answers: Arc::default(),
            options,
        })
    }

    /// The connection, for a worker and for workflows of one's own.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the server is not reached, [`Error::Invalid`] where it cannot be used.
    pub async fn client(&self) -> Result<temporalio_client::Client, Error> {
        self.client.connected().await
    }

    /// Uses another API key from now on: keys run out.
    pub async fn set_api_key(&self, key: ApiKey) {
        self.client.set_api_key(key).await;
    }

    /// The id of a job's workflow, by which everybody finds the same.
    fn workflow_id(&self, job: &Job) -> String {
        format!("{}/{}/{}", self.client.address.task_queue, job.tenant.as_str(), job.id())
    }

    fn start<'a>(&self, id: &'a str, job: &Job, way: &'a Way) -> Start<'a> {
        let input = JobInput {
            job: job.clone(),
            number: 1,
            is_due: true,
            is_local: way.is_local,
            before: None,
            anothers: 0,
        };
        let reuse = WorkflowIdReusePolicy::RejectDuplicate;
        Start { id, input, way, reuse, delay: None, is_told: may_wait(job), request_id: Uuid::new_v4() }
    }

    /// Begins a job or finds it, and asks the server how it ends.
    async fn follow(&self, id: &str, job: &Job, number: u32, way: &Way) -> Result<JobEnd, Error> {
        let mut start = self.start(id, job, way);
        start.input.number = number;
        if number == 1 {
            start.reuse = WorkflowIdReusePolicy::AllowDuplicateFailedOnly;
        }
        let mut pauses = Pauses::new();
        loop {
            let ended = match self.client.start(&start).await {
                Ok(started) => self.ended(id, number, &started, &mut pauses).await?,
                Err(trouble) => {
                    self.endure(trouble, &mut pauses).await?;
                    continue;
                }
            };
            start.request_id = Uuid::new_v4();
            start.reuse = match ended {
                // It was gone when the server was asked the last time, and whoever holds it has it now.
                Ended::Before(JobEnd::Gone) if start.reuse != WorkflowIdReusePolicy::AllowDuplicate => {
                    WorkflowIdReusePolicy::AllowDuplicate
                }
                Ended::Before(end) | Ended::Now(end) => return Ok(end),
                Ended::ByHand => {
                    // Whoever makes an activity learns of its end by a heartbeat.
                    SystemClock.sleep(if way.is_local { BY_HAND_PAUSE } else { HEARTBEAT_MAX }).await;
                    WorkflowIdReusePolicy::AllowDuplicateFailedOnly
                }
                Ended::Forgotten => {
                    pauses.wait().await;
                    start.reuse
                }
            };
        }
    }

    /// Waits until a job that was begun has come to something.
    async fn ended(
        &self,
        id: &str,
        number: u32,
        started: &Started,
        pauses: &mut Pauses,
    ) -> Result<Ended, Error> {
        if started.standing == Stands::Begun {
            SystemClock.sleep(self.answers.home_first()).await;
        }
        let mut run_id = started.run_id.clone();
        loop {
            match self.client.closed(id, &run_id).await {
                Ok(Close::Came(end)) if started.standing == Stands::Ended => return Ok(Ended::Before(end)),
                Ok(Close::Came(end)) => return Ok(Ended::Now(end)),
                // Of one before the attempt that is asked for, somebody was told.
                Ok(Close::GoesOn { failed: Some(failed), .. }) if failed.number >= number => {
                    return Ok(Ended::Now(failed.end));
                }
                Ok(Close::GoesOn { run_id: next, .. }) => run_id = next,
                Ok(Close::ByHand) => return Ok(Ended::ByHand),
                Err(Trouble::Status(status)) if status.code() == Code::NotFound => {
                    return Ok(Ended::Forgotten);
                }
                Err(trouble) => self.endure(trouble, pauses).await?,
            }
        }
    }

    /// Has the line of a job do it.
    async fn follow_line(&self, job: &Job, number: u32, way: &Way) -> Result<JobEnd, Error> {
        let mut pauses = Pauses::new();
        loop {
            match self.client.ask_line(job, number, way).await {
                Ok(end) => return Ok(end),
                Err(trouble) => self.endure(trouble, &mut pauses).await?,
            }
        }
    }

    /// Waits a while where a call may pass when it is made again.
    async fn endure(&self, trouble: Trouble, pauses: &mut Pauses) -> Result<(), Error> {
        let error = match trouble {
            Trouble::Status(status) if !may_pass(&status) => return Err(self.client.error(&status)),
            Trouble::Status(status) => self.client.error(&status),
            Trouble::Connection(error) => error,
        };
        tracing::debug!(%error, "Temporal is asked again");
        pauses.wait().await;
        Ok(())
    }
}

/// Whether the workflow of a job may wait for its moment or its line.
fn may_wait(job: &Job) -> bool {
    job.due_at.is_some() || matches!(job.task, JobTask::Schedule { .. })
}

/// How the waiting for a job ended.
enum Ended {
    /// It had come to this before it was asked for.
    Before(JobEnd),
    Now(JobEnd),
    ByHand,
    /// The server knows nothing of it.
    Forgotten,
}

/// Pauses that grow.
struct Pauses {
    next: Duration,
}

impl Pauses {
    fn new() -> Self {
        Self { next: PAUSES.0 }
    }

    async fn wait(&mut self) {
        SystemClock.sleep(self.next).await;
        self.next = (self.next * 2).min(PAUSES.1);
    }
}

#[async_trait]
impl Scheduler for Temporal {
    fn identity(&self) -> &str {
        &self.identity
    }

    async fn run(&self, job: &Job, number: u32) -> Result<JobEnd, Error> {
        let mut waiter = self.answers.wait_for(&answers::name(job), number);
        let way = self.options.router.way(job, &self.client.address.task_queue);
        let followed = async {
            match way.is_per_key {
                true => self.follow_line(job, number, &way).await,
                false => self.follow(&self.workflow_id(job), job, number, &way).await,
            }
        };
        tokio::select! {
            biased;
            end = waiter.told() => {
                self.answers.count(true);
                Ok(end)
            }
            end = followed => {
                self.answers.count(false);
                end
            }
        }
    }

    async fn later(&self, job: &Job, delay: Duration) -> Result<(), Error> {
        let id = self.workflow_id(job);
        let way = self.options.router.way(job, &self.client.address.task_queue);
        let mut start = self.start(&id, job, &way);
        start.input.is_due = false;
        start.delay = Some(delay);
        start.is_told = false;
        let begun = match way.is_per_key {
            true => self.client.tell_line_later(job, delay, &way).await,
            false => self.client.start(&start).await.map(drop),
        };
        match begun {
            Ok(()) => Ok(()),
            Err(Trouble::Connection(error)) => Err(error),
            Err(Trouble::Status(status)) => Err(self.refusal(&status)),
        }
    }

    async fn serve(&self, runner: Arc<dyn JobRunner>, stop: watch::Receiver<bool>) -> Result<(), Error> {
        let connection = self.client.connect_worker().await?;
        let serving = Serving {
            client: connection.sdk.clone(),
            task_queues: self
                .options
                .router
                .task_queues(&self.client.address.task_queue)
                .into_iter()
                .collect(),
            runner,
            answers: self.answers.clone(),
            attempts_running_max: self.options.attempts_running_max,
            stop_grace: self.options.stop_grace,
        };
        serving.until(stop).await
    }

    async fn check(&self) -> Result<(), Error> {
        self.client.check().await
    }
}

impl Temporal {
    /// A call that was made once and is not made again.
    fn refusal(&self, status: &Status) -> Error {
        match self.client.error(status) {
            Error::Invalid(text) if may_pass(status) => Error::unavailable(text),
            error => error,
        }
    }
}
