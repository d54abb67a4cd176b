//! Stores of other people: a kind of one's own, and a service whose log and rows are kept in two places.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use underlay::adapter::{Adapter, Backend, Close, Migrations, OptionValues};
use underlay::memory::{MemoryAdapter, MemoryReadModels};
use underlay::words::options::{ConfigOption, Configurable, Options, Place, set_all};
use underlay::{
    Adapters, Aggregate, Context, Decision, Error, Keys, RebuildFrom, Recorded, Request, Service, Store,
    TenantId, View,
};

/// A store of documents: it keeps rows and has no log.
#[derive(Clone, Default)]
pub(crate) struct Documents {
    config: DocumentsConfig,
    /// What it was opened with.
    pub(crate) opened: Arc<Mutex<Vec<OptionValues>>>,
    closed: Arc<AtomicUsize>,
}

#[derive(Clone, Default)]
struct DocumentsConfig {
    shelves_max: usize,
}

impl Configurable for DocumentsConfig {
    const OPTIONS: &'static [ConfigOption<Self>] =
        &[ConfigOption::<Self>::new("shelves_max", "Shelves of documents", |config| {
            Place::Count(&mut config.shelves_max)
        })
        .at_most(9)];
}

struct Closing(Arc<AtomicUsize>);

#[underlay::async_trait]
impl Close for Closing {
    async fn close(&self) -> Result<(), Error> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[underlay::async_trait]
impl Adapter for Documents {
    fn name(&self) -> &'static str {
        "documents"
    }
    fn schemes(&self) -> &'static [&'static str] {
        &["documents", "docs"]
    }
    fn example(&self) -> &'static str {
        "documents:SHELF"
    }
    fn options(&self) -> Box<dyn Options> {
        Box::new(self.config.clone())
    }
    fn options_in(&self, _: &str) -> Result<OptionValues, Error> {
        Ok(OptionValues::new())
    }
    fn shown(&self, address: &str) -> String {
        address.to_owned()
    }
    async fn open(&self, _: &str, options: &OptionValues) -> Result<Backend, Error> {
        set_all(&mut self.config.clone(), options)?;
        self.opened.lock().unwrap().push(options.clone());
        let rows = Backend { read_models: Some(Arc::new(MemoryReadModels::default())), ..Backend::default() };
        Ok(rows.closed_by(Closing(self.closed.clone())))
    }
    async fn open_existing(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        self.open(address, options).await
    }
    fn migrations(&self) -> Option<&dyn Migrations> {
        None
    }
}

#[underlay::event]
pub(crate) enum Change {
    #[event(name = "moved", version = 1)]
    Moved { cents: i64 },
}

#[underlay::command]
pub(crate) enum Order {
    #[command(name = "move")]
    Move { cents: i64 },
}

#[underlay::refusal(code = "never", message = "it is never refused")]
pub(crate) struct Never;

#[derive(Clone, Default)]
pub(crate) struct Account;

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Command = Order;
    type Event = Change;
    type Refusal = Never;
    fn decide(&self, Order::Move { cents }: Order, _: &Context) -> Result<Decision<Change>, Never> {
        Ok(vec![Change::Moved { cents }].into())
    }
    fn evolve(&mut self, _: &Change) {}
}

#[underlay::row]
pub(crate) struct Balance {
    cents: i64,
}

pub(crate) struct Balances;

impl View for Balances {
    const NAME: &'static str = "balances";
    type Event = Change;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<Change>, keys: &mut Keys<String>) {
        keys.push(event.stream().id().to_owned());
    }
    fn fold(&self, _: &String, row: Option<Balance>, event: &Recorded<Change>) -> Option<Balance> {
        let Change::Moved { cents } = event.event;
        Some(Balance { cents: row.map_or(0, |row| row.cents) + cents })
    }
}

fn service() -> Service {
    Service::new("bank").aggregate::<Account>().view(Balances)
}

#[tokio::test]
async fn a_log_and_rows_may_be_kept_in_two_places() {
    let documents = Documents::default();
    let adapters = Adapters::default().with(documents.clone());
    let none = OptionValues::new();
    let rows = adapters.open("docs:a", &none).await.unwrap();
    let read_models = rows.read_models.clone().unwrap();
    // A log that neither wakes nor keeps rows or states.
    let log = adapters.open("memory:", &none).await.unwrap();
    let log = Backend { read_models: None, wakeups: None, snapshots: None, clock: None, ..log };

    let alone = Store::of(log.clone()).unwrap();
    let told = service().open(&alone).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("no rows for views"), "{told}");
    assert_eq!(alone.head().await.unwrap(), underlay::Position::START, "the log is of use without them");

    let store = Store::of(log.with_rows_of(rows)).unwrap();
    let engine = service().open(&store).unwrap();
    let views = engine.start_views();
    let tenant = TenantId::new("acme").unwrap();
    for cents in [5, 7] {
        let request = Request::new(tenant.clone());
        engine.execute::<Account>(&request, &"cash".to_owned(), Order::Move { cents }).await.unwrap();
    }
    let head = store.head().await.unwrap();
    engine.wait_for_view(Balances::NAME, head, Duration::from_secs(60)).await.unwrap();
    let page = engine.query(&tenant, Balances::NAME, &underlay::Query::default()).await.unwrap().page;
    assert_eq!(page.rows.len(), 1);
    views.stop().await;
    let stored = read_models.views().await.unwrap();
    assert_eq!(stored[0].active.checkpoint.position, head, "the rows are those of the other backend");
    store.close().await.unwrap();
    assert_eq!(documents.closed.load(Ordering::SeqCst), 1);
}

