//! A server that falls silent.

use std::time::Duration;

use tokio::task::JoinHandle;
use underlay_core::{Entities, Error};
use underlay_redis::RedisStore;

use crate::place::{Place, create, place_or_skip, prepared, rates, tenant};

/// Makes the server do nothing for a second.
fn sleep(place: &Place) -> JoinHandle<()> {
    let address = place.address.clone();
    tokio::spawn(async move {
        let client = redis::Client::open(address).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        connection.set_response_timeout(Duration::from_secs(10));
        redis::cmd("DEBUG").arg("SLEEP").arg("1").query_async::<()>(&mut connection).await.unwrap();
    })
}

#[tokio::test]
async fn a_unit_without_an_answer_is_uncertain_and_a_read_is_not() {
    let place = place_or_skip!(Place::start(&[]));
    let patient = prepared(&place).await;
    let config = place.config().with_response_timeout(Duration::from_millis(200));
    let store = RedisStore::new(&place.address, config).unwrap();
    store.load(&rates(), &tenant(), &[]).await.unwrap();

    let asleep = sleep(&place);
    let mut told = None;
    for attempt in 0.. {
        match store.apply(&tenant(), vec![create(&format!("a{attempt}"), &format!("b{attempt}"))]).await {
            Ok(_) => {}
            Err(error) => {
                told = Some((format!("a{attempt}"), error));
                break;
            }
        }
    }
    let (id, error) = told.unwrap();
    assert!(error.to_string().contains("uncertain"), "{error}");
    assert!(error.is_retryable(), "{error}");
    asleep.await.unwrap();
    // It was sent, and the server carried it out when it went on: "nothing was stored" would have been a lie.
    let stored = patient.load(&rates(), &tenant(), &[id]).await.unwrap().pop().flatten();
    assert_eq!(stored.unwrap().version.0, 1);

    place.tell(&["client", "pause", "1500", "ALL"]);
    let error = store.load(&rates(), &tenant(), &["a".to_owned()]).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(!error.to_string().contains("uncertain"), "{error}");
}

#[tokio::test]
async fn a_server_that_was_stopped_for_a_time_is_used_again() {
    let place = place_or_skip!(Place::start(&[]));
    prepared(&place).await;
    let config = place.config().with_response_timeout(Duration::from_millis(200));
    let store = RedisStore::new(&place.address, config).unwrap();
    store.apply(&tenant(), vec![create("a", "EUR")]).await.unwrap();
    let asleep = sleep(&place);
    let mut failed = 0;
    while failed == 0 {
        failed += usize::from(store.load(&rates(), &tenant(), &["a".to_owned()]).await.is_err());
    }
    asleep.await.unwrap();
    let read = store.load(&rates(), &tenant(), &["a".to_owned()]).await.unwrap();
    assert!(read[0].is_some());
}
