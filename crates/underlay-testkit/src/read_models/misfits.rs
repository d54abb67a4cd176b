use underlay_core::limits::{
    INDEXED_TEXT_BYTES_MAX, NAME_BYTES_MAX, PAGE_ROWS_MAX, QUERY_FILTERS_MAX, ROW_KEY_BYTES_MAX,
    TEXT_BYTES_MAX, VIEW_COLUMNS_MAX,
};
use underlay_core::{
    Checkpoint, Column, ColumnType, Comparison, Cursor, Direction, Error, Query, RowChange, RowValues, Value,
    ViewSchema,
};

use super::Subject;
use super::subject::{decimal, moment, row, schema, text};
use crate::ReadModelsFixture;

/// Sentence 12: what does not fit the schema or exceeds a limit is `Invalid`, names the column, and stores
/// nothing.
pub async fn misfits_are_invalid<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    subject.apply(vec![subject.upsert("a", row("ada", 1))]).await;
    let (rows, checkpoint) = (subject.rows().await, subject.checkpoint().await);

    for (name, change) in misfit_changes(&subject) {
        // A sound change before it is not stored either.
        let result = subject.try_apply(vec![subject.upsert("b", row("bob", 2)), change.clone()]).await;
        assert_invalid(result, &name, &format!("{change:.200?}"));
        assert_eq!(subject.rows().await, rows, "{name}: no row is stored");
        assert_eq!(subject.checkpoint().await, checkpoint, "{name}: nor the checkpoint");
    }
    // The longest that fits is stored, beside the longest key.
    let mut longest = row(&"o".repeat(INDEXED_TEXT_BYTES_MAX), 1);
    longest[5] = text(&"n".repeat(TEXT_BYTES_MAX));
    let key = "k".repeat(ROW_KEY_BYTES_MAX);
    subject.apply(vec![subject.upsert(&key, longest.clone())]).await;
    assert_eq!(subject.get(&key).await, Some(longest), "the longest row is read back");
    for (name, query) in misfit_queries() {
        let page = subject.models.query(&subject.table, &subject.tenant, &query).await;
        assert_invalid(page, name, &format!("{query:?}"));
        if !query.filters.is_empty() {
            let count = subject.models.count(&subject.table, &subject.tenant, &query).await;
            assert_invalid(count, name, &format!("a count of {query:?}"));
        }
    }
    for (name, schema) in misfit_schemas() {
        let start = Checkpoint::start(subject.log);
        assert_invalid(subject.models.prepare(&schema, start).await, &name, "a view that is not well formed");
        let building = schema.clone().named("accounts");
        if building.validate().is_err() {
            let begun = subject.models.begin_generation(&building, start).await;
            assert_invalid(begun, &name, "a generation that is not well formed");
        }
    }
    let views = subject.models.views().await.expect("views answers");
    assert_eq!(views.len(), 1, "a view that is not well formed is not made");
    assert_eq!(views[0].building, None, "nor is a generation");
}

fn assert_invalid<T: std::fmt::Debug>(result: Result<T, Error>, name: &str, what: &str) {
    match result {
        Err(Error::Invalid(message)) => {
            assert!(message.contains(name), "{what}: {message:?} does not name {name}");
        }
        other => panic!("{what}: not invalid: {other:?}"),
    }
}

fn misfit_changes(subject: &Subject) -> Vec<(String, RowChange)> {
    let mut changes = Vec::new();
    let values =
        [text("text"), Value::Integer(1), decimal("1"), Value::Boolean(true), moment(1), Value::Null];
    for (at, column) in schema().columns.iter().enumerate() {
        for value in &values {
            let fits = value.column_type().map_or(column.nullable, |actual| actual == column.column_type);
            if !fits {
                let mut row = row("misfit", 1);
                row[at] = value.clone();
                changes.push((column.name.clone(), subject.upsert("c", row)));
                changes.push((column.name.clone(), subject.patch("a", &column.name, value.clone())));
            }
        }
    }
    for unknown in ["unknown", "Owner", "owner ", "\"owner\"", "tenant", "key", "owner\" = 'x', \"note"] {
        changes.push((first_word(unknown), subject.patch("a", unknown, text("x"))));
    }
    // The first column is indexed, the sixth is not.
    let too_long = [
        (0, "INDEXED_TEXT_BYTES_MAX", "x".repeat(INDEXED_TEXT_BYTES_MAX + 1)),
        (5, "TEXT_BYTES_MAX", "x".repeat(TEXT_BYTES_MAX + 1)),
        (0, "NUL", "a\0b".to_owned()),
        (5, "NUL", "a\0b".to_owned()),
    ];
    for (at, limit, value) in too_long {
        let mut row = row("misfit", 1);
        row[at] = text(&value);
        let column = &schema().columns[at].name;
        changes.push((column.clone(), subject.upsert("c", row.clone())));
        changes.push((limit.to_owned(), subject.upsert("c", row)));
        changes.push((limit.to_owned(), subject.patch("a", column, text(&value))));
    }
    let long: RowValues = row("long", 1).into_iter().chain([Value::Null]).collect();
    let short: RowValues = row("short", 1).into_iter().take(9).collect();
    for values in [long, short, Vec::new()] {
        changes.push(("accounts".to_owned(), subject.upsert("c", values)));
    }
    for key in [String::new(), "k".repeat(ROW_KEY_BYTES_MAX + 1), "a\0b".to_owned()] {
        changes.push(("ROW_KEY_BYTES_MAX".to_owned(), subject.upsert(&key, row("key", 1))));
    }
    changes
}

