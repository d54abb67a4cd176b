use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use underlay_core::limits::{PAGE_ROWS_MAX, PAGE_TEXT_BYTES_MAX, TEXT_BYTES_MAX};
use underlay_core::{Comparison, Cursor, Direction, Filter, Query, RowValues, Sort, Value, text_bytes};

use super::Subject;
use super::subject::{decimal, moment, row, row_of, text};
use crate::ReadModelsFixture;
use crate::concurrent::finished;

const ROWS: usize = 24;
/// No walk here has as many rows.
const WALK_ROWS_MAX: usize = 10_000;
/// Rows that are more than one page by their bytes.
const LARGE_ROWS: usize = PAGE_TEXT_BYTES_MAX / LARGE_BYTES + 4;
const LARGE_BYTES: usize = TEXT_BYTES_MAX / 2;
/// How many of those are stored at once.
const LARGE_IN_BATCH: usize = 8;

fn sorts() -> Vec<Sort> {
    let columns = [None, Some("owner"), Some("entries"), Some("balance"), Some("open"), Some("changed_at")];
    let both = |column: Option<&str>| {
        [Direction::Ascending, Direction::Descending]
            .map(|direction| Sort { column: column.map(str::to_owned), direction })
    };
    columns.into_iter().flat_map(both).collect()
}

/// A row whose every column has few values, so that pages end between equal ones.
fn spread_row(number: usize) -> RowValues {
    row_of([
        text(["", "b", "a'b", "%"][number % 4]),
        Value::Integer([i64::MIN, -1, 0, i64::MAX][number / 2 % 4]),
        [decimal("1.50"), decimal("-2"), decimal("1.5"), decimal("0")][number % 4].clone(),
        Value::Boolean(number.is_multiple_of(2)),
        moment([0, -1, 1_000_001][number % 3]),
    ])
}

/// Sentence 7: pages follow each other by cursor without gap or repeat, while rows are written.
pub async fn pages_follow_each_other<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let upserts =
        (0..ROWS).map(|number| subject.upsert(&format!("key-{}", number * 7 % ROWS), spread_row(number)));
    subject.apply(upserts.collect()).await;
    let globex = subject.seen_by("globex");
    subject
        .apply((0..ROWS).map(|number| globex.upsert(&format!("key-{number}-"), spread_row(number))).collect())
        .await;

    let filters = [
        None,
        Some(("open", Value::Boolean(true))),
        Some(("owner", text("a'b"))),
        Some(("owner", text("none"))),
    ];
    for sort in sorts() {
        for filter in &filters {
            let mut query = Query { sort: sort.clone(), ..Query::default() };
            if let Some((column, value)) = filter {
                query = query.filter(*column, Comparison::Eq, value.clone());
            }
            let whole = subject.query(&query).await.rows;
            for limit in [1, 2, 3, 5, whole.len().max(1), whole.len() + 1] {
                let paged = walk(&subject, &query.clone().limit(limit)).await;
                assert_eq!(paged, whole, "pages of {limit} by {sort:?} with {filter:?}");
            }
        }
    }
    for sort in sorts() {
        rows_written_between_pages(&subject, &sort).await;
    }
    rows_written_all_the_time(&subject).await;
}

/// Sentence 27: a page ends with the row that reaches `PAGE_TEXT_BYTES_MAX`, and says that more follow.
pub async fn pages_are_bounded_in_bytes<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let note_at = subject.table.schema.column_at("note").expect("there is a note");
    let keys: Vec<String> = (0..LARGE_ROWS).map(|number| format!("large-{number:02}")).collect();
    for (batch, some) in keys.chunks(LARGE_IN_BATCH).enumerate() {
        let large = |key: &String| {
            let mut values = row("large", batch as i64);
            values[note_at] = text(&"n".repeat(LARGE_BYTES));
            subject.upsert(key, values)
        };
        subject.apply(some.iter().map(large).collect()).await;
    }
    let filters = [None, Some(("owner", text("large")))];
    for sort in
        [Sort::default(), Sort { column: Some("entries".to_owned()), direction: Direction::Descending }]
    {
        for filter in &filters {
            let mut query = Query { sort: sort.clone(), ..Query::default() }.limit(PAGE_ROWS_MAX);
            if let Some((column, value)) = filter {
                query = query.filter(*column, Comparison::Eq, value.clone());
            }
            assert!(subject.query(&query).await.next.is_some(), "the first page says that more follow");
            let mut read: Vec<String> =
                walk(&subject, &query).await.into_iter().map(|(key, _)| key).collect();
            if sort.direction == Direction::Descending {
                read.reverse();
            }
            assert_eq!(read, keys, "the pages by {sort:?} leave out and repeat none");
        }
    }
}

