use underlay_core::limits::{PAGE_ROWS_MAX, QUERY_ROWS_SCANNED_MAX};
use underlay_core::{Comparison, Cursor, Direction, Error, Query, RowValues, Value};

use super::Subject;
use super::subject::{decimal, moment, row_of, text};
use crate::ReadModelsFixture;

/// Rows stored in one batch.
const BATCH_ROWS: usize = 10_000;
/// As many as a query may look at.
const MOST: i64 = QUERY_ROWS_SCANNED_MAX as i64;

/// Sentence 14: a query that finds its answer within `QUERY_ROWS_SCANNED_MAX` rows of an index that its
/// filters or its order name is answered; any other is `TooBroad`, and names the limit.
pub async fn a_query_looks_at_a_bounded_number_of_rows<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    // Of one owner and open as many as may be looked at, and of the other and closed one more.
    fill(&subject, 0..2 * MOST + 1).await;
    // Another tenant is as small as it was.
    let globex = subject.seen_by("globex");
    fill(&globex, 0..3).await;
    let all = Query::default();
    assert_eq!(globex.count(&all).await, 3);

    let owned = |owner: &str| all.clone().filter("owner", Comparison::Eq, text(owner));
    let open = |query: Query, open| query.filter("open", Comparison::Eq, Value::Boolean(open));
    let from = |query: Query, number| query.filter("entries", Comparison::Ge, Value::Integer(number));

    // Counts: up to the limit, and not one past it.
    assert_eq!(subject.count(&owned("a")).await, QUERY_ROWS_SCANNED_MAX as u64);
    assert_eq!(subject.count(&from(all.clone(), MOST + 1)).await, QUERY_ROWS_SCANNED_MAX as u64);
    refused(&subject.models.count(&subject.table, &subject.tenant, &all).await);
    refused(&subject.models.count(&subject.table, &subject.tenant, &owned("b")).await);
    refused(&subject.models.count(&subject.table, &subject.tenant, &from(all.clone(), MOST)).await);
    // Whichever of its conditions leaves few enough, in whatever order they stand.
    assert_eq!(subject.count(&open(owned("a"), false)).await, 0);
    assert_eq!(subject.count(&from(owned("b"), 2 * MOST - 6)).await, 7);
    let between = from(owned("b"), 1).filter("entries", Comparison::Lt, Value::Integer(MOST + 3));
    refused(&subject.models.count(&subject.table, &subject.tenant, &between).await);
    let few_open = open(from(all.clone(), MOST), true);
    assert_eq!(subject.count(&few_open).await, 0);
    let nothing = from(open(all.clone(), false), 0).filter("changed_at", Comparison::Lt, moment(0));
    assert_eq!(subject.count(&nothing).await, 0, "no row is that old");

    // Pages: in an order that is there they end where they are full.
    let [middle, last] = [MOST, 2 * MOST].map(|number| format!("key-{number:07}"));
    for (query, first) in [
        (all.clone(), "key-0000000"),
        (all.clone().sort("balance", Direction::Descending), last.as_str()),
        (owned("b"), middle.as_str()),
        (from(all.clone(), 5).sort("entries", Direction::Ascending), "key-0000005"),
        (owned("b").sort("entries", Direction::Descending), last.as_str()),
        (open(owned("b").sort("owner", Direction::Ascending), false), middle.as_str()),
    ] {
        let page = subject.query(&query.clone().limit(3)).await;
        assert_eq!(page.rows[0].0, first, "{query:?}");
        assert!(page.rows.len() == 3 && page.next.is_some(), "{query:?}");
    }
    // From a cursor on, too: what lies before it is not looked at again.
    let sorted = owned("a").sort("entries", Direction::Ascending).limit(PAGE_ROWS_MAX);
    let first = subject.query(&sorted).await;
    let second = subject.query(&Query { after: first.next, ..sorted }).await;
    assert_eq!(second.rows[0].0, format!("key-{PAGE_ROWS_MAX:07}"));
    // One that sorts takes all between its bounds: as many as may be, and not one more.
    let by_age = |query: Query| query.sort("changed_at", Direction::Descending).limit(2);
    let page = subject.query(&open(by_age(owned("a")), true)).await;
    assert_eq!(page.rows[0].0, format!("key-{:07}", MOST - 1));
    let page = subject.query(&from(all.clone(), MOST + 1).limit(2)).await;
    assert_eq!(page.rows[0].0, format!("key-{:07}", MOST + 1));
    // What an order finds within the limit it finds, and what lies behind it not.
    let by_balance = |first, direction| from(all.clone(), first).sort("balance", direction).limit(1);
    let page = subject.query(&by_balance(MOST - 2, Direction::Ascending)).await;
    assert_eq!(page.rows[0].0, format!("key-{:07}", MOST - 2), "it and the next are the last looked at");
    let page = subject.query(&by_balance(MOST - 1, Direction::Descending)).await;
    assert_eq!(page.rows[0].0, last);
    let late = by_balance(MOST - 1, Direction::Ascending);
    refused(&subject.models.query(&subject.table, &subject.tenant, &late).await);
    // The cursor is where the walk begins.
    let after = Some(Cursor { value: Some(decimal("10")), key: "key-0000010".to_owned() });
    let page = subject.query(&Query { after, ..late.clone() }).await;
    assert_eq!(page.rows[0].0, format!("key-{:07}", MOST - 1));
    // Nor is it found where all is sorted that is too much.
    let sorted = owned("b").filter("open", Comparison::Eq, Value::Boolean(false));
    let sorted = sorted.filter("balance", Comparison::Lt, decimal("0")).limit(1);
    assert_eq!(subject.query(&sorted).await.rows, []);
    let unsorted = from(owned("b"), 0).sort("changed_at", Direction::Ascending).limit(1);
    refused(&subject.models.query(&subject.table, &subject.tenant, &unsorted).await);
}

/// Asserts that a query was given up, with the name of the limit.
fn refused<T: std::fmt::Debug>(answer: &Result<T, Error>) {
    match answer {
        Err(Error::TooBroad(text)) => assert!(text.contains("QUERY_ROWS_SCANNED_MAX"), "{text}"),
        other => panic!("a query that looks at too many rows is `TooBroad`, not {other:?}"),
    }
}

/// Writes rows of these numbers.
async fn fill(subject: &Subject, numbers: std::ops::Range<i64>) {
    let numbers: Vec<i64> = numbers.collect();
    for numbers in numbers.chunks(BATCH_ROWS) {
        let changes = numbers.iter().map(|number| subject.upsert(&format!("key-{number:07}"), row(*number)));
        subject.apply(changes.collect()).await;
    }
}

/// The first rows are of `a` and open, the others of `b` and closed; numbers grow with the key.
fn row(number: i64) -> RowValues {
    let first = number < MOST;
    row_of([
        text(if first { "a" } else { "b" }),
        Value::Integer(number),
        Value::Decimal(number.into()),
        Value::Boolean(first),
        moment(number),
    ])
}
