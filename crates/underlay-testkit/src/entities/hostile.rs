use underlay_core::{Comparison, Condition, Cursor, Direction, Query, RowValues};

use super::Subject;
use super::subject::{assert_invalid, member, stored, text};
use crate::{EntitiesFixture, sample};

/// Sentence 14: hostile text in ids and values is data.
pub async fn hostile_text_in_entities_is_data<F: EntitiesFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let texts = sample::HOSTILE_TEXTS;
    let noted = |value: &str, number: usize| -> RowValues {
        let mut values = member(value, value, number as i64);
        values[6] = text(value);
        values
    };
    let create = |(number, value): (usize, &&str)| subject.create(value, noted(value, number));
    subject.apply_each(texts.iter().enumerate().map(create).collect()).await;
    subject.apply(subject.create("bystander", member("bystander", "bystander", -1))).await;

    for (number, value) in texts.iter().enumerate() {
        let expected = stored(value, 1, noted(value, number));
        assert_eq!(subject.get(value).await, Some(expected.clone()), "the entity {value:?}");
        for column in ["owner", "code", "note"] {
            let equal = Condition::compare(column, Comparison::Eq, text(value));
            let either =
                Condition::In { column: column.to_owned(), values: vec![text(value), text("absent")] };
            for condition in [equal, either] {
                let query = Query::of(condition, &subject.schema);
                assert_eq!(
                    subject.query(&query).await.entities,
                    std::slice::from_ref(&expected),
                    "{query:?}"
                );
                assert_eq!(subject.count(&query).await, 1, "{query:?}");
            }
            let prefixed = texts.iter().filter(|text| text.starts_with(value)).count();
            let prefix =
                Query::of(Condition::compare(column, Comparison::Prefix, text(value)), &subject.schema);
            assert_eq!(subject.query(&prefix).await.entities.len(), prefixed, "{prefix:?}");
        }
    }

    // Sorted by the text, with a cursor at each.
    let mut sorted: Vec<&str> = texts.iter().copied().chain(["bystander"]).collect();
    sorted.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    for (at, value) in sorted.iter().enumerate() {
        let after = Some(Cursor { value: Some(text(value)), key: (*value).to_owned() });
        let query = Query { after, ..Query::default().sort("owner", Direction::Ascending) };
        let ids: Vec<String> =
            subject.query(&query).await.entities.into_iter().map(|entity| entity.id).collect();
        assert_eq!(ids, sorted[at + 1..], "the entities after {value:?}");
    }

    for (number, value) in texts.iter().enumerate() {
        let mut values = member("bystander", value, number as i64);
        values[6] = text(value);
        subject.apply(subject.update("bystander", number as u64 + 1, values.clone())).await;
        assert_eq!(subject.get("bystander").await, Some(stored("bystander", number as u64 + 2, values)));
    }
    for (number, value) in texts.iter().enumerate() {
        subject.apply(subject.delete(value, Some(1))).await;
        assert_eq!(subject.get(value).await, None, "the entity {value:?} is removed");
        assert_eq!(subject.all().await.len(), texts.len() - number, "and no other");
    }
    let nul = subject.try_apply(vec![subject.create("a\0b", member("nul", "nul", 1))]).await;
    assert_invalid(nul, "ROW_KEY_BYTES_MAX", "an id with a NUL");
}
