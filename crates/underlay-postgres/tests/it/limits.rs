//! What happens where connections or time run out.

use std::time::Duration;

use underlay_core::{Error, EventStore, ExpectedVersion, Snapshots, Version};

use crate::place::with_place;
use crate::sample::{abandon, acme, append, begin, stream};

#[test]
fn a_pool_in_use_is_told_from_a_server_that_is_away() {
    with_place(async |place| {
        let config = place.config().with_connections_max(1).with_acquire_timeout(Duration::from_millis(500));
        // Nothing polls beside the calls of the test, but once at the start.
        let config = config.with_poll_interval(Duration::from_secs(3_600));
        let store = place.open_with(config).await;
        let owner = acme();
        store.commit(&owner, append("a-1", ExpectedVersion::Any)).await.unwrap();
        let (holder, note) = (place.admin().await, stream("a-1"));
        // What polls does not read it, and so does not wait in front of the reader.
        holder.batch_execute("BEGIN; LOCK TABLE underlay.snapshots IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let mut reading = begin(store.load_snapshot(&owner, &note));
        let second = tokio::select! {
            biased;
            read = &mut reading => panic!("it waits: {read:?}"),
            second = store.head() => second,
        };
        match second {
            Err(Error::Unavailable { reason, retry_after, overloaded }) => {
                assert!(reason.contains("connections_max = 1"), "{reason}");
                assert!(retry_after.is_some() && overloaded);
            }
            other => panic!("{other:?}"),
        }
        holder.batch_execute("COMMIT").await.unwrap();
        assert_eq!(reading.await.unwrap(), None);
        assert_eq!(store.head().await.unwrap().number(), 1);
    });
}

#[test]
fn a_statement_that_takes_too_long_is_ended() {
    with_place(async |place| {
        let store = place.open_with(place.config().with_statement_timeout(Duration::from_millis(100))).await;
        let holder = place.admin().await;
        holder.batch_execute("BEGIN; LOCK TABLE underlay.events IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let read = store.head().await;
        assert!(
            matches!(&read, Err(Error::Unavailable { reason, .. }) if reason.contains("statement timeout")),
            "{read:?}"
        );
        holder.batch_execute("COMMIT").await.unwrap();
        assert_eq!(store.head().await.unwrap().number(), 0);
    });
}

#[test]
fn a_caller_that_goes_away_leaves_a_sound_connection() {
    with_place(async |place| {
        let config = place.config().with_connections_max(1);
        let store = place.open_with(config.with_poll_interval(Duration::from_secs(3_600))).await;
        store.commit(&acme(), append("a-1", ExpectedVersion::Any)).await.unwrap();
        let (owner, name) = (acme(), stream("a-1"));
        for _ in 0..50 {
            abandon(store.read_stream(&owner, &name, Version::NONE, 1));
            // The next one goes by another tenant on the same connection.
            let other = crate::sample::tenant("globex");
            assert_eq!(store.versions(&other, std::slice::from_ref(&name)).await.unwrap(), [Version::NONE]);
        }
        let admin = place.admin().await;
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND state LIKE 'idle in transaction%'";
        store.head().await.unwrap();
        assert_eq!(admin.query_one(open, &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}
