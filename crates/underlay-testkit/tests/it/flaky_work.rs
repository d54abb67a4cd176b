//! The faults of [`Flaky`] over work, schedules and checkpoints come before the effect of a call or after it, and
//! a worker that tries again does all of the work in order.

use std::time::Duration;

use underlay_core::{
    Checkpoint, Checkpoints, Commit, CommitId, DueLook, Error, EventId, EventStore, Json, Lane, NewWork,
    Position, Schedules, Settled, Settlement, Shard, StoreId, StoredCheckpoint, TenantId, Timestamp,
    WorkFilter, WorkKind, WorkPlace, WorkQueue, WorkScope, Worker,
};
use underlay_testkit::{CheckpointsCall, Flaky, Over, SchedulesCall, TimedMemoryFixture, WorkCall, sample};

const LONG: Duration = Duration::from_secs(3_600);

fn unavailable<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unavailable { .. }))
}

fn piece(name: &str) -> NewWork {
    NewWork::new(WorkKind::Message, "mail", "key", name, Json::encode(name).unwrap())
}

fn everybody() -> WorkScope {
    WorkScope::EveryTenantBut(Vec::new())
}

/// A store with pieces of one line, their shard, and a worker.
async fn store_with(names: &[&str]) -> (TimedMemoryFixture, TenantId, Shard, Worker) {
    let (store, tenant) = (TimedMemoryFixture::default(), sample::tenant("acme"));
    let commit = names.iter().fold(Commit::new(CommitId::draw()), |commit, name| commit.send(piece(name)));
    store.events.commit(&tenant, commit).await.unwrap();
    let shard = Shard::of(&tenant, "key");
    (store, tenant, shard, Worker::embedded("a worker"))
}

