use underlay_core::limits::{PAGE_ROWS_MAX, QUERY_ROWS_SCANNED_MAX};
use underlay_core::{
    ColumnType, Comparison, Condition, Cursor, Direction, EntitySchema, Error, Query, Value,
};

use super::Subject;
use super::subject::{column, text};
use crate::EntitiesFixture;

/// As many as a query may look at.
const MOST: i64 = QUERY_ROWS_SCANNED_MAX as i64;
/// Entities that are stored between two looks at how far it is.
const AT_ONCE: usize = 10_000;

/// Sentence 16: a query that finds its answer within `QUERY_ROWS_SCANNED_MAX` rows of an index that its filters or its
/// order name is answered; any other is `TooBroad`, and names the limit.
pub async fn a_query_of_entities_looks_at_a_bounded_number<F: EntitiesFixture>(fixture: F) {
    let schema = EntitySchema::new(
        "many",
        1,
        vec![
            column("owner", ColumnType::Text, false, true),
            column("number", ColumnType::Integer, false, true),
            column("note", ColumnType::Text, true, false),
        ],
    );
    let subject = Subject::of(&fixture).await.with(schema).await;
    // Of one owner as many as may be looked at, and one of another; the last three of the first have a note.
    let entities = fixture.fast_entities().unwrap_or_else(|| subject.entities.clone());
    let filled = Subject { entities, ..subject.clone() }.with((*subject.schema).clone()).await;
    fill(&filled, MOST + 1).await;
    // Another tenant is as small as it was.
    let globex = subject.seen_by("globex");
    fill(&filled.seen_by("globex"), 3).await;
    let all = Query::default();
    assert_eq!(globex.count(&all).await, 3);

    let owned = |owner: &str| all.clone().filter("owner", Comparison::Eq, text(owner));
    let from = |number| all.clone().filter("number", Comparison::Ge, Value::Integer(number));
    let where_ = |condition: Condition, query: Query| Query { condition, ..query };
    let noted = || Condition::IsNull { column: "note".to_owned() }.negated();

    // Counts: up to the limit, and not one past it; a condition takes nothing from what is looked at.
    refused(&subject.entities.count(&subject.schema, &subject.tenant, &all).await);
    refused(&subject.entities.count(&subject.schema, &subject.tenant, &where_(noted(), all.clone())).await);
    assert_eq!(subject.count(&owned("a")).await, QUERY_ROWS_SCANNED_MAX as u64);
    assert_eq!(subject.count(&owned("b")).await, 1);
    assert_eq!(subject.count(&where_(noted(), owned("a"))).await, 3);
    assert_eq!(subject.count(&where_(noted().negated(), from(1))).await, MOST as u64 - 3);

    // Pages: in an order that is there they end where they are full.
    let last = id(MOST);
    for (query, first) in [
        (all.clone(), id(0)),
        (all.clone().sort("number", Direction::Descending), last.clone()),
        (owned("b"), last.clone()),
        (from(5).sort("number", Direction::Ascending), id(5)),
        (where_(noted(), all.clone().sort("number", Direction::Descending)), id(MOST - 1)),
        (where_(noted(), owned("a")), id(MOST - 3)),
        // It and the next are the last that are looked at.
        (where_(noted(), all.clone().limit(2)), id(MOST - 3)),
    ] {
        let page = subject.query(&Query { limit: query.limit.min(2), ..query.clone() }).await;
        assert_eq!(page.entities[0].id, first, "{query:?}");
    }
    let beyond = Condition::compare("note", Comparison::Eq, text("absent"));
    for query in [all.clone(), all.clone().sort("number", Direction::Ascending)] {
        let query = where_(beyond.clone(), query);
        refused(&subject.entities.query(&subject.schema, &subject.tenant, &query).await);
    }
    // The whole page is not within the limit.
    let four = where_(noted(), all.clone().limit(4));
    refused(&subject.entities.query(&subject.schema, &subject.tenant, &four).await);
    // The cursor is where the walk begins.
    let after = Some(Cursor { value: None, key: id(10) });
    let page = subject.query(&Query { after, ..four }).await;
    assert_eq!(
        page.entities.iter().map(|entity| entity.id.clone()).collect::<Vec<_>>(),
        [MOST - 3, MOST - 2, MOST - 1].map(id)
    );
    let sorted = owned("a").sort("number", Direction::Ascending).limit(PAGE_ROWS_MAX);
    let first = subject.query(&sorted).await;
    let second = subject.query(&Query { after: first.next, ..sorted }).await;
    assert_eq!(second.entities[0].id, id(PAGE_ROWS_MAX as i64));
    // A condition with a filter that leaves few enough is answered, whatever it finds.
    assert_eq!(subject.query(&where_(beyond, owned("a"))).await.entities, []);
}

fn id(number: i64) -> String {
    format!("key-{number:07}")
}

/// Asserts that a query was given up, with the name of the limit.
fn refused<T: std::fmt::Debug>(answer: &Result<T, Error>) {
    match answer {
        Err(Error::TooBroad(text)) => assert!(text.contains("QUERY_ROWS_SCANNED_MAX"), "{text}"),
        other => panic!("a query that looks at too many entities is `TooBroad`, not {other:?}"),
    }
}

/// Stores entities of the numbers from 0, which grow with the id.
async fn fill(subject: &Subject, count: i64) {
    let numbers: Vec<i64> = (0..count).collect();
    for some in numbers.chunks(AT_ONCE) {
        let create = |number: &i64| {
            let owner = text(if *number < MOST { "a" } else { "b" });
            let note = if (MOST - 3..MOST).contains(number) { text("noted") } else { Value::Null };
            subject.create(&id(*number), vec![owner, Value::Integer(*number), note])
        };
        subject.apply_each(some.iter().map(create).collect()).await;
    }
}
