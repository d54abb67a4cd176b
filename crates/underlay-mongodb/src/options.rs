use underlay_core::options::{ConfigOption, Configurable, Options, Place};

use crate::MongoConfig;

const DAY: u64 = 24 * 60 * 60 * 1_000;

impl Configurable for MongoConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "connections_max",
            "Connections that write, load and renew leases",
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
        ConfigOption::<Self>::new("connect_timeout", "How long making a connection may take", |config| {
            Place::Time(&mut config.connect_timeout)
        })
        .at_least(1),
        ConfigOption::<Self>::new(
            "selection_timeout",
            "How long a call waits for a primary to be there",
            |config| Place::Time(&mut config.selection_timeout),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "read_timeout",
            "How long a read may take that no request asked for",
            |config| Place::Time(&mut config.read_timeout),
        )
        .at_least(1)
        .at_most(DAY),
        ConfigOption::<Self>::new(
            "write_timeout",
            "How long a write may take, with everything it is tried again for",
            |config| Place::Time(&mut config.write_timeout),
        )
        .at_least(1)
        .at_most(DAY),
        ConfigOption::<Self>::new(
            "prepare_timeout",
            "How long it may take to make or extend a collection, with its indexes",
            |config| Place::Time(&mut config.prepare_timeout),
        )
        .at_least(1)
        .at_most(DAY),
    ];

    fn parts(&mut self) -> Vec<&mut dyn Options> {
        vec![&mut self.query_limits]
    }
}
