use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use underlay_core::adapter::Adapter;
use underlay_core::options::Configurable;
use underlay_core::{
    Aggregate, BusSubscription, Draw, Entity as _, Error, Event, Handler, Mail, Operation, Persistent,
    Process, Recorded, Scheduler, Sink, SnapshotState, Subscriber, View,
};
use underlay_runtime::{Engine, EngineConfig, Registry};
use underlay_server::{Credentials, Example, LinkPage, LogReaders, ServerConfig};

use crate::cli::{self, CliCommand};
use crate::config::{OwnOptions, Settings};
use crate::links::LinkSettings;
use crate::mail::MailSettings;
use crate::retention::Kept;
use crate::{Adapters, Exit, Links, Store, links, mail, scheduler};

/// A whole service: its domain by name, and the program around it.
///
/// What can be set of it is set by flags, by variables such as `BANK_LISTEN`, in `.env` or in `bank.toml`, in
/// this order of precedence; `bank config` prints every option. What the methods here set holds where none of
/// these says anything else.
///
/// ```no_run
/// # use underlay::{Exit, Service};
/// fn main() -> Exit {
///     Service::new("bank").main()
/// }
/// ```
#[derive(Clone)]
pub struct Service {
    pub(crate) name: String,
    pub(crate) commands: Vec<Arc<dyn CliCommand>>,
    pub(crate) adapters: Adapters,
    /// Addresses of stores of rows, by the names that views have for them.
    pub(crate) rows: BTreeMap<String, String>,
    /// What holds where the configuration says nothing else.
    pub(crate) settings: Settings,
    pub(crate) credentials: Option<Arc<dyn Credentials>>,
    pub(crate) log_readers: Option<LogReaders>,
    /// Where mail goes to, once the options are read.
    mail: Option<Arc<dyn Mail>>,
    /// Who makes links, once the options are read.
    pub(crate) links: Option<Links>,
    pub(crate) link_pages: Vec<Arc<dyn LinkPage>>,
    /// What becomes of a job on Temporal.
    #[cfg(feature = "temporal")]
    pub(crate) temporal_router: underlay_temporal::Router,
    registry: Registry,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// A service without a domain. `name` is the program's, its database file's, and in messages.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let engine =
            EngineConfig { program: name.clone(), process: process_name(), ..EngineConfig::default() };
        Self {
            commands: Vec::new(),
            adapters: Adapters::default(),
            rows: BTreeMap::new(),
            settings: Settings::new(&name, engine),
            credentials: None,
            log_readers: None,
            mail: None,
            links: None,
            link_pages: Vec::new(),
            #[cfg(feature = "temporal")]
            temporal_router: underlay_temporal::Router::default(),
            registry: Registry::default(),
            name,
        }
    }

    /// Adds an aggregate.
    #[must_use]
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        self.registry = self.registry.aggregate::<A>();
        self
    }

    /// Stores the states of an aggregate every so many events, so that a long stream loads by its tail.
    #[must_use]
    pub fn snapshots<A: SnapshotState>(mut self) -> Self {
        self.registry = self.registry.snapshots::<A>();
        self
    }

    /// What the service is made of.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Adds an operation.
    #[must_use]
    pub fn operation<O: Operation>(mut self) -> Self {
        self.registry = self.registry.operation::<O>();
        self
    }

    /// Adds a view. Where its rows are kept is for the configuration to say, in the section `views`, unless the view names a
    /// store; without, it is the store of the service.
    #[must_use]
    pub fn view<V: View>(mut self, view: V) -> Self {
        self.registry = self.registry.view(view);
        self.settings.views.has_views = true;
        self
    }

    /// Adds an entity, or a type of the domain that is kept as one. Where it is kept is for the configuration to say, in the
    /// section `entities`; without, it is the store of the service.
    #[must_use]
    pub fn entity<T: Persistent>(mut self) -> Self {
        self.registry = self.registry.entity::<T>();
        self.settings.entities.add(T::Stored::NAME);
        self
    }

    /// The same, and keeps copies of them in the cache for so long, where the section `entities.cache` of the configuration says
    /// nothing else: one that a repository reads by its id may be so old where another process has changed it.
    #[must_use]
    pub fn entity_cached<T: Persistent>(self, ttl: Duration) -> Self {
        let mut service = self.entity::<T>();
        service.settings.entities.times.add(T::Stored::NAME, Some(ttl));
        service
    }

    /// Takes away from the cache what an event makes stale: all values of its tenant that have one of these tags. Every process
    /// does so soon after the commit, whichever process made it.
    #[must_use]
    pub fn cache_invalidated_by<E: Event>(
        mut self,
        tags: impl Fn(&Recorded<E>) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        self.registry = self.registry.cache_invalidated_by::<E>(tags);
        self
    }

    /// Adds a process.
    #[must_use]
    pub fn process<P: Process>(mut self, process: P) -> Self {
        self.registry = self.registry.process(process);
        self
    }

    /// Adds a handler: it does what messages ask for.
    #[must_use]
    pub fn handler<H: Handler>(mut self, handler: H) -> Self {
        self.registry = self.registry.handler(handler);
        self
    }

    /// Adds a pump: it brings the log to a sink, from where it last was, in one process at a time. Its name is
    /// stored with its place.
    #[must_use]
    pub fn pump(mut self, name: &'static str, sink: impl Sink) -> Self {
        self.registry = self.registry.pump(name, sink);
        self
    }

    /// Adds a subscriber of the event bus. Every process has it, and gives it what is committed from its start on,
    /// by whatever process.
    #[must_use]
    pub fn subscriber(mut self, wanted: BusSubscription, subscriber: impl Subscriber) -> Self {
        self.registry = self.registry.subscriber(wanted, subscriber);
        self
    }

    /// Draws messages and commands from events, before the commit that stores both.
    #[must_use]
    pub fn draw<D: Draw>(mut self, draw: D) -> Self {
        self.registry = self.registry.draw(draw);
        self
    }

    /// Adds options of the service's own: they are set as all others are, in a section of this name. Once they are
    /// read, `add` gives the service what they make of it: a handler with an address, say. It is called before a
    /// store is opened, by every command, so it does not connect anywhere. [`Service::open`] takes the defaults.
    #[must_use]
    pub fn options<C: Configurable + Send + Sync>(
        mut self,
        section: &'static str,
        defaults: C,
        add: impl Fn(Self, C) -> Result<Self, Error> + Send + Sync + 'static,
    ) -> Self {
        self.settings.own.push(OwnOptions::new(section, defaults, add));
        self
    }

    /// Gives the service the options of mail, in the section `mail`: where it goes to, such as `folder:bank.mail`, and
    /// who sends it, such as `The Bank <bank@example.com>`, where the configuration says nothing else. What sends mail
    /// gets it by [`Service::mail`].
    #[must_use]
    pub fn sends_mail(self, address: impl Into<String>, from: &str) -> Self {
        let defaults = MailSettings::new(address.into(), from);
        self.options(mail::SECTION, defaults, |mut service, settings| {
            service.mail = Some(settings.open()?);
            Ok(service)
        })
    }

    /// Where mail goes to: for what [`Service::options`] adds after [`Service::sends_mail`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where the service does not send mail, or its options were not read yet.
    pub fn mail(&self) -> Result<Arc<dyn Mail>, Error> {
        self.mail.clone().ok_or_else(|| {
            Error::invalid(
                "this service has no mail: `sends_mail` gives it mail, before the options that use it",
            )
        })
    }

    /// Gives the service the options of links, in the section `links`: where people reach it, and the key that links
    /// are signed with. What makes links gets them by [`Service::links`], and [`Service::link_page`] adds what they
    /// lead to.
    #[must_use]
    pub fn signs_links(self) -> Self {
        self.options(links::SECTION, LinkSettings::default(), |mut service, settings| {
            service.links = Some(Links::configured(settings, &service.settings.database));
            Ok(service)
        })
    }

    /// Who makes links: for what [`Service::options`] adds after [`Service::signs_links`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where the service signs no links, or its options were not read yet.
    pub fn links(&self) -> Result<Links, Error> {
        self.links.clone().ok_or_else(|| {
            Error::invalid(
                "this service has no links: `signs_links` gives it links, before the options that use them",
            )
        })
    }

    /// Sets who drives what commits send on, where the configuration says nothing else: `embedded`, which is the service
    /// itself and holds when nothing is set, or with the feature `temporal` a server such as
    /// `temporal://127.0.0.1:7233/default`.
    #[must_use]
    pub fn scheduler(mut self, address: impl Into<String>) -> Self {
        self.settings.scheduler.address = address.into();
        self
    }

    /// Sets which workflows, task queues and times jobs get on Temporal, by category and by tenant.
    #[cfg(feature = "temporal")]
    #[must_use]
    pub fn temporal_router(mut self, router: underlay_temporal::Router) -> Self {
        self.temporal_router = router;
        self
    }

    /// Adds a page that links lead to. Whoever has a link opens it, without credentials.
    #[must_use]
    pub fn link_page(mut self, page: impl LinkPage) -> Self {
        self.link_pages.push(Arc::new(page));
        self
    }

    /// Adds a command to the command line.
    #[must_use]
    pub fn command(mut self, command: impl CliCommand) -> Self {
        self.commands.push(Arc::new(command));
        self
    }

    /// Says what the service is for, in a sentence.
    #[must_use]
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.settings.server.about = Some(about.into());
        self
    }

    /// Adds a request for the console to show; `serve` suggests the first one. `target` is what
    /// follows `/v1/`, as an address has it; `body` is JSON.
    #[must_use]
    pub fn example(mut self, target: impl Into<String>, body: impl Into<String>) -> Self {
        self.settings.server.examples.push(Example { target: target.into(), body: body.into() });
        self
    }

    /// Sets how a request says who asks, and for which tenant. Without, `serve` takes a file of tokens or
    /// the issuer of signed ones from the command line, and where that names none lets everybody in as one
    /// tenant, on this machine only.
    #[must_use]
    pub fn credentials(mut self, credentials: impl Credentials) -> Self {
        self.credentials = Some(Arc::new(credentials));
        self
    }

    /// Sets who may read the log and its streams as they are stored. Without, that is the role
    /// `log-reader` where there are credentials, and everybody where there are none.
    #[must_use]
    pub fn log_readers(mut self, readers: LogReaders) -> Self {
        self.log_readers = Some(readers);
        self
    }

    /// How this service is served, for [`underlay_server::router`] inside a program of one's own: its
    /// name, examples, bounds and credentials. Without credentials nobody is let in; see
    /// [`ServerConfig::open_to`].
    #[must_use]
    pub fn server(&self) -> ServerConfig {
        let mut config = self.settings.server.clone();
        if let Some(credentials) = &self.credentials {
            config = config.with_shared_credentials(credentials.clone());
        }
        if let Some(readers) = &self.log_readers {
            config.log_readers = readers.clone();
        }
        self.with_links(config)
    }

    /// The same with the pages that links lead to, where the options were read. The name that people reach the service
    /// by is one that requests may be for.
    pub(crate) fn with_links(&self, mut config: ServerConfig) -> ServerConfig {
        let Some(links) = &self.links else { return config };
        if let Some(host) = links.public_host() {
            config = config.with_host_allowed(host);
        }
        config.with_links(Arc::new(links.clone()), self.link_pages.clone())
    }

    /// Sets how long `serve` keeps the message and fields of a refusal for repeats; 30 days when not
    /// set. Its id and code are kept for longer.
    #[must_use]
    pub fn outcome_bodies_kept(mut self, kept: Duration) -> Self {
        self.settings.kept.bodies = kept;
        self
    }

    /// Sets how long `serve` keeps a command without events at all: a refusal, or one that found nothing
    /// to do; a year when not set, and never less than a day. A repeat that comes later is decided anew.
    /// Commands that led to events are kept for ever.
    #[must_use]
    pub fn empty_commits_kept(mut self, kept: Duration) -> Self {
        self.settings.kept.empty_commits = kept.max(Kept::EMPTY_COMMITS_MIN);
        self
    }

    /// Changes the bounds of the engine, where the configuration says nothing else.
    #[must_use]
    pub fn engine_config(mut self, change: impl FnOnce(EngineConfig) -> EngineConfig) -> Self {
        self.settings.engine = change(self.settings.engine);
        self
    }

    /// Changes the bounds of the HTTP API, where the configuration says nothing else. Credentials and readers
    /// of the log that are set so are those of the service.
    #[must_use]
    pub fn server_config(mut self, change: impl FnOnce(ServerConfig) -> ServerConfig) -> Self {
        let before = self.settings.server.clone();
        let after = change(self.settings.server);
        // Without credentials `serve` lets everybody in, so none that were set may be lost.
        if !after.is_open() && !Arc::ptr_eq(&before.credentials, &after.credentials) {
            self.credentials = Some(after.credentials.clone());
        }
        if !after.is_open() && before.log_readers != after.log_readers {
            self.log_readers = Some(after.log_readers.clone());
        }
        self.settings.server = after;
        self
    }

    /// Adds a kind of store that `--database` can name, or takes the place of one that is built in.
    #[must_use]
    pub fn adapter(mut self, adapter: impl Adapter) -> Self {
        self.adapters = self.adapters.with(adapter);
        self
    }

    /// Names a store for the rows of the views that ask for it by this name; see
    /// [`View::STORE`](underlay_core::View::STORE). Its address is of a kind that `--database` can name. A program
    /// of one's own gives it to the store instead, by [`Store::with_rows`].
    #[must_use]
    pub fn rows(mut self, name: impl Into<String>, address: impl Into<String>) -> Self {
        self.rows.insert(name.into(), address.into());
        self
    }

    /// An engine over an open store, for a program of one's own. Nothing runs yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a name is used twice, a view is not well formed or an option does not fit, or
    /// where the store keeps no rows for views, or no entities where there are some.
    pub fn open(&self, store: &Store) -> Result<Engine, Error> {
        let service = self.configured(&self.settings)?;
        service.open_as(store, self.settings.engine.clone(), service.open_scheduler(&self.settings)?)
    }

    /// The scheduler that the configuration names; none where the service drives its work itself.
    pub(crate) fn open_scheduler(&self, settings: &Settings) -> Result<Option<Arc<dyn Scheduler>>, Error> {
        scheduler::open(self, settings)
    }

    /// The service with everything that its own options make of it.
    pub(crate) fn configured(&self, settings: &Settings) -> Result<Self, Error> {
        let service = Self { settings: settings.clone(), ..self.clone() };
        settings.own.iter().try_fold(service, |service, own| own.add_to(service))
    }

    /// The same, as configured.
    pub(crate) fn open_as(
        &self,
        store: &Store,
        config: EngineConfig,
        scheduler: Option<Arc<dyn Scheduler>>,
    ) -> Result<Engine, Error> {
        let mut ports = store.ports()?;
        if let Some(work) = &mut ports.work {
            work.scheduler = scheduler;
        }
        let mut stores = store.stores();
        let there = self.registry.entities();
        for (entity, ttl) in self.settings.entities.times.times() {
            if there.iter().any(|schema| schema.name == entity) {
                stores.entities = stores.entities.cached(entity, ttl);
            }
        }
        Engine::with_stores(ports, stores, self.registry.clone(), config)
    }

    /// The same without what needs a store of entities.
    pub(crate) fn without_entities(mut self) -> Self {
        self.registry = self.registry.without_entities();
        self
    }

    /// The program: reads the command line, does what it says, and says how it ended.
    #[must_use = "return it from `fn main() -> Exit`: it is the exit code of the program"]
    pub fn main(self) -> Exit {
        self.main_with(std::env::args_os())
    }

    /// The same with other arguments than those of the process: the name of the program, then what follows it. It starts
    /// a runtime of its own, so it is called outside of one.
    #[must_use = "it is the exit code of the program"]
    pub fn main_with<A: Into<OsString>>(self, arguments: impl IntoIterator<Item = A>) -> Exit {
        cli::main(&self, arguments.into_iter().map(Into::into))
    }
}

