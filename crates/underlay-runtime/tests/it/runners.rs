//! What stops a view's runner, and what brings it back.

use std::fmt;

use underlay_core::memory::{MemoryEventStore, MemoryReadModels, MemorySnapshots};
use underlay_core::{
    DecodeError, Error, Event, EventDescriptor, EventStore, Json, Keys, Position, Query, Recorded, View,
};
use underlay_runtime::{
    Engine, EngineConfig, OnViewChange, RebuildFrom, Registry, SubscriptionState, ViewState,
};

use crate::bank::{Account, AccountEvent, Balance, Balances, Bank, deposited, registry, tenant};
use crate::views::{Doubled, LONG, Swapped, row, rows, stopped};

/// A log of so many deposits of 1 to account `a`.
async fn log(deposits: u64) -> MemoryEventStore {
    let log = MemoryEventStore::default();
    for _ in 0..deposits {
        log.commit(&tenant(), deposited("a", 1)).await.unwrap();
    }
    log
}

async fn reached(engine: &Engine, position: u64) {
    engine.wait_for_view("balances", Position::from_number(position), LONG).await.unwrap();
}

async fn yield_often() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

fn rebuilding(config: EngineConfig) -> EngineConfig {
    EngineConfig { on_view_change: OnViewChange::Rebuild, ..config }
}

#[tokio::test]
async fn views_that_are_dropped_stop() {
    let store = Swapped::new(log(3).await);
    let engine = store.engine();
    let views = engine.start_views();
    reached(&engine, 3).await;
    drop(views);
    yield_often().await;
    let reads = store.reads();
    yield_often().await;
    assert_eq!(store.reads(), reads, "nobody reads the log any more");
}

#[tokio::test]
async fn a_rebuild_ends_while_others_never_stop_writing() {
    let store = Swapped::new(log(20).await);
    let engine = store.engine();
    store.write_at_every_read();
    let rebuilt =
        tokio::time::timeout(LONG, engine.rebuild_view("balances", RebuildFrom::default(), |_| {})).await;
    assert_eq!(rebuilt.expect("it ends").unwrap(), 2);
    assert_eq!(rows(&engine).await[0], row("a", 20, 20));
}

#[tokio::test]
async fn views_that_are_being_rebuilt_stop_when_they_are_told_to() {
    let store = Swapped::new(log(7_000).await);
    let old = store.engine();
    old.row(&tenant(), "balances", "a").await.unwrap_err();
    let new = store.engine_of(Registry::default().view(Doubled), rebuilding);
    let views = new.start_views();
    while store.reads() < 3 {
        tokio::task::yield_now().await;
    }
    views.stop().await;
    assert!(store.reads() < 100, "of 1,000 pages {} were read", store.reads());
    assert_eq!(new.read_models("balances").views().await.unwrap()[0].active.number, 1, "nothing has changed");
}

#[tokio::test]
async fn a_rebuild_that_another_one_replaced_says_so_and_changes_nothing() {
    let store = Swapped::new(log(100).await);
    let (engine, other) = (store.engine(), store.engine());
    let (first, second) = tokio::join!(
        engine.rebuild_view("balances", RebuildFrom::Start, |_| {}),
        other.rebuild_view("balances", RebuildFrom::Start, |_| {})
    );
    let (lost, won) = if first.is_err() { (first, second) } else { (second, first) };
    let lost = lost.unwrap_err();
    assert!(lost.is_retryable() && lost.to_string().contains("another rebuild was begun"), "{lost}");
    let active = engine.read_models("balances").views().await.unwrap().remove(0).active;
    assert_eq!((active.number, active.checkpoint.position.number()), (won.unwrap(), 100));
}

