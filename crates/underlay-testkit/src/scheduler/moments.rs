use std::time::Duration;

use tokio::time::Instant;
use underlay_core::JobEnd;

use super::subject::{Gate, Subject, at_once, timer};
use crate::SchedulerFixture;
use crate::concurrent::finished;

const DELAY: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(60 * 60);

/// Sentence 6: *a job that is to wait is begun after its time, or as soon as it is asked for; both begin it once.*
pub async fn a_job_that_waits_is_begun_once<F: SchedulerFixture>(fixture: F) {
    let subject = Subject::new(fixture);
    let gate = Gate::closed();
    let opened = gate.clone();
    let _process = subject.start("here", move |_, _| opened.then(JobEnd::Done));
    let (by_itself, asked_for) = (timer(), timer());
    let set_at = Instant::now();
    subject.later(&by_itself, DELAY).await;
    subject.later(&by_itself, DELAY).await;
    subject.later(&asked_for, LONG).await;
    let asked = subject.ask(&asked_for, 1);
    subject.begun(&asked_for, 1).await;

    let begun = subject.begun(&by_itself, 1).await;
    let waited = begun[0].at.duration_since(set_at);
    assert!(waited >= DELAY.mul_f32(0.9), "it was begun after {waited:?}, and was to wait for {DELAY:?}");
    assert!(!begun[0].is_due, "nobody had asked for it: it has to look at its line");
    // It is asked for while it goes on, and set once more.
    let also_asked = subject.ask(&by_itself, 1);
    subject.later(&by_itself, Duration::ZERO).await;
    subject.later(&asked_for, Duration::ZERO).await;
    gate.open();
    assert_eq!(finished(asked).await, JobEnd::Done);
    assert_eq!(finished(also_asked).await, JobEnd::Done);

    subject.later(&by_itself, Duration::ZERO).await;
    subject.later(&asked_for, Duration::ZERO).await;
    assert_eq!(subject.run(&by_itself, 1).await, JobEnd::Done);
    subject.is_quiet(&[&by_itself, &asked_for]).await;
    assert_eq!((subject.attempts(&by_itself).len(), subject.attempts(&asked_for).len()), (1, 1));
}

/// Sentence 7: *a job whose line is not free waits until it is asked for.*
pub async fn a_job_whose_line_is_not_free_waits<F: SchedulerFixture>(fixture: F) {
    let subject = Subject::new(fixture);
    let gate = Gate::closed();
    let opened = gate.clone();
    let _process = subject.start("here", move |begun, _| match (begun.is_due, begun.number) {
        (true, _) => at_once(JobEnd::Done),
        (false, _) => opened.then(JobEnd::Waits),
    });
    let (waits, meets) = (timer(), timer());
    subject.later(&waits, Duration::ZERO).await;
    subject.later(&meets, Duration::ZERO).await;
    subject.begun(&waits, 1).await;
    subject.begun(&meets, 1).await;
    // This one is asked for before the attempt has seen that its line is not free.
    let asked = subject.ask(&meets, 1);
    gate.open();
    assert_eq!(finished(asked).await, JobEnd::Done);
    subject.is_quiet(&[&waits, &meets]).await;
    assert_eq!(subject.run(&waits, 1).await, JobEnd::Done);
    let due: Vec<bool> = subject.attempts(&waits).iter().map(|begun| begun.is_due).collect();
    assert_eq!(due, [false, true]);
}
