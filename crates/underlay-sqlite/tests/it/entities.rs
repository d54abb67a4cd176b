//! Entities: what the contract leaves to the adapter.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use underlay_core::adapter::{BatchLimits, ReadLimits};
use underlay_core::{
    Column, ColumnType, Comparison, Decimal, Direction, Entities, EntityChange, EntitySchema, EntityVersion,
    Error, EventStore, ExpectedVersion, ManualClock, Query, StoredEntity, TenantId, Timestamp, Value,
    Version,
};
use underlay_sqlite::{SqliteConfig, SqliteStore};

use crate::failures::Gate;
use crate::sample::{Place, append, append_many, begin, busy, stream, tenant, with_one_blocking_thread};

pub(crate) fn column(name: &str, column_type: ColumnType, indexed: bool) -> Column {
    Column { name: name.to_owned(), column_type, nullable: !indexed, indexed }
}

/// A rate by its unique pair, with an amount and a note.
pub(crate) fn rates() -> EntitySchema {
    let columns = vec![
        column("pair", ColumnType::Text, true),
        column("amount", ColumnType::Decimal, true),
        column("note", ColumnType::Text, false),
    ];
    EntitySchema::new("rate", 1, columns).with_unique(["pair"])
}

pub(crate) fn values(pair: &str, amount: i64) -> Vec<Value> {
    vec![Value::Text(pair.to_owned()), Value::Decimal(Decimal::new(amount, 2)), Value::Null]
}

pub(crate) fn create(id: &str, amount: i64) -> EntityChange {
    EntityChange::create(Arc::new(rates()), id, values(id, amount))
}

pub(crate) fn update(id: &str, expected: u64, amount: i64) -> EntityChange {
    EntityChange::update(Arc::new(rates()), id, EntityVersion(expected), values(id, amount))
}

pub(crate) fn delete(id: &str) -> EntityChange {
    EntityChange::delete(Arc::new(rates()), id, None)
}

/// Puts entities into a store.
pub(crate) async fn fill(store: &SqliteStore) {
    store.prepare(&rates()).await.unwrap();
    store.apply(&tenant(), vec![create("a", 1), create("b", 2)]).await.unwrap();
}

/// Asks of entities all there is to ask; each call with its answer.
pub(crate) async fn ask(store: &SqliteStore) -> Vec<(&'static str, Result<(), Error>)> {
    let (schema, owner) = (rates(), tenant());
    let ids = ["a", "b", "absent"].map(str::to_owned);
    let mut answers = vec![
        ("prepare_entity", store.prepare(&schema).await),
        ("load_entities", store.load(&schema, &owner, &ids).await.map(drop)),
    ];
    for query in [Query::default(), Query::default().sort("pair", Direction::Descending)] {
        answers.push(("query_entities", store.query(&schema, &owner, &query).await.map(drop)));
        answers.push(("count_entities", store.count(&schema, &owner, &query).await.map(drop)));
    }
    let unit = vec![update("a", 1, 7), delete("b"), create("new", 8)];
    answers.push(("apply_entities", store.apply(&owner, unit).await.map(drop)));
    answers
}

pub(crate) async fn prepared(place: &Place, config: SqliteConfig) -> SqliteStore {
    // Prepared by a store of its own, so that the steps of the other are those of the test.
    place.open().prepare(&rates()).await.unwrap();
    place.open_with(config)
}

pub(crate) async fn load(store: &SqliteStore, id: &str) -> Option<StoredEntity> {
    store.load(&rates(), &tenant(), &[id.to_owned()]).await.unwrap().remove(0)
}

