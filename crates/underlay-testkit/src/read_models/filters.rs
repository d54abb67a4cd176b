use std::cmp::Ordering;

use underlay_core::limits::QUERY_FILTERS_MAX;
use underlay_core::{Comparison, Decimal, Direction, Filter, Query, RowValues, Sort, Value};

use super::Subject;
use super::subject::{decimal, first_and_last_moments, moment, row_of, text};
use crate::ReadModelsFixture;

const COLUMNS: [&str; 5] = ["owner", "entries", "balance", "open", "changed_at"];
const COMPARISONS: [Comparison; 5] =
    [Comparison::Eq, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge];

/// Sentence 6: a query yields the rows that meet every filter, in the order asked for.
pub async fn filters_and_sorts_hold<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let rows = rows();
    subject.apply(rows.iter().map(|(key, row)| subject.upsert(key, row.clone())).collect()).await;
    // Rows of another tenant must not come between them.
    let globex = subject.seen_by("globex");
    subject.apply(rows.iter().map(|(key, row)| globex.upsert(key, row.clone())).collect()).await;

    let filters = single_filters();
    let sorts = sorts();
    for (number, filter) in filters.iter().enumerate() {
        for sort in [0, 1, 2].map(|turn| &sorts[(number + turn * 5) % sorts.len()]) {
            assert_query(&subject, &rows, std::slice::from_ref(filter), sort).await;
        }
    }
    for sort in &sorts {
        assert_query(&subject, &rows, &[], sort).await;
        // A range on the sort column, and conditions on two columns.
        for (first, second) in [(3, 31), (7, 60), (25, 90), (40, 8)] {
            let pair = [filters[first % filters.len()].clone(), filters[second % filters.len()].clone()];
            assert_query(&subject, &rows, &pair, sort).await;
        }
    }
    let eight: Vec<Filter> = [
        ("owner", Comparison::Ge, text("A")),
        ("owner", Comparison::Prefix, text("a")),
        ("entries", Comparison::Gt, Value::Integer(-3)),
        ("entries", Comparison::Lt, Value::Integer(3)),
        ("balance", Comparison::Ge, decimal("-1000")),
        ("balance", Comparison::Le, decimal("1000")),
        ("open", Comparison::Eq, Value::Boolean(true)),
        ("changed_at", Comparison::Ge, moment(-1_000_000)),
    ]
    .map(|(column, comparison, value)| Filter { column: column.to_owned(), comparison, value })
    .to_vec();
    assert_eq!(eight.len(), QUERY_FILTERS_MAX, "as many filters as a query may have");
    assert_query(&subject, &rows, &eight, &sorts[3]).await;
    // The same column twice, with nothing between.
    let nothing = [eight[2].clone(), Filter { value: Value::Integer(-3), ..eight[3].clone() }];
    assert_query(&subject, &rows, &nothing, &sorts[0]).await;
}

/// Rows with many equal values, extremes, and text that patterns and collations get wrong.
fn rows() -> Vec<(String, RowValues)> {
    let owners = [
        "",
        "a",
        "A",
        "ab",
        "aB",
        "a%",
        "a_",
        "a\\",
        "%",
        "_",
        "z",
        "\u{e9}",
        "e\u{301}",
        "\u{d7ff}",
        "\u{e000}",
        "a\u{10ffff}",
        "a\u{10ffff}b",
        "\u{10ffff}",
        "\u{10ffff}\u{10ffff}",
        "10",
        "9",
    ];
    let entries = [0, 1, -1, 2, -2, 9, 10, i64::MAX, i64::MIN];
    let balances =
        ["0", "1", "-1", "1.5", "1.50", "-1.5", "10", "9", "0.1", "-0.1", "100", "99.99"].map(decimal);
    let extremes = [Value::Decimal(Decimal::MAX), Value::Decimal(Decimal::MIN)];
    let times = [0, 1, -1, 1_000_000, -1_000_000];
    // The key order is unrelated to the order of any column.
    let row = |number: usize| {
        let balance = if number.is_multiple_of(17) {
            &extremes[number % 2]
        } else {
            &balances[number * 5 % balances.len()]
        };
        let values = row_of([
            text(owners[number * 13 % owners.len()]),
            Value::Integer(entries[number * 7 % entries.len()]),
            balance.clone(),
            Value::Boolean(number.is_multiple_of(3)),
            moment(times[number * 3 % times.len()]),
        ]);
        (format!("key-{}", number * 37 % 150), values)
    };
    let mut rows: Vec<_> = (0..150).map(row).collect();
    let last = rows.len() - 1;
    rows[last].1[4] = first_and_last_moments()[1].clone();
    rows
}

