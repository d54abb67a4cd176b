use underlay_core::{Commit, CommitId, Committed, Error, ExpectedVersion, StreamName, Version};

use super::Subject;
use crate::concurrent::together;
use crate::{EventStoreFixture, sample};

const CONTENDERS: usize = 32;
const ROUNDS: usize = 5;

/// Sentence 3: of commits that expect the same version, one wins; the others get `Conflict` with the
/// actual version.
pub async fn one_of_equal_expectations_wins<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let stream = sample::stream("note-1");
    let mut version = Version::NONE;
    for round in 0..ROUNDS {
        let count = round % 3 + 1;
        let expected = if round == 0 { ExpectedVersion::NoStream } else { ExpectedVersion::Exact(version) };
        let after = version.plus(count);
        let contender = |_| {
            let (subject, commit) = (subject.clone(), sample::write(&stream, expected, count));
            async move { (commit.id, subject.try_commit(commit).await) }
        };
        let results = together((0..CONTENDERS).map(contender)).await;
        let mut winners = Vec::new();
        for (id, result) in results {
            match result {
                Ok(committed) => winners.push((id, committed)),
                Err(Error::Conflict(conflict)) => {
                    assert_eq!(conflict.stream, stream, "the conflict names the stream");
                    assert_eq!(conflict.expected, expected, "the conflict names what was expected");
                    assert_eq!(conflict.actual, after, "the conflict has the actual version");
                    assert_eq!(subject.find(id).await, None, "what was a conflict is not stored");
                }
                Err(error) => panic!("neither stored nor a conflict: {error:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}: {CONTENDERS} commits expect {expected}, one wins");
        assert_eq!(winners[0].1.versions[0].version, after, "the winner is told the version it made");
        version = after;
        assert_eq!(subject.version(&stream).await, version, "only the winner has written");
    }

    opposite_orders(&subject).await;
}

/// Commits over the same two streams, named in opposite orders: neither a deadlock nor two winners.
async fn opposite_orders(subject: &Subject) {
    let names = ["left-1", "right-1"].map(sample::stream);
    for round in 0..ROUNDS as u64 {
        let contender = |number: usize| {
            let (first, second) = (&names[number % 2], &names[(number + 1) % 2]);
            let expected = ExpectedVersion::Exact(Version(round));
            let commit = Commit::new(CommitId::draw())
                .append(first.clone(), expected, vec![sample::event("first")])
                .append(second.clone(), expected, vec![sample::event("second")]);
            let subject = subject.clone();
            async move { subject.try_commit(commit).await }
        };
        let results = together((0..CONTENDERS).map(contender)).await;
        let won = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(won, 1, "of commits over two streams in opposite orders, one wins");
        for result in results {
            match result {
                Ok(_) => {}
                Err(Error::Conflict(conflict)) => {
                    assert!(names.contains(&conflict.stream), "the conflict names one of the streams");
                    assert_eq!(conflict.actual, Version(round + 1), "the conflict has the actual version");
                }
                Err(error) => panic!("neither stored nor a conflict: {error:?}"),
            }
        }
    }
}

/// Sentence 4: `NoStream`, `Exists`, `Exact` and `Any` hold for streams written and for streams only read.
pub async fn expectations_hold_on_written_and_read_streams<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let exact = |version| ExpectedVersion::Exact(Version(version));
    let expectations = [
        ExpectedVersion::Any,
        ExpectedVersion::NoStream,
        ExpectedVersion::Exists,
        exact(0),
        exact(1),
        exact(2),
        exact(3),
        exact(i64::MAX as u64),
        exact(i64::MAX as u64 + 1),
        exact(u64::MAX),
    ];
    let mut trial = 0;
    for before in 0..=2 {
        for expected in expectations {
            for written in [true, false] {
                trial += 1;
                let stream = sample::stream(&format!("subject-{trial}"));
                let other = sample::stream(&format!("other-{trial}"));
                if before > 0 {
                    subject.commit(sample::write(&stream, ExpectedVersion::Any, before)).await;
                }
                let commit = sample::write(&other, ExpectedVersion::NoStream, 1);
                let commit = if written {
                    commit.append(stream.clone(), expected, vec![sample::event("new")])
                } else {
                    commit.expect(stream.clone(), expected)
                };
                let role = if written { "written" } else { "only read" };
                assert_expectation(&subject, commit, &stream, expected, before, role).await;
            }
        }
    }

    decisions_without_events(&subject).await;
}

