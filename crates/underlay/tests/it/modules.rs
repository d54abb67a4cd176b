//! The table of adapters: each can be replaced, says what can be set of it, and is closed with the others.

use std::path::Path;
use std::sync::{Arc, Mutex};

use underlay::adapter::{Adapter, Backend, Close, Migrations, OptionValues};
use underlay::memory::MemoryAdapter;
use underlay::words::options::{OptionKind, Options};
use underlay::{
    Adapters, App, CliCommand, EntityVersion, Error, Exit, ExitError, Repository, Request, Service, Store,
    clap,
};

use crate::composition::{Account, ArchivedBalances, Balances, Documents, Order};

/// What was opened and closed, in order.
type Happened = Arc<Mutex<Vec<String>>>;

/// A store in memory in the place of another.
struct Replaced {
    name: &'static str,
    schemes: &'static [&'static str],
    example: &'static str,
    inner: MemoryAdapter,
    happened: Happened,
}

impl Replaced {
    fn of(adapter: &dyn Adapter, happened: &Happened) -> Self {
        Self {
            name: adapter.name(),
            schemes: adapter.schemes(),
            example: adapter.example(),
            inner: MemoryAdapter::default(),
            happened: happened.clone(),
        }
    }
}

/// Notes that it was closed, and fails where it is to.
struct Closing {
    address: String,
    happened: Happened,
    fails: bool,
}

#[underlay::async_trait]
impl Close for Closing {
    async fn close(&self) -> Result<(), Error> {
        self.happened.lock().unwrap().push(format!("closed {}", self.address));
        if self.fails { Err(Error::backend("closing", self.address.clone())) } else { Ok(()) }
    }
}

#[underlay::async_trait]
impl Adapter for Replaced {
    fn name(&self) -> &'static str {
        self.name
    }
    fn schemes(&self) -> &'static [&'static str] {
        self.schemes
    }
    fn example(&self) -> &'static str {
        self.example
    }
    fn options(&self) -> Box<dyn Options> {
        self.inner.options()
    }
    fn options_in(&self, address: &str) -> Result<OptionValues, Error> {
        self.inner.options_in(address)
    }
    fn shown(&self, address: &str) -> String {
        address.to_owned()
    }
    async fn open(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        self.happened.lock().unwrap().push(format!("opened {address}"));
        let (address, happened) = (address.to_owned(), self.happened.clone());
        Ok(self.inner.open("memory:", options).await?.closed_by(Closing { address, happened, fails: false }))
    }
    async fn open_existing(&self, address: &str, options: &OptionValues) -> Result<Backend, Error> {
        self.open(address, options).await
    }
    fn migrations(&self) -> Option<&dyn Migrations> {
        None
    }
}

#[underlay::entity(name = "note", version = 1)]
struct Note {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    text: String,
}

/// Uses the log, the rows and the entities of the service.
struct UseAll;

#[underlay::async_trait]
impl CliCommand for UseAll {
    fn command(&self) -> clap::Command {
        clap::Command::new("use-all")
    }
    fn makes_store(&self) -> bool {
        true
    }
    async fn run(&self, app: &App, _: &clap::ArgMatches) -> Result<(), ExitError> {
        let (engine, request) = (&app.engine, Request::new(app.tenant.clone()));
        let views = engine.start_views();
        engine.execute::<Account>(&request, &"cash".to_owned(), Order::Move { cents: 5 }).await.unwrap();
        let notes: Repository<Note> = engine.repository(&request)?;
        let note = Note { id: "a".to_owned(), version: EntityVersion::NEW, text: "first".to_owned() };
        notes.create(note).await?;
        assert_eq!(notes.get("a".to_owned()).await?.text, "first");
        let head = app.store.head().await?;
        for view in ["balances", "archived_balances"] {
            engine.wait_for_view(view, head, std::time::Duration::from_secs(60)).await?;
            let page = engine.query(&app.tenant, view, &underlay::Query::default()).await?.page;
            assert_eq!(page.rows.len(), 1, "{view}");
        }
        views.stop().await;
        Ok(())
    }
}

/// The address of a kind, by its first scheme.
fn address_of(adapter: &dyn Adapter, place: &str) -> String {
    format!("{}://{place}", adapter.schemes()[0])
}

#[test]
fn a_service_uses_what_was_put_in_the_place_of_each_kind() {
    let built_in = Adapters::default();
    let kinds: Vec<&dyn Adapter> = built_in.iter().collect();
    for (at, kind) in kinds.iter().enumerate() {
        let happened = Happened::default();
        let (log, rows) = (address_of(*kind, "log"), address_of(kinds[(at + 1) % kinds.len()], "rows"));
        let entities = address_of(kinds[(at + 2) % kinds.len()], "entities");
        let service = Service::new("bank").aggregate::<Account>().view(Balances).view(ArchivedBalances);
        let service = service.entity::<Note>().rows("documents", &rows).command(UseAll);
        let service =
            kinds.iter().fold(service, |service, kind| service.adapter(Replaced::of(*kind, &happened)));
        let arguments = ["bank", "--database", &log, "--entities-store", &entities, "use-all"];
        assert_eq!(service.main_with(arguments), Exit::Done, "{log}");
        assert_eq!(
            *happened.lock().unwrap(),
            [
                format!("opened {log}"),
                format!("opened {rows}"),
                format!("opened {entities}"),
                format!("closed {rows}"),
                format!("closed {entities}"),
                format!("closed {log}"),
            ]
        );
    }
}

