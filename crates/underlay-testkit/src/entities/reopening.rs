use underlay_core::{Comparison, Error, Query};

use super::Subject;
use super::subject::{conflict_of, member, stored, text};
use crate::{EntitiesFixture, sample};

/// Sentence 17: after reopening, entities and their versions are there.
pub async fn reopening_keeps_entities<F: EntitiesFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let globex = subject.seen_by("globex");
    for (number, id) in sample::HOSTILE_TEXTS.iter().enumerate() {
        subject.apply(subject.create(id, member(id, "kept", number as i64))).await;
    }
    globex.apply(globex.create("ada", member("ada", "of globex", 1))).await;
    subject.apply(subject.create("ada", member("ada", "kept", 1))).await;
    subject.apply(subject.update("ada", 1, member("ada", "twice", 2))).await;
    subject.apply(subject.delete("%", Some(1))).await;
    let (all, of_globex) = (subject.all().await, globex.all().await);
    let tenant = subject.tenant.clone();
    drop((subject, globex));

    let fixture = fixture.reopen().await;
    let subject = Subject { tenant, ..Subject::of(&fixture).await };
    assert_eq!(subject.all().await, all, "entities and versions are kept");
    assert_eq!(subject.seen_by("globex").all().await, of_globex, "every tenant's");
    let found = subject.query(&Query::default().filter("owner", Comparison::Eq, text("twice"))).await;
    assert_eq!(found.entities, [stored("ada", 2, member("ada", "twice", 2))], "and found by their columns");
    let conflict = subject.conflict(vec![subject.update("ada", 1, member("ada", "stale", 3))]).await;
    assert_eq!(conflict, conflict_of("ada", Some(1), Some(2)), "versions count on");
    let taken = subject.try_apply(vec![subject.create("new", member("ada", "new", 1))]).await;
    assert!(matches!(taken, Err(Error::RuleViolation(_))), "unique values stay unique: {taken:?}");
    assert_eq!(subject.apply(subject.update("ada", 2, member("ada", "third", 3))).await, 3);
}