fn single_filters() -> Vec<Filter> {
    let mut filters = Vec::new();
    for comparison in COMPARISONS {
        let values = [
            ["", "a", "ab", "\u{e9}", "\u{10ffff}", "absent"].map(text).to_vec(),
            [0, 9, -1, i64::MAX, i64::MIN, 7].map(Value::Integer).to_vec(),
            [
                decimal("1.500"),
                decimal("-0.10"),
                decimal("0"),
                Value::Decimal(Decimal::MAX),
                Value::Decimal(Decimal::MIN),
                decimal("3"),
            ]
            .to_vec(),
            [true, false].map(Value::Boolean).to_vec(),
            [0, -1, 1_000_000, 5].map(moment).to_vec(),
        ];
        for (column, values) in COLUMNS.iter().zip(values) {
            let filter = |value| Filter { column: (*column).to_owned(), comparison, value };
            filters.extend(values.into_iter().map(filter));
        }
    }
    for prefix in
        ["", "a", "A", "a%", "_", "%", "\\", "a\\", "e", "\u{d7ff}", "\u{10ffff}", "a\u{10ffff}", "absent"]
    {
        let (column, comparison) = ("owner".to_owned(), Comparison::Prefix);
        filters.push(Filter { column, comparison, value: text(prefix) });
    }
    filters
}

fn sorts() -> Vec<Sort> {
    let columns = COLUMNS.iter().map(|column| Some((*column).to_owned())).chain([None]);
    columns
        .flat_map(|column| {
            [Direction::Ascending, Direction::Descending]
                .map(|direction| Sort { column: column.clone(), direction })
        })
        .collect()
}

/// Holds a query against the rows themselves.
async fn assert_query(subject: &Subject, rows: &[(String, RowValues)], filters: &[Filter], sort: &Sort) {
    let column = |name: &str| COLUMNS.iter().position(|column| *column == name).expect("a column");
    let meets = |row: &RowValues, filter: &Filter| {
        let order = compare(&row[column(&filter.column)], &filter.value);
        match filter.comparison {
            Comparison::Eq => order == Ordering::Equal,
            Comparison::Lt => order == Ordering::Less,
            Comparison::Le => order != Ordering::Greater,
            Comparison::Gt => order == Ordering::Greater,
            Comparison::Ge => order != Ordering::Less,
            Comparison::Prefix => match (&row[column(&filter.column)], &filter.value) {
                (Value::Text(text), Value::Text(prefix)) => text.as_bytes().starts_with(prefix.as_bytes()),
                _ => false,
            },
        }
    };
    let mut expected: Vec<_> =
        rows.iter().filter(|(_, row)| filters.iter().all(|filter| meets(row, filter))).cloned().collect();
    expected.sort_by(|a, b| {
        let by_column = sort.column.as_deref().map_or(Ordering::Equal, |name| {
            let at = column(name);
            compare(&a.1[at], &b.1[at])
        });
        let order = by_column.then_with(|| a.0.as_bytes().cmp(b.0.as_bytes()));
        if sort.direction == Direction::Ascending { order } else { order.reverse() }
    });
    let query = Query {
        filters: filters.to_vec(),
        sort: sort.clone(),
        after: None,
        limit: 1_000,
        ..Query::default()
    };
    let page = subject.query(&query).await;
    assert_eq!(page.rows, expected, "the rows of {filters:?} by {sort:?}");
    assert_eq!(page.next, None, "a page that holds every row is the last");
    let counted = subject.count(&Query { limit: 1, ..query }).await;
    assert_eq!(counted, expected.len() as u64, "the number of rows of {filters:?}");
}

/// The order of values of one type: text by its bytes, the rest by number and time.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        _ => panic!("values of two types: {a:?}, {b:?}"),
    }
}
