//! What the design of the workflows rests on, seen on the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use underlay_core::ports::{JobEnd, Scheduler};
use underlay_core::words::{Timestamp, WorkKind};

use crate::house::{Serving, at_once, command, failed, job, open, open_with, server, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_done_and_told_at_home() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let mut serving = Serving::of(&temporal, |_| at_once(JobEnd::Done));
    assert_eq!(within(temporal.run(&command("warm"), 1)).await.unwrap(), JobEnd::Done);
    for n in 0..20 {
        let begun = Instant::now();
        assert_eq!(within(temporal.run(&command(&n.to_string()), 1)).await.unwrap(), JobEnd::Done);
        eprintln!("TIME at home {:?}", begun.elapsed());
    }
    assert_eq!(serving.said().len(), 21);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_another_process_does_is_told_by_the_server() {
    let Some(server) = server() else { return };
    let (asking, doing) = (open(&server), open(&server));
    let mut serving = Serving::of(&doing, |_| at_once(JobEnd::Done));
    let job = command("k");
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(within(asking.run(&job, 1)).await.unwrap(), JobEnd::Done);
        eprintln!("TIME away {:?}", begun.elapsed());
    }
    assert_eq!(serving.said().len(), 1, "it was begun once");
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_and_followed_after_its_pause() {
    let Some(server) = server() else { return };
    for is_home in [true, false] {
        let asking = open(&server);
        let doing = if is_home { asking.clone() } else { open(&server) };
        let pause = Duration::from_millis(300);
        let mut serving = Serving::of(&doing, move |made| match made.number {
            1 | 2 => at_once(failed("not yet", Some(pause))),
            3 => at_once(JobEnd::Done),
            _ => at_once(failed("too often", None)),
        });
        let job = command(if is_home { "home" } else { "away" });
        assert_eq!(within(asking.run(&job, 1)).await.unwrap(), failed("not yet", Some(pause)));
        let begun = Instant::now();
        assert_eq!(serving.next().await.number, 1);
        assert_eq!(serving.next().await.number, 2, "nobody asked for it");
        assert_eq!(serving.next().await.number, 3);
        eprintln!("TIME two pauses of {pause:?} {:?}", begun.elapsed());
        let end = within(asking.run(&job, 2)).await.unwrap();
        assert_eq!(end, JobEnd::Done, "of the last attempt");
        assert_eq!(within(asking.run(&job, 4)).await.unwrap(), JobEnd::Done);
        serving.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_given_up_is_begun_again_from_its_first_attempt_only() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let mut serving = Serving::of(&temporal, |made| match made.key.as_str() {
        "final" => at_once(failed("never", None)),
        _ => at_once(JobEnd::Gone),
    });
    let job = command("final");
    for (number, attempts) in [(2, 1), (2, 1), (3, 1), (1, 2), (2, 2)] {
        assert_eq!(within(temporal.run(&job, number)).await.unwrap(), failed("never", None), "{number}");
        let mut made = serving.said().len();
        if attempts == 2 && number == 1 { made += 1 }
        eprintln!("SEEN run {number}: made {made} more");
        settle(&temporal, &server, &job).await;
    }
    serving.stop().await.unwrap();
}

/// Waits until the server knows that a job has ended: who is told at home knows it earlier.
async fn settle(_temporal: &Arc<underlay_temporal::Temporal>, server: &servers::Temporal, _job: &underlay_core::ports::Job) {
    while server.ask(&["workflow", "count", "--query", "ExecutionStatus = 'Running'"]).unwrap().trim() != "Total: 0" {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_its_time_is_begun_at_once_where_it_is_asked_for() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let mut serving = Serving::of(&temporal, |_| at_once(JobEnd::Done));
    let mut timer = job(WorkKind::Timer, "asked");
    timer.due_at = Some(Timestamp::now());
    within(temporal.later(&timer, Duration::from_secs(3_600))).await.unwrap();
    within(temporal.later(&timer, Duration::from_secs(3_600))).await.unwrap();
    let begun = Instant::now();
    assert_eq!(within(temporal.run(&timer, 1)).await.unwrap(), JobEnd::Done);
    eprintln!("TIME start delay + signal {:?}", begun.elapsed());
    assert!(serving.next().await.is_due);
    let mut timer = job(WorkKind::Timer, "by itself");
    timer.due_at = Some(Timestamp::now());
    let begun = Instant::now();
    within(temporal.later(&timer, Duration::from_secs(1))).await.unwrap();
    assert!(!serving.next().await.is_due);
    eprintln!("TIME start delay of 1 s {:?}", begun.elapsed());
    assert_eq!(within(temporal.run(&timer, 1)).await.unwrap(), JobEnd::Done);
    assert_eq!(serving.said(), []);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_clocks_of_a_timer_at_the_same_moment() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let mut serving = Serving::of(&temporal, |_| at_once(JobEnd::Done));
    let mut twice = 0;
    for n in 0..15 {
        let mut timer = job(WorkKind::Timer, &n.to_string());
        timer.due_at = Some(Timestamp::now());
        within(temporal.later(&timer, Duration::from_millis(200))).await.unwrap();
        serving.next().await;
        assert_eq!(within(temporal.run(&timer, 1)).await.unwrap(), JobEnd::Done);
        let more = serving.said();
        if !more.is_empty() { eprintln!("SEEN {more:?}") }
        twice += more.len();
    }
    eprintln!("SEEN {twice} of 15 twice");
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_not_free_and_a_job_of_anothers() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let mut serving = Serving::of(&temporal, |made| match (made.key.as_str(), made.is_due) {
        ("line", false) => at_once(JobEnd::Waits),
        _ => at_once(JobEnd::Done),
    });
    let mut timer = job(WorkKind::Timer, "line");
    timer.due_at = Some(Timestamp::now());
    within(temporal.later(&timer, Duration::from_millis(10))).await.unwrap();
    assert!(!serving.next().await.is_due);
    let begun = Instant::now();
    assert_eq!(within(temporal.run(&timer, 1)).await.unwrap(), JobEnd::Done);
    eprintln!("TIME line free {:?}", begun.elapsed());
    assert!(serving.next().await.is_due);
    serving.stop().await.unwrap();

    let can = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let able = can.clone();
    let mut serving = Serving::of(&temporal, move |_| match able.load(std::sync::atomic::Ordering::SeqCst) {
        true => at_once(JobEnd::Done),
        false => at_once(JobEnd::Anothers { reason: "no such handler".to_owned() }),
    });
    let other = command("other");
    let run = { let (temporal, other) = (temporal.clone(), other.clone()); tokio::spawn(async move { temporal.run(&other, 1).await }) };
    assert_eq!(serving.next().await.number, 1);
    assert_eq!(serving.next().await.number, 1);
    can.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(within(run).await.unwrap().unwrap(), JobEnd::Done);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_activity_outlasts_the_time_of_its_workflow_task() {
    let Some(server) = server() else { return };
    let router = underlay_temporal::Router::new()
        .kind("command", underlay_temporal::Route::new().task_timeout(Duration::from_secs(2)));
    let temporal = open_with(&server, underlay_temporal::TemporalOptions { router, ..Default::default() });
    let free = Arc::new(Notify::new());
    let gate = free.clone();
    let mut serving = Serving::of(&temporal, move |_| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.notified().await;
            JobEnd::Done
        })
    });
    let long = command("long");
    let run = { let (temporal, long) = (temporal.clone(), long.clone()); tokio::spawn(async move { temporal.run(&long, 1).await }) };
    serving.next().await;
    assert!(tokio::time::timeout(Duration::from_secs(7), serving.made.recv()).await.is_err(), "it is made once");
    free.notify_one();
    assert_eq!(within(run).await.unwrap().unwrap(), JobEnd::Done);
    settle(&temporal, &server, &long).await;
    eprintln!("{}", server.ask(&["workflow", "list"]).unwrap());
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_stops_in_the_middle_of_an_attempt() {
    let Some(server) = server() else { return };
    for (kind, is_long) in [(WorkKind::Command, false), (WorkKind::Message, false), (WorkKind::Command, true), (WorkKind::Message, true)] {
        let grace = Duration::from_secs(2);
        let router = underlay_temporal::Router::new()
            .kind("command", underlay_temporal::Route::new().task_timeout(Duration::from_secs(3)));
        let options = || underlay_temporal::TemporalOptions { router: router.clone(), stop_grace: grace, ..Default::default() };
        let (asking, first, second) = (open_with(&server, options()), open_with(&server, options()), open_with(&server, options()));
        let free = Arc::new(Notify::new());
        let gate = free.clone();
        let mut stopping = Serving::of(&first, move |_| {
            let gate = gate.clone();
            Box::pin(async move {
                gate.notified().await;
                JobEnd::Done
            })
        });
        let long = job(kind, &format!("{}{is_long}", kind.name()));
        let run = { let (asking, long) = (asking.clone(), long.clone()); tokio::spawn(async move { asking.run(&long, 1).await }) };
        stopping.next().await;
        stopping.tell_to_stop();
        let begun = Instant::now();
        if !is_long {
            assert!(tokio::time::timeout(Duration::from_millis(500), futures::future::pending::<()>()).await.is_err());
            free.notify_one();
        }
        stopping.stop().await.unwrap();
        eprintln!("TIME {} {is_long}: stopped after {:?}", kind.name(), begun.elapsed());
        let mut serving = Serving::of(&second, |_| at_once(JobEnd::Done));
        assert_eq!(within(run).await.unwrap().unwrap(), JobEnd::Done);
        eprintln!("TIME {} {is_long}: told after {:?}; made {:?}", kind.name(), begun.elapsed(), serving.said());
        serving.stop().await.unwrap();
    }
}
