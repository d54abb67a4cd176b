//! The options of what every adapter with a queue of commits and turns of queries has.

use super::{BatchLimits, ReadLimits};
use crate::words::options::{ConfigOption, Configurable, Place};

impl Configurable for ReadLimits {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "query_connections_max",
            "Queries that run at the same time, each on a connection of its own",
            |config| Place::Count(&mut config.running_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new("queries_waiting_max", "Queries that may wait", |config| {
            Place::Count(&mut config.waiting_max)
        }),
        ConfigOption::<Self>::new(
            "tenant_queries_waiting_max",
            "Queries of one tenant that may wait",
            |config| Place::Count(&mut config.tenant_waiting_max),
        ),
        ConfigOption::<Self>::new("query_wait_max", "How long a query may wait", |config| {
            Place::Time(&mut config.wait_max)
        }),
    ];
}

impl Configurable for BatchLimits {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new("queue_items_max", "Commits that may wait", |config| {
            Place::Count(&mut config.queue_items_max)
        }),
        ConfigOption::<Self>::new("queue_bytes_max", "Bytes of commits that may wait", |config| {
            Place::Bytes(&mut config.queue_bytes_max)
        }),
        ConfigOption::<Self>::new("tenant_items_max", "Commits of one tenant that may wait", |config| {
            Place::Count(&mut config.tenant_items_max)
        }),
        ConfigOption::<Self>::new(
            "tenant_bytes_max",
            "Bytes of commits of one tenant that may wait",
            |config| Place::Bytes(&mut config.tenant_bytes_max),
        ),
        ConfigOption::<Self>::new("batch_items_max", "Commits in one group commit", |config| {
            Place::Count(&mut config.batch_items_max)
        }),
        ConfigOption::<Self>::new(
            "batch_bytes_max",
            "Bytes in one group commit, past its first commit",
            |config| Place::Bytes(&mut config.batch_bytes_max),
        ),
    ];
}
