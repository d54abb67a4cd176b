//! Entities that change with the events of a command, in one commit.

use underlay_core::{Atomicity, EntityVersion, Error, Version};
use underlay_runtime::{ExecuteError, Executed, Request, UnitOfWork};

use super::kinds::{House, Rate, owner, rate};
use crate::bank::{
    Account, AccountCommand, AccountRefusal, Transfer, deposited, repeatable, request, stream, tenant,
};

async fn deposit(unit: &mut UnitOfWork, cents: i64) -> Result<Executed, ExecuteError<AccountRefusal>> {
    unit.commit_with::<Account>(&"a".to_owned(), AccountCommand::Deposit { cents }).await
}

impl House {
    async fn events(&self) -> u64 {
        use underlay_core::EventStore;
        self.log.versions(&tenant(), &[stream("a")]).await.unwrap()[0].0
    }

    fn unit_of(&self, request: &Request) -> UnitOfWork {
        self.engine.unit_of_work(request)
    }

    async fn withdraw(&self, cents: i64) -> Result<Executed, ExecuteError<AccountRefusal>> {
        self.engine.execute::<Account>(&request(), &"a".to_owned(), AccountCommand::Withdraw { cents }).await
    }
}

#[tokio::test]
async fn events_and_entities_are_stored_together() {
    let house = House::new();
    let mut unit = house.unit();
    unit.add(rate("a", "EUR", 1)).unwrap();
    unit.add(owner(1, "ann")).unwrap();
    let executed = deposit(&mut unit, 10).await.unwrap();
    assert_eq!(executed.versions[0].version, Version(1));
    assert_eq!((house.events().await, house.stored_version("a").await), (1, Some(1)));
    assert!(house.owners().exists(1u32).await.unwrap());
    // The unit goes on from what was stored.
    let stored = unit.get::<Rate>("a").await.unwrap();
    assert_eq!(stored.version, EntityVersion(1));
    unit.remove(stored).unwrap();
    let transfer = Transfer { from: "a".to_owned(), to: "b".to_owned(), cents: 4 };
    unit.commit_with_operation(transfer).await.unwrap();
    assert_eq!((house.events().await, house.stored_version("a").await), (2, None));
}

#[tokio::test]
async fn a_refusal_changes_no_entity_and_leaves_the_unit_as_it_was() {
    let house = House::new();
    for request in [request(), repeatable("k")] {
        let mut unit = house.unit_of(&request);
        unit.add(rate("a", "EUR", 1)).unwrap();
        let command = AccountCommand::Withdraw { cents: 5 };
        let refused = unit.commit_with::<Account>(&"a".to_owned(), command).await.unwrap_err();
        assert!(matches!(refused, ExecuteError::Refused(AccountRefusal::Overdrawn { .. })));
        assert_eq!((house.stored_version("a").await, unit.changed()), (None, 1));
    }
}

#[tokio::test]
async fn a_repeat_gets_its_first_answer_and_changes_no_entity() {
    let house = House::new();
    let request = repeatable("k");
    let mut unit = house.unit_of(&request);
    unit.add(rate("a", "EUR", 1)).unwrap();
    let first = deposit(&mut unit, 10).await.unwrap();
    for house in [&house, &house.beside()] {
        // Whoever repeats it has read what is there by then.
        let mut again = house.unit_of(&request);
        let read = again.get::<Rate>("a").await.unwrap();
        again.save(Rate { value: 9.into(), ..read }).unwrap();
        again.add(rate("b", "EUR", 1)).unwrap();
        let answer = deposit(&mut again, 10).await.unwrap();
        assert!(answer.repeated);
        assert_eq!((answer.position, answer.events), (first.position, first.events.clone()));
        assert_eq!((house.stored_version("a").await, house.stored_version("b").await), (Some(1), None));
        // It forgets what it had, since none of it was stored.
        assert_eq!(again.changed(), 0);
        assert_eq!(again.get::<Rate>("a").await.unwrap().value, 1.into());
    }
    let reused = deposit(&mut house.unit_of(&request), 11).await.unwrap_err();
    assert!(matches!(reused, ExecuteError::Failed(Error::IdReused(_))));
}