#[tokio::test]
async fn two_rebuilds_that_meet_go_on_with_one_generation() {
    let store = Swapped::new(log(100).await);
    let (engine, other) = (store.engine(), store.engine());
    let (first, second) = tokio::join!(
        engine.rebuild_view("balances", RebuildFrom::default(), |_| {}),
        other.rebuild_view("balances", RebuildFrom::default(), |_| {})
    );
    let active = engine.read_models("balances").views().await.unwrap().remove(0).active;
    assert_eq!((first.unwrap(), second.unwrap()), (active.number, active.number));
    assert_eq!(active.checkpoint.position.number(), 100);
    assert_eq!(rows(&engine).await, [row("a", 100, 100)]);
}

#[tokio::test]
async fn of_two_processes_that_rebuild_at_start_one_does_it() {
    let store = Swapped::new(log(700).await);
    store.engine().row(&tenant(), "balances", "a").await.unwrap_err();
    let process = || store.engine_of(Registry::default().view(Doubled), rebuilding);
    let (one, other) = (process(), process());
    let views = (one.start_views(), other.start_views());
    reached(&one, 700).await;
    reached(&other, 700).await;
    assert_eq!(rows(&one).await, [row("a", 1_400, 700)]);
    assert!(store.reads() < 400, "it was folded once: {} reads of 100 pages", store.reads());
    views.0.stop().await;
    views.1.stop().await;
}

#[tokio::test]
async fn an_old_process_does_not_rebuild_what_a_new_one_has_rebuilt() {
    let store = Swapped::new(log(10).await);
    let old = store.engine_of(registry(), rebuilding);
    let old_views = old.start_views();
    reached(&old, 10).await;
    let new = store.engine_of(Registry::default().view(Doubled), rebuilding);
    let new_views = new.start_views();
    reached(&new, 10).await;
    store.log().commit(&tenant(), deposited("a", 1)).await.unwrap();
    let state = stopped(&old).await;
    assert!(state.error.unwrap().contains("another definition"));
    reached(&new, 11).await;
    assert_eq!(rows(&new).await, [row("a", 22, 11)]);
    old_views.stop().await;
    new_views.stop().await;
}

#[tokio::test]
async fn a_view_that_was_refused_goes_on_once_it_is_rebuilt() {
    let store = Swapped::new(log(10).await);
    let engine = store.engine();
    let views = engine.start_views();
    reached(&engine, 10).await;
    store.swap(log(2).await);
    assert_eq!(stopped(&engine).await.status, SubscriptionState::Failed);
    // By another process, as the message says.
    store.engine().rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    store.log().commit(&tenant(), deposited("a", 1)).await.unwrap();
    while engine.view_states()[0].status != SubscriptionState::Live {
        tokio::task::yield_now().await;
    }
    reached(&engine, 3).await;
    assert_eq!(rows(&engine).await, [row("a", 3, 3)]);
    views.stop().await;
}

/// The state of the one view of a registry, once it has stopped; and how far its rows are.
async fn stopped_over(registry: Registry, deposits: &[(&str, i64)]) -> (ViewState, u64) {
    let (read_models, snapshots) = (MemoryReadModels::default(), MemorySnapshots::default());
    let bank = Bank::over(MemoryEventStore::default(), read_models, snapshots, registry);
    for (account, cents) in deposits {
        bank.store.commit(&tenant(), deposited(account, *cents)).await.unwrap();
    }
    let views = bank.engine.start_views();
    let state = tokio::time::timeout(LONG, stopped(&bank.engine)).await.expect("it says that it stopped");
    views.stop().await;
    let page = bank.engine.query(&tenant(), &state.name, &Query::default()).await.unwrap().page;
    (state, page.position.number())
}

#[tokio::test]
async fn of_two_events_it_cannot_take_the_first_one_stops_a_view() {
    let registry = Registry::default().aggregate::<Account>().view(Unlucky);
    let deposits = [("a", 1), ("b", 13), ("a", 13), ("c", 1)];
    let (state, position) = stopped_over(registry, &deposits).await;
    assert_eq!(state.status, SubscriptionState::Paused);
    assert!(state.error.as_ref().unwrap().contains("position 2 "), "{state:?}");
    assert_eq!(position, 1, "what came before is stored");
}

