//! Transactions whose end is not known, and those that met others.

use std::time::Duration;

use mongodb::bson::doc;
use underlay_core::{Entities, EntityVersion, Error};
use underlay_mongodb::{MongoConfig, MongoStore};

use crate::place::{Place, with_private_place};
use crate::sample::{accounts, acme, create, id, update};

/// Short enough for a test that waits for it.
const WRITE_TIMEOUT: Duration = Duration::from_millis(1_500);

async fn impatient(place: &Place) -> MongoStore {
    prepared(place.open_with(MongoConfig::default().with_write_timeout(WRITE_TIMEOUT)).await).await
}

async fn prepared(store: MongoStore) -> MongoStore {
    store.prepare(&accounts()).await.unwrap();
    store
}

/// The versions of the first two accounts.
async fn versions(store: &MongoStore) -> [Option<u64>; 2] {
    let loaded = store.load(&accounts(), &acme(), &[id(1), id(2)]).await.unwrap();
    let version = |at: usize| loaded[at].as_ref().map(|entity| entity.version.0);
    [version(0), version(1)]
}

/// How often the server was asked to end a transaction.
async fn ends_asked_for(place: &Place) -> i64 {
    let status = place.database().await.run_command(doc! { "serverStatus": 1 }).await.unwrap();
    let commands = status.get_document("metrics").unwrap().get_document("commands").unwrap();
    commands.get_document("commitTransaction").unwrap().get_i64("total").unwrap()
}

#[test]
fn a_transaction_that_meets_others_is_begun_again() {
    with_private_place(async |place| {
        let store = prepared(place.open().await).await;
        let met = doc! { "failCommands": ["insert"], "errorCode": 112, "errorLabels": ["TransientTransactionError"] };
        place.fail(3, met).await;
        let stored = store.apply(&acme(), vec![create(1), create(2)]).await.unwrap();
        assert_eq!(stored, [EntityVersion(1); 2]);
        assert_eq!(versions(&store).await, [Some(1), Some(1)]);
    });
}

#[test]
fn an_end_that_is_not_known_is_asked_for_again() {
    with_private_place(async |place| {
        let store = prepared(place.open().await).await;
        // Carried out, and answered with doubt.
        let answer = doc! { "code": 64, "errmsg": "waiting timed out" };
        place.fail(3, doc! { "failCommands": ["commitTransaction"], "writeConcernError": answer }).await;
        store.apply(&acme(), vec![create(1), create(2)]).await.unwrap();
        // Not carried out, and not answered.
        place.fail(3, doc! { "failCommands": ["commitTransaction"], "closeConnection": true }).await;
        store.apply(&acme(), vec![update(1, 1, 1), update(2, 1, 2)]).await.unwrap();
        assert_eq!(versions(&store).await, [Some(2), Some(2)]);
    });
}

#[test]
fn an_end_that_stays_unknown_is_uncertain_and_never_a_conflict() {
    // What was not ended holds its documents until the server gives it up, so nobody else is on this one.
    with_private_place(async |place| {
        let store = impatient(&place).await;
        let answer = doc! { "code": 64, "errmsg": "waiting timed out" };
        for (numbers, fault, is_stored) in [
            ([1, 2], doc! { "failCommands": ["commitTransaction"], "writeConcernError": answer }, true),
            ([3, 4], doc! { "failCommands": ["commitTransaction"], "closeConnection": true }, false),
        ] {
            place.fail_always(fault).await;
            let asked = ends_asked_for(&place).await;
            let failed = store.apply(&acme(), numbers.map(create).to_vec()).await.unwrap_err();
            let asked = ends_asked_for(&place).await - asked;
            place.heal().await;
            assert!(asked < 100, "a server that answers at once is asked {asked} times");
            assert!(matches!(failed, Error::UnitUncertain { .. }) && failed.is_retryable(), "{failed}");
            let loaded = store.load(&accounts(), &acme(), &numbers.map(id)).await.unwrap();
            let versions: Vec<_> =
                loaded.into_iter().map(|found| found.map(|found| found.version.0)).collect();
            assert_eq!(versions[0], versions[1], "whole or not at all");
            // What was on its way when the server healed may still have arrived.
            assert!(!is_stored || versions == [Some(1); 2], "{versions:?}");
        }
    });
}

#[test]
fn a_change_by_itself_survives_a_connection_that_ends() {
    with_private_place(async |place| {
        let store = prepared(place.open().await).await;
        place.fail(1, doc! { "failCommands": ["insert"], "closeConnection": true }).await;
        store.apply(&acme(), vec![create(1)]).await.unwrap();
        place.fail(1, doc! { "failCommands": ["update"], "closeConnection": true }).await;
        assert_eq!(store.apply(&acme(), vec![update(1, 1, 1)]).await.unwrap(), [EntityVersion(2)]);
        assert_eq!(versions(&store).await, [Some(2), None]);
    });
}

#[test]
fn a_caller_waits_no_longer_than_it_may_for_a_server_that_says_nothing() {
    with_private_place(async |place| {
        let store = impatient(&place).await;
        store.apply(&acme(), vec![create(1)]).await.unwrap();
        let silent = |command: &str| {
            doc! { "failCommands": [command], "blockConnection": true, "blockTimeMS": 4_000 }
        };
        for (command, changes, doubtful) in
            [("update", vec![update(1, 1, 1)], true), ("insert", vec![create(3), create(4)], false)]
        {
            place.fail(1, silent(command)).await;
            let failed = store.apply(&acme(), changes).await.unwrap_err();
            place.heal().await;
            assert_eq!(matches!(failed, Error::UnitUncertain { .. }), doubtful, "{command}: {failed}");
            assert_eq!(matches!(failed, Error::Unavailable { .. }), !doubtful, "{command}: {failed}");
        }
    });
}
