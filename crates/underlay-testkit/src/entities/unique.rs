use underlay_core::limits::INDEXED_TEXT_BYTES_MAX;
use underlay_core::{Column, ColumnType, EntityChange, EntitySchema, Error, RowValues, Value};

use super::Subject;
use super::subject::{column, decimal, first_and_last_moments, member, moment};
use crate::concurrent::together;
use crate::{EntitiesFixture, sample};

/// Sentence 12: a unique value is in a tenant once; another is `RuleViolation`, which names entity and column, and stores
/// nothing.
pub async fn a_unique_value_is_there_once<F: EntitiesFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    subject.apply(subject.create("ada", member("secret-code", "ada", 1))).await;
    subject.apply(subject.create("bob", member("bob", "bob", 1))).await;
    let before = subject.all().await;
    for change in [
        subject.create("eve", member("secret-code", "eve", 1)),
        subject.update("bob", 1, member("secret-code", "bob", 2)),
    ] {
        assert_violated(&subject, vec![change], "member", "code").await;
        assert_eq!(subject.all().await, before, "nothing is stored");
    }
    // Its owner keeps it, gives it up, and has it back; whoever comes in between has it.
    subject.apply(subject.update("ada", 1, member("secret-code", "ada", 2))).await;
    subject.apply(subject.update("ada", 2, member("other", "ada", 3))).await;
    subject.apply(subject.update("bob", 1, member("secret-code", "bob", 2))).await;
    assert_violated(
        &subject,
        vec![subject.update("ada", 3, member("secret-code", "ada", 4))],
        "member",
        "code",
    )
    .await;
    subject.apply(subject.delete("bob", Some(2))).await;
    subject.apply(subject.update("ada", 3, member("secret-code", "ada", 4))).await;
    // What looks alike is another value, however long.
    let long = "l".repeat(INDEXED_TEXT_BYTES_MAX - 1);
    let alike =
        ["secret-code ", "Secret-code", "secret-cod", "", " ", &format!("{long}a"), &format!("{long}b")];
    for (number, code) in alike.iter().chain(&sample::HOSTILE_TEXTS).enumerate() {
        subject.apply(subject.create(&format!("alike-{number}"), member(code, "alike", 1))).await;
    }
    if subject.changes_units() {
        let twice = vec![
            subject.create("one", member("same", "one", 1)),
            subject.create("two", member("same", "two", 1)),
        ];
        assert_violated(&subject, twice, "member", "code").await;
        assert_eq!(subject.load(&["one", "two"]).await, [None, None], "neither is stored");
    }
    each_type(&subject).await;

    // Of many who want it, one has it.
    let create = |number: usize| {
        let subject = subject.clone();
        let create = subject.create(&format!("crowd-{number}"), member("wanted", "crowd", 1));
        async move { subject.try_apply(vec![create]).await }
    };
    let answers = together((0..8).map(create)).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "one has it: {answers:?}");
    let violated = answers.iter().filter(|answer| matches!(answer, Err(Error::RuleViolation(_)))).count();
    assert_eq!(violated, answers.len() - 1, "the others break the rule: {answers:?}");
}

/// Values of every type can be unique, at their extremes too, and two columns of one entity.
async fn each_type(subject: &Subject) {
    let unique = |name, column_type| column(name, column_type, false, true);
    let columns: Vec<Column> = vec![
        unique("number", ColumnType::Integer),
        unique("amount", ColumnType::Decimal),
        unique("at", ColumnType::Timestamp),
    ];
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let things = subject.with(EntitySchema::new("thing", 1, columns).with_unique(names.clone())).await;
    let [first, last] = first_and_last_moments();
    let values: Vec<RowValues> = vec![
        vec![Value::Integer(1), decimal("1.5"), moment(1)],
        vec![Value::Integer(i64::MAX), Value::Decimal(underlay_core::Decimal::MAX), last],
        vec![Value::Integer(i64::MIN), Value::Decimal(underlay_core::Decimal::MIN), first],
    ];
    for (number, values) in values.iter().enumerate() {
        things.apply(things.create(&format!("t-{number}"), values.clone())).await;
    }
    let free = [Value::Integer(7), decimal("7"), moment(7)];
    for stored in &values {
        for at in 0..free.len() {
            let mut taken = free.to_vec();
            taken[at] = stored[at].clone();
            assert_violated(&things, vec![things.create("new", taken)], "thing", &names[at]).await;
        }
    }
    // Decimals are equal by value.
    let equal = vec![Value::Integer(7), decimal("1.500"), moment(7)];
    assert_violated(&things, vec![things.create("new", equal)], "thing", "amount").await;
    assert_eq!(things.all().await.len(), values.len());
}

/// Asserts that changes break the rule of a column, and that nobody is told the value, nor whose it is.
pub(super) async fn assert_violated(
    subject: &Subject,
    changes: Vec<EntityChange>,
    entity: &str,
    column: &str,
) {
    match subject.try_apply(changes).await {
        Err(Error::RuleViolation(text)) => {
            assert!(text.contains(entity) && text.contains(column), "{text:?} names {entity} and {column}");
            assert!(!text.contains("secret-code") && !text.contains("ada"), "{text:?} tells of another");
        }
        other => panic!("a value that is there already breaks a rule: {other:?}"),
    }
}
