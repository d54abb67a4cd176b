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

/// Rates of which several may have one base.
fn shared() -> EntitySchema {
    rates().with_unique([""; 0])
}

/// Stores a definition as a process leaves it that ends before it comes to any tenant.
async fn replace_definition(place: &Place, schema: &EntitySchema) {
    let (key, text) = (format!("{{{}}}:entities", place.prefix), serde_json::to_string(schema).unwrap());
    place.ask::<i64>(cmd("HSET").arg(key).arg("rate").arg(text)).await;
}

fn shared_rate(id: &str, expected: Option<u64>, base: &str) -> EntityChange {
    let (schema, values) = (Arc::new(shared()), vec![text(base), Value::Null]);
    match expected {
        None => EntityChange::create(schema, id, values),
        Some(version) => EntityChange::update(schema, id, EntityVersion(version), values),
    }
}

#[tokio::test]
async fn values_that_are_not_unique_after_all_shut_nobody_out() {
    let place = place_or_skip!(Place::find());
    let before = place.store();
    before.prepare(&shared()).await.unwrap();
    // Preparing has looked, and found nothing. Then a program of before stores one value twice.
    let twice = vec![shared_rate("a", None, "EUR"), shared_rate("b", None, "EUR")];
    before.apply(&tenant(), twice).await.unwrap();
    replace_definition(&place, &wider()).await;

    let ids = ["a".to_owned(), "b".to_owned()];
    let (after, helper) = (place.store(), place.store());
    for store in [&after, &helper, &after] {
        match store.load(&wider(), &tenant(), &ids).await {
            Err(Error::EntityChanged { reason, .. }) => assert!(reason.contains("base"), "{reason}"),
            answer => panic!("two have one value: {answer:?}"),
        }
        let read = before.load(&shared(), &tenant(), &ids).await.unwrap();
        assert!(read.iter().all(Option::is_some), "the program of before goes on: {read:?}");
    }
    before.apply(&tenant(), vec![shared_rate("c", None, "EUR")]).await.unwrap();
    for id in ["b", "c"] {
        before.apply(&tenant(), vec![shared_rate(id, Some(1), id)]).await.unwrap();
    }
    // What was in the way is gone.
    let read = after.load(&wider(), &tenant(), &ids).await.unwrap();
    assert_eq!(read[1].as_ref().unwrap().values, [text("b"), Value::Null, Value::Null]);
    for program in [&after, &before] {
        let taken = program.apply(&tenant(), vec![shared_rate("d", None, "b")]).await;
        assert!(matches!(taken, Err(Error::RuleViolation(_))), "{taken:?}");
    }
}

#[tokio::test]
async fn many_who_come_to_a_tenant_in_between_do_the_work_of_one() {
    const ENTITIES: usize = 10_000;
    const CALLERS: usize = 16;
    let place = place_or_skip!(Place::start(&[]));
    let before = place.store();
    before.prepare(&shared()).await.unwrap();
    for unit in 0..ENTITIES / 1_000 {
        let create = |at: usize| shared_rate(&format!("{unit}-{at}"), None, &format!("b{unit}-{at}"));
        before.apply(&tenant(), (0..1_000).map(create).collect()).await.unwrap();
    }
    replace_definition(&place, &wider()).await;
    place.tell(&["config", "resetstat"]);
    let comers = (0..CALLERS).map(|_| {
        let store = place.store();
        tokio::spawn(async move { store.load(&wider(), &tenant(), &["3-7".to_owned()]).await.unwrap() })
    });
    for comer in comers.collect::<Vec<_>>() {
        let read = comer.await.unwrap();
        assert_eq!(read[0].as_ref().unwrap().values, [text("b3-7"), Value::Null, Value::Null]);
    }
    let told = place.tell(&["info", "commandstats"]);
    let calls = told.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap();
    let calls: usize = calls.split(',').next().unwrap().parse().unwrap();
    // Two walks of pieces of 500, and of each caller a few calls more; each walking by itself makes more than 600.
    assert!(calls < 2 * ENTITIES / 500 + 12 * CALLERS, "{calls} calls");
    let taken = before.apply(&tenant(), vec![shared_rate("new", None, "b9-999")]).await;
    assert!(matches!(taken, Err(Error::RuleViolation(_))), "{taken:?}");
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
