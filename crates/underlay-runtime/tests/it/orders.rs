//! What persons order of views: a comparison with rows that are folded anew, while events go on to come, and orders that
//! outlive whoever carries them out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::memory::{MemoryEventStore, MemoryReadModels};
use underlay_core::{
    Checkpoint, Error, EventStore, Keys, Position, ReadModels, Recorded, RowAddress, RowChange, ScannedRows,
    SystemClock, TenantId, Timestamp, Value, View, ViewBatch, ViewTable,
};
use underlay_runtime::{
    Engine, EngineConfig, FollowerStatus, OrderRequest, OrderState, Ports, RebuildFrom, Registry,
    RowDifference, ViewOrder, ViewTask,
};
use underlay_testkit::{Over, ReadModelsLayer, RowsFirst};

use crate::bank::{AccountEvent, Balance, Balances, deposited, registry, tenant};
use crate::hooked::HookedReadModels;
use crate::shared::{Call, LEASE, Shared};
use crate::views::{LONG, row, rows};

const VIEW: &str = "balances";

fn process(log: &MemoryEventStore, read_models: impl ReadModels, registry: Registry) -> Engine {
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
        program: "bank".to_owned(),
        view_batch_events_max: 7,
        view_poll_interval: Duration::from_millis(5),
        retry_delay_min: Duration::from_millis(1),
        retry_delay_max: Duration::from_millis(2),
        ..EngineConfig::default()
    };
    Engine::new(ports, registry, config).unwrap()
}

fn request(task: ViewTask) -> OrderRequest {
    OrderRequest { task, from: RebuildFrom::default(), by: "ann".to_owned(), in_background: false }
}

/// Orders something and carries it out.
async fn carried_out(engine: &Engine, task: ViewTask) -> Result<ViewOrder, Error> {
    engine.order_view(VIEW, &request(task)).await?;
    engine.carry_out_order(VIEW, |_| {}).await
}

/// A log of so many deposits of 1 to each of these accounts, folded.
async fn folded(accounts: &[&str], deposits: u64) -> (MemoryEventStore, MemoryReadModels, Engine) {
    let (log, read_models) = (MemoryEventStore::default(), MemoryReadModels::default());
    for _ in 0..deposits {
        for account in accounts {
            log.commit(&tenant(), deposited(account, 1)).await.unwrap();
        }
    }
    let engine = process(&log, read_models.clone(), registry());
    let views = engine.start_views();
    engine.wait_for_view(VIEW, log.head().await.unwrap(), LONG).await.unwrap();
    views.stop().await;
    (log, read_models, engine)
}

/// Changes rows past the engine, as a person with a database client does.
async fn alter(read_models: &dyn ReadModels, changes: Vec<RowChange>) {
    let schema = Balances::schema();
    let start = Checkpoint::start(underlay_core::StoreId(uuid::Uuid::nil()));
    let table = read_models.prepare(&schema, start).await.unwrap();
    let at = read_models.checkpoint(&table).await.unwrap();
    read_models.apply(&table, ViewBatch::new(at, at, changes)).await.unwrap();
}

fn address(key: &str) -> RowAddress {
    RowAddress { tenant: tenant(), key: key.to_owned() }
}

fn altered(key: &str, cents: i64, events: i64) -> RowChange {
    RowChange::Upsert(address(key), vec![Value::Integer(cents), Value::Integer(events)])
}

#[tokio::test]
async fn rows_that_nobody_altered_are_the_true_ones_and_nothing_is_left() {
    let (_, read_models, engine) = folded(&["a", "b", "c"], 20).await;
    let order = carried_out(&engine, ViewTask::Verify).await.unwrap();
    assert_eq!(order.state, OrderState::Done);
    let verified = order.verified.unwrap();
    assert!(!verified.differs() && verified.is_whole, "{verified:?}");
    assert_eq!(verified.rows, 3);
    let info = read_models.views().await.unwrap().remove(0);
    assert_eq!((info.active.number, info.building), (1, None), "what was folded for it is given up");
}

