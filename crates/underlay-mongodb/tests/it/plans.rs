//! How the server runs the reads that must stay fast: along the index that was named, from where the cursor is, with no
//! row of another tenant and nothing to sort where the index has the order.

use mongodb::bson::{Bson, Document};
use underlay_core::{Comparison, Condition, Direction, Entities, Query, Value};
use underlay_mongodb::MongoStore;

use crate::place::{Place, with_place};
use crate::sample::{accounts, acme, create, tenant, values};

const ROWS: i64 = 2_000;
/// Rows in a page.
const PAGE: usize = 10;

/// Entities of three tenants.
async fn filled(place: &Place) -> MongoStore {
    let store = place.open().await;
    store.prepare(&accounts()).await.unwrap();
    for owner in ["acme", "globex", "initech"] {
        for numbers in (0..ROWS).collect::<Vec<_>>().chunks(1_000) {
            let changes = numbers.iter().map(|number| create(*number)).collect();
            store.apply(&tenant(owner), changes).await.unwrap();
        }
    }
    store
}

/// The stages of a plan, from the top, with what each came to.
fn stages(explained: &Document) -> Vec<Document> {
    let first = explained.get_array("stages").ok().and_then(|stages| stages.first()?.as_document());
    let planned = first.and_then(|first| first.get_document("$cursor").ok()).unwrap_or(explained);
    let top = planned.get_document("executionStats").unwrap().get_document("executionStages").unwrap();
    let (mut found, mut next) = (Vec::new(), vec![top.clone()]);
    while let Some(stage) = next.pop() {
        let inner = stage.get_array("inputStages").cloned().unwrap_or_default();
        let inner = inner.into_iter().chain(stage.get("inputStage").cloned());
        next.extend(inner.filter_map(|inner| inner.as_document().cloned()));
        found.push(stage);
    }
    found
}

fn examined(stages: &[Document]) -> i64 {
    let keys = |stage: &Document| match stage.get("keysExamined") {
        Some(Bson::Int32(keys)) => i64::from(*keys),
        Some(Bson::Int64(keys)) => *keys,
        _ => 0,
    };
    stages.iter().map(keys).sum()
}

/// That each way to a page is along its index alone; the most index entries that one of them looked at.
async fn walked(store: &MongoStore, query: &Query) -> i64 {
    let mut most = 0;
    for (index, explained) in store.explain(&accounts(), &acme(), query).await.unwrap() {
        let stages = stages(&explained);
        let named = |stage: &Document| stage.get_str("stage").unwrap_or_default().to_owned();
        let names: Vec<String> = stages.iter().map(named).collect();
        for scan in stages.iter().filter(|stage| named(stage) == "IXSCAN") {
            assert_eq!(scan.get_str("indexName").unwrap(), index, "{query:?}");
            let bounds = scan.get_document("indexBounds").unwrap();
            let first = bounds.values().next().unwrap().to_string();
            assert!(first.contains("acme"), "the tenant comes first: {bounds}");
        }
        let known = ["LIMIT", "FETCH", "IXSCAN", "SORT_MERGE"];
        assert!(names.iter().all(|name| known.contains(&name.as_str())), "{index}: {names:?}");
        assert!(names.iter().any(|name| name == "IXSCAN"), "{index}: {names:?}");
        most = most.max(examined(&stages));
    }
    most
}

#[test]
fn a_page_begins_at_its_cursor_and_ends_with_its_last_row() {
    with_place(async |place| {
        let store = filled(&place).await;
        let schema = accounts();
        let columns =
            [None, Some("name"), Some("entries"), Some("amount"), Some("closed"), Some("opened_at")];
        for column in columns {
            for direction in [Direction::Ascending, Direction::Descending] {
                let mut query = Query::default().limit(PAGE);
                query.sort.column = column.map(str::to_owned);
                query.sort.direction = direction;
                let mut seen = Vec::new();
                for _ in 0..3 {
                    // One more row says that another page follows, and each of two ranges one more that it ends.
                    let looked = walked(&store, &query).await;
                    assert!(looked <= PAGE as i64 + 3, "{column:?} {direction:?}: {looked} entries");
                    let page = store.query(&schema, &acme(), &query).await.unwrap();
                    seen.extend(page.entities.into_iter().map(|entity| entity.id));
                    query.after = page.next;
                }
                let distinct: std::collections::BTreeSet<&String> = seen.iter().collect();
                assert_eq!((seen.len(), distinct.len()), (3 * PAGE, 3 * PAGE), "{column:?}");
            }
        }
    });
}

#[test]
fn a_filter_is_the_bound_of_its_index() {
    with_place(async |place| {
        let store = filled(&place).await;
        let row = values(1_990);
        for (column, comparison, at) in [
            ("name", Comparison::Eq, 0),
            ("entries", Comparison::Ge, 1),
            ("amount", Comparison::Gt, 2),
            ("opened_at", Comparison::Ge, 4),
        ] {
            let query = Query::default()
                .filter(column, comparison, row[at].clone())
                .sort(column, Direction::Ascending);
            let looked = walked(&store, &query).await;
            assert!(looked <= 12, "{column}: {looked} entries");
            assert!(!store.query(&accounts(), &acme(), &query).await.unwrap().entities.is_empty());
        }
        let prefix = Query::default().filter("name", Comparison::Prefix, Value::Text("name 00199".into()));
        let explained = store.explain(&accounts(), &acme(), &prefix).await.unwrap();
        assert!(examined(&stages(&explained[0].1)) <= 12, "{explained:?}");
    });
}

#[test]
fn what_is_tested_row_by_row_is_tested_along_the_index() {
    with_place(async |place| {
        let store = filled(&place).await;
        let odd = Condition::compare("closed", Comparison::Eq, Value::Boolean(true)).negated();
        let query =
            Query { condition: odd, ..Query::default().limit(PAGE).sort("entries", Direction::Descending) };
        assert!(walked(&store, &query).await > 0);
        let page = store.query(&accounts(), &acme(), &query).await.unwrap();
        let numbers: Vec<&Value> = page.entities.iter().map(|entity| &entity.values[1]).collect();
        assert_eq!(numbers[..2], [&Value::Integer(1_999), &Value::Integer(1_997)]);
    });
}
