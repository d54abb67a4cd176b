//! Files that SQLite finds in order, with values in them that no program of ours writes.

use rusqlite::Connection;
use underlay_core::{CommitId, Error};

use crate::sample::Place;
use crate::survey::{Complaint, fill, survey};

/// A file with something of everything in it, and the ids of its commits.
struct Sound {
    bytes: Vec<u8>,
    ids: Vec<CommitId>,
}

impl Sound {
    async fn new() -> Self {
        let place = Place::new();
        let store = place.open();
        let ids = fill(&store).await;
        store.close().await.unwrap();
        Self { bytes: std::fs::read(place.path()).unwrap(), ids }
    }

    fn copy(&self) -> Copied {
        let place = Place::new();
        std::fs::write(place.path(), &self.bytes).unwrap();
        Copied { place, ids: self.ids.clone() }
    }
}

struct Copied {
    place: Place,
    ids: Vec<CommitId>,
}

impl Copied {
    /// Writes past every guard the file has: triggers, checks and the types of STRICT tables.
    fn write(&self, sql: &str) {
        let connection = self.place.connect();
        connection
            .execute_batch(
                "DROP TRIGGER IF EXISTS events_are_not_updated;
                 DROP TRIGGER IF EXISTS events_are_not_deleted;
                 PRAGMA writable_schema = ON;
                 UPDATE sqlite_schema SET sql = replace(sql, ') STRICT, WITHOUT', ') WITHOUT');
                 UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')');
                 UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') WHERE type = 'table';
                 PRAGMA writable_schema = RESET;",
            )
            .unwrap();
        drop(connection);
        let connection: Connection = self.place.connect();
        connection.pragma_update(None, "ignore_check_constraints", "ON").unwrap();
        connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn survey(&self) -> Vec<Complaint> {
        survey(self.place.path(), &self.ids).await
    }
}

