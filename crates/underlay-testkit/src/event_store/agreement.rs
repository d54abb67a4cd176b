use underlay_core::{
    Commit, CommitId, Error, ExpectedVersion, Fingerprint, Json, Outcome, Position, Version,
};

use super::Subject;
use super::subject::{first_answer, with_id};
use crate::concurrent::together;
use crate::{EventStoreFixture, sample};

const ROUNDS: usize = 12;
const SOUND: usize = 8;

/// A commit whose content is a word, with one event or none; stores may write them in other ways.
fn of(content: &str, stream: &str, events: usize) -> Commit {
    let commit = match events {
        0 => Commit::new(CommitId::draw()),
        events => sample::write(&sample::stream(stream), ExpectedVersion::Any, events),
    };
    commit.with_content(Fingerprint::of([content.as_bytes()]))
}

fn refused(mut commit: Commit) -> Commit {
    commit.writes.clear();
    let body = Json::parse(r#"{"left":1}"#).expect("JSON");
    let outcome = Outcome::Refused { code: "no".to_owned(), message: "No.".to_owned(), body };
    commit.with_outcome(outcome)
}

/// Sentence 26: a commit that names another which is stored with other content is refused, and stores nothing; whichever
/// came first, also together.
pub async fn commits_agree_or_one_is_refused<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    for (number, (first_events, second_events)) in
        [(1, 1), (0, 1), (1, 0), (0, 0), (2, 3)].into_iter().enumerate()
    {
        let [first_stream, second_stream] = ["first", "second"].map(|name| format!("{name}-{number}"));
        // The first names the second, which is not there yet.
        let named = CommitId::draw();
        let first = of("this", &first_stream, first_events).agrees_with(named);
        subject.commit(first.clone()).await;
        let before = subject.log().await;
        for other in [
            of("that", &second_stream, second_events).agrees_with(first.id),
            of("that", &second_stream, second_events).yields_to(first.id),
            refused(of("that", &second_stream, 1)).agrees_with(first.id),
            // A conflict does not hide it.
            of("that", &second_stream, second_events)
                .expect(sample::stream("never-1"), ExpectedVersion::Exists)
                .agrees_with(first.id),
        ] {
            let other = with_id(named, other);
            subject.reused(other.clone()).await;
            subject.assert_log_is(&before, "a commit that does not agree stores nothing").await;
            assert_eq!(subject.find(named).await, None, "and is not known");
        }
        // Who names nobody, or somebody who is not there, or of another tenant, is not held against it.
        let elsewhere = of("that", &second_stream, second_events);
        subject.commit(with_id(CommitId::draw(), elsewhere.clone()).agrees_with(CommitId::draw())).await;
        subject.seen_by("other").commit(elsewhere.agrees_with(first.id)).await;

        let same = with_id(named, of("this", &second_stream, second_events).agrees_with(first.id));
        let stored = subject.commit(same.clone()).await;
        assert_eq!(stored.id, named, "one that agrees is stored under its own id");
        assert_eq!(stored.event_count as usize, second_events, "with its events");
        assert_eq!(subject.repeat(same).await, first_answer(stored), "and answers repeats");
    }
    names_nobody_it_must_not_name(&subject).await;
    a_repeat_is_not_asked_again(&subject).await;
    in_a_crowd(&subject).await;
    together_in_any_order(&subject).await;
}

async fn names_nobody_it_must_not_name(subject: &Subject) {
    let commit = sample::write(&sample::stream("self-1"), ExpectedVersion::Any, 1);
    let id = commit.id;
    let error = subject.invalid(commit.agrees_with(id)).await;
    assert!(error.contains("names itself"), "{error}");
    // Without a content of its own, the events are what is compared.
    let first = sample::write(&sample::stream("plain-1"), ExpectedVersion::Any, 2);
    subject.commit(first.clone()).await;
    let mut same = with_id(CommitId::draw(), first.clone()).agrees_with(first.id);
    same.writes[0].events = same.writes[0]
        .events
        .iter()
        .map(|event| {
            let (event_type, payload) = (event.event_type.clone(), event.payload.clone());
            underlay_core::NewEvent::new(event_type, event.schema_version, payload)
        })
        .collect();
    subject.commit(same).await;
    let other = sample::write(&sample::stream("plain-2"), ExpectedVersion::Any, 2);
    subject.reused(other.agrees_with(first.id)).await;
}

/// The other one may be stored later without naming anybody: the first answer stays.
async fn a_repeat_is_not_asked_again(subject: &Subject) {
    for yields in [false, true] {
        let other = of("that", "later-1", 1);
        let first = of("this", "early-1", 1);
        let first = if yields { first.yields_to(other.id) } else { first.agrees_with(other.id) };
        let answer = first_answer(subject.commit(first.clone()).await);
        subject.commit(other).await;
        assert_eq!(subject.repeat(first).await, answer, "a repeat gets the first answer");
    }
}