#[tokio::test]
async fn every_kind_of_drift_is_told_and_repaired() {
    let (log, read_models, engine) = folded(&["a", "b", "c", "d"], 5).await;
    let globex = TenantId::new("globex").unwrap();
    let foreign = RowAddress { tenant: globex.clone(), key: "x".to_owned() };
    alter(
        &read_models,
        vec![
            altered("a", 77, 5),
            RowChange::Delete(address("b")),
            RowChange::Upsert(foreign.clone(), vec![Value::Integer(1), Value::Integer(1)]),
        ],
    )
    .await;
    let order = carried_out(&engine, ViewTask::Verify).await.unwrap();
    let verified = order.verified.unwrap();
    assert_eq!((verified.rows, verified.changed, verified.missing, verified.extra), (4, 1, 1, 1));
    let at = Position::from_number(20);
    let told =
        |tenant: TenantId, key: &str, column: Option<&str>, served: Option<&str>, expected: Option<&str>| {
            RowDifference {
                tenant,
                key: key.to_owned(),
                position: at,
                column: column.map(str::to_owned),
                served: served.map(str::to_owned),
                expected: expected.map(str::to_owned),
            }
        };
    let mut expected = vec![
        told(tenant(), "a", Some("cents"), Some("77"), Some("5")),
        told(tenant(), "b", None, None, Some("[5,5]")),
        told(globex, "x", None, Some("[1,1]"), None),
    ];
    expected.sort_by(|one, other| (&one.tenant, &one.key).cmp(&(&other.tenant, &other.key)));
    assert_eq!(verified.first, expected);
    assert_eq!(rows(&engine).await[0], row("a", 77, 5), "nothing was changed");

    let order = carried_out(&engine, ViewTask::Repair).await.unwrap();
    assert_eq!(order.state, OrderState::Done);
    assert_eq!(order.generation, Some(read_models.views().await.unwrap()[0].active.number));
    let whole = [row("a", 5, 5), row("b", 5, 5), row("c", 5, 5), row("d", 5, 5)];
    assert_eq!(rows(&engine).await, whole);
    let order = carried_out(&engine, ViewTask::Verify).await.unwrap();
    assert!(!order.verified.unwrap().differs());
    // What is not altered is not swapped.
    let before = read_models.views().await.unwrap()[0].active.number;
    carried_out(&engine, ViewTask::Repair).await.unwrap();
    assert_eq!(read_models.views().await.unwrap()[0].active.number, before);
    assert_eq!(log.head().await.unwrap(), at);
}

#[tokio::test]
async fn more_rows_than_a_page_are_compared_and_the_differences_counted() {
    let accounts: Vec<String> = (0..1_203).map(|number| format!("{number:05}")).collect();
    let names: Vec<&str> = accounts.iter().map(String::as_str).collect();
    let (_, read_models, engine) = folded(&names, 1).await;
    let mut changes: Vec<RowChange> = (0..30).map(|at| altered(names[at * 40], 9, 9)).collect();
    // Where pages end, at the first row and at the last.
    changes.extend([1, 499, 500, 501, 999, 1_001, 1_202].map(|at| RowChange::Delete(address(names[at]))));
    changes.extend(["", "00499x", "00500x", "x", "y"].iter().filter_map(|key| {
        let address = address(key);
        address.validate().is_ok().then(|| RowChange::Upsert(address, vec![Value::Integer(0); 2]))
    }));
    alter(&read_models, changes).await;
    let verified = carried_out(&engine, ViewTask::Verify).await.unwrap().verified.unwrap();
    assert_eq!((verified.changed, verified.missing, verified.extra), (30, 7, 4));
    assert_eq!((verified.rows, verified.first.len()), (1_203 - 7 + 4, 20));
}

