//! An older copy of the database comes back under a store that is open.

use std::time::Duration;

use underlay_core::{Commit, Error, EventStore, EventStoreExt, ExpectedVersion, Leases, Position, Version};
use underlay_postgres::{Listen, PostgresStore};

use crate::place::{Place, with_place};
use crate::sample::{acme, append, append_many, stream};

const LEASE: Duration = Duration::from_secs(60);

/// Takes the last events out of the log, past everything that forbids it, and ends every session: what
/// a restored backup looks like.
async fn go_back_to(place: &Place, position: i64) {
    cut(place, position).await;
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND usename = '{}'",
        place.login()
    );
    place.admin().await.batch_execute(&end).await.unwrap();
}

/// The same with every session left as it is: what it looks like behind a pooler.
async fn cut(place: &Place, position: i64) {
    let cut = format!(
        "SET session_replication_role = replica; \
         DELETE FROM underlay.commits WHERE position > {position}; \
         DELETE FROM underlay.events WHERE position > {position}"
    );
    place.admin().await.batch_execute(&cut).await.unwrap();
}

/// Commits until the answer is another than that of a connection that was lost.
async fn answer(store: &PostgresStore, commit: &Commit) -> Result<Position, Error> {
    loop {
        match store.commit(&acme(), commit.clone()).await {
            Err(Error::Unavailable { reason, .. }) if reason.contains("restored") => {
                return Err(Error::unavailable(reason));
            }
            Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
            answer => return answer.map(|committed| committed.position),
        }
    }
}

async fn write(store: &PostgresStore, events: u64) {
    for version in 0..events {
        let commit = append("a-1", ExpectedVersion::Exact(Version(version)));
        store.commit(&acme(), commit).await.unwrap();
    }
}

#[test]
fn a_store_does_not_write_on_a_log_that_is_older_than_it() {
    with_place(async |place| {
        let store = place.open().await;
        write(&store, 3).await;
        go_back_to(&place, 2).await;
        let refused = answer(&store, &append("b-1", ExpectedVersion::Any)).await.unwrap_err().to_string();
        assert!(refused.contains("start this process again"), "{refused}");
        let head = store.head().await.unwrap_err().to_string();
        assert!(head.contains("restored"), "{head}");
        // It keeps no view from those that can go on.
        let held = store.acquire("view/a", "here", LEASE).await.unwrap_err().to_string();
        assert!(held.contains("restored"), "{held}");
        // A new process has seen nothing else.
        let store = place.open().await;
        let position = answer(&store, &append("b-1", ExpectedVersion::Any)).await.unwrap();
        assert_eq!(position, Position::from_number(3));
        assert!(store.acquire("view/a", "there", LEASE).await.unwrap().is_some());
    });
}

#[test]
fn the_same_version_by_other_events_is_noticed() {
    with_place(async |place| {
        let (writer, reader) = (place.open().await, place.open().await);
        write(&writer, 3).await;
        // What it decides by was read, not written.
        let events = reader.read_stream_whole(&acme(), &stream("a-1"), Version::NONE).await.unwrap();
        assert_eq!(events.len(), 3);
        go_back_to(&place, 2).await;
        let other = place.open().await;
        let commit = append("a-1", ExpectedVersion::Exact(Version(2)));
        answer(&other, &commit).await.unwrap();
        let commit = append("a-1", ExpectedVersion::Exact(Version(3)));
        let refused = answer(&reader, &commit).await.unwrap_err().to_string();
        assert!(refused.contains("restored"), "{refused}");
    });
}

#[test]
fn a_log_that_only_grew_is_the_same() {
    with_place(async |place| {
        let (here, there) = (place.open().await, place.open().await);
        write(&here, 3).await;
        answer(&there, &append("b-1", ExpectedVersion::Any)).await.unwrap();
        go_back_to(&place, 4).await;
        assert_eq!(
            answer(&here, &append("b-2", ExpectedVersion::Any)).await.unwrap(),
            Position::from_number(5)
        );
        assert_eq!(here.head().await.unwrap(), Position::from_number(5));
    });
}

#[test]
fn a_server_that_is_swapped_between_two_batches_is_noticed_by_the_second() {
    with_place(async |place| {
        // Nothing but the call that writes looks at the log.
        let config = place.config().with_listen(Listen::Off).with_poll_interval(Duration::from_secs(3_600));
        for events in [1, 3] {
            let store = place.open_with(config.clone()).await;
            let stream = format!("a-{events}");
            for _ in 0..3 {
                store.commit(&acme(), append(&stream, ExpectedVersion::Any)).await.unwrap();
            }
            let before = store.head().await.unwrap().number();
            cut(&place, i64::try_from(before).unwrap() - 1).await;
            // It is there by other events, and no expectation would notice.
            let other = place.open_with(config.clone()).await;
            let exact = ExpectedVersion::Exact;
            other.commit(&acme(), append(&stream, exact(Version(2)))).await.unwrap();
            let late = append_many(&stream, exact(Version(3)), events);
            for _ in 0..2 {
                let refused = store.commit(&acme(), late.clone()).await.unwrap_err();
                let told = refused.to_string();
                assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
                assert!(told.contains("start this process again"), "{told}");
            }
            assert_eq!(other.find_commit(&acme(), late.id).await.unwrap(), None);
            assert_eq!(other.head().await.unwrap().number(), before);
            // What was only written by others since does no harm.
            let store = place.open_with(config.clone()).await;
            store.commit(&acme(), append(&stream, ExpectedVersion::Any)).await.unwrap();
            other.commit(&acme(), append(&stream, ExpectedVersion::Any)).await.unwrap();
            store.commit(&acme(), late).await.unwrap_err();
            store.commit(&acme(), append_many(&stream, ExpectedVersion::Any, events)).await.unwrap();
        }
    });
}
