use underlay_core::limits::{
    CONDITION_DEPTH_MAX, CONDITION_PARTS_MAX, CONDITION_VALUES_MAX, ENTITY_BYTES_MAX, INDEXED_TEXT_BYTES_MAX,
    NAME_BYTES_MAX, PAGE_ROWS_MAX, QUERY_FILTERS_MAX, ROW_KEY_BYTES_MAX, TEXT_BYTES_MAX, VIEW_COLUMNS_MAX,
};
use underlay_core::{
    Column, ColumnType, Comparison, Condition, Cursor, Direction, EntityChange, EntitySchema, Query,
    RowValues, Timestamp, Value,
};

use super::Subject;
use super::subject::{assert_invalid, column, decimal, member, members, moment, stored, text};
use crate::EntitiesFixture;

/// Sentence 15: what does not fit the schema or exceeds a limit is `Invalid`, names the column, and stores nothing.
pub async fn misfit_entities_are_invalid<F: EntitiesFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    subject.apply(subject.create("a", member("a", "ada", 1))).await;
    let before = subject.all().await;
    for (name, change) in misfit_changes(&subject) {
        let what = format!("{change:.200?}");
        let mut unit = vec![change];
        if subject.changes_units() {
            // A sound change before it is not stored either.
            unit.insert(0, subject.create("sound", member("sound", "bob", 2)));
        }
        assert_invalid(subject.try_apply(unit).await, &name, &what);
        assert_eq!(subject.all().await, before, "{name}: nothing is stored");
    }
    // The longest that fits is stored.
    let mut longest = member(&"c".repeat(INDEXED_TEXT_BYTES_MAX), &"o".repeat(INDEXED_TEXT_BYTES_MAX), 1);
    longest[6] = text(&"n".repeat(TEXT_BYTES_MAX));
    let id = "k".repeat(ROW_KEY_BYTES_MAX);
    subject.apply(subject.create(&id, longest.clone())).await;
    assert_eq!(subject.get(&id).await, Some(stored(&id, 1, longest)), "the longest is read back");

    for (name, query) in misfit_queries() {
        let page = subject.entities.query(&subject.schema, &subject.tenant, &query).await;
        assert_invalid(page, name, &format!("{query:.200?}"));
        if !query.filters.is_empty() || !query.condition.is_empty() {
            let count = subject.entities.count(&subject.schema, &subject.tenant, &query).await;
            assert_invalid(count, name, &format!("a count of {query:.200?}"));
        }
    }
    for (name, schema) in misfit_schemas() {
        assert_invalid(subject.entities.prepare(&schema).await, &name, "an entity that is not well formed");
    }
    too_large(&subject).await;
}

/// Texts that each fit, and that are together more than an entity may have.
async fn too_large(subject: &Subject) {
    let columns: Vec<Column> =
        (0..5).map(|number| column(&format!("text_{number}"), ColumnType::Text, false, false)).collect();
    let large = subject.with(EntitySchema::new("large", 1, columns)).await;
    let values = vec![Value::Text("x".repeat(TEXT_BYTES_MAX)); 5];
    const { assert!(5 * TEXT_BYTES_MAX > ENTITY_BYTES_MAX) }
    let refused = large.try_apply(vec![large.create("large", values)]).await;
    assert_invalid(refused, "ENTITY_BYTES_MAX", "an entity that is too large");
    let values = vec![Value::Text("x".repeat(ENTITY_BYTES_MAX / 5 - 100)); 5];
    large.apply(large.create("large", values.clone())).await;
    assert_eq!(large.get("large").await, Some(stored("large", 1, values)), "the largest is read back");
}

