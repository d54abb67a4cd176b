//! Definitions that change while instances are in flight.

use underlay_core::{Input, Process, ProcessStart, Recorded, Step, StepContext};
use underlay_derive::value;

use super::house::House;
use super::notes::{FINISH, Note, TIMER, acme, collected, collecting, note};
use crate::{FollowerStatus, Registry};

#[value(crate = underlay_core)]
struct Sum {
    sum: u32,
}

/// The same process with another state, and the version it says it has.
struct Adding<const VERSION: u32>;

impl<const VERSION: u32> Process for Adding<VERSION> {
    const NAME: &'static str = "collect";
    const VERSION: u32 = VERSION;
    const STARTS: ProcessStart = ProcessStart::Beginning;
    type Event = Note;
    type State = Sum;

    fn route(&self, event: &Recorded<Note>) -> Option<String> {
        Some(event.stream().id().to_owned())
    }

    fn step(&self, state: Option<&Sum>, input: &Input<Note>, _: &StepContext) -> Step<Sum> {
        let number = match input {
            Input::Event(Recorded { event: Note::Noted { number }, .. }) => *number,
            _ => 0,
        };
        Step::to(Sum { sum: state.map_or(0, |state| state.sum) + number })
    }

    fn upcast(_: u32, state: underlay_core::Json) -> Result<Sum, String> {
        let numbers: super::notes::Numbers = state.decode().map_err(|error| error.to_string())?;
        Ok(Sum { sum: numbers.numbers.iter().sum() })
    }
}

fn adding<const VERSION: u32>() -> Registry {
    Registry::default().process(Adding::<VERSION>)
}

#[tokio::test]
async fn a_changed_state_is_told_at_start_and_lifted_where_the_version_says_so() {
    let house = House::new();
    note(&house, "a", &[10, 11]).await;
    house.program(collecting::<false, 1>()).run().await.unwrap();

    let changed = house.program(adding::<1>());
    let told = changed.follow().await.unwrap_err();
    assert!(told.contains("Raise `VERSION` to 2") && told.contains("process_collect-a"), "{told}");
    let standing = changed.engine.process_standings().await.unwrap().remove(0);
    assert!(
        standing.status == FollowerStatus::Failed && standing.problem.unwrap().contains("Raise `VERSION`")
    );

    // A version that says so, and nothing that lifts the states.
    let told = house.program(collecting::<false, 9>()).follow().await.unwrap_err();
    assert!(told.contains("nothing lifts version 1") && told.contains("process_collect-a"), "{told}");

    let lifted = house.program(adding::<2>());
    note(&house, "a", &[12]).await;
    lifted.run().await.unwrap();
    let shown = lifted.engine.process(&acme(), "collect", "a").await.unwrap();
    assert_eq!((shown.state.unwrap().as_str(), shown.state_version), (r#"{"sum":33}"#, Some(2)));
}

#[tokio::test]
async fn an_older_program_follows_nothing_and_leaves_newer_states_to_others() {
    let house = House::new();
    note(&house, "a", &[TIMER + 10]).await;
    let older = house.program(collecting::<false, 1>());
    older.run().await.unwrap();
    let newer = house.program(collecting::<false, 2>());
    note(&house, "a", &[11]).await;
    newer.follow().await.unwrap();
    let told = older.follow().await.unwrap_err();
    assert!(told.contains("version 2 in the store and 1 in this program"), "{told}");
    newer.run().await.unwrap();
    // The shard comes back to the older program, whose memory holds the instance as it left it.
    note(&house, "a", &[12]).await;
    newer.follow().await.unwrap();
    let input = newer.waiting(false).await.into_iter().find(|info| info.work.sent.due_at.is_none()).unwrap();
    let failed = older.receive(&input.work).await.unwrap_err();
    assert!(failed.is_anothers && failed.reason.contains("a newer one takes the step"), "{failed:?}");
    assert!(!older.reads(&input.work), "from then on it leaves what is for the instance to others");
    assert!(newer.reads(&input.work));
    newer.run().await.unwrap();
    assert_eq!(collected(&newer, "a").await, [TIMER + 10, 11, 12]);
}

#[tokio::test]
async fn a_change_that_no_instance_in_flight_meets_is_taken_over() {
    let house = House::new();
    note(&house, "a", &[10, FINISH]).await;
    house.program(collecting::<false, 1>()).run().await.unwrap();
    let changed = house.program(adding::<1>());
    note(&house, "b", &[12]).await;
    changed.run().await.unwrap();
    let shown = changed.engine.process(&acme(), "collect", "b").await.unwrap();
    assert_eq!(shown.state.unwrap().as_str(), r#"{"sum":12}"#);
}
