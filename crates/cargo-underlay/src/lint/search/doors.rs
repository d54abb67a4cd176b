//! Underlay's own doors that feature code does not go through: across tenants, and past the engine.
//!
//! Reading a tenant's log or rows by a port takes the tenant, so it is no finding. Three things are: naming every tenant or rows of
//! any tenant; writing a store beside the engine, where no aggregate decides and no view is told; and opening a store, which is the
//! composition's.

use super::super::databases::is_adapter;
use crate::lint::names::Ty;
use crate::lint::rule::Rule;

/// A type, what is named of it (all of it, where that is empty), and what is wrong with that.
type Named = (&'static str, &'static str, Rule, &'static str);

const NAMED: &[Named] = &[
    ("LogScope", "EveryTenant", Rule::EveryTenant, "`LogScope::EveryTenant` reads the log of every tenant"),
    (
        "WorkScope",
        "EveryTenantBut",
        Rule::EveryTenant,
        "`WorkScope::EveryTenantBut` reads the work of other tenants",
    ),
    ("WorkScope", "default", Rule::EveryTenant, "`WorkScope::default` is the work of every tenant"),
    ("RowAddress", "", Rule::EveryTenant, "`RowAddress` names rows of any tenant"),
    ("RowChange", "", Rule::EveryTenant, "`RowChange` changes rows of any tenant"),
    ("ViewBatch", "", Rule::EveryTenant, "`ViewBatch` writes rows of any tenant"),
    ("Store", "open", Rule::StoreAccess, "`Store::open` opens a store"),
    ("Store", "open_existing", Rule::StoreAccess, "`Store::open_existing` opens a store"),
    ("Store", "open_with", Rule::StoreAccess, "`Store::open_with` opens a store"),
    ("Store", "of", Rule::StoreAccess, "`Store::of` makes a store of a backend"),
    ("Store", "migrate", Rule::StoreAccess, "`Store::migrate` changes the schema of a database"),
    (
        "Store",
        "migration_script",
        Rule::StoreAccess,
        "`Store::migration_script` reads the schema of a database",
    ),
    ("Commit", "new", Rule::StoreAccess, "`Commit::new` makes a commit that no aggregate decided"),
    ("Adapters", "", Rule::StoreAccess, "`Adapters` opens backends"),
    ("Backend", "", Rule::StoreAccess, "`Backend` is a store without its service"),
    ("Entities", "", Rule::StoreAccess, "`Entities` takes any tenant, where a repository has one"),
];

/// The type, a method, and what is wrong with calling it.
const CALLED: &[Named] = &[
    ("EventStore", "commit", Rule::StoreAccess, "`commit` stores events that no aggregate decided"),
    ("Store", "commit", Rule::StoreAccess, "`commit` stores events that no aggregate decided"),
    ("Adapters", "open", Rule::StoreAccess, "`open` opens a backend"),
    ("ReadModels", "load", Rule::EveryTenant, "`load` reads rows of any tenant"),
    ("ReadModels", "scan", Rule::EveryTenant, "`scan` reads the rows of every tenant"),
    ("ReadModels", "apply", Rule::EveryTenant, "`apply` writes rows of any tenant"),
    ("ReadModels", "activate", Rule::StoreAccess, "`activate` swaps the rows of a view"),
    ("ReadModels", "begin_generation", Rule::StoreAccess, "`begin_generation` begins other rows of a view"),
    ("ReadModels", "discard", Rule::StoreAccess, "`discard` removes rows of a view"),
    ("ReadModels", "prepare", Rule::StoreAccess, "`prepare` makes the table of a view"),
    ("ReadModels", "put_order", Rule::StoreAccess, "`put_order` writes an order for a view"),
    ("ReadModels", "revert", Rule::StoreAccess, "`revert` swaps the rows of a view"),
    ("ReadModels", "skip", Rule::StoreAccess, "`skip` passes over an event in a view"),
    ("ReadModels", "sweep", Rule::StoreAccess, "`sweep` removes rows of views"),
];

/// Stores in memory, which are gone with the program.
const MEMORY: &[&str] = &[
    "MemoryAdapter",
    "MemoryCheckpoints",
    "MemoryEntities",
    "MemoryEventStore",
    "MemoryLeases",
    "MemoryReadModels",
    "MemorySchedules",
    "MemorySnapshots",
    "MemoryWorkQueue",
];

/// What is wrong with naming this of a package of Underlay.
pub(super) fn named(package: &str, path: &[String]) -> Option<(Rule, String)> {
    if is_adapter(package) {
        return Some((Rule::StoreAccess, format!("`{package}` is a store without its service")));
    }
    let found = NAMED.iter().find(|(ty, member, ..)| {
        let Some(at) = path.iter().position(|name| name == ty) else { return false };
        // What follows the name of a type is a variant, and another thing of this name.
        let is_variant = at > 0 && path[at - 1].starts_with(char::is_uppercase);
        !is_variant && (member.is_empty() || path.get(at + 1).is_some_and(|name| name == member))
    });
    if let Some((_, _, rule, what)) = found {
        return Some((*rule, (*what).to_owned()));
    }
    let store = path.iter().find(|name| MEMORY.contains(&name.as_str()))?;
    Some((Rule::StoreAccess, format!("`{store}` is a store without its service")))
}

/// What is wrong with calling a method of a type of Underlay.
pub(super) fn called(ty: &str, method: &str) -> Option<(Rule, &'static str)> {
    let found = CALLED.iter().find(|(own, name, ..)| *own == ty && *name == method);
    found.map(|(_, _, rule, what)| (*rule, *what))
}

/// What a method of a type of Underlay gives, where that has rules too.
pub(super) fn returned_by_door(ty: &str, method: &str) -> Option<Ty> {
    match (ty, method) {
        ("Engine", "store") => Some(Ty::Door("EventStore")),
        ("Engine", "read_models") => Some(Ty::Door("ReadModels")),
        _ => None,
    }
}
