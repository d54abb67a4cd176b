//! Lines: one workflow for all jobs of a key, whatever becomes of its runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use temporalio_client::WorkflowListOptions;
use temporalio_client::grpc::WorkflowService as _;
use temporalio_client::tonic::IntoRequest as _;
use temporalio_common::protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_common::protos::temporal::api::workflowservice::v1::DescribeWorkflowExecutionRequest;
use tokio::sync::Semaphore;
use underlay_core::ports::{Job, JobEnd, Scheduler};
use underlay_temporal::{Route, Router, Temporal, TemporalOptions};

use crate::house::{Serving, at_once, command, failed, open_with, server, within};

const LINE: &str = "tests/acme/line/account/k";

fn per_key(server: &servers::Temporal, change: impl Fn(Route) -> Route) -> Arc<Temporal> {
    let route = change(Route::new().per_key().task_timeout(Duration::from_secs(2)));
    let router = Router::new().receiver("account", route);
    let options = TemporalOptions { router, stop_grace: Duration::from_millis(100), ..Default::default() };
    open_with(server, options)
}

/// How long the histories of all runs are, by the type of their workflow.
async fn histories(temporal: &Temporal) -> HashMap<String, Vec<i64>> {
    let client = temporal.client().await.unwrap();
    let mut found: HashMap<String, Vec<i64>> = HashMap::new();
    let mut runs = client.list_workflows("", WorkflowListOptions::builder().build());
    while let Some(run) = runs.next().await {
        let run = run.unwrap();
        let execution =
            WorkflowExecution { workflow_id: run.id().to_owned(), run_id: run.run_id().to_owned() };
        let asked =
            DescribeWorkflowExecutionRequest { namespace: "default".to_owned(), execution: Some(execution) };
        let described =
            client.clone().describe_workflow_execution(asked.into_request()).await.unwrap().into_inner();
        let events = described.workflow_execution_info.unwrap().history_length;
        found.entry(run.workflow_type().to_owned()).or_default().push(events);
    }
    found
}

/// Asks for the first attempt at every job, so many at once.
async fn run_all(
    temporal: &Arc<Temporal>,
    jobs: impl IntoIterator<Item = Job>,
    at_once: usize,
) -> Vec<JobEnd> {
    let runs = jobs.into_iter().map(|job| {
        let temporal = temporal.clone();
        async move { temporal.run(&job, 1).await }
    });
    stream::iter(runs).buffered(at_once).try_collect().await.unwrap()
}

