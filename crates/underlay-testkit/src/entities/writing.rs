use underlay_core::Error;

use super::Subject;
use super::subject::{conflict_of, member, stored};
use crate::EntitiesFixture;
use crate::concurrent::together;

/// Writers that meet at one version.
const WRITERS: usize = 8;
const ROUNDS: u64 = 10;

/// Sentence 2: to create one that is there is `EntityConflict` with its version, also where it is the same one.
pub async fn what_is_there_is_not_created_again<F: EntitiesFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let ada = member("ada", "ada", 1);
    subject.apply(subject.create("ada", ada.clone())).await;
    for values in [ada.clone(), member("other", "bob", 2)] {
        let conflict = subject.conflict(vec![subject.create("ada", values)]).await;
        assert_eq!(conflict, conflict_of("ada", None, Some(1)));
    }
    assert_eq!(subject.get("ada").await, Some(stored("ada", 1, ada.clone())), "nothing was stored");
    subject.apply(subject.update("ada", 1, ada.clone())).await;
    let conflict = subject.conflict(vec![subject.create("ada", ada)]).await;
    assert_eq!(conflict, conflict_of("ada", None, Some(2)));

    // Of many who create it, one does.
    let create = |number: usize| {
        let subject = subject.clone();
        async move { subject.try_apply(vec![subject.create("new", member("new", "new", number as i64))]).await }
    };
    let answers = together((0..WRITERS).map(create)).await;
    assert_one_stored(&answers);
}

/// Sentence 3: an update needs the version that is stored; otherwise it is `EntityConflict` with the actual one.
pub async fn an_update_needs_the_stored_version<F: EntitiesFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    subject.apply(subject.create("ada", member("ada", "ada", 1))).await;
    subject.apply(subject.create("bob", member("bob", "bob", 1))).await;
    let second = member("ada", "ada", 2);
    assert_eq!(subject.apply(subject.update("ada", 1, second.clone())).await, 2);
    for expected in [1, 3, u64::MAX >> 1] {
        let conflict = subject.conflict(vec![subject.update("ada", expected, member("ada", "eve", 9))]).await;
        assert_eq!(conflict, conflict_of("ada", Some(expected), Some(2)));
    }
    assert_eq!(subject.get("ada").await, Some(stored("ada", 2, second.clone())), "nothing was stored");
    let conflict = subject.conflict(vec![subject.update("absent", 1, member("absent", "eve", 9))]).await;
    assert_eq!(conflict, conflict_of("absent", Some(1), None));
    assert_eq!(subject.get("absent").await, None, "an update creates nothing");
    // The same values once more are an update too.
    assert_eq!(subject.apply(subject.update("ada", 2, second.clone())).await, 3);
    assert_eq!(subject.get("ada").await, Some(stored("ada", 3, second)));
    assert_eq!(
        subject.get("bob").await,
        Some(stored("bob", 1, member("bob", "bob", 1))),
        "no other is changed"
    );
}

/// Sentence 4: of updates from one version one is stored, also of several stores that are open on the same data.
pub async fn one_of_equal_updates_is_stored<F: EntitiesFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let beside = Subject { tenant: subject.tenant.clone(), ..Subject::of(&fixture).await };
    subject.apply(subject.create("ada", member("ada", "ada", 0))).await;
    for round in 1..=ROUNDS {
        let update = |number: usize| {
            let subject = if number.is_multiple_of(2) { subject.clone() } else { beside.clone() };
            let values = member("ada", &format!("writer {number}"), round as i64);
            async move { subject.try_apply(vec![subject.update("ada", round, values)]).await }
        };
        let answers = together((0..WRITERS).map(update)).await;
        let winner = assert_one_stored(&answers);
        let expected = member("ada", &format!("writer {winner}"), round as i64);
        assert_eq!(subject.get("ada").await, Some(stored("ada", round + 1, expected)), "the winner's values");
    }
}

/// Asserts that one of the attempts was stored and all others were conflicts; gives the number of the one.
fn assert_one_stored<T: std::fmt::Debug>(answers: &[Result<T, Error>]) -> usize {
    let lost = answers.iter().filter(|answer| matches!(answer, Err(Error::EntityConflict(_)))).count();
    assert_eq!(lost, answers.len() - 1, "all but one are conflicts: {answers:?}");
    answers.iter().position(Result::is_ok).expect("one is stored")
}

/// Sentence 5: an entity is removed at the version named, or at any; one that is removed can be created anew.
pub async fn removed_entities_are_gone<F: EntitiesFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    for id in ["ada", "bob", "eve"] {
        subject.apply(subject.create(id, member(id, id, 1))).await;
        subject.apply(subject.update(id, 1, member(id, id, 2))).await;
    }
    let conflict = subject.conflict(vec![subject.delete("ada", Some(1))]).await;
    assert_eq!(conflict, conflict_of("ada", Some(1), Some(2)));
    assert!(subject.get("ada").await.is_some(), "what is not at the version named stays");
    assert_eq!(subject.apply(subject.delete("ada", Some(2))).await, 0, "what is removed has no version");
    assert_eq!(subject.apply(subject.delete("bob", None)).await, 0);
    assert_eq!(subject.load(&["ada", "bob"]).await, [None, None]);
    let left: Vec<String> = subject.all().await.into_iter().map(|entity| entity.id).collect();
    assert_eq!(left, ["eve"]);

    let conflict = subject.conflict(vec![subject.delete("ada", Some(2))]).await;
    assert_eq!(conflict, conflict_of("ada", Some(2), None));
    let absent = subject.try_apply(vec![subject.delete("ada", None)]).await;
    assert!(matches!(absent, Err(Error::NotFound(_))), "what is not there cannot be removed: {absent:?}");
    let conflict = subject.conflict(vec![subject.update("ada", 2, member("ada", "ada", 3))]).await;
    assert_eq!(conflict, conflict_of("ada", Some(2), None));

    // Anew it begins with version 1, and nothing is left of the one before.
    let mut anew = member("ada", "anew", 5);
    anew[6] = super::subject::text("a note");
    assert_eq!(subject.apply(subject.create("ada", anew.clone())).await, 1);
    assert_eq!(subject.get("ada").await, Some(stored("ada", 1, anew)));
}
