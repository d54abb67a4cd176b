//! What a person does where a view is stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use underlay_core::memory::MemoryReadModels;
use underlay_core::{
    Error, EventId, EventStore, Keys, Leases, OnFault, Position, ReadModels, Recorded, StopCause, Timestamp,
    Value, View, ViewBatch, ViewStop, ViewTable,
};
use underlay_runtime::{
    Engine, EngineConfig, FollowerStatus, Ports, RebuildFrom, Registry, Retried, SubscriptionState,
    ViewStanding,
};
use underlay_testkit::{Over, ReadModelsLayer, RowsCall};

use crate::bank::{AccountEvent, Balance, Balances, deposited, tenant};
use crate::shared::{Call, LEASE, POLL, Process, Shared};

/// Cannot take a deposit of 13 until it was mended.
struct Mendable(Arc<AtomicBool>);

impl View for Mendable {
    const NAME: &'static str = "balances";
    const ON_FAULT: OnFault = OnFault::Pause;
    type Event = AccountEvent;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<String>) {
        Balances.route(event, keys);
    }
    fn fold(&self, key: &String, row: Option<Balance>, event: &Recorded<AccountEvent>) -> Option<Balance> {
        let bad = event.event == AccountEvent::Deposited { cents: 13 };
        assert!(!bad || self.0.load(Ordering::SeqCst), "a bug in the domain");
        Balances.fold(key, row, event)
    }
}

/// Processes whose view can be mended for all of them at once.
struct Place {
    shared: Shared,
    mended: Arc<AtomicBool>,
}

impl Place {
    /// A log whose third event of five the view cannot take.
    async fn new() -> Self {
        let place = Self { shared: Shared::new(), mended: Arc::default() };
        for cents in [1, 2, 13, 4, 5] {
            place.shared.store.commit(&tenant(), deposited("a", cents)).await.unwrap();
        }
        place
    }

    fn process(&self, name: &str) -> Process {
        let registry = Registry::default().view(Mendable(self.mended.clone()));
        self.shared.process_of(name, registry, |config| config)
    }

    async fn until_standing(&self, engine: &Engine, status: FollowerStatus) -> ViewStanding {
        self.shared.until(async || standing(engine).await.status == status).await;
        standing(engine).await
    }

    /// Lets time pass until an engine has an answer.
    async fn while_time_passes<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                () = self.shared.pass(POLL) => {}
            }
        }
    }
}

async fn standing(engine: &Engine) -> ViewStanding {
    engine.view_standings_now().await.unwrap().views.remove(0)
}

async fn cents(engine: &Engine) -> Option<i64> {
    match engine.row(&tenant(), "balances", "a").await.ok()?.values.first() {
        Some(Value::Integer(cents)) => Some(*cents),
        _ => None,
    }
}

fn at(position: u64) -> Position {
    Position::from_number(position)
}

#[tokio::test]
async fn a_stopped_view_says_so_in_every_process_and_names_event_time_and_reason() {
    let place = Place::new().await;
    let (server, console) = (place.process("server"), place.process("console"));
    let before = standing(&console.engine).await;
    assert_eq!(before.status, FollowerStatus::NotRunning, "nobody has started it");
    let views = server.start();
    let here = place.until_standing(&server.engine, FollowerStatus::Paused).await;
    place.shared.until(async || standing(&console.engine).await.stop.is_some()).await;
    let elsewhere = standing(&console.engine).await;
    assert_eq!((elsewhere.status, elsewhere.position), (FollowerStatus::Paused, at(2)));
    assert_eq!(elsewhere.stop, standing(&server.engine).await.stop);
    let stop = elsewhere.stop.unwrap();
    let StopCause::Event { event, is_of_event: true } = stop.cause else { panic!("{stop:?}") };
    assert_eq!(event.position, at(3));
    assert!(event.reason.contains("panicked"), "{}", event.reason);
    assert!(here.problem.unwrap().contains("position 3 "));
    views.stop().await;
    let after = standing(&console.engine).await;
    assert_eq!(after.status, FollowerStatus::Paused, "also where no process keeps it any more");
}