#[tokio::test]
async fn every_store_is_closed_in_order_whatever_one_of_them_says() {
    let happened = Happened::default();
    let backend = async |name: &str, fails: bool| {
        let opened = MemoryAdapter::default().open("memory:", &OptionValues::new()).await.unwrap();
        opened.closed_by(Closing { address: name.to_owned(), happened: happened.clone(), fails })
    };
    let store = Store::of(backend("log", true).await.with_rows_of(backend("rows of the log", false).await));
    let store = store.unwrap().with_rows("documents", backend("documents", true).await).unwrap();
    let store = store.with_entities("notes", &["note"], backend("notes", false).await).unwrap();
    let store = store.with_entities("rest", &[], backend("rest", true).await).unwrap();
    let told = store.close().await.unwrap_err().to_string();
    assert!(told.contains("documents"), "the first that failed: {told}");
    let closed =
        ["documents", "notes", "rest", "rows of the log", "log"].map(|name| format!("closed {name}"));
    assert_eq!(*happened.lock().unwrap(), closed);
}

#[test]
fn a_store_of_rows_is_opened_with_the_options_of_its_section() {
    let documents = Documents::default();
    let service = Service::new("bank").aggregate::<Account>().view(ArchivedBalances);
    let service = service.adapter(documents.clone()).rows("documents", "docs:a");
    let arguments = ["bank", "--database", "memory:", "--documents-shelves-max", "3", "view", "status"];
    assert_eq!(service.main_with(arguments), Exit::Done);
    let options = OptionValues::from([("shelves_max".to_owned(), "3".to_owned())]);
    assert_eq!(*documents.opened.lock().unwrap(), [options]);
}

#[test]
fn an_unknown_kind_of_store_is_refused_wherever_it_is_named() {
    let exit = |service: Service, arguments: &[&str]| service.main_with([&["bank"], arguments].concat());
    let service = || Service::new("bank").entity::<Note>().command(UseAll);
    let unknown = "dokuments:a";
    assert_eq!(
        exit(service().rows("documents", unknown), &["--database", "memory:", "use-all"]),
        Exit::Invalid
    );
    assert_eq!(exit(service(), &["--database", unknown, "use-all"]), Exit::Invalid);
    let of_log = ["--database", "memory:"];
    for option in ["--entities-store", "--entities-of-note"] {
        assert_eq!(exit(service(), &[&of_log[..], &[option, unknown, "use-all"]].concat()), Exit::Invalid);
    }
}

#[tokio::test]
async fn what_can_be_set_of_a_kind_is_said_has_a_default_and_nothing_else_is_taken() {
    for adapter in Adapters::default().iter() {
        let (name, mut options) = (adapter.name(), adapter.options());
        let described = options.describe();
        for (at, spec) in described.iter().enumerate() {
            let of = format!("{name}.{}", spec.name);
            assert!(spec.meaning.starts_with(char::is_uppercase) && !spec.meaning.ends_with('.'), "{of}");
            assert!(!spec.value_name.is_empty(), "{of}");
            assert!(described[..at].iter().all(|earlier| earlier.name != spec.name), "{of} is there twice");
            match &spec.default {
                Some(default) => {
                    options.set(spec.name, default).unwrap_or_else(|wrong| panic!("{of}: {wrong}"))
                }
                None => {
                    assert!(matches!(spec.kind, OptionKind::Text | OptionKind::List), "{of} has no default")
                }
            }
            if matches!(
                spec.kind,
                OptionKind::Count | OptionKind::Bytes | OptionKind::Time | OptionKind::Flag
            ) {
                assert!(options.set(spec.name, "-1").is_err(), "{of} takes nonsense");
            }
        }
        assert_eq!(options.describe(), described, "what {name} says of itself is what it has");
        options.check_bounds().unwrap();
        let told = options.set("no_such_option", "1").unwrap_err();
        assert!(told.contains("no_such_option"), "{told}");
        let unknown = OptionValues::from([("no_such_option".to_owned(), "1".to_owned())]);
        let told = adapter.open(&address_of(adapter, "h/d"), &unknown).await.map(drop).unwrap_err();
        assert!(matches!(&told, Error::Invalid(told) if told.contains("no_such_option")), "{name}: {told}");
    }
    let adapters = Adapters::default();
    for address in ["postgres://h/d?underlay_wrong=1", "mongodb://h/d?underlay_wrong=1", "redis://h?wrong=1"]
    {
        // Not all are built in.
        let Ok(adapter) = adapters.of(address) else { continue };
        let told = adapter.options_in(address).unwrap_err().to_string();
        assert!(told.contains("wrong"), "{told}");
    }
}

/// The tables of options in these pages are the options there are.
#[test]
fn the_pages_of_adapters_name_every_option_with_its_default() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for adapter in Adapters::default().iter().filter(|adapter| ["mongodb", "redis"].contains(&adapter.name()))
    {
        let page = std::fs::read_to_string(docs.join(format!("{}.md", adapter.name()))).unwrap();
        for spec in adapter.options().describe() {
            let default = spec.default.map_or_else(String::new, |default| format!(" `{default}` |"));
            let row = format!("| `{}` |{default}", spec.name);
            assert!(page.contains(&row), "{} has no {row}", adapter.name());
        }
    }
}
