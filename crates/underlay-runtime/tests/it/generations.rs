//! A rebuild beside the rows that are read: nothing is lost in the swap, what breaks off goes on, and what
//! was replaced comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use underlay_core::memory::{MemoryEventStore, MemoryReadModels};
use underlay_core::{
    Checkpoint, Commit, CommitId, Error, EventStore, Position, Query, ReadModels, Swap, SystemClock,
    Timestamp, View,
};
use underlay_runtime::{Engine, EngineConfig, Ports, RebuildFrom, Registry, RunningViews, SubscriptionState};

use crate::bank::{Balances, deposited, registry, tenant};
use crate::hooked::{Hook, HookedReadModels};
use crate::views::{Doubled, LONG, row, rows};

/// A log with so many deposits of 1 to account `a`, and the read models that processes share.
async fn place(deposits: u64) -> (MemoryEventStore, MemoryReadModels) {
    let log = MemoryEventStore::default();
    for _ in 0..deposits {
        log.commit(&tenant(), deposited("a", 1)).await.unwrap();
    }
    (log, MemoryReadModels::default())
}

fn process(log: &MemoryEventStore, read_models: impl ReadModels, registry: Registry) -> Engine {
    process_with(log, read_models, registry, |config| config)
}

/// A process of its own. It polls so rarely that only what it must notice at once is noticed.
fn process_with(
    log: &MemoryEventStore,
    read_models: impl ReadModels,
    registry: Registry,
    change: impl FnOnce(EngineConfig) -> EngineConfig,
) -> Engine {
    let ports = Ports {
        work: None,
        store: Arc::new(log.clone()),
        read_models: Arc::new(read_models),
        wakeups: Arc::new(log.clone()),
        snapshots: None,
        leases: None,
        clock: Arc::new(SystemClock),
    };
    let config = EngineConfig {
        view_batch_events_max: 7,
        view_poll_interval: LONG,
        retry_delay_min: Duration::from_millis(1),
        retry_delay_max: Duration::from_millis(2),
        ..EngineConfig::default()
    };
    Engine::new(ports, registry, change(config)).unwrap()
}

async fn reached(engine: &Engine, position: u64) {
    engine.wait_for_view("balances", Position::from_number(position), LONG).await.unwrap();
}

async fn active(read_models: &MemoryReadModels) -> (u32, u64) {
    let active = read_models.views().await.unwrap().remove(0).active;
    (active.number, active.checkpoint.position.number())
}

#[tokio::test]
async fn what_is_folded_between_the_last_page_of_a_rebuild_and_its_swap_is_not_lost() {
    let (log, read_models) = place(20).await;
    let server = process(&log, read_models.clone(), registry());
    let views = server.start_views();
    reached(&server, 20).await;

    let hooked = HookedReadModels::over(read_models.clone());
    let rebuilding = process(&log, hooked.clone(), registry());
    let (came, go) = hooked.wait_at_swap();
    let rebuild = tokio::spawn(async move {
        rebuilding.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap()
    });
    came.await.unwrap();
    // It has read its last page. The server commits and folds; then comes the swap, and nothing follows.
    log.commit(&tenant(), deposited("a", 1)).await.unwrap();
    reached(&server, 21).await;
    assert_eq!(rows(&server).await, [row("a", 21, 21)]);
    go.send(()).unwrap();
    let generation = rebuild.await.unwrap();
    // Whoever has seen the deposit never sees it gone.
    assert_eq!(active(&read_models).await, (generation, 21));
    assert_eq!(rows(&server).await, [row("a", 21, 21)]);
    reached(&server, 21).await;
    assert_eq!(rows(&server).await, [row("a", 21, 21)]);
    views.stop().await;
}

#[tokio::test]
async fn a_swap_that_nobody_told_of_is_noticed_by_whoever_waits() {
    let (log, read_models) = place(20).await;
    let server = process(&log, read_models.clone(), registry());
    let views = server.start_views();
    reached(&server, 20).await;
    // A program of an older version swaps in a generation that is behind, and nothing follows.
    let start = Checkpoint::start(log.store_id());
    let behind = read_models.begin_generation(&Balances::schema(), start).await.unwrap();
    assert!(read_models.activate(&behind, Swap::default()).await.unwrap());
    assert_eq!(rows(&server).await, []);
    reached(&server, 20).await;
    assert_eq!(rows(&server).await, [row("a", 20, 20)], "who has waited reads what was waited for");
    assert_eq!(server.view_states()[0].generation, behind.generation);
    views.stop().await;
}

