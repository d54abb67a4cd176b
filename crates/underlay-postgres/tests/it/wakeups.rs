//! Hints between processes, with and without LISTEN, and after its connection was lost.

use std::time::Duration;

use underlay_core::{EventStore, ExpectedVersion, LogFilter, LogScope, Position, Wakeup, Wakeups};
use underlay_postgres::{Listen, PostgresStore};

use crate::place::{Place, with_place};
use crate::sample::{acme, append};

/// So long that only a hint can be in time.
const NEVER: Duration = Duration::from_secs(3_600);

async fn hinted(wakeup: &mut Wakeup) {
    tokio::time::timeout(Duration::from_secs(30), wakeup.hint()).await.expect("a hint");
}

async fn write(store: &PostgresStore) {
    store.commit(&acme(), append("a-1", ExpectedVersion::Any)).await.unwrap();
}

/// Waits until so many sessions listen.
async fn listening(place: &Place, sessions: i64) {
    let admin = place.admin().await;
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND query LIKE 'LISTEN%' AND state = 'idle'";
    while admin.query_one(count, &[]).await.unwrap().get::<_, i64>(0) < sessions {}
}

#[test]
fn a_commit_wakes_its_own_process_and_others() {
    with_place(async |place| {
        let config = || place.config().with_poll_interval(NEVER);
        let (here, there) = (place.open_with(config()).await, place.open_with(config()).await);
        listening(&place, 2).await;
        for number in 1..=3 {
            let (mut near, mut far) = (there.subscribe(), here.subscribe());
            write(&there).await;
            hinted(&mut near).await;
            hinted(&mut far).await;
            let after = Position::from_number(number - 1);
            let page = here.read_all(&LogScope::EveryTenant, after, &LogFilter::default(), 10).await.unwrap();
            assert_eq!(page.events.len(), 1);
        }
    });
}

#[test]
fn polling_alone_finds_the_same() {
    with_place(async |place| {
        let config = place.config().with_listen(Listen::Off).with_poll_interval(Duration::from_millis(5));
        let (here, there) = (place.open_with(config).await, place.open().await);
        for _ in 0..3 {
            let mut wakeup = here.subscribe();
            write(&there).await;
            hinted(&mut wakeup).await;
        }
    });
}

#[test]
fn a_lost_listener_comes_back() {
    with_place(async |place| {
        let config = || place.config().with_poll_interval(Duration::from_millis(200));
        let (here, there) = (place.open_with(config()).await, place.open_with(config()).await);
        listening(&place, 2).await;
        let admin = place.admin().await;
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        assert_eq!(admin.execute(kill, &[]).await.unwrap(), 2);
        listening(&place, 2).await;
        let mut wakeup = here.subscribe();
        write(&there).await;
        hinted(&mut wakeup).await;
    });
}

#[test]
fn listening_elsewhere_is_an_address_of_its_own() {
    with_place(async |place| {
        let listen = Listen::At(place.login_address());
        let here = place.open_with(place.config().with_listen(listen).with_poll_interval(NEVER)).await;
        let there = place.open_with(place.config().with_listen(Listen::Off)).await;
        listening(&place, 1).await;
        let mut wakeup = here.subscribe();
        write(&there).await;
        hinted(&mut wakeup).await;
    });
}

#[test]
fn hints_that_come_close_together_are_few() {
    with_place(async |place| {
        let config = place.config().with_notify_interval(Duration::from_secs(3_600));
        let store = place.open_with(config).await;
        let listener = place.admin_listening("underlay").await;
        for _ in 0..50 {
            write(&store).await;
        }
        listener.first().await;
        assert_eq!(listener.count(), 1, "one hint for the first commit; the rest wait for the interval");
    });
}
