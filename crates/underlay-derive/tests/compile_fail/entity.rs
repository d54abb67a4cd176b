use underlay_core::EntityVersion;
use underlay_derive::entity;

#[entity(crate = underlay_core, name = "rate", version = 1)]
enum Variants {
    One,
}

#[entity(crate = underlay_core, name = "rate", version = 1)]
struct Unnamed(String);

#[entity(crate = underlay_core)]
struct ExchangeRate {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
}

#[entity(crate = underlay_core, name = "Exchange-Rate", version = 1)]
struct Named {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
}

#[entity(crate = underlay_core, name = "rate", version = 0)]
struct Versioned {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
}

#[entity(crate = underlay_core, name = "rate", version = 1, table = "rates")]
struct Told {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
}

#[entity(crate = underlay_core, name = "rate", version = 1)]
struct TwoIds {
    #[id]
    id: String,
    #[id]
    other: String,
    #[version]
    version: EntityVersion,
}

#[entity(crate = underlay_core, name = "rate", version = 1)]
struct NoId {
    #[version]
    version: EntityVersion,
    base: String,
}

#[entity(crate = underlay_core, name = "rate", version = 1)]
struct NoVersion {
    #[id]
    id: String,
    base: String,
}

#[entity(crate = underlay_core, name = "rate", version = 1)]
struct TwoVersions {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    #[version]
    other: EntityVersion,
}

#[entity(crate = underlay_core, name = "rate", version = 1)]
struct Marked {
    #[id]
    #[column(indexed)]
    id: String,
    #[version]
    version: EntityVersion,
}

#[entity(crate = underlay_core, name = "rate", version = 1)]
struct Arguments {
    #[id(indexed)]
    id: String,
    #[version]
    version: EntityVersion,
}

#[entity(crate = underlay_core, name = "rate", version = 1)]
struct Columns {
    #[id]
    number: String,
    #[version]
    read_at: EntityVersion,
    id: String,
    #[column(name = "Base")]
    base: String,
    #[column(primary)]
    quote: String,
}

#[entity(crate = underlay_core, name = "rate", version = 1)]
struct Numbered {
    #[id]
    id: String,
    #[version]
    version: u64,
}

fn main() {}
