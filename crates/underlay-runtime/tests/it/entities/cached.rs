//! Copies of entities: a repository reads them, and what a process has changed it sees at once.

use std::sync::Arc;
use std::time::Duration;

use underlay_core::memory::MemoryEntities;
use underlay_core::{Atomicity, Clock, EntityVersion, Error, SystemClock};
use underlay_runtime::{Engine, EngineConfig, EntityStore, EntityStores, Repository, Stores};

use super::kinds::{Asked, House, Noting, Rate, kinds, other_tenant, owner, rate};
use crate::bank::{Account, AccountCommand, Bank};

const LONG: Duration = Duration::from_secs(600);

fn loaded(id: &str) -> Asked {
    Asked::Loaded(id.to_owned())
}

#[tokio::test]
async fn an_entity_is_read_from_the_store_once() {
    let house = House::with_cached_rates(LONG);
    let rates = house.rates();
    let created = rates.create(rate("a", "EUR", 2)).await.unwrap();
    house.entities.asked();
    for _ in 0..3 {
        assert_eq!(rates.get("a").await.unwrap(), created);
        assert!(rates.exists("a").await.unwrap() && !rates.exists("b").await.unwrap());
    }
    assert_eq!(house.entities.asked(), [loaded("a"), loaded("b")], "also that there is none is read once");
    assert!(matches!(rates.get("b").await, Err(Error::NotFound(_))));
    let others: Repository<Rate> = house.engine.repository(&other_tenant()).unwrap();
    assert!(!others.exists("a").await.unwrap(), "copies are of their tenant");
    // Owners have no copies, and queries are the store's.
    house.owners().create(owner(1, "ann")).await.unwrap();
    house.entities.asked();
    for _ in 0..2 {
        assert!(house.owners().exists(1u32).await.unwrap());
        assert_eq!(rates.list(None).await.unwrap().items, std::slice::from_ref(&created));
    }
    assert_eq!(house.entities.asked(), [loaded("1"), loaded("1")]);
}

#[tokio::test]
async fn what_a_process_changes_it_reads_at_once() {
    let house = House::with_cached_rates(LONG);
    let rates = house.rates();
    assert!(!rates.exists("a").await.unwrap());
    let created = rates.create(rate("a", "EUR", 2)).await.unwrap();
    assert_eq!(rates.get("a").await.unwrap(), created, "it was not there before");
    let updated = rates.update(Rate { note: Some("noted".to_owned()), ..created }).await.unwrap();
    assert_eq!(rates.get("a").await.unwrap(), updated);

    let mut unit = house.unit();
    let read: Rate = unit.get("a").await.unwrap();
    unit.save(Rate { note: None, ..read }).unwrap();
    unit.commit().await.unwrap();
    assert_eq!(rates.get("a").await.unwrap().version, EntityVersion(3), "a unit of work");

    let mut unit = house.unit();
    let read: Rate = unit.get("a").await.unwrap();
    unit.save(Rate { note: Some("with an event".to_owned()), ..read }).unwrap();
    unit.commit_with::<Account>(&"a".to_owned(), AccountCommand::Deposit { cents: 1 }).await.unwrap();
    assert_eq!(rates.get("a").await.unwrap().version, EntityVersion(4), "a commit");

    rates.delete("a").await.unwrap();
    assert!(!rates.exists("a").await.unwrap());
}

#[tokio::test]
async fn after_a_conflict_the_next_read_is_of_the_store() {
    let house = House::with_cached_rates(LONG);
    let elsewhere = house.beside();
    let created = house.rates().create(rate("a", "EUR", 2)).await.unwrap();
    let (rates, others) = (house.rates(), elsewhere.rates());
    let change = |read: &Rate| Rate { note: Some("changed".to_owned()), ..read.clone() };

    assert_eq!(rates.get("a").await.unwrap(), created);
    let theirs = others.update(change(&created)).await.unwrap();
    let stale = rates.get("a").await.unwrap();
    assert_eq!(stale, created, "another process has changed it, and the copy is not old yet");
    let refused = rates.update(change(&stale)).await.unwrap_err();
    assert!(matches!(&refused, Error::EntityConflict(conflict) if conflict.actual == Some(EntityVersion(2))));
    assert_eq!(rates.get("a").await.unwrap(), theirs, "the lock holds, and the copy is gone");

    // A unit reads what is stored, since it is what it changes.
    let theirs = others.update(change(&theirs)).await.unwrap();
    assert_ne!(rates.get("a").await.unwrap(), theirs);
    let mut unit = house.unit();
    assert_eq!(unit.get::<Rate>("a").await.unwrap(), theirs);
    let mut unit = house.unit();
    unit.save(change(&rates.get("a").await.unwrap())).unwrap();
    let executed = unit.commit_with::<Account>(&"a".to_owned(), AccountCommand::Deposit { cents: 1 }).await;
    assert!(executed.is_err(), "it was read from the copy");
    assert_eq!(rates.get("a").await.unwrap(), theirs, "the copy is gone");
}

#[tokio::test]
async fn a_copy_is_read_for_its_time_and_no_longer() {
    let house = House::with_cached_rates(Duration::from_millis(200));
    let elsewhere = house.beside();
    let created = house.rates().create(rate("a", "EUR", 2)).await.unwrap();
    assert_eq!(house.rates().get("a").await.unwrap(), created);
    let theirs =
        elsewhere.rates().update(Rate { note: Some("changed".to_owned()), ..created }).await.unwrap();
    SystemClock.sleep(Duration::from_millis(250)).await;
    assert_eq!(house.rates().get("a").await.unwrap(), theirs);
}

#[tokio::test]
async fn a_time_for_an_entity_that_is_not_there_is_told() {
    let bank = Bank::new();
    let entities = Noting::over(&MemoryEntities::default(), Atomicity::Unit);
    let stores = EntityStores::new(EntityStore::new("memory:", Arc::new(entities))).cached("rates", LONG);
    let stores = Stores { entities: stores, ..Stores::default() };
    let refused = Engine::with_stores(bank.engine_ports(), stores, kinds(), EngineConfig::default());
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("rates") && told.contains("owner, rate"), "{told}");
}