#[tokio::test]
async fn a_view_goes_on_by_itself_once_its_event_is_skipped_elsewhere() {
    let place = Place::new().await;
    let (server, console) = (place.process("server"), place.process("console"));
    let views = server.start();
    place.shared.until(async || standing(&console.engine).await.stop.is_some()).await;

    let skip = async |position: u64, by: &str| {
        console.engine.skip_view("balances", at(position), by, "a typo").await
    };
    for other in [0, 2, 4, 1_000_000] {
        let Err(Error::Invalid(reason)) = skip(other, "ann").await else { panic!("it is not stopped there") };
        assert!(reason.contains("position 3"), "{reason}");
    }
    let (first, second) = tokio::join!(skip(3, "ann"), skip(3, "bob"));
    assert!(first.is_ok() != second.is_ok(), "one of two skips it: {first:?} {second:?}");

    place.shared.pass(POLL + POLL).await;
    place.until_standing(&server.engine, FollowerStatus::Live).await;
    assert_eq!(cents(&server.engine).await, Some(12), "its rows lack the event, and no other");
    let status = standing(&console.engine).await;
    assert_eq!((status.status, status.parked, status.skipped.len()), (FollowerStatus::Live, 1, 1));
    assert_eq!((status.skipped[0].why.as_str(), status.stop), ("a typo", None));
    views.stop().await;

    // A process that starts later goes on too: what was skipped is meant to be lacking.
    let next = place.process("next");
    let views = next.start();
    place.until_standing(&next.engine, FollowerStatus::Live).await;
    views.stop().await;
}

#[tokio::test]
async fn what_was_skipped_stays_skipped_where_another_copy_of_the_log_had_another_event_in_its_place() {
    let place = Place::new().await;
    let server = place.process("server");
    let views = server.start();
    place.shared.until(async || standing(&server.engine).await.stop.is_some()).await;
    views.stop().await;
    let models = &place.shared.read_models;
    let info = models.views().await.unwrap().remove(0);
    let table = ViewTable { schema: Mendable::schema(), generation: info.active.number };
    server.engine.skip_view("balances", at(3), "ann", "a typo").await.unwrap();

    // A copy of the log was written to, and the first one came back.
    let mut other = info.stop.unwrap();
    let StopCause::Event { event, .. } = &mut other.cause else { panic!("{other:?}") };
    event.event_id = EventId::draw();
    let here = info.active.checkpoint;
    models.apply(&table, ViewBatch::new(here, here, Vec::new()).with_stop(Some(other))).await.unwrap();
    server.engine.skip_view("balances", at(3), "ann", "a typo").await.unwrap();

    let views = server.start();
    place.until_standing(&server.engine, FollowerStatus::Live).await;
    assert_eq!(cents(&server.engine).await, Some(12));
    views.stop().await;
}

#[tokio::test]
async fn a_rebuild_passes_over_a_skipped_event_where_it_cannot_take_it_and_folds_it_where_it_can() {
    let place = Place::new().await;
    let server = place.process("server");
    let views = server.start();
    place.until_standing(&server.engine, FollowerStatus::Paused).await;
    place.shared.until(async || standing(&server.engine).await.stop.is_some()).await;
    server.engine.skip_view("balances", at(3), "ann", "a typo").await.unwrap();
    place.until_standing(&server.engine, FollowerStatus::Live).await;
    views.stop().await;

    let rebuild = async || server.engine.rebuild_view("balances", RebuildFrom::Start, |_| {}).await;
    rebuild().await.unwrap();
    assert_eq!(cents(&server.engine).await, Some(12));
    assert_eq!(standing(&server.engine).await.skipped.len(), 1, "after a swap");

    place.mended.store(true, Ordering::SeqCst);
    rebuild().await.unwrap();
    assert_eq!(cents(&server.engine).await, Some(25), "a program that can take it folds it");
    let status = standing(&server.engine).await;
    assert_eq!((status.parked, status.skipped.len()), (0, 1), "and the order is remembered");

    server.engine.revert_view("balances").await.unwrap();
    assert_eq!(cents(&server.engine).await, Some(12));
    let status = standing(&server.engine).await;
    assert_eq!((status.parked, status.skipped.len()), (1, 1), "after a revert");
}

#[tokio::test]
async fn a_rebuild_that_is_stopped_at_an_event_goes_on_once_that_is_skipped() {
    let place = Place::new().await;
    place.mended.store(true, Ordering::SeqCst);
    let server = place.process("server");
    let views = server.start();
    place.until_standing(&server.engine, FollowerStatus::Live).await;
    views.stop().await;
    // The view came past it; another program cannot take it any more.
    place.mended.store(false, Ordering::SeqCst);
    let rebuild = async |from| server.engine.rebuild_view("balances", from, |_| {}).await;
    let stopped = rebuild(RebuildFrom::Start).await.unwrap_err().to_string();
    assert!(stopped.contains("view skip balances 3 --why"), "{stopped}");
    let status = standing(&server.engine).await;
    assert!(status.stop.is_none() && cents(&server.engine).await == Some(25), "{status:?}");
    let other = server.engine.skip_view("balances", at(2), "ann", "a typo").await.unwrap_err();
    assert!(other.to_string().contains("not stopped at position 2"), "{other}");

    server.engine.skip_view("balances", at(3), "ann", "a typo").await.unwrap();
    rebuild(RebuildFrom::WhereItWas).await.unwrap();
    assert_eq!(cents(&server.engine).await, Some(12));
    let status = standing(&server.engine).await;
    assert_eq!((status.parked, status.skipped.len()), (1, 1));
}

