//! Entities: their tables while several processes start, and units of changes beside each other.

use std::sync::Arc;

use underlay_core::{
    Column, ColumnType, Entities, EntityChange, EntitySchema, EntityVersion, Error, Query, Value,
};
use underlay_postgres::PostgresStore;

use crate::place::{Place, with_place};
use crate::sample::{abandon, acme, enter, member, members, tenant};

async fn prepared(place: &Place) -> PostgresStore {
    let store = place.open().await;
    store.prepare(&members()).await.unwrap();
    store
}

fn update(id: &str, expected: u64, number: i64) -> EntityChange {
    EntityChange::update(members(), id, EntityVersion(expected), member(number))
}

fn delete(id: &str) -> EntityChange {
    EntityChange::delete(members(), id, None)
}

async fn version(store: &PostgresStore, id: &str) -> Option<u64> {
    let loaded = store.load(&members(), &acme(), &[id.to_owned()]).await.unwrap();
    loaded[0].as_ref().map(|entity| entity.version.0)
}

fn extended() -> EntitySchema {
    let mut schema = (*members()).clone();
    schema.version = 2;
    let name = "source".to_owned();
    schema.columns.push(Column { name, column_type: ColumnType::Text, nullable: true, indexed: false });
    schema.columns[1].indexed = false;
    schema.with_unique(["name", "amount"])
}

#[test]
fn of_several_processes_that_start_one_makes_the_table_and_one_extends_it() {
    with_place(async |place| {
        let mut stores = Vec::new();
        for _ in 0..6 {
            stores.push(place.open().await);
        }
        for schema in [members(), Arc::new(extended())] {
            let begun: Vec<_> = stores
                .iter()
                .map(|store| {
                    let (store, schema) = (store.clone(), schema.clone());
                    tokio::spawn(async move { store.prepare(&schema).await })
                })
                .collect();
            for preparing in begun {
                preparing.await.unwrap().unwrap();
            }
            stores[5].prepare(&schema).await.unwrap();
        }
        let refused = stores[0].prepare(&members()).await;
        assert!(
            matches!(refused, Err(Error::EntityChanged { .. })),
            "the newer definition is kept: {refused:?}"
        );
        let admin = place.admin().await;
        let indexes = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'underlay_entities'";
        // The key, four columns that are walked along, two that are unique.
        assert_eq!(admin.query_one(indexes, &[]).await.unwrap().get::<_, i64>(0), 7);
    });
}

#[test]
fn a_program_that_knows_less_goes_on_beside_one_that_extends() {
    with_place(async |place| {
        let (older, newer) = (prepared(&place).await, place.open().await);
        older.apply(&acme(), vec![enter("a", 1)]).await.unwrap();
        let schema = Arc::new(extended());
        let early = newer.load(&schema, &acme(), &["a".to_owned()]).await;
        assert!(matches!(&early, Err(Error::EntityChanged { .. })), "{early:?}");
        newer.prepare(&schema).await.unwrap();
        older.apply(&acme(), vec![update("a", 1, 2), enter("b", 3)]).await.unwrap();
        let read = newer.load(&schema, &acme(), &["a".to_owned(), "b".to_owned()]).await.unwrap();
        for (entity, version) in read.into_iter().zip([2, 1]) {
            let entity = entity.unwrap();
            assert_eq!((entity.version.0, entity.values.last()), (version, Some(&Value::Null)));
        }
    });
}

#[test]
fn values_that_are_stored_twice_do_not_become_unique() {
    with_place(async |place| {
        let store = prepared(&place).await;
        let mut same = member(1);
        same[0] = Value::Text("another name".to_owned());
        let twin = EntityChange::create(members(), "b", same);
        store.apply(&acme(), vec![enter("a", 1), twin]).await.unwrap();
        let refused = store.prepare(&extended()).await.unwrap_err();
        assert!(matches!(&refused, Error::EntityChanged { .. }), "{refused}");
        assert!(refused.to_string().contains("amount"), "{refused}");
        // Nothing of it was done.
        store.prepare(&members()).await.unwrap();
        let unknown = store.load(&extended(), &acme(), &["a".to_owned()]).await;
        assert!(matches!(unknown, Err(Error::EntityChanged { .. })), "{unknown:?}");
    });
}

#[test]
fn an_entity_may_have_the_name_of_any_table() {
    with_place(async |place| {
        let store = place.open().await;
        for name in ["events", "commits", "entities", "pg_class", "select", "tenant"] {
            let schema = Arc::new(EntitySchema::new(name, 1, Vec::new()));
            store.prepare(&schema).await.unwrap();
            let created = EntityChange::create(schema.clone(), "a", Vec::new());
            assert_eq!(store.apply(&acme(), vec![created]).await.unwrap(), [EntityVersion(1)], "{name}");
            let next = EntityChange::update(schema.clone(), "a", EntityVersion(1), Vec::new());
            assert_eq!(store.apply(&acme(), vec![next]).await.unwrap(), [EntityVersion(2)], "{name}");
            assert_eq!(store.count(&schema, &acme(), &Query::default()).await.unwrap(), 1, "{name}");
        }
        assert_eq!(store.count(&members(), &acme(), &Query::default()).await.unwrap_err().to_string(), {
            underlay_core::entity_not_prepared("member").to_string()
        });
    });
}

