//! What cannot be taken: by the process, or by an instance of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::memory::MemoryEventStore;
use underlay_core::{
    Commit, CommitId, Error, EventStore, EventType, ExpectedVersion, Json, NewEvent, SchemaVersion,
    StreamName, TenantId, Version, WorkQueue, WorkStanding,
};
use underlay_testkit::{EventStoreLayer, Over};

use super::house::{House, Life};
use super::notes::{LOST, PANICS, WRONG, acme, collected, collecting, note};
use crate::processes::instance::{STEP_TYPE, STEP_VERSION};
use crate::{FollowerStatus, ProcessFilter};

#[tokio::test]
async fn an_event_that_route_cannot_take_stops_the_process_before_it_until_a_person_asks_again() {
    let house = House::new();
    let program = house.program(collecting::<false, 1>());
    note(&house, "a", &[10]).await;
    note(&house, "b", &[11, LOST]).await;
    note(&house, "c", &[12]).await;
    let told = program.follow().await.unwrap_err();
    assert!(told.contains("`route` panicked") && told.contains("note-b"), "{told}");
    while program.work().await.unwrap() {}
    program.leave().await;
    assert_eq!(collected(&program, "a").await, [10]);
    assert_eq!(collected(&program, "c").await, [0; 0], "it comes after the event that stopped the process");

    // Every program knows of it.
    let other = house.program(collecting::<false, 1>());
    let standing = other.engine.process_standings().await.unwrap().remove(0);
    assert_eq!(standing.status, FollowerStatus::Paused);
    assert_eq!(standing.stop.as_ref().unwrap().event().unwrap().position.number(), 3);
    let problem = standing.problem.unwrap();
    assert!(problem.contains("process retry collect") && problem.contains("`route` panicked"), "{problem}");

    assert!(other.engine.retry_process("collect").await.unwrap());
    assert!(!other.engine.retry_process("collect").await.unwrap(), "it is not stopped any more");
    assert_ne!(other.engine.process_standings().await.unwrap()[0].status, FollowerStatus::Paused);
    // A program that parks such events comes past it.
    let mended = house.program(collecting::<true, 1>());
    mended.run().await.unwrap();
    assert_eq!(collected(&mended, "b").await, [11], "and what was given before is not given again");
    assert_eq!(collected(&mended, "c").await, [12]);
    let standing = mended.engine.process_standings().await.unwrap().remove(0);
    assert!(standing.stop.is_none() && !standing.status.is_stopped(), "{standing:?}");
}

#[tokio::test]
async fn an_event_that_is_parked_is_a_dead_letter_that_holds_no_instance() {
    let house = House::new();
    let program = house.program(collecting::<true, 1>());
    note(&house, "a", &[10, LOST, 11]).await;
    let event_type = EventType::new("noted").unwrap();
    let poison = NewEvent::new(event_type, SchemaVersion(1), Json::encode("no object").unwrap());
    let stream = StreamName::parse("note-a").unwrap();
    let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![poison]);
    house.log.commit(&acme(), commit).await.unwrap();
    note(&house, "a", &[12]).await;
    program.run().await.unwrap();
    assert_eq!(collected(&program, "a").await, [10, 11, 12]);
    let letters = program.waiting(true).await;
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().all(|letter| letter.work.sent.name == "parked"), "{letters:?}");
    let shown = program.engine.process(&acme(), "collect", "a").await.unwrap();
    assert_eq!(shown.dead_letters, [], "no instance stands still");
    let stuck = program.engine.processes(&acme(), "collect", ProcessFilter::Stuck, None, 10).await.unwrap();
    assert_eq!(stuck.instances, []);

    // A replay looks again, and finds the same.
    let ids: Vec<_> = letters.iter().map(|letter| letter.work.id).collect();
    house.log.replay(&acme(), &ids).await.unwrap();
    program.run().await.unwrap();
    assert_eq!(program.waiting(true).await.len(), 2);
}

#[tokio::test]
async fn an_event_of_a_newer_version_is_left_to_a_newer_program_also_where_others_are_parked() {
    let house = House::new();
    let program = house.program(collecting::<true, 1>());
    let event_type = EventType::new("noted").unwrap();
    let newer = NewEvent::new(event_type, SchemaVersion(2), Json::from_stored(r#"{"number":1}"#));
    let stream = StreamName::parse("note-a").unwrap();
    let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![newer]);
    house.log.commit(&acme(), commit).await.unwrap();
    let told = program.follow().await.unwrap_err();
    assert!(told.contains("newer version"), "{told}");
    assert!(program.waiting(true).await.is_empty() && program.waiting(false).await.is_empty());
}

#[tokio::test]
async fn an_instance_that_a_newer_program_wrote_is_left_to_it() {
    let house = House::new();
    let program = house.program(collecting::<false, 1>());
    note(&house, "a", &[10]).await;
    program.follow().await.unwrap();
    let step = EventType::new(STEP_TYPE).unwrap();
    let newer = NewEvent::new(step, SchemaVersion(STEP_VERSION + 1), Json::from_stored("{}"));
    let stream = StreamName::parse("process_collect-a").unwrap();
    let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![newer]);
    house.log.commit(&acme(), commit).await.unwrap();
    let input = program.waiting(false).await.remove(0);
    let left = program.receive(&input.work).await.unwrap_err();
    assert!(left.is_anothers && left.reason.contains("written by a newer program"), "{left:?}");
}

