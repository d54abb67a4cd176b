use std::sync::Arc;

use underlay_core::domain::Direction;
use underlay_core::limits::PAGE_ROWS_MAX;
use underlay_core::memory::MemoryEntities;
use underlay_core::{Atomicity, Decimal, Entities, Entity, EntityChange, EntityVersion, Error, Query, Value};
use underlay_runtime::{EntityStore, EntityStores, Repository};

use super::kinds::{House, Noting, Owner, OwnerRow, Rate, other_tenant, owner, rate};
use crate::bank::{Bank, request, tenant};

#[tokio::test]
async fn what_is_created_is_read_changed_and_removed() {
    let house = House::new();
    let rates = house.rates();
    let created = rates.create(rate("eur-usd", "EUR", 2)).await.unwrap();
    assert_eq!(created, Rate { version: EntityVersion(1), ..rate("eur-usd", "EUR", 2) });
    assert_eq!(rates.get("eur-usd").await.unwrap(), created);
    assert!(rates.exists("eur-usd").await.unwrap() && !rates.exists("eur-chf").await.unwrap());
    let noted = Rate { note: Some("a holiday".to_owned()), ..created };
    let updated = rates.update(noted.clone()).await.unwrap();
    assert_eq!(updated, Rate { version: EntityVersion(2), ..noted });
    assert_eq!(rates.get("eur-usd").await.unwrap(), updated);
    rates.delete("eur-usd").await.unwrap();
    assert!(!rates.exists("eur-usd").await.unwrap());
    assert!(rates.list(None).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn each_failure_is_named() {
    let house = House::new();
    let (rates, owners) = (house.rates(), house.owners());
    let first = rates.create(rate("a", "EUR", 1)).await.unwrap();
    let told = |error: Error| error.to_string();

    let missing = rates.get("b").await.unwrap_err();
    assert!(matches!(&missing, Error::NotFound(what) if what == "rate \"b\""), "{missing}");
    assert!(matches!(rates.delete("b").await, Err(Error::NotFound(_))));
    let twice = rates.create(rate("a", "EUR", 1)).await.unwrap_err();
    assert_eq!(told(twice), "conflict on rate a: expected none, found version 1");
    rates.update(first.clone()).await.unwrap();
    let stale = rates.update(first.clone()).await.unwrap_err();
    assert!(matches!(&stale, Error::EntityConflict(conflict) if conflict.actual == Some(EntityVersion(2))));
    assert_eq!(told(stale), "conflict on rate a: expected version 1, found 2");
    assert!(matches!(rates.delete_at("a", EntityVersion(1)).await, Err(Error::EntityConflict(_))));
    rates.delete_at("a", EntityVersion(2)).await.unwrap();

    owners.create(owner(1, "ann")).await.unwrap();
    let taken = owners.create(owner(2, "ann")).await.unwrap_err();
    assert!(matches!(&taken, Error::RuleViolation(rule) if rule.contains("email")), "{taken}");

    // What cannot be meant is told, and nothing is stored.
    let never_stored = rates.update(rate("c", "EUR", 1)).await.unwrap_err();
    assert!(told(never_stored).contains("create it"));
    let read_before = rates.create(first).await.unwrap_err();
    assert!(told(read_before).contains("read at version 1"));
    let long = rates.create(rate("c", &"x".repeat(100_000), 1)).await.unwrap_err();
    assert!(matches!(&long, Error::Invalid(wrong) if wrong.contains("base")), "{long}");
    assert!(rates.list(None).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn specifications_find_and_count() {
    let house = House::new();
    let rates = house.rates();
    for (id, base, value) in [("a", "EUR", 1), ("b", "EUR", 5), ("c", "USD", 5), ("d", "CHF", 9)] {
        let note = (id == "b").then(|| "checked".to_owned());
        rates.create(Rate { note, ..rate(id, base, value) }).await.unwrap();
    }
    let ids = |found: Vec<Rate>| found.into_iter().map(|rate| rate.id).collect::<Vec<_>>();
    let five = || Rate::VALUE.eq(Decimal::from(5));
    assert_eq!(ids(rates.find(five()).await.unwrap()), ["b", "c"]);
    assert_eq!(ids(rates.find(Rate::BASE.eq("EUR").and(five())).await.unwrap()), ["b"]);
    assert_eq!(
        ids(rates.find(Rate::BASE.eq("CHF").or(Rate::NOTE.is_null().not())).await.unwrap()),
        ["b", "d"]
    );
    assert_eq!(ids(rates.find(Rate::BASE.is_in(["USD", "CHF"])).await.unwrap()), ["c", "d"]);
    assert_eq!(rates.find_one(five()).await.unwrap().unwrap().id, "b");
    assert_eq!(rates.find_one(Rate::BASE.eq("GBP")).await.unwrap(), None);
    assert_eq!(rates.count(five()).await.unwrap(), 2);
    let dearest = Query::default().sort("value", Direction::Descending);
    assert_eq!(rates.first(&dearest).await.unwrap().unwrap().id, "d");
    assert_eq!(ids(rates.query(dearest.clone().limit(2)).await.unwrap()), ["d", "c"]);
    assert_eq!(rates.count(&dearest).await.unwrap(), 4);
    let unknown = rates.query(Query::default().sort("note", Direction::Ascending)).await.unwrap_err();
    assert!(matches!(&unknown, Error::Invalid(wrong) if wrong.contains("base, value")), "{unknown}");
}

#[tokio::test]
async fn pages_follow_each_other_by_a_text() {
    let house = House::new();
    let rates = house.rates();
    for at in 0..7 {
        rates.create(rate(&format!("r{at}"), "EUR", at / 3)).await.unwrap();
    }
    let query = Query::default().sort("value", Direction::Descending).limit(2);
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = rates.paginate(&query, cursor.as_deref()).await.unwrap();
        seen.extend(page.items.into_iter().map(|rate| rate.id));
        let Some(next) = page.next else { break };
        // What is written in between moves nobody to another page.
        rates.create(rate(&format!("z{}", seen.len()), "EUR", 9)).await.unwrap();
        cursor = Some(next);
    }
    assert_eq!(seen, ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]);
    let by_id = rates.paginate(Query::default().limit(1), None).await.unwrap().next.unwrap();
    for wrong in ["", "00", "nonsense", &by_id] {
        let refused = rates.paginate(&query, Some(wrong)).await.unwrap_err();
        assert!(matches!(&refused, Error::Invalid(told) if told.contains("cursor")), "{refused}");
    }
}

#[tokio::test]
async fn what_finds_more_than_a_page_says_so() {
    let house = House::new();
    let schema = Arc::new(Rate::schema());
    let change = |at: usize| {
        let values = vec![Value::Text("EUR".to_owned()), Value::Decimal(Decimal::ONE), Value::Null];
        EntityChange::create(schema.clone(), format!("{at}"), values)
    };
    let rates = house.rates();
    rates.exists("0").await.unwrap();
    house.entities.apply(&tenant(), (0..PAGE_ROWS_MAX).map(change).collect()).await.unwrap();
    assert_eq!(rates.find(Rate::BASE.eq("EUR")).await.unwrap().len(), PAGE_ROWS_MAX);
    house.entities.apply(&tenant(), vec![change(PAGE_ROWS_MAX)]).await.unwrap();
    let broad = rates.find(Rate::BASE.eq("EUR")).await.unwrap_err();
    assert!(matches!(&broad, Error::TooBroad(told) if told.contains("PAGE_ROWS_MAX")), "{broad}");
}

#[tokio::test]
async fn a_repository_is_of_one_tenant() {
    let house = House::new();
    let theirs: Repository<Rate> = house.engine.repository(&other_tenant()).unwrap();
    let ours = house.rates();
    theirs.create(rate("a", "EUR", 1)).await.unwrap();
    assert!(matches!(ours.get("a").await, Err(Error::NotFound(_))));
    assert_eq!(ours.count(Query::default()).await.unwrap(), 0);
    assert!(matches!(ours.delete("a").await, Err(Error::NotFound(_))));
    ours.create(rate("a", "USD", 2)).await.unwrap();
    assert_eq!(theirs.get("a").await.unwrap().base, "EUR");
    let owners = |request| house.engine.repositories(&request).of::<Owner>().unwrap();
    owners(request()).create(owner(1, "ann")).await.unwrap();
    owners(other_tenant()).create(owner(1, "ann")).await.unwrap();
}

#[tokio::test]
async fn a_type_of_the_domain_is_kept_in_its_own_shape() {
    let house = House::new();
    let owners = house.owners();
    let ann = owners.create(owner(7, "ann")).await.unwrap();
    assert_eq!(owners.get(7u32).await.unwrap(), ann);
    let schema = OwnerRow::schema();
    let stored = house.entities.below.load(&schema, &tenant(), &["7".to_owned()]).await.unwrap();
    assert_eq!(stored[0].as_ref().unwrap().values, [Value::Text("ann@example.com".to_owned())]);
    // What is stored and is no owner is an error that names it, never a default.
    let bare = EntityChange::create(Arc::new(schema), "8", vec![Value::Text("bob".to_owned())]);
    house.entities.apply(&tenant(), vec![bare]).await.unwrap();
    let damaged = owners.get(8u32).await.unwrap_err();
    assert!(matches!(&damaged, Error::Damaged(told) if told.contains("owner \"8\"") && told.contains("bob")));
    assert!(matches!(owners.list(None).await, Err(Error::Damaged(_))));
}

#[tokio::test]
async fn by_name_nothing_is_stored_that_the_code_could_not_read() {
    let house = House::new();
    let owners = house.engine.repositories(&request()).named("owner").unwrap();
    let text = |text: &str| vec![Value::Text(text.to_owned())];
    for (id, email, told) in [("7", "bob", "no address"), ("seven", "bob@example.com", "none of this entity")]
    {
        let refused = owners.create(id, text(email)).await.unwrap_err();
        assert!(matches!(&refused, Error::Invalid(wrong) if wrong.contains(told)), "{refused}");
    }
    owners.create("7", text("bob@example.com")).await.unwrap();
    let refused = owners.update("7", EntityVersion(1), text("bob")).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid(_)));
    assert_eq!(owners.get("7").await.unwrap().version, EntityVersion(1));
    let unknown = house.engine.repositories(&request()).named("owners").unwrap_err();
    assert!(matches!(&unknown, Error::NotFound(told) if told.contains("owner, rate")), "{unknown}");
}