fn misfit_changes(subject: &Subject) -> Vec<(String, EntityChange)> {
    let mut changes = Vec::new();
    let values =
        [text("text"), Value::Integer(1), decimal("1"), Value::Boolean(true), moment(1), Value::Null];
    for (at, column) in members().columns.iter().enumerate() {
        for value in &values {
            let fits = value.column_type().map_or(column.nullable, |actual| actual == column.column_type);
            if !fits {
                let mut misfit = member("misfit", "misfit", 1);
                misfit[at] = value.clone();
                changes.push((column.name.clone(), subject.create("c", misfit.clone())));
                changes.push((column.name.clone(), subject.update("a", 1, misfit)));
            }
        }
    }
    // The first two columns are indexed, the seventh is not.
    let too_long = [
        (0, "INDEXED_TEXT_BYTES_MAX", "x".repeat(INDEXED_TEXT_BYTES_MAX + 1)),
        (1, "INDEXED_TEXT_BYTES_MAX", "x".repeat(INDEXED_TEXT_BYTES_MAX + 1)),
        (6, "TEXT_BYTES_MAX", "x".repeat(TEXT_BYTES_MAX + 1)),
        (0, "NUL", "a\0b".to_owned()),
        (6, "NUL", "a\0b".to_owned()),
    ];
    for (at, limit, value) in too_long {
        let mut misfit = member("misfit", "misfit", 1);
        misfit[at] = text(&value);
        let column = members().columns[at].name.clone();
        changes.push((column, subject.create("c", misfit.clone())));
        changes.push((limit.to_owned(), subject.create("c", misfit.clone())));
        changes.push((limit.to_owned(), subject.update("a", 1, misfit)));
    }
    // No store keeps a time that is finer than microseconds.
    for at in [5, 10] {
        let mut misfit = member("misfit", "misfit", 1);
        misfit[at] = finer();
        let column = members().columns[at].name.clone();
        changes.push((column, subject.create("c", misfit.clone())));
        changes.push(("microsecond".to_owned(), subject.update("a", 1, misfit)));
    }
    let long: RowValues = member("long", "long", 1).into_iter().chain([Value::Null]).collect();
    let short: RowValues = member("short", "short", 1).into_iter().take(9).collect();
    for values in [long, short, Vec::new()] {
        changes.push(("member".to_owned(), subject.create("c", values)));
    }
    for id in [String::new(), "k".repeat(ROW_KEY_BYTES_MAX + 1), "a\0b".to_owned()] {
        changes.push(("ROW_KEY_BYTES_MAX".to_owned(), subject.create(&id, member("key", "key", 1))));
        changes.push(("ROW_KEY_BYTES_MAX".to_owned(), subject.update(&id, 1, member("key", "key", 1))));
        changes.push(("ROW_KEY_BYTES_MAX".to_owned(), subject.delete(&id, None)));
    }
    // No stored entity has version 0.
    changes.push(("version 0".to_owned(), subject.update("a", 0, member("a", "ada", 2))));
    changes.push(("version 0".to_owned(), subject.delete("a", Some(0))));
    changes
}

/// A moment between two microseconds.
fn finer() -> Value {
    Value::Timestamp(Timestamp::from_nanosecond(1_500).expect("a time"))
}