/// A log whose streams cannot be read.
struct AwayLog(MemoryEventStore);

#[async_trait]
impl EventStoreLayer for AwayLog {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.0.clone()
    }

    async fn versions(&self, _: &TenantId, _: &[StreamName]) -> Result<Vec<Version>, Error> {
        Err(Error::unavailable("db-7.internal is gone"))
    }
}

#[tokio::test]
async fn a_step_that_fails_by_the_store_tells_a_tenant_nothing_of_it() {
    let house = House::new();
    let store = Arc::new(Over(AwayLog(house.log.clone())));
    let program = house.over(collecting::<false, 1>(), Life::long(), store, Arc::new(house.log.clone()));
    note(&house, "a", &[10]).await;
    program.follow().await.unwrap();
    let input = program.waiting(false).await.remove(0);
    let failed = program.receive(&input.work).await.unwrap_err();
    assert_eq!(
        (failed.reason.as_str(), failed.is_final, failed.is_anothers),
        ("the store was away", false, false)
    );
    assert!(failed.cause.unwrap().to_string().contains("db-7.internal"), "the log tells it");
}

#[tokio::test]
async fn an_instance_stands_still_behind_an_input_that_fails_for_good_and_goes_on_once_it_is_discarded() {
    for (number, attempts, reason) in
        [(PANICS, 3, "`step` panicked"), (WRONG, 1, "only a command has an outcome")]
    {
        let house = House::new();
        let program = house.program(collecting::<false, 1>());
        note(&house, "a", &[10, number, 11]).await;
        note(&house, "b", &[12]).await;
        for _ in 0..4 {
            program.run().await.unwrap();
            house.clock.advance(Duration::from_secs(5));
        }
        assert_eq!(collected(&program, "b").await, [12], "others go on");
        let shown = program.engine.process(&acme(), "collect", "a").await.unwrap();
        assert_eq!(shown.state.as_ref().unwrap().as_str(), r#"{"numbers":[10]}"#);
        let [letter] = shown.dead_letters.as_slice() else { panic!("{shown:?}") };
        assert!(letter.error.contains(reason) && letter.attempts == attempts, "{letter:?}");
        let list = async |tenant: &TenantId| {
            let page =
                program.engine.processes(tenant, "collect", ProcessFilter::Stuck, None, 10).await.unwrap();
            page.instances.into_iter().map(|instance| instance.instance).collect::<Vec<_>>()
        };
        assert_eq!(list(&acme()).await, ["a"]);
        assert_eq!(list(&TenantId::new("globex").unwrap()).await, [""; 0]);

        house.log.replay(&acme(), &[letter.work_id]).await.unwrap();
        for _ in 0..4 {
            program.run().await.unwrap();
            house.clock.advance(Duration::from_secs(5));
        }
        assert_eq!(collected(&program, "a").await, [10], "it fails again, and those behind it still wait");
        house.log.discard(&acme(), &[letter.work_id]).await.unwrap();
        program.run().await.unwrap();
        assert_eq!(collected(&program, "a").await, [10, 11]);
        assert!(list(&acme()).await.is_empty());
        assert!(program.waiting(true).await.is_empty());
    }
}

#[tokio::test]
async fn an_instance_whose_first_step_fails_is_shown_too() {
    let house = House::new();
    let program = house.program(collecting::<false, 1>());
    note(&house, "a", &[WRONG]).await;
    program.run().await.unwrap();
    let [letter] = program.waiting(true).await.try_into().unwrap();
    assert!(matches!(letter.standing, WorkStanding::Dead { holds: true, is_final: true, .. }));
    let shown = program.engine.process(&acme(), "collect", "a").await.unwrap();
    assert_eq!((shown.version.0, shown.state, shown.dead_letters.len()), (0, None, 1));
    let page = program.engine.processes(&acme(), "collect", ProcessFilter::Stuck, None, 10).await.unwrap();
    assert!(page.instances[0].is_stuck && page.instances[0].instance == "a");
    let error = program.engine.process(&acme(), "collect", "b").await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)));
    let error =
        program.engine.processes(&acme(), "nothing", ProcessFilter::Every, None, 10).await.unwrap_err();
    assert!(error.to_string().contains("there are: collect"), "{error}");
}