async fn assert_expectation(
    subject: &Subject,
    commit: Commit,
    stream: &StreamName,
    expected: ExpectedVersion,
    before: usize,
    role: &str,
) {
    let actual = Version(before as u64);
    let case = format!("{expected} of a stream {role} at version {actual}");
    let new = commit.event_count() - 1;
    match subject.try_commit(commit).await {
        Ok(_) => {
            assert!(expected.allows(actual), "{case} does not hold, and was stored");
            assert_eq!(subject.version(stream).await, actual.plus(new), "{case}: the version after it");
        }
        Err(Error::Conflict(conflict)) => {
            assert!(!expected.allows(actual), "{case} holds, and was a conflict");
            assert_eq!(
                (&conflict.stream, conflict.expected, conflict.actual),
                (stream, expected, actual),
                "{case}"
            );
            assert_eq!(subject.version(stream).await, actual, "{case}: nothing is written");
        }
        Err(error) => panic!("{case}: {error:?}"),
    }
}

/// Expectations count in a commit that writes nothing, and with many streams at once.
async fn decisions_without_events(subject: &Subject) {
    let there = sample::stream("there-1");
    subject.commit(sample::write(&there, ExpectedVersion::NoStream, 3)).await;
    let missing: Vec<StreamName> = (0..50).map(|n| sample::stream(&format!("missing-{n}"))).collect();
    let looking = || {
        let commit = Commit::new(CommitId::draw()).expect(there.clone(), ExpectedVersion::Exact(Version(3)));
        missing.iter().fold(commit, |commit, stream| commit.expect(stream.clone(), ExpectedVersion::NoStream))
    };
    let committed: Committed = subject.commit(looking()).await;
    assert_eq!(committed.versions, [], "a stream only read is not written");
    assert_eq!(committed.event_count, 0, "a commit without events");
    for stream in &missing {
        assert_eq!(subject.version(stream).await, Version::NONE, "a stream only read does not come to be");
    }
    subject.commit(sample::write(&missing[49], ExpectedVersion::NoStream, 1)).await;
    let conflict = subject.conflict(looking()).await;
    assert_eq!(conflict.stream, missing[49], "the one expectation of many that does not hold is found");
    assert_eq!(conflict.actual, Version(1), "with its version");
}

/// Sentence 16: two commits that each read what the other writes: one wins.
pub async fn write_skew_is_a_conflict<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let rounds = 8;
    let pairs = 12;
    for round in 0..rounds {
        let expected = |version| ExpectedVersion::Exact(Version(version));
        // Both streams of a pair are at version 1; the pairs run at once, to meet in one batch.
        let mut attempts = Vec::new();
        for pair in 0..pairs {
            let names = ["x", "y"].map(|side| sample::stream(&format!("{side}-{round}-{pair}")));
            let seed = Commit::new(CommitId::draw())
                .append(names[0].clone(), ExpectedVersion::NoStream, vec![sample::event("seed")])
                .append(names[1].clone(), ExpectedVersion::NoStream, vec![sample::event("seed")]);
            subject.commit(seed).await;
            for side in 0..2 {
                let commit =
                    sample::write(&names[side], expected(1), 1).expect(names[1 - side].clone(), expected(1));
                let (subject, read) = (subject.clone(), names[1 - side].clone());
                attempts.push(async move { (read, subject.try_commit(commit).await) });
            }
        }
        let results = together(attempts).await;
        for (pair, sides) in results.chunks(2).enumerate() {
            let won = sides.iter().filter(|(_, result)| result.is_ok()).count();
            assert_eq!(won, 1, "pair {pair}: of two commits that each read what the other writes, one wins");
            for (read, result) in sides {
                if let Err(error) = result {
                    let Error::Conflict(conflict) = error else { panic!("not a conflict: {error:?}") };
                    assert_eq!(conflict.stream, *read, "the conflict is on the stream that was only read");
                    assert_eq!(conflict.actual, Version(2), "at the version the winner made");
                }
            }
        }
    }

    rings_of_three(&subject).await;
}

/// Three commits, each reading what the next one writes: never all of them, and never none.
async fn rings_of_three(subject: &Subject) {
    for round in 0..8 {
        let names = ["x", "y", "z"].map(|side| sample::stream(&format!("ring-{side}{round}")));
        let attempt = |side: usize| {
            let commit = sample::write(&names[side], ExpectedVersion::NoStream, 1)
                .expect(names[(side + 1) % 3].clone(), ExpectedVersion::NoStream);
            let subject = subject.clone();
            async move { subject.try_commit(commit).await.is_ok() }
        };
        let won = together((0..3).map(attempt)).await.into_iter().filter(|won| *won).count();
        assert!((1..=2).contains(&won), "of a ring of three, {won} were stored");
    }
}
