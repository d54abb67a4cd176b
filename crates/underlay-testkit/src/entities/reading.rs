use underlay_core::limits::PAGE_ROWS_MAX;
use underlay_core::{Decimal, RowValues, Value};

use super::Subject;
use super::subject::{
    assert_invalid, decimal, first_and_last_moments, member, member_of, moment, stored, text,
};
use crate::EntitiesFixture;

/// Sentence 1: an entity created is read back, by id and in bulk, with every column type at its extremes.
pub async fn entities_are_read_back<F: EntitiesFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    assert_eq!(subject.get("absent").await, None, "what was never stored");
    let examples = examples();
    for (id, values) in &examples {
        assert_eq!(subject.apply(subject.create(id, values.clone())).await, 1, "the first version of {id}");
    }
    for (id, values) in &examples {
        assert_eq!(subject.get(id).await, Some(stored(id, 1, values.clone())));
    }

    // In bulk, in the order asked for: some twice, some never stored.
    let ids: Vec<&str> =
        examples.iter().rev().map(|(id, _)| *id).chain(["absent", "empty", "largest"]).collect();
    let loaded = subject.load(&ids).await;
    for (id, loaded) in ids.iter().zip(loaded) {
        let values = examples.iter().find(|(known, _)| known == id).map(|(_, values)| values.clone());
        assert_eq!(loaded, values.map(|values| stored(id, 1, values)), "{id} in bulk");
    }
    assert_eq!(subject.load(&[]).await, [], "none asked for is none");

    // Updated to the values of each other.
    let all: Vec<RowValues> = examples.iter().map(|(_, values)| values.clone()).collect();
    for (number, values) in all.iter().enumerate() {
        let mut values = values.clone();
        values[0] = text("turned");
        let version = subject.apply(subject.update("empty", number as u64 + 1, values.clone())).await;
        assert_eq!(version, number as u64 + 2);
        assert_eq!(subject.get("empty").await, Some(stored("empty", version, values)));
    }

    let many: Vec<String> = (0..=PAGE_ROWS_MAX).map(|number| format!("m-{number}")).collect();
    let loaded = subject.entities.load(&subject.schema, &subject.tenant, &many[1..]).await;
    assert_eq!(loaded.expect("as many as may be asked for").len(), PAGE_ROWS_MAX);
    let refused = subject.entities.load(&subject.schema, &subject.tenant, &many).await;
    assert_invalid(refused, "PAGE_ROWS_MAX", "one more");
    for id in ["", "a\0b"] {
        let refused = subject.entities.load(&subject.schema, &subject.tenant, &[id.to_owned()]).await;
        assert_invalid(refused, "ROW_KEY_BYTES_MAX", "what can be no id");
    }
}

fn examples() -> Vec<(&'static str, RowValues)> {
    let [first, last] = first_and_last_moments();
    let full = |required: [Value; 6], optional: [Value; 5]| required.into_iter().chain(optional).collect();
    vec![
        (
            "empty",
            member_of([
                text(""),
                text(""),
                Value::Integer(0),
                decimal("0"),
                Value::Boolean(false),
                moment(0),
            ]),
        ),
        ("plain", member("plain", "ada", 1)),
        (
            "smallest",
            full(
                [
                    text(" "),
                    text(" "),
                    Value::Integer(i64::MIN),
                    Value::Decimal(Decimal::MIN),
                    Value::Boolean(false),
                    first.clone(),
                ],
                [
                    text(""),
                    Value::Integer(i64::MIN),
                    Value::Decimal(Decimal::MIN),
                    Value::Boolean(false),
                    first,
                ],
            ),
        ),
        (
            "largest",
            full(
                [
                    text("\u{10ffff}"),
                    text("\u{10ffff}"),
                    Value::Integer(i64::MAX),
                    Value::Decimal(Decimal::MAX),
                    Value::Boolean(true),
                    last.clone(),
                ],
                [
                    text("\u{10ffff}"),
                    Value::Integer(i64::MAX),
                    Value::Decimal(Decimal::MAX),
                    Value::Boolean(true),
                    last,
                ],
            ),
        ),
        (
            "finest",
            full(
                [
                    text("é"),
                    text("e\u{301}"),
                    Value::Integer(-1),
                    decimal("0.0000000000000000000000000001"),
                    Value::Boolean(true),
                    moment(-1),
                ],
                [
                    text("line\nbreak\ttab \u{1f469}"),
                    Value::Integer((1 << 53) + 1),
                    decimal("-0.0000000000000000000000000001"),
                    Value::Boolean(false),
                    moment(1),
                ],
            ),
        ),
    ]
}
