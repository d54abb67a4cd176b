//! How SQLite runs the statements of work, schedules and checkpoints, by EXPLAIN QUERY PLAN: each goes to its
//! rows along an index, and none sorts.

use rusqlite::Connection;
use rusqlite::types::Value as Sql;

use crate::plans::{file, plan};
use crate::work::table::Table;

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
        "work/select_next_block",
        "work/select_ready_places",
        "work/select_next_due",
        "work/select_places_of_ready_work_of_tenant",
        "work/select_ready_receivers",
        "work/select_work_sent_at",
        "work/select_next_receiver_of_work_later",
        "work/select_next_receiver_of_dead_letters",
        "work/select_commit_sequence",
        "work/select_places_of_holders",
    ];
    let wanted = [
        "work USING COVERING INDEX work_in_order (lane=? AND <expr>>?)",
        "work USING COVERING INDEX work_in_order (lane=? AND <expr>=? AND shard=? AND place>?)",
        "work_later USING COVERING INDEX work_later_due (shard=? AND due_at>?)",
        "work USING INDEX work_in_order (lane=? AND <expr>=? AND shard=? AND place>?)",
        "work USING COVERING INDEX work_in_order (lane=? AND <expr>=?)",
        "work USING INTEGER PRIMARY KEY (rowid=?)",
        "work_later USING COVERING INDEX work_later_by_receiver ((receiver,kind)>(?,?))",
        "dead_letters USING COVERING INDEX dead_letters_by_receiver ((receiver,kind)>(?,?))",
        "commits USING COVERING INDEX sqlite_autoindex_commits_1 (tenant=? AND commit_id=?)",
        "dead_letters USING INDEX dead_letters_heads (tenant=? AND receiver=? AND key=? AND rowid>?)",
    ];
    // What is counted of one tenant looks at no row of the table, as where all are counted.
    let [of_tenant, tried] = sql!["work/select_ready_receivers_of_tenant", "work/select_oldest_tried_work"];
    assert_eq!(plan_of(&connection, of_tenant), "SCAN work USING COVERING INDEX work_in_order");
    let heads = "SCAN work_later USING INDEX work_later_heads";
    assert!(plan_of(&connection, tried).contains(heads), "{}", plan_of(&connection, tried));
    let [newest] = sql!["work/select_newest_work"];
    let ends = "SCAN CONSTANT ROW\nSCALAR SUBQUERY 1\nSEARCH work\nSCALAR SUBQUERY 2\nSEARCH work_later";
    assert_eq!(plan_of(&connection, newest), ends);
    for (sql, wanted) in statements.into_iter().zip(wanted) {
        assert_eq!(plan_of(&connection, sql), format!("SEARCH {wanted}"), "{sql}");
    }
}

#[test]
fn what_is_due_is_walked_over_from_where_it_was_left_however_much_is_due_at_one_moment() {
    let connection = file();
    let statements = sql!["work/select_due_places", "work/select_due_places_of_tenant"];
    let indexes = [("work_later_due", "shard=?"), ("work_later_due_of_tenant", "shard=? AND tenant=?")];
    for (sql, (index, of)) in statements.into_iter().zip(indexes) {
        let search = format!("SEARCH work_later USING COVERING INDEX {index} ({of} AND due_at");
        let wanted =
            format!("MERGE (UNION ALL)\nLEFT\n{search}=? AND place>?)\nRIGHT\n{search}>? AND due_at<?)");
        assert_eq!(plan_of(&connection, sql), wanted, "{sql}");
    }
}

#[test]
fn every_table_of_work_is_listed_along_its_own_order_or_that_of_tenants() {
    let connection = file();
    let [places, of_tenant, receivers] = sql![
        "work/select_places_of_work",
        "work/select_places_of_work_of_tenant",
        "work/select_receivers_of_tenant"
    ];
    for (table, name) in [(Table::Ready, "work"), (Table::Later, "work_later"), (Table::Dead, "dead_letters")]
    {
        let wanted = format!("SEARCH {name} USING INTEGER PRIMARY KEY (rowid>?)");
        assert_eq!(plan_of(&connection, &table.sql(places)), wanted);
        if table != Table::Ready {
            let wanted = format!("SEARCH {name} USING INDEX {name}_by_tenant (tenant=? AND rowid>?)");
            assert_eq!(plan_of(&connection, &table.sql(of_tenant)), wanted);
            let wanted = format!("SEARCH {name} USING INDEX {name}_by_tenant (tenant=?)");
            assert_eq!(plan_of(&connection, &table.sql(receivers)), wanted);
        }
    }
}

#[test]
fn a_piece_and_what_blocks_it_are_looked_up() {
    let connection = file();
    let blocked = "CORRELATED SCALAR SUBQUERY 1\
                   \nSEARCH head USING INDEX work_later_heads (tenant=? AND receiver=? AND key=?)\
                   \nCORRELATED SCALAR SUBQUERY 2\
                   \nSEARCH head USING COVERING INDEX dead_letters_heads (tenant=? AND receiver=? AND key=?)";
    let [select] = sql!["work/select_work"];
    for table in [Table::Ready, Table::Later, Table::Dead] {
        let wanted = format!("SEARCH piece USING INTEGER PRIMARY KEY (rowid=?)\n{blocked}");
        assert_eq!(plan_of(&connection, &table.sql(select)), wanted);
    }
}

#[test]
fn what_settles_and_counts_goes_to_its_rows_alone() {
    let connection = file();
    let tables = [Table::Ready, Table::Later, Table::Dead];
    let of_tables =
        sql!["work/insert_work", "work/delete_work", "work/update_work", "work/update_begun_work"];
    let of_tables = tables.into_iter().flat_map(|table| of_tables.map(|sql| table.sql(sql)));
    let moves = tables.into_iter().flat_map(|from| tables.map(|to| from.copy_to(to)));
    let others = sql![
        "work/delete_work_later",
        "work/select_place_of_dead_letter",
        "work/update_replayed_work",
        "work/release_next_work",
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
        "schedules/delete_removed_schedules",
        "schedules/select_removed_revision",
        "schedules/insert_removed_schedule",
        "schedules/select_schedules",
        "schedules/select_schedules_of_tenant",
        "schedules/select_due_schedules",
        "schedules/advance_schedule",
        "checkpoints/select_stored_checkpoint",
        "checkpoints/upsert_stored_checkpoint",
        "delete_empty_commits",
    ];
    for sql in others.map(str::to_owned).into_iter().chain(of_tables).chain(moves) {
        let found = plan_of(&connection, &sql);
        let walks = found.lines().filter(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE"));
        // What a count has found is walked over, not a table.
        let walks: Vec<&str> = walks.filter(|step| !step.contains("subquery")).collect();
        assert!(walks.is_empty(), "{sql}\n{found}");
    }
}
