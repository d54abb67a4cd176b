//! The migrations, in the order they are applied, each of them a folder: one table or one function a file.
//!
//! They are frozen: a database remembers the checksums of those that made it, and a program with other
//! texts refuses it. A change is a further migration at the end. `migrations.lock` says the same to
//! `cargo xtask tidy`.

use crate::migrate::Migration;

macro_rules! migration {
    ($number:literal, $name:literal, $folder:literal, [$($part:literal),+ $(,)?]) => {
        Migration {
            number: $number,
            name: $name,
            parts: &[$(include_str!(concat!("../migrations/", $folder, "/", $part))),+],
        }
    };
}

pub(crate) const MIGRATIONS: [Migration; 9] = [
    migration!(1, "migrations", "0001_migrations", ["migrations.sql"]),
    migration!(
        2,
        "tables",
        "0002_tables",
        [
            "store.sql",
            "log_head.sql",
            "fences.sql",
            "events.sql",
            "commits.sql",
            "views.sql",
            "view_generations.sql",
            "view_checkpoints.sql",
            "replaced_generations.sql",
            "discarded_generations.sql",
            "parked_events.sql",
            "snapshots.sql",
            "leases.sql",
        ]
    ),
    migration!(
        3,
        "append",
        "0003_append",
        ["append.sql", "append_one.sql", "guard_transaction.sql", "store_commits.sql", "store_commit.sql"]
    ),
    migration!(4, "fence", "0004_fence", ["fence.sql", "raise_fence.sql"]),
    migration!(5, "reads", "0005_reads", ["log_bound.sql", "position_at.sql"]),
    migration!(
        6,
        "archive",
        "0006_archive",
        ["import_commits.sql", "last_sequence.sql", "forget_commits.sql"]
    ),
    migration!(7, "views", "0007_views", ["time_now.sql", "move_checkpoint.sql"]),
    migration!(8, "append_only", "0008_append_only", ["refuse_change.sql", "triggers.sql"]),
    migration!(
        9,
        "rights",
        "0009_rights",
        ["row_security.sql", "policies.sql", "tables.sql", "functions.sql"]
    ),
];
