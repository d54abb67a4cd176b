//! A run of a line that was stored is replayed without a server, as [`crate::histories`] does it with runs of jobs. It is stored anew by
//! `cargo nextest run -p underlay-temporal --run-ignored only -E 'test(line::histories)'`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use temporalio_client::{WorkflowExecutionInfo, WorkflowHistory, WorkflowListOptions};
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};
use tokio::sync::watch;
use underlay_core::ports::{Job, JobAttempt, JobEnd, JobRunner, JobTask, Scheduler};
use underlay_core::words::{CommitId, Lane, TenantId, WorkKind};

use super::Line;
use crate::{Route, Router, Temporal, TemporalOptions};

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/line_histories/continued.json")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_run_of_a_line_is_replayed() {
    let history = WorkflowHistory::from_json(&fs::read(file()).unwrap()).unwrap();
    let options = WorkflowReplayerOptions::new().register_workflow::<Line>().unwrap().build();
    WorkflowReplayer::new(options).unwrap().replay_workflow(history).await.unwrap();
}

/// Comes to what the name of a job says.
struct ByName;

#[async_trait]
impl JobRunner for ByName {
    async fn attempt(&self, attempt: JobAttempt<'_>) -> JobEnd {
        let pause = Some(Duration::from_millis(100));
        match (attempt.job.name.as_str(), attempt.number, attempt.is_due) {
            ("retried", 1, _) => JobEnd::Failed {
                reason: "the mail server is away".to_owned(),
                is_final: false,
                retry_in: pause,
            },
            ("given_up", ..) => JobEnd::Failed { reason: "no".to_owned(), is_final: true, retry_in: None },
            ("waits", _, false) => JobEnd::Waits,
            _ => JobEnd::Done,
        }
    }

    fn timeout(&self, _job: &Job) -> Duration {
        Duration::from_secs(30)
    }
}

fn job(name: &str) -> Job {
    Job {
        tenant: TenantId::new("acme").unwrap(),
        task: JobTask::Work { kind: WorkKind::Command, commit: CommitId::draw(), number: 0 },
        receiver: "account".to_owned(),
        key: "1".to_owned(),
        name: name.to_owned(),
        lane: Lane::Normal,
        correlation_id: None,
        due_at: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it stores the history anew"]
async fn store_the_history() {
    let server = servers::Temporal::start().unwrap();
    let router = Router::new().receiver("account", Route::new().per_key().line_events_max(120));
    let options = TemporalOptions { process: "tests".to_owned(), router, ..TemporalOptions::default() };
    let temporal = Arc::new(Temporal::open(&server.address("tests").parse().unwrap(), options).unwrap());
    let (_stop, stopped) = watch::channel(false);
    let serving = temporal.clone();
    tokio::spawn(async move { serving.serve(Arc::new(ByName), stopped).await });
    let (waits, far, retried) = (job("waits"), job("done"), job("retried"));
    temporal.later(&waits, Duration::ZERO).await.unwrap();
    temporal.later(&far, Duration::from_secs(3_600)).await.unwrap();
    for job in [&waits, &retried, &job("given_up"), &far] {
        temporal.run(job, 1).await.unwrap();
    }
    temporal.run(&retried, 2).await.unwrap();
    let client = temporal.client().await.unwrap();
    let (workflow_id, run_id) = loop {
        temporal.run(&job("done"), 1).await.unwrap();
        let query = "ExecutionStatus = 'ContinuedAsNew'";
        let runs = client.list_workflows(query, WorkflowListOptions::builder().build());
        let runs: Vec<_> = runs.try_collect().await.unwrap();
        if let Some(run) = runs.first() {
            break (run.id().to_owned(), run.run_id().to_owned());
        }
    };
    let run = WorkflowExecutionInfo::builder()
        .namespace("default".to_owned())
        .workflow_id(workflow_id)
        .run_id(run_id)
        .build();
    let history = run.bind_untyped(client).fetch_history(Default::default());
    fs::create_dir_all(file().parent().unwrap()).unwrap();
    fs::write(file(), history.to_json().await.unwrap()).unwrap();
}
