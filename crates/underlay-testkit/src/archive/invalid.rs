use underlay_core::limits::{
    COMMIT_BYTES_MAX, COMMIT_EVENTS_MAX, COMMIT_STREAMS_MAX, METADATA_BYTES_MAX, OUTCOME_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
};
use underlay_core::{
    ArchivedCommit, CommitId, Error, EventId, Json, Metadata, Outcome, RecordedEvent, StreamName, Version,
};

use super::Subject;
use super::others::{Change, renumber};
use crate::{ArchiveFixture, sample};

/// Sentence 7: what no commit may be is `Invalid` in an import too, with the commit and the limit, and nothing of the call is stored.
pub async fn an_import_is_validated<F: ArchiveFixture>(fixture: F) {
    let source = Subject::of(&fixture);
    source.fill().await;
    let exported = source.read_all().await;
    let (_target_fixture, target) = Subject::another::<F>().await;
    let writing = exported.iter().find(|commit| commit.events.len() > 3).expect("one with several events");

    for (word, change) in wrongs() {
        let mut wrong = writing.clone();
        wrong.id = CommitId::draw();
        for event in &mut wrong.events {
            event.event_id = EventId::draw();
        }
        change(&mut wrong);
        let id = wrong.id;
        // After others that could be stored.
        let mut commits = exported.clone();
        commits.push(wrong);
        let error = target.fail_to_import(commits, word).await;
        let Error::Invalid(text) = &error else { panic!("{word}: {error:?}") };
        assert!(text.contains(&id.to_string()), "the commit is named: {text}");
        assert!(text.contains(word), "{word} is named: {text}");
    }

    // What a store has taken once is taken again, up to the limits.
    let stream = sample::stream("large-1");
    let mut large = sample::write(&stream, underlay_core::ExpectedVersion::Any, 40);
    large.writes[0].events[0].payload = text(PAYLOAD_BYTES_MAX - 2).into();
    large.metadata = Metadata { actor: Some("x".repeat(METADATA_BYTES_MAX - 100)), ..Metadata::default() };
    source.commit("acme", large).await;
    let whole = source.read_all().await;
    assert_eq!(target.import(whole.clone()).await.stored, whole.len() as u64, "what is sound is stored");
}

/// Every way a commit can be wrong by itself, with a word that the error has.
fn wrongs() -> Vec<Change> {
    vec![
        ("PAYLOAD_BYTES_MAX", |commit| commit.events[0].payload = text(PAYLOAD_BYTES_MAX).into()),
        ("METADATA_BYTES_MAX", |commit| {
            let actor = Some("x".repeat(METADATA_BYTES_MAX));
            let metadata = Json::encode(&Metadata { actor, ..Metadata::default() });
            commit.events[1].metadata = metadata.expect("texts have a JSON form");
        }),
        ("OUTCOME_BYTES_MAX", |commit| {
            commit.events.clear();
            commit.outcome = refused(text(OUTCOME_BYTES_MAX));
        }),
        ("COMMIT_EVENTS_MAX", |commit| grow(commit, COMMIT_EVENTS_MAX + 1, 1)),
        ("COMMIT_STREAMS_MAX", |commit| grow(commit, COMMIT_STREAMS_MAX + 1, COMMIT_STREAMS_MAX + 1)),
        ("COMMIT_BYTES_MAX", |commit| {
            let count = COMMIT_BYTES_MAX / (PAYLOAD_BYTES_MAX / 2) + 1;
            grow(commit, count, 1);
            for event in &mut commit.events {
                event.payload = text(PAYLOAD_BYTES_MAX / 2).into();
            }
        }),
        ("a refusal writes no events", |commit| commit.outcome = refused(Json::from_stored("1"))),
        ("used twice", |commit| commit.events[1].event_id = commit.events[0].event_id),
        ("payload: not JSON", |commit| commit.events[0].payload = Json::from_stored("{\"a\":").into()),
        ("metadata", |commit| commit.events[0].metadata = Json::from_stored("nothing")),
        ("metadata", |commit| commit.events[1].metadata = Json::from_stored("{\"actor\":7}")),
        ("not JSON", |commit| {
            commit.events.clear();
            commit.outcome = refused(Json::from_stored("{"));
        }),
        ("follow", |commit| commit.events[0].commit_tail += 1),
        ("follow", |commit| commit.events.last_mut().expect("it writes").commit_tail = 1),
        ("of tenant globex", |commit| commit.events[0].tenant = sample::tenant("globex")),
        ("not together", |commit| {
            let last = commit.events.len() - 1;
            commit.events.swap(0, last);
            renumber(commit);
        }),
    ]
}

/// A text that is `bytes` and its two quotes.
fn text(bytes: usize) -> Json {
    Json::encode(&"x".repeat(bytes)).expect("text has a JSON form")
}

fn refused(body: Json) -> Outcome {
    Outcome::Refused { code: "no".to_owned(), message: "No.".to_owned(), body }
}

/// So many events in all, over so many streams of their own.
fn grow(commit: &mut ArchivedCommit, events: usize, streams: usize) {
    let model = commit.events[0].clone();
    let event = |number: usize| {
        let stream = StreamName::new("grown", number * streams / events).expect("a number is an id");
        RecordedEvent { stream, event_id: EventId::draw(), version: Version(1), ..model.clone() }
    };
    commit.events = (0..events).map(event).collect();
    renumber(commit);
}
