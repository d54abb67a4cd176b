//! What each role is meant to be able to do. Everything else is a wall, and is attacked.

use super::place::{ENTITIES, Relation, SCHEMA, VIEWS};

/// What a role may do with a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// Nothing.
    No,
    /// With the rows of the tenant it has named.
    Own,
    /// With every row; of these none tells one tenant about another, or the role works across tenants.
    All,
}

/// What can be done with a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Select,
    Insert,
    Update,
    Delete,
    Truncate,
    /// Keep everybody from it: whoever may change rows may do that.
    Lock,
    /// Change what it is.
    Alter,
}

/// Whether a role reads what belongs to every tenant, as it must.
pub(super) fn works_across_tenants(role: &str) -> bool {
    matches!(role, "worker" | "append")
}

/// The columns of a relation that a role may read, where it is not all of them.
pub(super) fn readable_columns(role: &str, relation: &Relation) -> Option<&'static str> {
    let checkpoints = relation.schema == SCHEMA && relation.name == "view_checkpoints";
    // The id of an event may be another tenant's.
    (checkpoints && !works_across_tenants(role)).then_some("name, generation, move, position")
}

/// What a role may do; none where nobody has declared the relation.
pub(super) fn may(role: &str, relation: &Relation, verb: Verb) -> Option<May> {
    use Verb::{Delete, Insert, Select, Update};
    if relation.kind != "r" {
        return None;
    }
    if verb == Verb::Lock {
        // Of some columns alone is not enough.
        let changes = [Update, Delete].map(|verb| may(role, relation, verb));
        let whole = !(role == "worker" && relation.name == "commits");
        let locks = role == "owner" || whole && changes.iter().any(|may| *may != Some(May::No));
        return Some(if locks { May::All } else { May::No });
    }
    // A program's login has what reader and writer have; it is a worker when it asks to be one.
    if matches!(role, "login" | "app") {
        let (reader, writer) = (may("reader", relation, verb)?, may("writer", relation, verb)?);
        return Some(if reader == May::No { writer } else { reader });
    }
    let of_view = relation.schema == VIEWS && relation.of_tenants && ends_with_generation(&relation.name);
    if of_view {
        return Some(match (role, verb) {
            ("worker", _) => May::All,
            ("reader", Select) => May::Own,
            _ => May::No,
        });
    }
    if relation.schema == ENTITIES && relation.of_tenants {
        return Some(match (role, verb) {
            // It makes and extends the table, and sees no row in it.
            ("worker", Verb::Alter) => May::All,
            ("reader", Select) | ("writer", Select | Insert | Update | Delete) => May::Own,
            _ => May::No,
        });
    }
    if relation.schema != SCHEMA {
        return None;
    }
    let name = relation.name.as_str();
    // The owner makes and changes tables; it sees no row of a tenant, and changes no event.
    let owned = match (name, verb) {
        ("events" | "commits", Verb::Truncate) => May::No,
        (_, Verb::Truncate | Verb::Alter) | ("migrations", _) => May::All,
        _ => May::No,
    };
    let known = matches!(
        name,
        "migrations"
            | "store"
            | "log_head"
            | "fences"
            | "events"
            | "commits"
            | "views"
            | "view_generations"
            | "view_checkpoints"
            | "replaced_generations"
            | "discarded_generations"
            | "parked_events"
            | "view_stops"
            | "skipped_events"
            | "view_orders"
            | "leases"
            | "snapshots"
            | "work"
            | "work_later"
            | "dead_letters"
            | "work_shards"
            | "shard_terms"
            | "workers"
            | "work_scheduler"
            | "schedules"
            | "checkpoints"
            | "entities"
    );
    if !known {
        return None;
    }
    Some(match (role, name, verb) {
        ("owner", ..) => owned,
        ("reader" | "worker", "migrations" | "store", Select) => May::All,
        ("append", "log_head", Select | Update) => May::All,
        ("append", "fences", Select | Insert | Update | Delete) => May::All,
        ("append", "events" | "commits", Select | Insert) => May::All,
        // By `forget_commits`, and only commits without events.
        ("append", "commits", Delete) => May::All,
        ("worker", "events" | "commits" | "fences", Select) => May::All,
        ("worker", "commits", Update) => May::All,
        ("reader", "events" | "commits", Select) => May::Own,
        ("worker", "views" | "view_generations" | "view_checkpoints" | "leases", verb)
            if is_of_rows(verb) =>
        {
            May::All
        }
        (
            "worker",
            "replaced_generations" | "discarded_generations" | "parked_events" | "view_stops",
            verb,
        ) if is_of_rows(verb) => May::All,
        // Whoever skipped an event is not forgotten.
        ("worker", "skipped_events", Select | Insert) => May::All,
        ("worker", "view_orders" | "entities", Select | Insert | Update) => May::All,
        ("reader", "views" | "view_generations" | "view_checkpoints", Select) => May::All,
        ("writer", "snapshots", verb) if is_of_rows(verb) => May::Own,
        ("append", "work" | "work_later", Select | Insert) => May::All,
        ("append", "dead_letters" | "work_shards", Select) => May::All,
        // Work is sent by functions of the log alone; how often it was begun is counted before it is settled.
        ("worker", "work", Select | Update | Delete) => May::All,
        ("worker", "work_later" | "workers", verb) if is_of_rows(verb) => May::All,
        ("worker", "dead_letters" | "shard_terms" | "checkpoints", Select | Insert | Delete) => May::All,
        ("worker", "work_shards" | "work_scheduler" | "schedules", Select | Update) => May::All,
        ("reader", "work" | "work_later" | "dead_letters" | "schedules", Select) => May::Own,
        ("writer", "schedules", Select | Insert | Update | Delete) => May::Own,
        _ => May::No,
    })
}

/// Who may call a function of the schema; none where nobody has declared it.
pub(super) fn callers(function: &str) -> Option<&'static [&'static str]> {
    Some(match function {
        "append" | "append_one" | "append_work" | "append_batch" | "fence" => &["writer"],
        "put_schedule" | "remove_schedule" => &["writer"],
        // They only pass on to those, in the name of who calls them.
        "store_commits"
        | "store_commit"
        | "store_commits_and_work"
        | "store_commit_batch"
        | "raise_fence" => &["writer"],
        // It looks at what it is given alone.
        "expect_rows" => &["writer"],
        "guard_transaction" => &["writer", "worker"],
        "log_bound" | "last_sequence" | "ready_row" => &["reader", "worker"],
        "position_at" | "move_checkpoint" | "time_now" | "import_commits" | "forget_commits" => &["worker"],
        "share_work" | "share_shards" | "release_shards" | "leave_work" | "begin_work" | "settle_work"
        | "replay_work" | "discard_work" => &["worker"],
        "claim_work" | "work_holder" | "check_work_log" | "lost_shards" | "shard_term" | "move_shard"
        | "line_is_blocked" | "release_line" | "lock_lines" | "move_subscription" | "ready_work"
        | "due_work" => &["worker"],
        // Called by the functions of the log alone.
        "stopped_commits" | "refuse_change" => &[],
        _ => return None,
    })
}

fn is_of_rows(verb: Verb) -> bool {
    !matches!(verb, Verb::Truncate | Verb::Alter)
}

fn ends_with_generation(name: &str) -> bool {
    name.rsplit_once('_').is_some_and(|(_, number)| number.parse::<u32>().is_ok())
}
