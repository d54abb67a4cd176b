//! The place of a process in the log: what is stored of it, and what a person or another log does to it.

use std::sync::{Arc, Mutex};

use underlay_core::memory::MemoryEventStore;
use underlay_core::{Checkpoint, Checkpoints, Error, EventStore, Json, ProcessStart, StoredCheckpoint};
use underlay_testkit::{EventStoreLayer, Over};

use super::house::{House, Life, Program};
use super::notes::{LOST, acme, collected, collecting, note, noted};
use crate::FollowerStatus;
use crate::processes::ProcessConsumer;
use crate::subscription::{Advance, DurableFollower, Follower, Halt, SubscriptionState};

/// The follower of the one process of a program.
fn follower(program: &Program) -> DurableFollower<ProcessConsumer> {
    let consumer = program.processes.consumers().remove(0);
    DurableFollower::new(program.processes.subscriptions.clone(), consumer).0
}

async fn to_the_head(follower: &mut DurableFollower<ProcessConsumer>) {
    while follower.advance().await.unwrap() != Advance::FoundNothing {}
}

/// Stores something else beside the checkpoint, which stays where it is.
async fn keep(house: &House, kept: &str) -> Checkpoint {
    let at = house.checkpoints.find_checkpoint("process:collect").await.unwrap().unwrap().checkpoint;
    let to = StoredCheckpoint { checkpoint: at, definition: Json::from_stored(kept) };
    house.checkpoints.move_checkpoint("process:collect", Some(&at), &to, None).await.unwrap();
    at
}

async fn kept(house: &House) -> String {
    let stored = house.checkpoints.find_checkpoint("process:collect").await.unwrap().unwrap();
    stored.definition.as_str().to_owned()
}

#[tokio::test]
async fn a_process_that_never_rests_sees_too_that_a_person_moved_it() {
    let house = House::new();
    let program = house.program(collecting::<false, 1>());
    note(&house, "a", &[10]).await;
    let mut follower = follower(&program);
    follower.open(&mut program.signals()).await.unwrap();
    to_the_head(&mut follower).await;
    follower.tidy(false, &mut program.signals()).await.unwrap();
    program.engine.restart_process("collect", ProcessStart::Beginning).await.unwrap();
    let halt = follower.tidy(false, &mut program.signals()).await.unwrap_err();
    assert!(matches!(halt, Halt::Failed(Error::CheckpointMoved { .. })), "{halt}");
}

#[tokio::test]
async fn a_problem_is_told_until_something_goes_well() {
    let house = House::new();
    let program = house.program(collecting::<false, 1>());
    let consumer = program.processes.consumers().remove(0);
    let (mut follower, state) = DurableFollower::new(program.processes.subscriptions.clone(), consumer);
    let told = || state.borrow().error.clone();
    let away = Halt::Failed(Error::unavailable("the store is away"));
    follower.show(SubscriptionState::CatchingUp, Some(&away));
    follower.open(&mut program.signals()).await.unwrap();
    follower.show(SubscriptionState::CatchingUp, None);
    assert!(told().unwrap().contains("the store is away"), "it was opened, and nothing was taken yet");
    to_the_head(&mut follower).await;
    follower.arrive().await.unwrap();
    follower.show(SubscriptionState::Live, None);
    assert_eq!(told(), None);

    follower.show(SubscriptionState::CatchingUp, Some(&away));
    note(&house, "a", &[10]).await;
    follower.advance().await.unwrap();
    follower.show(SubscriptionState::CatchingUp, None);
    assert_eq!((told(), state.borrow().events), (None, 1));

    follower.show(SubscriptionState::CatchingUp, Some(&away));
    follower.look_on().await.unwrap();
    follower.show(SubscriptionState::Standby, None);
    assert_eq!(told(), None, "it is another program's to tell");
}

/// A log that is taken away and brought back.
struct Exchanged(Arc<Mutex<MemoryEventStore>>);

