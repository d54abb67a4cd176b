//! The tables of entities: extended by programs, and altered by people.

use std::sync::Arc;

use underlay_core::{
    ColumnType, Comparison, Direction, Entities, EntityChange, EntityVersion, Error, EventStore,
    ExpectedVersion, Query, Value,
};
use underlay_sqlite::{SqliteConfig, SqliteStore};

use crate::entities::{column, create, prepared, rates, update, values, version};
use crate::sample::{Place, append, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_altered_is_damage_that_is_named_and_fails_no_other() {
    for (sql, part) in [
        ("DROP TABLE entity_rate", "missing"),
        ("DROP INDEX \"entity_rate.pair\"", "entity_rate.pair"),
        ("ALTER TABLE entity_rate DROP COLUMN note", "note"),
        ("ALTER TABLE entity_rate ADD COLUMN stray TEXT", "stray"),
        ("CREATE UNIQUE INDEX theirs ON entity_rate (amount)", "theirs"),
    ] {
        let place = Place::new();
        let store = prepared(&place, SqliteConfig::default()).await;
        store.apply(&tenant(), vec![create("a", 1)]).await.unwrap();
        place.connect().execute_batch(sql).unwrap();
        let named = |answer: Result<(), Error>, call: &str| match answer {
            Err(Error::Damaged(text)) => {
                assert!(text.contains("rate") && text.contains(part), "{sql}: {call}: {text}");
            }
            answer => panic!("{sql}: {call}: {answer:?}"),
        };
        named(store.prepare(&rates()).await, "prepare");
        let mut next = rates();
        next.version = 2;
        named(store.prepare(&next).await, "prepare, of the next version");
        let gone = sql.starts_with("DROP TABLE") || sql.contains("DROP COLUMN");
        if gone {
            named(store.load(&rates(), &tenant(), &["a".to_owned()]).await.map(drop), "load");
            named(store.apply(&tenant(), vec![update("a", 1, 2)]).await.map(drop), "apply");
            let commit = append("a-1", ExpectedVersion::NoStream).with_entities(vec![update("a", 1, 2)]);
            named(store.commit(&tenant(), commit).await.map(drop), "commit");
        }
        if gone || sql.starts_with("DROP INDEX") {
            let by_pair = Query::default().sort("pair", Direction::Ascending);
            named(store.query(&rates(), &tenant(), &by_pair).await.map(drop), "query");
        }
        if !sql.starts_with("ALTER") && !sql.starts_with("CREATE") {
            let of_pair = Query::default().filter("pair", Comparison::Eq, Value::Text("a".into()));
            named(store.count(&rates(), &tenant(), &of_pair).await.map(drop), "count");
        }
        // The writer takes no harm.
        store.commit(&tenant(), append("b-1", ExpectedVersion::NoStream)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_refuses_an_entity_is_named() {
    let place = Place::new();
    let store = prepared(&place, SqliteConfig::default()).await;
    place
        .connect()
        .execute_batch(
            "CREATE TRIGGER theirs BEFORE INSERT ON entity_rate WHEN new.\"key\" = 'b' \
             BEGIN SELECT RAISE(ABORT, 'no b here'); END",
        )
        .unwrap();
    let refused = store.apply(&tenant(), vec![create("a", 1), create("b", 1)]).await;
    assert!(matches!(&refused, Err(Error::Damaged(text)) if text.contains("theirs")), "{refused:?}");
    assert_eq!(version(&store, "a").await, 0, "nothing is stored");
    store.apply(&tenant(), vec![create("a", 1)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_an_older_shape_goes_on_as_far_as_the_table_has_what_it_asks_for() {
    let place = Place::new();
    let (older, newer) = (prepared(&place, SqliteConfig::default()).await, place.open());
    older.apply(&tenant(), vec![create("a", 1)]).await.unwrap();
    let mut extended = rates();
    extended.version = 2;
    extended.columns.push(column("source", ColumnType::Text, false));
    extended.columns[1].indexed = false;
    newer.prepare(&extended).await.unwrap();
    let extended = Arc::new(extended);
    let with_source = |amount| values("a", amount).into_iter().chain([Value::Text("ecb".into())]).collect();
    let sourced = EntityChange::update(extended.clone(), "a", EntityVersion(1), with_source(2));
    newer.apply(&tenant(), vec![sourced]).await.unwrap();

    // What it does not know of stays as it is.
    older.apply(&tenant(), vec![update("a", 2, 3)]).await.unwrap();
    let found = newer.load(&extended, &tenant(), &["a".to_owned()]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().values, with_source(3));
    let by_amount = Query::default().sort("amount", Direction::Ascending);
    let asked = older.query(&rates(), &tenant(), &by_amount).await;
    assert!(matches!(&asked, Err(Error::EntityChanged { entity, .. }) if entity == "rate"), "{asked:?}");
    let asked = older.query(&rates(), &tenant(), &Query::default()).await.unwrap();
    assert_eq!(asked.entities.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_the_table_is_kept_when_it_is_extended_again() {
    let place = Place::new();
    let store = prepared(&place, SqliteConfig::default()).await;
    let mut schema = rates();
    for (version, name) in (2..).zip(["x", "a", "m"]) {
        schema.version = version;
        // First in the code and last in the table.
        schema.columns.insert(0, column(name, ColumnType::Integer, false));
        store.prepare(&schema).await.unwrap();
        // It is as it was made, so it is prepared again and not damaged.
        store.prepare(&schema).await.unwrap();
        place.open().prepare(&schema).await.unwrap();
    }
    let names = "SELECT name FROM pragma_table_info('entity_rate')";
    let connection = place.connect();
    let mut select = connection.prepare(names).unwrap();
    let names: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(names, ["tenant", "key", "version", "pair", "amount", "note", "x", "a", "m"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_prepare_at_once_agree() {
    let place = Place::new();
    let stores: Vec<SqliteStore> = (0..4).map(|_| place.open()).collect();
    let prepare = |store: &SqliteStore| {
        let store = store.clone();
        tokio::spawn(async move { store.prepare(&rates()).await })
    };
    let preparing: Vec<_> = stores.iter().chain(&stores).map(prepare).collect();
    for prepared in preparing {
        prepared.await.unwrap().unwrap();
    }
    stores[0].apply(&tenant(), vec![create("a", 1)]).await.unwrap();
    assert_eq!(version(&stores[3], "a").await, 1);
}