#[tokio::test]
async fn a_swap_that_nobody_told_of_is_noticed_at_the_next_poll() {
    let (log, read_models) = place(20).await;
    let often = |config| EngineConfig { view_poll_interval: Duration::from_millis(5), ..config };
    let server = process_with(&log, read_models.clone(), registry(), often);
    let views = server.start_views();
    reached(&server, 20).await;
    let start = Checkpoint::start(log.store_id());
    let behind = read_models.begin_generation(&Balances::schema(), start).await.unwrap();
    assert!(read_models.activate(&behind, Swap::default()).await.unwrap());
    let noticed = async {
        while active(&read_models).await.1 < 20 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, noticed).await.unwrap();
    assert_eq!(rows(&server).await, [row("a", 20, 20)]);
    views.stop().await;
}

#[tokio::test]
async fn a_rebuild_ends_beside_writers_who_never_rest() {
    let (log, read_models) = place(200).await;
    let server = process(&log, read_models.clone(), registry());
    let views = server.start_views();
    let (done, mut is_done) = tokio::sync::watch::channel(false);
    let writer = tokio::spawn({
        let log = log.clone();
        async move {
            let mut written = 200;
            while !*is_done.borrow_and_update() {
                log.commit(&tenant(), deposited("a", 1)).await.unwrap();
                written += 1;
                tokio::task::yield_now().await;
            }
            written
        }
    });
    let rebuilding = process(&log, read_models.clone(), registry());
    let mut shown = 0;
    for _ in 0..20 {
        let rebuild = rebuilding.rebuild_view("balances", RebuildFrom::default(), |_| {});
        tokio::pin!(rebuild);
        loop {
            tokio::select! {
                rebuilt = tokio::time::timeout(LONG, &mut rebuild) => {
                    rebuilt.expect("it comes to its end").unwrap();
                    break;
                }
                () = tokio::task::yield_now() => {
                    let now: i64 = rows(&server).await.first().map_or(0, |row| row.1[1].parse().unwrap());
                    assert!(now >= shown, "{now} events are shown after {shown}");
                    shown = now;
                }
            }
        }
    }
    done.send_replace(true);
    let written = writer.await.unwrap();
    reached(&server, written).await;
    let all = i64::try_from(written).unwrap();
    assert_eq!(rows(&server).await, [row("a", all, all)]);
    views.stop().await;
}

/// More accounts than a view holds before it stores them.
const ACCOUNTS: u64 = 20_000;

#[tokio::test]
async fn a_rebuild_that_broke_off_goes_on_where_it_was_or_begins_again_as_told() {
    let (log, read_models) = place(0).await;
    for thousand in 0..ACCOUNTS / 1_000 {
        let mut commit = Commit::new(CommitId::draw());
        for number in 0..1_000 {
            let deposit = deposited(&format!("{}", thousand * 1_000 + number), 1);
            commit.writes.extend(deposit.writes);
        }
        log.commit(&tenant(), commit).await.unwrap();
    }
    let hooked = HookedReadModels::over(read_models.clone());
    let large = |config| EngineConfig { view_batch_events_max: 1_000, ..config };
    let rebuilding = process_with(&log, hooked.clone(), registry(), large);
    rebuilding.row(&tenant(), "balances", "a").await.unwrap_err();
    let first_told = async |from| {
        let mut told = None;
        let built = rebuilding.rebuild_view("balances", from, |at| {
            told.get_or_insert(at);
        });
        (built.await, told.unwrap().number())
    };

    hooked.at_swap(Hook::Fail(Error::Damaged("the disk".to_owned())));
    first_told(RebuildFrom::default()).await.0.unwrap_err();
    let info = read_models.views().await.unwrap().remove(0);
    let building = info.building.expect("what was built is kept");
    let built_to = building.checkpoint.position.number();
    assert_eq!((info.active.number, building.number), (1, 2));
    assert!((1..ACCOUNTS).contains(&built_to), "a part was stored: {built_to}");

    let (generation, told) = first_told(RebuildFrom::default()).await;
    assert_eq!(generation.unwrap(), building.number, "it went on with it");
    assert!(told > built_to, "from {built_to}, and not from the start: {told}");
    assert_eq!(active(&read_models).await, (building.number, ACCOUNTS));

    hooked.at_swap(Hook::Fail(Error::Damaged("the disk".to_owned())));
    first_told(RebuildFrom::default()).await.0.unwrap_err();
    let (anew, told) = first_told(RebuildFrom::Start).await;
    assert_eq!((anew.unwrap(), told), (building.number + 2, 1_000), "what was begun is discarded");
    let count = rebuilding.count(&tenant(), "balances", &Query::default()).await.unwrap();
    assert_eq!(count, ACCOUNTS);
}

