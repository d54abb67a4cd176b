//! The file: what is refused, what is kept, what cannot be changed.

use rusqlite::Connection;
use underlay_core::adapter::ReadLimits;
use underlay_core::{
    Error, EventStore, EventStoreExt, ExpectedVersion, LogFilter, LogScope, Position, Version,
};
use underlay_sqlite::{SqliteConfig, SqliteStore};

use crate::sample::{Place, append, append_many, stream, tenant};

fn refusal(place: &Place) -> String {
    match SqliteStore::open(place.path(), SqliteConfig::default()) {
        Err(Error::Invalid(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_neither_updated_nor_deleted_nor_replaced() {
    let place = Place::new();
    let store = place.open();
    store.commit(&tenant(), append_many("a-1", ExpectedVersion::NoStream, 2)).await.unwrap();
    let other = place.connect();
    other.pragma_update(None, "recursive_triggers", "ON").unwrap();
    for sql in [
        "UPDATE events SET payload = '{}'",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events SELECT * FROM events",
        "INSERT OR REPLACE INTO events (position, tenant, stream, version, event_id, type, schema_version,
            recorded_at, commit_tail, metadata, payload)
            SELECT 99, tenant, stream, version, randomblob(16), type, 1, 0, 0, '{}', '{}' FROM events",
    ] {
        let error = other.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
    assert_eq!(store.read_stream_whole(&tenant(), &stream("a-1"), Version::NONE).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_in_the_files_a_crash_leaves() {
    let place = Place::new();
    let store = place.open();
    for number in 0..10 {
        store.commit(&tenant(), append(&format!("a-{number}"), ExpectedVersion::NoStream)).await.unwrap();
    }
    let copy = place.copy();
    let found = copy.open();
    assert_eq!(found.head().await.unwrap(), Position::from_number(10));
    assert_eq!(found.store_id(), store.store_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_must_be_there_is_never_made() {
    let place = Place::new();
    let folder = place.path().parent().unwrap();
    let existing = || SqliteStore::open_existing(place.path(), SqliteConfig::default());
    let left = || std::fs::read_dir(folder).unwrap().count();
    assert!(matches!(existing(), Err(Error::NotFound(text)) if text.contains("the file")));
    assert_eq!(left(), 0, "neither a file nor its log");
    std::fs::write(place.path(), "").unwrap();
    assert!(matches!(existing(), Err(Error::NotFound(text)) if text.contains("empty")));
    assert_eq!((left(), std::fs::metadata(place.path()).unwrap().len()), (1, 0));
    std::fs::write(place.path(), "not a database, and long enough to be read as one").unwrap();
    assert!(matches!(existing(), Err(Error::Invalid(_))), "another complaint for another mistake");

    std::fs::remove_file(place.path()).unwrap();
    let writing = place.open();
    writing.commit(&tenant(), append("a-1", ExpectedVersion::NoStream)).await.unwrap();
    // Beside a process that writes, and alone.
    let looking = existing().unwrap();
    assert_eq!(looking.head().await.unwrap(), Position::from_number(1));
    drop((writing, looking));
    assert_eq!(existing().unwrap().head().await.unwrap(), Position::from_number(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_empties_the_wal_and_answers_later_calls() {
    let place = Place::new();
    let store = place.open();
    let handle = store.clone();
    store.commit(&tenant(), append("a-1", ExpectedVersion::Any)).await.unwrap();
    assert!(place.wal_bytes() > 0);
    store.close().await.unwrap();
    assert_eq!(place.wal_bytes(), 0);
    store.close().await.unwrap();
    let commit = handle.commit(&tenant(), append("a-1", ExpectedVersion::Any)).await;
    assert!(matches!(commit, Err(Error::Unavailable { .. })), "{commit:?}");
    let read = handle.head().await;
    assert!(matches!(read, Err(Error::Unavailable { .. })), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_last_handle_closes_the_store() {
    let place = Place::new();
    let store = place.open();
    let id = store.store_id();
    store.commit(&tenant(), append("a-1", ExpectedVersion::Any)).await.unwrap();
    drop(store);
    assert_eq!(place.wal_bytes(), 0);
    let store = place.open();
    assert_eq!(store.store_id(), id);
    assert_eq!(store.head().await.unwrap(), Position::from_number(1));
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let place = Place::new();
    let text = "A text of more than one hundred bytes, so that it is not taken for the header of an empty \
                database that was cut short.";
    std::fs::write(place.path(), text).unwrap();
    let refusal = refusal(&place);
    assert!(refusal.contains("is not an SQLite database"), "{refusal}");
    assert_eq!(std::fs::read_to_string(place.path()).unwrap(), text);
}

#[test]
fn a_database_of_another_application_is_refused_and_left_as_it_is() {
    for sql in ["CREATE TABLE theirs (a)", "PRAGMA application_id = 7"] {
        let place = Place::new();
        place.connect().execute_batch(sql).unwrap();
        let before = std::fs::read(place.path()).unwrap();
        let refusal = refusal(&place);
        assert!(refusal.contains("another application"), "{refusal}");
        assert_eq!(std::fs::read(place.path()).unwrap(), before, "{sql}");
    }
}

#[test]
fn a_missing_folder_is_named() {
    let place = Place::new();
    let path = place.path().join("deeper/store.db");
    let error = SqliteStore::open(&path, SqliteConfig::default()).unwrap_err();
    assert!(error.to_string().contains("deeper"), "{error}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let place = Place::new();
    let no_queries = ReadLimits { running_max: 0, ..ReadLimits::default() };
    for (config, name) in [
        (SqliteConfig::default().with_readers_max(0), "readers_max"),
        (SqliteConfig::default().with_query_limits(no_queries), "query_connections_max"),
        (SqliteConfig::default().with_view_writes_max(0), "view_writes_max"),
        (SqliteConfig::default().with_wal_bytes_max(1), "wal_bytes_max"),
        (SqliteConfig::default().with_poll_interval(std::time::Duration::ZERO), "poll_interval"),
        (SqliteConfig::default().with_busy_timeout(std::time::Duration::MAX), "busy_timeout"),
    ] {
        let error = SqliteStore::open(place.path(), config).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let place = Place::new();
    drop(place.open());
    let newer = "INSERT INTO migrations VALUES (99, 'from_the_future', x'00', 0)";
    place.connect().execute_batch(newer).unwrap();
    let refusal = refusal(&place);
    assert!(refusal.contains("newer program") && refusal.contains("from_the_future"), "{refusal}");
}

#[test]
fn a_migration_with_other_content_is_refused() {
    let place = Place::new();
    drop(place.open());
    place.connect().execute_batch("UPDATE migrations SET checksum = x'00' WHERE number = 1").unwrap();
    let refusal = refusal(&place);
    assert!(refusal.contains("migration 1 (tables) was applied with other content"), "{refusal}");
}

#[test]
fn missing_migrations_are_applied() {
    let place = Place::new();
    drop(place.open());
    let count = || -> i64 {
        place.connect().query_row("SELECT count(*) FROM migrations", [], |row| row.get(0)).unwrap()
    };
    let all = count();
    let back_to_the_first = "DELETE FROM migrations WHERE number > 1;
        DROP TRIGGER events_are_not_updated; DROP TRIGGER events_are_not_deleted;
        DROP TABLE work; DROP TABLE work_later; DROP TABLE dead_letters; DROP TABLE work_shards;
        DROP TABLE workers; DROP TABLE schedules; DROP TABLE removed_schedules; DROP TABLE checkpoints;
        DROP TABLE view_orders; DROP TABLE work_scheduler; DROP TABLE entities";
    place.connect().execute_batch(back_to_the_first).unwrap();
    assert_eq!(count(), 1);
    drop(place.open());
    assert_eq!(count(), all);
    let triggers = "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'";
    assert_eq!(place.connect().query_row(triggers, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
}

#[test]
fn many_openers_of_a_new_file_agree() {
    let place = Place::new();
    let ids: Vec<_> = std::thread::scope(|scope| {
        let open = || scope.spawn(|| place.open().store_id());
        let openers: Vec<_> = (0..8).map(|_| open()).collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_by_position() {
    for (damage, part) in [
        ("UPDATE events SET tenant = '' WHERE position = 2", "position 2"),
        ("UPDATE events SET stream = 'nodash' WHERE position = 2", "position 2"),
        ("UPDATE events SET event_id = x'00' WHERE position = 2", "position 2"),
        ("UPDATE events SET type = CAST(x'ff' AS TEXT) WHERE position = 2", "position 2"),
        ("UPDATE events SET schema_version = -1 WHERE position = 2", "position 2"),
        ("UPDATE events SET recorded_at = 9223372036854775807 WHERE position = 2", "position 2"),
        ("UPDATE events SET encoding = CAST(x'ff' AS TEXT) WHERE position = 2", "position 2"),
        ("UPDATE events SET key_id = CAST(x'ff' AS TEXT) WHERE position = 2", "position 2"),
        ("UPDATE events SET commit_tail = 1 WHERE position = 3", "position 3"),
    ] {
        let place = Place::new();
        let store = place.open();
        store.commit(&tenant(), append_many("a-1", ExpectedVersion::NoStream, 3)).await.unwrap();
        let other: Connection = place.connect();
        other.execute_batch("DROP TRIGGER events_are_not_updated").unwrap();
        other.execute_batch(damage).unwrap();
        let page = store.read_all(&LogScope::EveryTenant, Position::START, &LogFilter::default(), 10).await;
        match page {
            Err(Error::Damaged(text)) => assert!(text.contains(part), "{damage}: {text}"),
            other => panic!("{damage}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_file_exchanged_under_the_process_is_noticed_and_one_put_back_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tenant = underlay_testkit::sample::tenant("acme");
    let stream = underlay_testkit::sample::stream("note-1");
    let write = || underlay_testkit::sample::write(&stream, ExpectedVersion::Any, 1);
    let store = SqliteStore::open(path("log.db"), SqliteConfig::default()).unwrap();
    store.commit(&tenant, write()).await.unwrap();
    let other = SqliteStore::open(path("other.db"), SqliteConfig::default()).unwrap();
    other.close().await.unwrap();

    std::fs::rename(path("log.db"), path("away.db")).unwrap();
    std::fs::rename(path("other.db"), path("log.db")).unwrap();
    let into_the_moved_file = write();
    let answer = store.commit(&tenant, into_the_moved_file.clone()).await.err();
    // It is in the file that was moved away, which may be put back or not.
    assert!(matches!(answer, Some(Error::Uncertain { .. })), "{answer:?}");
    for answer in [answer, store.head().await.err()] {
        let told = answer.expect("nothing is acknowledged into a file that was moved away").to_string();
        assert!(told.contains("was exchanged or moved under this process"), "{told}");
    }

    std::fs::rename(path("log.db"), path("other.db")).unwrap();
    std::fs::rename(path("away.db"), path("log.db")).unwrap();
    // The writer looks again after a pause; until then it says that it is not there.
    while let Err(error) = store.commit(&tenant, write()).await {
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        tokio::task::yield_now().await;
    }
    assert!(store.commit(&tenant, into_the_moved_file).await.unwrap().repeated, "the file tells the truth");
    store.close().await.unwrap();
}
