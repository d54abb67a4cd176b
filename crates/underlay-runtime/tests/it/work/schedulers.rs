//! A scheduler that is away, forgets, or is shared by mistake.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::{
    Job, JobAttempt, JobEnd, JobRunner, JobTask, Lane, Scheduler, WorkId, WorkKind, WorkQueue, Worker,
};
use underlay_runtime::EngineConfig;

use super::yard::{Act, LEASE, POLL, Process, QueueIsEmpty, Yard, note, tenant};

/// The scheduler that a process says it has.
fn told(process: &Process) -> underlay_runtime::SchedulerState {
    process.state().scheduler.unwrap()
}

#[tokio::test]
async fn while_the_scheduler_is_away_work_waits_and_nothing_is_counted() {
    let yard = Yard::new();
    let scheduler = yard.scheduler.clone().unwrap();
    scheduler.set_away(true);
    let process = yard.process("a");
    let work = process.start();
    for batch in 0..10 {
        let all = (0..200).map(|n| note(&format!("k{}", batch * 200 + n), 1)).collect();
        yard.send("flood", all).await;
    }
    yard.send_notes("small", "k", 1..=3).await;
    // Longer than any lease, and than the time of any attempt.
    yard.pass(LEASE * 30).await;
    let state = process.state();
    assert_eq!((yard.book.count("begun"), yard.left().await.min(1_000)), (0, 1_000));
    let bound = EngineConfig::default().work_tenant_running_max;
    assert!(state.running <= bound + 1, "the flood has its part, and the other its own: {state:?}");
    assert!(
        state.scheduler.as_ref().is_some_and(|told| told.error.is_some() && !told.is_reachable),
        "{state:?}"
    );
    let first = yard.store_first().await;
    assert_eq!((first.attempts, first.begun, first.last_error), (0, 0, None));

    scheduler.set_away(false);
    yard.pass_until(async || yard.book.numbers("small", "k", "done") == [1, 2, 3]).await;
    yard.pass_until(async || yard.store.queue_is_empty().await).await;
    assert_eq!(yard.book.count("done"), 2_003, "each once");
    yard.book.assert_in_order();
    yard.pass_until(async || told(&process).is_reachable).await;
    assert_eq!((told(&process).identity.as_str(), told(&process).error), ("memory", None));
    work.stop().await;
}

#[tokio::test]
async fn who_stops_while_the_scheduler_is_away_leaves_all_of_it_to_the_next() {
    let yard = Yard::new();
    let scheduler = yard.scheduler.clone().unwrap();
    scheduler.set_away(true);
    let process = yard.process("a");
    let work = process.start();
    yard.send_notes("acme", "k", 1..=3).await;
    yard.until(async || process.state().running == 1).await;
    let stopping = tokio::spawn(work.stop());
    yard.pass(EngineConfig::default().work_drain + POLL).await;
    assert!(stopping.is_finished(), "it waits for no longer than an attempt may drain");

    scheduler.set_away(false);
    let next = yard.process("b");
    let work = next.start();
    yard.pass_until(async || yard.store.queue_is_empty().await).await;
    assert_eq!(yard.book.numbers("acme", "k", "done"), [1, 2, 3]);
    yard.book.assert_in_order();
    work.stop().await;
}

#[tokio::test]
async fn an_attempt_that_the_store_is_away_for_is_none() {
    let yard = Yard::new();
    let process = yard.process("a");
    process.gate.finds_nothing.store(true, Ordering::Relaxed);
    let work = process.start();
    yard.send_notes("acme", "k", 1..=2).await;
    yard.until(async || process.state().running == 1).await;
    // Longer than all attempts with all of their pauses.
    yard.pass(Duration::from_secs(120)).await;
    assert_eq!((yard.book.count("begun"), yard.store_first().await.attempts), (0, 0));
    process.gate.finds_nothing.store(false, Ordering::Relaxed);
    yard.pass_until(async || yard.left().await == 0).await;
    assert_eq!(yard.book.numbers("acme", "k", "done"), [1, 2]);
    assert!(yard.book.all().iter().all(|line| line.attempt == 1), "{:?}", yard.book.all());
    work.stop().await;
}

#[tokio::test]
async fn what_the_scheduler_forgets_is_begun_anew() {
    let yard = Yard::new();
    let scheduler = yard.scheduler.clone().unwrap();
    let process = yard.process("a");
    yard.book.script(|delivery, _| if delivery.attempt == 1 { Act::Fail } else { Act::Do });
    let work = process.start();
    for n in 0..50 {
        yard.send_notes("acme", &format!("k{n}"), 1..=2).await;
    }
    yard.until(async || yard.book.count("failed") >= 10).await;
    // Some wait for their next attempt, some go on, and some were never asked for.
    scheduler.forget();
    yard.pass_until(async || yard.store.queue_is_empty().await).await;
    assert_eq!(yard.dead().await, []);
    for n in 0..50 {
        let done = yard.book.numbers("acme", &format!("k{n}"), "done");
        assert!(done == [1, 2], "{n}: {done:?}");
    }
    work.stop().await;
}

