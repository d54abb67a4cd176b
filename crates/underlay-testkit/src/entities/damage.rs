use underlay_core::{Comparison, Error, Query};

use super::Subject;
use super::subject::{member, stored, text};
use crate::{Damage, EntitiesFixture};

/// Sentence 18: a stored entity that cannot be read is `Damaged`, and names entity, id and column.
pub async fn a_damaged_entity_is_named<F: EntitiesFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    subject.apply(subject.create("sound", member("sound", "sound", 1))).await;
    let damages = [
        (Damage::Missing, "owner"),
        (Damage::Missing, "note"),
        (Damage::OtherType, "entries"),
        (Damage::OtherType, "balance"),
        (Damage::OtherType, "open"),
        (Damage::OtherType, "changed_at"),
        (Damage::OtherType, "floor"),
        (Damage::Unknown, "stray"),
    ];
    let mut done = 0;
    for (number, (damage, column)) in damages.into_iter().enumerate() {
        let id = format!("hurt-{number}");
        let owner = subject.seen_by(&format!("owner-{number}"));
        owner.apply(owner.create(&id, member(&id, "hurt", 1))).await;
        if !fixture.damage(&owner.schema, &owner.tenant, &id, column, damage).await {
            continue;
        }
        done += 1;
        let loaded = owner.entities.load(&owner.schema, &owner.tenant, std::slice::from_ref(&id)).await;
        assert_damaged(loaded, &id, column, damage);
        let page = owner.entities.query(&owner.schema, &owner.tenant, &Query::default()).await;
        assert_damaged(page, &id, column, damage);
    }
    assert!(done > 0, "a store whose entities nobody can damage is no store: let the fixture damage one");
    // What is sound is read as before.
    let sound = stored("sound", 1, member("sound", "sound", 1));
    assert_eq!(subject.get("sound").await, Some(sound.clone()));
    let query = Query::default().filter("owner", Comparison::Eq, text("sound"));
    assert_eq!(subject.query(&query).await.entities, [sound]);
}

fn assert_damaged<T: std::fmt::Debug>(answer: Result<T, Error>, id: &str, column: &str, damage: Damage) {
    match answer {
        Err(Error::Damaged(text)) => {
            let named = text.contains("member") && text.contains(id) && text.contains(column);
            assert!(named, "{damage:?} of {column}: {text:?} names entity, id and column");
        }
        other => panic!("{damage:?} of {column} is damage: {other:?}"),
    }
}
