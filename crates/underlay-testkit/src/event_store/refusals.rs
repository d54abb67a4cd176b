use underlay_core::{Commit, CommitId, Error, ExpectedVersion, Json, Outcome, Position, Version};

use super::Subject;
use super::subject::{first_answer, with_id};
use crate::concurrent::together;
use crate::{EventStoreFixture, sample};

fn refusal(code: &str, message: &str, body: &str) -> Commit {
    Commit::new(CommitId::draw()).with_outcome(Outcome::Refused {
        code: code.to_owned(),
        message: message.to_owned(),
        body: Json::parse(body).expect("JSON"),
    })
}

/// Sentence 12: a refusal is stored with its body and answers repeats.
pub async fn a_refusal_is_an_outcome<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let stream = sample::stream("note-1");
    let on_empty_log = refusal("first", "On an empty log.", "{}");
    let mut known = vec![(on_empty_log.clone(), subject.commit(on_empty_log).await)];
    assert_eq!(known[0].1.position, Position::START, "a refusal on an empty log stands at its start");
    subject.commit(sample::write(&stream, ExpectedVersion::NoStream, 3)).await;
    let before = subject.log().await;

    let bodies =
        ["null", "{}", r#"{"balance":"12.50","nul":"\u0000","limit":1e400}"#, "[ 1,  2 ]", r#""text""#];
    for (number, text) in sample::HOSTILE_TEXTS.iter().enumerate() {
        let commit = refusal(text, &format!("It says {text}."), bodies[number % bodies.len()])
            .expect(stream.clone(), ExpectedVersion::Exact(Version(3)))
            .expect(sample::stream("absent-1"), ExpectedVersion::NoStream);
        let committed = subject.commit(commit.clone()).await;
        assert_eq!(committed.outcome, commit.outcome, "a refusal is answered with its body");
        assert_eq!(committed.event_count, 0, "a refusal has no events");
        assert_eq!(committed.versions, [], "a refusal writes no stream");
        assert_eq!(committed.position, before[2].position, "a refusal stands at the head of the log");
        known.push((commit, committed));
    }
    // A decision that finds nothing to do is an outcome too.
    let accepted = Commit::new(CommitId::draw()).expect(stream.clone(), ExpectedVersion::Exists);
    known.push((accepted.clone(), subject.commit(accepted).await));
    subject.assert_log_is(&before, "a refusal stores no event").await;

    // The stream moves on; the answers stay.
    subject.commit(sample::write(&stream, ExpectedVersion::Exact(Version(3)), 1)).await;
    let before = subject.log().await;
    for (commit, committed) in known {
        let first = first_answer(committed);
        assert_eq!(
            subject.repeat(commit.clone()).await,
            first,
            "a repeat gets the refusal again, with its body"
        );
        let found = subject.find(commit.id).await.expect("a refusal is found");
        assert_eq!(found.committed, first, "a refusal is found with its body");
        assert_eq!(found.fingerprint, commit.fingerprint(), "and with its fingerprint");
        subject.assert_log_is(&before, "a repeated refusal stores no event").await;
    }

    let original = refusal("code", "Message.", r#"{"a":1}"#);
    subject.commit(original.clone()).await;
    for (code, body) in [("other", r#"{"a":1}"#), ("code", r#"{"a":2}"#)] {
        subject.reused(with_id(original.id, refusal(code, "Message.", body))).await;
    }
    subject.reused(Commit::new(original.id)).await;
}

/// Sentence 13: a refusal whose expectations no longer hold is a `Conflict`, and is not stored.
pub async fn a_stale_refusal_is_a_conflict<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let stream = sample::stream("note-1");
    subject.commit(sample::write(&stream, ExpectedVersion::NoStream, 2)).await;
    let other = sample::stream("other-1");
    subject.commit(sample::write(&other, ExpectedVersion::NoStream, 1)).await;

    let stale = refusal("poor", "Not enough.", "{}")
        .expect(other.clone(), ExpectedVersion::Exact(Version(1)))
        .expect(stream.clone(), ExpectedVersion::Exact(Version(1)));
    for _ in 0..2 {
        let conflict = subject.conflict(stale.clone()).await;
        assert_eq!(conflict.stream, stream, "the conflict names the stream that moved");
        assert_eq!(conflict.actual, Version(2), "with its version");
        assert_eq!(subject.find(stale.id).await, None, "a stale refusal is not stored");
    }
    // Decided again under the same id, the command may be accepted.
    let accepted = Commit::new(stale.id).append(
        stream.clone(),
        ExpectedVersion::Exact(Version(2)),
        sample::events("yes", 1),
    );
    subject.commit(accepted).await;

    races(&subject).await;
}

/// A refusal races with the write that would make it stale: it is stored before the write, or not at all.
async fn races(subject: &Subject) {
    for round in 0..16 {
        let stream = sample::stream(&format!("race-{round}"));
        subject.commit(sample::write(&stream, ExpectedVersion::NoStream, 1)).await;
        let expected = ExpectedVersion::Exact(Version(1));
        let no = refusal("no", "No.", "{}").expect(stream.clone(), expected);
        let mut commits = vec![sample::write(&stream, expected, 1)];
        commits.extend((0..4).map(|_| with_id(CommitId::draw(), no.clone())));
        let attempt = |commit: Commit| {
            let subject = subject.clone();
            async move { (commit.id, subject.try_commit(commit).await) }
        };
        let mut results = together(commits.into_iter().map(attempt)).await.into_iter();
        let (_, write) = results.next().expect("the write has a result");
        let write = write.expect("refusals do not stand in the way of a write");
        for (id, result) in results {
            match result {
                Ok(committed) => assert!(
                    committed.position < write.position,
                    "a refusal stored at {} was stale since {}",
                    committed.position,
                    write.position
                ),
                Err(Error::Conflict(conflict)) => {
                    assert_eq!(conflict.actual, Version(2), "the write came first");
                    assert_eq!(subject.find(id).await, None, "a stale refusal is not stored");
                }
                Err(error) => panic!("neither stored nor a conflict: {error:?}"),
            }
        }
    }
}
