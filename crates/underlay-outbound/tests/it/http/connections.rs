//! Connections, and how many there are.

use std::time::Duration;

use underlay_core::{Entities, Error};
use underlay_outbound::http::{HttpConfig, HttpEntities};

use super::script::{Act, Script, change, config, create, get, page, rate, rates_schema, raw_rate};

#[tokio::test]
async fn one_connection_carries_one_request_after_the_other() {
    let (script, rates) = Script::with_rates(vec![rate(3, "1"); 10]).await;
    for _ in 0..10 {
        get(&rates).await.unwrap();
    }
    assert_eq!(script.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_the_service_has_ended_is_replaced() {
    let leave = || Act::Leave(raw_rate(3, "1"));
    let created = Act::Answer(raw_rate(1, "1"));
    let (script, rates) = Script::with_rates([leave(), leave(), created]).await;
    for _ in 0..2 {
        get(&rates).await.unwrap();
        // The end of the connection is heard before it is used again.
        tokio::task::yield_now().await;
    }
    assert_eq!(change(&rates, create("1")).await.unwrap(), 1);
    assert!(script.connections() >= 3);
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_may_be() {
    let script = Script::of([page(&[], None), Act::Silent, rate(3, "1")]).await;
    let config = HttpConfig { timeout: Duration::from_millis(250), ..config() };
    let rates = HttpEntities::new(&script.address("&requests_max=1"), config).unwrap();
    rates.prepare(&rates_schema()).await.unwrap();
    let asked = script.told.asked.notified();
    let slow = tokio::spawn({
        let rates = rates.clone();
        async move { get(&rates).await }
    });
    asked.await;
    // Whoever waits for a place waits no longer than a call may take.
    match get(&rates).await {
        Err(error @ Error::Unavailable { overloaded: true, .. }) => {
            assert_eq!(error.limit(), Some("requests_max = 1"));
        }
        // The first one gave its place back just in time.
        Err(Error::Unavailable { .. }) | Ok(Some(_)) => {}
        other => panic!("{other:?}"),
    }
    slow.await.unwrap().unwrap_err();
    assert_eq!(get(&rates).await.unwrap().unwrap().version.0, 3, "the place is free again");
}

#[tokio::test]
async fn a_call_ends_within_its_time() {
    let config = HttpConfig {
        attempt_timeout: Duration::from_secs(60),
        timeout: Duration::from_millis(200),
        ..HttpConfig::default()
    };
    let script = Script::of([page(&[], None), Act::Silent, Act::Silent]).await;
    let rates = HttpEntities::new(&script.address(""), config).unwrap();
    rates.prepare(&rates_schema()).await.unwrap();
    let read =
        tokio::time::timeout(Duration::from_secs(5), get(&rates)).await.expect("it does not wait for ever");
    assert!(matches!(read, Err(Error::Unavailable { .. })), "{read:?}");
    let changed = tokio::time::timeout(Duration::from_secs(5), change(&rates, create("1"))).await.unwrap();
    assert!(changed.unwrap_err().to_string().contains("uncertain"));
}