/// Rows of which the generation before is read again between two pages of a comparison, and then the store is away for
/// a moment.
struct Reverted {
    inner: MemoryReadModels,
    scans: AtomicUsize,
    is_armed: Arc<AtomicBool>,
}

#[async_trait]
impl ReadModelsLayer for Reverted {
    type Below = MemoryReadModels;

    fn below(&self) -> MemoryReadModels {
        self.inner.clone()
    }

    async fn scan(
        &self,
        table: &ViewTable,
        after: Option<&RowAddress>,
        limit: usize,
    ) -> Result<ScannedRows, Error> {
        let is_second = table.generation == 2 && self.scans.fetch_add(1, Ordering::SeqCst) == 1;
        if is_second && self.is_armed.swap(false, Ordering::SeqCst) {
            self.inner.revert(&table.schema, Timestamp::now()).await?;
            return Err(Error::unavailable("the store is away"));
        }
        self.inner.scan(table, after, limit).await
    }
}

#[tokio::test]
async fn what_was_compared_of_another_generation_counts_for_nothing() {
    let accounts: Vec<String> = (0..700).map(|number| format!("{number:05}")).collect();
    let names: Vec<&str> = accounts.iter().map(String::as_str).collect();
    let (log, read_models, engine) = folded(&names, 1).await;
    // The first generation drifts, on its first page, and another one is read.
    alter(&read_models, vec![altered("00003", 9, 9)]).await;
    assert_eq!(carried_out(&engine, ViewTask::Rebuild).await.unwrap().generation, Some(2));
    let is_armed = Arc::new(AtomicBool::new(true));
    let layer = Reverted { inner: read_models, scans: AtomicUsize::default(), is_armed: is_armed.clone() };
    let engine = process(&log, Over(layer), registry());
    let verified = carried_out(&engine, ViewTask::Verify).await.unwrap().verified.unwrap();
    assert!(!is_armed.load(Ordering::SeqCst), "the first generation is read again");
    assert_eq!((verified.rows, verified.changed, verified.generation), (700, 1, Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_beside_writers_who_never_rest_finds_nothing_that_is_not_there() {
    let accounts: Vec<String> = (0..700).map(|number| format!("{number:05}")).collect();
    let names: Vec<&str> = accounts.iter().map(String::as_str).collect();
    let (log, read_models, _) = folded(&names, 1).await;
    let server = process(&log, read_models.clone(), registry());
    let views = server.start_views();
    let (done, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writer = tokio::spawn({
        let (log, done, written, accounts) = (log.clone(), done.clone(), written.clone(), accounts.clone());
        async move {
            while !done.load(Ordering::Relaxed) {
                let number = written.fetch_add(1, Ordering::Relaxed);
                log.commit(&tenant(), deposited(&accounts[number * 31 % accounts.len()], 1)).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let checking = process(&log, read_models.clone(), registry());
    let (mut rounds, mut beside) = (0, 0);
    while rounds < 5 || beside < 3 {
        let before = written.load(Ordering::Relaxed);
        let verified = carried_out(&checking, ViewTask::Verify).await.unwrap().verified.unwrap();
        assert!(!verified.differs(), "{verified:?}");
        rounds += 1;
        beside += usize::from(written.load(Ordering::Relaxed) > before);
    }
    done.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    views.stop().await;
}

#[tokio::test]
async fn rows_of_a_store_without_transactions_are_compared_where_they_have_settled() {
    let (log, read_models, _) = folded(&["a", "b", "c"], 4).await;
    let rows_first = RowsFirst::new(read_models.clone());
    // A batch is torn: some rows are beyond the checkpoint, until another process goes on.
    log.commit(&tenant(), deposited("a", 1)).await.unwrap();
    log.commit(&tenant(), deposited("c", 1)).await.unwrap();
    rows_first.tear_after(2);
    let torn = process(&log, Over(rows_first.clone()), registry());
    let views = torn.start_views();
    rows_first.torn().await;
    views.stop().await;
    let server = process(&log, Over(rows_first.clone()), registry());
    let checking = process(&log, Over(rows_first.clone()), registry());
    let check = tokio::spawn(async move { carried_out(&checking, ViewTask::Verify).await });
    let views = server.start_views();
    let verified = check.await.unwrap().unwrap().verified.unwrap();
    assert!(!verified.differs() && verified.rows == 3, "{verified:?}");
    views.stop().await;
}

/// The balances, twice over.
struct Twice<const VERSION: u32>;

impl<const VERSION: u32> View for Twice<VERSION> {
    const NAME: &'static str = VIEW;
    const VERSION: u32 = VERSION;
    type Event = AccountEvent;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<String>) {
        Balances.route(event, keys);
    }
    fn fold(&self, key: &String, row: Option<Balance>, event: &Recorded<AccountEvent>) -> Option<Balance> {
        let before = row.as_ref().map_or(0, |row| row.cents);
        let row = Balances.fold(key, row, event)?;
        Some(Balance { cents: 2 * row.cents - before, ..row })
    }
}

#[tokio::test]
async fn code_that_changed_and_kept_its_version_is_found() {
    let (log, read_models, _) = folded(&["a", "b"], 3).await;
    let changed = process(&log, read_models.clone(), Registry::default().view(Twice::<1>));
    let verified = carried_out(&changed, ViewTask::Verify).await.unwrap().verified.unwrap();
    assert_eq!((verified.changed, verified.missing, verified.extra), (2, 0, 0));
}

#[tokio::test]
async fn what_an_interrupted_rebuild_has_built_is_not_thrown_away_by_a_comparison() {
    let (log, read_models, engine) = folded(&["a"], 3).await;
    let start = Checkpoint::start(log.store_id());
    let begun = read_models.begin_generation(&Balances::schema(), start).await.unwrap();
    let refused = carried_out(&engine, ViewTask::Verify).await.unwrap_err();
    let Error::Invalid(reason) = refused else { panic!("{refused}") };
    assert!(
        reason.contains("`view rebuild balances`") && reason.contains("`view discard balances`"),
        "{reason}"
    );
    assert_eq!(engine.discard_view(VIEW, "ann").await.unwrap(), [begun.generation]);
    carried_out(&engine, ViewTask::Verify).await.unwrap();
    // What a comparison has left, the next one folds anew.
    alter(&read_models, vec![altered("a", 9, 9)]).await;
    for _ in 0..2 {
        assert!(carried_out(&engine, ViewTask::Verify).await.unwrap().verified.unwrap().differs());
    }
    // And a rebuild swaps it in as it is.
    let left = read_models.views().await.unwrap()[0].building.unwrap();
    let order = carried_out(&engine, ViewTask::Rebuild).await.unwrap();
    assert_eq!(order.generation, Some(left.number));
    assert_eq!(rows(&engine).await, [row("a", 3, 3)]);
}

#[tokio::test]
async fn a_rebuild_that_was_begun_after_a_comparison_agreed_is_not_thrown_away_by_the_next() {
    let (log, read_models, engine) = folded(&["a"], 3).await;
    let begin = async || {
        let start = Checkpoint::start(log.store_id());
        read_models.begin_generation(&Balances::schema(), start).await.unwrap().generation
    };
    let building = async || read_models.views().await.unwrap()[0].building.map(|building| building.number);
    assert!(!carried_out(&engine, ViewTask::Verify).await.unwrap().verified.unwrap().differs());
    let begun = begin().await;
    for task in [ViewTask::Verify, ViewTask::Repair] {
        let refused = carried_out(&engine, task).await.unwrap_err();
        assert!(refused.to_string().contains("was interrupted"), "{task:?}: {refused}");
        assert_eq!(building().await, Some(begun), "{task:?}");
    }
    engine.discard_view(VIEW, "ann").await.unwrap();
    // Or between the order and whoever carries it out.
    engine.order_view(VIEW, &request(ViewTask::Verify)).await.unwrap();
    let begun = begin().await;
    let refused = engine.carry_out_order(VIEW, |_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("was interrupted"), "{refused}");
    assert_eq!(building().await, Some(begun));
    let order = engine.view_standings_now().await.unwrap().views.remove(0).order.unwrap().order;
    assert_eq!((order.state, order.reason), (OrderState::Failed, Some(refused.to_string())));
}

#[tokio::test]
async fn what_a_comparison_has_left_is_folded_anew_also_where_another_was_cancelled_between() {
    let (_, read_models, engine) = folded(&["a"], 3).await;
    alter(&read_models, vec![altered("a", 9, 9)]).await;
    let left = carried_out(&engine, ViewTask::Verify).await.unwrap().generation.unwrap();
    engine.order_view(VIEW, &request(ViewTask::Repair)).await.unwrap();
    engine.cancel_order(VIEW, "ann").await.unwrap();
    let verified = carried_out(&engine, ViewTask::Verify).await.unwrap();
    assert!(verified.verified.unwrap().differs());
    assert!(verified.generation.unwrap() > left, "it is folded anew");
}

#[tokio::test]
async fn an_order_in_the_background_is_carried_out_and_everybody_sees_how_far_it_is() {
    let (log, read_models, engine) = folded(&["a"], 30).await;
    let ordered = OrderRequest { in_background: true, ..request(ViewTask::Rebuild) };
    let order = engine.order_view(VIEW, &ordered).await.unwrap();
    assert_eq!((order.state, order.ordered_by.as_str()), (OrderState::Waiting, "ann"));
    let again = OrderRequest { by: "bob".to_owned(), ..ordered.clone() };
    assert_eq!(engine.order_view(VIEW, &again).await.unwrap(), order, "the same order again is one order");
    let other =
        engine.order_view(VIEW, &OrderRequest { task: ViewTask::Verify, ..ordered }).await.unwrap_err();
    assert!(other.to_string().contains("as ann ordered") && other.to_string().contains("cancel"), "{other}");
    let standing = engine.view_standings_now().await.unwrap().views.remove(0).order.unwrap();
    assert_eq!(standing.order, order);

    // A process of another definition leaves it alone.
    let older = process(&log, read_models.clone(), Registry::default().view(Twice::<2>));
    assert!(
        older.carry_out_order(VIEW, |_| {}).await.unwrap_err().to_string().contains("another definition")
    );

    let views = engine.start_views();
    let ended = async || {
        loop {
            let order = engine.view_standings_now().await.unwrap().views.remove(0).order.unwrap().order;
            if order.state.is_ended() {
                return order;
            }
            tokio::task::yield_now().await;
        }
    };
    let order = tokio::time::timeout(LONG, ended()).await.unwrap();
    assert_eq!((order.state, order.generation), (OrderState::Done, Some(2)), "{order:?}");
    let progress = order.progress.unwrap();
    assert_eq!((progress.from, progress.position.number()), (Position::START, 30));
    assert_eq!(rows(&engine).await, [row("a", 30, 30)]);
    views.stop().await;
}

#[tokio::test]
async fn nothing_is_swapped_in_after_its_order_was_cancelled() {
    let (log, read_models, engine) = folded(&["a"], 30).await;
    let hooked = HookedReadModels::over(read_models.clone());
    let working = process(&log, hooked.clone(), registry());
    working.order_view(VIEW, &request(ViewTask::Rebuild)).await.unwrap();
    // It is cancelled when the generation is folded, and not yet about to be swapped in.
    let mut is_cancelled = false;
    let told = |order: &ViewOrder| {
        if !is_cancelled && order.progress.as_ref().is_some_and(|progress| progress.position.number() == 30) {
            is_cancelled = true;
            let (engine, at) = (engine.clone(), tokio::runtime::Handle::current());
            std::thread::spawn(move || {
                at.block_on(async move { engine.cancel_order(VIEW, "bob").await.unwrap() })
            })
            .join()
            .unwrap();
        }
    };
    let refused = working.carry_out_order(VIEW, told).await.unwrap_err();
    assert!(refused.to_string().contains("bob cancelled it"), "{refused}");
    assert_eq!(hooked.0.swaps_asked.load(Ordering::SeqCst), 0);
    let info = read_models.views().await.unwrap().remove(0);
    assert_eq!(info.active.number, 1);
    let order = ViewOrder::of(&info.order.unwrap()).unwrap();
    assert_eq!(order.state, OrderState::Cancelled, "who carried it out did not say otherwise");
    assert!(engine.cancel_order(VIEW, "bob").await.is_err(), "there is nothing to cancel");
    // What was built stays, and the next rebuild goes on with it.
    let built = info.building.unwrap().number;
    assert_eq!(carried_out(&engine, ViewTask::Rebuild).await.unwrap().generation, Some(built));
}

#[tokio::test]
async fn a_process_that_stood_still_before_its_swap_swaps_nothing_in_that_was_cancelled_meanwhile() {
    for task in [ViewTask::Rebuild, ViewTask::Repair] {
        let (log, read_models, engine) = folded(&["a"], 30).await;
        alter(&read_models, vec![altered("a", 1, 1)]).await;
        let hooked = HookedReadModels::over(read_models.clone());
        let (came, go) = hooked.0.wait_at_swap();
        let working = process(&log, hooked, registry());
        let carrying = tokio::spawn(async move { carried_out(&working, task).await });
        came.await.unwrap();
        engine.cancel_order(VIEW, "bob").await.unwrap();
        go.send(()).unwrap();
        let refused = carrying.await.unwrap().unwrap_err();
        assert!(refused.to_string().contains("bob cancelled it"), "{task:?}: {refused}");
        let info = read_models.views().await.unwrap().remove(0);
        assert_eq!((info.active.number, info.replaced), (1, None), "{task:?}");
        let order = ViewOrder::of(&info.order.unwrap()).unwrap();
        assert_eq!(order.state, OrderState::Cancelled, "{task:?}");
    }
}

#[tokio::test]
async fn an_order_that_is_given_again_right_before_its_swap_is_carried_out() {
    let (log, read_models, engine) = folded(&["a"], 30).await;
    let hooked = HookedReadModels::over(read_models.clone());
    let (came, go) = hooked.0.wait_at_swap();
    let working = process(&log, hooked.clone(), registry());
    let carrying = tokio::spawn(async move { carried_out(&working, ViewTask::Rebuild).await });
    came.await.unwrap();
    let again = OrderRequest { in_background: true, ..request(ViewTask::Rebuild) };
    engine.order_view(VIEW, &again).await.unwrap();
    go.send(()).unwrap();
    let order = carrying.await.unwrap().unwrap();
    assert_eq!((order.state, order.generation, order.in_background), (OrderState::Done, Some(2), true));
    assert_eq!(hooked.0.swaps_asked.load(Ordering::SeqCst), 2, "the first one named another number");
}

/// Takes no deposit of 13.
struct Superstitious;

impl View for Superstitious {
    const NAME: &'static str = VIEW;
    type Event = AccountEvent;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<String>) {
        Balances.route(event, keys);
    }
    fn fold(&self, key: &String, row: Option<Balance>, event: &Recorded<AccountEvent>) -> Option<Balance> {
        assert!(event.event != AccountEvent::Deposited { cents: 13 }, "a bug in the domain");
        Balances.fold(key, row, event)
    }
}

#[tokio::test]
async fn an_order_that_cannot_be_carried_out_says_why_and_ends() {
    let (log, read_models, engine) = folded(&["a"], 3).await;
    log.commit(&tenant(), deposited("a", 13)).await.unwrap();
    let views = engine.start_views();
    engine.wait_for_view(VIEW, log.head().await.unwrap(), LONG).await.unwrap();
    views.stop().await;
    let failing = process(&log, read_models.clone(), Registry::default().view(Superstitious));
    for task in [ViewTask::Rebuild, ViewTask::Verify] {
        let refused = carried_out(&failing, task).await.unwrap_err();
        assert!(refused.to_string().contains("position 4"), "{refused}");
        let order = ViewOrder::of(&read_models.views().await.unwrap()[0].order.clone().unwrap()).unwrap();
        assert_eq!((order.task, order.state), (task, OrderState::Failed));
        assert_eq!(order.reason.unwrap(), refused.to_string());
        failing.discard_view(VIEW, "ann").await.unwrap();
    }
}

/// What is stored of an order on its way: that it is begun, that a generation is, that rows are compared, that it is
/// about to be swapped in, that it is done.
const STORED_TO_REBUILD: usize = 4;
const STORED_TO_REPAIR: usize = 5;

#[tokio::test]
async fn an_order_goes_on_in_another_process_wherever_the_first_is_gone() {
    for (task, stored) in [(ViewTask::Rebuild, STORED_TO_REBUILD), (ViewTask::Repair, STORED_TO_REPAIR)] {
        for at in 0..stored {
            taken_over(task, at, at + 1 == stored).await;
        }
    }
}

/// The first process stands still, with the lease, when it is about to store what has become of the order.
async fn taken_over(task: ViewTask, at: usize, is_swapped: bool) {
    let shared = Shared::new();
    for _ in 0..100 {
        shared.deposit("a").await;
    }
    let first = shared.process("first");
    let views = first.start();
    shared.until(async || shared.stored().await == 100).await;
    alter(&shared.read_models, vec![altered("a", 1, 1)]).await;
    let ordered = OrderRequest { in_background: true, ..request(task) };
    first.engine.order_view(VIEW, &ordered).await.unwrap();
    first.place.pause_after(Call::PutOrder, at);
    shared.until(async || first.place.is_paused()).await;
    assert!(!shared.is_free("rebuild:balances").await, "{task:?} at {at}");
    let second = shared.process("second");
    let others = second.start();
    let order = async || {
        let info = shared.read_models.views().await.unwrap().remove(0);
        ViewOrder::of(&info.order.unwrap()).unwrap()
    };
    shared.pass(LEASE * 3).await;
    shared.until(async || order().await.state.is_ended()).await;
    let ended = order().await;
    assert_eq!(ended.state, OrderState::Done, "{task:?} at {at}: {ended:?}");
    let by = ended.progress.clone().unwrap().by;
    assert!(by.starts_with(if is_swapped { "first/" } else { "second/" }), "{task:?} at {at}: {by}");
    assert_eq!(rows(&second.engine).await, [row("a", 100, 100)], "{task:?} at {at}");
    // The first comes back, and takes nothing back.
    first.place.go_on();
    shared.pass(LEASE).await;
    assert_eq!(order().await, ended, "{task:?} at {at}");
    assert_eq!(rows(&second.engine).await, [row("a", 100, 100)], "{task:?} at {at}");
    views.stop().await;
    others.stop().await;
}

#[tokio::test]
async fn an_order_that_is_cancelled_after_its_swap_is_done() {
    let shared = Shared::new();
    for _ in 0..30 {
        shared.deposit("a").await;
    }
    let (first, second) = (shared.process("first"), shared.process("second"));
    first.engine.order_view(VIEW, &request(ViewTask::Rebuild)).await.unwrap();
    first.place.pause_after(Call::PutOrder, STORED_TO_REBUILD - 1);
    let engine = first.engine.clone();
    let carrying = tokio::spawn(async move { engine.carry_out_order(VIEW, |_| {}).await });
    shared.until(async || first.place.is_paused()).await;
    let busy = second.engine.cancel_order(VIEW, "bob").await.unwrap_err();
    assert!(matches!(busy, Error::Busy(_)), "its process is there: {busy}");
    shared.pass(LEASE).await;
    let late = second.engine.cancel_order(VIEW, "bob").await.unwrap_err();
    assert!(late.to_string().contains("`bank view revert balances`"), "{late}");
    let info = shared.read_models.views().await.unwrap().remove(0);
    assert_eq!(info.active.number, 2);
    let order = ViewOrder::of(&info.order.unwrap()).unwrap();
    assert_eq!((order.state, &order.reason), (OrderState::Done, &None));
    first.place.go_on();
    assert_eq!(carrying.await.unwrap().unwrap(), order);
}

#[tokio::test]
async fn who_goes_away_from_an_order_leaves_it_to_the_next_at_once() {
    let shared = Shared::new();
    for _ in 0..30 {
        shared.deposit("a").await;
    }
    let (first, second) = (shared.process("first"), shared.process("second"));
    first.engine.order_view(VIEW, &request(ViewTask::Rebuild)).await.unwrap();
    first.place.pause_at(Call::Apply);
    let engine = first.engine.clone();
    let carrying = tokio::spawn(async move { engine.carry_out_order(VIEW, |_| {}).await });
    shared.until(async || first.place.is_paused()).await;
    assert!(!shared.is_free("rebuild:balances").await);
    carrying.abort();
    assert!(carrying.await.unwrap_err().is_cancelled());
    first.place.go_on();
    shared.until(async || shared.is_free("rebuild:balances").await).await;
    let order = second.engine.carry_out_order(VIEW, |_| {}).await.unwrap();
    assert_eq!((order.state, order.generation), (OrderState::Done, Some(2)));
}

/// A table that a person has altered.
struct Altered(MemoryReadModels, Arc<AtomicBool>);

#[async_trait]
impl ReadModelsLayer for Altered {
    type Below = MemoryReadModels;

    fn below(&self) -> MemoryReadModels {
        self.0.clone()
    }

    async fn alterations(&self, table: &ViewTable) -> Result<Vec<String>, Error> {
        let is_altered = self.1.load(Ordering::SeqCst) && table.generation == 1;
        Ok(if is_altered { vec!["index \"x\" is missing".to_owned()] } else { Vec::new() })
    }
}

#[tokio::test]
async fn a_table_altered_by_hand_is_named_at_start_and_mended_by_a_rebuild() {
    for undone in [true, false] {
        let (log, read_models, _) = folded(&["a"], 3).await;
        let is_altered = Arc::new(AtomicBool::new(true));
        let engine = process(&log, Over(Altered(read_models.clone(), is_altered.clone())), registry());
        let views = engine.start_views();
        let state = crate::views::stopped(&engine).await;
        let error = state.error.unwrap();
        assert!(error.contains("altered by hand: index \"x\" is missing"), "{error}");
        assert!(error.contains("`bank view rebuild balances`"), "{error}");
        let standing = engine.view_standings_now().await.unwrap().views.remove(0);
        assert_eq!(standing.status, FollowerStatus::Failed);
        assert!(standing.problem.unwrap().contains("index \"x\" is missing"));
        // A comparison says so too.
        let verified = carried_out(&engine, ViewTask::Verify).await.unwrap().verified.unwrap();
        assert!(verified.differs() && verified.alterations == ["index \"x\" is missing"], "{verified:?}");
        if undone {
            is_altered.store(false, Ordering::SeqCst);
        } else {
            carried_out(&engine, ViewTask::Rebuild).await.unwrap();
        }
        log.commit(&tenant(), deposited("a", 1)).await.unwrap();
        engine.wait_for_view(VIEW, Position::from_number(4), LONG).await.ok();
        let caught_up = async {
            while rows(&engine).await != [row("a", 4, 4)] {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, caught_up).await.unwrap();
        views.stop().await;
    }
}
