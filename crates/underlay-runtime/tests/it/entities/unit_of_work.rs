use underlay_core::{Atomicity, EntityVersion, Error, Query};

use super::kinds::{Asked, House, Owner, Rate, other_tenant, owner, rate};

fn valued(rate: Rate, value: i64) -> Rate {
    Rate { value: value.into(), ..rate }
}

#[tokio::test]
async fn what_changed_is_written_in_one_batch_and_nothing_else() {
    let house = House::new();
    for id in ["a", "b", "c", "d"] {
        house.rates().create(rate(id, "EUR", 1)).await.unwrap();
    }
    house.entities.asked();

    let mut unit = house.unit();
    let [a, b, c] = [
        unit.get::<Rate>("a").await.unwrap(),
        unit.get::<Rate>("b").await.unwrap(),
        unit.get::<Rate>("c").await.unwrap(),
    ];
    unit.get::<Rate>("d").await.unwrap();
    unit.save(valued(a, 2)).unwrap();
    // It is as it was.
    unit.save(valued(b.clone(), 3)).unwrap();
    unit.save(b).unwrap();
    unit.remove(c).unwrap();
    unit.add(rate("e", "USD", 5)).unwrap();
    unit.add(owner(1, "ann")).unwrap();
    assert_eq!(unit.changed(), 4);
    // It reads its own changes, and the store once.
    assert_eq!(unit.get::<Rate>("a").await.unwrap().value, 2.into());
    assert_eq!(unit.find::<Rate>("c").await.unwrap(), None);
    assert_eq!(unit.get::<Rate>("e").await.unwrap().base, "USD");
    unit.commit().await.unwrap();

    let loads = ["a", "b", "c", "d"].map(|id| Asked::Loaded(id.to_owned()));
    assert_eq!(house.entities.asked(), [&loads[..], &[Asked::Applied(4)]].concat());
    let mut versions = Vec::new();
    for id in ["a", "b", "c", "d", "e"] {
        versions.push(house.stored_version(id).await);
    }
    assert_eq!(versions, [Some(2), Some(1), None, Some(1), Some(1)]);
    assert!(house.owners().exists(1u32).await.unwrap());

    // It goes on from what it has stored.
    house.entities.asked();
    unit.commit().await.unwrap();
    assert_eq!(house.entities.asked(), [], "there is nothing to write");
    let a = unit.get::<Rate>("a").await.unwrap();
    assert_eq!(a.version, EntityVersion(2));
    unit.save(valued(a, 3)).unwrap();
    unit.commit().await.unwrap();
    assert_eq!(house.stored_version("a").await, Some(3));
}