/// Reads page after page, with the cursor as it travels outside: as text.
async fn walk(subject: &Subject, query: &Query) -> Vec<(String, RowValues)> {
    let mut query = query.clone();
    let mut rows = Vec::new();
    loop {
        let page = subject.query(&query).await;
        assert!(page.rows.len() <= query.limit, "a page of {} has {} rows", query.limit, page.rows.len());
        let before_last = page.rows.iter().rev().skip(1);
        let bytes: usize = before_last.map(|(key, values)| text_bytes(key, values)).sum();
        assert!(bytes < PAGE_TEXT_BYTES_MAX, "a page has {bytes} bytes before its last row");
        let last = page.rows.last().map(|(key, _)| key.clone());
        rows.extend(page.rows);
        let Some(next) = page.next else { return rows };
        assert!(rows.len() <= WALK_ROWS_MAX, "the pages of {query:?} come to no end");
        assert_eq!(Some(&next.key), last.as_ref(), "a cursor stands at the last row of its page");
        let travelled = next.to_text(&query.sort);
        query.after =
            Some(Cursor::from_text(&travelled, &query.sort, &subject.table.schema).expect("a cursor"));
    }
}

/// Between pages, rows come and go before and behind the cursor, and the cursor's own row goes.
async fn rows_written_between_pages(subject: &Subject, sort: &Sort) {
    let owner = subject.seen_by("between");
    let stale = owner.rows().await.into_iter().map(|(key, _)| owner.delete(&key)).collect();
    owner.apply(stale).await;
    let steady: BTreeMap<String, RowValues> =
        (0..ROWS).map(|number| (format!("steady-{number:02}"), spread_row(number))).collect();
    let moving = (0..ROWS).map(|number| owner.upsert(&format!("passing-{number:02}"), spread_row(number)));
    let changes = steady.iter().map(|(key, row)| owner.upsert(key, row.clone())).chain(moving).collect();
    owner.apply(changes).await;

    let mut query = Query { sort: sort.clone(), ..Query::default() }.limit(3);
    let mut seen: Vec<String> = Vec::new();
    let mut page_number = 0;
    loop {
        let page = owner.query(&query).await;
        seen.extend(page.rows.iter().map(|(key, _)| key.clone()));
        let Some(next) = page.next else { break };
        let mut changes = vec![
            owner.upsert(&format!("arriving-{page_number:03}"), spread_row(page_number)),
            owner.upsert(&format!("zz-arriving-{page_number:03}"), spread_row(page_number + 1)),
        ];
        // Whatever stood where the page ended is gone, unless it must stay.
        if !next.key.starts_with("steady") {
            changes.retain(|change| !matches!(change, underlay_core::RowChange::Upsert(address, _) if address.key == next.key));
            changes.push(owner.delete(&next.key));
        }
        owner.apply(changes).await;
        query.after = Some(next);
        page_number += 1;
        assert!(page_number < 200, "the pages by {sort:?} come to an end");
    }
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "by {sort:?} no row is repeated: {seen:?}");
    let kept: Vec<&String> = once.iter().filter(|key| key.starts_with("steady")).collect();
    assert_eq!(kept, steady.keys().collect::<Vec<_>>(), "by {sort:?} no row that stayed is left out");
}

/// A writer beside the reader: rows that stay are read once each, whatever happens around them.
async fn rows_written_all_the_time(subject: &Subject) {
    let owner = subject.seen_by("busy");
    owner
        .apply(
            (0..60)
                .map(|number| owner.upsert(&format!("steady-{number:03}"), row("steady", number)))
                .collect(),
        )
        .await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (owner, done) = (owner.clone(), done.clone());
        async move {
            let mut number = 0;
            while !done.load(Ordering::Acquire) {
                let at = number % 60;
                let changes = vec![
                    owner.upsert(&format!("steady-{at:03}-beside"), row("steady", at)),
                    owner.delete(&format!("steady-{:03}-beside", (at + 30) % 60)),
                ];
                owner.apply(changes).await;
                number += 1;
            }
        }
    });
    let steady = |key: &String| !key.ends_with("beside");
    for sort in
        [Sort::default(), Sort { column: Some("entries".to_owned()), direction: Direction::Descending }]
    {
        for limit in [1, 7] {
            let filter =
                Filter { column: "owner".to_owned(), comparison: Comparison::Eq, value: text("steady") };
            let query =
                Query { filters: vec![filter], sort: sort.clone(), after: None, limit, ..Query::default() };
            let read = walk(&owner, &query).await;
            let mut kept: Vec<String> = read.into_iter().map(|(key, _)| key).filter(steady).collect();
            if sort.direction == Direction::Descending {
                kept.reverse();
            }
            let expected: Vec<String> = (0..60).map(|number| format!("steady-{number:03}")).collect();
            assert_eq!(kept, expected, "rows that stay are read once, in order, while others come and go");
        }
    }
    done.store(true, Ordering::Release);
    finished(writer).await;
}