#[tokio::test]
async fn an_entity_that_was_not_added_or_has_no_store_is_told() {
    let bank = Bank::new();
    let missing = bank.engine.repository::<Rate>(&request()).unwrap_err();
    assert!(missing.to_string().contains("no entity rate; add it"), "{missing}");
    let refused = |stores: EntityStores, registry| {
        let ports = bank.engine_ports();
        let stores = underlay_runtime::Stores { entities: stores, ..Default::default() };
        let config = underlay_runtime::EngineConfig::default();
        underlay_runtime::Engine::with_stores(ports, stores, registry, config).unwrap_err().to_string()
    };
    let none = refused(EntityStores::default(), super::kinds::kinds());
    assert!(none.contains("keeps no entities") && none.contains("[entities]"), "{none}");
    let noting = Arc::new(Noting::over(&MemoryEntities::default(), Atomicity::Unit));
    let store = EntityStore::new("elsewhere:", noting);
    let unknown = refused(EntityStores::new(store.clone()).with("rates", store), super::kinds::kinds());
    assert!(unknown.contains("the entity rates") && unknown.contains("owner, rate"), "{unknown}");
    let twice = refused(EntityStores::default(), super::kinds::kinds().entity::<Rate>());
    assert!(twice.contains("two entities have the name rate"), "{twice}");
}
