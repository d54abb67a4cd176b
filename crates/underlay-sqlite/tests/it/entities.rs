//! Entities: what the contract leaves to the adapter.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use underlay_core::adapter::{BatchLimits, ReadLimits};
use underlay_core::{
    Column, ColumnType, Commit, Comparison, Decimal, Direction, Entities, EntityChange, EntitySchema, EntityVersion,
    Error, EventStore, ExpectedVersion, ManualClock, Query, StoredEntity, TenantId, Timestamp, Value,
    Version,
};
use underlay_sqlite::{FaultPoint, SqliteConfig, SqliteStore};

use crate::failures::Gate;
use crate::sample::{Place, append, append_many, begin, stream, tenant};

fn column(name: &str, column_type: ColumnType, indexed: bool) -> Column {
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

fn values(pair: &str, amount: i64) -> Vec<Value> {
    vec![Value::Text(pair.to_owned()), Value::Decimal(Decimal::new(amount, 2)), Value::Null]
}

pub(crate) fn create(id: &str, amount: i64) -> EntityChange {
    EntityChange::create(Arc::new(rates()), id, values(id, amount))
}

pub(crate) fn update(id: &str, expected: u64, amount: i64) -> EntityChange {
    EntityChange::update(Arc::new(rates()), id, EntityVersion(expected), values(id, amount))
}

fn delete(id: &str) -> EntityChange {
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

async fn prepared(place: &Place, config: SqliteConfig) -> SqliteStore {
    // Prepared by a store of its own, so that the steps of the other are those of the test.
    place.open().prepare(&rates()).await.unwrap();
    place.open_with(config)
}

async fn load(store: &SqliteStore, id: &str) -> Option<StoredEntity> {
    store.load(&rates(), &tenant(), &[id.to_owned()]).await.unwrap().remove(0)
}

async fn version(store: &SqliteStore, id: &str) -> u64 {
    load(store, id).await.map_or(0, |entity| entity.version.0)
}

/// Applies a unit until the writer has its file back.
async fn apply_when_mended(store: &SqliteStore, changes: Vec<EntityChange>) {
    loop {
        match store.apply(&tenant(), changes.clone()).await {
            Err(Error::Unavailable { .. }) => tokio::task::yield_now().await,
            answer => return drop(answer.unwrap()),
        }
    }
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
    assert!(matches!(stale, Err(Error::EntityConflict(conflict)) if conflict.actual == Some(EntityVersion(1))));
    assert!(matches!(poison, Err(Error::Invalid(text)) if text.contains("already in the log")));
    let [both, missing, after, taken, late, last] = units;
    assert_eq!(both.await.unwrap(), [EntityVersion(1); 2]);
    assert!(matches!(missing.await, Err(Error::EntityConflict(conflict)) if conflict.actual.is_none()));
    assert_eq!(after.await.unwrap(), [EntityVersion(2); 2]);
    assert!(matches!(taken.await, Err(Error::RuleViolation(text)) if text.contains("pair")));
    assert!(matches!(late.await, Err(Error::EntityConflict(conflict)) if conflict.actual == Some(EntityVersion(2))));
    assert_eq!(last.await.unwrap(), [EntityVersion(1)]);
    for (id, expected) in
        [("of-commit", 2), ("of-stale", 0), ("of-poison", 0), ("a", 2), ("b", 1), ("c", 0), ("d", 0), ("f", 1)]
    {
        assert_eq!(version(&store, id).await, expected, "{id}");
    }
    // Positions have no hole where a commit was taken back.
    assert_eq!(store.head().await.unwrap().number(), 2);
    assert_eq!(store.versions(&owner, &[stream("a-3")]).await.unwrap(), [Version::NONE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_that_is_there_already_is_named_and_not_the_one_before_it() {
    let place = Place::new();
    let store = place.open();
    let first = append("a-1", ExpectedVersion::NoStream);
    let known = first.writes[0].events[0].event_id;
    store.commit(&tenant(), first).await.unwrap();
    let mut poison = append_many("a-2", ExpectedVersion::NoStream, 3);
    poison.writes[0].events[2].event_id = known;
    let refused = store.commit(&tenant(), poison).await.unwrap_err().to_string();
    assert!(refused.contains(&known.to_string()), "{refused}");
}

/// Holds the writer before its first transaction, and fails at these steps from the second on, each once.
fn failing_later(steps: &[FaultPoint]) -> (Gate, SqliteConfig) {
    let (begun, left) = (AtomicUsize::new(0), Mutex::new(steps.to_vec()));
    Gate::and_then(move |step| {
        let begun = begun.fetch_add(usize::from(step == FaultPoint::Begin), Ordering::SeqCst);
        let mut left = left.lock().unwrap();
        let due = begun + usize::from(step == FaultPoint::Begin) > 1 && left.first() == Some(&step);
        if due {
            left.remove(0);
        }
        due
    })
}

/// Applies units in one batch after another that passes, beside a commit where one is given; their answers.
async fn in_one_batch(
    store: &SqliteStore,
    gate: &Gate,
    beside: Option<Commit>,
    units: Vec<Vec<EntityChange>>,
) -> Vec<Result<Vec<EntityVersion>, Error>> {
    let owner = tenant();
    let held = begin(store.apply(&owner, vec![create("held", 1)]));
    gate.reached().await;
    let commit = beside.map(|commit| begin(store.commit(&owner, commit)));
    let waiting: Vec<_> = units.into_iter().map(|unit| begin(store.apply(&owner, unit))).collect();
    gate.open();
    held.await.unwrap();
    let mut answers = Vec::new();
    for waiting in waiting {
        answers.push(waiting.await);
    }
    if let Some(commit) = commit {
        assert_eq!(commit.await.is_ok(), answers[0].is_ok(), "what becomes of one becomes of the other");
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_fails_at_a_step_is_answered_as_the_file_tells() {
    use FaultPoint::{Begin, Commit, Committed, Fence, Inserted};
    for (steps, answered) in [
        // Before COMMIT nothing is stored.
        (&[Begin][..], Some(false)),
        (&[Inserted], Some(false)),
        // After a fence an entity tells, or the commit beside it.
        (&[Commit], Some(false)),
        (&[Committed], Some(true)),
        // Without one nobody knows.
        (&[Commit, Fence], None),
        (&[Committed, Fence], None),
    ] {
        for beside in [false, true] {
            let place = Place::new();
            let (gate, config) = failing_later(steps);
            let store = prepared(&place, config).await;
            let commit = beside.then(|| append("a-1", ExpectedVersion::NoStream));
            let unit = vec![create("a", 1), create("b", 1)];
            let answer = in_one_batch(&store, &gate, commit, vec![unit]).await.remove(0);
            let stored = version(&store, "a").await == 1;
            assert_eq!(stored, steps[0] == Committed, "{steps:?}");
            assert_eq!(version(&store, "b").await == 1, stored, "{steps:?}: both or neither");
            match (&answer, answered) {
                (Ok(_), Some(true)) => {}
                (Err(Error::Unavailable { reason, .. }), Some(false)) => {
                    assert!(!reason.contains("uncertain"), "{steps:?}: {reason}");
                }
                (Err(Error::Unavailable { reason, .. }), None) => {
                    assert!(reason.contains("uncertain"), "{steps:?}: {reason}");
                }
                _ => panic!("{steps:?}: {answer:?}"),
            }
            // The writer goes on.
            apply_when_mended(&store, vec![create("next", 1)]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn units_that_leave_no_trace_of_their_own_are_uncertain_after_a_failed_commit() {
    let place = Place::new();
    let (gate, config) = failing_later(&[FaultPoint::Committed]);
    let store = prepared(&place, config).await;
    // Whether it was there before at this version, or is there now, nobody can tell.
    let units = vec![vec![create("a", 1)], vec![delete("a")], vec![create("a", 2)]];
    for answer in in_one_batch(&store, &gate, None, units).await {
        match answer {
            Err(Error::Unavailable { reason, .. }) => assert!(reason.contains("uncertain"), "{reason}"),
            answer => panic!("{answer:?}"),
        }
    }
    assert_eq!(version(&store, "a").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_tells_nothing_once_another_process_has_written() {
    let place = Place::new();
    let other = Arc::new(Mutex::new(None::<rusqlite::Connection>));
    let theirs = other.clone();
    // Between the COMMIT that failed and the fence, another process does what the unit was to do.
    let begun = AtomicUsize::new(0);
    let (gate, config) = Gate::and_then(move |step| {
        let begun = begun.fetch_add(usize::from(step == FaultPoint::Begin), Ordering::SeqCst);
        if step == FaultPoint::Begin && begun == 2 {
            let there = theirs.lock().unwrap();
            let sql = "INSERT INTO entity_rate SELECT tenant, 'a', 1, 'a', amount, note FROM entity_rate";
            there.as_ref().unwrap().execute_batch(sql).unwrap();
        }
        step == FaultPoint::Commit && begun == 2
    });
    let store = prepared(&place, config).await;
    *other.lock().unwrap() = Some(place.connect());
    let answer = in_one_batch(&store, &gate, None, vec![vec![create("a", 1)]]).await.remove(0);
    match answer {
        Err(Error::Unavailable { reason, .. }) => assert!(reason.contains("uncertain"), "{reason}"),
        answer => panic!("the entity of another was taken for its own: {answer:?}"),
    }
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
    assert_eq!([version(&store, "a").await, version(&store, "b").await, version(&store, "c").await], [1, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_dies_answers_the_units_that_wait() {
    for (at, uncertain) in [(FaultPoint::Inserted, false), (FaultPoint::Commit, true)] {
        let place = Place::new();
        let (gate, config) = Gate::and_then(move |step| {
            assert!(step != at, "injected panic");
            false
        });
        let store = prepared(&place, config).await;
        let owner = tenant();
        let first = begin(store.apply(&owner, vec![create("a", 1)]));
        gate.reached().await;
        let second = begin(store.apply(&owner, vec![create("b", 1)]));
        gate.open();
        for (answer, uncertain) in [(first.await, uncertain), (second.await, false)] {
            match answer {
                Err(Error::Unavailable { reason, .. }) => {
                    assert_eq!(reason.contains("uncertain"), uncertain, "{at:?}: {reason}");
                }
                answer => panic!("{at:?}: {answer:?}"),
            }
        }
        assert!(store.close().await.is_err(), "{at:?}: closing tells of the panic");
    }
}

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
async fn a_query_of_entities_has_a_deadline_and_a_line() {
    const MANY: usize = 4_000;
    let place = Place::new();
    let limits = ReadLimits {
        running_max: 1,
        tenant_waiting_max: 2,
        wait_max: Duration::from_secs(120),
        ..ReadLimits::default()
    };
    let config = SqliteConfig::default()
        .with_query_limits(limits)
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
    let (owner, schema, all) = (tenant(), rates(), Query::default());
    let waiting: Vec<_> = (0..3).map(|_| begin(store.count(&schema, &owner, &all))).collect();
    match store.load(&schema, &owner, &["rate-00001".to_owned()]).await {
        Err(Error::Unavailable { reason, overloaded: true, .. }) => {
            assert!(reason.contains("tenant_waiting_max = 2"), "{reason}");
        }
        answer => panic!("{answer:?}"),
    }
    // Another tenant's place is its own.
    let other = TenantId::new("globex").unwrap();
    drop(begin(store.count(&schema, &other, &all)));
    drop(waiting);
}
