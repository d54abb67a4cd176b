use underlay_core::limits::{INDEXED_TEXT_BYTES_MAX, ROW_KEY_BYTES_MAX};
use underlay_core::{Checkpoint, Decimal, Error, Query, RowAddress, RowChange, RowValues, Value};

use super::Subject;
use super::subject::{decimal, first_and_last_moments, moment, row, text};
use crate::ReadModelsFixture;

/// Sentence 1: rows written are read back, by key and in bulk, with every column type at its extremes.
pub async fn rows_are_read_back<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    assert_eq!(subject.checkpoint().await, Checkpoint::start(subject.log), "a new table begins at the start");
    assert_eq!(subject.rows().await, [], "a new table has no rows");
    assert_eq!(subject.count(&Query::default()).await, 0, "a new table has no rows to count");
    assert_eq!(subject.get("absent").await, None, "a row that is not there");

    let keys = keys();
    let rows: Vec<RowValues> = (0..keys.len()).map(extreme_row).collect();
    let changes = keys.iter().zip(&rows).map(|(key, row)| subject.upsert(key, row.clone())).collect();
    subject.apply(changes).await;

    for (key, row) in keys.iter().zip(&rows) {
        assert_eq!(subject.get(key).await.as_ref(), Some(row), "the row of {key:.40?}");
    }
    let mut written: Vec<(String, RowValues)> = keys.iter().cloned().zip(rows.iter().cloned()).collect();
    written.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(subject.rows().await, written, "a query yields the rows as they were written");
    assert_eq!(subject.count(&Query::default().limit(1)).await, keys.len() as u64, "every row is counted");

    // In bulk: in the order asked for, also what is not there, also twice.
    let globex = subject.seen_by("globex");
    let mut asked: Vec<RowAddress> = keys.iter().rev().map(|key| subject.address(key)).collect();
    let mut expected: Vec<Option<RowValues>> = rows.iter().rev().cloned().map(Some).collect();
    asked.extend([subject.address("absent"), globex.address(&keys[0]), subject.address(&keys[0])]);
    expected.extend([None, None, Some(rows[0].clone())]);
    let loaded = subject.load(&asked).await;
    assert_eq!(loaded, expected, "rows are loaded in the order asked for");
    let none = subject.load(&[]).await;
    assert_eq!(none, Vec::<Option<RowValues>>::new(), "nothing asked for, nothing loaded");

    many_rows(&subject).await;
}

/// Keys that a careless collation would take for one another, and the longest there is.
fn keys() -> Vec<String> {
    let mut keys: Vec<String> =
        ["1", "01", "1.0", "a", "A", "a ", " a", "\u{e9}", "e\u{301}", "\n"].map(str::to_owned).to_vec();
    keys.push("k".repeat(ROW_KEY_BYTES_MAX));
    keys.push("😀".repeat(ROW_KEY_BYTES_MAX / 4));
    keys
}

/// The row with the n-th extreme of every column.
fn extreme_row(number: usize) -> RowValues {
    let pick = |values: &[Value], offset: usize| values[(number + offset) % values.len()].clone();
    let texts = [
        text(""),
        text(" "),
        text(&"long ".repeat(INDEXED_TEXT_BYTES_MAX / 5)),
        text("\u{10ffff}"),
        text("line\r\n\tbreak"),
        text("0"),
    ];
    let integers = [i64::MIN, -1, 0, 1, i64::MAX].map(Value::Integer);
    let decimals = [
        Value::Decimal(Decimal::MAX),
        Value::Decimal(Decimal::MIN),
        decimal("0.0000000000000000000000000001"),
        decimal("-0.0000000000000000000000000001"),
        decimal("0"),
        decimal("-0.00"),
        decimal("12.50"),
        decimal("7922816251426433759354395.0335"),
    ];
    let booleans = [true, false].map(Value::Boolean);
    let times = [&first_and_last_moments()[..], &[-1, 0, 1, 1_767_225_599_999_999].map(moment)].concat();
    let nullable = |values: &[Value]| if number.is_multiple_of(3) { Value::Null } else { pick(values, 1) };
    vec![
        pick(&texts, 0),
        pick(&integers, 0),
        pick(&decimals, 0),
        pick(&booleans, 0),
        pick(&times, 0),
        nullable(&texts),
        nullable(&integers),
        nullable(&decimals),
        nullable(&booleans),
        nullable(&times),
    ]
}