/// Units over the same entities in orders of their own, of two stores: each is stored or refused, none waits for
/// another in a circle, and what was acknowledged is there.
#[test]
fn units_that_cross_each_other_never_wait_in_a_circle() {
    const ENTITIES: u64 = 8;
    const UNITS: u64 = 60;
    with_place(async |place| {
        let stores = [prepared(&place).await, place.open().await];
        let create: Vec<EntityChange> =
            (0..ENTITIES).map(|at| enter(&format!("e-{at}"), at.cast_signed() * 1_000)).collect();
        stores[0].apply(&acme(), create).await.unwrap();
        let admin = place.admin().await;
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        let tasks: Vec<_> = (0..6_u64)
            .map(|task| {
                let store = stores[usize::try_from(task % 2).unwrap()].clone();
                tokio::spawn(async move {
                    let mut stored = vec![0_u64; usize::try_from(ENTITIES).unwrap()];
                    for round in 0..UNITS {
                        // Neighbours in one order or the other.
                        let first = (task + round) % ENTITIES;
                        let mut touched = vec![first, (first + 1) % ENTITIES, (first + 5) % ENTITIES];
                        if task % 2 == 1 {
                            touched.reverse();
                        }
                        let mut changes = Vec::new();
                        for at in &touched {
                            let id = format!("e-{at}");
                            let now = version(&store, &id).await.unwrap();
                            changes.push(update(&id, now, at.cast_signed() * 1_000));
                        }
                        match store.apply(&acme(), changes).await {
                            Ok(_) => touched.iter().for_each(|at| stored[usize::try_from(*at).unwrap()] += 1),
                            Err(Error::EntityConflict(_)) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                    stored
                })
            })
            .collect();
        let mut stored = vec![0; usize::try_from(ENTITIES).unwrap()];
        for task in tasks {
            for (sum, more) in stored.iter_mut().zip(task.await.unwrap()) {
                *sum += more;
            }
        }
        for (at, stored) in stored.into_iter().enumerate() {
            assert_eq!(version(&stores[1], &format!("e-{at}")).await, Some(1 + stored), "e-{at}");
        }
        assert_eq!(admin.query_one(deadlocks, &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}

#[test]
fn entities_are_removed_and_created_anew_by_many() {
    with_place(async |place| {
        let stores = [prepared(&place).await, place.open().await];
        // Every end is a version that was acknowledged, and no unit fails for another reason than the others.
        let tasks: Vec<_> = (0..6_i64)
            .map(|task| {
                let store = stores[usize::try_from(task % 2).unwrap()].clone();
                tokio::spawn(async move {
                    for round in 0..40 {
                        let changes = match (task + round) % 3 {
                            0 => vec![enter("a", 1), enter("b", 2)],
                            1 => vec![delete("b"), delete("a")],
                            _ => vec![update("b", 1, 2), update("a", 1, 1)],
                        };
                        match store.apply(&acme(), changes).await {
                            Ok(_) | Err(Error::EntityConflict(_) | Error::NotFound(_)) => {}
                            // Others were there before it each time it was tried.
                            Err(Error::Unavailable { reason, .. }) if reason.contains("others") => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let both = [version(&stores[0], "a").await, version(&stores[0], "b").await];
        assert_eq!(both[0], both[1], "they are always changed together");
    });
}

#[test]
fn a_unit_that_is_refused_leaves_its_connection_sound() {
    with_place(async |place| {
        let store = place.open_with(place.config().with_connections_max(1)).await;
        store.prepare(&members()).await.unwrap();
        store.apply(&acme(), vec![enter("a", 1)]).await.unwrap();
        for _ in 0..20 {
            let refused = store.apply(&acme(), vec![enter("b", 2), update("a", 7, 1)]).await;
            assert!(matches!(refused, Err(Error::EntityConflict(_))), "{refused:?}");
            abandon(store.apply(&acme(), vec![update("a", 7, 1)]));
        }
        store.apply(&acme(), vec![enter("b", 2)]).await.unwrap();
        let two = store.load(&members(), &acme(), &["b".to_owned(), "a".to_owned()]).await.unwrap();
        assert!(two.iter().all(|entity| entity.as_ref().is_some_and(|entity| entity.version.0 == 1)));
        assert_eq!(store.count(&members(), &tenant("globex"), &Query::default()).await.unwrap(), 0);
    });
}