/// Names this process to people: its machine and its number.
fn process_name() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let machine =
        told.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    // Well below the limit of a name in a lease.
    let machine: String = machine.unwrap_or_default().trim().chars().take(48).collect();
    let number = std::process::id();
    if machine.is_empty() { number.to_string() } else { format!("{machine}/{number}") }
}

#[cfg(test)]
mod tests {
    use underlay_core::TenantId;
    use underlay_server::OneTenant;

    use super::*;

    #[test]
    fn credentials_and_log_readers_of_the_server_are_those_of_the_service() {
        let tenant = || TenantId::new("acme").unwrap();
        let bounded = Service::new("bank").server_config(|mut config| {
            config.requests_max = 7;
            config
        });
        assert!(bounded.credentials.is_none() && bounded.log_readers.is_none());
        let asking = Service::new("bank").server_config(|config| {
            config.with_credentials(OneTenant::new(tenant())).with_log_readers(LogReaders::Everybody)
        });
        assert!(asking.credentials.is_some(), "`serve` would let everybody in");
        assert_eq!(asking.log_readers, Some(LogReaders::Everybody));
        // Open, it stays so on this machine only: `serve` says for whom.
        let open = Service::new("bank").server_config(|config| config.open_to(tenant()));
        assert!(open.credentials.is_none() && open.log_readers.is_none());
    }
}