/// More rows in one batch and one load than a statement may have parameters.
async fn many_rows(subject: &Subject) {
    let count = 4_000;
    let owner = subject.seen_by("many");
    let key = |number: i64| format!("row-{number:05}");
    owner.apply((0..count).map(|number| owner.upsert(&key(number), row("many", number))).collect()).await;
    let addresses: Vec<RowAddress> = (0..count).rev().map(|number| owner.address(&key(number))).collect();
    let loaded = owner.load(&addresses).await;
    let expected: Vec<Option<RowValues>> = (0..count).rev().map(|number| Some(row("many", number))).collect();
    assert!(loaded == expected, "{count} rows are loaded in the order asked for");
    assert_eq!(owner.count(&Query::default()).await, count as u64, "{count} rows are counted");
}

/// Sentence 2: upsert replaces, patch changes the columns named, delete removes.
pub async fn upsert_patch_and_delete<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let mut full = row("ada", 1);
    full[5] = text("a note");
    full[6] = Value::Integer(7);
    subject.apply(vec![subject.upsert("a", full.clone()), subject.upsert("b", row("bob", 2))]).await;

    // An upsert leaves nothing of the row before it.
    subject.apply(vec![subject.upsert("a", row("ann", 3))]).await;
    assert_eq!(subject.get("a").await, Some(row("ann", 3)), "an upsert replaces the whole row");

    subject.apply(vec![subject.upsert("a", full.clone())]).await;
    let patch = vec![
        ("balance".to_owned(), decimal("-1.5")),
        ("note".to_owned(), Value::Null),
        ("closed_at".to_owned(), moment(9)),
    ];
    subject.apply(vec![RowChange::Patch(subject.address("a"), patch)]).await;
    let mut patched = full.clone();
    patched[2] = decimal("-1.5");
    patched[5] = Value::Null;
    patched[9] = moment(9);
    assert_eq!(
        subject.get("a").await,
        Some(patched.clone()),
        "a patch changes the columns named, and no others"
    );
    assert_eq!(subject.get("b").await, Some(row("bob", 2)), "other rows stay as they were");
    // Filters see the new value, and not the old one.
    for (value, count) in [(decimal("-1.5"), 1), (full[2].clone(), 0)] {
        let query = Query::default().filter("balance", underlay_core::Comparison::Eq, value);
        assert_eq!(subject.count(&query).await, count, "a patched column is found by its new value alone");
    }
    subject.apply(vec![RowChange::Patch(subject.address("a"), Vec::new())]).await;
    assert_eq!(subject.get("a").await, Some(patched.clone()), "a patch of no columns changes nothing");

    let before = subject.checkpoint().await;
    for missing in ["absent", "A"] {
        let changes = vec![subject.upsert("c", row("cy", 4)), subject.patch(missing, "owner", text("x"))];
        let error = subject.try_apply(changes).await;
        assert!(matches!(error, Err(Error::NotFound(_))), "a patch of a row that is not there: {error:?}");
        assert_eq!(subject.get(missing).await, None, "a patch makes no row");
        assert_eq!(subject.get("c").await, None, "nothing beside a patch that failed is stored");
        assert_eq!(subject.checkpoint().await, before, "nor is its checkpoint");
    }

    subject.apply(vec![subject.delete("a"), subject.delete("absent")]).await;
    assert_eq!(subject.get("a").await, None, "a deleted row is gone");
    assert_eq!(subject.rows().await, [("b".to_owned(), row("bob", 2))], "and only that row");
    subject.apply(vec![subject.upsert("a", row("again", 5))]).await;
    assert_eq!(subject.get("a").await, Some(row("again", 5)), "a deleted row can be written again");
}
