use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use underlay_core::ports::{Job, JobAttempt, JobEnd, JobRunner, JobTask, Scheduler};
use underlay_core::words::{CommitId, Error, Lane, TenantId, WorkKind};
use underlay_temporal::{Temporal, TemporalOptions};

/// How long anything may take here.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A server of a test's own; none where it is missing.
pub(crate) fn server() -> Option<servers::Temporal> {
    taken(servers::Temporal::start())
}

pub(crate) fn taken(started: Result<servers::Temporal, servers::Missing>) -> Option<servers::Temporal> {
    started.map_err(|missing| missing.skip_test()).ok()
}

pub(crate) fn open(server: &servers::Temporal) -> Arc<Temporal> {
    open_with(server, TemporalOptions::default())
}

pub(crate) fn open_with(server: &servers::Temporal, options: TemporalOptions) -> Arc<Temporal> {
    Arc::new(Temporal::open(&server.address("tests").parse().unwrap(), options).unwrap())
}

/// Asks for a job in a task of its own.
pub(crate) fn asked(temporal: &Arc<Temporal>, job: &Job, number: u32) -> JoinHandle<Result<JobEnd, Error>> {
    let (temporal, job) = (temporal.clone(), job.clone());
    tokio::spawn(async move { temporal.run(&job, number).await })
}

/// What a job came to that was asked for.
pub(crate) async fn told(asked: JoinHandle<Result<JobEnd, Error>>) -> JobEnd {
    within(asked).await.unwrap().unwrap()
}

/// Waits until as many workflows fit a query. A busy server may leave one question without an answer.
pub(crate) async fn until_count(server: &servers::Temporal, query: &str, count: usize) {
    let wanted = format!("Total: {count}");
    let mut told = None;
    let counting = async {
        while told.as_ref().is_none_or(|told: &String| told.trim() != wanted) {
            tokio::task::yield_now().await;
            told = server.ask(&["workflow", "count", "--query", query]).ok();
        }
    };
    if tokio::time::timeout(SOON, counting).await.is_err() {
        let there = server.ask(&["workflow", "list", "--output", "json"]);
        panic!("{query}: {wanted} was waited for, and the server says {told:?}; it has {there:?}");
    }
}

/// Waits until every workflow has ended: who is told in the process itself knows it earlier than the server.
pub(crate) async fn until_ended(server: &servers::Temporal) {
    until_count(server, "ExecutionStatus = 'Running'", 0).await;
}

/// An attempt that goes on until it is let go.
pub(crate) fn gated(gate: &Arc<Notify>, end: JobEnd) -> Ending {
    let gate = gate.clone();
    Box::pin(async move {
        gate.notified().await;
        end
    })
}

pub(crate) fn job(kind: WorkKind, key: &str) -> Job {
    Job {
        tenant: TenantId::new("acme").unwrap(),
        task: JobTask::Work { kind, commit: CommitId::draw(), number: 0 },
        receiver: "account".to_owned(),
        key: key.to_owned(),
        name: "deposit".to_owned(),
        lane: Lane::Normal,
        correlation_id: None,
        due_at: None,
    }
}

pub(crate) fn command(key: &str) -> Job {
    job(WorkKind::Command, key)
}

/// An attempt that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) key: String,
    pub(crate) number: u32,
    pub(crate) is_due: bool,
}

pub(crate) type Ending = Pin<Box<dyn Future<Output = JobEnd> + Send>>;
type Script = dyn Fn(&Made) -> Ending + Send + Sync;

/// Makes attempts as it is told, and tells of them.
pub(crate) struct Scripted {
    script: Box<Script>,
    made: mpsc::UnboundedSender<Made>,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait]
impl JobRunner for Scripted {
    async fn attempt(&self, attempt: JobAttempt<'_>) -> JobEnd {
        let made = Made { key: attempt.job.key.clone(), number: attempt.number, is_due: attempt.is_due };
        self.made.send(made.clone()).ok();
        (self.script)(&made).await
    }

    fn timeout(&self, _job: &Job) -> Duration {
        Duration::from_secs(30)
    }
}

pub(crate) fn at_once(end: JobEnd) -> Ending {
    Box::pin(async move { end })
}

pub(crate) fn failed(reason: &str, retry_in: Option<Duration>) -> JobEnd {
    JobEnd::Failed { reason: reason.to_owned(), is_final: retry_in.is_none(), retry_in }
}

/// A process that serves.
pub(crate) struct Serving {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), Error>>,
    pub(crate) made: mpsc::UnboundedReceiver<Made>,
}

impl Serving {
    pub(crate) fn of(
        temporal: &Arc<Temporal>,
        script: impl Fn(&Made) -> Ending + Send + Sync + 'static,
    ) -> Self {
        let (told, made) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let (temporal, runner) =
            (temporal.clone(), Arc::new(Scripted { script: Box::new(script), made: told }));
        Self { stop, task: tokio::spawn(async move { temporal.serve(runner, stopped).await }), made }
    }

    /// The next attempt.
    pub(crate) async fn next(&mut self) -> Made {
        within(self.made.recv()).await.expect("it makes attempts")
    }

    pub(crate) fn said(&mut self) -> Vec<Made> {
        std::iter::from_fn(|| self.made.try_recv().ok()).collect()
    }

    /// Ends it as a process ends that is killed, as far as this one can.
    pub(crate) fn drop(self) {
        self.task.abort();
    }

    pub(crate) fn tell_to_stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) async fn stop(self) -> Result<(), Error> {
        self.stop.send_replace(true);
        within(self.task).await.unwrap()
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("it takes too long")
}
