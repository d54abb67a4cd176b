//! A program that does not know an event leaves it to a newer one.

use std::time::Duration;

use underlay_core::limits::WORK_BEGUN_MAX;
use underlay_core::{
    Attempts, Clock, Commit, CommitId, EventStore, ExpectedVersion, Input, NewEvent, Process, ProcessStart,
    Recorded, Step, StepContext, StreamName, SystemClock,
};
use underlay_derive::event;

use super::house::House;
use super::notes::{Numbers, acme, collected, collecting, note};
use crate::{Engine, Registry};

const LONG: Duration = Duration::from_secs(60);

#[event(crate = underlay_core)]
pub(super) enum NewerNote {
    #[event(name = "noted", version = 1)]
    Noted { number: u32 },
    #[event(name = "crossed-out", version = 1)]
    CrossedOut { number: u32 },
}

/// The next version of the collecting process: it knows one more event.
pub(super) struct NewerCollect;

impl Process for NewerCollect {
    const NAME: &'static str = "collect";
    const VERSION: u32 = 2;
    const STARTS: ProcessStart = ProcessStart::Beginning;
    type Event = NewerNote;
    type State = Numbers;

    fn attempts(&self) -> Attempts {
        Attempts { attempts_max: 1, ..Attempts::default() }
    }

    fn route(&self, event: &Recorded<NewerNote>) -> Option<String> {
        Some(event.stream().id().to_owned())
    }

    fn step(&self, state: Option<&Numbers>, input: &Input<NewerNote>, _: &StepContext) -> Step<Numbers> {
        let mut next = state.cloned().unwrap_or_default();
        match input {
            Input::Event(Recorded { event: NewerNote::Noted { number }, .. }) => next.numbers.push(*number),
            Input::Event(Recorded { event: NewerNote::CrossedOut { number }, .. }) => {
                next.numbers.retain(|noted| noted != number);
            }
            Input::Outcome { .. } | Input::Timer { .. } => {}
        }
        Step::to(next)
    }

    fn upcast(_: u32, state: underlay_core::Json) -> Result<Numbers, String> {
        state.decode().map_err(|error| error.to_string())
    }
}

/// How much a program leaves for others.
fn left(engine: &Engine) -> u64 {
    let receivers = engine.worker_state().map(|state| state.receivers).unwrap_or_default();
    receivers.iter().map(|receiver| receiver.left).sum()
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            SystemClock.sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, looking).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_an_older_program_does_not_know_waits_for_a_newer_one_with_all_of_its_attempts() {
    let house = House::in_time(false);
    // The newer one has routed the events, and was not there any more to take the steps.
    let newer = || Registry::default().process(NewerCollect);
    let crossed_out = NewEvent::encode(&NewerNote::CrossedOut { number: 10 }).unwrap();
    note(&house, "a", &[10]).await;
    let stream = StreamName::new("note", "a").unwrap();
    let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![crossed_out]);
    house.log.commit(&acme(), commit).await.unwrap();
    note(&house, "a", &[11]).await;
    note(&house, "b", &[12]).await;
    let program = house.program(newer());
    program.follow().await.unwrap();

    // The older one is killed more often than what kills is begun.
    for round in 0..WORK_BEGUN_MAX + 2 {
        let older = house.engine(collecting::<false, 1>());
        let running = older.start_work();
        until("the event is left with what is behind it", async || left(&older) == 2).await;
        let waiting = program.waiting(false).await;
        assert_eq!(waiting.len(), 2, "{round}: {waiting:?}");
        assert!(waiting.iter().all(|info| info.work.attempts == 0), "{round}: {waiting:?}");
        assert_eq!(program.waiting(true).await.len(), 0, "{round}");
        until("what was counted is forgotten", async || {
            program.waiting(false).await.iter().all(|info| info.work.begun == 0)
        })
        .await;
        drop(running);
    }
    assert_eq!(collected(&program, "b").await, [12], "others go on");

    let engine = house.engine(newer());
    let running = engine.start_work();
    until("the newer one goes on", async || program.waiting(false).await.is_empty()).await;
    assert_eq!(collected(&program, "a").await, [11]);
    running.stop().await;
}