#[tokio::test]
async fn whatever_panics_pauses_its_view_and_names_the_event() {
    let deposits = [("a", 1), ("b", 2), ("a", 13), ("c", 1)];
    for registry in [Registry::default().view(BadPayload), Registry::default().view(BadKey::<true>)] {
        let (state, position) = stopped_over(registry, &deposits).await;
        assert_eq!(state.status, SubscriptionState::Paused);
        let error = state.error.unwrap();
        assert!(error.contains("position 3 ") && error.contains("panicked"), "{error}");
        assert_eq!(position, 2, "what came before is stored");
    }
}

#[tokio::test]
async fn a_key_that_is_no_key_pauses_its_view_and_names_the_event() {
    let registry = Registry::default().view(BadKey::<false>);
    let (state, position) = stopped_over(registry, &[("a", 1), ("b", 13), ("a", 1)]).await;
    assert_eq!(state.status, SubscriptionState::Paused);
    let error = state.error.unwrap();
    assert!(error.contains("position 2 ") && error.contains("ROW_KEY_BYTES_MAX"), "{error}");
    assert_eq!(position, 1, "what came before is stored");
}

/// Cannot take a deposit of 13.
struct Unlucky;

impl View for Unlucky {
    const NAME: &'static str = "unlucky";
    type Event = AccountEvent;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<String>) {
        Balances.route(event, keys);
    }
    fn fold(&self, key: &String, row: Option<Balance>, event: &Recorded<AccountEvent>) -> Option<Balance> {
        assert_ne!(event.event, AccountEvent::Deposited { cents: 13 });
        Balances.fold(key, row, event)
    }
}

/// A deposit whose decoding panics where it is of 13, as an upcaster may.
#[derive(Clone, Debug)]
struct Unreadable;

impl Event for Unreadable {
    fn descriptors() -> Vec<EventDescriptor> {
        AccountEvent::descriptors()
    }
    fn schemas() -> Vec<Json> {
        AccountEvent::schemas()
    }
    fn descriptor(&self) -> EventDescriptor {
        EventDescriptor { name: "deposited", version: 1 }
    }
    fn encode(&self) -> Result<Json, Error> {
        Json::encode(&())
    }
    fn decode(_: &str, _: u32, payload: &str) -> Result<Option<Self>, DecodeError> {
        assert!(!payload.contains("13"));
        Ok(Some(Self))
    }
}

struct BadPayload;

impl View for BadPayload {
    const NAME: &'static str = "bad_payload";
    type Event = Unreadable;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<Unreadable>, keys: &mut Keys<String>) {
        keys.push(event.stream().id().to_owned());
    }
    fn fold(&self, _: &String, row: Option<Balance>, _: &Recorded<Unreadable>) -> Option<Balance> {
        Some(row.unwrap_or(Balance { cents: 0, events: 0 }))
    }
}

/// The key of a deposit of 13 has no text: it panics, or it is empty.
struct BadKey<const PANICS: bool>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Cents<const PANICS: bool>(i64);

impl<const PANICS: bool> fmt::Display for Cents<PANICS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            13 if PANICS => panic!("a bug in the domain"),
            13 => Ok(()),
            cents => cents.fmt(f),
        }
    }
}

impl<const PANICS: bool> View for BadKey<PANICS> {
    const NAME: &'static str = "bad_key";
    type Event = AccountEvent;
    type Key = Cents<PANICS>;
    type Row = Balance;
    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<Cents<PANICS>>) {
        if let AccountEvent::Deposited { cents } = event.event {
            keys.push(Cents(cents));
        }
    }
    fn fold(
        &self,
        _: &Cents<PANICS>,
        row: Option<Balance>,
        event: &Recorded<AccountEvent>,
    ) -> Option<Balance> {
        Balances.fold(&String::new(), row, event)
    }
}
