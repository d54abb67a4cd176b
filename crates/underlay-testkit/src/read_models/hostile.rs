use underlay_core::{Comparison, Cursor, Direction, Error, Query};

use super::Subject;
use super::subject::{row, text};
use crate::{ReadModelsFixture, sample};

/// Sentence 9: hostile text in keys and values is data.
pub async fn hostile_text_is_data<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let noted = |value: &str, number: usize| {
        let mut values = row(value, number as i64);
        values[5] = text(value);
        values
    };
    let mut changes = vec![subject.upsert("bystander", row("bystander", -1))];
    for (number, value) in sample::HOSTILE_TEXTS.iter().enumerate() {
        changes.push(subject.upsert(value, noted(value, number)));
    }
    subject.apply(changes).await;

    for (number, value) in sample::HOSTILE_TEXTS.iter().enumerate() {
        let expected = noted(value, number);
        let found = vec![((*value).to_owned(), expected.clone())];
        assert_eq!(subject.get(value).await, Some(expected.clone()), "the row of {value:?}");
        let equal = Query::default().filter("owner", Comparison::Eq, text(value));
        assert_eq!(subject.query(&equal).await.rows, found, "equal to {value:?}");
        assert_eq!(subject.count(&equal).await, 1, "the number of rows equal to {value:?}");

        let prefix = Query::default().filter("owner", Comparison::Prefix, text(value));
        let prefixed = sample::HOSTILE_TEXTS.iter().filter(|text| text.starts_with(value)).count();
        assert_eq!(subject.query(&prefix).await.rows.len(), prefixed, "beginning with {value:?}");

        let loaded = subject.load(&[subject.address(value)]).await;
        assert_eq!(loaded, [Some(expected)], "the row of {value:?} in bulk");
    }

    // Sorted by the text, with a cursor at each.
    let mut sorted = sample::HOSTILE_TEXTS.map(str::to_owned).to_vec();
    sorted.push("bystander".to_owned());
    sorted.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    let query = Query::default().sort("owner", Direction::Ascending);
    for (at, value) in sorted.iter().enumerate() {
        let after = Some(Cursor { value: Some(text(value)), key: value.clone() });
        let page = subject.query(&Query { after, ..query.clone() }).await;
        let owners: Vec<String> = page.rows.into_iter().map(|(key, _)| key).collect();
        assert_eq!(owners, sorted[at + 1..], "the rows after {value:?}");
    }

    for value in sample::HOSTILE_TEXTS {
        subject.apply(vec![subject.patch("bystander", "note", text(value))]).await;
        assert_eq!(
            subject.get("bystander").await.map(|row| row[5].clone()),
            Some(text(value)),
            "patched to {value:?}"
        );
    }
    for value in sample::HOSTILE_TEXTS {
        let before = subject.rows().await.len();
        subject.apply(vec![subject.delete(value)]).await;
        assert_eq!(subject.get(value).await, None, "the row of {value:?} is removed");
        assert_eq!(subject.rows().await.len(), before - 1, "and no other");
    }

    a_nul(&subject).await;
}

/// A NUL is refused, in a key and in a value.
async fn a_nul(subject: &Subject) {
    let rows = subject.rows().await;
    let checkpoint = subject.checkpoint().await;
    let in_key = subject.try_apply(vec![subject.upsert("a\0b", row("key", 1))]).await;
    assert!(matches!(in_key, Err(Error::Invalid(_))), "a NUL in a key: {in_key:?}");
    assert_eq!(subject.rows().await, rows, "a key with a NUL is not stored");
    assert_eq!(subject.checkpoint().await, checkpoint, "nor is the checkpoint of its batch");

    let in_value = subject.try_apply(vec![subject.upsert("nul", row("a\0b", 1))]).await;
    assert!(matches!(in_value, Err(Error::Invalid(_))), "a NUL in a value: {in_value:?}");
    assert_eq!(subject.get("nul").await, None, "what is refused is not stored");
}
