use underlay_core::limits::PAYLOAD_BYTES_MAX;
use underlay_core::{
    Commit, CommitId, Committed, Error, EventId, ExpectedVersion, Json, NewEvent, Outcome, StreamName,
    Version,
};

use super::Subject;
use super::subject::with_id;
use crate::concurrent::together;
use crate::{EventStoreFixture, sample};

const ROUNDS: usize = 4;
const SOUND: usize = 48;

/// How a commit in the crowd must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stored,
    Invalid,
    Conflict,
    Reused,
    /// Two share an event id: one of them is stored, the other is invalid.
    OneOfTwo,
    /// A store may keep it as it is, or refuse it.
    StoredOrInvalid,
}

/// Sentence 15: of commits written together, a bad one fails alone.
pub async fn a_poison_commit_fails_alone<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let taken = subject.commit(sample::write(&sample::stream("taken-1"), ExpectedVersion::NoStream, 3)).await;
    let taken_ids: Vec<EventId> = subject.log().await.iter().map(|event| event.event_id).collect();

    for round in 0..ROUNDS {
        let crowd = crowd(round, taken.id, &taken_ids);
        let before = subject.log().await.len();
        let attempt = |(end, commit): (End, Commit)| {
            let subject = subject.clone();
            async move { (end, commit.clone(), subject.try_commit(commit).await) }
        };
        let results = together(crowd.into_iter().map(attempt)).await;

        let mut events = 0;
        let mut of_two = 0;
        for (end, commit, result) in results {
            let stored = ended_as_it_must(end, &result);
            if stored {
                events += commit.event_count();
                of_two += usize::from(end == End::OneOfTwo);
            }
            assert_whole_or_absent(&subject, &commit, stored, end).await;
        }
        assert_eq!(of_two, 1, "of two commits that share an event id, one is stored");
        assert_eq!(
            subject.log().await.len(),
            before + events,
            "the log holds what was acknowledged, and nothing else"
        );
    }
    subject.commit(sample::write(&sample::stream("after-1"), ExpectedVersion::NoStream, 1)).await;
}

fn ended_as_it_must(end: End, result: &Result<Committed, Error>) -> bool {
    let fits = match result {
        Ok(committed) => {
            !committed.repeated && matches!(end, End::Stored | End::OneOfTwo | End::StoredOrInvalid)
        }
        Err(Error::Invalid(_)) => matches!(end, End::Invalid | End::OneOfTwo | End::StoredOrInvalid),
        Err(Error::Conflict(_)) => end == End::Conflict,
        Err(Error::IdReused(_)) => end == End::Reused,
        Err(_) => false,
    };
    assert!(fits, "a commit that must end as {end:?} ended as {result:?}");
    result.is_ok()
}

/// Every stream of these commits is of one commit alone, so its version tells what was stored.
async fn assert_whole_or_absent(subject: &Subject, commit: &Commit, stored: bool, end: End) {
    for write in &commit.writes {
        let version = subject.version(&write.stream).await;
        let expected = if stored { write.events.len() as u64 } else { 0 };
        assert_eq!(version, Version(expected), "{} of a commit that is {end:?}", write.stream);
    }
    if end == End::Reused {
        return;
    }
    let found = subject.find(commit.id).await.map(|found| found.committed.outcome);
    assert_eq!(found, stored.then(|| commit.outcome.clone()), "the outcome of a commit that is {end:?}");
}

/// Sound commits with bad ones among them.
fn crowd(round: usize, taken: CommitId, taken_ids: &[EventId]) -> Vec<(End, Commit)> {
    let stream = |name: &str, number: usize| sample::stream(&format!("{name}-{round}-{number}"));
    let new = || Commit::new(CommitId::draw());
    let none = ExpectedVersion::NoStream;
    let sound = |number: usize| {
        let commit = new()
            .append(stream("sound", number), none, sample::events("sound", number % 3 + 1))
            .append(stream("beside", number), none, sample::events("beside", 1));
        (End::Stored, commit)
    };
    // The bad event is the last of several streams: what went before it must be undone.
    let with_event = |name: &str, event: NewEvent| {
        new()
            .append(stream(name, 0), none, sample::events("before", 2))
            .append(stream(name, 1), none, sample::events("before", 1))
            .append(stream(name, 2), none, vec![sample::event("before"), event])
    };
    let taken_event = |at: usize| NewEvent { event_id: taken_ids[at], ..sample::event("taken") };
    let shared = EventId::draw();
    let shared_event = || NewEvent { event_id: shared, ..sample::event("shared") };
    let too_large = Json::parse(format!("\"{}\"", "x".repeat(PAYLOAD_BYTES_MAX))).expect("JSON");
    let refused = |text: &str| Outcome::Refused {
        code: "no".to_owned(),
        message: text.to_owned(),
        body: Json::parse("{}").expect("JSON"),
    };
    let never: StreamName = sample::stream("never-1");
    let bad = vec![
        (End::Invalid, with_event("taken", taken_event(0))),
        (End::Invalid, with_event("taken_too", taken_event(2))),
        (End::OneOfTwo, with_event("shared", shared_event())),
        (End::OneOfTwo, with_event("shared_too", shared_event())),
        (End::Conflict, with_event("stale", sample::event("stale")).expect(never, ExpectedVersion::Exists)),
        (End::Reused, with_id(taken, with_event("reused", sample::event("reused")))),
        (End::Invalid, with_event("large", NewEvent { payload: too_large.into(), ..sample::event("large") })),
        (End::StoredOrInvalid, new().with_outcome(refused("a NUL \0 in a message"))),
    ];
    // Spread, so that every batch of several commits is likely to hold a bad one.
    let mut crowd: Vec<(End, Commit)> = (0..SOUND).map(sound).collect();
    for (number, poison) in bad.into_iter().enumerate() {
        crowd.insert(number * SOUND / 8 + number, poison);
    }
    crowd
}
