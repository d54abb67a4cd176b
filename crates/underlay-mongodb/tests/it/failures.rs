//! Servers that are not there, give up being the primary, die and come back: what callers see, and that nothing is lost
//! which was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mongodb::bson::doc;
use underlay_core::adapter::{Adapter, OptionValues};
use underlay_core::{
    Checkpoint, Entities, Error, EventId, Position, Query, ReadModels, RowAddress, RowChange, StoreId, Value,
    ViewBatch, ViewSchema, ViewTable,
};
use underlay_mongodb::{MongoAdapter, MongoConfig, MongoStore};

use crate::place::{Place, with_place, with_private_place};
use crate::sample::{accounts, acme, create, id, values};

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
fn a_store_opens_while_its_server_is_away_and_says_how_it_is() {
    with_private_place(async |mut place| {
        place.private().stop(false).unwrap();
        let adapter = MongoAdapter::new(impatient());
        let none = OptionValues::new();
        let opened = adapter.open(&place.address(), &none).await.unwrap();
        let (health, entities) = (opened.health.clone().unwrap(), opened.entities.clone().unwrap());
        for failed in [health.check().await.unwrap_err(), entities.prepare(&accounts()).await.unwrap_err()] {
            assert!(matches!(failed, Error::Unavailable { .. }), "{failed:?}");
        }
        let failed = adapter.open_existing(&place.address(), &none).await.map(drop).unwrap_err();
        assert!(
            matches!(failed, Error::Unavailable { .. }),
            "whoever only looks has nothing to look at: {failed:?}"
        );
        place.private().resume().unwrap();
        let began = Instant::now();
        while let Err(failed) = health.check().await {
            assert!(began.elapsed() < BACK_MAX, "{failed}");
        }
        assert!(health.weaknesses().await.unwrap().is_empty());
        entities.prepare(&accounts()).await.unwrap();
        opened.close().await.unwrap();
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

/// Creates one entity after the other until it is told to stop; the numbers that were acknowledged.
async fn write(store: MongoStore, stop: Arc<AtomicBool>) -> Vec<i64> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        // Every other one together with a second.
        let unit = if number % 2 == 0 {
            vec![create(number)]
        } else {
            vec![create(number), create(number + 1_000_000)]
        };
        match Entities::apply(&store, &acme(), unit).await {
            Ok(_) => acknowledged.push(number),
            // A trouble that is over soon is seen by nobody.
            Err(Error::Unavailable { .. } | Error::UnitUncertain { .. }) => {}
            Err(wrong) => panic!("{wrong:?}"),
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    acknowledged
}

/// Waits until a write is taken again.
async fn wait_until_back(store: &MongoStore, number: i64) {
    let began = Instant::now();
    let mut is_uncertain = false;
    while let Err(failed) = Entities::apply(store, &acme(), vec![create(number)]).await {
        match failed {
            Error::Unavailable { .. } => {}
            Error::UnitUncertain { .. } => is_uncertain = true,
            // The one whose answer was lost.
            Error::EntityConflict(_) if is_uncertain => return,
            wrong => panic!("{wrong:?}"),
        }
        assert!(began.elapsed() < BACK_MAX, "not back in time");
    }
}

/// Lets the server go through something while entities are written, and looks for those that were acknowledged.
async fn loses_nothing(mut place: Place, trouble: impl AsyncFnOnce(&mut Place)) {
    let store = place.open_with(impatient()).await;
    Entities::prepare(&store, &accounts()).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(write(store.clone(), stop.clone()));
    while Entities::count(&store, &accounts(), &acme(), &Query::default()).await.unwrap() < 50 {}
    trouble(&mut place).await;
    wait_until_back(&store, 5_000_000).await;
    stop.store(true, Ordering::Relaxed);
    let acknowledged = writing.await.unwrap();
    // Every other unit has two of the 50.
    assert!(acknowledged.len() > 30, "it was written when the trouble came: {}", acknowledged.len());
    for numbers in acknowledged.chunks(1_000) {
        let ids: Vec<String> = numbers.iter().map(|number| id(*number)).collect();
        let found = Entities::load(&store, &accounts(), &acme(), &ids).await.unwrap();
        assert!(found.iter().all(Option::is_some), "what was acknowledged is there");
        let with = numbers.iter().filter(|number| *number % 2 == 1).map(|number| id(number + 1_000_000));
        let found = Entities::load(&store, &accounts(), &acme(), &with.collect::<Vec<_>>()).await.unwrap();
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
fn rows_and_checkpoint_part_in_no_crash() {
    with_private_place(async |mut place| {
        let store = place.open_with(impatient()).await;
        let log = StoreId(EventId::draw().0);
        let schema = ViewSchema::new("accounts", 1, accounts().columns.clone());
        let table = ReadModels::prepare(&store, &schema, Checkpoint::start(log)).await.unwrap();
        let at = move |position: u64| Checkpoint {
            store: log,
            position: Position::from_number(position),
            event_id: Some(EventId(uuid::Uuid::from_u128(position.into()))),
        };
        // Every batch gives each row the number of its place.
        let batch = move |from: Checkpoint| {
            let next = from.position.number() + 1;
            let row = |key: i64| {
                let address = RowAddress { tenant: acme(), key: id(key) };
                RowChange::Upsert(address, values(i64::try_from(next).unwrap()))
            };
            ViewBatch::new(from, at(next), (0..20).map(row).collect())
        };
        for _ in 0..3 {
            let stop = Arc::new(AtomicBool::new(false));
            let applying = tokio::spawn({
                let (store, table, stop) = (store.clone(), table.clone(), stop.clone());
                async move {
                    let mut from = ReadModels::checkpoint(&store, &table).await.unwrap();
                    while !stop.load(Ordering::Relaxed)
                        && ReadModels::apply(&store, &table, batch(from)).await.is_ok()
                    {
                        from = at(from.position.number() + 1);
                    }
                    from
                }
            });
            let began = ReadModels::checkpoint(&store, &table).await.unwrap().position;
            while ReadModels::checkpoint(&store, &table).await.unwrap().position.number() < began.number() + 5
            {
            }
            place.private().stop(true).unwrap();
            place.private().resume().unwrap();
            stop.store(true, Ordering::Relaxed);
            let acknowledged = applying.await.unwrap();
            let stored = wait_for_checkpoint(&store, &table).await;
            assert!(stored.position >= acknowledged.position, "what was acknowledged is there");
            let page = ReadModels::query(&store, &table, &acme(), &Query::default()).await.unwrap();
            assert_eq!((page.rows.len(), page.position), (20, stored.position));
            let number = Value::Integer(i64::try_from(stored.position.number()).unwrap());
            assert!(page.rows.iter().all(|(_, row)| row[1] == number), "rows are where the checkpoint is");
        }
    });
}

/// The checkpoint, once the server answers again.
async fn wait_for_checkpoint(store: &MongoStore, table: &ViewTable) -> Checkpoint {
    let began = Instant::now();
    loop {
        match ReadModels::checkpoint(store, table).await {
            Ok(checkpoint) => return checkpoint,
            Err(failed) => assert!(began.elapsed() < BACK_MAX, "{failed}"),
        }
    }
}

#[test]
fn a_query_that_runs_for_too_long_is_ended() {
    with_private_place(async |place| {
        let store =
            place.open_with(MongoConfig::default().with_query_timeout(Duration::from_millis(200))).await;
        Entities::prepare(&store, &accounts()).await.unwrap();
        Entities::apply(&store, &acme(), vec![create(1)]).await.unwrap();
        let asked = async || {
            let exact = Entities::query(&store, &accounts(), &acme(), &Query::default()).await.unwrap_err();
            let counted = Entities::count(&store, &accounts(), &acme(), &Query::default()).await.unwrap_err();
            assert!(matches!(&exact, Error::Unavailable { overloaded: true, .. }), "{exact:?}");
            counted
        };
        // 50 is MaxTimeMSExpired.
        place.fail_always(doc! { "failCommands": ["aggregate"], "errorCode": 50 }).await;
        let slow = asked().await;
        assert!(matches!(&slow, Error::TooBroad(text) if text.contains("query_timeout")), "{slow:?}");
        // A server that says nothing for longer than that says nothing of the query.
        place
            .fail_always(
                doc! { "failCommands": ["aggregate"], "blockConnection": true, "blockTimeMS": 3_000 },
            )
            .await;
        let silent = asked().await;
        assert!(matches!(&silent, Error::Unavailable { .. }), "{silent:?}");
        place.heal().await;
        assert_eq!(Entities::count(&store, &accounts(), &acme(), &Query::default()).await.unwrap(), 1);
    });
}
