use std::sync::Arc;

use underlay_core::{
    Commit, CommitId, Committed, EntityChange, Error, EventStore, ExpectedVersion, Json, Outcome, RowValues,
    StreamName, Version,
};

use super::Subject;
use super::subject::{assert_invalid, conflict_of, decimal, member, rates, stored, text};
use crate::concurrent::together;
use crate::{EntitiesFixture, sample};

/// A log, and entities that are kept with it.
#[derive(Clone)]
struct Together {
    log: Arc<dyn EventStore>,
    members: Subject,
    rates: Subject,
}

impl Together {
    /// None where the entities are kept beside a log, or without one.
    async fn of<F: EntitiesFixture>(fixture: &F) -> Option<Self> {
        let log = fixture.log_of_entities()?;
        assert!(log.keeps_entities(), "the log says that it keeps entities");
        let members = Subject::of(fixture).await;
        assert!(members.changes_units(), "what is kept with a log changes in units");
        let rates = members.with(rates()).await;
        Some(Self { log, members, rates })
    }

    async fn try_commit(&self, commit: Commit) -> Result<Committed, Error> {
        self.log.commit(&self.members.tenant, commit).await
    }

    async fn commit(&self, commit: Commit) -> Committed {
        self.try_commit(commit).await.expect("a sound commit is stored")
    }

    /// What is in the stream and of the member `ada`.
    async fn state(&self, stream: &StreamName) -> (u64, Option<(u64, RowValues)>) {
        let versions = self.log.versions(&self.members.tenant, std::slice::from_ref(stream)).await;
        let ada = self.members.get("ada").await.map(|entity| (entity.version.0, entity.values));
        (versions.expect("versions answers")[0].0, ada)
    }
}

fn commit(stream: &StreamName, expected: u64, entities: Vec<EntityChange>) -> Commit {
    let expected =
        if expected == 0 { ExpectedVersion::NoStream } else { ExpectedVersion::Exact(Version(expected)) };
    sample::write(stream, expected, 1).with_entities(entities)
}

/// Sentence 23: a commit stores entities with its events, or neither; what fails leaves the id of the commit free.
pub async fn a_commit_stores_entities_with_its_events<F: EntitiesFixture>(fixture: F) {
    let Some(both) = Together::of(&fixture).await else { return };
    let (members, rates) = (&both.members, &both.rates);
    let stream = sample::stream("member-1");
    let unit = vec![
        members.create("ada", member("ada", "ada", 1)),
        rates.create("eur", vec![text("EUR"), decimal("1")]),
    ];
    let committed = both.commit(commit(&stream, 0, unit)).await;
    assert_eq!(committed.event_count, 1);
    assert_eq!(both.state(&stream).await, (1, Some((1, member("ada", "ada", 1)))));
    assert_eq!(rates.get("eur").await, Some(stored("eur", 1, vec![text("EUR"), decimal("1")])));
    // Entities alone, too.
    let alone =
        Commit::new(CommitId::draw()).with_entities(vec![members.update("ada", 1, member("ada", "ada", 2))]);
    assert_eq!(both.commit(alone).await.event_count, 0);
    let before = both.state(&stream).await;
    assert_eq!(before, (1, Some((2, member("ada", "ada", 2)))));

    // What fails stores neither, and its id is free for the same decision over what is there now.
    let sound = || members.create("bob", member("bob", "bob", 1));
    let update = |expected| members.update("ada", expected, member("ada", "ada", 3));
    let id = CommitId::draw();
    let failing = [
        (0, vec![update(2)]),
        (1, vec![sound(), update(1)]),
        (1, vec![members.create("ada", member("x", "x", 1)), sound()]),
        (1, vec![sound(), members.create("copy", member("ada", "copy", 1))]),
        (1, vec![members.delete("absent", None), sound()]),
        (1, vec![sound(), rates.update("eur", 7, vec![text("EUR"), decimal("2")])]),
    ];
    for (expected, entities) in failing {
        let mut failing = commit(&stream, expected, entities.clone());
        failing.id = id;
        let refused = both.try_commit(failing).await;
        assert!(refused.is_err(), "{entities:?} is refused");
        assert_eq!(both.state(&stream).await, before, "{entities:?}: neither is stored");
        assert_eq!(members.get("bob").await, None, "{entities:?}: nor is what is sound");
        let found = both.log.find_commit(&members.tenant, id).await.expect("find_commit answers");
        assert_eq!(found, None, "the id is free");
    }
    match both.try_commit(commit(&stream, 1, vec![update(1)])).await {
        Err(Error::EntityConflict(conflict)) => assert_eq!(*conflict, conflict_of("ada", Some(1), Some(2))),
        other => panic!("a stale entity is a conflict: {other:?}"),
    }
    let mut mended = commit(&stream, 1, vec![sound(), update(2)]);
    mended.id = id;
    both.commit(mended).await;
    assert_eq!(both.state(&stream).await, (2, Some((3, member("ada", "ada", 3)))));
    assert!(members.get("bob").await.is_some());

    refused_at_once(&both, &stream).await;
    // Of another tenant the same ids are others.
    let globex =
        Together { members: members.seen_by("globex"), rates: rates.seen_by("globex"), ..both.clone() };
    globex
        .commit(commit(&stream, 0, vec![globex.members.create("ada", member("ada", "of globex", 1))]))
        .await;
    assert_eq!(both.state(&stream).await, (2, Some((3, member("ada", "ada", 3)))));
}

