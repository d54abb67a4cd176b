use underlay_core::limits::LEASE_SECONDS_MAX;
use underlay_core::options::{ConfigOption, Configurable, Options, Place, TextValue};
use underlay_core::{Error, TenantId};
use underlay_runtime::EngineConfig;
use underlay_server::{ServeLimits, ServerConfig, check_host_name, check_origin};

use super::OwnOptions;
use super::credentials::CredentialsConfig;
use super::tls::TlsConfig;
use crate::cache::{self, CacheSettings};
use crate::entities::{self, EntitySettings};
use crate::retention::Kept;
use crate::scheduler::SchedulerSettings;
use crate::telemetry::TelemetryConfig;
use crate::views::{self, ViewAddress};

/// The key of the address of the store.
pub(super) const DATABASE: &str = "database";

/// Where `serve` listens when nothing else is said: this machine only.
const LISTEN_DEFAULT: &str = "127.0.0.1:7070";
/// The tenant when nothing else is said.
const TENANT_DEFAULT: &str = "main";

/// Everything that can be set of a service, except what belongs to its store.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The address of the store.
    pub(crate) database: String,
    /// Whose data commands of the command line are about; whose service it is, where it is one tenant's.
    pub(crate) tenant: String,
    /// Where `serve` listens.
    pub(crate) listen: String,
    /// How the log is written.
    pub(crate) log_format: LogFormat,
    /// The HTTP API.
    pub(crate) server: ServerConfig,
    /// The connections of the HTTP API.
    pub(crate) serving: ServeLimits,
    /// Who may come in.
    pub(crate) credentials: CredentialsConfig,
    /// How connections are opened.
    pub(crate) tls: TlsConfig,
    /// Who has work done.
    pub(crate) scheduler: SchedulerSettings,
    /// The engine.
    pub(crate) engine: EngineConfig,
    /// What the service tells of its work.
    pub(crate) telemetry: TelemetryConfig,
    /// What is forgotten, and when.
    pub(crate) kept: Kept,
    /// Where entities are kept.
    pub(crate) entities: EntitySettings,
    /// What stands behind the caches of the processes.
    pub(crate) cache: CacheSettings,
    /// Where the rows of views are kept.
    pub(crate) views: ViewAddress,
    /// What the service has of its own.
    pub(crate) own: Vec<OwnOptions>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: a JSON object on each line.
    Json,
}

impl TextValue for LogFormat {
    fn text(&self) -> Option<String> {
        Some(match self {
            Self::Text => "text".to_owned(),
            Self::Json => "json".to_owned(),
        })
    }

    fn set_text(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "text" => Self::Text,
            "json" => Self::Json,
            other => return Err(format!("{other:?} is neither text nor json")),
        };
        Ok(())
    }
}

/// One struct of the settings.
type Part = fn(&mut Settings) -> &mut dyn Options;

/// Every struct whose options can be set, with the section they stand in. The first has none.
const PARTS: &[(&str, Part)] = &[
    ("", |settings| settings),
    ("", |settings| &mut settings.credentials),
    ("", |settings| &mut settings.tls),
    ("", |settings| &mut settings.scheduler),
    ("server", |settings| &mut settings.server),
    ("server", |settings| &mut settings.serving),
    ("engine", |settings| &mut settings.engine),
    ("retention", |settings| &mut settings.kept),
    ("telemetry", |settings| &mut settings.telemetry),
    (entities::SECTION, |settings| &mut settings.entities.rest),
    (entities::SECTION_OF, |settings| &mut settings.entities.of),
    (cache::SECTION_OF_ENTITIES, |settings| &mut settings.entities.times),
    (cache::SECTION, |settings| &mut settings.cache),
    (cache::SECTION, |settings| &mut settings.engine.cache),
    (views::SECTION, |settings| &mut settings.views),
];

