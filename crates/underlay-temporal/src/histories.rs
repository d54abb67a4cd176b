//! Histories that were stored are replayed without a server. A workflow that is changed so that it would take another way
//! fails here, and not in somebody's installation. They are stored anew by
//! `cargo nextest run -p underlay-temporal --run-ignored only -E 'test(histories)'`: only where a new way is added, since
//! what is running somewhere was begun by the old ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use temporalio_client::{WorkflowExecutionInfo, WorkflowHistory};
use temporalio_common::protos::temporal::api::enums::v1::WorkflowIdReusePolicy;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};
use temporalio_sdk::{WorkflowContext, WorkflowResult};
use tokio::sync::{mpsc, watch};
use underlay_core::ports::{Job, JobAttempt, JobEnd, JobRunner, JobTask, Scheduler};
use underlay_core::words::{CommitId, Lane, TenantId, WorkKind};
use uuid::Uuid;

use crate::client::Client;
use crate::job::{CommandJob, JobInput, MessageJob};
use crate::start::Start;
use crate::{Temporal, TemporalOptions};

/// The ways that a run takes, each with a history.
const WAYS: [&str; 6] = ["anothers", "done", "given_up", "message", "retried", "waited"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories")
}

fn stored(way: &str) -> WorkflowHistory {
    let bytes = fs::read(folder().join(format!("{way}.json"))).unwrap();
    WorkflowHistory::from_json(&bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_histories_are_replayed() {
    let files = fs::read_dir(folder()).unwrap().count();
    assert_eq!(files, WAYS.len());
    for way in WAYS {
        let options = WorkflowReplayerOptions::new().register_workflow::<CommandJob>().unwrap();
        let options = options.register_workflow::<MessageJob>().unwrap().build();
        let replayed = WorkflowReplayer::new(options).unwrap().replay_workflow(stored(way)).await;
        replayed.unwrap_or_else(|error| panic!("{way}: {error}"));
    }
}

/// Waits before its attempt, which the stored histories do not.
#[workflow]
#[derive(Default)]
struct Changed;

#[workflow_methods]
impl Changed {
    #[run(name = "underlay.command")]
    async fn run(ctx: &mut WorkflowContext<Self>, _input: JobInput) -> WorkflowResult<JobEnd> {
        ctx.timer(Duration::from_secs(1)).await;
        Ok(JobEnd::Done)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_was_changed_is_found_by_them() {
    let options = WorkflowReplayerOptions::new().register_workflow::<Changed>().unwrap().build();
    let replayed = WorkflowReplayer::new(options).unwrap().replay_workflow(stored("done")).await;
    assert!(replayed.unwrap_err().to_string().contains("nondeterminis"));
}

/// Comes to what the key of a job says.
struct ByKey(mpsc::UnboundedSender<()>);

#[async_trait]
impl JobRunner for ByKey {
    async fn attempt(&self, attempt: JobAttempt<'_>) -> JobEnd {
        self.0.send(()).unwrap();
        let failed = |reason: &str, retry_in: Option<Duration>| JobEnd::Failed {
            reason: reason.to_owned(),
            is_final: retry_in.is_none(),
            retry_in,
        };
        match (attempt.job.key.as_str(), attempt.is_due) {
            ("anothers", _) => JobEnd::Anothers { reason: "no handler of that name".to_owned() },
            ("given_up", _) => failed("there is no such account", None),
            ("retried", _) => failed("the mail server is away", Some(Duration::from_secs(3_600))),
            ("waited", false) => JobEnd::Waits,
            _ => JobEnd::Done,
        }
    }

    fn timeout(&self, _job: &Job) -> Duration {
        Duration::from_secs(30)
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it stores the histories anew"]
async fn store_histories() {
    let server = servers::Temporal::start().unwrap();
    let (address, options) = (
        server.address("tests").parse().unwrap(),
        TemporalOptions { process: "tests".to_owned(), ..TemporalOptions::default() },
    );
    let client = Client::new(&address, &options).unwrap();
    let serving = Temporal::open(&address, options.clone()).unwrap();
    let (made, mut attempts) = mpsc::unbounded_channel();
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(async move { serving.serve(Arc::new(ByKey(made)), stopped).await });
    for way in WAYS {
        let kind = if way == "message" { WorkKind::Message } else { WorkKind::Command };
        let job = Job {
            tenant: TenantId::new("acme").unwrap(),
            task: JobTask::Work { kind, commit: CommitId::draw(), number: 0 },
            receiver: "account".to_owned(),
            key: way.to_owned(),
            name: "deposit".to_owned(),
            lane: Lane::Normal,
            correlation_id: None,
            due_at: None,
        };
        let route = options.router.way(&job, "tests");
        let is_due = way != "waited";
        let mut start = Start {
            id: way,
            input: JobInput { job, number: 1, is_due, is_local: route.is_local, before: None },
            way: &route,
            reuse: WorkflowIdReusePolicy::RejectDuplicate,
            delay: None,
            is_told: false,
            request_id: Uuid::new_v4(),
        };
        let run_id = client.start(&start).await.unwrap().run_id;
        attempts.recv().await.unwrap();
        if way == "waited" {
            (start.is_told, start.request_id) = (true, Uuid::new_v4());
            client.start(&start).await.unwrap();
        }
        client.closed(way, &run_id).await.unwrap();
        let sdk = client.connected().await.unwrap();
        let namespace = "default".to_owned();
        let run = WorkflowExecutionInfo::builder()
            .namespace(namespace)
            .workflow_id(way.to_owned())
            .run_id(run_id)
            .build();
        let history = run.bind_untyped(sdk).fetch_history(Default::default());
        fs::write(folder().join(format!("{way}.json")), history.to_json().await.unwrap()).unwrap();
    }
}
