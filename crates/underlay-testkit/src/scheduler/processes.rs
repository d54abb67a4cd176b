use std::time::Duration;

use underlay_core::{Clock, JobEnd, SystemClock, WorkKind};

use super::subject::{Gate, Subject, at_once, job, never};
use crate::concurrent::finished;
use crate::{SchedulerFixture, ServingProcess};

/// Sentence 5: *an attempt that ends with its process is made again in another.*
pub async fn an_attempt_of_a_process_that_ends_is_made_again<F: SchedulerFixture>(fixture: F) {
    let subject = Subject::new(fixture);
    let killed = subject.start("killed", |_, _| never());
    let lost = job(WorkKind::Command);
    let asked = subject.ask(&lost, 1);
    subject.begun(&lost, 1).await;
    subject.fixture.kill(killed).await;
    let _process = subject.start("next", |_, _| at_once(JobEnd::Done));
    assert_eq!(finished(asked).await, JobEnd::Done, "it is no failure");
    let begun = subject.attempts(&lost);
    assert_eq!(begun.iter().map(|begun| begun.by).collect::<Vec<_>>(), ["killed", "next"]);
    assert_eq!(begun.iter().map(|begun| begun.number).collect::<Vec<_>>(), [1, 1], "and is not counted");
}

/// Sentence 8: *what another program is to do goes on until one can.*
pub async fn what_is_anothers_goes_on<F: SchedulerFixture>(fixture: F) {
    let subject = Subject::new(fixture);
    let _older = subject.start("older", |_, _| {
        at_once(JobEnd::Anothers { reason: "it does not know this command".to_owned() })
    });
    let newer = job(WorkKind::Command);
    let asked = subject.ask(&newer, 1);
    subject.begun(&newer, 2).await;
    assert!(!asked.is_finished(), "nobody is told: it goes on");
    let _newer = subject.start("newer", |_, _| at_once(JobEnd::Done));
    assert_eq!(finished(asked).await, JobEnd::Done);
    let begun = subject.attempts(&newer);
    assert_eq!(begun.last().map(|begun| begun.by), Some("newer"));
    assert!(begun.iter().all(|begun| begun.number == 1), "nothing failed: {begun:?}");
}

/// Sentence 9: *an attempt that gives heartbeats goes on beyond its time.*
pub async fn heartbeats_keep_an_attempt<F: SchedulerFixture>(fixture: F) {
    const TIME: Duration = Duration::from_secs(2);
    const BEATS: u32 = 20;
    let subject = Subject::new(fixture);
    let _process = subject.start_with_time("here", TIME, |_, beats| {
        Box::pin(async move {
            for _ in 0..BEATS {
                // It takes three times as long as it has without them.
                SystemClock.sleep(TIME * 3 / BEATS).await;
                beats.notify_one();
            }
            JobEnd::Done
        })
    });
    let long = job(WorkKind::Message);
    assert_eq!(subject.run(&long, 1).await, JobEnd::Done);
    assert_eq!(subject.attempts(&long).len(), 1);
}

/// Sentence 10: *stopping ends what serves once the attempts that go on have ended, or their grace is over.*
pub async fn stopping_ends_serving<F: SchedulerFixture>(fixture: F) {
    let subject = Subject::new(fixture);
    let gate = Gate::closed();
    let opened = gate.clone();
    let ServingProcess { stop, serving } = subject.start("drains", move |_, _| opened.then(JobEnd::Done));
    let ends = job(WorkKind::Command);
    let asked = subject.ask(&ends, 1);
    subject.begun(&ends, 1).await;
    stop.send_replace(true);
    gate.open();
    assert_eq!(finished(asked).await, JobEnd::Done, "the attempt came to its end");
    finished(serving).await.expect("it was stopped");
    assert_eq!(subject.attempts(&ends).len(), 1);

    let ServingProcess { stop, serving } = subject.start("hangs", |_, _| never());
    let hangs = job(WorkKind::Command);
    let asked = subject.ask(&hangs, 1);
    subject.begun(&hangs, 1).await;
    stop.send_replace(true);
    finished(serving).await.expect("the grace is over, and it was stopped");
    // Who goes away without a word stops it too.
    let ServingProcess { stop, serving } = subject.start("next", |_, _| at_once(JobEnd::Done));
    assert_eq!(finished(asked).await, JobEnd::Done, "what it left is made again");
    drop(stop);
    finished(serving).await.expect("nobody is left to stop it");
}