impl Settings {
    /// The defaults of a service.
    pub(crate) fn new(service: &str, engine: EngineConfig) -> Self {
        Self {
            database: format!("sqlite:{service}.db"),
            tenant: TENANT_DEFAULT.to_owned(),
            listen: LISTEN_DEFAULT.to_owned(),
            log_format: LogFormat::default(),
            server: ServerConfig::new(service),
            serving: ServeLimits::default(),
            credentials: CredentialsConfig::default(),
            tls: TlsConfig::default(),
            scheduler: SchedulerSettings::default(),
            engine,
            kept: Kept::default(),
            entities: EntitySettings::default(),
            cache: CacheSettings::default(),
            views: ViewAddress::default(),
            telemetry: TelemetryConfig::default(),
            own: Vec::new(),
        }
    }
}

impl Settings {
    /// Every store beside that of the service, with the key that sets it.
    pub(crate) fn other_addresses(&self) -> impl Iterator<Item = (String, &str)> {
        self.entities.addresses().chain(self.views.addresses()).chain(self.cache.address())
    }

    /// Looks at every struct whose options can be set, with its section: those of every service, then its own.
    pub(super) fn each_part(&mut self, mut look: impl FnMut(&'static str, &mut dyn Options)) {
        for (section, part) in PARTS {
            look(section, part(self));
        }
        for own in &mut self.own {
            look(own.section, own.options());
        }
    }

    /// The tenant, which was checked when it was read.
    pub(crate) fn tenant(&self) -> Result<TenantId, Error> {
        TenantId::new(&self.tenant)
    }
}

impl Configurable for Settings {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(DATABASE, "The address of the store", |settings| {
            Place::Text(&mut settings.database)
        })
        .called("ADDRESS"),
        ConfigOption::<Self>::new("tenant", "Whose data", |settings| Place::Text(&mut settings.tenant))
            .called("TENANT")
            .checked(|text| TenantId::new(text).map(drop).map_err(|error| error.to_string())),
        ConfigOption::<Self>::new("listen", "Where `serve` listens", |settings| {
            Place::Text(&mut settings.listen)
        })
        .checked(check_listen)
        .called("HOST:PORT"),
        ConfigOption::<Self>::new(
            "allow_host",
            "A name `serve` may be asked by, such as bank.example, besides localhost and addresses",
            |settings| Place::List(&mut settings.server.hosts_allowed),
        )
        .checked(check_hosts),
        ConfigOption::<Self>::new(
            "allow_origin",
            "A site whose pages may use `serve` from a browser, such as https://app.example",
            |settings| Place::List(&mut settings.server.origins_allowed),
        )
        .checked(check_origins)
        .called("ORIGIN"),
        ConfigOption::<Self>::new(
            "log_format",
            "How `serve` and `worker` write their log: text for people, or json with an object on each line",
            |settings| Place::Text(&mut settings.log_format),
        )
        .called("FORMAT"),
        ConfigOption::<Self>::new(
            "shutdown_delay",
            "How long `serve` goes on as before once it is told to end, and says that it is not ready",
            |settings| Place::Seconds(&mut settings.serving.shutdown_delay),
        ),
        ConfigOption::<Self>::new(
            "view_lease",
            "How long views stay with a process that does not answer, before another takes over",
            |settings| Place::Seconds(&mut settings.engine.view_lease),
        )
        .at_least(1)
        .at_most(LEASE_SECONDS_MAX * 1_000),
    ];
}

fn check_listen(text: &str) -> Result<(), String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
    match port.map(str::parse::<u16>) {
        Some(Ok(_)) => Ok(()),
        _ => Err(format!("{text:?} is not HOST:PORT, such as 127.0.0.1:7070")),
    }
}

fn check_hosts(text: &str) -> Result<(), String> {
    listed(text).try_for_each(check_host_name)
}

fn check_origins(text: &str) -> Result<(), String> {
    listed(text).try_for_each(check_origin)
}

fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty())
}
