//! How the server runs what reads and writes entities, as the roles that do and under their policies: along an index,
//! without sorting, whatever its statistics say of the tenant.

use underlay_core::{
    ColumnType, Comparison, Condition, Cursor, Decimal, Direction, Entities, EntityChange, EntityVersion,
    Query, Sort, TenantId, Timestamp, Value,
};
use underlay_postgres::PostgresStore;

use crate::old_statistics::costs;
use crate::place::{Place, with_place};
use crate::sample::{acme, enter, member, members, tenant};

const UNIT: i64 = 1_000;

async fn fill(store: &PostgresStore, owner: &TenantId, count: i64) {
    for first in (0..count).step_by(usize::try_from(UNIT).unwrap()) {
        let create =
            (first..count.min(first + UNIT)).map(|number| enter(&format!("key-{number:06}"), number));
        store.apply(owner, create.collect()).await.unwrap();
    }
}

/// Entities enough that a wrong plan would look good to the server.
async fn filled(place: &Place) -> PostgresStore {
    let store = place.open().await;
    store.prepare(&members()).await.unwrap();
    for owner in ["acme", "globex", "initech"] {
        fill(&store, &tenant(owner), 2 * UNIT).await;
    }
    place.admin().await.batch_execute("ANALYZE").await.unwrap();
    store
}

/// The name of the index that queries walk along in the order of a column.
async fn index_of(place: &Place, column: &str) -> String {
    let admin = place.admin().await;
    let select = "SELECT i.indexrelid::regclass::text FROM pg_index AS i JOIN pg_attribute AS a \
                  ON a.attrelid = i.indrelid AND a.attname = $1 AND a.attnum = i.indkey[1] \
                  WHERE i.indrelid = 'underlay_entities.member'::regclass AND i.indnatts = 3";
    let name: String = admin.query_one(select, &[&column]).await.unwrap().get(0);
    name.rsplit_once("member").map(|(_, rest)| rest.trim_end_matches('"').to_owned()).unwrap()
}

fn sample(column_type: ColumnType) -> Value {
    match column_type {
        ColumnType::Text => Value::Text("name 998".into()),
        ColumnType::Integer => Value::Integer(1_990),
        ColumnType::Decimal => Value::Decimal(Decimal::new(1_990, 2)),
        ColumnType::Boolean => Value::Boolean(true),
        ColumnType::Timestamp => Value::Timestamp(Timestamp::from_microsecond(1_990).unwrap()),
    }
}

fn assert_walks(plan: &[String], index: &str, what: &str) {
    let text = plan.join("\n");
    let quoted = format!("\"member{index}\"");
    assert!(text.contains(&quoted), "{what}: not along {quoted}\n{text}");
    assert!(
        !text.contains("Seq Scan") && !text.contains("Bitmap"),
        "{what}: reads more than it gives\n{text}"
    );
}

#[test]
fn every_filter_and_every_sort_walks_along_its_index() {
    with_place(async |place| {
        let store = filled(&place).await;
        let schema = members();
        let note = Condition::compare("note", Comparison::Prefix, Value::Text("note 1".into())).negated();
        for column in schema.columns.iter().filter(|column| column.indexed) {
            let (index, value) = (index_of(&place, &column.name).await, sample(column.column_type));
            for condition in [Condition::default(), note.clone()] {
                for comparison in [Comparison::Eq, Comparison::Lt, Comparison::Ge] {
                    let mut query = Query::default().filter(&column.name, comparison, value.clone());
                    query.condition = condition.clone();
                    let what = format!("{} {comparison:?} {condition:?}", column.name);
                    let plans = store.explain_entities(&schema, &acme(), &query).await.unwrap();
                    // By the keys a page without more tests is found as soon, of half of the rows or of most.
                    if comparison == Comparison::Eq && column.column_type != ColumnType::Boolean {
                        assert_walks(&plans[0], &index, &what);
                    }
                    assert_walks(&plans[1], &index, &format!("the count of {what}"));
                }
                for direction in [Direction::Ascending, Direction::Descending] {
                    let sort = Sort { column: Some(column.name.clone()), direction };
                    for after in [None, Some(Cursor { value: Some(value.clone()), key: "key-5".into() })] {
                        let condition = condition.clone();
                        let query = Query { sort: sort.clone(), after, condition, ..Query::default() };
                        let [page, _] = store.explain_entities(&schema, &acme(), &query).await.unwrap();
                        assert_walks(&page, &index, &format!("{query:?}"));
                        let outer = page.iter().filter(|line| line.contains("Sort")).count();
                        assert_eq!(outer, 0, "{query:?}\n{}", page.join("\n"));
                    }
                }
            }
        }
        let [page, _] = store.explain_entities(&schema, &acme(), &Query::default()).await.unwrap();
        assert_walks(&page, ".0", "by id");
    });
}

