use underlay_core::EntityVersion;
use underlay_derive::entity;

#[entity(crate = underlay_core, name = "rate", version = 1)]
struct Indexed {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    #[column(indexed)]
    note: Option<String>,
}

#[entity(crate = underlay_core, name = "rate", version = 1)]
struct Unique {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    #[column(unique)]
    code: Option<i64>,
}

fn main() {}
