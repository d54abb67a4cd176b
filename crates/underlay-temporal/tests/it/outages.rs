//! A server that is away, begins anew, or has too much to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use underlay_core::ports::{JobEnd, Scheduler};
use underlay_core::words::{Error, WorkKind};

use crate::house::{
    Serving, asked, at_once, command, gated, job, open, server, taken, told, until_ended, within,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_waited_for() {
    let Some(mut server) = taken(servers::Temporal::start_kept()) else { return };
    let temporal = open(&server);
    let mut serving = Serving::of(&temporal, |_| at_once(JobEnd::Done));
    assert_eq!(within(temporal.run(&command("before"), 1)).await.unwrap(), JobEnd::Done);
    serving.next().await;
    server.stop().unwrap();
    let away = within(temporal.check()).await.unwrap_err();
    assert!(matches!(away, Error::Unavailable { .. }), "{away}");
    assert!(within(temporal.later(&command("later"), Duration::ZERO)).await.unwrap_err().is_retryable());
    let mut run = asked(&temporal, &command("meanwhile"), 1);
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut run).await.is_err(), "it waits");
    server.resume().unwrap();
    assert_eq!(told(run).await, JobEnd::Done);
    within(temporal.check()).await.unwrap();
    assert_eq!(serving.next().await.key, "meanwhile");
    assert_eq!(serving.said(), []);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_ends_while_the_server_is_away_is_made_once() {
    let Some(mut server) = taken(servers::Temporal::start_kept()) else { return };
    let (temporal, gate) = (open(&server), Arc::new(Notify::new()));
    let held = gate.clone();
    let mut serving = Serving::of(&temporal, move |_| gated(&held, JobEnd::Done));
    let job = command("k");
    let run = asked(&temporal, &job, 1);
    serving.next().await;
    server.stop().unwrap();
    gate.notify_one();
    assert_eq!(told(run).await, JobEnd::Done, "the store knows of it");
    server.resume().unwrap();
    until_ended(&server).await;
    assert_eq!(within(temporal.run(&job, 1)).await.unwrap(), JobEnd::Done);
    assert_eq!(serving.said(), []);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_forgotten_everything_is_told_again() {
    let Some(mut server) = server() else { return };
    let (asking, first, second) = (open(&server), open(&server), open(&server));
    let mut lost = Serving::of(&first, |_| Box::pin(std::future::pending()));
    let run = asked(&asking, &command("k"), 1);
    lost.next().await;
    lost.drop();
    server.stop().unwrap();
    server.resume().unwrap();
    let mut serving = Serving::of(&second, |_| at_once(JobEnd::Done));
    assert_eq!(told(run).await, JobEnd::Done);
    assert_eq!(serving.next().await.number, 1);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_somebody_ended_by_hand_is_begun_again() {
    let Some(server) = server() else { return };
    let (asking, doing) = (open(&server), open(&server));
    for (how, word) in [("terminate", "Terminated"), ("cancel", "Canceled")] {
        let gate = Arc::new(Notify::new());
        let held = gate.clone();
        let mut serving = Serving::of(&doing, move |_| gated(&held, JobEnd::Done));
        let run = asked(&asking, &command(how), 2);
        assert_eq!(serving.next().await.number, 2);
        let query = "ExecutionStatus = 'Running'";
        server.ask(&["workflow", how, "--query", query, "--yes", "--reason", "by order"]).unwrap();
        assert_eq!(serving.next().await.number, 2, "nothing is decided by that: {word}");
        gate.notify_waiters();
        gate.notify_one();
        assert_eq!(told(run).await, JobEnd::Done);
        serving.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_too_much_to_do_is_asked_again() {
    let limit = ["--dynamic-config-value", "frontend.namespaceRPS=15"];
    let Some(server) = taken(servers::Temporal::start_with(&limit)) else { return };
    let temporal = open(&server);
    let mut serving = Serving::of(&temporal, |_| at_once(JobEnd::Done));
    let runs: Vec<_> = (0..60).map(|n| asked(&temporal, &command(&n.to_string()), 1)).collect();
    for run in runs {
        assert_eq!(told(run).await, JobEnd::Done);
    }
    assert_eq!(serving.said().len(), 60);
    serving.stop().await.unwrap();
}

/// Says that it was dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activity_that_the_server_may_have_given_to_another_ends() {
    let Some(mut server) = taken(servers::Temporal::start_kept()) else { return };
    let (temporal, dropped) = (open(&server), Arc::new(Notify::new()));
    let ended = dropped.clone();
    let mut serving = Serving::of(&temporal, move |_| {
        let guard = Dropped(ended.clone());
        Box::pin(async move {
            let _guard = guard;
            std::future::pending().await
        })
    });
    let run = asked(&temporal, &job(WorkKind::Message, "k"), 1);
    serving.next().await;
    server.stop().unwrap();
    let away = Instant::now();
    within(dropped.notified()).await;
    assert!(away.elapsed() < Duration::from_secs(28), "the server waits 30 seconds for a heartbeat");
    assert_eq!(serving.said(), [], "and nobody else has it yet");
    server.resume().unwrap();
    assert_eq!(serving.next().await.number, 1, "it is made again, and counts as one");
    run.abort();
    serving.drop();
}
