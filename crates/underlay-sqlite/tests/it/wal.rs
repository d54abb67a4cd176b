//! The WAL stays short, also while readers never stop, and is copied into the database at rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use underlay_core::{EventStore, ExpectedVersion, LogFilter, LogScope, Position};
use underlay_sqlite::SqliteConfig;

use crate::sample::{Place, append_many, tenant};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_wal_stays_short_while_readers_never_stop() {
    const BYTES_MAX: u64 = 512 << 10;
    let place = Place::new();
    let store = place.open_with(SqliteConfig::default().with_wal_bytes_max(BYTES_MAX));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, done) = (store.clone(), done.clone());
            tokio::spawn(async move {
                let mut after = Position::START;
                while !done.load(Ordering::Relaxed) {
                    let page = store
                        .read_all(&LogScope::EveryTenant, after, &LogFilter::default(), 500)
                        .await
                        .unwrap();
                    after = if page.at_head { Position::START } else { page.scanned_to };
                }
            })
        })
        .collect();
    let (mut written, mut longest) = (0, 0);
    for round in 0..60 {
        let commit = append_many(&format!("a-{round}"), ExpectedVersion::NoStream, 500);
        written += commit.bytes() as u64;
        store.commit(&tenant(), commit).await.unwrap();
        longest = longest.max(place.wal_bytes());
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(written > 6 * BYTES_MAX, "{written} bytes are too few to show anything");
    // One transaction may pass the limit, and a restart may have to wait a round for a reader.
    assert!(longest < 4 * BYTES_MAX, "the WAL grew to {longest} bytes");
}

#[tokio::test]
async fn at_rest_what_was_written_is_copied_into_the_database() {
    let place = Place::new();
    let store = place.open();
    // More than is worth copying, in fewer writes than are waited for.
    for round in 0..40 {
        store
            .commit(&tenant(), append_many(&format!("a-{round}"), ExpectedVersion::NoStream, 500))
            .await
            .unwrap();
    }
    let (written, deadline) = (place.wal_bytes(), Instant::now() + Duration::from_secs(30));
    assert!(written > 1_024 * 4_120, "{written} bytes are too few");
    // The file grows only by a checkpoint; nothing else is asked of the store meanwhile.
    while std::fs::metadata(place.path()).unwrap().len() < written / 4 {
        assert!(Instant::now() < deadline, "nothing was copied");
        tokio::task::yield_now().await;
    }
    // A writer that has rested sleeps on, and whoever comes calls it.
    let next = append_many("b-1", ExpectedVersion::NoStream, 1);
    tokio::time::timeout(Duration::from_secs(30), store.commit(&tenant(), next)).await.unwrap().unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn opening_moves_what_a_killed_process_left_in_the_wal_into_the_database() {
    let place = Place::new();
    let store = place.open();
    store.commit(&tenant(), append_many("a-1", ExpectedVersion::NoStream, 3)).await.unwrap();
    let left = place.copy();
    assert!(left.wal_bytes() > 0, "nothing was left");
    let opened = left.open();
    assert_eq!(left.wal_bytes(), 0);
    assert_eq!(opened.head().await.unwrap(), store.head().await.unwrap());
    // Another process that only looks is in nobody's way, and nobody waits for it.
    let reader = place.connect();
    reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    let beside = place.open();
    assert!(place.wal_bytes() > 0, "a reader keeps what it reads");
    let next = append_many("a-2", ExpectedVersion::NoStream, 1);
    beside.commit(&tenant(), next).await.unwrap();
    for store in [opened, beside, store] {
        store.close().await.unwrap();
    }
}
