use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use underlay_core::limits::{PAGE_ROWS_MAX, PAGE_TEXT_BYTES_MAX, TEXT_BYTES_MAX};
use underlay_core::{
    Comparison, Condition, Cursor, Direction, Query, RowValues, Sort, StoredEntity, Value, text_bytes,
};

use super::Subject;
use super::subject::{decimal, member, member_of, moment, text};
use crate::EntitiesFixture;
use crate::concurrent::finished;

const ENTITIES: usize = 24;
/// No walk here has as many entities.
const WALK_ENTITIES_MAX: usize = 10_000;
/// Entities that are more than one page by their bytes.
const LARGE_ENTITIES: usize = PAGE_TEXT_BYTES_MAX / LARGE_BYTES + 4;
const LARGE_BYTES: usize = TEXT_BYTES_MAX / 2;
/// How many of those are stored at once.
const LARGE_IN_UNIT: usize = 8;

fn sorts() -> Vec<Sort> {
    let columns = [
        None,
        Some("code"),
        Some("owner"),
        Some("entries"),
        Some("balance"),
        Some("open"),
        Some("changed_at"),
    ];
    let both = |column: Option<&str>| {
        [Direction::Ascending, Direction::Descending]
            .map(|direction| Sort { column: column.map(str::to_owned), direction })
    };
    columns.into_iter().flat_map(both).collect()
}

/// An entity whose every column but the code has few values, so that pages end between equal ones.
fn spread(code: &str, number: usize) -> RowValues {
    member_of([
        text(code),
        text(["", "b", "a'b", "%"][number % 4]),
        Value::Integer([i64::MIN, -1, 0, i64::MAX][number / 2 % 4]),
        [decimal("1.50"), decimal("-2"), decimal("1.5"), decimal("0")][number % 4].clone(),
        Value::Boolean(number.is_multiple_of(2)),
        moment([0, -1, 1_000_001][number % 3]),
    ])
}

/// Sentence 11: pages follow each other by cursor without gap or repeat, while entities are written.
pub async fn entity_pages_follow_each_other<F: EntitiesFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let globex = subject.seen_by("globex");
    for (owner, suffix) in [(&subject, ""), (&globex, "-")] {
        let create = |number: usize| {
            let id = format!("key-{}{suffix}", number * 7 % ENTITIES);
            owner.create(&id, spread(&id, number))
        };
        owner.apply_each((0..ENTITIES).map(create).collect()).await;
    }
    let conditions = [
        Condition::default(),
        Condition::compare("open", Comparison::Eq, Value::Boolean(true)),
        Condition::compare("owner", Comparison::Eq, text("a'b")),
        Condition::compare("owner", Comparison::Eq, text("none")),
        Condition::compare("open", Comparison::Eq, Value::Boolean(true)).negated(),
    ];
    for sort in sorts() {
        for condition in &conditions {
            let query = Query { sort: sort.clone(), ..Query::of(condition.clone(), &subject.schema) };
            let whole = subject.query(&query).await.entities;
            for limit in [1, 3, 5, whole.len().max(1), whole.len() + 1] {
                let paged = walk(&subject, &query.clone().limit(limit)).await;
                assert_eq!(paged, whole, "pages of {limit} by {sort:?} with {condition:?}");
            }
        }
    }
    for (number, sort) in sorts().into_iter().enumerate() {
        written_between_pages(&subject.seen_by(&format!("between-{number}")), &sort).await;
    }
    written_all_the_time(&subject.seen_by("busy")).await;
}

/// Sentence 26: a page ends with the entity that reaches `PAGE_TEXT_BYTES_MAX`, and says that more follow.
pub async fn entity_pages_are_bounded_in_bytes<F: EntitiesFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let note_at = subject.schema.column_at("note").expect("there is a note");
    let ids: Vec<String> = (0..LARGE_ENTITIES).map(|number| format!("large-{number:02}")).collect();
    for some in ids.chunks(LARGE_IN_UNIT) {
        let large = |id: &String| {
            let mut values = member(id, "large", i64::from(id.as_bytes()[7]));
            values[note_at] = text(&"n".repeat(LARGE_BYTES));
            subject.create(id, values)
        };
        subject.apply_each(some.iter().map(large).collect()).await;
    }
    let of_owner = Condition::compare("owner", Comparison::Eq, text("large"));
    for sort in [Sort::default(), Sort { column: Some("code".to_owned()), direction: Direction::Descending }]
    {
        for condition in [Condition::default(), of_owner.clone()] {
            let query = Query { sort: sort.clone(), ..Query::of(condition, &subject.schema) };
            let query = query.limit(PAGE_ROWS_MAX);
            assert!(subject.query(&query).await.next.is_some(), "the first page says that more follow");
            let mut read: Vec<String> =
                walk(&subject, &query).await.into_iter().map(|entity| entity.id).collect();
            if sort.direction == Direction::Descending {
                read.reverse();
            }
            assert_eq!(read, ids, "the pages by {sort:?} leave out and repeat none");
        }
    }
}