/// What no store has to look at to refuse it.
async fn refused_at_once(both: &Together, stream: &StreamName) {
    let members = &both.members;
    let before = both.state(stream).await;
    let delete = || members.delete("ada", None);
    assert_invalid(
        both.try_commit(commit(stream, 2, vec![delete(), delete()])).await,
        "twice",
        "an entity twice",
    );
    let mut misfit = member("ada", "ada", 1);
    misfit[2] = text("many");
    let misfit = commit(stream, 2, vec![members.update("ada", 3, misfit)]);
    assert_invalid(both.try_commit(misfit).await, "entries", "values that do not fit");
    let body = Json::encode(&"no").expect("text has a JSON form");
    let refusal = Outcome::Refused { code: "no".into(), message: "No.".into(), body };
    let refusal = Commit::new(CommitId::draw()).with_outcome(refusal).with_entities(vec![delete()]);
    assert_invalid(both.try_commit(refusal).await, "refusal", "a refusal that changes entities");
    assert_eq!(both.state(stream).await, before, "nothing is stored");
}

/// Sentence 24: a repeat of a commit gets the first answer and changes no entity, whatever the entities are by then.
pub async fn a_repeated_commit_changes_no_entity<F: EntitiesFixture>(fixture: F) {
    let Some(both) = Together::of(&fixture).await else { return };
    let members = &both.members;
    let stream = sample::stream("member-1");
    let create = commit(&stream, 0, vec![members.create("ada", member("ada", "ada", 1))]);
    let update = commit(&stream, 1, vec![members.update("ada", 1, member("ada", "ada", 2))]);
    let remove = commit(&stream, 2, vec![members.delete("ada", Some(2))]);
    let mut answers = Vec::new();
    for commit in [&create, &update, &remove] {
        answers.push(both.commit(commit.clone()).await);
        for (first, known) in [&create, &update, &remove].into_iter().zip(&answers) {
            let before = both.state(&stream).await;
            let again = both.commit(first.clone()).await;
            let mut expected: Committed = known.clone();
            expected.repeated = true;
            assert_eq!(again, expected, "a repeat gets the first answer");
            assert_eq!(both.state(&stream).await, before, "a repeat changes no entity");
        }
    }
    // The id with other changes is another commit.
    let mut other = commit(&stream, 0, vec![members.create("ada", member("ada", "eve", 1))]);
    other.id = create.id;
    other.writes.clone_from(&create.writes);
    let reused = both.try_commit(other).await;
    assert!(
        matches!(reused, Err(Error::IdReused(_))),
        "entities are part of what a repeat must match: {reused:?}"
    );

    // Repeats that come together store once.
    let anew = commit(&stream, 3, vec![members.create("ada", member("ada", "anew", 1))]);
    let attempt = |_| {
        let (both, anew) = (both.clone(), anew.clone());
        async move { both.commit(anew).await.repeated }
    };
    let repeated = together((0..8).map(attempt)).await;
    assert_eq!(repeated.iter().filter(|repeated| !**repeated).count(), 1, "one stores it: {repeated:?}");
    assert_eq!(both.state(&stream).await, (4, Some((1, member("ada", "anew", 1)))));
}

/// Sentence 25: of commits written together that update one entity from one version, one is stored, and the others
/// alone fail.
pub async fn one_of_the_commits_that_update_an_entity_is_stored<F: EntitiesFixture>(fixture: F) {
    let Some(both) = Together::of(&fixture).await else { return };
    let members = &both.members;
    members.apply(members.create("ada", member("ada", "ada", 0))).await;
    for round in 1..=6_u64 {
        // Some change the entity, some change others, some none; some come past the log.
        let attempt = |number: usize| {
            let both = both.clone();
            let id = format!("other-{round}-{number}");
            let stream = sample::stream(&format!("member-{round}{number}"));
            let change = match number % 4 {
                0 | 1 => both.members.update("ada", round, member("ada", &format!("{number}"), round as i64)),
                2 => both.members.create(&id, member(&id, "other", 1)),
                _ => both.rates.create(&id, vec![text("EUR"), decimal("1")]),
            };
            async move {
                if number % 8 == 1 {
                    return both.members.try_apply(vec![change]).await.map(drop);
                }
                let commit = commit(&stream, 0, vec![change]);
                let answer = both.try_commit(commit).await;
                let (stored, _) = both.state(&stream).await;
                assert_eq!(stored, u64::from(answer.is_ok()), "{number}: events and entities together");
                answer.map(drop)
            }
        };
        let answers = together((0..16).map(attempt)).await;
        let mut winners = 0;
        for (number, answer) in answers.iter().enumerate() {
            match (number % 4, answer) {
                (0 | 1, Ok(())) => winners += 1,
                (0 | 1, Err(Error::EntityConflict(conflict))) => {
                    assert_eq!(**conflict, conflict_of("ada", Some(round), Some(round + 1)));
                }
                (_, Ok(())) => {}
                (_, answer) => panic!("attempt {number} has nothing to do with the others: {answer:?}"),
            }
        }
        assert_eq!(winners, 1, "one of the updates is stored: {answers:?}");
        assert_eq!(members.get("ada").await.map(|entity| entity.version.0), Some(round + 1));
    }
}