/// What an error must show of a name, however it quotes the rest.
fn first_word(name: &str) -> String {
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.next().unwrap_or_default().to_owned()
}

fn misfit_queries() -> Vec<(&'static str, Query)> {
    let all = Query::default;
    let filter = |column: &str, value| all().filter(column, Comparison::Eq, value);
    let cursor = |value, key: &str| Some(Cursor { value, key: key.to_owned() });
    let by_owner = || all().sort("owner", Direction::Ascending);
    let many = (0..=QUERY_FILTERS_MAX)
        .fold(all(), |query, _| query.filter("entries", Comparison::Gt, Value::Integer(0)));
    vec![
        ("note", filter("note", text("x"))),
        ("unknown", filter("unknown", text("x"))),
        ("tenant", filter("tenant", text("globex"))),
        ("owner", filter("owner\" = '' or 1 = 1 --", text("x"))),
        ("owner", filter("owner", Value::Integer(1))),
        ("entries", filter("entries", text("1"))),
        ("balance", filter("balance", Value::Integer(1))),
        ("changed_at", filter("changed_at", Value::Integer(1))),
        ("owner", filter("owner", Value::Null)),
        ("entries", all().filter("entries", Comparison::Prefix, Value::Integer(1))),
        ("QUERY_FILTERS_MAX", many),
        ("note", all().sort("note", Direction::Ascending)),
        ("unknown", all().sort("unknown", Direction::Descending)),
        ("owner", all().sort("owner desc; drop table accounts", Direction::Ascending)),
        ("PAGE_ROWS_MAX", all().limit(0)),
        ("PAGE_ROWS_MAX", all().limit(PAGE_ROWS_MAX + 1)),
        ("NUL", filter("owner", text("a\0b"))),
        ("cursor", Query { after: cursor(Some(text("a\0b")), "a"), ..by_owner() }),
        ("cursor", Query { after: cursor(None, "a\0b"), ..all() }),
        ("cursor", Query { after: cursor(None, "a"), ..by_owner() }),
        ("cursor", Query { after: cursor(Some(Value::Integer(1)), "a"), ..by_owner() }),
        ("cursor", Query { after: cursor(Some(Value::Null), "a"), ..by_owner() }),
        ("cursor", Query { after: cursor(Some(text("x")), "a"), ..all() }),
    ]
}

fn misfit_schemas() -> Vec<(String, ViewSchema)> {
    let column = |name: &str| Column {
        name: name.to_owned(),
        column_type: ColumnType::Text,
        nullable: false,
        indexed: false,
    };
    let view = |columns: Vec<Column>| ViewSchema::new("misfit", 1, columns);
    let mut schemas = Vec::new();
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    for name in ["", "Name", "1st", "_name", "na-me", "na me", "n\"", "n;", &long] {
        schemas.push((first_word(name), schema().named(name)));
        schemas.push((first_word(name), view(vec![column("fine"), column(name)])));
    }
    for taken in ["tenant", "key", "position"] {
        schemas.push((taken.to_owned(), view(vec![column(taken)])));
    }
    schemas.push(("same".to_owned(), view(vec![column("same"), column("other"), column("same")])));
    schemas
        .push(("maybe".to_owned(), view(vec![Column { nullable: true, indexed: true, ..column("maybe") }])));
    let many = (0..=VIEW_COLUMNS_MAX).map(|number| column(&format!("c{number}"))).collect();
    schemas.push(("VIEW_COLUMNS_MAX".to_owned(), view(many)));
    schemas
}