fn misfit_queries() -> Vec<(&'static str, Query)> {
    let all = Query::default;
    let filter = |column: &str, value| all().filter(column, Comparison::Eq, value);
    let of = |condition| Query { condition, ..all() };
    let equal = |column: &str, value| Condition::compare(column, Comparison::Eq, value);
    let cursor = |value, key: &str| Some(Cursor { value, key: key.to_owned() });
    let by_owner = || all().sort("owner", Direction::Ascending);
    let many = (0..=QUERY_FILTERS_MAX)
        .fold(all(), |query, _| query.filter("entries", Comparison::Gt, Value::Integer(0)));
    let one = || equal("entries", Value::Integer(1));
    let deep = (0..CONDITION_DEPTH_MAX).fold(one(), |inner, _| inner.negated());
    let values = vec![Value::Integer(1); CONDITION_VALUES_MAX + 1];
    vec![
        ("note", filter("note", text("x"))),
        ("unknown", filter("unknown", text("x"))),
        ("owner", filter("owner\" = '' or 1 = 1 --", text("x"))),
        ("owner", filter("owner", Value::Integer(1))),
        ("owner", filter("owner", Value::Null)),
        ("entries", all().filter("entries", Comparison::Prefix, Value::Integer(1))),
        ("QUERY_FILTERS_MAX", many),
        ("note", all().sort("note", Direction::Ascending)),
        ("owner", all().sort("owner desc; drop table member", Direction::Ascending)),
        ("PAGE_ROWS_MAX", all().limit(0)),
        ("PAGE_ROWS_MAX", all().limit(PAGE_ROWS_MAX + 1)),
        ("NUL", filter("owner", text("a\0b"))),
        ("microsecond", filter("changed_at", finer())),
        ("closed_at", of(equal("closed_at", finer()))),
        ("cursor", Query { after: cursor(Some(text("a\0b")), "a"), ..by_owner() }),
        ("cursor", Query { after: cursor(None, "a"), ..by_owner() }),
        ("cursor", Query { after: cursor(Some(text("x")), "a"), ..all() }),
        ("unknown", of(equal("unknown", text("x")))),
        ("tenant", of(equal("tenant", text("globex")))),
        ("version", of(equal("version", Value::Integer(1)))),
        ("note", of(equal("note\" is null or 1 = 1 --", text("x")))),
        ("note", of(equal("note", Value::Integer(1)))),
        ("note", of(equal("note", Value::Null))),
        ("floor", of(Condition::Not(Box::new(equal("floor", Value::Integer(1)))))),
        ("rank", of(Condition::compare("rank", Comparison::Prefix, Value::Integer(1)))),
        ("NUL", of(Condition::Any(vec![one(), equal("note", text("a\0b"))]))),
        ("unknown", of(Condition::IsNull { column: "unknown".to_owned() })),
        ("unknown", of(Condition::In { column: "unknown".to_owned(), values: Vec::new() })),
        (
            "rank",
            of(Condition::In { column: "rank".to_owned(), values: vec![Value::Integer(1), Value::Null] }),
        ),
        ("CONDITION_VALUES_MAX", of(Condition::In { column: "rank".to_owned(), values })),
        ("CONDITION_DEPTH_MAX", of(deep)),
        ("CONDITION_PARTS_MAX", of(Condition::All(vec![one(); CONDITION_PARTS_MAX]))),
    ]
}

fn misfit_schemas() -> Vec<(String, EntitySchema)> {
    let plain = |name: &str| column(name, ColumnType::Text, false, false);
    let entity = |columns: Vec<Column>| EntitySchema::new("misfit", 1, columns);
    let mut schemas = Vec::new();
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    for name in ["", "Name", "1st", "_name", "na-me", "na me", "n\"", "n;", &long] {
        let shown = name.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| !word.is_empty());
        let shown = shown.unwrap_or_default().to_owned();
        schemas.push((shown.clone(), EntitySchema::new(name, 1, vec![plain("fine")])));
        schemas.push((shown, entity(vec![plain("fine"), plain(name)])));
    }
    for taken in ["tenant", "key", "id", "version"] {
        schemas.push((taken.to_owned(), entity(vec![plain(taken)])));
    }
    schemas.push(("same".to_owned(), entity(vec![plain("same"), plain("other"), plain("same")])));
    schemas.push(("maybe".to_owned(), entity(vec![column("maybe", ColumnType::Text, true, true)])));
    schemas.push(("found".to_owned(), entity(vec![plain("found")]).with_unique(["found"])));
    schemas.push(("absent".to_owned(), entity(vec![plain("found")]).with_unique(["absent"])));
    let many = (0..=VIEW_COLUMNS_MAX).map(|number| plain(&format!("c{number}"))).collect();
    schemas.push(("VIEW_COLUMNS_MAX".to_owned(), entity(many)));
    schemas
}
