//! The migrations, in the order they are applied, each of them a folder: one table a file.
//!
//! They are frozen: a file remembers the checksums of those that made it, and a program with other texts
//! refuses it. A change is a further migration at the end. `migrations.lock` says the same to
//! `cargo xtask tidy`.

use underlay_core::adapter::Migration;

pub(crate) const MIGRATIONS: [Migration; 7] = [
    Migration {
        number: 1,
        name: "tables",
        parts: &[
            include_str!("../migrations/0001_tables/migrations.sql"),
            include_str!("../migrations/0001_tables/store.sql"),
            include_str!("../migrations/0001_tables/events.sql"),
            include_str!("../migrations/0001_tables/commits.sql"),
            include_str!("../migrations/0001_tables/views.sql"),
            include_str!("../migrations/0001_tables/view_generations.sql"),
            include_str!("../migrations/0001_tables/discarded_generations.sql"),
            include_str!("../migrations/0001_tables/parked_events.sql"),
            include_str!("../migrations/0001_tables/view_stops.sql"),
            include_str!("../migrations/0001_tables/skipped_events.sql"),
            include_str!("../migrations/0001_tables/snapshots.sql"),
            include_str!("../migrations/0001_tables/leases.sql"),
        ],
    },
    Migration {
        number: 2,
        name: "append_only",
        parts: &[include_str!("../migrations/0002_append_only/triggers.sql")],
    },
    Migration {
        number: 3,
        name: "work",
        parts: &[
            include_str!("../migrations/0003_work/work.sql"),
            include_str!("../migrations/0003_work/work_later.sql"),
            include_str!("../migrations/0003_work/dead_letters.sql"),
            include_str!("../migrations/0003_work/work_shards.sql"),
            include_str!("../migrations/0003_work/workers.sql"),
            include_str!("../migrations/0003_work/schedules.sql"),
            include_str!("../migrations/0003_work/removed_schedules.sql"),
            include_str!("../migrations/0003_work/checkpoints.sql"),
        ],
    },
    Migration {
        number: 4,
        name: "ready_work",
        parts: &[include_str!("../migrations/0004_ready_work/work_in_order.sql")],
    },
    Migration {
        number: 5,
        name: "view_orders",
        parts: &[include_str!("../migrations/0005_view_orders/view_orders.sql")],
    },
    Migration {
        number: 6,
        name: "work_scheduler",
        parts: &[
            include_str!("../migrations/0006_work_scheduler/workers.sql"),
            include_str!("../migrations/0006_work_scheduler/work_scheduler.sql"),
        ],
    },
    Migration {
        number: 7,
        name: "entities",
        parts: &[include_str!("../migrations/0007_entities/entities.sql")],
    },
];
