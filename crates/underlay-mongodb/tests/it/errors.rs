//! The table of errors, as the real server brings them about: by itself where a test can make it, otherwise by the
//! failure that it is told to answer with.

use mongodb::bson::doc;
use underlay_core::{Entities, EntityChange, Error, Query};

use crate::place::{with_place, with_private_place};
use crate::sample::{accounts, acme, create, id, update, values};

/// What a read comes to that the server answers with a code.
const READS: &[(i32, &str)] = &[
    (6, "unavailable"),
    (7, "unavailable"),
    (13, "denied"),
    (18, "denied"),
    (20, "invalid"),
    (24, "unavailable"),
    (26, "not found"),
    (46, "unavailable"),
    (50, "unavailable"),
    (64, "unavailable"),
    (79, "unavailable"),
    (89, "unavailable"),
    (91, "only reads"),
    (100, "unavailable"),
    (112, "unavailable"),
    (133, "unavailable"),
    (134, "unavailable"),
    (146, "overloaded"),
    (189, "only reads"),
    (225, "unavailable"),
    (239, "unavailable"),
    (246, "unavailable"),
    (251, "unavailable"),
    (262, "unavailable"),
    (267, "unavailable"),
    (292, "too broad"),
    (8_000, "denied"),
    (9_001, "unavailable"),
    (10_058, "only reads"),
    (10_107, "only reads"),
    (10_334, "invalid"),
    (11_600, "only reads"),
    (11_602, "only reads"),
    (13_435, "only reads"),
    (13_436, "only reads"),
    (14_031, "overloaded"),
    (17_419, "invalid"),
    (17_420, "invalid"),
    (2, "backend"),
];

fn kind(error: &Error) -> &'static str {
    match error {
        Error::Unavailable { overloaded: true, .. } => "overloaded",
        Error::Unavailable { reason, .. } if reason == underlay_core::reasons::READS_ONLY => "only reads",
        Error::Unavailable { .. } => "unavailable",
        Error::Denied(_) => "denied",
        Error::Invalid(_) => "invalid",
        Error::NotFound(_) => "not found",
        Error::RuleViolation(_) => "rule",
        Error::TooBroad(_) => "too broad",
        Error::EntityConflict(_) => "conflict",
        Error::Backend { .. } => "backend",
        _ => "another",
    }
}

#[test]
fn every_code_means_what_the_table_says() {
    with_private_place(async |place| {
        let store = place.open().await;
        store.prepare(&accounts()).await.unwrap();
        store.apply(&acme(), vec![create(1)]).await.unwrap();
        for (code, expected) in READS {
            place.fail_always(doc! { "failCommands": ["find"], "errorCode": code }).await;
            let failed = store.load(&accounts(), &acme(), &[id(1)]).await.unwrap_err();
            place.heal().await;
            assert_eq!(kind(&failed), *expected, "{code}: {failed}");
            if *expected == "only reads" {
                // The driver looks for a primary; it finds the one there was.
                while store.load(&accounts(), &acme(), &[id(1)]).await.is_err() {}
            }
        }
        assert!(store.load(&accounts(), &acme(), &[id(1)]).await.unwrap()[0].is_some());
    });
}

#[test]
fn a_write_that_may_have_been_made_says_so_and_any_other_does_not() {
    with_private_place(async |place| {
        let store = place.open().await;
        store.prepare(&accounts()).await.unwrap();
        store.apply(&acme(), vec![create(1)]).await.unwrap();
        for (fault, doubtful) in [
            (doc! { "errorCode": 10_107 }, false),
            (doc! { "errorCode": 13 }, false),
            (doc! { "errorCode": 14_031 }, false),
            (doc! { "errorCode": 189 }, true),
            (doc! { "errorCode": 11_602 }, true),
            (doc! { "closeConnection": true }, true),
            (doc! { "writeConcernError": { "code": 64, "errmsg": "waiting timed out" } }, true),
        ] {
            let mut data = doc! { "failCommands": ["update"] };
            data.extend(fault.clone());
            place.fail_always(data).await;
            let stored = store.load(&accounts(), &acme(), &[id(1)]).await.unwrap().remove(0).unwrap();
            let failed = store.apply(&acme(), vec![update(1, stored.version.0, 1)]).await.unwrap_err();
            place.heal().await;
            assert_eq!(matches!(failed, Error::UnitUncertain { .. }), doubtful, "{fault}: {failed}");
            while store.load(&accounts(), &acme(), &[id(1)]).await.is_err() {}
        }
    });
}

#[test]
fn who_takes_a_unique_value_or_breaks_the_validation_is_told_so_and_stores_nothing() {
    with_place(async |place| {
        let store = place.open().await;
        store.prepare(&accounts()).await.unwrap();
        store.apply(&acme(), vec![create(1), create(2)]).await.unwrap();
        let taken = |number| EntityChange::create(accounts(), id(number), values(1));
        for unit in [
            vec![taken(3)],
            vec![create(4), taken(3)],
            vec![update(2, 1, 1)],
            vec![create(5), update(2, 1, 1)],
        ] {
            let refused = store.apply(&acme(), unit).await.unwrap_err();
            let Error::RuleViolation(text) = &refused else { panic!("{refused:?}") };
            assert!(text.contains("account") && text.contains("name"), "{text}");
            assert!(!text.contains("name 0"), "the value is not told: {text}");
        }
        // Somebody sets another validation, past the port.
        let strict = doc! { "collMod": "entity_account", "validator": { "c.entries": { "$lt": 100_i64 } } };
        place.database().await.run_command(strict).await.unwrap();
        for unit in [vec![create(100)], vec![create(7), create(100)]] {
            let refused = store.apply(&acme(), unit).await.unwrap_err();
            assert_eq!(kind(&refused), "rule", "{refused}");
        }
        assert_eq!(store.count(&accounts(), &acme(), &Query::default()).await.unwrap(), 2);
    });
}

#[test]
fn a_document_that_is_too_large_is_invalid_for_the_real_server() {
    with_place(async |place| {
        let store = place.open().await;
        store.prepare(&accounts()).await.unwrap();
        store.apply(&acme(), vec![create(1)]).await.unwrap();
        let big = "x".repeat(9 << 20);
        let grow = doc! { "update": "entity_account", "updates": [{ "q": {}, "u": { "$set": { "c.note": &big } } }],
        "bypassDocumentValidation": true };
        let database = place.database().await;
        database.run_command(grow).await.unwrap();
        let grow = doc! { "update": "entity_account", "updates": [{ "q": {}, "u": { "$set": { "c.more": &big } } }],
        "bypassDocumentValidation": true };
        let answer = database.run_command(grow).await.unwrap();
        let refused =
            answer.get_array("writeErrors").unwrap()[0].as_document().unwrap().get_i32("code").unwrap();
        assert!(READS.contains(&(refused, "invalid")), "the server's code {refused} stands in the table");
    });
}