#[tokio::test]
async fn a_passing_failure_does_not_begin_a_rebuild_anew() {
    let (log, read_models) = place(100).await;
    let hooked = HookedReadModels::over(read_models.clone());
    let rebuilding = process(&log, hooked.clone(), registry());
    rebuilding.row(&tenant(), "balances", "a").await.unwrap_err();
    for _ in 0..5 {
        hooked.at_swap(Hook::Fail(Error::unavailable("the server restarts")));
    }
    let generation = rebuilding.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    assert_eq!(generation, 2, "one generation was begun");
    assert_eq!(rows(&rebuilding).await, [row("a", 100, 100)]);
}

#[tokio::test]
async fn a_swap_whose_answer_was_lost_is_found() {
    let (log, read_models) = place(10).await;
    let hooked = HookedReadModels::over(read_models.clone());
    let rebuilding = process(&log, hooked.clone(), registry());
    rebuilding.row(&tenant(), "balances", "a").await.unwrap_err();
    let (came, go) = hooked.wait_at_swap();
    let engine = rebuilding.clone();
    let rebuild =
        tokio::spawn(async move { engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await });
    came.await.unwrap();
    // Another one has carried it out by the time this one comes.
    process(&log, read_models.clone(), registry())
        .rebuild_view("balances", RebuildFrom::default(), |_| {})
        .await
        .unwrap();
    go.send(()).unwrap();
    assert_eq!(rebuild.await.unwrap().unwrap(), 2);
    assert_eq!(rows(&rebuilding).await, [row("a", 10, 10)]);
}

#[tokio::test]
async fn what_a_rebuild_replaced_comes_back_and_is_brought_up_to_date() {
    let (log, read_models) = place(20).await;
    let server = process(&log, read_models.clone(), registry());
    let views = server.start_views();
    reached(&server, 20).await;
    let newer = process(&log, read_models.clone(), Registry::default().view(Doubled));
    newer.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    assert_eq!(rows(&newer).await, [row("a", 40, 20)]);
    log.commit(&tenant(), deposited("a", 1)).await.unwrap();

    let refused = newer.revert_view("balances").await.unwrap_err();
    assert!(matches!(refused, Error::ViewChanged { .. }), "it is of the other definition: {refused}");
    assert_eq!(server.revert_view("balances").await.unwrap(), 1);
    reached(&server, 21).await;
    assert_eq!(rows(&server).await, [row("a", 21, 21)]);
    // And back.
    assert_eq!(newer.revert_view("balances").await.unwrap(), 2);
    let unknown = server.revert_view("unknown").await.unwrap_err();
    assert!(matches!(unknown, Error::NotFound(_)), "{unknown}");
    views.stop().await;
}

#[tokio::test]
async fn what_was_replaced_is_given_up_after_its_time() {
    let (log, read_models) = place(20).await;
    let poll = |config| EngineConfig { view_poll_interval: Duration::from_millis(2), ..config };
    let keeping = process_with(&log, read_models.clone(), registry(), poll);
    let views = keeping.start_views();
    reached(&keeping, 20).await;
    keeping.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    reached(&keeping, 20).await;
    let kept = read_models.views().await.unwrap().remove(0).replaced;
    assert_eq!(kept.map(|(generation, _)| generation.number), Some(1), "for a day by default");
    views.stop().await;

    let short = |config| EngineConfig { view_replaced_kept: Duration::ZERO, ..poll(config) };
    let forgetting = process_with(&log, read_models.clone(), registry(), short);
    let views = forgetting.start_views();
    let given_up = async {
        while read_models.views().await.unwrap()[0].replaced.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, given_up).await.unwrap();
    let gone = forgetting.revert_view("balances").await.unwrap_err();
    assert!(matches!(gone, Error::NotFound(_)), "{gone}");
    views.stop().await;
}

/// A process over a log of five deposits, whose view had come further, to an event that the log does not
/// have, and was rebuilt.
async fn repaired() -> (Engine, MemoryReadModels, RunningViews) {
    let (log, read_models) = place(5).await;
    let server = process(&log, read_models.clone(), registry());
    let beyond = Checkpoint {
        store: log.store_id(),
        position: Position::from_number(1_000),
        event_id: Some(underlay_core::EventId::draw()),
    };
    read_models.prepare(&Balances::schema(), beyond).await.unwrap();
    let views = server.start_views();
    crate::views::stopped(&server).await;
    server.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    reached(&server, 5).await;
    (server, read_models, views)
}

#[tokio::test]
async fn a_rebuild_repairs_a_view_of_an_older_copy_of_the_log() {
    let (server, read_models, views) = repaired().await;
    assert_eq!(rows(&server).await, [row("a", 5, 5)]);
    assert_ne!(server.view_states()[0].status, SubscriptionState::Failed);
    let _kept_since: Timestamp = read_models.views().await.unwrap()[0].replaced.unwrap().1;
    views.stop().await;
}

