//! The table of errors, each produced by the real server.

use std::time::Duration;

use redis::cmd;
use underlay_core::{Cache, CacheEntry, CacheExt, Entities, Error, Health, Query};
use underlay_redis::{RedisConfig, RedisStore};

use crate::place::{Place, create, place_or_skip, prepared, rates, tenant};

#[track_caller]
fn assert_unavailable(error: &Error, named: &str) {
    let Error::Unavailable { reason, .. } = error else { panic!("{named}: {error:?}") };
    assert!(reason.contains(named), "{reason} does not say {named}");
}

#[tokio::test]
async fn a_replica_takes_no_changes() {
    let place = place_or_skip!(Place::start(&[]));
    let store = prepared(&place).await;
    place.tell(&["replicaof", "127.0.0.1", "1"]);
    let refused = store.apply(&tenant(), vec![create("a", "EUR")]).await.unwrap_err();
    assert_unavailable(&refused, "replica");
    assert!(refused.to_string().contains("nothing was stored"), "{refused}");
    assert!(store.weaknesses().await.unwrap().iter().any(|weak| weak.contains("replica")));
    assert_unavailable(&Health::check(&store).await.unwrap_err(), "replica");
    place.tell(&["replicaof", "no", "one"]);
    Health::check(&store).await.unwrap();
    store.apply(&tenant(), vec![create("a", "EUR")]).await.unwrap();
}

#[tokio::test]
async fn a_server_without_memory_stores_nothing_of_a_unit() {
    let place = place_or_skip!(Place::start(&[]));
    let store = prepared(&place).await;
    store.apply(&tenant(), vec![create("a", "EUR")]).await.unwrap();
    place.tell(&["config", "set", "maxmemory", "1"]);
    let refused = store.apply(&tenant(), vec![create("b", "USD")]).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { overloaded: true, .. }), "{refused:?}");
    assert_unavailable(&refused, "maxmemory");
    assert_unavailable(&Health::check(&store).await.unwrap_err(), "memory of this Redis is full");
    let read = store.load(&rates(), &tenant(), &["a".to_owned(), "b".to_owned()]).await.unwrap();
    assert!(
        read[0].is_some() && read[1].is_none(),
        "what is there is read, and nothing of the unit is there"
    );
    // What makes room is taken.
    let delete = underlay_core::EntityChange::delete(std::sync::Arc::new(rates()), "a", None);
    store.apply(&tenant(), vec![delete]).await.unwrap();
    place.tell(&["config", "set", "maxmemory", "0"]);
    Health::check(&store).await.unwrap();
    store.apply(&tenant(), vec![create("b", "USD")]).await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_and_a_login_that_may_not_are_denied() {
    let mut place = place_or_skip!(Place::start(&[]));
    let store = prepared(&place).await;
    place.tell(&["acl", "setuser", "reader", "on", ">secret", "~*", "+@read", "+@connection", "+info"]);
    place.tell(&["config", "set", "requirepass", "other"]);
    let host = place.server.as_ref().unwrap().host();
    for login in ["", ":wrong@", "nobody:wrong@", "reader:wrong@"] {
        let refused = RedisStore::connect(&format!("redis://{login}{host}"), place.config()).await;
        assert!(matches!(refused, Err(Error::Denied(_))), "{login}: {refused:?}");
    }
    place.address = format!("redis://reader:secret@{host}");
    let reader = place.store();
    let read = reader.load(&rates(), &tenant(), &["a".to_owned()]).await;
    assert!(matches!(read, Err(Error::Denied(_))), "{read:?}");
    let refused = reader.apply(&tenant(), vec![create("a", "EUR")]).await.unwrap_err();
    assert!(matches!(refused, Error::Denied(_)), "{refused:?}");

    // A password that is right again is taken, without a new start.
    let right = RedisStore::new(&format!("redis://:later@{host}"), place.config()).unwrap();
    assert!(matches!(right.check().await, Err(Error::Denied(_))));
    let admin = redis::Client::open(format!("redis://:other@{host}")).unwrap();
    let mut admin = admin.get_multiplexed_async_connection().await.unwrap();
    let changed = cmd("CONFIG").arg("SET").arg("requirepass").arg("later").query_async(&mut admin).await;
    let () = changed.unwrap();
    right.check().await.unwrap();
    drop(store);
}

#[tokio::test]
async fn a_node_of_a_cluster_is_told_as_such() {
    let place = place_or_skip!(Place::start(&["--cluster-enabled", "yes"]));
    let refused = place.store().prepare(&rates()).await.unwrap_err();
    // One that has no slots says that the cluster is down.
    assert_unavailable(&refused, "ClusterDown");
    let half: Vec<String> = (0..8_000).map(|slot| slot.to_string()).collect();
    let mut slots = vec!["cluster", "addslots"];
    slots.extend(half.iter().map(String::as_str));
    place.tell(&slots);
    place.tell(&["config", "set", "cluster-require-full-coverage", "no"]);
    // One that has half of them takes some tenants and not others.
    let mut told = Vec::new();
    for attempt in 0..60 {
        let config = RedisConfig::default().with_prefix(format!("p{attempt}"));
        let store = RedisStore::new(&place.address, config).unwrap();
        let ended = match store.prepare(&rates()).await {
            Ok(()) => store.apply(&tenant(), vec![create("a", "EUR")]).await.map(drop),
            refused => refused,
        };
        told.extend(ended.err().map(|error| error.to_string()));
    }
    let about_slots =
        told.iter().filter(|error| error.contains("cluster") || error.contains("ClusterDown")).count();
    assert!(!told.is_empty() && about_slots == told.len(), "{told:?}");
}

