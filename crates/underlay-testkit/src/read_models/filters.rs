use underlay_core::limits::QUERY_FILTERS_MAX;
use underlay_core::{Comparison, Condition, Decimal, Direction, Filter, Query, RowValues, Sort, Value};

use super::Subject;
use super::subject::{decimal, first_and_last_moments, moment, row_of, text};
use crate::{ReadModelsFixture, naive};

const COLUMNS: [&str; 5] = ["owner", "entries", "balance", "open", "changed_at"];
const COMPARISONS: [Comparison; 5] =
    [Comparison::Eq, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge];

/// Sentence 6: a query yields the rows that meet every filter and the condition, in the order asked for.
pub async fn filters_and_sorts_hold<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let rows = rows();
    subject.apply(rows.iter().map(|(key, row)| subject.upsert(key, row.clone())).collect()).await;
    // Rows of another tenant must not come between them.
    let globex = subject.seen_by("globex");
    subject.apply(rows.iter().map(|(key, row)| globex.upsert(key, row.clone())).collect()).await;

    let filters = single_filters();
    let sorts = sorts();
    let query = |filters: &[Filter], sort: &Sort| Query {
        filters: filters.to_vec(),
        sort: sort.clone(),
        ..Query::default()
    };
    for (number, filter) in filters.iter().enumerate() {
        for sort in [0, 1, 2].map(|turn| &sorts[(number + turn * 5) % sorts.len()]) {
            assert_query(&subject, &rows, &query(std::slice::from_ref(filter), sort)).await;
        }
    }
    for (number, condition) in conditions().into_iter().enumerate() {
        let sort = &sorts[number % sorts.len()];
        let filter = std::slice::from_ref(&filters[number * 7 % filters.len()]);
        for query in [query(&[], sort), query(filter, sort)] {
            assert_query(&subject, &rows, &Query { condition: condition.clone(), ..query }).await;
        }
    }
    for sort in &sorts {
        assert_query(&subject, &rows, &query(&[], sort)).await;
        // A range on the sort column, and conditions on two columns.
        for (first, second) in [(3, 31), (7, 60), (25, 90), (40, 8)] {
            let pair = [filters[first % filters.len()].clone(), filters[second % filters.len()].clone()];
            assert_query(&subject, &rows, &query(&pair, sort)).await;
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
    assert_query(&subject, &rows, &query(&eight, &sorts[3])).await;
    // The same column twice, with nothing between.
    let nothing = [eight[2].clone(), Filter { value: Value::Integer(-3), ..eight[3].clone() }];
    assert_query(&subject, &rows, &query(&nothing, &sorts[0])).await;
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
        let mut values = row_of([
            text(owners[number * 13 % owners.len()]),
            Value::Integer(entries[number * 7 % entries.len()]),
            balance.clone(),
            Value::Boolean(number.is_multiple_of(3)),
            moment(times[number * 3 % times.len()]),
        ]);
        let optional = [
            text(owners[number * 5 % owners.len()]),
            Value::Integer(entries[number * 11 % entries.len()]),
            balances[number * 3 % balances.len()].clone(),
            Value::Boolean(number.is_multiple_of(2)),
            moment(times[number * 2 % times.len()]),
        ];
        for (at, value) in optional.into_iter().enumerate().filter(|(at, _)| !(number + at).is_multiple_of(4))
        {
            values[5 + at] = value;
        }
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

/// Conditions on columns that no filter may name, alone and joined.
fn conditions() -> Vec<Condition> {
    let compare = |column: &str, comparison, value| Condition::compare(column, comparison, value);
    let noted = || compare("note", Comparison::Eq, text("a%"));
    let ranked = || compare("rank", Comparison::Gt, Value::Integer(-1));
    let null = |column: &str| Condition::IsNull { column: column.to_owned() };
    let listed = |values: &[&str]| Condition::In {
        column: "floor".to_owned(),
        values: values.iter().map(|value| decimal(value)).collect(),
    };
    let mut all = vec![
        noted(),
        noted().negated(),
        compare("note", Comparison::Prefix, text("a")).negated(),
        compare("note", Comparison::Le, text("ab")),
        ranked(),
        ranked().negated(),
        null("note"),
        null("frozen").negated(),
        null("owner"),
        listed(&["1.500", "-1", "7"]),
        listed(&["1.5"]).negated(),
        listed(&[]),
        compare("frozen", Comparison::Eq, Value::Boolean(false)),
        compare("closed_at", Comparison::Lt, moment(1)).negated(),
        Condition::Any(Vec::new()),
    ];
    all.push(Condition::Any(vec![noted(), ranked().and(null("floor"))]));
    all.push(Condition::All(vec![noted().negated(), null("rank").or(ranked().negated())]));
    all.push(Condition::Any(vec![null("note"), noted().and(ranked())]).negated());
    all
}

/// Holds a query against the rows themselves.
async fn assert_query(subject: &Subject, rows: &[(String, RowValues)], query: &Query) {
    let query = Query { after: None, limit: 1_000, ..query.clone() };
    let expected = naive::answer(&subject.table.schema, rows, &query, |(key, row)| (key, row));
    let page = subject.query(&query).await;
    assert_eq!(page.rows, expected, "the rows of {query:?}");
    assert_eq!(page.next, None, "a page that holds every row is the last");
    let counted = subject.count(&Query { limit: 1, ..query.clone() }).await;
    assert_eq!(counted, expected.len() as u64, "the number of rows of {query:?}");
    // In pages, too.
    let mut paged = Vec::new();
    let mut query = query.limit(expected.len() / 2 + 1);
    loop {
        let page = subject.query(&query).await;
        paged.extend(page.rows);
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    assert_eq!(paged, expected, "the pages of {query:?}");
}
