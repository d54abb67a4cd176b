//! Collections that are made and extended, by several processes at once, and what they refuse.

use std::sync::Arc;

use mongodb::bson::doc;
use underlay_core::{
    Column, ColumnType, Direction, Entities, EntityChange, EntitySchema, Error, Query, Value,
};

use crate::place::with_place;
use crate::sample::{accounts, acme, create, id, values};

fn extended(column: &str) -> Arc<EntitySchema> {
    let mut schema = (*accounts()).clone();
    schema.version = 2;
    schema.columns.push(Column {
        name: column.to_owned(),
        column_type: ColumnType::Integer,
        nullable: true,
        indexed: false,
    });
    Arc::new(schema)
}

#[test]
fn of_many_that_prepare_an_entity_at_once_all_can_use_it() {
    with_place(async |place| {
        let mut stores = Vec::new();
        for _ in 0..6 {
            stores.push(place.open().await);
        }
        let preparing: Vec<_> = stores
            .iter()
            .map(|store| {
                let store = store.clone();
                tokio::spawn(async move { store.prepare(&accounts()).await })
            })
            .collect();
        for prepared in preparing {
            prepared.await.unwrap().unwrap();
        }
        for (number, store) in (0_i64..).zip(&stores) {
            store.apply(&acme(), vec![create(number)]).await.unwrap();
        }
        assert_eq!(stores[0].count(&accounts(), &acme(), &Query::default()).await.unwrap(), 6);
    });
}

#[test]
fn of_two_that_extend_an_entity_differently_one_does_and_the_other_is_refused() {
    with_place(async |place| {
        let (one, other) = (place.open().await, place.open().await);
        one.prepare(&accounts()).await.unwrap();
        one.apply(&acme(), vec![create(1)]).await.unwrap();
        let (red, blue) = (extended("red"), extended("blue"));
        let (first, second) = tokio::join!(one.prepare(&red), other.prepare(&blue));
        let winner = match (&first, &second) {
            (Ok(()), Err(Error::EntityChanged { .. })) => red,
            (Err(Error::EntityChanged { .. }), Ok(())) => blue,
            both => panic!("{both:?}"),
        };
        let found = one.load(&winner, &acme(), &[id(1)]).await.unwrap().remove(0).unwrap();
        assert_eq!(found.values.last(), Some(&Value::Null));
        // Who has the shape of before reads and writes nothing, and is told why.
        let refused = other.load(&accounts(), &acme(), &[id(1)]).await.unwrap_err();
        assert!(matches!(refused, Error::EntityChanged { .. }), "{refused:?}");
        for unit in [vec![create(2)], vec![create(2), create(3)]] {
            let refused = other.apply(&acme(), unit).await.unwrap_err();
            assert!(matches!(refused, Error::EntityChanged { .. }), "{refused:?}");
        }
    });
}

#[test]
fn a_query_along_an_index_that_is_gone_says_that_the_entities_were_extended() {
    with_place(async |place| {
        let (one, other) = (place.open().await, place.open().await);
        one.prepare(&accounts()).await.unwrap();
        one.apply(&acme(), vec![create(1)]).await.unwrap();
        let mut later = (*accounts()).clone();
        (later.version, later.columns[1].indexed) = (2, false);
        other.prepare(&later).await.unwrap();
        let query = Query::default().sort("entries", Direction::Ascending);
        let refused = one.query(&accounts(), &acme(), &query).await.unwrap_err();
        assert!(matches!(refused, Error::EntityChanged { .. }), "{refused:?}");
        let page = other.query(&later, &acme(), &Query::default()).await.unwrap();
        assert_eq!(page.entities.len(), 1);
    });
}

#[test]
fn what_was_left_half_made_is_made() {
    with_place(async |place| {
        let store = place.open().await;
        // A process ended after this.
        place.database().await.create_collection("entity_account").await.unwrap();
        store.prepare(&accounts()).await.unwrap();
        store.apply(&acme(), vec![create(1)]).await.unwrap();
        let taken = EntityChange::create(accounts(), id(2), values(1));
        assert!(matches!(store.apply(&acme(), vec![taken]).await, Err(Error::RuleViolation(_))));
        let alien = doc! { "_id": { "t": "acme", "k": "x" }, "v": 1_i64, "c": { "name": 7 } };
        let rows = place.database().await.collection("entity_account");
        assert!(rows.insert_one(alien).await.is_err(), "the collection refuses another shape");
    });
}
