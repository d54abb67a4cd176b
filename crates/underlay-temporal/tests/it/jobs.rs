//! How a job goes, from its beginning to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use underlay_core::ports::{Job, JobEnd, Scheduler};
use underlay_core::words::limits::WORK_ERROR_BYTES_MAX;
use underlay_core::words::{Timestamp, WorkKind};

use crate::house::{
    Made, Serving, asked, at_once, command, failed, job, open, server, told, until_ended, within,
};

fn timer(key: &str) -> Job {
    Job { due_at: Some(Timestamp::UNIX_EPOCH), ..job(WorkKind::Timer, key) }
}

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_begun_once_and_everybody_is_told() {
    let Some(server) = server() else { return };
    let (doing, asking) = (open(&server), open(&server));
    let mut serving = Serving::of(&doing, |_| at_once(JobEnd::Done));
    let job = command("k");
    let asked: Vec<_> = [&doing, &doing, &asking, &asking].map(|temporal| asked(temporal, &job, 1)).into();
    for asked in asked {
        assert_eq!(told(asked).await, JobEnd::Done);
    }
    for temporal in [&doing, &asking] {
        assert_eq!(within(temporal.run(&job, 1)).await.unwrap(), JobEnd::Done, "it has ended before");
    }
    assert_eq!(serving.said(), [Made { key: "k".to_owned(), number: 1, is_due: true }]);
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
            _ => at_once(JobEnd::Done),
        });
        let job = command(if is_home { "home" } else { "away" });
        assert_eq!(within(asking.run(&job, 1)).await.unwrap(), failed("not yet", Some(pause)));
        for number in 1..=3 {
            assert_eq!(serving.next().await.number, number, "nobody asks for it");
        }
        assert_eq!(within(asking.run(&job, 2)).await.unwrap(), JobEnd::Done, "of the last attempt");
        assert_eq!(within(asking.run(&job, 4)).await.unwrap(), JobEnd::Done);
        assert_eq!(serving.said(), []);
        serving.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_is_cut_to_what_stores_keep() {
    let Some(server) = server() else { return };
    let (asking, doing) = (open(&server), open(&server));
    let serving = Serving::of(&doing, |_| at_once(failed(&"é".repeat(2_000_000), None)));
    let kept = "é".repeat(WORK_ERROR_BYTES_MAX / 2);
    assert_eq!(within(asking.run(&command("k"), 1)).await.unwrap(), failed(&kept, None));
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_given_up_is_begun_again_from_its_first_attempt_alone() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let mut serving = Serving::of(&temporal, |_| at_once(failed("never", None)));
    let job = command("k");
    for (number, attempts) in [(2, 1), (2, 0), (3, 0), (1, 1), (2, 0)] {
        assert_eq!(within(temporal.run(&job, number)).await.unwrap(), failed("never", None));
        assert_eq!(serving.said().len(), attempts, "{number}");
        until_ended(&server).await;
    }
    let shown = server.ask(&["workflow", "list", "--query", "ExecutionStatus = 'Failed'"]).unwrap();
    assert!(shown.contains("underlay.command"), "people see that it failed: {shown}");
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_gone_is_begun_again_where_it_is_asked_for() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let is_there = Arc::new(AtomicBool::new(false));
    let there = is_there.clone();
    let serving = Serving::of(&temporal, move |_| {
        at_once(if there.load(Ordering::SeqCst) { JobEnd::Done } else { JobEnd::Gone })
    });
    let job = command("k");
    assert_eq!(within(temporal.run(&job, 1)).await.unwrap(), JobEnd::Gone);
    until_ended(&server).await;
    is_there.store(true, Ordering::SeqCst);
    assert_eq!(within(temporal.run(&job, 2)).await.unwrap(), JobEnd::Done);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_its_time_begins_by_itself_or_as_soon_as_it_is_asked_for() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let mut serving = Serving::of(&temporal, |_| at_once(JobEnd::Done));
    let early = timer("asked");
    for _ in 0..2 {
        within(temporal.later(&early, HOUR)).await.unwrap();
    }
    assert_eq!(within(temporal.run(&early, 1)).await.unwrap(), JobEnd::Done);
    assert!(serving.next().await.is_due);
    let by_itself = timer("by itself");
    within(temporal.later(&by_itself, Duration::from_secs(1))).await.unwrap();
    assert!(!serving.next().await.is_due);
    within(temporal.later(&by_itself, HOUR)).await.unwrap();
    assert_eq!(within(temporal.run(&by_itself, 1)).await.unwrap(), JobEnd::Done);
    assert_eq!(serving.said(), []);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_clocks_of_a_timer_begin_it_once() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let mut serving = Serving::of(&temporal, |_| at_once(JobEnd::Done));
    let timers: Vec<_> = (0..20).map(|n| timer(&n.to_string())).collect();
    for timer in &timers {
        within(temporal.later(timer, Duration::from_secs(1))).await.unwrap();
    }
    // The server has each begun by itself, and at that moment it is asked for.
    for _ in &timers {
        let made = serving.next().await;
        let timer = timers.iter().find(|timer| timer.key == made.key).expect("each is begun once");
        assert_eq!(within(temporal.run(timer, 1)).await.unwrap(), JobEnd::Done);
    }
    until_ended(&server).await;
    assert_eq!(serving.said(), []);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_line_is_not_free_waits_until_it_is_asked_for() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let mut serving =
        Serving::of(&temporal, |made| at_once(if made.is_due { JobEnd::Done } else { JobEnd::Waits }));
    let timer = timer("k");
    within(temporal.later(&timer, Duration::ZERO)).await.unwrap();
    assert!(!serving.next().await.is_due);
    assert_eq!(within(temporal.run(&timer, 1)).await.unwrap(), JobEnd::Done);
    assert!(serving.next().await.is_due);
    assert_eq!(serving.said(), []);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_anothers_goes_on_until_one_can() {
    let Some(server) = server() else { return };
    let temporal = open(&server);
    let can = Arc::new(AtomicBool::new(false));
    let able = can.clone();
    let mut serving = Serving::of(&temporal, move |_| {
        let anothers = JobEnd::Anothers { reason: "no such handler".to_owned() };
        at_once(if able.load(Ordering::SeqCst) { JobEnd::Done } else { anothers })
    });
    let run = asked(&temporal, &command("k"), 3);
    for _ in 0..2 {
        assert_eq!(serving.next().await.number, 3, "it is no failure");
    }
    can.store(true, Ordering::SeqCst);
    assert_eq!(told(run).await, JobEnd::Done);
    serving.stop().await.unwrap();
}