#[tokio::test]
async fn a_skipped_event_in_the_middle_of_a_commit_takes_no_other_with_it() {
    let place = Place { shared: Shared::new(), mended: Arc::default() };
    let mut commit = deposited("a", 1);
    for cents in [13, 4] {
        let more = deposited("a", cents).writes.remove(0).events;
        commit.writes[0].events.extend(more);
    }
    place.shared.store.commit(&tenant(), commit).await.unwrap();
    let server = place.process("server");
    let views = server.start();
    let stopped = place.until_standing(&server.engine, FollowerStatus::Paused).await;
    assert_eq!(stopped.position, at(0), "nothing of the commit is stored");
    place.shared.until(async || standing(&server.engine).await.stop.is_some()).await;
    server.engine.skip_view("balances", at(2), "ann", "a typo").await.unwrap();
    place.until_standing(&server.engine, FollowerStatus::Live).await;
    assert_eq!(cents(&server.engine).await, Some(5));
    views.stop().await;
}

#[tokio::test]
async fn a_view_is_tried_again_by_order_and_what_came_of_it_is_said() {
    let place = Place::new().await;
    let (server, console) = (place.process("server"), place.process("console"));
    let retry = async || place.while_time_passes(console.engine.retry_view("balances")).await.unwrap();
    let views = server.start();
    place.shared.until(async || standing(&console.engine).await.stop.is_some()).await;
    let Retried::StoppedAgain { position, stop } = retry().await else { panic!("nothing is mended") };
    assert_eq!((position, stop.event().unwrap().position), (at(2), at(3)));
    let status = standing(&console.engine).await;
    assert_eq!(status.status, FollowerStatus::Paused, "it waits again");

    place.mended.store(true, Ordering::SeqCst);
    let Retried::WentOn { position } = retry().await else { panic!("it is mended") };
    assert!(position >= at(3));
    place.shared.pass(POLL + LEASE).await;
    place.until_standing(&server.engine, FollowerStatus::Live).await;
    assert_eq!(cents(&server.engine).await, Some(25));
    assert!(server.is(SubscriptionState::Live), "the runner has gone on by itself");
    assert!(matches!(retry().await, Retried::NotStopped { .. }));
    views.stop().await;
}