#[tokio::test]
async fn a_waiter_is_not_told_yes_by_the_position_of_another_generation() {
    let (log, read_models) = place(20).await;
    let hooked = HookedReadModels::over(read_models.clone());
    let slow = |config| EngineConfig { retry_delay_min: LONG, retry_delay_max: LONG, ..config };
    let server = process_with(&log, hooked.clone(), registry(), slow);
    let views = server.start_views();
    reached(&server, 20).await;
    server.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    log.commit(&tenant(), deposited("a", 1)).await.unwrap();
    reached(&server, 21).await;
    // Generation 1 stands at 20. A passing failure comes while the server opens it.
    hooked.prepare_fails.store(true, Ordering::SeqCst);
    process(&log, read_models.clone(), registry()).revert_view("balances").await.unwrap();
    let waited =
        server.wait_for_view("balances", Position::from_number(21), Duration::from_millis(300)).await;
    hooked.prepare_fails.store(false, Ordering::SeqCst);
    let state = server.view_states().remove(0);
    if waited.is_ok() {
        assert_eq!(rows(&server).await, [row("a", 21, 21)], "who has waited reads it: {state:?}");
    }
    views.stop().await;
}

#[tokio::test]
async fn a_rebuild_whose_swap_always_fails_ends() {
    let (log, read_models) = place(20).await;
    let hooked = HookedReadModels::over(read_models.clone());
    let engine = process(&log, hooked.clone(), registry());
    engine.row(&tenant(), "balances", "a").await.unwrap_err();
    for _ in 0..500 {
        hooked.at_swap(Hook::Fail(Error::unavailable("no space left")));
    }
    let built = engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await;
    let asked = hooked.swaps_asked.load(Ordering::SeqCst);
    assert!(asked <= 61, "RETRIES_MAX = 60 in a row, {asked} were tried; {built:?}");
}

#[tokio::test]
async fn what_was_replaced_goes_also_where_the_service_is_never_quiet() {
    let (log, read_models) = place(20).await;
    let change = |config| EngineConfig {
        view_poll_interval: Duration::from_millis(50),
        view_replaced_kept: Duration::ZERO,
        ..config
    };
    let server = process_with(&log, read_models.clone(), registry(), change);
    let views = server.start_views();
    reached(&server, 20).await;
    server.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    // There is always something new before a poll interval has passed.
    let never_quiet = async {
        while read_models.views().await.unwrap()[0].replaced.is_some() {
            log.commit(&tenant(), deposited("a", 1)).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, never_quiet).await.expect("it is given up");
    views.stop().await;
}

#[tokio::test]
async fn a_discarded_rebuild_says_what_happened() {
    let (log, read_models) = place(20).await;
    let hooked = HookedReadModels::over(read_models.clone());
    let engine = process(&log, hooked.clone(), registry());
    engine.row(&tenant(), "balances", "a").await.unwrap_err();
    let (came, go) = hooked.wait_at_swap();
    let rebuild = tokio::spawn({
        let engine = engine.clone();
        async move { engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await }
    });
    came.await.unwrap();
    read_models.discard("balances", 2).await.unwrap();
    go.send(()).unwrap();
    let error = rebuild.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("it was discarded"), "{error}");
}

#[tokio::test]
async fn a_waiter_is_answered_where_a_generation_went_and_came_back() {
    let (log, read_models) = place(20).await;
    let server = process(&log, read_models.clone(), registry());
    let views = server.start_views();
    reached(&server, 20).await;
    server.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    reached(&server, 20).await;
    let other = process(&log, read_models.clone(), registry());
    assert_eq!(other.revert_view("balances").await.unwrap(), 1);
    let waiting = server.wait_for_view("balances", Position::from_number(20), Duration::from_secs(1));
    tokio::pin!(waiting);
    let first = std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::future::Future::poll(waiting.as_mut(), context).is_pending())
    });
    assert!(first.await, "it waits for the runner to look");
    assert_eq!(other.revert_view("balances").await.unwrap(), 2);
    waiting.await.expect("generation 2 is read and stands at 20");
    views.stop().await;
}

#[tokio::test]
async fn a_generation_that_does_not_fit_the_log_does_not_come_back() {
    let (server, read_models, views) = repaired().await;
    let refused = server.revert_view("balances").await.unwrap_err();
    assert!(matches!(refused, Error::CheckpointRefused(_)), "{refused}");
    // Where a program of an older version brings it back all the same, nobody is told that it is there.
    read_models.revert(&Balances::schema(), Timestamp::UNIX_EPOCH).await.unwrap();
    let waited = server.wait_for_view("balances", Position::from_number(5), LONG).await.unwrap_err();
    assert!(waited.to_string().contains("has stopped"), "{waited}");
    views.stop().await;
}