pub(crate) async fn version(store: &SqliteStore, id: &str) -> u64 {
    load(store, id).await.map_or(0, |entity| entity.version.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn units_and_commits_of_one_batch_are_answered_each_on_its_own() {
    let place = Place::new();
    let (gate, config) = Gate::new();
    let store = prepared(&place, config).await;
    let owner = tenant();
    // The first commit holds the writer; the others wait and make one batch.
    let first = begin(store.commit(&owner, append("held-1", ExpectedVersion::NoStream)));
    gate.reached().await;
    let good = append("a-1", ExpectedVersion::NoStream).with_entities(vec![create("of-commit", 1)]);
    let stale = append("a-2", ExpectedVersion::NoStream)
        .with_entities(vec![create("of-stale", 1), update("of-commit", 7, 2)]);
    let mut poison =
        append_many("a-3", ExpectedVersion::NoStream, 2).with_entities(vec![create("of-poison", 1)]);
    poison.writes[0].events[1].event_id = good.writes[0].events[0].event_id;
    let commits = [good, stale, poison].map(|commit| begin(store.commit(&owner, commit)));
    let units = [
        vec![create("a", 1), create("b", 1)],
        vec![create("c", 1), update("absent", 1, 1)],
        vec![update("a", 1, 2), update("of-commit", 1, 2)],
        vec![create("d", 1), EntityChange::create(Arc::new(rates()), "e", values("b", 1))],
        vec![update("a", 1, 3)],
        vec![create("f", 1)],
    ]
    .map(|unit| begin(store.apply(&owner, unit)));
    gate.open();
    first.await.unwrap();
    let [good, stale, poison] = commits;
    let (good, stale, poison) = (good.await, stale.await, poison.await);
    assert_eq!(good.unwrap().versions[0].version, Version(1));
    assert!(
        matches!(stale, Err(Error::EntityConflict(conflict)) if conflict.actual == Some(EntityVersion(1)))
    );
    assert!(matches!(poison, Err(Error::Invalid(text)) if text.contains("already in the log")));
    let [both, missing, after, taken, late, last] = units;
    assert_eq!(both.await.unwrap(), [EntityVersion(1); 2]);
    assert!(matches!(missing.await, Err(Error::EntityConflict(conflict)) if conflict.actual.is_none()));
    assert_eq!(after.await.unwrap(), [EntityVersion(2); 2]);
    assert!(matches!(taken.await, Err(Error::RuleViolation(text)) if text.contains("pair")));
    assert!(
        matches!(late.await, Err(Error::EntityConflict(conflict)) if conflict.actual == Some(EntityVersion(2)))
    );
    assert_eq!(last.await.unwrap(), [EntityVersion(1)]);
    for (id, expected) in [
        ("of-commit", 2),
        ("of-stale", 0),
        ("of-poison", 0),
        ("a", 2),
        ("b", 1),
        ("c", 0),
        ("d", 0),
        ("f", 1),
    ] {
        assert_eq!(version(&store, id).await, expected, "{id}");
    }
    // Positions have no hole where a commit was taken back.
    assert_eq!(store.head().await.unwrap().number(), 2);
    assert_eq!(store.versions(&owner, &[stream("a-3")]).await.unwrap(), [Version::NONE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_of_units_is_bounded_and_tenants_have_places_of_their_own() {
    for (name, limits) in [
        ("queue_items_max = 2", BatchLimits { queue_items_max: 2, ..BatchLimits::default() }),
        ("tenant_items_max = 2", BatchLimits { tenant_items_max: 2, ..BatchLimits::default() }),
    ] {
        let place = Place::new();
        let (gate, config) = Gate::new();
        let store = prepared(&place, config.with_limits(limits)).await;
        let (owner, other) = (tenant(), TenantId::new("globex").unwrap());
        let apply = |owner, id: &str| store.apply(owner, vec![create(id, 1)]);
        let first = begin(apply(&owner, "first"));
        gate.reached().await;
        let waiting = ["a", "b"].map(|id| begin(apply(&owner, id)));
        match apply(&owner, "c").await {
            Err(Error::Unavailable { reason, overloaded: true, retry_after: Some(_) }) => {
                assert!(reason.contains(name), "{reason}");
            }
            answer => panic!("{name}: {answer:?}"),
        }
        let beside = name.starts_with("tenant").then(|| begin(apply(&other, "c")));
        gate.open();
        first.await.unwrap();
        for waiting in waiting {
            waiting.await.unwrap();
        }
        if let Some(beside) = beside {
            beside.await.unwrap();
        }
        assert_eq!(version(&store, "c").await, 0, "{name}: nothing of it is stored");
        apply(&owner, "c").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_stores_the_units_that_wait_and_takes_no_more() {
    let place = Place::new();
    let (gate, config) = Gate::new();
    let store = prepared(&place, config).await;
    let owner = tenant();
    let waiting = ["a", "b"].map(|id| begin(store.apply(&owner, vec![create(id, 1)])));
    gate.reached().await;
    let closing = begin(store.close());
    gate.open();
    closing.await.unwrap();
    for waiting in waiting {
        waiting.await.unwrap();
    }
    let late = store.apply(&owner, vec![create("c", 1)]).await;
    assert!(matches!(late, Err(Error::Unavailable { .. })), "{late:?}");
    let store = place.open();
    assert_eq!(
        [version(&store, "a").await, version(&store, "b").await, version(&store, "c").await],
        [1, 1, 0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_on_one_file_lose_no_update() {
    const WRITERS: usize = 4;
    const ROUNDS: u64 = 20;
    let place = Place::new();
    let stores = [prepared(&place, SqliteConfig::default()).await, place.open()];
    stores[0].apply(&tenant(), vec![create("a", 0), create("b", 0)]).await.unwrap();
    let writing: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = stores[writer % 2].clone();
            tokio::spawn(async move {
                let mut expected = 1;
                for _ in 0..ROUNDS {
                    loop {
                        let amount = i64::try_from(expected).unwrap();
                        let unit = vec![update("a", expected, amount), update("b", expected, amount)];
                        match store.apply(&tenant(), unit).await {
                            Ok(versions) => {
                                expected = versions[0].0;
                                break;
                            }
                            Err(Error::EntityConflict(conflict)) => expected = conflict.actual.unwrap().0,
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
            })
        })
        .collect();
    for writing in writing {
        writing.await.unwrap();
    }
    for id in ["a", "b"] {
        assert_eq!(version(&stores[1], id).await, WRITERS as u64 * ROUNDS + 1, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_entities_has_a_deadline() {
    const MANY: usize = 4_000;
    let place = Place::new();
    let config = SqliteConfig::default()
        .with_query_timeout(Duration::ZERO)
        .with_clock(Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)));
    let store = prepared(&place, config).await;
    let all: Vec<EntityChange> = (0..MANY).map(|number| create(&format!("rate-{number:05}"), 1)).collect();
    for unit in all.chunks(1_000) {
        store.apply(&tenant(), unit.to_vec()).await.unwrap();
    }
    match store.count(&rates(), &tenant(), &Query::default()).await {
        Err(Error::TooBroad(text)) => assert!(text.contains("query_timeout = 0ns"), "{text}"),
        answer => panic!("{answer:?}"),
    }
    // The connection is as good as before.
    let few = Query::default().filter("pair", Comparison::Lt, Value::Text("rate-00003".into()));
    assert_eq!(store.count(&rates(), &tenant(), &few).await.unwrap(), 3);
}

#[test]
fn queries_of_entities_wait_in_a_line_that_is_bounded() {
    with_one_blocking_thread(async {
        let place = Place::new();
        let limits = ReadLimits { running_max: 1, tenant_waiting_max: 2, ..ReadLimits::default() };
        let store = prepared(&place, SqliteConfig::default().with_query_limits(limits)).await;
        let (owner, schema, all) = (tenant(), rates(), Query::default());
        let busy = busy();
        let waiting: Vec<_> = (0..3).map(|_| begin(store.count(&schema, &owner, &all))).collect();
        match store.load(&schema, &owner, &["rate-00001".to_owned()]).await {
            Err(Error::Unavailable { reason, overloaded: true, .. }) => {
                assert!(reason.contains("tenant_waiting_max = 2"), "{reason}");
            }
            answer => panic!("{answer:?}"),
        }
        // Another tenant's place is its own.
        let other = TenantId::new("globex").unwrap();
        let mut others = begin(store.count(&schema, &other, &all));
        assert!(others.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop((others, waiting, busy));
    });
}
