use underlay_core::EntityVersion;
use underlay_derive::entity;

#[derive(Clone, Debug, PartialEq)]
struct Currency;

#[entity(crate = underlay_core, name = "rate", version = 1)]
struct Unstored {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    #[column(unique)]
    base: Currency,
}

#[entity(crate = underlay_core, name = "rate", version = 1)]
struct Identified {
    #[id]
    id: Currency,
    #[version]
    version: EntityVersion,
}

fn main() {}
