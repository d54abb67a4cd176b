//! A server that falls silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
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

/// Somebody between a store and its server who loses the answers once told so, on the connections there are by then.
pub(crate) struct Lossy {
    pub(crate) address: String,
    loses: Arc<AtomicBool>,
}

impl Lossy {
    pub(crate) fn lose(&self, loses: bool) {
        self.loses.store(loses, Ordering::Release);
    }

    pub(crate) async fn before(place: &Place) -> Self {
        let server = place.server.as_ref().unwrap().host();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("redis://{}", listener.local_addr().unwrap());
        let loses = Arc::new(AtomicBool::new(false));
        let lost = loses.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let (mut asked, mut answers) = client.into_split();
                let (mut answered, mut asks) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut asked, &mut asks).await });
                let lost = lost.clone();
                let is_new = lost.load(Ordering::Acquire);
                tokio::spawn(async move {
                    let mut bytes = vec![0; 64 << 10];
                    while let Ok(count @ 1..) = answered.read(&mut bytes).await {
                        let is_given = is_new || !lost.load(Ordering::Acquire);
                        if is_given && answers.write_all(&bytes[..count]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, loses }
    }
}

#[tokio::test]
async fn a_unit_whose_answer_is_lost_is_uncertain_and_is_stored() {
    let place = place_or_skip!(Place::start(&[]));
    let patient = prepared(&place).await;
    let lossy = Lossy::before(&place).await;
    let config = place.config().with_response_timeout(Duration::from_millis(500));
    let store = RedisStore::new(&lossy.address, config).unwrap();
    store.apply(&tenant(), vec![create("a", "EUR")]).await.unwrap();
    lossy.lose(true);
    let error = store.apply(&tenant(), vec![create("b", "USD")]).await.unwrap_err();
    assert!(matches!(error, Error::UnitUncertain { .. }) && error.is_retryable(), "{error}");
    // "Nothing was stored" would have been a lie.
    let stored = patient.load(&rates(), &tenant(), &["b".to_owned()]).await.unwrap().pop().flatten();
    assert_eq!(stored.unwrap().version.0, 1);
    lossy.lose(false);
    let again = store.apply(&tenant(), vec![create("b", "USD")]).await;
    assert!(matches!(again, Err(Error::EntityConflict(_))), "{again:?}");
}

#[tokio::test]
async fn a_read_without_an_answer_is_not_uncertain() {
    let place = place_or_skip!(Place::start(&[]));
    prepared(&place).await;
    let config = place.config().with_response_timeout(Duration::from_millis(200));
    let store = RedisStore::new(&place.address, config).unwrap();
    store.load(&rates(), &tenant(), &["a".to_owned()]).await.unwrap();
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
