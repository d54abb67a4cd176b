//! Processes as the engine runs them, with its worker and its followers.

use std::time::Duration;

use underlay_core::limits::WORK_BEGUN_MAX;
use underlay_core::{
    Attempts, Clock, Commit, CommitId, EventStore, ExpectedVersion, Input, NewEvent, Process, ProcessStart,
    Recorded, Step, StepContext, StreamName, SystemClock, TenantId, Wakeups,
};
use underlay_derive::event;

use super::house::House;
use super::notes::{LOST, Numbers, acme, collected, collecting, note, noted};
use super::payment::{ending, place, registry, story, tenant};
use crate::{Engine, FollowerStatus, ProcessFilter, Registry, SubscriptionState};

const LONG: Duration = Duration::from_secs(60);

/// Waits until the orders of a tenant have come to their endings.
async fn settled(house: &House, tenant: &TenantId, orders: impl Iterator<Item = (String, i64)> + Clone) {
    let mut wakeup = house.log.subscribe();
    let all = async {
        'again: loop {
            for (order, cents) in orders.clone() {
                if story(&house.log, tenant, &order).await != ending(cents) {
                    wakeup.hint().await;
                    continue 'again;
                }
            }
            return;
        }
    };
    tokio::select! {
        () = all => {}
        () = SystemClock.sleep(LONG) => panic!("the orders have not come to an end"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_share_a_store_finish_what_one_of_them_left() {
    let house = House::in_time();
    let amounts = [50, 500, 5_000];
    let orders = (0..60_i64).map(|order| (order.to_string(), amounts[order as usize % 3]));
    let (one, other) = (house.engine(registry()), house.engine(registry()));
    let (running, remaining) = (one.start_work(), other.start_work());
    for (order, cents) in orders.clone().take(30) {
        place(&one, &tenant(), &order, cents).await;
    }
    // One of them is killed in the midst of it: nothing is given back.
    drop(running);
    for (order, cents) in orders.clone().skip(30) {
        place(&other, &tenant(), &order, cents).await;
    }
    settled(&house, &tenant(), orders.clone()).await;
    remaining.stop().await;

    let views = other.start_views();
    let head = house.log.head().await.unwrap();
    other.wait_for_view("underlay_process_instances", head, LONG).await.unwrap();
    let page = other.processes(&tenant(), "payment", ProcessFilter::Every, None, 100).await.unwrap();
    assert_eq!(page.instances.len(), 60);
    let page = other.processes(&tenant(), "payment", ProcessFilter::Every, Some("0"), 2).await.unwrap();
    let names: Vec<&str> = page.instances.iter().map(|instance| instance.instance.as_str()).collect();
    assert_eq!((names, page.next.as_deref()), (vec!["1", "10"], Some("10")));
    views.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stopped_goes_on_once_a_person_asks_and_a_program_can_take_the_event() {
    let house = House::in_time();
    let strict = house.engine(collecting::<false, 1>());
    let running = strict.start_work();
    note(&house, "a", &[LOST, 10]).await;
    let paused = async {
        loop {
            let standing = strict.process_standings().await.unwrap().remove(0);
            if standing.status == FollowerStatus::Paused {
                return strict.process_states().remove(0);
            }
            SystemClock.sleep(Duration::from_millis(10)).await;
        }
    };
    let state = tokio::time::timeout(LONG, paused).await.unwrap();
    assert!(state.status == SubscriptionState::Paused || state.error.is_some(), "{state:?}");
    running.stop().await;

    let parking = house.engine(collecting::<true, 1>());
    let running = parking.start_work();
    house.log.commit(&acme(), noted("b", &[11])).await.unwrap();
    let collected = async {
        loop {
            if let Ok(shown) = parking.process(&acme(), "collect", "b").await {
                return shown.state.unwrap();
            }
            SystemClock.sleep(Duration::from_millis(10)).await;
        }
    };
    let state = tokio::time::timeout(LONG, collected).await.unwrap();
    assert_eq!(state.as_str(), r#"{"numbers":[11]}"#);
    let standing = parking.process_standings().await.unwrap().remove(0);
    assert_eq!(standing.stop, None, "it came past what stopped it");
    assert!(standing.held_by.is_some());
    running.stop().await;
    let standing = parking.process_standings().await.unwrap().remove(0);
    assert_eq!(standing.status, FollowerStatus::NotRunning);
}

#[event(crate = underlay_core)]
enum NewerNote {
    #[event(name = "noted", version = 1)]
    Noted { number: u32 },
    #[event(name = "crossed-out", version = 1)]
    CrossedOut { number: u32 },
}

/// The next version of the collecting process: it knows one more event.
struct NewerCollect;

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
    let house = House::in_time();
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