fn ask(temporal: &Arc<Temporal>, job: &Job) -> tokio::task::JoinHandle<Result<JobEnd, underlay_core::Error>> {
    let (temporal, job) = (temporal.clone(), job.clone());
    tokio::spawn(async move { temporal.run(&job, 1).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_key_are_done_one_at_a_time_by_one_line_over_its_runs() {
    const JOBS: usize = 60;
    const EVENTS_MAX: u32 = 60;
    let Some(server) = server() else { return };
    // Nobody is told at home: all answers come from the line.
    let (asking, doing) =
        (per_key(&server, |route| route.line_events_max(EVENTS_MAX)), per_key(&server, |route| route));
    let under_way = Arc::new(Semaphore::new(1));
    let mut serving = Serving::of(&doing, move |_| {
        let alone = under_way.clone().try_acquire_owned().expect("one attempt at a time");
        Box::pin(async move {
            tokio::task::yield_now().await;
            drop(alone);
            JobEnd::Done
        })
    });
    let ends = within(run_all(&asking, (0..JOBS).map(|_| command("k")), 6)).await;
    assert_eq!(ends, vec![JobEnd::Done; JOBS]);
    assert_eq!(serving.said().len(), JOBS, "each was begun once");
    let histories = histories(&asking).await;
    let runs = &histories["underlay.line"];
    assert!(histories.len() == 1 && runs.len() > 3, "{histories:?}");
    assert!(runs.iter().all(|events| *events < i64::from(EVENTS_MAX) * 2), "{histories:?}");
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_tells_failures_and_follows_them_and_begins_again_what_was_given_up() {
    let Some(server) = server() else { return };
    let temporal = per_key(&server, |route| route);
    let asking = per_key(&server, |route| route);
    let pause = Some(Duration::from_millis(50));
    let mut serving = Serving::of(&temporal, move |made| match made.number {
        1 | 2 => at_once(failed("not yet", pause)),
        _ => at_once(failed("too often", None)),
    });
    let job = command("k");
    assert_eq!(within(asking.run(&job, 1)).await.unwrap(), failed("not yet", pause));
    for number in 1..=3 {
        assert_eq!(serving.next().await.number, number, "the next follows, and nobody asks for it");
    }
    assert_eq!(within(asking.run(&job, 2)).await.unwrap(), failed("too often", None));
    assert_eq!(
        (within(asking.run(&job, 3)).await.unwrap(), serving.said().len()),
        (failed("too often", None), 0)
    );
    // Somebody has it tried again.
    assert_eq!(within(asking.run(&job, 1)).await.unwrap(), failed("not yet", pause));
    assert_eq!(serving.next().await.number, 1);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_line_that_is_terminated_asks_the_next() {
    let Some(server) = server() else { return };
    let (asking, doing) = (per_key(&server, |route| route), per_key(&server, |route| route));
    let attempts = AtomicU32::new(0);
    let mut serving = Serving::of(&doing, move |_| match attempts.fetch_add(1, Ordering::SeqCst) {
        0 => Box::pin(std::future::pending()),
        _ => at_once(JobEnd::Done),
    });
    let job = command("k");
    let asked = ask(&asking, &job);
    serving.next().await;
    server.ask(&["workflow", "terminate", "--workflow-id", LINE, "--reason", "by hand"]).unwrap();
    assert_eq!(within(asked).await.unwrap().unwrap(), JobEnd::Done);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_of_a_line_whose_process_ends_is_made_in_another() {
    let Some(server) = server() else { return };
    for is_local in [true, false] {
        let route = move |route: Route| if is_local { route.local_activity() } else { route.activity() };
        let (asking, first, second) =
            (per_key(&server, route), per_key(&server, route), per_key(&server, route));
        let mut stopping = Serving::of(&first, |_| Box::pin(std::future::pending()));
        let job = command(if is_local { "local" } else { "activity" });
        let asked = ask(&asking, &job);
        stopping.next().await;
        stopping.stop().await.unwrap();
        let mut serving = Serving::of(&second, |_| at_once(JobEnd::Done));
        assert_eq!(within(asked).await.unwrap().unwrap(), JobEnd::Done, "{is_local}");
        assert_eq!(serving.said().len(), 1);
        serving.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_are_asked_for_during_a_long_attempt_follow_it() {
    let Some(server) = server() else { return };
    let (asking, doing) = (per_key(&server, |route| route), per_key(&server, |route| route));
    let free = Arc::new(Semaphore::new(0));
    let gate = free.clone();
    let mut serving = Serving::of(&doing, move |_| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            JobEnd::Done
        })
    });
    // It takes longer than the server lets a process keep a workflow without a word, and others ask meanwhile.
    let jobs: Vec<Job> = (0..12).map(|_| command("k")).collect();
    let mut asked = Vec::new();
    for job in &jobs {
        asked.push(ask(&asking, job));
        let since = Duration::from_millis(600);
        assert!(tokio::time::timeout(since, std::future::pending::<()>()).await.is_err());
    }
    free.add_permits(100);
    for asked in asked {
        assert_eq!(within(asked).await.unwrap().unwrap(), JobEnd::Done);
    }
    assert_eq!(serving.said().len(), jobs.len(), "each was begun once");
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_with_nothing_to_do_ends_and_loses_nobody_who_asks_then() {
    const JOBS_MAX: u32 = 100;
    let Some(server) = server() else { return };
    let temporal = per_key(&server, |route| route.line_idle(Duration::from_millis(50)));
    let mut serving = Serving::of(&temporal, |_| at_once(JobEnd::Done));
    assert_eq!(within(temporal.run(&command("k"), 1)).await.unwrap(), JobEnd::Done);
    let asked = Instant::now();
    while server.ask(&["workflow", "count", "--query", "ExecutionStatus = 'Running'"]).unwrap().trim()
        != "Total: 0"
    {}
    let life = asked.elapsed();
    // Each asks somewhere around the end of the run before. On a busy machine a run lives longer than the first one, and
    // the pauses grow until some have ended in between.
    let mut jobs = 1;
    let histories = loop {
        let about = life * (70 + 5 * jobs) / 100;
        assert_eq!(within(temporal.run(&command("k"), 1)).await.unwrap(), JobEnd::Done);
        jobs += 1;
        if jobs > 10 {
            let histories = histories(&temporal).await;
            if histories["underlay.line"].len() > 2 {
                break histories;
            }
            assert!(jobs < JOBS_MAX, "{histories:?}");
        }
        assert!(tokio::time::timeout(about, std::future::pending::<()>()).await.is_err());
    };
    assert_eq!(serving.said().len() as u32, jobs, "each was begun once: {histories:?}");
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_to_one_key_stay_below_the_limit_of_a_history() {
    const JOBS: usize = 600;
    const EVENTS_MAX: u32 = 1_000;
    let Some(server) = server() else { return };
    let temporal = per_key(&server, |route| route.line_events_max(EVENTS_MAX));
    let mut serving = Serving::of(&temporal, |_| at_once(JobEnd::Done));
    let ends = run_all(&temporal, (0..JOBS).map(|_| command("k")), 1).await;
    assert_eq!((ends.len(), serving.said().len()), (JOBS, JOBS));
    let histories = histories(&temporal).await;
    assert!(
        histories["underlay.line"].iter().all(|events| *events < i64::from(EVENTS_MAX) + 50),
        "{histories:?}"
    );
    assert!(histories["underlay.line"].len() > 3, "{histories:?}");
    serving.stop().await.unwrap();
}