/// Reads page after page, with the cursor as it travels outside: as text.
async fn walk(subject: &Subject, query: &Query) -> Vec<StoredEntity> {
    let mut query = query.clone();
    let mut entities = Vec::new();
    loop {
        let page = subject.query(&query).await;
        assert!(page.entities.len() <= query.limit, "a page of {} has {}", query.limit, page.entities.len());
        let before_last = page.entities.iter().rev().skip(1);
        let bytes: usize = before_last.map(|entity| text_bytes(&entity.id, &entity.values)).sum();
        assert!(bytes < PAGE_TEXT_BYTES_MAX, "a page has {bytes} bytes before its last entity");
        let last = page.entities.last().map(|entity| entity.id.clone());
        entities.extend(page.entities);
        let Some(next) = page.next else { return entities };
        assert!(entities.len() <= WALK_ENTITIES_MAX, "the pages of {query:?} come to no end");
        assert_eq!(Some(&next.key), last.as_ref(), "a cursor stands at the last entity of its page");
        let travelled = next.to_text(&query.sort);
        query.after = Some(Cursor::from_text(&travelled, &query.sort, &subject.schema).expect("a cursor"));
    }
}

/// Between pages, entities come and go before and behind the cursor, and the cursor's own goes.
async fn written_between_pages(owner: &Subject, sort: &Sort) {
    let steady: BTreeMap<String, RowValues> = (0..ENTITIES)
        .map(|number| format!("steady-{number:02}"))
        .map(|id| (id.clone(), spread(&id, id.len() + id.as_bytes()[8] as usize)))
        .collect();
    let passing = (0..ENTITIES).map(|number| {
        let id = format!("passing-{number:02}");
        owner.create(&id, spread(&id, number))
    });
    let create = steady.iter().map(|(id, values)| owner.create(id, values.clone())).chain(passing).collect();
    owner.apply_each(create).await;

    let mut query = Query { sort: sort.clone(), ..Query::default() }.limit(5);
    let mut seen: Vec<String> = Vec::new();
    let mut page_number = 0;
    loop {
        let page = owner.query(&query).await;
        seen.extend(page.entities.iter().map(|entity| entity.id.clone()));
        let Some(next) = page.next else { break };
        let arriving = [format!("arriving-{page_number:03}"), format!("zz-arriving-{page_number:03}")];
        let mut changes: Vec<_> =
            arriving.iter().map(|id| owner.create(id, spread(id, page_number))).collect();
        // Whatever stood where the page ended is gone, unless it must stay.
        if !next.key.starts_with("steady") {
            changes.retain(|change| change.id != next.key);
            changes.push(owner.delete(&next.key, None));
        }
        owner.apply_each(changes).await;
        query.after = Some(next);
        page_number += 1;
        assert!(page_number < 200, "the pages by {sort:?} come to an end");
    }
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "by {sort:?} no entity is repeated: {seen:?}");
    let kept: Vec<&String> = once.iter().filter(|id| id.starts_with("steady")).collect();
    assert_eq!(kept, steady.keys().collect::<Vec<_>>(), "by {sort:?} none that stayed is left out");
}

/// A writer beside the reader: entities that stay are read once each, whatever happens around them.
async fn written_all_the_time(owner: &Subject) {
    let steady: Vec<String> = (0..60).map(|number| format!("steady-{number:03}")).collect();
    owner.apply_each(steady.iter().map(|id| owner.create(id, member(id, "steady", 1))).collect()).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (owner, done) = (owner.clone(), done.clone());
        async move {
            let mut at = 0;
            while !done.load(Ordering::Acquire) {
                let id = format!("steady-{:03}-beside", at % 60);
                owner.apply(owner.create(&id, member(&id, "steady", 1))).await;
                owner.apply(owner.delete(&id, Some(1))).await;
                at += 1;
            }
        }
    });
    for sort in
        [Sort::default(), Sort { column: Some("entries".to_owned()), direction: Direction::Descending }]
    {
        for limit in [1, 7] {
            let query = Query { sort: sort.clone(), ..Query::default() };
            let query = query.filter("owner", Comparison::Eq, text("steady")).limit(limit);
            let read = walk(owner, &query).await;
            let mut kept: Vec<String> =
                read.into_iter().map(|entity| entity.id).filter(|id| !id.ends_with("beside")).collect();
            if sort.direction == Direction::Descending {
                kept.reverse();
            }
            assert_eq!(kept, steady, "entities that stay are read once, in order, while others come and go");
        }
    }
    done.store(true, Ordering::Release);
    finished(writer).await;
}