/// Commits that are stopped among others that are not, written together.
async fn in_a_crowd(subject: &Subject) {
    for round in 0..ROUNDS {
        let stored = of("this", &format!("stored-{round}"), 1);
        subject.commit(stored.clone()).await;
        let mut crowd: Vec<(bool, Commit)> = Vec::new();
        for number in 0..SOUND {
            let name = |kind: &str| format!("{kind}-{round}-{number}");
            crowd.push((true, of("sound", &name("sound"), number % 3)));
            crowd.push((true, of("this", &name("agreed"), number % 3).agrees_with(stored.id)));
            crowd.push((false, of("that", &name("stopped"), number % 3).agrees_with(stored.id)));
        }
        let before = subject.head().await;
        let attempt = |(goes_on, commit): (bool, Commit)| {
            let subject = subject.clone();
            async move { (goes_on, commit.clone(), subject.try_commit(commit).await) }
        };
        let mut events = 0;
        for (goes_on, commit, answer) in together(crowd.into_iter().map(attempt)).await {
            let found = subject.find(commit.id).await;
            match (goes_on, answer) {
                (true, Ok(committed)) => {
                    assert!(!committed.repeated, "it is stored for the first time");
                    assert_eq!(found.map(|found| found.committed), Some(first_answer(committed)));
                    events += commit.event_count() as u64;
                }
                (false, Err(Error::IdReused(id))) => {
                    assert_eq!(id, commit.id, "the error names the id");
                    assert_eq!(found, None, "what is stopped is not stored");
                }
                (_, answer) => panic!("a commit that goes on: {goes_on}, was answered {answer:?}"),
            }
        }
        let head = Position::from_number(before.number() + events);
        assert_eq!(subject.head().await, head, "the log holds what was acknowledged");
    }
}

/// Two that name each other, at the same time: of other content one wins, of the same both are stored.
async fn together_in_any_order(subject: &Subject) {
    for round in 0..ROUNDS {
        let mut pairs = Vec::new();
        for number in 0..SOUND {
            let names = ["one", "two"].map(|name| format!("{name}-{round}-{number}"));
            let [one_content, two_content] =
                if number % 2 == 0 { ["this", "that"] } else { ["this", "this"] };
            let one = of(one_content, &names[0], number % 3);
            let two = of(two_content, &names[1], (number + round) % 3).agrees_with(one.id);
            let one = one.agrees_with(two.id);
            pairs.extend(if round % 2 == 0 { [one, two] } else { [two, one] });
        }
        let attempt = |commit: Commit| {
            let subject = subject.clone();
            async move { (commit.id, subject.try_commit(commit).await) }
        };
        let answers = together(pairs.into_iter().map(attempt)).await;
        for (number, pair) in answers.chunks(2).enumerate() {
            let stored = pair.iter().filter(|(_, answer)| answer.is_ok()).count();
            assert_eq!(stored, if number % 2 == 0 { 1 } else { 2 }, "of {pair:?}");
            for (id, answer) in pair {
                let found = subject.find(*id).await.is_some();
                match answer {
                    Ok(committed) => assert!(found && !committed.repeated && committed.id == *id),
                    Err(Error::IdReused(reused)) => {
                        assert!(!found && reused == id, "{reused} instead of {id}")
                    }
                    Err(error) => panic!("neither stored nor refused: {error:?}"),
                }
            }
        }
    }
}

/// Sentence 27: a commit that yields to another which is stored with the same content gets the answer of that one, and
/// stores nothing.
pub async fn a_commit_yields_to_another<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let written = of("this", "note-1", 2).append(
        sample::stream("beside-1"),
        ExpectedVersion::NoStream,
        sample::events("beside", 1),
    );
    for first in [written, of("this", "note-1", 1), of("this", "note-1", 0), refused(of("this", "note-1", 1))]
    {
        let answer = first_answer(subject.commit(first.clone()).await);
        subject.commit(of("between", "note-1", 1)).await;
        for events in [0, 1, 2] {
            let before = subject.log().await;
            let needless = of("this", "needless-1", events).yields_to(first.id);
            for _ in 0..2 {
                assert_eq!(subject.repeat(needless.clone()).await, answer, "it gets the answer of the other");
                assert_eq!(subject.find(needless.id).await, None, "and is not stored");
            }
            subject.assert_log_is(&before, "nor are its events").await;
            // Another tenant has no such commit.
            let elsewhere = subject.seen_by("other").commit(needless.clone()).await;
            assert_eq!(elsewhere.id, needless.id, "it is stored where the other is not");
        }
        subject.reused(of("that", "needless-1", 1).yields_to(first.id)).await;
    }

    for round in 0..ROUNDS {
        let first = of("this", &format!("first-{round}"), round % 3);
        let yielding = of("this", &format!("yielding-{round}"), (round + 1) % 3).yields_to(first.id);
        let first = first.agrees_with(yielding.id);
        let attempt = |commit: Commit| {
            let subject = subject.clone();
            async move { subject.try_commit(commit).await.expect("what agrees is answered") }
        };
        let both = if round % 2 == 0 {
            [first.clone(), yielding.clone()]
        } else {
            [yielding.clone(), first.clone()]
        };
        let mut answers = together(both.map(attempt)).await;
        if round % 2 == 1 {
            answers.reverse();
        }
        let [first_answered, yielding_answered] = &answers[..] else { panic!("two were given") };
        assert!(!first_answered.repeated && first_answered.id == first.id, "{first_answered:?}");
        match subject.find(yielding.id).await {
            // It came first.
            Some(found) => {
                assert!(!yielding_answered.repeated, "{yielding_answered:?}");
                assert_eq!(found.committed, first_answer(yielding_answered.clone()));
                assert_eq!(subject.repeat(yielding).await, found.committed, "its own answer is the first");
            }
            None => {
                assert_eq!(*yielding_answered, first_answer(first_answered.clone()));
                let version = subject.version(&sample::stream(&format!("yielding-{round}"))).await;
                assert_eq!(version, Version::NONE, "nothing of it is stored");
            }
        }
    }
}