#[tokio::test]
async fn a_retry_does_not_take_the_lease_of_a_process_that_works_and_says_who_has_it() {
    let place = Place::new().await;
    let (server, console) = (place.process("server"), place.process("console"));
    let views = server.start();
    place.shared.until(async || standing(&console.engine).await.stop.is_some()).await;
    views.stop().await;
    // Whoever has the lease stands still.
    let lease = place.shared.leases.acquire("view:balances", "sleeper", LEASE * 10).await.unwrap().unwrap();
    let busy = place.while_time_passes(console.engine.retry_view("balances")).await.unwrap();
    assert_eq!(busy, Retried::Busy { position: at(2), holder: Some("sleeper".to_owned()) });
    place.shared.leases.release(&lease).await.unwrap();
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_no_lease_behind() {
    // While the store answers that it has the lease, and while it works under it: it takes the stop away first.
    for (call, calls) in [(Call::Acquired, 0), (Call::Apply, 1)] {
        let place = Place::new().await;
        let (server, console) = (place.process("server"), place.process("console"));
        let views = server.start();
        place.shared.until(async || standing(&console.engine).await.stop.is_some()).await;
        views.stop().await;
        console.place.pause_after(call, calls);
        let engine = console.engine.clone();
        let asked = tokio::spawn(async move { engine.retry_view("balances").await });
        place.shared.until(async || console.place.is_paused()).await;
        assert!(!place.shared.is_free("view:balances").await, "it has the lease");
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        console.place.go_on();
        // No time passes, so it does not run out.
        place.shared.until(async || place.shared.is_free("view:balances").await).await;
    }
}

#[tokio::test]
async fn what_a_failure_stopped_at_the_head_of_the_log_has_nothing_to_come_past() {
    let place = Place::new().await;
    place.mended.store(true, Ordering::SeqCst);
    let (server, console) = (place.process("server"), place.process("console"));
    let views = server.start();
    place.until_standing(&server.engine, FollowerStatus::Live).await;
    place.shared.pass(POLL).await;
    let models = &place.shared.read_models;
    let info = models.views().await.unwrap().remove(0);
    let table = ViewTable { schema: Mendable::schema(), generation: info.active.number };
    let cause = StopCause::Failure { reason: "the disk is full".to_owned() };
    let stop = Some(ViewStop { since: Timestamp::UNIX_EPOCH, cause });
    let here = info.active.checkpoint;
    models.apply(&table, ViewBatch::new(here, here, Vec::new()).with_stop(stop)).await.unwrap();
    // The server is faster and has the lease again.
    let retried = place.while_time_passes(console.engine.retry_view("balances")).await.unwrap();
    assert_eq!(retried, Retried::WentOn { position: at(5) });
    views.stop().await;
}

#[tokio::test]
async fn an_old_term_stores_no_stop_and_an_order_of_a_person_needs_none() {
    let place = Place::new().await;
    let server = place.process("server");
    let views = server.start();
    place.shared.until(async || standing(&server.engine).await.stop.is_some()).await;
    views.stop().await;
    let (models, leases) = (&place.shared.read_models, &place.shared.leases);
    let info = models.views().await.unwrap().remove(0);
    let table = ViewTable { schema: Mendable::schema(), generation: info.active.number };
    let old = leases.acquire("view:balances", "old", LEASE).await.unwrap().unwrap();
    leases.release(&old).await.unwrap();
    let _new = leases.acquire("view:balances", "new", LEASE).await.unwrap().unwrap();
    let here = info.active.checkpoint;
    for stop in [None, Some(ViewStop { since: Timestamp::UNIX_EPOCH, ..info.stop.clone().unwrap() })] {
        let late = ViewBatch::new(here, here, Vec::new()).with_lease(Some(old.term())).with_stop(stop);
        let refused = models.apply(&table, late).await;
        assert!(matches!(refused, Err(Error::LeaseLost { .. })), "{refused:?}");
        assert_eq!(models.views().await.unwrap().remove(0).stop, info.stop);
    }
    server.engine.skip_view("balances", at(3), "ann", "a typo").await.unwrap();
    assert_eq!(models.views().await.unwrap().remove(0).stop, None);
}

#[tokio::test]
async fn however_often_it_is_asked_where_views_stand_the_store_is_asked_once_in_a_while() {
    let place = Place::new().await;
    let server = place.process("server");
    let first = server.engine.view_standings().await.unwrap();
    place.shared.deposit("b").await;
    for _ in 0..100 {
        assert_eq!(server.engine.view_standings().await.unwrap(), first);
    }
    place.shared.pass(POLL).await;
    let later = server.engine.view_standings().await.unwrap();
    assert_eq!(later.head.number(), first.head.number() + 1);
}

/// Read models whose catalogue cannot be read, or whose rows cannot be written, in a way that a repeat does not
/// mend.
#[derive(Clone)]
struct Broken {
    inner: MemoryReadModels,
    call: RowsCall,
    is_broken: Arc<AtomicBool>,
}

#[async_trait]
impl ReadModelsLayer for Broken {
    type Below = MemoryReadModels;

    fn below(&self) -> MemoryReadModels {
        self.inner.clone()
    }

    async fn before(&self, call: RowsCall) -> Result<(), Error> {
        match call == self.call && self.is_broken.load(Ordering::SeqCst) {
            true => Err(Error::backend("reading the catalogue", "the disk is broken")),
            false => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_view_whose_failure_could_not_be_stored_goes_on_once_it_is_mended() {
    for call in [RowsCall::Prepare, RowsCall::Checkpoint, RowsCall::Apply] {
        let place = Place::new().await;
        place.mended.store(true, Ordering::SeqCst);
        let is_broken = Arc::new(AtomicBool::new(true));
        let broken = Broken { inner: place.shared.read_models.clone(), call, is_broken: is_broken.clone() };
        let server = place.process("server");
        let ports = Ports { read_models: Arc::new(Over(broken)), ..place.shared.ports(&server.place) };
        let registry = Registry::default().view(Mendable(place.mended.clone()));
        let config = EngineConfig { view_poll_interval: POLL, view_lease: LEASE, ..EngineConfig::default() };
        let engine = Engine::new(ports, registry, config).unwrap();
        let views = engine.start_views();
        place.until_standing(&engine, FollowerStatus::Failed).await;
        place.shared.pass(POLL * 3).await;
        place.until_standing(&engine, FollowerStatus::Failed).await;
        is_broken.store(false, Ordering::SeqCst);
        place.shared.pass(POLL * 3).await;
        assert_eq!(engine.view_states().remove(0).status, SubscriptionState::Live, "{call:?}");
        assert_eq!(cents(&engine).await, Some(25));
        views.stop().await;
    }
}
