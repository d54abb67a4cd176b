//! A definition that changes while programs of both run.

use std::sync::Arc;

use redis::cmd;
use underlay_core::{
    Comparison, Entities, EntityChange, EntitySchema, EntityVersion, Error, Query, TenantId, Value,
};

use crate::place::{Place, column, create, place_or_skip, prepared, rates, tenant, text};

/// Rates with one more column and one more index.
fn wider() -> EntitySchema {
    let columns =
        vec![column("base", false, true), column("note", true, false), column("source", true, false)];
    EntitySchema::new("rate", 2, columns).with_unique(["base"])
}

#[tokio::test]
async fn a_program_of_before_goes_on_beside_the_new_one() {
    let place = place_or_skip!(Place::find());
    let before = prepared(&place).await;
    before.apply(&tenant(), vec![create("a", "EUR")]).await.unwrap();
    let after = place.store();
    after.prepare(&wider()).await.unwrap();

    // It writes and reads what it knows, and what it does not know stays.
    before.apply(&tenant(), vec![create("b", "USD")]).await.unwrap();
    let note = vec![text("EUR"), Value::Null, text("bank")];
    let named = EntityChange::update(Arc::new(wider()), "a", EntityVersion(1), note);
    after.apply(&tenant(), vec![named]).await.unwrap();
    before.apply(&tenant(), vec![crate::place::update("a", 2, "GBP")]).await.unwrap();
    let read = before.load(&rates(), &tenant(), &["a".to_owned()]).await.unwrap();
    assert_eq!(read[0].as_ref().unwrap().values, [text("GBP"), Value::Null]);
    let page = after.query(&wider(), &tenant(), &Query::default()).await.unwrap();
    let values: Vec<_> = page.entities.into_iter().map(|entity| entity.values).collect();
    assert_eq!(
        values,
        [vec![text("GBP"), Value::Null, text("bank")], vec![text("USD"), Value::Null, Value::Null]]
    );
}

#[tokio::test]
async fn an_extension_that_ended_in_the_middle_is_brought_to_its_end_by_whoever_comes() {
    let place = place_or_skip!(Place::find());
    let store = prepared(&place).await;
    let many: Vec<EntityChange> = (0..900).map(|at| create(&format!("{at:03}"), &format!("b{at}"))).collect();
    store.apply(&tenant(), many).await.unwrap();
    let mut indexed = wider();
    indexed.columns.remove(2);
    indexed.columns[0].indexed = false;
    indexed.unique.clear();
    store.prepare(&indexed).await.unwrap();
    let mut again = wider();
    again.version = 3;

    // As a process leaves it that was killed after it has begun: the definition is replaced, and the tenant is between.
    let text_of = |schema: &EntitySchema| serde_json::to_string(schema).unwrap();
    let stamp = again.fingerprint().to_string();
    place
        .ask::<i64>(
            cmd("HSET").arg(format!("{{{}}}:entities", place.prefix)).arg("rate").arg(text_of(&again)),
        )
        .await;
    place.ask::<i64>(cmd("HSET").arg(place.key(&tenant(), "d:rate")).arg("next").arg(&stamp)).await;

    let other = place.store();
    let page = other
        .query(&again, &tenant(), &Query::default().filter("base", Comparison::Eq, text("b7")))
        .await
        .unwrap();
    assert_eq!(page.entities.len(), 1, "the index is whole");
    assert_eq!(
        other
            .count(&again, &tenant(), &Query::default().filter("base", Comparison::Ge, text("b")))
            .await
            .unwrap(),
        900
    );
    let taken =
        EntityChange::create(Arc::new(again.clone()), "new", vec![text("b7"), Value::Null, Value::Null]);
    assert!(matches!(other.apply(&tenant(), vec![taken]).await, Err(Error::RuleViolation(_))));
    let next: Option<String> = place.ask(cmd("HGET").arg(place.key(&tenant(), "d:rate")).arg("next")).await;
    assert_eq!(next, None, "it has ended");
}

#[tokio::test]
async fn every_tenant_is_brought_to_a_new_definition() {
    let place = place_or_skip!(Place::find());
    let store = prepared(&place).await;
    let tenants: Vec<TenantId> = (0..20).map(|at| TenantId::new(format!("t{at}")).unwrap()).collect();
    for tenant in &tenants {
        store.apply(tenant, vec![create("a", "EUR")]).await.unwrap();
    }
    place.store().prepare(&wider()).await.unwrap();
    let stamp = wider().fingerprint().to_string();
    for tenant in &tenants {
        let stored: String = place.ask(cmd("HGET").arg(place.key(tenant, "d:rate")).arg("stamp")).await;
        assert_eq!(stored, stamp, "{tenant}");
    }
}
