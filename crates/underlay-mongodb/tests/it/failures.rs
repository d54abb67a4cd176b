//! Servers that are not there, give up being the primary, die and come back: what callers see, and that nothing is lost
//! which was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mongodb::bson::doc;
use underlay_core::{Entities, Error, Query};
use underlay_mongodb::{MongoConfig, MongoStore};

use crate::place::{Place, with_place, with_private_place};
use crate::sample::{accounts, acme, create, id};

/// How long a server may take to be the primary again.
const BACK_MAX: Duration = Duration::from_secs(60);

fn impatient() -> MongoConfig {
    MongoConfig::default()
        .with_selection_timeout(Duration::from_millis(500))
        .with_connect_timeout(Duration::from_millis(500))
        .with_write_timeout(Duration::from_secs(3))
}

#[test]
fn a_server_that_is_not_there_is_unavailable_soon() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let began = Instant::now();
        let failed = MongoStore::connect("mongodb://127.0.0.1:1/d", impatient()).await.unwrap_err();
        assert!(matches!(failed, Error::Unavailable { .. }), "{failed:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn a_login_that_is_wrong_is_denied_and_its_password_is_not_told() {
    with_place(async |place| {
        let address = place.address().replace("mongodb://", "mongodb://nobody:hunter2@");
        let failed = MongoStore::connect(&address, MongoConfig::default()).await.unwrap_err();
        assert!(matches!(failed, Error::Denied(_)), "{failed:?}");
        assert!(!format!("{failed} {failed:?}").contains("hunter2"), "{failed:?}");
    });
}

/// Creates one entity after the other until it is told to stop; the numbers that were acknowledged, and how often a call
/// failed.
async fn write(store: MongoStore, stop: Arc<AtomicBool>) -> (Vec<i64>, usize) {
    let (mut acknowledged, mut failed) = (Vec::new(), 0);
    for number in 0.. {
        // Every other one together with a second.
        let unit = if number % 2 == 0 { vec![create(number)] } else { vec![create(number), create(number + 1_000_000)] };
        match store.apply(&acme(), unit).await {
            Ok(_) => acknowledged.push(number),
            Err(Error::Unavailable { .. }) => failed += 1,
            Err(wrong) => panic!("{wrong:?}"),
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    (acknowledged, failed)
}

/// Waits until a write is taken again.
async fn wait_until_back(store: &MongoStore, number: i64) {
    let began = Instant::now();
    while let Err(failed) = store.apply(&acme(), vec![create(number)]).await {
        assert!(matches!(failed, Error::Unavailable { .. }), "{failed:?}");
        assert!(began.elapsed() < BACK_MAX, "{failed}");
    }
}

/// Lets the server go through something while entities are written, and looks for those that were acknowledged.
async fn loses_nothing(mut place: Place, trouble: impl AsyncFnOnce(&mut Place)) {
    let store = place.open_with(impatient()).await;
    store.prepare(&accounts()).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(write(store.clone(), stop.clone()));
    while store.count(&accounts(), &acme(), &Query::default()).await.unwrap() < 50 {}
    trouble(&mut place).await;
    wait_until_back(&store, 5_000_000).await;
    stop.store(true, Ordering::Relaxed);
    let (acknowledged, failed) = writing.await.unwrap();
    assert!(failed > 0, "the trouble was seen");
    for numbers in acknowledged.chunks(1_000) {
        let ids: Vec<String> = numbers.iter().map(|number| id(*number)).collect();
        let found = store.load(&accounts(), &acme(), &ids).await.unwrap();
        assert!(found.iter().all(Option::is_some), "what was acknowledged is there");
        let with = numbers.iter().filter(|number| *number % 2 == 1).map(|number| id(number + 1_000_000));
        let found = store.load(&accounts(), &acme(), &with.collect::<Vec<_>>()).await.unwrap();
        assert!(found.iter().all(Option::is_some), "with what was stored together with it");
    }
}

#[test]
fn a_primary_that_steps_down_loses_nothing_and_is_found_again() {
    with_private_place(async |place| {
        loses_nothing(place, async |place| {
            let admin = place.database().await.client().database("admin");
            let step_down = doc! { "replSetStepDown": 3, "secondaryCatchUpPeriodSecs": 0, "force": true };
            // The connection may end with it.
            admin.run_command(step_down).await.ok();
        })
        .await;
    });
}

#[test]
fn a_server_that_is_killed_loses_nothing_and_is_found_again() {
    with_private_place(async |place| {
        loses_nothing(place, async |place| {
            place.private().stop(true).unwrap();
            place.private().resume().unwrap();
        })
        .await;
    });
}

#[test]
fn a_query_that_runs_for_too_long_is_ended() {
    with_place(async |place| {
        let store = place.open_with(MongoConfig::default().with_query_timeout(Duration::from_millis(200))).await;
        store.prepare(&accounts()).await.unwrap();
        store.apply(&acme(), vec![create(1)]).await.unwrap();
        let slow = doc! { "failCommands": ["aggregate"], "blockConnection": true, "blockTimeMS": 3_000 };
        place.fail_always(slow).await;
        let exact = store.query(&accounts(), &acme(), &Query::default()).await.unwrap_err();
        let counted = store.count(&accounts(), &acme(), &Query::default()).await.unwrap_err();
        place.heal().await;
        assert!(matches!(&exact, Error::Unavailable { overloaded: true, .. }), "{exact:?}");
        assert!(matches!(&counted, Error::TooBroad(text) if text.contains("query_timeout")), "{counted:?}");
        assert_eq!(store.count(&accounts(), &acme(), &Query::default()).await.unwrap(), 1);
    });
}
