//! Attempts that outlast their time, and processes that end in the middle of one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use underlay_core::ports::{JobEnd, Scheduler};
use underlay_core::words::WorkKind;
use underlay_temporal::{Route, Router, Temporal, TemporalOptions};

use crate::house::{
    Serving, asked, at_once, command, gated, job, open_with, server, told, until_ended, within,
};

/// The time of a workflow task.
const TASK: Duration = Duration::from_secs(2);

fn open(server: &servers::Temporal) -> Arc<Temporal> {
    let router = Router::new().kind("command", Route::new().task_timeout(TASK));
    let stop_grace = Duration::from_millis(500);
    open_with(server, TemporalOptions { router, stop_grace, ..TemporalOptions::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_activity_outlasts_the_time_of_its_workflow_task() {
    let Some(server) = server() else { return };
    let (temporal, gate) = (open(&server), Arc::new(Notify::new()));
    let held = gate.clone();
    let mut serving = Serving::of(&temporal, move |_| gated(&held, JobEnd::Done));
    let run = asked(&temporal, &command("k"), 1);
    serving.next().await;
    assert!(tokio::time::timeout(TASK * 3, serving.made.recv()).await.is_err(), "it is made once");
    gate.notify_one();
    assert_eq!(told(run).await, JobEnd::Done);
    until_ended(&server).await;
    assert_eq!(serving.said(), []);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_attempt_ends_within_the_grace_of_its_process_is_not_attempted_again() {
    let Some(server) = server() else { return };
    let (asking, first, second) = (open(&server), open(&server), open(&server));
    let gate = Arc::new(Notify::new());
    let held = gate.clone();
    let mut stopping = Serving::of(&first, move |_| gated(&held, JobEnd::Done));
    let run = asked(&asking, &job(WorkKind::Message, "k"), 1);
    stopping.next().await;
    stopping.tell_to_stop();
    gate.notify_one();
    stopping.stop().await.unwrap();
    let mut serving = Serving::of(&second, |_| at_once(JobEnd::Gone));
    assert_eq!(told(run).await, JobEnd::Done);
    assert_eq!(serving.said(), []);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_ends_with_its_process_is_made_again_in_another() {
    let Some(server) = server() else { return };
    for kind in [WorkKind::Command, WorkKind::Message] {
        let (asking, first, second) = (open(&server), open(&server), open(&server));
        let mut stopping = Serving::of(&first, |_| Box::pin(std::future::pending()));
        let job = job(kind, kind.name());
        let run = asked(&asking, &job, 1);
        stopping.next().await;
        stopping.stop().await.unwrap();
        let mut serving = Serving::of(&second, |_| at_once(JobEnd::Done));
        assert_eq!(told(run).await, JobEnd::Done);
        assert_eq!(serving.next().await.number, 1, "no attempt is used up by that");
        serving.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_dropped_serves_no_more() {
    let Some(server) = server() else { return };
    let (first, second) = (open(&server), open(&server));
    let mut dropped = Serving::of(&first, |_| Box::pin(std::future::pending()));
    let job = command("k");
    let run = asked(&first, &job, 1);
    dropped.next().await;
    dropped.drop();
    let mut serving = Serving::of(&second, |_| at_once(JobEnd::Done));
    assert_eq!(told(run).await, JobEnd::Done);
    assert_eq!(serving.next().await.number, 1);
    assert_eq!(within(first.run(&job, 1)).await.unwrap(), JobEnd::Done);
    serving.stop().await.unwrap();
}
