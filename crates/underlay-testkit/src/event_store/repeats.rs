use underlay_core::{
    Commit, CommitId, Committed, Error, ExpectedVersion, Fingerprint, Json, Metadata, NewEvent, Outcome,
    Position, SchemaVersion, Version,
};

use super::Subject;
use super::subject::first_answer;
use crate::concurrent::together;
use crate::{EventStoreFixture, sample};

/// The same commit, built again: other event ids, other metadata.
fn again(commit: &Commit) -> Commit {
    let mut commit = commit.clone();
    for event in commit.writes.iter_mut().flat_map(|write| &mut write.events) {
        *event = NewEvent::new(event.event_type.clone(), event.schema_version, event.payload.clone());
    }
    commit.with_metadata(Metadata { correlation_id: Some(CommitId::draw().0), ..Metadata::default() })
}

/// Sentence 9: a repeat of a commit id gets the first answer, and stores nothing.
pub async fn a_repeat_gets_the_first_answer<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let stream = sample::stream("note-1");
    let written = sample::write(&stream, ExpectedVersion::NoStream, 3)
        .append(sample::stream("beside-1"), ExpectedVersion::NoStream, sample::events("beside", 2))
        .expect(sample::stream("absent-1"), ExpectedVersion::NoStream);
    let empty = Commit::new(CommitId::draw()).expect(stream.clone(), ExpectedVersion::Exact(Version(3)));
    // Decided again, a command may come to other events: its content is what counts.
    let content = Fingerprint::of([b"the command".as_slice()]);
    let decided = sample::write(&stream, ExpectedVersion::Exact(Version(3)), 1).with_content(content);
    let decided_otherwise = Commit::new(decided.id)
        .append(sample::stream("elsewhere-1"), ExpectedVersion::Any, sample::events("other", 4))
        .with_content(content);

    let mut known = Vec::new();
    for (commit, repeat) in [
        (written.clone(), again(&written)),
        (empty.clone(), again(&empty)),
        (decided.clone(), decided_otherwise),
    ] {
        let first = first_answer(subject.commit(commit.clone()).await);
        known.push((commit, repeat, first));
    }
    // By now no expectation of the first commits holds any more.
    subject.commit(sample::write(&stream, ExpectedVersion::Exact(Version(4)), 2)).await;
    subject.commit(sample::write(&sample::stream("absent-1"), ExpectedVersion::NoStream, 1)).await;
    let before = subject.log().await;
    for (commit, repeat, first) in known {
        for commit in [commit.clone(), repeat.clone(), commit] {
            let answer = subject.repeat(commit.clone()).await;
            assert_eq!(answer, first, "a repeat gets the first answer");
            let found = subject.find(commit.id).await.map(|found| found.committed);
            assert_eq!(found.as_ref(), Some(&first), "find_commit gives the first answer");
        }
        subject.assert_log_is(&before, "a repeat stores nothing").await;
    }

    a_failure_is_no_answer(&subject).await;
}

/// A commit that failed is not remembered: the same id is stored once it fits.
async fn a_failure_is_no_answer(subject: &Subject) {
    let stream = sample::stream("late-1");
    let commit = sample::write(&stream, ExpectedVersion::Exists, 1);
    for _ in 0..2 {
        subject.conflict(commit.clone()).await;
    }
    subject.commit(sample::write(&stream, ExpectedVersion::NoStream, 1)).await;
    let committed = subject.commit(commit.clone()).await;
    assert_eq!(committed.versions[0].version, Version(2), "after a conflict the same id is stored");
    assert_eq!(subject.repeat(commit).await, first_answer(committed), "and then it is known");
}

/// Sentence 10: repeats in flight at the same time store once.
pub async fn repeats_in_flight_store_once<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    for round in 0..10u64 {
        let commit = sample::write(&sample::stream("note-1"), ExpectedVersion::Exact(Version(round * 2)), 2)
            .append(
                sample::stream(&format!("once-{round}")),
                ExpectedVersion::NoStream,
                sample::events("once", 1),
            );
        let before = subject.head().await;
        let attempt = |_| {
            let (subject, commit) = (subject.clone(), again(&commit));
            async move { subject.try_commit(commit).await }
        };
        let answers: Vec<Committed> = together((0..16).map(attempt))
            .await
            .into_iter()
            .map(|answer| answer.expect("a repeat in flight is neither a conflict nor a failure"))
            .collect();
        let fresh = answers.iter().filter(|answer| !answer.repeated).count();
        assert_eq!(fresh, 1, "round {round}: one of the repeats was the first");
        let first = first_answer(answers[0].clone());
        for answer in answers {
            assert_eq!(first_answer(answer), first, "round {round}: all get the first answer");
        }
        let head = Position::from_number(before.number() + 3);
        assert_eq!(subject.head().await, head, "round {round}: the commit is stored once");
    }
    let counted = subject.stream(&sample::stream("note-1")).await.len();
    assert_eq!(counted, 20, "every round wrote two events");
}

