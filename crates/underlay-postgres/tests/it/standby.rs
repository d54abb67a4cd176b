//! A server that only reads is told from the one that writes, before and after they change places.

use std::time::Duration;

use servers::{Postgres, Shutdown};
use tokio::time::{Instant, timeout};
use tokio_postgres::Client;
use underlay_core::reasons::{OLDER_COPY, READS_ONLY};
use underlay_core::{Error, EventStore, ExpectedVersion, Position};
use underlay_postgres::{Listen, PostgresConfig, PostgresStore};

use crate::place::{Place, connect, skipped, with_place_on};
use crate::sample::{acme, append};
use crate::wire::Wire;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server and a standby that follows it.
fn pair() -> Result<(Postgres, Postgres), Box<dyn std::error::Error + Send + Sync>> {
    let primary = Postgres::start(&["shared_buffers=32MB"])?;
    let standby = primary.start_standby("standby", &["shared_buffers=32MB"])?;
    Ok((primary, standby))
}

fn at(server: &Postgres) -> (String, u16) {
    ("127.0.0.1".to_owned(), server.port())
}

fn address(place: &Place, servers: &[&Postgres], more: &str) -> String {
    let ports: Vec<String> = servers.iter().map(|server| server.port().to_string()).collect();
    let hosts = vec!["127.0.0.1"; servers.len()].join(",");
    let place = place.login_address();
    let place: Vec<&str> =
        place.split(' ').filter(|part| !part.starts_with("host") && !part.starts_with("port")).collect();
    format!("host={hosts} port={} {} {more}", ports.join(","), place.join(" "))
}

fn config(place: &Place) -> PostgresConfig {
    place.config().with_listen(Listen::Off).with_poll_interval(Duration::from_millis(100))
}

async fn session(server: &Postgres) -> Client {
    connect(&server.address()).await
}

/// Waits until a standby has everything its primary has now.
async fn caught_up(primary: &Postgres, standby: &Postgres) {
    let end: String = session(primary)
        .await
        .query_one("SELECT pg_current_wal_flush_lsn()::text", &[])
        .await
        .unwrap()
        .get(0);
    let there = session(standby).await;
    let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{end}'::pg_lsn");
    let began = Instant::now();
    while !there.query_one(&sql, &[]).await.unwrap().get::<_, bool>(0) {
        assert!(began.elapsed() < PATIENCE, "the standby does not follow");
    }
}