#[tokio::test]
async fn a_call_that_does_not_arrive_has_no_effect_and_a_lost_answer_has() {
    let (store, tenant, shard, worker) = store_with(&["one", "two"]).await;
    let queue = Over(
        Flaky::work_queue(store.events.clone())
            .unavailable(WorkCall::Share, 1)
            .answer_lost(WorkCall::Share, 2)
            .unavailable(WorkCall::Settle, 1)
            .answer_lost(WorkCall::Settle, 2)
            .answer_lost(WorkCall::ReadWork, 1)
            .unavailable(WorkCall::ReadDue, 1)
            .unavailable(WorkCall::FindWork, 1)
            .unavailable(WorkCall::ListWork, 1)
            .unavailable(WorkCall::QueueDepths, 1)
            .answer_lost(WorkCall::Replay, 1)
            .answer_lost(WorkCall::Discard, 1)
            .unavailable(WorkCall::Release, 1)
            .answer_lost(WorkCall::Leave, 1),
    );
    let other = Worker::embedded("another");
    assert!(unavailable(queue.share(&worker, LONG, &[]).await));
    assert_eq!(store.events.share(&other, LONG, &[]).await.unwrap().held.len(), 16, "nobody had asked");
    store.events.leave(&other).await.unwrap();
    assert!(unavailable(queue.share(&worker, LONG, &[]).await));
    assert_eq!(store.events.share(&other, LONG, &[]).await.unwrap().held, [], "they were given");
    store.events.leave(&other).await.unwrap();
    let held = queue.share(&worker, LONG, &[]).await.unwrap().held;
    let term = held.iter().find(|held| held.term.shard == shard).unwrap().term;

    assert!(unavailable(queue.read_work(shard, Lane::Normal, &everybody(), WorkPlace::START, 10).await));
    let read = queue.read_work(shard, Lane::Normal, &everybody(), WorkPlace::START, 10).await.unwrap().work;
    let dead = Settled::Dead { error: "no".to_owned(), is_final: true, holds: true };
    let settle = [Settlement { term, place: read[0].work.place, settled: dead }];
    let letters = WorkFilter { dead: true, ..WorkFilter::default() };
    let count = async || store.events.list_work(&letters, WorkPlace::START, 10).await.unwrap().work.len();
    assert!(unavailable(queue.settle(&settle).await));
    assert_eq!(count().await, 0, "nothing arrived");
    assert!(unavailable(queue.settle(&settle).await));
    assert_eq!(count().await, 1, "its answer was lost");
    assert_eq!(queue.settle(&settle).await.unwrap(), []);
    assert_eq!(count().await, 1, "settling it again changes nothing");
    assert!(unavailable(queue.read_due(shard, &DueLook::default(), 10).await));
    assert!(unavailable(queue.find_work(&tenant, read[0].work.commit_id, 0).await));
    assert!(unavailable(queue.list_work(&letters, WorkPlace::START, 10).await));
    assert!(unavailable(queue.queue_depths(None).await));
    assert!(unavailable(queue.replay(&tenant, &[read[0].work.id]).await));
    assert_eq!(queue.replay(&tenant, &[read[0].work.id]).await.unwrap(), 0, "it was replayed");
    queue.settle(&settle).await.unwrap();
    assert!(unavailable(queue.discard(&tenant, &[read[0].work.id]).await));
    assert_eq!(queue.discard(&tenant, &[read[0].work.id]).await.unwrap(), 0, "it was discarded");
    assert!(unavailable(queue.release(&[term]).await));
    assert!(unavailable(queue.leave(&worker).await));
    assert_eq!((queue.calls(WorkCall::Settle), queue.calls(WorkCall::Leave)), (4, 1));
    assert_eq!(queue.failed(), 13);
    // What the store says no to is said, not lost.
    let queue = Over(Flaky::work_queue(store.events.clone()).answer_lost(WorkCall::ReadDue, 1));
    assert!(matches!(queue.read_due(shard, &DueLook::default(), 0).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn schedules_and_checkpoints_fail_before_their_effect_or_after_it() {
    let (store, tenant) = (TimedMemoryFixture::default(), sample::tenant("acme"));
    let schedules = Over(
        Flaky::schedules(store.schedules.clone())
            .unavailable(SchedulesCall::Put, 1)
            .answer_lost(SchedulesCall::Put, 2)
            .unavailable(SchedulesCall::List, 1)
            .unavailable(SchedulesCall::Due, 1)
            .answer_lost(SchedulesCall::Advance, 1)
            .answer_lost(SchedulesCall::Remove, 1),
    );
    let (definition, now) = (Json::encode("").unwrap(), Timestamp::UNIX_EPOCH);
    for there in [0, 1] {
        assert!(unavailable(schedules.put_schedule(&tenant, "monthly", &definition, Some(now)).await));
        let listed = store.schedules.list_schedules(None, None, 10).await.unwrap();
        assert_eq!(listed.len(), there);
    }
    assert!(unavailable(schedules.list_schedules(None, None, 10).await));
    assert!(unavailable(schedules.due_schedules(now, None, 10).await));
    let due = schedules.due_schedules(now, None, 10).await.unwrap().remove(0);
    assert!(unavailable(schedules.advance_schedule(&due, None).await));
    assert!(!schedules.advance_schedule(&due, None).await.unwrap(), "it was moved on");
    assert!(unavailable(schedules.remove_schedule(&tenant, "monthly").await));
    assert!(!schedules.remove_schedule(&tenant, "monthly").await.unwrap(), "it was removed");
    assert_eq!((schedules.calls(SchedulesCall::Put), schedules.failed()), (2, 6));

    let checkpoints = Over(
        Flaky::checkpoints(store.checkpoints.clone())
            .unavailable(CheckpointsCall::Move, 1)
            .answer_lost(CheckpointsCall::Move, 2)
            .unavailable(CheckpointsCall::Find, 1)
            .unavailable(CheckpointsCall::List, 1),
    );
    let checkpoint =
        Checkpoint { position: Position::from_number(1), ..Checkpoint::start(StoreId(EventId::draw().0)) };
    let to = StoredCheckpoint { checkpoint, definition };
    for there in [None, Some(to.clone())] {
        assert!(unavailable(checkpoints.move_checkpoint("pump", None, &to, None).await));
        assert_eq!(store.checkpoints.find_checkpoint("pump").await.unwrap(), there);
    }
    let again = checkpoints.move_checkpoint("pump", None, &to, None).await;
    assert!(matches!(again, Err(Error::CheckpointMoved { .. })), "it was moved: {again:?}");
    assert!(unavailable(checkpoints.find_checkpoint("pump").await));
    assert!(unavailable(checkpoints.list_checkpoints().await));
    assert_eq!(checkpoints.list_checkpoints().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_worker_that_tries_again_does_everything_in_order() {
    for seed in 0..20 {
        let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let (store, _, shard, worker) =
            store_with(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let queue = Over(Flaky::work_queue(store.events.clone()).seeded(seed, 40));
        let mut done: Vec<String> = Vec::new();
        while done.len() < names.len() {
            let Ok(share) = queue.share(&worker, LONG, &[]).await else { continue };
            let Some(held) = share.held.iter().find(|held| held.term.shard == shard) else { continue };
            let read = queue.read_work(shard, Lane::Normal, &everybody(), WorkPlace::START, 3).await;
            let Some(next) = read.ok().and_then(|page| page.work.into_iter().next()) else { continue };
            done.push(next.work.sent.name);
            let settle = [Settlement { term: held.term, place: next.work.place, settled: Settled::Done }];
            while queue.settle(&settle).await.is_err() {}
        }
        assert_eq!(done, names, "seed {seed}: each once, in order");
        assert!(queue.failed() > 0, "seed {seed} fails something");
    }
}