#[tokio::test]
async fn a_conflict_of_the_stream_is_decided_again_with_the_same_changes() {
    let house = House::new();
    deposit(&mut house.unit(), 10).await.unwrap();
    // Another process writes the stream, which this one has in its cache.
    let beside = house.beside();
    beside
        .engine
        .execute::<Account>(&request(), &"a".to_owned(), AccountCommand::Withdraw { cents: 4 })
        .await
        .unwrap();
    let mut unit = house.unit();
    unit.add(rate("a", "EUR", 1)).unwrap();
    let executed = deposit(&mut unit, 1).await.unwrap();
    assert_eq!(executed.versions[0].version, Version(3));
    assert_eq!(house.stored_version("a").await, Some(1));
}

#[tokio::test]
async fn a_conflict_of_an_entity_is_the_callers_and_stores_no_event() {
    let house = House::new();
    let seen = house.rates().create(rate("a", "EUR", 1)).await.unwrap();
    house.rates().update(seen.clone()).await.unwrap();
    deposit(&mut house.unit(), 10).await.unwrap();
    for request in [request(), repeatable("k")] {
        let mut unit = house.unit_of(&request);
        unit.save(Rate { value: 9.into(), ..seen.clone() }).unwrap();
        unit.add(rate("b", "EUR", 1)).unwrap();
        let failed = deposit(&mut unit, 100).await.unwrap_err();
        assert_eq!(failed.to_string(), "conflict on rate a: expected version 1, found 2");
        assert_eq!((house.events().await, house.stored_version("b").await), (1, None));
        assert_eq!(unit.changed(), 2);
    }
    // Nothing of it is in the cache: the account has 10 and no more.
    assert!(matches!(house.withdraw(11).await, Err(ExecuteError::Refused(_))));
    house.withdraw(10).await.unwrap();
    assert_eq!(house.events().await, 2);
    // The id of what failed is free.
    let mut unit = house.unit_of(&repeatable("k"));
    let now = unit.get::<Rate>("a").await.unwrap();
    unit.save(Rate { value: 9.into(), ..now }).unwrap();
    assert!(!deposit(&mut unit, 100).await.unwrap().repeated);
    assert_eq!(house.stored_version("a").await, Some(3));
}

#[tokio::test]
async fn a_version_that_was_not_expected_stores_neither() {
    let house = House::new();
    house.log_deposit().await;
    let mut unit = house.unit_of(&request().with_expected(Version(5)));
    unit.add(rate("a", "EUR", 1)).unwrap();
    let refused = deposit(&mut unit, 1).await.unwrap_err();
    assert!(matches!(refused, ExecuteError::Failed(Error::Conflict(_))));
    assert_eq!((house.events().await, house.stored_version("a").await), (1, None));
}

#[tokio::test]
async fn a_command_that_finds_nothing_to_do_stores_the_entities_all_the_same() {
    let house = House::new();
    let mut unit = house.unit();
    unit.add(rate("a", "EUR", 1)).unwrap();
    let executed = unit.commit_with::<Account>(&"a".to_owned(), AccountCommand::Nothing).await.unwrap();
    assert!(executed.events.is_empty());
    assert_eq!((house.events().await, house.stored_version("a").await), (0, Some(1)));
}

#[tokio::test]
async fn entities_that_are_kept_elsewhere_are_refused_before_anything_is_written() {
    let (house, elsewhere) = House::with_owners_elsewhere(Atomicity::Unit);
    let mut unit = house.unit();
    unit.add(owner(1, "ann")).unwrap();
    let refused = deposit(&mut unit, 1).await.unwrap_err().to_string();
    for part in ["owner is kept in elsewhere:", "beside its log alone", "nothing was stored"] {
        assert!(refused.contains(part), "{refused} does not say {part}");
    }
    assert_eq!((house.events().await, elsewhere.asked()), (0, Vec::new()));
    // Without a command they are stored, and a command goes without them.
    unit.commit().await.unwrap();
    deposit(&mut unit, 1).await.unwrap();
    assert_eq!(house.events().await, 1);
}

impl House {
    async fn log_deposit(&self) {
        use underlay_core::EventStore;
        self.log.commit(&tenant(), deposited("a", 1)).await.unwrap();
    }
}