/// Commits until the answer is another than that the store is away.
async fn commit(store: &PostgresStore, to: &str) -> Position {
    let commit = append(to, ExpectedVersion::Any);
    let began = Instant::now();
    loop {
        match store.commit(&acme(), commit.clone()).await {
            Ok(committed) => return committed.position,
            Err(Error::Unavailable { .. } | Error::Uncertain { .. }) if began.elapsed() < PATIENCE => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn of_several_servers_the_primary_is_taken() {
    let (primary, standby) = match pair() {
        Ok(pair) => pair,
        Err(error) => return skipped(&error.to_string()),
    };
    with_place_on(&primary.address(), async |place| {
        caught_up(&primary, &standby).await;
        for more in ["", "target_session_attrs=read-write", "target_session_attrs='primary'"] {
            let both = address(&place, &[&standby, &primary], more);
            let store = PostgresStore::connect(&both, config(&place)).await.unwrap();
            commit(&store, "a-1").await;
            store.close().await.unwrap();
        }
        // One that is silent leaves time for the other.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place_of_silence = silent.local_addr().unwrap().port();
        let both = address(&place, &[&primary], "").replace(
            &format!("host=127.0.0.1 port={}", primary.port()),
            &format!("host=127.0.0.1,127.0.0.1 port={place_of_silence},{}", primary.port()),
        );
        let hasty = config(&place).with_connect_timeout(Duration::from_secs(2));
        let store = PostgresStore::connect(&both, hasty).await.unwrap();
        commit(&store, "a-1").await;
        store.close().await.unwrap();

        for more in ["", "target_session_attrs=any", "target_session_attrs=read-write"] {
            let alone = PostgresStore::connect(&address(&place, &[&standby], more), config(&place)).await;
            let text = alone.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains("standby"), "{more}: {text}");
            assert!(!text.contains("127.0.0.1"), "{text}");
        }
        // Who starts is told what of several servers each is.
        let nowhere = address(&place, &[&standby, &standby], "");
        let text = PostgresStore::connect(&nowhere, config(&place)).await.unwrap_err().to_string();
        assert!(
            text.contains("none of the 2 servers") && text.contains("server 2: it is a standby"),
            "{text}"
        );
        let asked_for = address(&place, &[&standby], "target_session_attrs=standby");
        let refused = PostgresStore::connect(&asked_for, config(&place)).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    });
}

#[test]
fn contact_with_a_standby_that_lags_leaves_no_trace() {
    let (primary, standby) = match pair() {
        Ok(pair) => pair,
        Err(error) => return skipped(&error.to_string()),
    };
    with_place_on(&primary.address(), async |place| {
        let wire = Wire::to(at(&primary)).await;
        let store = PostgresStore::connect(&wire.address(&place), config(&place)).await.unwrap();
        // Asked for nothing at connecting, it is found out in the transactions.
        let unasked = format!("{} target_session_attrs=any", wire.address(&place));
        let unasked = PostgresStore::connect(&unasked, config(&place)).await.unwrap();
        commit(&store, "a-1").await;
        caught_up(&primary, &standby).await;
        session(&standby).await.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
        for _ in 0..3 {
            commit(&store, "a-1").await;
            commit(&unasked, "a-2").await;
        }
        let end = store.head().await.unwrap();
        unasked.head().await.unwrap();

        wire.lead_to(Some(at(&standby)));
        wire.cut();
        for store in [&store, &unasked] {
            for _ in 0..5 {
                let head = store.head().await;
                assert!(
                    matches!(&head, Err(Error::Unavailable { reason, .. }) if reason == READS_ONLY),
                    "{head:?}"
                );
                let answer = store.commit(&acme(), append("b-1", ExpectedVersion::Any)).await;
                assert!(matches!(&answer, Err(Error::Unavailable { .. })), "{answer:?}");
            }
        }
        wire.lead_to(Some(at(&primary)));
        wire.cut();
        for store in [&store, &unasked] {
            let position = timeout(PATIENCE, commit(store, "a-1")).await.unwrap();
            assert!(position > end);
            assert!(store.head().await.unwrap() >= position, "it is the log it was before");
        }
    });
}

#[test]
fn a_connection_whose_server_stopped_writing_is_let_go() {
    let (primary, standby) = match pair() {
        Ok(pair) => pair,
        Err(error) => return skipped(&error.to_string()),
    };
    with_place_on(&primary.address(), async |place| {
        // The one there is stays at a server that takes no writes: as behind a pooler that was led to a standby.
        let wire = Wire::to(at(&primary)).await;
        let store = PostgresStore::connect(&wire.address(&place), config(&place)).await.unwrap();
        commit(&store, "a-1").await;
        let admin = session(&primary).await;
        let login = place.login();
        // What a managed server does before it changes places.
        let stop = format!("ALTER ROLE {login} SET default_transaction_read_only = on");
        admin.batch_execute(&stop).await.unwrap();
        wire.cut();
        let began = Instant::now();
        loop {
            let answer = store.commit(&acme(), append("a-1", ExpectedVersion::Any)).await;
            match answer {
                Err(Error::Unavailable { reason, .. }) if reason == READS_ONLY => break,
                Err(Error::Unavailable { .. } | Error::Uncertain { .. }) if began.elapsed() < PATIENCE => {}
                other => panic!("{other:?}"),
            }
        }
        admin
            .batch_execute(&format!("ALTER ROLE {login} RESET default_transaction_read_only"))
            .await
            .unwrap();
        // No session is ended: whoever keeps one is refused for ever.
        timeout(PATIENCE, commit(&store, "a-1")).await.unwrap();
        drop(standby);
    });
}

#[test]
fn a_promoted_standby_that_lacks_the_end_of_the_log_is_an_older_copy() {
    let (mut primary, standby) = match pair() {
        Ok(pair) => pair,
        Err(error) => return skipped(&error.to_string()),
    };
    with_place_on(&primary.address(), async |place| {
        let both = address(&place, &[&primary, &standby], "");
        let behind = PostgresStore::connect(&both, config(&place)).await.unwrap();
        let store = PostgresStore::connect(&both, config(&place)).await.unwrap();
        commit(&store, "a-1").await;
        behind.head().await.unwrap();
        behind.close().await.unwrap();
        caught_up(&primary, &standby).await;
        let there = session(&standby).await;
        there.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
        // It gets none of this: nothing is sent to it.
        let admin = session(&primary).await;
        let stop =
            "ALTER SYSTEM SET max_wal_senders = 0; SELECT pg_terminate_backend(pid) FROM pg_stat_replication";
        for sql in stop.split("; ") {
            admin.batch_execute(sql).await.unwrap();
        }
        there.batch_execute("ALTER SYSTEM SET primary_conninfo = ''").await.unwrap();
        there.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let receivers = "SELECT count(*) FROM pg_stat_wal_receiver";
        while there.query_one(receivers, &[]).await.unwrap().get::<_, i64>(0) > 0 {}
        commit(&store, "a-1").await;
        primary.stop(Shutdown::Immediate).unwrap();
        there.batch_execute("SELECT pg_wal_replay_resume()").await.unwrap();
        there.query_one("SELECT pg_promote()", &[]).await.unwrap();
        let began = Instant::now();
        loop {
            match store.commit(&acme(), append("a-1", ExpectedVersion::Any)).await {
                Err(Error::Unavailable { reason, .. }) if reason.contains(OLDER_COPY) => break,
                Err(Error::Unavailable { .. } | Error::Uncertain { .. }) if began.elapsed() < PATIENCE => {}
                other => panic!("{other:?}"),
            }
        }
        // A process that starts now takes the log as it is.
        let fresh = PostgresStore::connect(&both, config(&place)).await.unwrap();
        commit(&fresh, "a-1").await;
        fresh.close().await.unwrap();
        store.close().await.unwrap();
    });
}
