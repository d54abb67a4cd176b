//! Two stores on one file, as two processes have them.

use std::time::Duration;

use underlay_core::{
    Error, EventStore, EventStoreExt, ExpectedVersion, LogFilter, LogScope, Position, Version, Wakeups,
};
use underlay_sqlite::SqliteConfig;

use crate::sample::{Place, append, stream, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_and_repeats_hold_between_processes() {
    let place = Place::new();
    let (here, there) = (place.open(), place.open());
    assert_eq!(here.store_id(), there.store_id());
    let commit = append("a-1", ExpectedVersion::NoStream);
    let first = here.commit(&tenant(), commit.clone()).await.unwrap();
    let again = there.commit(&tenant(), commit.clone()).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.position, first.position);
    let conflict = there.commit(&tenant(), append("a-1", ExpectedVersion::NoStream)).await;
    assert!(matches!(conflict, Err(Error::Conflict(conflict)) if conflict.actual == Version(1)));
    let mut other = append("a-2", ExpectedVersion::NoStream);
    other.id = commit.id;
    assert!(matches!(there.commit(&tenant(), other).await, Err(Error::IdReused(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_in_two_processes_lose_nothing_and_starve_nobody() {
    const WRITERS: u64 = 4;
    const ROUNDS: u64 = 25;
    let place = Place::new();
    let stores = [place.open(), place.open()];
    let tasks: Vec<_> = (0..2 * WRITERS)
        .map(|writer| {
            let store = stores[usize::from(writer >= WRITERS)].clone();
            tokio::spawn(async move {
                let mut version = Version::NONE;
                for _ in 0..ROUNDS {
                    loop {
                        let commit = append("shared-1", ExpectedVersion::Exact(version));
                        match store.commit(&tenant(), commit).await {
                            Ok(committed) => {
                                version = committed.versions[0].version;
                                break;
                            }
                            Err(Error::Conflict(conflict)) => version = conflict.actual,
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let events = stores[1].read_stream_whole(&tenant(), &stream("shared-1"), Version::NONE).await.unwrap();
    let versions: Vec<u64> = events.iter().map(|event| event.version.0).collect();
    let expected: Vec<u64> = (1..=2 * WRITERS * ROUNDS).collect();
    assert_eq!(versions, expected);
    let positions: Vec<u64> = events.iter().map(|event| event.position.number()).collect();
    assert_eq!(positions, expected, "positions have no holes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_another_process_wakes() {
    let place = Place::new();
    let config = SqliteConfig::default().with_poll_interval(Duration::from_millis(5));
    let (here, there) = (place.open_with(config), place.open());
    for number in 1..=3 {
        let mut wakeup = here.subscribe();
        there.commit(&tenant(), append("a-1", ExpectedVersion::Any)).await.unwrap();
        tokio::time::timeout(Duration::from_secs(20), wakeup.hint()).await.expect("a hint");
        let after = Position::from_number(number - 1);
        let page = here.read_all(&LogScope::EveryTenant, after, &LogFilter::default(), 10).await.unwrap();
        assert_eq!(page.events.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_wakes_its_own_process_at_once() {
    let place = Place::new();
    let store = place.open_with(SqliteConfig::default().with_poll_interval(Duration::from_secs(3_600)));
    let mut wakeup = store.subscribe();
    store.commit(&tenant(), append("a-1", ExpectedVersion::Any)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), wakeup.hint()).await.expect("a hint");
}
