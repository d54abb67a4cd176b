//! How SQLite runs the statements of work, schedules and checkpoints, by EXPLAIN QUERY PLAN: each goes to its
//! rows along an index, and none sorts.

use rusqlite::Connection;
use rusqlite::types::Value as Sql;

use crate::plans::{file, plan};

/// The plan of a statement.
fn plan_of(connection: &Connection, sql: &str) -> String {
    let values = vec![Sql::Integer(1); connection.prepare(sql).unwrap().parameter_count()];
    plan(connection, sql, &values)
}

macro_rules! sql {
    ($($name:literal),* $(,)?) => {
        [$(include_str!(concat!("../sql/", $name, ".sql"))),*]
    };
}

#[test]
fn work_is_read_along_an_index_that_has_its_order() {
    let connection = file();
    let statements = sql![
        "work/select_ready_places",
        "work/select_ready_places_of_tenant",
        "work/select_due_places",
        "work/select_places_of_work",
        "work/select_places_of_work_of_tenant",
        "work/select_places_of_work_later",
        "work/select_places_of_work_later_of_tenant",
        "work/select_places_of_dead_letters",
        "work/select_places_of_dead_letters_of_tenant",
        "work/select_ready_receivers",
        "work/select_work_sent_at",
        "work/select_next_receiver_of_work_later",
        "work/select_next_receiver_of_dead_letters",
        "work/select_commit_sequence",
    ];
    let wanted = [
        "work USING COVERING INDEX work_in_order (shard=? AND lane=? AND place>?)",
        "work USING COVERING INDEX work_by_tenant (shard=? AND lane=? AND tenant=? AND rowid>?)",
        "work_later USING COVERING INDEX work_later_due (shard=? AND due_at>?)",
        "work USING INTEGER PRIMARY KEY (rowid>?)",
        "work USING INDEX work_by_tenant (shard=? AND lane=? AND tenant=? AND rowid>?)",
        "work_later USING INTEGER PRIMARY KEY (rowid>?)",
        "work_later USING INDEX work_later_by_tenant (tenant=? AND rowid>?)",
        "dead_letters USING INTEGER PRIMARY KEY (rowid>?)",
        "dead_letters USING INDEX dead_letters_by_tenant (tenant=? AND rowid>?)",
        "work USING COVERING INDEX work_in_order (shard=? AND lane=? AND place>?)",
        "work USING INTEGER PRIMARY KEY (rowid=?)",
        "work_later USING COVERING INDEX work_later_by_receiver ((receiver,kind)>(?,?))",
        "dead_letters USING COVERING INDEX dead_letters_by_receiver ((receiver,kind)>(?,?))",
        "commits USING COVERING INDEX sqlite_autoindex_commits_1 (tenant=? AND commit_id=?)",
    ];
    let [newest] = sql!["work/select_newest_work"];
    let ends = "SCAN CONSTANT ROW\nSCALAR SUBQUERY 1\nSEARCH work\nSCALAR SUBQUERY 2\nSEARCH work_later";
    assert_eq!(plan_of(&connection, newest), ends);
    for (sql, wanted) in statements.into_iter().zip(wanted) {
        assert_eq!(plan_of(&connection, sql), format!("SEARCH {wanted}"), "{sql}");
    }
}

#[test]
fn a_piece_and_what_blocks_it_are_looked_up() {
    let connection = file();
    let blocked = "\nCORRELATED SCALAR SUBQUERY 1\
                   \nSEARCH head USING INDEX work_later_heads (tenant=? AND receiver=? AND key=?)\
                   \nCORRELATED SCALAR SUBQUERY 2\
                   \nSEARCH head USING COVERING INDEX dead_letters_heads (tenant=? AND receiver=? AND key=?)";
    let statements = sql!["work/select_ready_work", "work/select_work_later", "work/select_dead_letter"];
    for (sql, (table, further)) in
        statements.into_iter().zip([("work", blocked), ("work_later", blocked), ("dead_letters", "")])
    {
        let wanted = format!("SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?){further}");
        assert_eq!(plan_of(&connection, sql), wanted, "{sql}");
    }
}

#[test]
fn what_settles_and_counts_goes_to_its_rows_alone() {
    let connection = file();
    for sql in sql![
        "work/insert_work",
        "work/insert_work_later",
        "work/delete_work",
        "work/delete_work_later",
        "work/move_work_to_later",
        "work/update_work_later",
        "work/move_work_to_dead_letters",
        "work/move_work_later_to_dead_letters",
        "work/release_next_work",
        "work/replay_dead_letters",
        "work/delete_dead_letters",
        "work/exists_work_term",
        "work/upsert_work_shard",
        "work/release_work_shard",
        "work/upsert_worker",
        "work/delete_worker",
        "work/count_work_later",
        "work/count_dead_letters",
        "work/select_oldest_due_work",
        "schedules/upsert_schedule",
        "schedules/select_schedule_revision",
        "schedules/count_schedules",
        "schedules/delete_schedule",
        "schedules/delete_removed_schedule",
        "schedules/insert_removed_schedule",
        "schedules/select_schedules",
        "schedules/select_schedules_of_tenant",
        "schedules/select_due_schedules",
        "schedules/advance_schedule",
        "checkpoints/select_stored_checkpoint",
        "checkpoints/upsert_stored_checkpoint",
        "delete_empty_commits",
    ] {
        let found = plan_of(&connection, sql);
        let walks = found.lines().filter(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE"));
        // What a count has found is walked over, not a table.
        let walks: Vec<&str> = walks.filter(|step| !step.contains("subquery")).collect();
        assert!(walks.is_empty(), "{sql}\n{found}");
    }
}
