//! The migrations, in the order they are applied, each of them a folder: one table or one function a file.
//!
//! They are frozen: a database remembers the checksums of those that made it, and a program with other
//! texts refuses it. A change is a further migration at the end. `migrations.lock` says the same to
//! `cargo xtask tidy`.

use underlay_core::adapter::Migration;

pub(crate) const MIGRATIONS: [Migration; 20] = [
    Migration {
        number: 1,
        name: "migrations",
        parts: &[include_str!("../migrations/0001_migrations/migrations.sql")],
    },
    Migration {
        number: 2,
        name: "tables",
        parts: &[
            include_str!("../migrations/0002_tables/store.sql"),
            include_str!("../migrations/0002_tables/log_head.sql"),
            include_str!("../migrations/0002_tables/fences.sql"),
            include_str!("../migrations/0002_tables/events.sql"),
            include_str!("../migrations/0002_tables/commits.sql"),
            include_str!("../migrations/0002_tables/views.sql"),
            include_str!("../migrations/0002_tables/view_generations.sql"),
            include_str!("../migrations/0002_tables/view_checkpoints.sql"),
            include_str!("../migrations/0002_tables/replaced_generations.sql"),
            include_str!("../migrations/0002_tables/discarded_generations.sql"),
            include_str!("../migrations/0002_tables/parked_events.sql"),
            include_str!("../migrations/0002_tables/view_stops.sql"),
            include_str!("../migrations/0002_tables/skipped_events.sql"),
            include_str!("../migrations/0002_tables/snapshots.sql"),
            include_str!("../migrations/0002_tables/leases.sql"),
        ],
    },
    Migration {
        number: 3,
        name: "append",
        parts: &[
            include_str!("../migrations/0003_append/append.sql"),
            include_str!("../migrations/0003_append/append_one.sql"),
            include_str!("../migrations/0003_append/guard_transaction.sql"),
            include_str!("../migrations/0003_append/store_commits.sql"),
            include_str!("../migrations/0003_append/store_commit.sql"),
        ],
    },
    Migration {
        number: 4,
        name: "fence",
        parts: &[
            include_str!("../migrations/0004_fence/fence.sql"),
            include_str!("../migrations/0004_fence/raise_fence.sql"),
        ],
    },
    Migration {
        number: 5,
        name: "reads",
        parts: &[
            include_str!("../migrations/0005_reads/log_bound.sql"),
            include_str!("../migrations/0005_reads/position_at.sql"),
        ],
    },
    Migration {
        number: 6,
        name: "archive",
        parts: &[
            include_str!("../migrations/0006_archive/import_commits.sql"),
            include_str!("../migrations/0006_archive/last_sequence.sql"),
            include_str!("../migrations/0006_archive/forget_commits.sql"),
        ],
    },
    Migration {
        number: 7,
        name: "views",
        parts: &[
            include_str!("../migrations/0007_views/time_now.sql"),
            include_str!("../migrations/0007_views/move_checkpoint.sql"),
        ],
    },
    Migration {
        number: 8,
        name: "append_only",
        parts: &[
            include_str!("../migrations/0008_append_only/refuse_change.sql"),
            include_str!("../migrations/0008_append_only/triggers.sql"),
        ],
    },
    Migration {
        number: 9,
        name: "rights",
        parts: &[
            include_str!("../migrations/0009_rights/row_security.sql"),
            include_str!("../migrations/0009_rights/policies.sql"),
            include_str!("../migrations/0009_rights/tables.sql"),
            include_str!("../migrations/0009_rights/functions.sql"),
        ],
    },
    Migration {
        number: 10,
        name: "work",
        parts: &[
            include_str!("../migrations/0010_work/work.sql"),
            include_str!("../migrations/0010_work/work_later.sql"),
            include_str!("../migrations/0010_work/dead_letters.sql"),
            include_str!("../migrations/0010_work/work_shards.sql"),
            include_str!("../migrations/0010_work/shard_terms.sql"),
            include_str!("../migrations/0010_work/workers.sql"),
            include_str!("../migrations/0010_work/stopped_commits.sql"),
            include_str!("../migrations/0010_work/append_work.sql"),
            include_str!("../migrations/0010_work/store_commits_and_work.sql"),
            include_str!("../migrations/0010_work/check_work_log.sql"),
            include_str!("../migrations/0010_work/shard_term.sql"),
            include_str!("../migrations/0010_work/move_shard.sql"),
            include_str!("../migrations/0010_work/share_work.sql"),
            include_str!("../migrations/0010_work/release_shards.sql"),
            include_str!("../migrations/0010_work/leave_work.sql"),
            include_str!("../migrations/0010_work/line_is_blocked.sql"),
            include_str!("../migrations/0010_work/release_line.sql"),
            include_str!("../migrations/0010_work/ready_row.sql"),
            include_str!("../migrations/0010_work/lost_shards.sql"),
            include_str!("../migrations/0010_work/begin_work.sql"),
            include_str!("../migrations/0010_work/settle_work.sql"),
            include_str!("../migrations/0010_work/lock_lines.sql"),
            include_str!("../migrations/0010_work/replay_work.sql"),
            include_str!("../migrations/0010_work/discard_work.sql"),
            include_str!("../migrations/0010_work/row_security.sql"),
            include_str!("../migrations/0010_work/policies.sql"),
            include_str!("../migrations/0010_work/rights.sql"),
            include_str!("../migrations/0010_work/forget_commits.sql"),
        ],
    },
    Migration {
        number: 11,
        name: "schedules",
        parts: &[
            include_str!("../migrations/0011_schedules/schedules.sql"),
            include_str!("../migrations/0011_schedules/put_schedule.sql"),
            include_str!("../migrations/0011_schedules/rights.sql"),
        ],
    },
    Migration {
        number: 12,
        name: "checkpoints",
        parts: &[
            include_str!("../migrations/0012_checkpoints/checkpoints.sql"),
            include_str!("../migrations/0012_checkpoints/move_subscription.sql"),
            include_str!("../migrations/0012_checkpoints/rights.sql"),
        ],
    },
    Migration {
        number: 13,
        name: "faster_work",
        parts: &[
            include_str!("../migrations/0013_faster_work/read_work.sql"),
            include_str!("../migrations/0013_faster_work/ready_work.sql"),
            include_str!("../migrations/0013_faster_work/due_work.sql"),
            include_str!("../migrations/0013_faster_work/settle_work.sql"),
            include_str!("../migrations/0013_faster_work/rights.sql"),
        ],
    },
    Migration {
        number: 14,
        name: "removed_schedules",
        parts: &[
            include_str!("../migrations/0014_removed_schedules/put_schedule.sql"),
            include_str!("../migrations/0014_removed_schedules/remove_schedule.sql"),
            include_str!("../migrations/0014_removed_schedules/rights.sql"),
        ],
    },
    Migration {
        number: 15,
        name: "equal_schedules",
        parts: &[include_str!("../migrations/0015_equal_schedules/put_schedule.sql")],
    },
    Migration {
        number: 16,
        name: "view_orders",
        parts: &[
            include_str!("../migrations/0016_view_orders/view_orders.sql"),
            include_str!("../migrations/0016_view_orders/rights.sql"),
        ],
    },
    Migration {
        number: 17,
        name: "work_scheduler",
        parts: &[
            include_str!("../migrations/0017_work_scheduler/workers.sql"),
            include_str!("../migrations/0017_work_scheduler/work_scheduler.sql"),
            include_str!("../migrations/0017_work_scheduler/work_holder.sql"),
            include_str!("../migrations/0017_work_scheduler/claim_work.sql"),
            include_str!("../migrations/0017_work_scheduler/share_shards.sql"),
            include_str!("../migrations/0017_work_scheduler/share_work.sql"),
            include_str!("../migrations/0017_work_scheduler/rights.sql"),
        ],
    },
    Migration {
        number: 18,
        name: "entities",
        parts: &[
            include_str!("../migrations/0018_entities/entities.sql"),
            include_str!("../migrations/0018_entities/expect_rows.sql"),
            include_str!("../migrations/0018_entities/rights.sql"),
        ],
    },
    Migration {
        number: 19,
        name: "known_versions",
        parts: &[
            include_str!("../migrations/0019_known_versions/append_batch.sql"),
            include_str!("../migrations/0019_known_versions/store_commit_batch.sql"),
            include_str!("../migrations/0019_known_versions/rights.sql"),
        ],
    },
    Migration {
        number: 20,
        name: "one_look",
        parts: &[include_str!("../migrations/0020_one_look/claim_work.sql")],
    },
];
