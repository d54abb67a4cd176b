use underlay_core::limits::{
    CATEGORY_BYTES_MAX, COMMIT_BYTES_MAX, COMMIT_EVENTS_MAX, COMMIT_STREAMS_MAX, EVENT_TYPE_BYTES_MAX,
    METADATA_BYTES_MAX, OUTCOME_BYTES_MAX, PAGE_EVENTS_MAX, PAYLOAD_BYTES_MAX, STREAM_ID_BYTES_MAX,
    TENANT_BYTES_MAX,
};
use underlay_core::{
    Commit, CommitId, Error, EventType, ExpectedVersion, Json, LogFilter, LogScope, Metadata, NewEvent,
    NewWork, Outcome, Position, SchemaVersion, Version, WorkKind,
};

use super::Subject;
use super::subject::with_id;
use crate::{EventStoreFixture, sample};

/// Sentence 18: what exceeds a limit is `Invalid` with the limit's name, and nothing is stored.
pub async fn limits_are_named<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    subject.commit(sample::write(&sample::stream("note-0"), ExpectedVersion::NoStream, 1)).await;

    for (name, at, over) in commit_limits() {
        let before = subject.head().await;
        let message = subject.invalid(over.clone()).await;
        assert!(message.contains(name), "{message:?} does not name {name}");
        assert_eq!(subject.find(over.id).await, None, "what exceeds {name} is not stored");
        assert_eq!(subject.head().await, before, "what exceeds {name} moves no head");
        let event_count = at.event_count();
        let committed = subject.commit(with_id(over.id, at)).await;
        assert_eq!(
            committed.event_count as usize, event_count,
            "what just meets {name} is stored, also under an id that was refused"
        );
    }

    let before = subject.log().await;
    for (what, commit) in malformed() {
        subject.invalid(commit.clone()).await;
        assert_eq!(subject.find(commit.id).await, None, "{what} is not stored");
    }
    subject.assert_log_is(&before, "a malformed commit stores nothing").await;

    longest_names(&subject).await;
    page_limits(&subject).await;
}

/// The name of each limit of a commit, a commit that just meets it, and one that exceeds it by one.
fn commit_limits() -> Vec<(&'static str, Commit, Commit)> {
    let stream = sample::stream("note-limits");
    let one = |event: NewEvent| {
        Commit::new(CommitId::draw()).append(stream.clone(), ExpectedVersion::Any, vec![event])
    };
    let sized = |bytes: usize| {
        let text = format!("\"{}\"", "x".repeat(bytes - 2));
        NewEvent { payload: Json::parse(text).expect("JSON").into(), ..sample::event("") }
    };
    let with_actor = |bytes: usize| {
        let metadata = |actor| Metadata { actor: Some("x".repeat(actor)), ..Metadata::default() };
        let frame = Json::encode(&metadata(0)).expect("metadata has a JSON form").bytes();
        one(sample::event("metadata")).with_metadata(metadata(bytes - frame))
    };
    let refusal = |bytes: usize| {
        let body = Json::encode(&"x".repeat(bytes - 2 - "codemessage".len())).expect("text has a JSON form");
        Commit::new(CommitId::draw()).with_outcome(Outcome::Refused {
            code: "code".to_owned(),
            message: "message".to_owned(),
            body,
        })
    };
    let counted = |count| sample::write(&stream, ExpectedVersion::Any, count);
    let wide = |count: usize| {
        (0..count).fold(Commit::new(CommitId::draw()), |commit, number| {
            let other = sample::stream(&format!("wide-{number}"));
            if number % 100 == 0 {
                commit.append(other, ExpectedVersion::Any, vec![sample::event("wide")])
            } else {
                commit.expect(other, ExpectedVersion::Any)
            }
        })
    };
    let heavy = |bytes: usize| {
        // All but one payload are full; the last one takes up what is left, less than it may hold.
        let with_last = |last: usize| {
            let full = (1..COMMIT_BYTES_MAX / PAYLOAD_BYTES_MAX).map(|_| sized(PAYLOAD_BYTES_MAX));
            let events = full.chain([sized(last)]).collect();
            Commit::new(CommitId::draw()).append(stream.clone(), ExpectedVersion::Any, events)
        };
        with_last(bytes - with_last(2).bytes() + 2)
    };
    vec![
        ("PAYLOAD_BYTES_MAX", one(sized(PAYLOAD_BYTES_MAX)), one(sized(PAYLOAD_BYTES_MAX + 1))),
        ("METADATA_BYTES_MAX", with_actor(METADATA_BYTES_MAX), with_actor(METADATA_BYTES_MAX + 1)),
        ("OUTCOME_BYTES_MAX", refusal(OUTCOME_BYTES_MAX), refusal(OUTCOME_BYTES_MAX + 1)),
        ("COMMIT_EVENTS_MAX", counted(COMMIT_EVENTS_MAX), counted(COMMIT_EVENTS_MAX + 1)),
        ("COMMIT_STREAMS_MAX", wide(COMMIT_STREAMS_MAX), wide(COMMIT_STREAMS_MAX + 1)),
        ("COMMIT_BYTES_MAX", heavy(COMMIT_BYTES_MAX), heavy(COMMIT_BYTES_MAX + 1)),
    ]
}

