use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use underlay_core::{
    CommitId, Job, JobAttempt, JobEnd, JobRunner, JobTask, Lane, Scheduler, TenantId, Timestamp, WorkKind,
};

use crate::concurrent::finished;
use crate::{SchedulerFixture, ServingProcess};

/// How long it is watched that nothing more is begun.
const QUIET: Duration = Duration::from_millis(1_500);

/// An attempt that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    /// The name of the process.
    pub(super) by: &'static str,
    /// The id of the job.
    pub(super) job: String,
    /// Which attempt it is.
    pub(super) number: u32,
    /// Whether it was asked for.
    pub(super) is_due: bool,
    /// When.
    pub(super) at: Instant,
}

/// What an attempt comes to.
pub(super) type Coming = Pin<Box<dyn Future<Output = JobEnd> + Send>>;

/// The scheduler of a case, and all attempts that were begun.
pub(super) struct Subject<F> {
    pub(super) fixture: F,
    begun: watch::Sender<Vec<Begun>>,
}

impl<F: SchedulerFixture> Subject<F> {
    pub(super) fn new(fixture: F) -> Self {
        Self { fixture, begun: watch::Sender::default() }
    }

    /// Starts a process whose attempts come to what a script says.
    pub(super) fn start(
        &self,
        by: &'static str,
        script: impl Fn(Begun, Arc<Notify>) -> Coming + Send + Sync + 'static,
    ) -> ServingProcess {
        self.start_with_time(by, Duration::from_secs(60), script)
    }

    /// The same, whose attempts have so long between heartbeats.
    pub(super) fn start_with_time(
        &self,
        by: &'static str,
        timeout: Duration,
        script: impl Fn(Begun, Arc<Notify>) -> Coming + Send + Sync + 'static,
    ) -> ServingProcess {
        let script = Box::new(script);
        let runner = Arc::new(Scripted { by, timeout, script, begun: self.begun.clone() });
        let (stop, stopped) = watch::channel(false);
        let scheduler = self.fixture.scheduler();
        let serving = tokio::spawn(async move { scheduler.serve(runner, stopped).await });
        ServingProcess { stop, serving }
    }

    /// Asks for a job, and waits beside the case.
    pub(super) fn ask(&self, job: &Job, number: u32) -> JoinHandle<JobEnd> {
        let (scheduler, job) = (self.fixture.scheduler(), job.clone());
        tokio::spawn(async move { run(&*scheduler, &job, number).await })
    }

    /// Asks for a job, and waits for what it comes to.
    pub(super) async fn run(&self, job: &Job, number: u32) -> JobEnd {
        finished(self.ask(job, number)).await
    }

    /// Has a job begun later.
    pub(super) async fn later(&self, job: &Job, delay: Duration) {
        self.fixture.scheduler().later(job, delay).await.expect("the scheduler takes the job");
    }

    /// The attempts at a job that were begun.
    pub(super) fn attempts(&self, job: &Job) -> Vec<Begun> {
        self.begun.borrow().iter().filter(|begun| begun.job == job.id()).cloned().collect()
    }

    /// Waits until so many attempts at a job were begun.
    pub(super) async fn begun(&self, job: &Job, count: usize) -> Vec<Begun> {
        let id = job.id();
        let are_begun = |begun: &Vec<Begun>| begun.iter().filter(|begun| begun.job == id).count() >= count;
        drop(self.begun.subscribe().wait_for(are_begun).await.expect("the case lives"));
        self.attempts(job)
    }

    /// Sees that no attempts at jobs are begun but those that were.
    pub(super) async fn is_quiet(&self, jobs: &[&Job]) {
        let ids: HashSet<String> = jobs.iter().map(|job| job.id()).collect();
        let count = |begun: &Vec<Begun>| begun.iter().filter(|begun| ids.contains(&begun.job)).count();
        let before = count(&self.begun.borrow());
        let mut all = self.begun.subscribe();
        let more = all.wait_for(|begun| count(begun) > before);
        if let Ok(more) = tokio::time::timeout(QUIET, more).await {
            panic!("an attempt was begun that nobody may begin: {:?}", more.expect("the case lives").last());
        }
    }
}

async fn run(scheduler: &dyn Scheduler, job: &Job, number: u32) -> JobEnd {
    scheduler.run(job, number).await.expect("the scheduler takes the job")
}

struct Scripted {
    by: &'static str,
    timeout: Duration,
    script: Box<dyn Fn(Begun, Arc<Notify>) -> Coming + Send + Sync>,
    begun: watch::Sender<Vec<Begun>>,
}

#[async_trait]
impl JobRunner for Scripted {
    async fn attempt(&self, attempt: JobAttempt<'_>) -> JobEnd {
        let JobAttempt { job, number, is_due, heartbeats } = attempt;
        let begun = Begun { by: self.by, job: job.id(), number, is_due, at: Instant::now() };
        self.begun.send_modify(|all| all.push(begun.clone()));
        let beats = Arc::new(Notify::new());
        let coming = (self.script)(begun, beats.clone());
        tokio::select! {
            end = coming => end,
            () = async {
                loop {
                    beats.notified().await;
                    heartbeats.notify_one();
                }
            } => JobEnd::Gone,
        }
    }

    fn timeout(&self, _job: &Job) -> Duration {
        self.timeout
    }
}

/// An attempt that has come to its end.
pub(super) fn at_once(end: JobEnd) -> Coming {
    Box::pin(async move { end })
}

/// An attempt that never ends.
pub(super) fn never() -> Coming {
    Box::pin(std::future::pending())
}

/// A failure; none follows where there is no pause.
pub(super) fn failed(reason: &str, retry_in: Option<Duration>) -> JobEnd {
    JobEnd::Failed { reason: reason.to_owned(), is_final: false, retry_in }
}

/// A gate that attempts wait at until it is opened.
#[derive(Clone)]
pub(super) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(super) fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(super) fn open(&self) {
        self.0.send_replace(true);
    }

    /// An attempt that comes to its end once the gate is open.
    pub(super) fn then(&self, end: JobEnd) -> Coming {
        let mut opened = self.0.subscribe();
        Box::pin(async move {
            opened.wait_for(|open| *open).await.expect("the case lives");
            end
        })
    }
}

/// A job that no other case has.
pub(super) fn job(kind: WorkKind) -> Job {
    let commit = CommitId::draw();
    Job {
        tenant: TenantId::new("acme").expect("a tenant"),
        task: JobTask::Work { kind, commit, number: 0 },
        receiver: "account".to_owned(),
        // A key of its own: a scheduler may do the jobs of one key one after another.
        key: commit.to_string(),
        name: "deposit".to_owned(),
        lane: Lane::Normal,
        correlation_id: None,
        due_at: None,
    }
}

/// A timer that no other case has. Its moment has no say: who begins it later gives the time.
pub(super) fn timer() -> Job {
    Job { due_at: Some(Timestamp::UNIX_EPOCH), ..job(WorkKind::Timer) }
}