#[tokio::test]
async fn a_dead_letter_that_is_replayed_has_all_of_its_attempts_again() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|_, _| Act::Fail);
    let work = process.start();
    let commit = yard.send("acme", vec![note("k", 1)]).await;
    yard.pass_until(async || yard.dead().await.len() == 1).await;
    let before = yard.book.count("failed");
    yard.pass(Duration::from_secs(60)).await;
    assert_eq!((before, yard.book.count("begun")), (5, 5), "no other follows");

    let id = WorkId::of(&tenant("acme"), commit, 0);
    assert_eq!(yard.store.replay(&tenant("acme"), &[id]).await.unwrap(), 1);
    yard.pass_until(async || yard.book.count("failed") == 10 && yard.dead().await.len() == 1).await;
    yard.book.script(|_, _| Act::Do);
    assert_eq!(yard.store.replay(&tenant("acme"), &[id]).await.unwrap(), 1);
    yard.pass_until(async || yard.store.queue_is_empty().await && yard.dead().await.is_empty()).await;
    assert_eq!(yard.book.count("done"), 1);
    let attempts: Vec<u32> =
        yard.book.all().iter().filter(|line| line.what == "begun").map(|line| line.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1]);
    work.stop().await;
}

#[tokio::test]
async fn no_attempt_begins_while_the_work_is_with_another_scheduler() {
    let yard = Yard::new();
    let scheduler = yard.scheduler.clone().unwrap();
    let embedded = Worker::embedded("embedded");
    yard.store.share(&embedded, LEASE * 9, &[]).await.unwrap();
    let process = yard.process("a");
    let work = process.start();
    yard.until(async || process.state().waits_for.is_some()).await;
    // Its scheduler knows the piece from before, and would have it done.
    let commit = yard.send("acme", vec![note("k", 1)]).await;
    let known = Job {
        tenant: tenant("acme"),
        task: JobTask::Work { kind: WorkKind::Message, commit, number: 0 },
        receiver: "scribe".to_owned(),
        key: "k".to_owned(),
        name: "note".to_owned(),
        lane: Lane::Normal,
        correlation_id: None,
        due_at: None,
    };
    let asked = tokio::spawn(async move { scheduler.run(&known, 1).await });
    yard.pass(LEASE * 2).await;
    assert_eq!((process.shards(), yard.book.count("begun")), (0, 0), "the work is in other hands");
    assert!(!asked.is_finished());

    yard.store.leave(&embedded).await.unwrap();
    yard.pass_until(async || yard.left().await == 0).await;
    assert_eq!(asked.await.unwrap().unwrap(), JobEnd::Done);
    assert_eq!(yard.book.count("begun"), 1);
    work.stop().await;
}

#[tokio::test]
async fn no_attempt_goes_on_after_its_process_has_left() {
    let yard = Yard::new();
    let process = yard.process("a");
    let work = process.start();
    yard.until(async || process.shards() > 0).await;
    yard.book.script(|_, _| Act::Wait);
    yard.send("acme", vec![note("k", 1)]).await;
    yard.until(async || yard.book.count("begun") == 1).await;
    let stopping = tokio::spawn(work.stop());
    let embedded = Worker::embedded("embedded");
    let share = async || yard.store.share(&embedded, LEASE * 9, &[]).await.unwrap();
    yard.pass_until(async || {
        let is_left = !share().await.held.is_empty();
        assert!(!is_left || yard.book.count("dropped") == 1, "it has left, and its attempt goes on");
        is_left
    })
    .await;
    stopping.await.unwrap();
}

/// The workers of another installation: they have none of the pieces of this one.
struct Others;

#[async_trait]
impl JobRunner for Others {
    async fn attempt(&self, _: JobAttempt<'_>) -> JobEnd {
        JobEnd::Gone
    }

    fn timeout(&self, _: &Job) -> Duration {
        LEASE
    }
}

#[tokio::test]
async fn two_installations_that_share_a_scheduler_are_told_so_and_lose_nothing() {
    let yard = Yard::new();
    let scheduler = yard.scheduler.clone().unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let others = tokio::spawn(async move { scheduler.serve(Arc::new(Others), stopped).await });
    let process = yard.process("a");
    let work = process.start();
    for n in 0..50 {
        yard.send("acme", vec![note(&format!("k{n}"), 1)]).await;
        yard.settle_down().await;
    }
    let left = yard.store_first().await;
    let error = left.last_error.unwrap();
    assert!(error.contains("the workers of memory do not know this piece"), "{error}");
    stop.send_replace(true);
    others.await.unwrap().unwrap();
    yard.pass_until(async || yard.left().await == 0).await;
    assert_eq!((yard.book.count("done"), yard.dead().await.len()), (50, 0));
    work.stop().await;
}