/// What no store can mean anything by.
fn malformed() -> Vec<(&'static str, Commit)> {
    let stream = sample::stream("note-malformed");
    let new = || Commit::new(CommitId::draw());
    let event = sample::event("twice");
    let refused = Outcome::Refused {
        code: "no".to_owned(),
        message: "No.".to_owned(),
        body: Json::encode("body").expect("text has a JSON form"),
    };
    let work = || NewWork::new(WorkKind::Message, "mail", "member-1", "welcome", Json::from_stored("{}"));
    vec![
        ("a refusal that sends work", new().with_outcome(refused.clone()).send(work())),
        ("a write of no events", new().append(stream.clone(), ExpectedVersion::Any, Vec::new())),
        (
            "a stream written twice",
            sample::write(&stream, ExpectedVersion::Any, 1).append(
                stream.clone(),
                ExpectedVersion::Any,
                vec![sample::event("again")],
            ),
        ),
        (
            "a stream written and only read",
            sample::write(&stream, ExpectedVersion::Any, 1).expect(stream.clone(), ExpectedVersion::Any),
        ),
        (
            "an event id used twice",
            new().append(stream.clone(), ExpectedVersion::Any, vec![event.clone()]).append(
                sample::stream("note-other"),
                ExpectedVersion::Any,
                vec![event],
            ),
        ),
        ("a refusal that writes", sample::write(&stream, ExpectedVersion::Any, 1).with_outcome(refused)),
    ]
}

/// The longest names there are fit into every key.
async fn longest_names(subject: &Subject) {
    let long = subject.seen_by(&"t".repeat(TENANT_BYTES_MAX));
    let category = "c".repeat(CATEGORY_BYTES_MAX);
    let stream = sample::stream(&format!("{category}-{}", "i".repeat(STREAM_ID_BYTES_MAX)));
    let event_type = "e".repeat(EVENT_TYPE_BYTES_MAX);
    let event = NewEvent::new(
        EventType::new(&event_type).expect("an event type"),
        SchemaVersion(1),
        Json::encode("long").expect("text has a JSON form"),
    );
    long.commit(Commit::new(CommitId::draw()).append(stream.clone(), ExpectedVersion::NoStream, vec![event]))
        .await;
    let filter = sample::filter(&[&category], &[&event_type]);
    let found = long.read(&long.scope(), &filter, 1).await;
    assert_eq!(found.len(), 1, "the longest names are found again");
    assert_eq!(found[0].stream, stream, "the longest names are kept whole");
}

async fn page_limits(subject: &Subject) {
    let stream = sample::stream("note-0");
    for limit in [0, PAGE_EVENTS_MAX + 1, usize::MAX] {
        let of_stream =
            subject.store.read_stream(&subject.tenant, &stream, Version::NONE, limit).await.map(|_| ());
        let of_log = subject
            .store
            .read_all(&LogScope::EveryTenant, Position::START, &LogFilter::default(), limit)
            .await
            .map(|_| ());
        for read in [of_stream, of_log] {
            let Err(Error::Invalid(message)) = read else { panic!("a page of {limit}: {read:?}") };
            assert!(message.contains("PAGE_EVENTS_MAX"), "{message:?} does not name PAGE_EVENTS_MAX");
        }
    }
    let largest = subject.store.read_stream(&subject.tenant, &stream, Version::NONE, PAGE_EVENTS_MAX).await;
    assert_eq!(largest.expect("the largest page").events.len(), 1, "the largest page is allowed");
}
