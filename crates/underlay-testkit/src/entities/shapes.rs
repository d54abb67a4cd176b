use std::sync::Arc;

use underlay_core::{
    ColumnType, Comparison, Direction, EntityChange, EntitySchema, Error, Query, RowValues, StoredEntity,
    Value,
};

use super::Subject;
use super::subject::{column, member, members, stored, text};
use super::unique::assert_violated;
use crate::{EntitiesFixture, sample};

/// A change of a schema, in a few words.
type Changed = (&'static str, fn(&mut EntitySchema));

/// Sentence 19: another shape is `EntityChanged`, and nothing of what is stored changes.
pub async fn another_shape_is_refused<F: EntitiesFixture>(fixture: F) {
    if !fixture.keeps_definitions() {
        return;
    }
    let mut second = members();
    second.version = 2;
    let subject = Subject::of(&fixture).await.with(second.clone()).await;
    let ada = stored("ada", 1, member("ada", "ada", 1));
    subject.apply(subject.create("ada", ada.values.clone())).await;
    let others: [Changed; 6] = [
        ("version", |schema| schema.version = 1),
        ("note", |schema| schema.columns.retain(|column| column.name != "note")),
        ("owner", |schema| schema.columns.retain(|column| column.name != "owner")),
        ("entries", |schema| schema.columns[2].column_type = ColumnType::Decimal),
        ("note", |schema| schema.columns[6].nullable = false),
        ("country", |schema| schema.columns.push(column("country", ColumnType::Text, false, false))),
    ];
    for reopened in [false, true] {
        for (named, change) in others {
            let mut other = second.clone();
            change(&mut other);
            match subject.entities.prepare(&other).await {
                Err(Error::EntityChanged { entity, reason }) => {
                    assert_eq!(entity, "member");
                    assert!(reason.contains(named), "{reason:?} does not name {named}");
                }
                answer => panic!("another shape ({named}, reopened: {reopened}) is refused: {answer:?}"),
            }
            subject.entities.prepare(&second).await.expect("the definition is the one it was");
            assert_eq!(subject.get("ada").await, Some(ada.clone()), "nothing has changed");
        }
    }
    drop(subject);
    let fixture = fixture.reopen().await;
    let entities = fixture.entities();
    for (named, change) in others {
        let mut other = second.clone();
        change(&mut other);
        let answer = entities.prepare(&other).await;
        assert!(matches!(answer, Err(Error::EntityChanged { .. })), "{named} after reopening: {answer:?}");
    }
    entities.prepare(&second).await.expect("the definition is kept");
}

/// Sentence 20: a column that can be empty is added, an index comes and goes, and what is stored stays.
pub async fn a_shape_is_extended<F: EntitiesFixture>(fixture: F) {
    if !fixture.keeps_definitions() {
        return;
    }
    let first = Subject::of(&fixture).await;
    first.apply(first.create("ada", member("ada", "ada", 1))).await;
    first.apply(first.create("bob", member("bob", "bob", 2))).await;
    first.entities.prepare(&members()).await.expect("preparing it again changes nothing");

    // Two columns more, in the middle; one index less, one unique value less.
    let mut extended = members().with_unique([""; 0]);
    extended.version = 2;
    extended.columns[2].indexed = false;
    extended.columns.insert(1, column("nick", ColumnType::Text, true, false));
    extended.columns.push(column("fee", ColumnType::Decimal, true, false));
    let second = first.with(extended.clone()).await;
    let widened = |mut values: RowValues, nick: Value| {
        values.insert(1, nick);
        values.push(Value::Null);
        values
    };
    let ada = stored("ada", 1, widened(member("ada", "ada", 1), Value::Null));
    let bob = stored("bob", 1, widened(member("bob", "bob", 2), Value::Null));
    assert_eq!(
        second.all().await,
        [ada.clone(), bob.clone()],
        "what is stored has nothing in the new columns"
    );
    let by_owner = |owner: &str| Query::default().filter("owner", Comparison::Eq, text(owner));
    assert_eq!(second.query(&by_owner("bob")).await.entities, [bob]);
    let nicked = widened(member("ada", "bob", 3), text("nick"));
    second.apply(second.update("bob", 1, nicked.clone())).await;
    assert_eq!(second.get("bob").await, Some(stored("bob", 2, nicked)), "two may have one code now");

    // Nor is it prepared by the program before.
    let older = second.entities.prepare(&members()).await;
    assert!(matches!(older, Err(Error::EntityChanged { .. })), "the program before is told: {older:?}");

    // Unique again, where it is not yet so.
    let mut third = extended.clone().with_unique(["code"]);
    third.version = 3;
    third.columns[3].indexed = true;
    match second.entities.prepare(&third).await {
        Err(Error::EntityChanged { reason, .. }) => {
            assert!(reason.contains("code"), "{reason:?} names the column")
        }
        answer => panic!("what is not unique is not made so: {answer:?}"),
    }
    assert_eq!(second.all().await.len(), 2, "nothing has changed");
    second.entities.prepare(&extended).await.expect("the definition is the one it was");
    second.apply(second.update("bob", 2, widened(member("bob", "bob", 3), text("nick")))).await;
    let third = second.with(third).await;
    // The program before, which goes on, hears the same.
    for program in [&third, &second] {
        let eve = program.create("eve", widened(member("ada", "eve", 1), Value::Null));
        assert_violated(program, vec![eve], "member", "code").await;
    }
    let sorted = third.query(&Query::default().sort("entries", Direction::Descending)).await;
    let ids = |entities: &[StoredEntity]| entities.iter().map(|entity| entity.id.clone()).collect::<Vec<_>>();
    assert_eq!(
        ids(&sorted.entities),
        ["bob", "ada"],
        "the index is there again, with what was stored before"
    );

    columns_in_another_order(&third).await;
    let (schema, all) = (third.schema.clone(), third.all().await);
    drop((first, second, third));
    let fixture = fixture.reopen().await;
    let reopened = Subject::of_schema(&fixture, &schema).await;
    assert_eq!(reopened.all().await, all, "after reopening too");
}

/// The order of columns is the program's own.
async fn columns_in_another_order(subject: &Subject) {
    let mut turned = (*subject.schema).clone();
    turned.columns.reverse();
    let turned = subject.with(turned).await;
    let expected = subject.all().await.into_iter().map(|mut entity| {
        entity.values.reverse();
        entity
    });
    assert_eq!(turned.all().await, expected.collect::<Vec<_>>());
    let mut values = member("turned", "turned", 1);
    values.insert(1, text("nick"));
    values.push(Value::Null);
    let mut backwards = values.clone();
    backwards.reverse();
    turned.apply(turned.create("turned", backwards)).await;
    assert_eq!(subject.get("turned").await, Some(stored("turned", 1, values)));
    subject.entities.prepare(&subject.schema).await.expect("both orders are prepared");
}

/// Sentence 21: an entity that nobody prepared is `NotFound`.
pub async fn an_entity_that_nobody_prepared_is_not_found<F: EntitiesFixture>(fixture: F) {
    let entities = fixture.entities();
    let (schema, tenant) = (members(), sample::tenant("acme"));
    let change = EntityChange::create(Arc::new(schema.clone()), "ada", member("ada", "ada", 1));
    let query = Query::default();
    let load = entities.load(&schema, &tenant, &["ada".to_owned()]).await.map(drop);
    let answers = [
        ("load", load),
        ("query", entities.query(&schema, &tenant, &query).await.map(drop)),
        ("count", entities.count(&schema, &tenant, &query).await.map(drop)),
        ("apply", entities.apply(&tenant, vec![change]).await.map(drop)),
    ];
    for (call, answer) in answers {
        match answer {
            Err(Error::NotFound(text)) => {
                assert!(text.contains("member"), "{call}: {text:?} names the entity")
            }
            other => panic!("{call} of what nobody prepared: {other:?}"),
        }
    }
    let subject = Subject::of(&fixture).await;
    assert_eq!(subject.all().await, [], "nothing was stored");
}