#[tokio::test]
async fn a_script_that_does_not_end_makes_others_wait_and_then_hear_so() {
    let place = place_or_skip!(Place::start(&["--lua-time-limit", "20"]));
    let store = prepared(&place).await;
    let client = redis::Client::open(place.address.as_str()).unwrap();
    let mut busy = client.get_multiplexed_async_connection().await.unwrap();
    let endless = tokio::spawn(async move {
        cmd("EVAL").arg("while true do end").arg(0).query_async::<()>(&mut busy).await
    });
    let mut told = store.apply(&tenant(), vec![create("a", "EUR")]).await;
    while told.is_ok() {
        told = store.apply(&tenant(), vec![create("b", "USD")]).await.map(|_| Vec::new());
        tokio::task::yield_now().await;
    }
    let error = told.unwrap_err();
    let conflict = matches!(error, Error::EntityConflict(_));
    if !conflict {
        assert_unavailable(&error, "BUSY");
    }
    place.tell(&["script", "kill"]);
    assert!(endless.await.unwrap().is_err(), "it was killed");
}

#[tokio::test]
async fn a_key_of_another_type_is_damage_and_nothing_of_the_unit_is_stored() {
    let place = place_or_skip!(Place::find());
    let store = prepared(&place).await;
    place.ask::<()>(cmd("SET").arg(place.key(&tenant(), "e:rate:b")).arg("not ours")).await;
    let refused = store.apply(&tenant(), vec![create("a", "EUR"), create("b", "USD")]).await.unwrap_err();
    assert!(matches!(refused, Error::Damaged(_)), "{refused:?}");
    for rest in ["k:rate", "i:rate:base", "u:rate:base"] {
        place.ask::<i64>(cmd("DEL").arg(place.key(&tenant(), rest))).await;
        place.ask::<()>(cmd("SET").arg(place.key(&tenant(), rest)).arg("not ours")).await;
        let refused = store.apply(&tenant(), vec![create("a", "EUR")]).await.unwrap_err();
        assert!(matches!(refused, Error::Damaged(_)), "{rest}: {refused:?}");
        place.ask::<i64>(cmd("DEL").arg(place.key(&tenant(), rest))).await;
    }
    assert_eq!(store.load(&rates(), &tenant(), &["a".to_owned()]).await.unwrap(), [None]);
}

#[tokio::test]
async fn a_server_that_is_not_there_stored_nothing() {
    let mut place = place_or_skip!(Place::start(&[]));
    let store = prepared(&place).await;
    store.apply(&tenant(), vec![create("a", "EUR")]).await.unwrap();
    place.server.as_mut().unwrap().stop("KILL").unwrap();
    // The end of the connection may be heard only by the first call.
    let mut last = None;
    for _ in 0..2 {
        last = store.apply(&tenant(), vec![create("b", "USD")]).await.err();
    }
    let refused = last.unwrap();
    assert_unavailable(&refused, "nothing was stored");
    assert!(refused.is_retryable() && !refused.to_string().contains("uncertain"), "{refused}");
    assert_unavailable(
        &store.query(&rates(), &tenant(), &Query::default()).await.unwrap_err(),
        "cannot be reached",
    );

    place.server.as_mut().unwrap().resume().unwrap();
    store.apply(&tenant(), vec![create("b", "USD")]).await.unwrap();
    let read = store.load(&rates(), &tenant(), &["a".to_owned(), "b".to_owned()]).await.unwrap();
    assert!(read.iter().all(Option::is_some), "what was answered survived the kill");
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let place = place_or_skip!(Place::start(&[]));
    let store = prepared(&place).await;
    store.apply(&tenant(), vec![create("a", "EUR")]).await.unwrap();
    place.tell(&["script", "flush"]);
    store.apply(&tenant(), vec![create("b", "USD")]).await.unwrap();
    store.set(&tenant(), CacheEntry::new("a", "b", Duration::from_secs(60))).await.unwrap();
    place.tell(&["script", "flush"]);
    assert!(store.exists(&tenant(), "a").await.unwrap());
}

#[tokio::test]
async fn a_closed_store_gives_its_connections_back() {
    let place = place_or_skip!(Place::start(&[]));
    let store = prepared(&place).await;
    store.get(&tenant(), "key").await.unwrap();
    let clients = || place.tell(&["client", "list"]).lines().filter(|line| line.contains("id=")).count();
    assert!(clients() > 1, "beside the one that asks");
    for _ in 0..2 {
        store.close().await.unwrap();
    }
    let refused = store.load(&rates(), &tenant(), &["a".to_owned()]).await.unwrap_err();
    assert_unavailable(&refused, "the store was closed");
    assert_unavailable(&Health::check(&store).await.unwrap_err(), "the store was closed");
    assert_eq!(store.get(&tenant(), "key").await.unwrap(), None, "the cache is gone on without");
    // They end as soon as the server hears of it.
    tokio::time::timeout(Duration::from_secs(30), async {
        while clients() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}
