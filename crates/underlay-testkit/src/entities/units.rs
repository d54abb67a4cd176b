use std::sync::Arc;

use underlay_core::limits::{TEXT_BYTES_MAX, UNIT_BYTES_MAX, UNIT_CHANGES_MAX};
use underlay_core::{EntityChange, EntityVersion, Error, StoredEntity, Value};

use super::Subject;
use super::subject::{assert_invalid, decimal, member, rates, stored, text};
use crate::EntitiesFixture;
use crate::concurrent::together;

/// What is stored of both entities.
async fn whole(members: &Subject, rates: &Subject) -> (Vec<StoredEntity>, Vec<StoredEntity>) {
    (members.all().await, rates.all().await)
}

fn rate(base: &str, value: &str) -> Vec<Value> {
    vec![text(base), decimal(value)]
}

/// Sentence 6: the changes of a unit are stored together or not at all, also over several entities.
pub async fn a_unit_is_stored_whole_or_not_at_all<F: EntitiesFixture>(fixture: F) {
    let members = Subject::of(&fixture).await;
    if !members.changes_units() {
        // Sentence 7 is about these.
        return;
    }
    let rates = members.with(rates()).await;
    assert_eq!(members.try_apply(Vec::new()).await.expect("no change is stored"), []);
    let unit = vec![
        members.create("ada", member("ada", "ada", 1)),
        rates.create("eur", rate("EUR", "1")),
        members.create("bob", member("bob", "bob", 1)),
        rates.create("usd", rate("USD", "1.08")),
    ];
    let versions = members.try_apply(unit).await.expect("a sound unit is stored");
    assert_eq!(versions, [EntityVersion(1); 4]);
    // One id is an entity of each name, and a unique value goes over to another in one unit.
    let unit = vec![
        rates.create("ada", rate("ADA", "2")),
        members.create("heir", member("bob", "heir", 1)),
        rates.update("eur", 1, rate("EUR", "1.01")),
        members.update("ada", 1, member("ada", "ada", 2)),
        members.delete("bob", Some(1)),
    ];
    let versions = members.try_apply(unit).await.expect("a sound unit is stored");
    assert_eq!(versions, [1, 1, 2, 2, 0].map(EntityVersion), "versions come in the order of the changes");
    let expected = [stored("ada", 2, member("ada", "ada", 2)), stored("heir", 1, member("bob", "heir", 1))];
    assert_eq!(members.all().await, expected);

    // Each kind of failure, in each place of a unit.
    let before = whole(&members, &rates).await;
    let failing = [
        members.create("ada", member("new", "new", 1)),
        members.update("ada", 1, member("ada", "ada", 3)),
        members.update("absent", 1, member("absent", "absent", 3)),
        members.delete("heir", Some(7)),
        members.delete("absent", None),
        rates.create("usd", rate("USD", "1")),
        members.create("copy", member("bob", "copy", 1)),
    ];
    for failing in failing {
        let sound = [
            members.create("carl", member("carl", "carl", 1)),
            rates.update("usd", 1, rate("USD", "9")),
            rates.delete("eur", None),
        ];
        for at in 0..=sound.len() {
            let mut unit: Vec<EntityChange> = sound
                .iter()
                .filter(|change| (change.entity(), &change.id) != (failing.entity(), &failing.id))
                .cloned()
                .collect();
            unit.insert(at.min(unit.len()), failing.clone());
            let refused = members.try_apply(unit).await;
            assert!(refused.is_err(), "{failing:?} is refused");
            assert_eq!(whole(&members, &rates).await, before, "{failing:?} at place {at}: nothing is stored");
        }
    }

    the_largest_unit(&members.seen_by("large")).await;
    units_meet(&members.seen_by("crowd"), &rates.seen_by("crowd")).await;
}

/// As many changes as may be stored together, and as many bytes.
async fn the_largest_unit(subject: &Subject) {
    let create = |number: usize| {
        let id = format!("m-{number:04}");
        subject.create(&id, member(&id, "many", number as i64))
    };
    let many: Vec<EntityChange> = (0..UNIT_CHANGES_MAX).map(create).collect();
    subject.try_apply(many).await.expect("as many changes as a unit may have");
    assert_eq!(subject.all().await.len(), UNIT_CHANGES_MAX);
    let many: Vec<EntityChange> = (UNIT_CHANGES_MAX..=2 * UNIT_CHANGES_MAX).map(create).collect();
    assert_invalid(subject.try_apply(many).await, "UNIT_CHANGES_MAX", "one change more");
    let long = |number: usize| {
        let id = format!("long-{number:04}");
        let mut values = member(&id, "long", 1);
        values[6] = Value::Text("n".repeat(TEXT_BYTES_MAX));
        subject.create(&id, values)
    };
    let heavy: Vec<EntityChange> = (0..=UNIT_BYTES_MAX / TEXT_BYTES_MAX).map(long).collect();
    assert_invalid(subject.try_apply(heavy).await, "UNIT_BYTES_MAX", "more bytes than a unit may have");
    assert_eq!(subject.all().await.len(), UNIT_CHANGES_MAX, "nothing of it is stored");
}