/// Whether a call said `Damaged`, and named the place.
fn is_named(complaints: &[Complaint], call: &str, part: &str) -> bool {
    complaints
        .iter()
        .any(|(asked, error)| *asked == call && matches!(error, Error::Damaged(text) if text.contains(part)))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_program_of_ours_writes_is_damage_with_a_place() {
    let sound = Sound::new().await;
    let mut unnamed = Vec::new();
    for (sql, call, part) in [
        // Events of other types and out of every range.
        ("UPDATE events SET tenant = NULL WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET tenant = '' WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET tenant = x'ff' WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET stream = zeroblob(10) WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET stream = CAST(x'612dff' AS TEXT) WHERE position = 5", "read_all", "position 5"),
        (
            "UPDATE events SET stream = replace(hex(zeroblob(50000)), '0', 'x') WHERE position = 5",
            "read_all",
            "position 5",
        ),
        ("UPDATE events SET stream = 'A-1' WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET version = -7 WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET version = 'two' WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET version = 1.5 WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET event_id = 'not a blob' WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET event_id = x'00112233' WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET event_id = zeroblob(17) WHERE position = 6", "event_id_at", "position 6"),
        ("UPDATE events SET type = '' WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET type = 'drop table' WHERE position = 5", "read_all", "position 5"),
        (
            "UPDATE events SET type = replace(hex(zeroblob(50000)), '0', ' ') WHERE position = 5",
            "read_all",
            "position 5",
        ),
        ("UPDATE events SET schema_version = 4294967296 WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET schema_version = 'one' WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET recorded_at = 'noon' WHERE position = 6", "read_all", "position 6"),
        (
            "UPDATE events SET recorded_at = -9223372036854775808 WHERE position = 6",
            "position_at",
            "position 6",
        ),
        ("UPDATE events SET recorded_at = 'noon' WHERE position = 6", "position_at", "position 6"),
        ("UPDATE events SET commit_tail = 4294967296 WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET commit_tail = -1 WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET commit_tail = 'x' WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET encoding = CAST(x'ff' AS TEXT) WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET encoding = 'x', key_id = x'00' WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET encoding = x'00' WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET payload = NULL WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET payload = CAST(x'22ff22' AS TEXT) WHERE position = 5", "read_all", "position 5"),
        ("UPDATE events SET metadata = zeroblob(2) WHERE position = 5", "read_all", "position 5"),
        // Commits whose ends are elsewhere than the tails say.
        ("UPDATE events SET commit_tail = 3 WHERE position = 5", "read_all", "position 6"),
        ("UPDATE events SET commit_tail = 1 WHERE position = 6", "read_all", "position 6"),
        ("UPDATE events SET commit_tail = 4294967295 WHERE position = 11", "read_all", "position 12"),
        ("UPDATE events SET commit_tail = 1 WHERE position = 12", "read_all", "position 12"),
        // Holes in the log, and in a stream.
        ("DELETE FROM events WHERE position = 5", "read_all", "position 5"),
        ("DELETE FROM events WHERE position BETWEEN 5 AND 6", "read_all", "position 5"),
        ("DELETE FROM events WHERE position = 1", "read_all", "position 1"),
        ("UPDATE events SET version = 9 WHERE stream = 'a-1' AND version = 2", "read_stream", "a-1"),
        ("DELETE FROM events WHERE stream = 'a-1' AND version < 3", "read_stream", "a-1"),
        // The end of the log.
        (
            "UPDATE events SET position = 9223372036854775807 WHERE position = 12",
            "commit",
            "9223372036854775807",
        ),
        ("UPDATE events SET position = position - 1000", "open", "-988"),
        ("UPDATE events SET position = -5 WHERE position = 5", "read_stream", "position -5"),
        ("UPDATE events SET recorded_at = 'noon' WHERE position = 12", "commit", "position 12"),
        (
            "UPDATE events SET version = -4 WHERE stream = 'a-1' AND version = 4;
          DELETE FROM events WHERE stream = 'a-1' AND version > 0",
            "versions",
            "a-1",
        ),
        ("UPDATE events SET version = 'x' WHERE stream = 'a-1' AND version = 4", "versions", "a-1"),
        (
            "UPDATE events SET version = 9223372036854775807 WHERE stream = 'a-1' AND version = 4",
            "read_stream",
            "a-1",
        ),
        // Outcomes.
        ("UPDATE commits SET kind = 'postponed'", "find_commit", "postponed"),
        ("UPDATE commits SET kind = NULL", "find_commit", "commit "),
        ("UPDATE commits SET kind = x'00'", "read_commits", "commit "),
        ("UPDATE commits SET kind = 'refused'", "find_commit", "commit "),
        ("UPDATE commits SET message = x'ff'", "find_commit", "commit "),
        ("UPDATE commits SET body = CAST(x'ff' AS TEXT)", "find_commit", "commit "),
        ("UPDATE commits SET fingerprint = x'00'", "find_commit", "commit "),
        ("UPDATE commits SET fingerprint = 'text'", "read_commits", "commit "),
        ("UPDATE commits SET position = -1", "find_commit", "commit "),
        ("UPDATE commits SET position = 'x'", "find_commit", "commit "),
        ("UPDATE commits SET position = 9223372036854775807", "find_commit", "commit "),
        ("UPDATE commits SET position = position + 1", "find_commit", "commit "),
        ("UPDATE commits SET event_count = -1", "find_commit", "commit "),
        ("UPDATE commits SET event_count = 3", "find_commit", "commit "),
        ("UPDATE commits SET event_count = 9223372036854775807", "find_commit", "commit "),
        ("UPDATE commits SET event_count = -9223372036854775808", "read_commits", "commit "),
        ("UPDATE commits SET recorded_at = 9223372036854775807", "find_commit", "commit "),
        ("UPDATE commits SET tenant = ''", "read_commits", "commit "),
        ("UPDATE commits SET commit_id = x'00' WHERE sequence = 2", "read_commits", "sequence 2"),
        // Views.
        (
            "UPDATE views SET generation = -1; UPDATE view_generations SET generation = -1",
            "views",
            "balances",
        ),
        (
            "UPDATE views SET generation = 'x'; UPDATE view_generations SET generation = 'x'",
            "prepare",
            "balances",
        ),
        ("UPDATE views SET last_generation = 4294967295", "begin_generation", "balances"),
        ("UPDATE view_generations SET fingerprint = x'00'", "views", "balances"),
        ("UPDATE view_generations SET fingerprint = NULL", "prepare", "balances"),
        ("UPDATE view_generations SET store_id = 'x'", "checkpoint", "balances"),
        ("UPDATE view_generations SET store_id = NULL", "views", "balances"),
        ("UPDATE view_generations SET position = -1", "checkpoint", "balances"),
        ("UPDATE view_generations SET position = 'x'", "query", "balances"),
        ("UPDATE view_generations SET event_id = x'00'", "checkpoint", "balances"),
        ("UPDATE view_balances_1 SET amount = 'lots' WHERE key = 'k1'", "load", "amount"),
        ("UPDATE view_balances_1 SET amount = '2' || hex(zeroblob(100))", "query", "amount"),
        ("UPDATE view_balances_1 SET \"order\" = 1.5", "load", "order"),
        ("UPDATE view_balances_1 SET opened_at = -9223372036854775808", "load", "opened_at"),
        ("UPDATE view_balances_1 SET note = x'ff'", "load", "note"),
        ("UPDATE view_balances_1 SET \"key\" = x'ff' WHERE \"key\" = 'k1'", "query", "balances"),
        // Entities.
        ("UPDATE entities SET definition = 'x'", "prepare_entity", "rate"),
        ("UPDATE entities SET definition = x'ff'", "prepare_entity", "rate"),
        ("UPDATE entities SET definition = NULL", "prepare_entity", "rate"),
        (
            "UPDATE entity_rate SET amount = 'lots' WHERE \"key\" = 'a'",
            "load_entities",
            "rate \"a\": column amount",
        ),
        (
            "UPDATE entity_rate SET pair = x'ff' WHERE \"key\" = 'a'",
            "query_entities",
            "rate \"a\": column pair",
        ),
        ("UPDATE entity_rate SET note = x'ff'", "load_entities", "column note"),
        ("UPDATE entity_rate SET version = 0", "load_entities", "rate \"a\""),
        ("UPDATE entity_rate SET version = -1", "apply_entities", "rate \"a\""),
        ("UPDATE entity_rate SET version = 'x'", "query_entities", "version"),
        ("UPDATE entity_rate SET \"key\" = x'ff' WHERE \"key\" = 'a'", "query_entities", "entity_rate"),
        // Snapshots.
        ("UPDATE snapshots SET version = -1", "load_snapshot", "a-1"),
        ("UPDATE snapshots SET event_id = 'x'", "load_snapshot", "a-1"),
        ("UPDATE snapshots SET fingerprint = x'00'", "load_snapshot", "a-1"),
        ("UPDATE snapshots SET state = CAST(x'ff' AS TEXT)", "load_snapshot", "a-1"),
        // Work.
        ("UPDATE work SET tenant = NULL", "list_work", "the work at place"),
        ("UPDATE work SET shard = 99", "find_work", "no shard 99"),
        ("UPDATE work SET lane = 7", "list_work", "no lane 7"),
        ("UPDATE work SET kind = 'wish'", "queue_depths", "wish"),
        ("UPDATE work SET receiver = x'ff'", "queue_depths", "the work at place"),
        ("UPDATE work SET work_id = x'00'", "read_work", "the work at place"),
        ("UPDATE work SET commit_id = 'x'", "list_work", "the work at place"),
        ("UPDATE work SET version = -1", "read_work", "the work at place"),
        ("UPDATE work SET sent_at = 'noon'", "list_work", "the work at place"),
        ("UPDATE work SET payload = NULL", "read_work", "the work at place"),
        ("UPDATE work SET metadata = x'00'", "list_work", "the work at place"),
        ("UPDATE work_later SET due_at = 'soon'", "read_due", "the work at place"),
        ("UPDATE work_later SET attempts = 4294967296", "list_work", "past its range"),
        ("UPDATE work_later SET last_error = x'00'", "list_work", "the work at place"),
        ("UPDATE work_later SET kind = 7", "queue_depths", "mail"),
        ("UPDATE dead_letters SET died_at = 9223372036854775807", "list_work", "range of times"),
        ("UPDATE dead_letters SET died_at = NULL", "list_work", "the work at place"),
        ("UPDATE dead_letters SET holds = 'yes'", "list_work", "the work at place"),
        (
            "UPDATE commits SET sequence = 9223372036854775807 WHERE event_count = 0 AND kind = 'accepted'",
            "find_work",
            "sequence 9223372036854775807",
        ),
        ("UPDATE work_shards SET shard = 99 WHERE shard = 3", "share", "no shard 99"),
        ("UPDATE work_shards SET term = -1", "share", "work_shards"),
        ("UPDATE work_shards SET worker = x'00'", "share", "work_shards"),
        ("UPDATE work_shards SET expires_at = 'noon'", "share", "work_shards"),
        ("UPDATE work_shards SET normal_cursor = -5", "share", "work_shards"),
        ("UPDATE workers SET id = x'00'", "share", "workers"),
        // Schedules and checkpoints.
        ("UPDATE schedules SET definition = x'ff'", "list_schedules", "monthly"),
        ("UPDATE schedules SET revision = -1", "due_schedules", "monthly"),
        ("UPDATE schedules SET next_due_at = 'noon'", "list_schedules", "monthly"),
        ("UPDATE schedules SET tenant = ''", "due_schedules", "monthly"),
        ("UPDATE checkpoints SET position = -1", "find_checkpoint", "pump"),
        ("UPDATE checkpoints SET store_id = 'x'", "list_checkpoints", "pump"),
        ("UPDATE checkpoints SET definition = NULL", "move_checkpoint", "pump"),
        // What is read at opening.
        ("UPDATE store SET id = x'00'", "open", "store.db"),
        ("UPDATE store SET id = NULL", "open", "store.db"),
        ("DELETE FROM store", "open", "store.db"),
        ("UPDATE migrations SET checksum = 7 WHERE number = 1", "open", "store.db"),
        ("UPDATE migrations SET name = x'ff' WHERE number = 1", "open", "store.db"),
        ("UPDATE migrations SET number = 9 WHERE number = 2", "open", "store.db"),
    ] {
        let copied = sound.copy();
        copied.write(sql);
        let complaints = copied.survey().await;
        if !is_named(&complaints, call, part) {
            unnamed.push(format!("{sql}: {call} does not name {part:?}: {complaints:#?}"));
        }
    }
    assert!(unnamed.is_empty(), "{}", unnamed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_from_sound_values_is_read_as_it_is() {
    let sound = Sound::new().await;
    for sql in [
        // A type's version is the decoder's to judge; so is a payload, and a state.
        "UPDATE events SET schema_version = 0",
        "UPDATE events SET payload = '{\"cut\":' WHERE position = 5",
        "UPDATE events SET payload = ''",
        // What an encoding is, its reader knows.
        "UPDATE events SET encoding = 7 WHERE position = 5",
        "UPDATE events SET encoding = 'sealed', key_id = 'member-42'",
        "UPDATE events SET payload = replace(hex(zeroblob(20000000)), '0', 'x') WHERE position = 5",
        "UPDATE events SET metadata = '[['",
        "UPDATE snapshots SET state = 'not json'",
        "UPDATE snapshots SET version = 9223372036854775807",
        "UPDATE commits SET body = '{' WHERE kind = 'refused'",
        "UPDATE commits SET code = '', message = '' WHERE kind = 'refused'",
        "UPDATE view_balances_1 SET note = replace(hex(zeroblob(1000000)), '0', 'x')",
        "UPDATE entity_rate SET note = replace(hex(zeroblob(1000000)), '0', 'x')",
    ] {
        let copied = sound.copy();
        copied.write(sql);
        let mut complaints = copied.survey().await;
        // Its table is not STRICT any more.
        complaints.retain(|(call, _)| *call != "prepare_entity");
        // An import judges what it is given.
        complaints.retain(|(call, error)| *call != "import_commits" || !matches!(error, Error::Invalid(_)));
        assert!(complaints.is_empty(), "{sql}: {complaints:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_not_ours_are_errors_and_no_panic() {
    let sound = Sound::new().await;
    for sql in [
        "DROP TABLE events",
        "DROP TABLE commits",
        "DROP TABLE store",
        "DROP TABLE views",
        "DROP TABLE view_generations",
        "DROP TABLE view_balances_1",
        "DROP TABLE snapshots",
        "DROP TABLE migrations",
        "DROP TABLE entities",
        "DROP TABLE entity_rate",
        "DROP TABLE work",
        "DROP TABLE work_later",
        "DROP TABLE dead_letters",
        "DROP TABLE work_shards",
        "DROP TABLE schedules",
        "DROP INDEX work_in_order",
        "DROP INDEX events_by_stream",
        "ALTER TABLE events DROP COLUMN payload",
        "ALTER TABLE events RENAME COLUMN tenant TO owner",
        "ALTER TABLE commits DROP COLUMN code",
        "DROP TABLE events; CREATE VIEW events AS SELECT * FROM commits",
        "DROP TABLE store; CREATE TABLE store (only_one INTEGER)",
        "CREATE TRIGGER theirs AFTER INSERT ON events BEGIN SELECT RAISE(ABORT, 'theirs'); END",
        "CREATE TRIGGER theirs AFTER INSERT ON commits BEGIN DELETE FROM snapshots; END",
        "PRAGMA user_version = 99",
    ] {
        let copied = sound.copy();
        let allowed = copied.place.connect().execute_batch(sql).is_ok();
        let complaints = copied.survey().await;
        let harmless = sql.contains("user_version") || sql.contains("DELETE FROM snapshots");
        let expected = allowed && !harmless && !sql.contains("DROP INDEX");
        assert_eq!(!complaints.is_empty(), expected, "{sql}: {complaints:#?}");
    }
}
