use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use underlay_core::{JobEnd, WorkKind};

use super::subject::{Gate, Subject, at_once, job};
use crate::SchedulerFixture;
use crate::concurrent::finished;

/// Who asks at the same time.
const ASKERS: usize = 20;

/// Sentence 1: *however often a job is asked for, at once or one after another, it is begun once, and all are told what it came to.*
pub async fn a_job_is_begun_once<F: SchedulerFixture>(fixture: F) {
    let subject = Subject::new(fixture);
    let gate = Gate::closed();
    let (here, beside) = (gate.clone(), gate.clone());
    let _processes = [
        subject.start("here", move |_, _| here.then(JobEnd::Done)),
        subject.start("beside", move |_, _| beside.then(JobEnd::Done)),
    ];
    let (once, other) = (job(WorkKind::Command), job(WorkKind::Command));
    let mut asked: Vec<_> = (0..ASKERS).map(|_| subject.ask(&once, 1)).collect();
    asked.push(subject.ask(&other, 1));
    subject.begun(&once, 1).await;
    // Whoever asks while it goes on waits for the same.
    asked.push(subject.ask(&once, 1));
    subject.begun(&other, 1).await;
    gate.open();
    for asked in asked {
        assert_eq!(finished(asked).await, JobEnd::Done);
    }
    assert_eq!(subject.run(&once, 1).await, JobEnd::Done, "it has ended, and is told again");
    subject.is_quiet(&[&once, &other]).await;
    assert_eq!((subject.attempts(&once).len(), subject.attempts(&other).len()), (1, 1));
}

/// Sentence 4: *who stops waiting ends nothing: the job goes on, and whoever asks next is told what it came to.*
pub async fn who_stops_waiting_ends_nothing<F: SchedulerFixture>(fixture: F) {
    let subject = Subject::new(fixture);
    // One that nobody serves yet goes on waiting, though nobody waits for it.
    let unserved = job(WorkKind::Message);
    let asked = subject.ask(&unserved, 1);
    tokio::task::yield_now().await;
    asked.abort();
    assert!(asked.await.is_err_and(|ended| ended.is_cancelled()), "nobody has done it");

    let gate = Gate::closed();
    let opened = gate.clone();
    let _process = subject.start("here", move |_, _| opened.then(JobEnd::Done));
    let left = job(WorkKind::Command);
    let asked = subject.ask(&left, 1);
    subject.begun(&left, 1).await;
    asked.abort();
    assert!(asked.await.is_err_and(|ended| ended.is_cancelled()), "nothing has ended yet");
    gate.open();
    assert_eq!(subject.run(&left, 1).await, JobEnd::Done);
    assert_eq!(subject.run(&unserved, 1).await, JobEnd::Done);
    let begun = [&left, &unserved].map(|job| subject.attempts(job).len());
    assert_eq!(begun, [1, 1], "nothing was begun again");
}

/// Sentence 11: *a job that was gone is begun anew where it is asked for again.*
pub async fn a_job_that_was_gone_is_begun_anew<F: SchedulerFixture>(fixture: F) {
    let subject = Subject::new(fixture);
    let attempts = Arc::new(AtomicUsize::new(0));
    let _process = subject.start("here", move |_, _| {
        at_once(if attempts.fetch_add(1, Ordering::SeqCst) == 0 { JobEnd::Gone } else { JobEnd::Done })
    });
    let gone = job(WorkKind::Command);
    assert_eq!(subject.run(&gone, 1).await, JobEnd::Gone);
    subject.is_quiet(&[&gone]).await;
    // A dead letter that was replayed, say: the store has it again.
    assert_eq!(subject.run(&gone, 1).await, JobEnd::Done);
    assert_eq!(subject.attempts(&gone).len(), 2);
}