/// The same rows, in a store of their own.
pub(crate) struct ArchivedBalances;

impl View for ArchivedBalances {
    const NAME: &'static str = "archived_balances";
    const STORE: Option<&'static str> = Some("documents");
    type Event = Change;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<Change>, keys: &mut Keys<String>) {
        Balances.route(event, keys);
    }
    fn fold(&self, key: &String, row: Option<Balance>, event: &Recorded<Change>) -> Option<Balance> {
        Balances.fold(key, row, event)
    }
}

#[tokio::test]
async fn each_view_can_name_its_store() {
    let service = service().view(ArchivedBalances);
    let documents = Documents::default();
    let adapters = Adapters::default().with(documents.clone());
    let none = OptionValues::new();
    let rows = adapters.open("docs:a", &none).await.unwrap();
    let elsewhere = rows.read_models.clone().unwrap();
    let store = Store::open_with(&adapters, "memory:").await.unwrap();
    let told = service.open(&store).map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("archived_balances keeps its rows in the store \"documents\""), "{told}");

    let log = adapters.open("memory:", &none).await.unwrap();
    let told = store.clone().with_rows("documents", Backend { read_models: None, ..log }).unwrap_err();
    assert!(told.to_string().contains("keeps no rows"), "{told}");
    let store = store.with_rows("documents", rows).unwrap();
    let engine = service.open(&store).unwrap();
    let views = engine.start_views();
    let tenant = TenantId::new("acme").unwrap();
    let request = Request::new(tenant.clone());
    engine.execute::<Account>(&request, &"cash".to_owned(), Order::Move { cents: 5 }).await.unwrap();
    let head = store.head().await.unwrap();
    for view in [Balances::NAME, ArchivedBalances::NAME] {
        engine.wait_for_view(view, head, Duration::from_secs(60)).await.unwrap();
        let page = engine.query(&tenant, view, &underlay::Query::default()).await.unwrap().page;
        assert_eq!(page.rows.len(), 1, "{view}");
    }
    let standings = engine.view_standings_now().await.unwrap();
    assert_eq!(standings.views.len(), 2, "one look over all stores");
    engine.rebuild_view(ArchivedBalances::NAME, RebuildFrom::default(), |_| {}).await.unwrap();
    views.stop().await;
    let names = |infos: Vec<underlay::ports::ViewInfo>| -> Vec<String> {
        infos.into_iter().map(|info| info.name).collect()
    };
    assert_eq!(names(elsewhere.views().await.unwrap()), [ArchivedBalances::NAME]);
    let here = store.ports().unwrap().read_models;
    assert_eq!(names(here.views().await.unwrap()), [Balances::NAME]);
    store.close().await.unwrap();
    assert_eq!(documents.closed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn rows_alone_are_no_store() {
    let adapters = Adapters::default().with(Documents::default());
    let told = Store::open_with(&adapters, "documents:a").await.unwrap_err().to_string();
    assert!(told.contains("keeps no log"), "{told}");
    let told = Store::open("documents:a").await.unwrap_err().to_string();
    assert!(told.contains("no store of the kind \"documents\"") && told.contains("memory:"), "{told}");
    let told = Store::open_with(&adapters, "dokuments:a").await.unwrap_err().to_string();
    assert!(told.contains("did you mean documents?") && told.contains("documents:SHELF"), "{told}");
}

#[tokio::test]
async fn options_of_a_kind_of_ones_own_are_checked() {
    let adapters = Adapters::default().with(Documents::default());
    let options = |shelves: &str| OptionValues::from([("shelves_max".to_owned(), shelves.to_owned())]);
    assert!(adapters.open("documents:a", &options("9")).await.is_ok());
    let told = adapters.open("documents:a", &options("10")).await.map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("shelves_max: 10 is too much: at most 9"), "{told}");
    let told = adapters.open("memory:", &options("1")).await.map(|_| ()).unwrap_err().to_string();
    assert!(told.contains("there is no option shelves_max"), "{told}");
}

#[tokio::test]
async fn the_adapter_of_a_program_is_opened_in_the_place_of_one_of_its_name() {
    let clock = Arc::new(underlay::ports::ManualClock::new(underlay::Timestamp::UNIX_EPOCH));
    let adapters = Adapters::default().with(MemoryAdapter::default().with_clock(clock.clone()));
    let store = Store::open_with(&adapters, "memory:").await.unwrap();
    assert_eq!(store.ports().unwrap().clock.now(), underlay::Timestamp::UNIX_EPOCH);
}
