use std::sync::Arc;

use underlay_core::{EntityChange, EntitySchema, Error, ExpectedVersion};

use super::Subject;
use crate::{EventStoreFixture, sample};

/// Sentence 29: a store that does not keep entities with its log refuses a commit that changes any, and stores nothing.
pub async fn a_log_without_entities_refuses_them<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    if subject.store.keeps_entities() {
        // The contract of `Entities` says what holds of these.
        return;
    }
    let stream = sample::stream("note-1");
    let create = EntityChange::create(Arc::new(EntitySchema::new("rate", 1, Vec::new())), "eur", Vec::new());
    let with_entities = sample::write(&stream, ExpectedVersion::NoStream, 1).with_entities(vec![create]);
    match subject.try_commit(with_entities.clone()).await {
        Err(Error::Invalid(text)) => assert!(text.contains("rate"), "{text:?} names the entity"),
        other => panic!("entities that nobody keeps are refused: {other:?}"),
    }
    assert_eq!(subject.find(with_entities.id).await, None, "nothing is stored");
    assert_eq!(subject.log().await, [], "no event either");
    subject.commit(with_entities.with_entities(Vec::new())).await;
}
