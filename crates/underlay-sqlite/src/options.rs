use underlay_core::options::{ConfigOption, Configurable, Options, Place};

use crate::SqliteConfig;

const DAY: u64 = 24 * 60 * 60 * 1_000;

impl Configurable for SqliteConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "busy_timeout",
            "How long a write waits for another process that holds the file",
            |config| Place::Time(&mut config.busy_timeout),
        )
        .at_most(DAY),
        ConfigOption::<Self>::new(
            "readers_max",
            "Connections that read for commands and views at the same time",
            |config| Place::Count(&mut config.readers_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "query_timeout",
            "How long a query may run before SQLite ends it",
            |config| Place::Time(&mut config.query_timeout),
        )
        .at_most(DAY),
        ConfigOption::<Self>::new(
            "view_writes_max",
            "Writes beside commits that may wait: of views, work and leases",
            |config| Place::Count(&mut config.view_writes_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "wal_bytes_max",
            "Bytes of the write-ahead log past which the writer makes it begin again",
            |config| Place::Bytes(&mut config.wal_bytes_max),
        )
        .at_least(64 << 10),
        ConfigOption::<Self>::new(
            "poll_interval",
            "How often the file is asked for commits of other processes",
            |config| Place::Time(&mut config.poll_interval),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "writer_cache_bytes",
            "Bytes of pages that the writing connection keeps",
            |config| Place::Bytes(&mut config.writer_cache_bytes),
        ),
        ConfigOption::<Self>::new(
            "reader_cache_bytes",
            "Bytes of pages that each reading connection keeps",
            |config| Place::Bytes(&mut config.reader_cache_bytes),
        ),
        ConfigOption::<Self>::new(
            "leases",
            "Whether processes that share the file agree by leases who folds a view",
            |config| Place::Flag(&mut config.leases),
        ),
    ];

    fn parts(&mut self) -> Vec<&mut dyn Options> {
        vec![&mut self.query_limits, &mut self.limits]
    }
}
