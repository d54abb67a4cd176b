use underlay_core::{Error, Value};

use super::Subject;
use super::subject::{decimal, member, rates, text};
use crate::EntitiesFixture;

const ABANDONED: usize = 24;

/// Sentence 22: a caller that goes away leaves a unit whole or not stored.
pub async fn a_caller_that_goes_away_leaves_no_half<F: EntitiesFixture>(fixture: F) {
    let members = Subject::of(&fixture).await;
    let rates = members.with(rates()).await;
    for number in 0..ABANDONED {
        let id = format!("unit-{number}");
        let unit = |label: &str| {
            let mut unit = vec![members.create(&id, member(&id, label, 1))];
            if members.changes_units() {
                unit.push(rates.create(&id, vec![text(label), decimal("1")]));
            }
            unit
        };
        let task = tokio::spawn({
            let (members, unit) = (members.clone(), unit("abandoned"));
            async move { members.try_apply(unit).await.map(drop) }
        });
        for _ in 0..number % 4 {
            tokio::task::yield_now().await;
        }
        task.abort();
        let answered = task.await.is_ok_and(|answer| answer.is_ok());
        // Whoever comes after it stores the unit, or finds it stored: in between it is under way.
        match members.try_apply(unit("after")).await {
            Ok(_) => assert!(!answered, "what was answered as stored is stored"),
            Err(Error::EntityConflict(_)) => {}
            other => panic!("a unit after one that was given up: {other:?}"),
        }
        let label = members.get(&id).await.map(|entity| entity.values[1].clone());
        let label = label.expect("one of the two is stored");
        let beside = if members.changes_units() {
            rates.get(&id).await.map(|entity| entity.values[0].clone())
        } else {
            Some(label.clone())
        };
        assert_eq!(beside, Some(label.clone()), "all of one unit, and nothing of the other");
        assert!([text("abandoned"), text("after")].contains(&label) && label != Value::Null);
    }
}
