//! Schedules whose moments a scheduler begins.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use underlay_core::memory::MemoryScheduler;
use underlay_core::{Job, JobAttempt, JobEnd, JobRunner, JobTask, Scheduler};

use super::Timetable;
use super::driven::Announced;
use super::fires::{Aside, Looked};
use super::tests::{hourly, submitted};
use crate::EngineConfig;
use crate::commands::stored::tests::{Desk, tenant};

const HOUR: Duration = Duration::from_secs(3_600);

/// Attempts at schedules that come to what a test says, or to what the timetable does.
struct Runner {
    timetable: Arc<Timetable>,
    says: Mutex<Option<JobEnd>>,
    attempts: AtomicUsize,
}

#[async_trait]
impl JobRunner for Runner {
    async fn attempt(&self, attempt: JobAttempt<'_>) -> JobEnd {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let said = self.says.lock().unwrap().clone();
        match said {
            Some(end) => end,
            None => self.timetable.attempt(attempt.job, attempt.number).await,
        }
    }

    fn timeout(&self, _: &Job) -> Duration {
        Timetable::ATTEMPT_MAX
    }
}

/// A timetable whose scheduler is served here.
struct Driven {
    desk: Desk,
    timetable: Arc<Timetable>,
    scheduler: Arc<dyn Scheduler>,
    runner: Arc<Runner>,
    _serving: watch::Sender<bool>,
}

impl Driven {
    fn new() -> Self {
        let desk = Desk::new();
        let scheduler: Arc<dyn Scheduler> = Arc::new(MemoryScheduler::new(desk.clock.clone()));
        let mut ports = desk.ports.clone();
        ports.work.as_mut().unwrap().scheduler = Some(scheduler.clone());
        let timetable = Arc::new(Timetable::new(&ports, desk.commands.clone(), &EngineConfig::default()));
        let runner = Arc::new(Runner {
            timetable: timetable.clone(),
            says: Mutex::default(),
            attempts: AtomicUsize::new(0),
        });
        let (serving, stopped) = watch::channel(false);
        let (served, attempting) = (scheduler.clone(), runner.clone());
        tokio::spawn(async move { served.serve(attempting, stopped).await });
        Self { desk, timetable, scheduler, runner, _serving: serving }
    }

    async fn look(&self, announced: &mut Announced) -> Looked {
        self.timetable.look(&self.scheduler, &mut Aside::default(), announced).await.unwrap()
    }

    async fn settle_down(&self) {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_moment_is_begun_by_the_scheduler_that_was_told_of_it() {
    let driven = Driven::new();
    driven.timetable.put(&tenant(), "savings", hourly(1)).await.unwrap();
    let mut announced = Announced::default();
    assert_eq!(driven.look(&mut announced).await.moved, 0);
    // So far ahead nobody looks.
    driven.desk.clock.advance(HOUR - Duration::from_secs(60));
    driven.settle_down().await;
    assert_eq!(driven.look(&mut announced).await.moved, 0);
    assert!(submitted(&driven.desk).await.is_empty());
    driven.desk.clock.advance(Duration::from_secs(60));
    driven.settle_down().await;
    assert_eq!(submitted(&driven.desk).await.len(), 1, "nobody looked");
    assert_eq!(driven.look(&mut announced).await.moved, 0, "it was moved on");
    assert_eq!(driven.runner.attempts.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_moment_that_nobody_was_told_of_is_asked_for_and_begun_once() {
    let driven = Driven::new();
    for name in ["save", "savings", "savings-2"] {
        driven.timetable.put(&tenant(), name, hourly(1)).await.unwrap();
    }
    driven.desk.clock.advance(HOUR);
    let (mut one, mut other) = (Announced::default(), Announced::default());
    let (one, other) = tokio::join!(driven.look(&mut one), driven.look(&mut other));
    assert!(one.moved + other.moved >= 3, "{one:?} {other:?}");
    assert_eq!(submitted(&driven.desk).await.len(), 3);
    assert_eq!(driven.runner.attempts.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn the_store_says_what_is_due_whatever_the_scheduler_says() {
    for says in [JobEnd::Done, JobEnd::Gone] {
        let driven = Driven::new();
        *driven.runner.says.lock().unwrap() = Some(says);
        driven.timetable.put(&tenant(), "savings", hourly(1)).await.unwrap();
        driven.desk.clock.advance(HOUR);
        assert_eq!(driven.look(&mut Announced::default()).await.moved, 1);
        assert_eq!(submitted(&driven.desk).await.len(), 1);
        assert_eq!(driven.look(&mut Announced::default()).await.moved, 0);
    }
}

#[tokio::test]
async fn an_attempt_at_a_moment_that_is_no_longer_due_submits_nothing() {
    let driven = Driven::new();
    let put = driven.timetable.put(&tenant(), "savings", hourly(1)).await.unwrap();
    let moment = put.next_due_at.unwrap();
    let job = |name: &str, revision, moment| Job {
        tenant: tenant(),
        task: JobTask::Schedule { revision, moment },
        receiver: "jar".to_owned(),
        key: name.to_owned(),
        name: name.to_owned(),
        lane: underlay_core::Lane::Normal,
        correlation_id: None,
        due_at: Some(moment),
    };
    let later = moment.checked_add(HOUR).unwrap();
    for gone in [job("savings", 2, moment), job("savings", 1, later), job("sav", 1, moment)] {
        assert_eq!(driven.timetable.attempt(&gone, 1).await, JobEnd::Gone, "{gone:?}");
    }
    assert!(submitted(&driven.desk).await.is_empty());
    // The clock of the scheduler is a little ahead of this one.
    assert_eq!(driven.timetable.attempt(&job("savings", 1, moment), 1).await, JobEnd::Done);
    assert_eq!(driven.timetable.attempt(&job("savings", 1, moment), 1).await, JobEnd::Gone);
    assert_eq!(submitted(&driven.desk).await.len(), 1);
}