#[tokio::test]
async fn what_cancels_itself_is_not_written() {
    let house = House::new();
    let old = house.rates().create(rate("old", "EUR", 1)).await.unwrap();
    house.entities.asked();
    let mut unit = house.unit();
    unit.add(rate("new", "EUR", 1)).unwrap();
    let new = unit.get::<Rate>("new").await.unwrap();
    unit.save(valued(new.clone(), 2)).unwrap();
    unit.remove(new).unwrap();
    assert_eq!(unit.changed(), 0);
    unit.commit().await.unwrap();
    assert_eq!(house.entities.asked(), []);
    // Removed and added again is an update, at the version that was seen.
    unit.remove(old.clone()).unwrap();
    unit.add(rate("old", "USD", 7)).unwrap();
    assert_eq!(unit.changed(), 1);
    unit.commit().await.unwrap();
    assert_eq!(
        house.rates().get("old").await.unwrap(),
        Rate { version: EntityVersion(2), ..rate("old", "USD", 7) }
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_told_at_once() {
    let house = House::new();
    let stored = house.rates().create(rate("a", "EUR", 1)).await.unwrap();
    let mut unit = house.unit();
    let told = |refused: Result<(), Error>| refused.unwrap_err().to_string();
    assert!(told(unit.save(rate("b", "EUR", 1))).contains("was never stored; add it"));
    assert!(told(unit.remove(rate("b", "EUR", 1))).contains("was never stored"));
    assert!(told(unit.add(stored.clone())).contains("read at version 1"));
    unit.add(rate("b", "EUR", 1)).unwrap();
    assert!(told(unit.add(rate("b", "EUR", 2))).contains("in this unit already"));
    unit.get::<Rate>("a").await.unwrap();
    assert_eq!(told(unit.add(rate("a", "EUR", 1))), "conflict on rate a: expected none, found version 1");
    unit.remove(stored.clone()).unwrap();
    assert!(told(unit.remove(stored.clone())).contains("removed in this unit already"));
    assert!(told(unit.save(stored)).contains("removed in this unit; add it again"));
    assert!(matches!(unit.get::<Rate>("a").await, Err(Error::NotFound(_))));
    // What was refused has left nothing behind.
    assert_eq!(unit.changed(), 2);
    unit.commit().await.unwrap();
    assert_eq!((house.stored_version("a").await, house.stored_version("b").await), (None, Some(1)));
}

#[tokio::test]
async fn a_unit_that_fails_stores_nothing_and_stays_as_it_was() {
    let house = House::new();
    let rates = house.rates();
    let seen = rates.create(rate("a", "EUR", 1)).await.unwrap();
    rates.update(valued(seen.clone(), 2)).await.unwrap();
    let mut unit = house.unit();
    unit.add(rate("b", "EUR", 1)).unwrap();
    unit.save(valued(seen, 9)).unwrap();
    for _ in 0..2 {
        let failed = unit.commit().await.unwrap_err().to_string();
        assert_eq!(failed, "conflict on rate a: expected version 1, found 2");
        assert_eq!(unit.changed(), 2);
        assert_eq!((house.stored_version("a").await, house.stored_version("b").await), (Some(2), None));
    }
    // What was wrong is put right in the unit itself.
    let now = rates.get("a").await.unwrap();
    unit.save(valued(now, 9)).unwrap();
    unit.commit().await.unwrap();
    assert_eq!((house.stored_version("a").await, house.stored_version("b").await), (Some(3), Some(1)));

    house.owners().create(owner(1, "ann")).await.unwrap();
    let mut unit = house.unit();
    unit.add(rate("c", "EUR", 1)).unwrap();
    unit.add(owner(2, "ann")).unwrap();
    assert!(matches!(unit.commit().await, Err(Error::RuleViolation(_))));
    assert_eq!(house.stored_version("c").await, None);
}

#[tokio::test]
async fn entities_of_two_stores_are_refused_before_anything_is_written() {
    let (house, elsewhere) = House::with_owners_elsewhere(Atomicity::Unit);
    let mut unit = house.unit();
    unit.add(rate("a", "EUR", 1)).unwrap();
    unit.add(owner(1, "ann")).unwrap();
    let refused = unit.commit().await.unwrap_err().to_string();
    for part in ["owner is kept in elsewhere:", "rate in the store of the log", "nothing was stored"] {
        assert!(refused.contains(part), "{refused} does not say {part}");
    }
    assert_eq!((house.entities.asked(), elsewhere.asked()), (Vec::new(), Vec::new()));
    // Apart they are stored.
    let mut alone = house.unit();
    alone.add(owner(1, "ann")).unwrap();
    alone.add(owner(2, "bob")).unwrap();
    alone.commit().await.unwrap();
    assert_eq!(elsewhere.asked(), [Asked::Applied(2)]);
}

#[tokio::test]
async fn a_store_that_makes_one_change_at_a_time_says_so_before_it_writes() {
    let (house, elsewhere) = House::with_owners_elsewhere(Atomicity::OneChange);
    let mut unit = house.unit();
    unit.add(owner(1, "ann")).unwrap();
    unit.add(owner(2, "bob")).unwrap();
    let refused = unit.commit().await.unwrap_err().to_string();
    assert!(refused.contains("one at a time") && refused.contains("owner \"1\""), "{refused}");
    assert_eq!(elsewhere.asked(), []);
    let bob = unit.get::<Owner>(2u32).await.unwrap();
    unit.remove(bob).unwrap();
    unit.commit().await.unwrap();
    assert_eq!(elsewhere.asked(), [Asked::Applied(1)]);
}

#[tokio::test]
async fn a_unit_is_of_one_tenant() {
    let house = House::new();
    let mut theirs = house.engine.unit_of_work(&other_tenant());
    theirs.add(rate("a", "EUR", 1)).unwrap();
    theirs.commit().await.unwrap();
    let mut ours = house.unit();
    assert_eq!(ours.find::<Rate>("a").await.unwrap(), None);
    // What another tenant has read is not there for this one.
    let stolen = theirs.get::<Rate>("a").await.unwrap();
    ours.save(valued(stolen, 9)).unwrap();
    let refused = ours.commit().await.unwrap_err().to_string();
    assert_eq!(refused, "conflict on rate a: expected version 1, found none");
    assert_eq!(house.rates().count(Query::default()).await.unwrap(), 0);
}
