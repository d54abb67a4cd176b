//! The migrations, in the order they are applied, each of them a folder: one table a file.
//!
//! They are frozen: a file remembers the checksums of those that made it, and a program with other texts
//! refuses it. A change is a further migration at the end. `migrations.lock` says the same to
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

pub(crate) const MIGRATIONS: [Migration; 2] = [
    migration!(
        1,
        "tables",
        "0001_tables",
        [
            "migrations.sql",
            "store.sql",
            "events.sql",
            "commits.sql",
            "views.sql",
            "view_generations.sql",
            "discarded_generations.sql",
            "parked_events.sql",
            "snapshots.sql",
            "leases.sql",
        ]
    ),
    migration!(2, "append_only", "0002_append_only", ["triggers.sql"]),
];
