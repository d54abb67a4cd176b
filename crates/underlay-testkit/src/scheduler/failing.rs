use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use underlay_core::{JobEnd, WorkKind};

use super::subject::{Subject, at_once, failed, job};
use crate::SchedulerFixture;

const PAUSE: Duration = Duration::from_secs(1);

/// Sentence 2: *an attempt that fails is told to whoever waits, with its reason; the next follows after its pause, without being asked for, until one is the last.*
pub async fn a_failed_attempt_is_told_and_followed<F: SchedulerFixture>(fixture: F) {
    let subject = Subject::new(fixture);
    let (fails, refused) = (job(WorkKind::Message), job(WorkKind::Command));
    let (no, id) = (JobEnd::Failed { reason: "no".to_owned(), is_final: true, retry_in: None }, refused.id());
    let refusal = no.clone();
    let _process = subject.start("here", move |begun, _| {
        at_once(match begun.number {
            _ if begun.job == id => refusal.clone(),
            1 => failed("first", Some(PAUSE)),
            2 => failed("second", Some(PAUSE)),
            _ => failed("third", None),
        })
    });
    assert_eq!(subject.run(&refused, 1).await, no, "that it is final is told too");
    assert_eq!(subject.run(&fails, 1).await, failed("first", Some(PAUSE)));
    assert_eq!(subject.run(&fails, 2).await, failed("second", Some(PAUSE)));
    // Nobody asks for the third.
    let begun = subject.begun(&fails, 3).await;
    assert_eq!(begun.iter().map(|begun| begun.number).collect::<Vec<_>>(), [1, 2, 3]);
    for pair in begun.windows(2) {
        let pause = pair[1].at.duration_since(pair[0].at);
        assert!(pause >= PAUSE.mul_f32(0.9), "it followed after {pause:?}, and its pause is {PAUSE:?}");
    }
    assert_eq!(subject.run(&fails, 3).await, failed("third", None));
}

/// Sentence 3: *after the last attempt no other follows, until the job is asked for with attempt 1 again.*
pub async fn a_job_that_failed_is_begun_again_from_its_first_attempt<F: SchedulerFixture>(fixture: F) {
    let subject = Subject::new(fixture);
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = mended.clone();
    let _process = subject.start("here", move |begun, _| {
        at_once(match begun.number {
            _ if is_mended.load(Ordering::SeqCst) => JobEnd::Done,
            1 => failed("first", Some(Duration::from_millis(100))),
            _ => failed("last", None),
        })
    });
    let fails = job(WorkKind::Command);
    assert_eq!(subject.run(&fails, 1).await, failed("first", Some(Duration::from_millis(100))));
    assert_eq!(subject.run(&fails, 2).await, failed("last", None));
    // The one who asked was gone before that was stored.
    assert_eq!(subject.run(&fails, 2).await, failed("last", None));
    assert_eq!(
        subject.run(&fails, 3).await,
        failed("last", None),
        "where it is not stored, it is told again"
    );
    subject.is_quiet(&[&fails]).await;
    mended.store(true, Ordering::SeqCst);
    assert_eq!(subject.run(&fails, 1).await, JobEnd::Done, "a dead letter is replayed");
    let numbers: Vec<u32> = subject.attempts(&fails).iter().map(|begun| begun.number).collect();
    assert_eq!(numbers, [1, 2, 1]);
}