/// Units over the same entities, named in different orders: none waits for ever, and no unit is half stored.
async fn units_meet(members: &Subject, rates: &Subject) {
    const IDS: [&str; 4] = ["a", "b", "c", "d"];
    for id in IDS {
        members.apply(members.create(id, member(id, "round 0", 0))).await;
        rates.apply(rates.create(id, rate("round 0", "0"))).await;
    }
    for version in 1..=6 {
        let unit = |writer: usize| {
            let (members, rates) = (members.clone(), rates.clone());
            let label = format!("round {version} by {writer}");
            let mut ids = IDS;
            ids.rotate_left(writer % IDS.len());
            if writer.is_multiple_of(2) {
                ids.reverse();
            }
            let unit: Vec<EntityChange> = ids
                .iter()
                .flat_map(|id| {
                    [
                        members.update(id, version, member(id, &label, version as i64)),
                        rates.update(id, version, rate(&label, "1")),
                    ]
                })
                .collect();
            async move { members.try_apply(unit).await }
        };
        let answers = together((0..6).map(unit)).await;
        let stored_units = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(stored_units, 1, "one of the units is stored: {answers:?}");
        assert!(
            answers.iter().all(|answer| matches!(answer, Ok(_) | Err(Error::EntityConflict(_)))),
            "the others are conflicts: {answers:?}"
        );
        let (all, beside) = whole(members, rates).await;
        let labels: Vec<&Value> = all
            .iter()
            .map(|entity| &entity.values[1])
            .chain(beside.iter().map(|entity| &entity.values[0]))
            .collect();
        assert!(labels.iter().all(|label| *label == labels[0]), "all of one unit: {labels:?}");
        assert!(all.iter().chain(&beside).all(|entity| entity.version == EntityVersion(version + 1)));
    }
}

/// Sentence 7: a store that changes one entity at a time refuses a unit of several before it writes anything.
pub async fn a_unit_past_the_atomicity_is_refused<F: EntitiesFixture>(fixture: F) {
    let members = Subject::of(&fixture).await;
    let unit =
        vec![members.create("ada", member("ada", "ada", 1)), members.create("bob", member("bob", "bob", 1))];
    let answer = members.try_apply(unit).await;
    if members.changes_units() {
        assert_eq!(answer.expect("a store of units stores one"), [EntityVersion(1); 2]);
        assert_eq!(members.all().await.len(), 2);
    } else {
        assert_invalid(answer, "one at a time", "a unit of two");
        assert_eq!(members.all().await, [], "nothing of it is stored");
        assert_eq!(members.try_apply(Vec::new()).await.expect("no change is stored"), []);
        members.apply(members.create("ada", member("ada", "ada", 1))).await;
    }
}

/// Sentence 8: an entity that is named twice in a unit is `Invalid`, and nothing is stored.
pub async fn an_entity_is_changed_once_in_a_unit<F: EntitiesFixture>(fixture: F) {
    let members = Subject::of(&fixture).await;
    members.apply(members.create("ada", member("ada", "ada", 1))).await;
    let before = members.all().await;
    let update = |entries| members.update("ada", 1, member("ada", "ada", entries));
    for unit in [
        vec![update(2), update(3)],
        vec![update(2), members.delete("ada", None)],
        vec![members.delete("ada", Some(1)), members.create("ada", member("ada", "anew", 1))],
        vec![members.create("bob", member("bob", "bob", 1)), members.create("bob", member("b", "bob", 1))],
        vec![
            members.create("eve", member("eve", "eve", 1)),
            update(2),
            members.create("carl", member("carl", "carl", 1)),
            // The same schema in another place is the same entity.
            EntityChange { schema: Arc::new((*members.schema).clone()), ..update(4) },
        ],
    ] {
        assert_invalid(members.try_apply(unit).await, "twice", "a unit that names an entity twice");
        assert_eq!(members.all().await, before, "nothing is stored");
    }
}
