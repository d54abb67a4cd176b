use underlay_core::options::{ConfigOption, Configurable, Options, Place, TextValue};

use crate::config::check_name;
use crate::{Listen, PostgresConfig};

const DAY: u64 = 24 * 60 * 60 * 1_000;

impl Configurable for PostgresConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "schema",
            "The schema of the log; the rows of views are in SCHEMA_views",
            |config| Place::Text(&mut config.schema),
        )
        .checked(check_name),
        ConfigOption::<Self>::new("role_prefix", "What the names of the roles begin with", |config| {
            Place::Text(&mut config.role_prefix)
        })
        .checked(check_name),
        ConfigOption::<Self>::new(
            "superuser_allowed",
            "Whether a login may be used that passes over row-level security: for development",
            |config| Place::Flag(&mut config.superuser_allowed),
        ),
        ConfigOption::<Self>::new(
            "root_certificates",
            "A file of certificates in PEM form that sign the server's",
            |config| Place::Text(&mut config.root_certificates),
        ),
        ConfigOption::<Self>::new(
            "connections_max",
            "Connections that read for commands, write views and renew leases",
            |config| Place::Count(&mut config.connections_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "query_timeout",
            "How long a query may run before the server ends it",
            |config| Place::Time(&mut config.query_timeout),
        )
        .at_least(1)
        .at_most(DAY),
        ConfigOption::<Self>::new("acquire_timeout", "How long a call waits for a connection", |config| {
            Place::Time(&mut config.acquire_timeout)
        })
        .at_least(1),
        ConfigOption::<Self>::new("connect_timeout", "How long making a connection may take", |config| {
            Place::Time(&mut config.connect_timeout)
        })
        .at_least(1),
        ConfigOption::<Self>::new(
            "statement_timeout",
            "How long a statement may run before the server ends it",
            |config| Place::Time(&mut config.statement_timeout),
        )
        .at_least(1)
        .at_most(DAY),
        ConfigOption::<Self>::new(
            "idle_timeout",
            "How long a transaction may wait for the process that began it",
            |config| Place::Time(&mut config.idle_timeout),
        )
        .at_least(1)
        .at_most(DAY),
        ConfigOption::<Self>::new(
            "transaction_timeout",
            "How long a transaction that reads, or writes views, may take",
            |config| Place::Time(&mut config.transaction_timeout),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "commit_timeout",
            "How long a group commit may take before its commits are looked up",
            |config| Place::Time(&mut config.commit_timeout),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "doubt_timeout",
            "How long it may take to find out what became of a commit",
            |config| Place::Time(&mut config.doubt_timeout),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "poll_interval",
            "How often the log is asked for commits of other processes",
            |config| Place::Time(&mut config.poll_interval),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "notify_interval",
            "The least time between two hints to other processes",
            |config| Place::Time(&mut config.notify_interval),
        ),
        ConfigOption::<Self>::new(
            "listen",
            "How commits of others are heard of: store, off, or the address to LISTEN at",
            |config| Place::Text(&mut config.listen),
        )
        .secret(),
    ];

    fn parts(&mut self) -> Vec<&mut dyn Options> {
        vec![&mut self.query_limits, &mut self.limits]
    }
}

impl TextValue for Listen {
    fn text(&self) -> Option<String> {
        Some(match self {
            Self::Store => "store".to_owned(),
            Self::At(address) => address.clone(),
            Self::Off => "off".to_owned(),
        })
    }

    fn set_text(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "store" => Self::Store,
            "off" => Self::Off,
            address => Self::At(address.to_owned()),
        };
        Ok(())
    }
}