/// Sentence 11: the same id with other content is refused, and stores nothing.
pub async fn a_reused_id_is_refused<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let stream = sample::stream("note-1");
    let read = sample::stream("read-1");
    let first = Commit::new(CommitId::draw())
        .append(stream.clone(), ExpectedVersion::Any, sample::events("first", 2))
        .expect(read.clone(), ExpectedVersion::Any);
    let answer = first_answer(subject.commit(first.clone()).await);
    let before = subject.log().await;

    for (what, other) in with_other_content(&first) {
        assert_eq!(other.id, first.id, "the test re-uses the id");
        subject.reused(other).await;
        subject.assert_log_is(&before, what).await;
        assert_eq!(subject.repeat(again(&first)).await, answer, "{what}: the first answer stays");
    }

    // A conflict does not hide that the id is taken.
    let conflicting =
        Commit::new(first.id).append(stream.clone(), ExpectedVersion::NoStream, sample::events("x", 1));
    subject.reused(conflicting).await;

    // In flight together: one content is stored, the others are refused.
    for round in 0..6 {
        let id = CommitId::draw();
        let contested = sample::stream(&format!("contested-{round}"));
        let attempt = |number: usize| {
            let event = sample::event(&format!("content {number}"));
            let commit = Commit::new(id).append(contested.clone(), ExpectedVersion::Any, vec![event]);
            let subject = subject.clone();
            async move { subject.try_commit(commit).await }
        };
        let mut stored = 0;
        for result in together((0..8).map(attempt)).await {
            match result {
                Ok(committed) => {
                    assert!(!committed.repeated, "other content is no repeat");
                    stored += 1;
                }
                Err(Error::IdReused(reused)) => assert_eq!(reused, id, "the error names the id"),
                Err(error) => panic!("neither stored nor refused: {error:?}"),
            }
        }
        assert_eq!(stored, 1, "of several contents under one id, one is stored");
        assert_eq!(subject.version(&contested).await, Version(1), "and only that one");
    }
}

/// Everything a commit can differ in, one thing at a time.
fn with_other_content(first: &Commit) -> Vec<(&'static str, Commit)> {
    let changed = |change: &dyn Fn(&mut Commit)| {
        let mut commit = again(first);
        change(&mut commit);
        commit
    };
    let refused = |code: &str| Outcome::Refused {
        code: code.to_owned(),
        message: "No.".to_owned(),
        body: Json::encode("body").expect("text has a JSON form"),
    };
    vec![
        ("another payload", changed(&|commit| commit.writes[0].events[1] = sample::event("other"))),
        (
            "another type",
            changed(&|commit| {
                commit.writes[0].events[0].event_type = sample::event_of("other", "").event_type;
            }),
        ),
        (
            "another schema version",
            changed(&|commit| commit.writes[0].events[0].schema_version = SchemaVersion(2)),
        ),
        ("events in another order", changed(&|commit| commit.writes[0].events.reverse())),
        ("one event more", changed(&|commit| commit.writes[0].events.push(sample::event("more")))),
        ("one event less", changed(&|commit| commit.writes[0].events.truncate(1))),
        ("another stream", changed(&|commit| commit.writes[0].stream = sample::stream("note-2"))),
        ("another expectation", changed(&|commit| commit.writes[0].expected = ExpectedVersion::Exists)),
        ("another stream read", changed(&|commit| commit.expectations[0].stream = sample::stream("read-2"))),
        ("no stream read", changed(&|commit| commit.expectations.clear())),
        ("nothing", Commit::new(first.id)),
        ("a refusal", Commit::new(first.id).with_outcome(refused("no"))),
        ("another command", again(first).with_content(Fingerprint::of([b"a command".as_slice()]))),
    ]
}