fn of_each_kind() -> Vec<EntityChange> {
    let id = |number: i64| format!("key-{number:06}");
    vec![
        EntityChange::delete(members(), id(1), None),
        EntityChange::delete(members(), id(2), Some(EntityVersion(1))),
        EntityChange::update(members(), id(3), EntityVersion(1), member(3)),
        EntityChange::update(members(), id(4), EntityVersion(1), member(4)),
        enter("new", -1),
    ]
}

#[test]
fn what_is_changed_is_found_by_its_id_and_changed_where_it_lies() {
    with_place(async |place| {
        let store = filled(&place).await;
        let [delete, update, create] =
            store.explain_unit(&acme(), &of_each_kind()).await.unwrap().try_into().unwrap();
        for plan in [delete, update] {
            assert_walks(&plan, ".0", "a unit");
            let text = plan.join("\n");
            assert!(text.contains("Tid Scan") && text.contains("LockRows"), "{text}");
        }
        assert!(!create.join("\n").contains("Scan using"), "{create:?}");
    });
}

/// The statistics know other tenants alone, or nobody.
#[test]
fn reads_and_writes_look_at_as_few_entities_where_the_statistics_are_old() {
    const OWN: i64 = 12 * UNIT;
    for others in [false, true] {
        with_place(async |place| {
            let store = place.open().await;
            store.prepare(&members()).await.unwrap();
            let (admin, late) = (place.admin().await, tenant("late"));
            let still = "ALTER TABLE underlay_entities.member SET (autovacuum_enabled = off)";
            admin.batch_execute(still).await.unwrap();
            if others {
                fill(&store, &acme(), 2 * UNIT).await;
            }
            admin.batch_execute("ANALYZE").await.unwrap();
            fill(&store, &late, OWN).await;
            store.close().await.unwrap();
            let schema = members();
            let mut wrong = Vec::new();
            let ids: Vec<String> = (0..20).map(|number| format!("key-{:06}", number * 500)).collect();
            let loaded = async |store: &PostgresStore| {
                assert!(store.load(&schema, &late, &ids).await.unwrap().iter().all(Option::is_some));
            };
            wrong.extend(costs(&place, "entities by id", 20, loaded).await);
            for column in schema.columns.iter().filter(|column| column.indexed) {
                let query = Query::default().sort(&column.name, Direction::Descending).limit(10);
                let listed = async |store: &PostgresStore| {
                    assert_eq!(store.query(&schema, &late, &query).await.unwrap().entities.len(), 10);
                };
                wrong.extend(costs(&place, &format!("by {}", column.name), 10, listed).await);
            }
            let updated = async |store: &PostgresStore| {
                let ids = &ids[..4];
                let there = store.load(&schema, &late, ids).await.unwrap().into_iter().flatten();
                let changes = there
                    .map(|entity| EntityChange::update(members(), entity.id, entity.version, entity.values));
                store.apply(&late, changes.collect()).await.unwrap();
            };
            wrong.extend(costs(&place, "a unit of updates", 20, updated).await);
            let removed = async |store: &PostgresStore| {
                store.apply(&late, vec![enter("new", -1)]).await.unwrap();
                store.apply(&late, vec![EntityChange::delete(members(), "new", None)]).await.unwrap();
            };
            wrong.extend(costs(&place, "an entity that comes and goes", 2, removed).await);
            assert_eq!(wrong, [""; 0], "others: {others}");
        });
    }
}