impl EventStoreLayer for Exchanged {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_process_goes_on_by_itself_once_its_log_is_there_again() {
    let house = House::new();
    let log = Arc::new(Mutex::new(house.log.clone()));
    let store = Arc::new(Over(Exchanged(log.clone())));
    let program = house.over(collecting::<false, 1>(), Life::long(), store, Arc::new(house.log.clone()));
    note(&house, "a", &[10]).await;
    program.follow().await.unwrap();
    let another = MemoryEventStore::new(house.clock.clone());
    let mut follower = follower(&program);
    for is_open in [false, true] {
        if is_open {
            follower.open(&mut program.signals()).await.unwrap();
            to_the_head(&mut follower).await;
        }
        *log.lock().unwrap() = another.clone();
        let halt = match is_open {
            true => follower.arrive().await.unwrap_err(),
            false => follower.open(&mut program.signals()).await.unwrap_err(),
        };
        assert!(matches!(halt, Halt::Failed(Error::CheckpointRefused(_))), "{halt}");
        assert!(halt.to_string().contains("process restart collect --from beginning|now"), "{halt}");
        follower.abandon();
        follower.leave_word(&halt).await;
        assert!(!follower.is_mended().await);
        let standing = program.engine.process_standings().await.unwrap().remove(0);
        assert!(standing.status == FollowerStatus::Failed && standing.stop.is_none(), "{standing:?}");
        *log.lock().unwrap() = house.log.clone();
        assert!(follower.is_mended().await);
    }
}

#[tokio::test]
async fn a_definition_that_does_not_fit_is_looked_at_again_once_it_has_changed() {
    let house = House::new();
    house.program(collecting::<false, 2>()).follow().await.unwrap();
    let newer = kept(&house).await;
    let older = house.program(collecting::<false, 1>());
    let mut follower = follower(&older);
    let halt = follower.open(&mut older.signals()).await.unwrap_err();
    assert!(halt.to_string().contains("version 2 in the store and 1 in this program"), "{halt}");
    follower.abandon();
    assert!(!follower.is_mended().await);
    let same = newer.replace("\"version\":2", "\"version\":1");
    keep(&house, &same).await;
    assert!(follower.is_mended().await);
}

#[tokio::test]
async fn what_cannot_be_read_beside_a_checkpoint_is_told_and_a_restart_replaces_it() {
    let house = House::new();
    let program = house.program(collecting::<false, 1>());
    note(&house, "a", &[10]).await;
    program.run().await.unwrap();
    keep(&house, "{}").await;
    let told = program.follow().await.unwrap_err();
    assert!(told.contains("cannot be read") && told.contains("process restart collect --from"), "{told}");
    let standing = program.engine.process_standings().await.unwrap().remove(0);
    assert_eq!(standing.status, FollowerStatus::Failed);
    assert!(standing.problem.unwrap().contains("process restart collect --from"));
    program.engine.restart_process("collect", ProcessStart::Beginning).await.unwrap();
    note(&house, "a", &[11]).await;
    program.run().await.unwrap();
    assert_eq!(collected(&program, "a").await, [10, 11]);
}

#[tokio::test]
async fn a_word_that_a_newer_program_left_is_told_and_goes_where_nothing_can_stop_the_process_any_more() {
    let house = House::new();
    let program = house.program(collecting::<false, 1>());
    program.follow().await.unwrap();
    let plain = kept(&house).await;
    let stop = r#"{"since":"2026-01-02T03:04:05Z","cause":"order","by":"ann"}"#;
    keep(&house, &plain.replacen('{', &format!("{{\"stop\":{stop},"), 1)).await;
    let standing = program.engine.process_standings().await.unwrap().remove(0);
    assert_eq!(standing.status, FollowerStatus::Failed);
    assert!(standing.problem.unwrap().contains("ann"));
    let mut follower = follower(&program);
    follower.open(&mut program.signals()).await.unwrap();
    to_the_head(&mut follower).await;
    follower.arrive().await.unwrap();
    assert_eq!(kept(&house).await, plain, "it is at the head of the log");
}

#[tokio::test]
async fn a_word_about_an_event_that_is_lost_goes_once_the_process_is_at_the_head() {
    let house = House::new();
    let program = house.program(collecting::<false, 1>());
    note(&house, "a", &[LOST]).await;
    program.follow().await.unwrap_err();
    // The store failed over to a copy that had not got the event yet: the checkpoint before it still fits.
    let word = kept(&house).await;
    let copy = House::new();
    let survivor = copy.program(collecting::<false, 1>());
    survivor.follow().await.unwrap();
    keep(&copy, &word).await;
    let mut follower = follower(&survivor);
    follower.open(&mut survivor.signals()).await.unwrap();
    to_the_head(&mut follower).await;
    follower.arrive().await.unwrap();
    assert!(!kept(&copy).await.contains("stop"), "{}", kept(&copy).await);
    let standing = survivor.engine.process_standings().await.unwrap().remove(0);
    assert!(!standing.status.is_stopped(), "{standing:?}");
}

#[tokio::test]
async fn who_stopped_there_first_says_since_when() {
    let house = House::new();
    note(&house, "a", &[LOST]).await;
    house.log.commit(&acme(), noted("b", &[11])).await.unwrap();
    house.program(collecting::<false, 1>()).follow().await.unwrap_err();
    let word = kept(&house).await;
    house.clock.advance(std::time::Duration::from_secs(60));
    house.program(collecting::<false, 1>()).follow().await.unwrap_err();
    assert_eq!(kept(&house).await, word);
    let standing =
        house.program(collecting::<false, 1>()).engine.process_standings().await.unwrap().remove(0);
    let told = serde_json::to_value(&standing).unwrap();
    let fields: Vec<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
    for field in ["process", "status", "position", "behind", "followed_by", "stop", "problem"] {
        assert!(fields.contains(&field), "{fields:?}");
    }
    assert_eq!(fields.len(), 7, "{fields:?}");
}
