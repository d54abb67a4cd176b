//! Events that change two rows, of which one cannot take them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use underlay_core::memory::{MemoryEventStore, MemoryReadModels, MemorySnapshots};
use underlay_core::{
    Commit, CommitId, EventStore, ExpectedVersion, Keys, NewEvent, OnFault, Query, ReadModels, Recorded,
    StreamName, SystemClock, View,
};
use underlay_derive::{event, row};
use underlay_runtime::{Engine, EngineConfig, Ports, RebuildFrom, Registry};

use crate::bank::{Bank, tenant};
use crate::views::LONG;

#[event(crate = underlay_core)]
enum MoveEvent {
    #[event(name = "moved", version = 1)]
    Moved { from: String, to: String, text: String },
}

#[row(crate = underlay_core)]
struct Purse {
    amount: i64,
    #[column(indexed)]
    text: String,
}

/// Folds of the one test that counts them; tests that do not run in a process of their own add theirs.
static FOLDS: AtomicUsize = AtomicUsize::new(0);

/// Moves 1 from one purse to another; an empty purse has nothing to give.
struct Purses<const PARKS: bool>;

impl<const PARKS: bool> View for Purses<PARKS> {
    const NAME: &'static str = "purses";
    const ON_FAULT: OnFault = if PARKS { OnFault::Park } else { OnFault::Pause };
    type Event = MoveEvent;
    type Key = String;
    type Row = Purse;
    fn route(&self, event: &Recorded<MoveEvent>, keys: &mut Keys<String>) {
        let MoveEvent::Moved { from, to, .. } = &event.event;
        keys.push(from.clone());
        keys.push(to.clone());
    }
    fn fold(&self, key: &String, row: Option<Purse>, event: &Recorded<MoveEvent>) -> Option<Purse> {
        FOLDS.fetch_add(1, Ordering::SeqCst);
        let MoveEvent::Moved { from, text, .. } = &event.event;
        let mut purse = row.unwrap_or(Purse { amount: 0, text: String::new() });
        if key == "bank" {
            return Some(purse);
        }
        if key == from {
            assert!(purse.amount > 0, "an empty purse has nothing to give");
            purse.amount -= 1;
        } else {
            purse.amount += 1;
            purse.text.push_str(text);
        }
        Some(purse)
    }
}

fn moved(from: &str, to: &str, text: &str) -> Commit {
    let (from, to, text) = (from.to_owned(), to.to_owned(), text.to_owned());
    let event = NewEvent::encode(&MoveEvent::Moved { from, to, text }).unwrap();
    let stream = StreamName::parse("move-a").unwrap();
    Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![event])
}

fn purses<const PARKS: bool>(store: MemoryEventStore, read_models: MemoryReadModels) -> Bank {
    Bank::over(store, read_models, MemorySnapshots::default(), Registry::default().view(Purses::<PARKS>))
}

async fn head(bank: &Bank) {
    let head = bank.store.head().await.unwrap();
    bank.engine.wait_for_view("purses", head, LONG).await.unwrap();
}

#[tokio::test]
async fn what_is_passed_over_does_not_depend_on_where_pages_end() {
    let bank = purses::<true>(MemoryEventStore::default(), MemoryReadModels::default());
    let views = bank.engine.start_views();
    let half = "x".repeat(600);
    // The first cannot be taken: the purse is empty. Without it the second fits well.
    for commit in [moved("empty", "a", &half), moved("bank", "a", &half)] {
        bank.store.commit(&tenant(), commit).await.unwrap();
        head(&bank).await;
    }
    let live = bank.engine.query(&tenant(), "purses", &Query::default()).await.unwrap().page.rows;
    bank.engine.rebuild_view("purses", RebuildFrom::Start, |_| {}).await.unwrap();
    head(&bank).await;
    let rebuilt = bank.engine.query(&tenant(), "purses", &Query::default()).await.unwrap().page.rows;
    let parked = bank.read_models.views().await.unwrap()[0].active.parked;
    assert_eq!(live, rebuilt, "live against rebuilt; {parked} are parked after the rebuild");
    views.stop().await;
}

#[tokio::test]
async fn a_chain_of_faults_costs_no_square() {
    let mut seen = Vec::new();
    for chain in [100_usize, 200, 400] {
        let log = MemoryEventStore::default();
        for number in 0..chain {
            let commit = moved(&format!("p{number}"), &format!("p{}", number + 1), "");
            log.commit(&tenant(), commit).await.unwrap();
        }
        let read_models = MemoryReadModels::default();
        let ports = Ports {
            work: None,
            store: Arc::new(log.clone()),
            read_models: Arc::new(read_models.clone()),
            wakeups: Arc::new(log.clone()),
            snapshots: None,
            leases: None,
            clock: Arc::new(SystemClock),
        };
        let engine =
            Engine::new(ports, Registry::default().view(Purses::<true>), EngineConfig::default()).unwrap();
        FOLDS.store(0, Ordering::SeqCst);
        let began = std::time::Instant::now();
        engine.rebuild_view("purses", RebuildFrom::Start, |_| {}).await.unwrap();
        let parked = read_models.views().await.unwrap()[0].active.parked;
        seen.push((chain, FOLDS.load(Ordering::SeqCst), parked, began.elapsed()));
    }
    assert!(seen[2].1 < 5 * seen[1].1 / 2, "(events, folds, parked, time): {seen:?}");
}

#[tokio::test]
async fn a_view_that_pauses_does_not_go_on_with_rows_that_lack_events() {
    let bank = purses::<true>(MemoryEventStore::default(), MemoryReadModels::default());
    let views = bank.engine.start_views();
    bank.store.commit(&tenant(), moved("empty", "a", "")).await.unwrap();
    head(&bank).await;
    views.stop().await;
    let strict = purses::<false>(bank.store.clone(), bank.read_models.clone());
    let views = strict.engine.start_views();
    let position = bank.store.head().await.unwrap();
    let waited = strict.engine.wait_for_view("purses", position, Duration::from_millis(500)).await;
    let state = strict.engine.view_states().remove(0);
    assert!(waited.is_err(), "OnFault::Pause promises that no row is ever wrong: {state:?}");
    views.stop().await;
}
