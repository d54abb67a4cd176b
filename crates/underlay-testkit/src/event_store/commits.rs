use std::collections::HashMap;

use underlay_core::limits::{PAYLOAD_BYTES_MAX, STREAM_ID_BYTES_MAX};
use underlay_core::{
    Commit, CommitId, Committed, EventId, EventStoreExt, EventType, ExpectedVersion, Json, LogFilter,
    LogScope, Metadata, NewEvent, Position, RecordedEvent, SchemaVersion, StreamName, StreamVersion, Version,
};

use super::Subject;
use super::subject::first_answer;
use crate::concurrent::together;
use crate::{EventStoreFixture, sample};

/// Sentence 1: a committed event is read back as it was given, from its stream and from the log.
pub async fn reads_back_what_was_committed<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    assert_eq!(subject.head().await, Position::START, "a fixture gives an empty store");
    assert_eq!(subject.log().await, [], "a fixture gives an empty store");

    let mut log: Vec<RecordedEvent> = Vec::new();
    let mut streams: HashMap<StreamName, Vec<RecordedEvent>> = HashMap::new();
    for commit in unusual_commits() {
        let committed = subject.commit(commit.clone()).await;
        assert_answer_fits(&commit, &committed, log.len());
        let stored = subject.store.read_commit(&subject.tenant, &committed).await.expect("read_commit");
        assert_stored_as_given(&subject, &commit, &committed, &stored, &streams);
        for event in &stored {
            streams.entry(event.stream.clone()).or_default().push(event.clone());
        }
        log.extend(stored);

        let found = subject.find(commit.id).await.expect("a stored commit is found");
        assert_eq!(found.fingerprint, commit.fingerprint(), "a commit is found with its fingerprint");
        let first = first_answer(committed);
        assert_eq!(found.committed, first, "a commit is found with its first answer");
    }

    assert_eq!(subject.log().await, log, "the log of every tenant");
    assert_eq!(subject.own_log().await, log, "the log of the tenant");
    for (stream, events) in &streams {
        assert_eq!(subject.stream(stream).await, *events, "stream {stream}");
    }
    for (at, event) in (1..).zip(&log) {
        let position = Position::from_number(at);
        assert_eq!(event.position, position, "positions count from 1 without holes");
        let found = subject.store.event_id_at(position).await.expect("event_id_at");
        assert_eq!(found, Some(event.event_id), "the event at position {position}");
    }
    for beyond in [0, log.len() as u64 + 1, i64::MAX as u64, u64::MAX] {
        let found = subject.store.event_id_at(Position::from_number(beyond)).await.expect("event_id_at");
        assert_eq!(found, None, "no event is at position {beyond}");
    }
    assert_eq!(subject.find(CommitId::draw()).await, None, "an id never used is not found");
}

fn assert_answer_fits(commit: &Commit, committed: &Committed, events_before: usize) {
    assert_eq!(committed.id, commit.id, "the answer carries the id");
    assert_eq!(committed.outcome, commit.outcome, "the answer carries the outcome");
    assert_eq!(committed.event_count as usize, commit.event_count(), "the answer counts the events");
    let end = Position::from_number((events_before + commit.event_count()) as u64);
    assert_eq!(committed.position, end, "the answer gives the position of the last event");
}

fn assert_stored_as_given(
    subject: &Subject,
    commit: &Commit,
    committed: &Committed,
    stored: &[RecordedEvent],
    streams: &HashMap<StreamName, Vec<RecordedEvent>>,
) {
    let metadata = commit.encode_metadata().expect("metadata has a JSON form");
    let first = committed.position.number() - u64::from(committed.event_count);
    let mut expected = Vec::new();
    let mut versions = Vec::new();
    for write in &commit.writes {
        let mut version = Version(streams.get(&write.stream).map_or(0, Vec::len) as u64);
        for event in &write.events {
            version = version.plus(1);
            expected.push(RecordedEvent {
                position: Position::from_number(first + expected.len() as u64 + 1),
                tenant: subject.tenant.clone(),
                stream: write.stream.clone(),
                version,
                event_id: event.event_id,
                event_type: event.event_type.clone(),
                schema_version: event.schema_version,
                payload: event.payload.clone(),
                metadata: metadata.clone(),
                recorded_at: committed.recorded_at,
                commit_tail: (commit.event_count() - expected.len() - 1) as u32,
            });
        }
        versions.push(StreamVersion { stream: write.stream.clone(), version });
    }
    assert_eq!(stored, expected, "events are stored as they were given, in the order given");
    assert_eq!(committed.versions, versions, "the answer gives the versions of the streams written");
    let fraction = committed.recorded_at.subsec_nanosecond() % 1_000;
    assert_eq!(fraction, 0, "times are kept to the microsecond");
}

/// Commits that a careless encoding, collation or column type would change.
fn unusual_commits() -> Vec<Commit> {
    let longest = format!("note-{}", "é".repeat(STREAM_ID_BYTES_MAX / 2));
    let mut names = vec![longest, "note-a".to_owned(), "note-A".to_owned(), "note-a ".to_owned()];
    names.extend(["note-a-b-c", "note-a--", "note--a", "note-1", "note-01", "note-1.0"].map(str::to_owned));
    names.extend(sample::HOSTILE_TEXTS.map(|text| format!("note-{text}")));
    let mut commits: Vec<Commit> =
        names.iter().map(|name| sample::write(&sample::stream(name), ExpectedVersion::NoStream, 1)).collect();

    let payloads = [
        "null".to_owned(),
        "{}".to_owned(),
        "[ 1 ,\t2,\n3 ]".to_owned(),
        r#"{"b":1,"a":2,"b":3}"#.to_owned(),
        r#"{"exact":12345678901234567890.12345678901234567890,"large":1e400,"zero":-0.0}"#.to_owned(),
        r#""escapes \u0000 \ud83d\ude00 \" \\ \/ é 😀""#.to_owned(),
        format!("\"{}\"", "x".repeat(PAYLOAD_BYTES_MAX - 2)),
    ];
    let types = ["noted", "Noted", "note.d", "note-d", "_", "0"];
    let shapes = [1, 2, u32::MAX];
    let events = |number: usize| {
        let event_type = EventType::new(types[number % types.len()]).expect("an event type");
        let schema_version = SchemaVersion(shapes[number % shapes.len()]);
        let payload = Json::parse(payloads[number % payloads.len()].clone()).expect("JSON");
        NewEvent::new(event_type, schema_version, payload)
    };
    // Streams not in the order of their names, some of them there already.
    commits.push(
        Commit::new(CommitId::draw())
            .append(sample::stream("z-1"), ExpectedVersion::NoStream, (0..3).map(events).collect())
            .append(
                sample::stream("note-a"),
                ExpectedVersion::Exact(Version(1)),
                (3..8).map(events).collect(),
            )
            .append(sample::stream("a_0-1"), ExpectedVersion::Any, (8..9).map(events).collect())
            .expect(sample::stream("note-A"), ExpectedVersion::Exists)
            .with_metadata(full_metadata()),
    );
    commits.push(Commit::new(CommitId::draw()));
    commits.push(sample::write(&sample::stream("z-1"), ExpectedVersion::Exact(Version(3)), 2));
    commits.push(Commit::new(CommitId::from_key(&sample::tenant("acme"), "a key of its own")).append(
        sample::stream("z-1"),
        ExpectedVersion::Exists,
        vec![sample::event("last")],
    ));
    commits
}

fn full_metadata() -> Metadata {
    Metadata {
        correlation_id: Some(EventId::draw().0),
        causation_id: Some(EventId::draw().0),
        command_id: Some(CommitId::draw()),
        actor: Some("O'Brien \"the\" \0 👩‍👩‍👧‍👦 \u{202e}".to_owned()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        tracestate: Some("rojo=00f067aa0ba902b7,t@congo=a b".to_owned()),
    }
}

/// Sentence 2: the first event of a stream is version 1, and versions have no holes.
pub async fn versions_start_at_one_without_holes<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let streams = ["note-1", "note-10", "notes-1"].map(sample::stream);
    let mut counts = [0usize; 3];
    for step in 0..12 {
        let at = step % 3;
        let count = step % 4 + 1;
        let commit = sample::write(&streams[at], ExpectedVersion::Exact(Version(counts[at] as u64)), count);
        let committed = subject.commit(commit.clone()).await;
        counts[at] += count;
        assert_eq!(committed.versions[0].version, Version(counts[at] as u64), "the answer tells the version");
        // None of these may use up a version.
        subject.repeat(commit).await;
        subject.conflict(sample::write(&streams[at], ExpectedVersion::NoStream, 2)).await;
        let twice = sample::event("twice");
        let duplicate = vec![twice.clone(), twice];
        subject
            .invalid(Commit::new(CommitId::draw()).append(
                streams[at].clone(),
                ExpectedVersion::Any,
                duplicate,
            ))
            .await;
    }

    let crowded = sample::stream("note-crowded");
    let writer = |number: usize| {
        let (subject, crowded) = (subject.clone(), crowded.clone());
        async move {
            for _ in 0..5 {
                subject.commit(sample::write(&crowded, ExpectedVersion::Any, number % 3 + 1)).await;
            }
        }
    };
    together((0..12).map(writer)).await;
    let crowd_count = (0..12).map(|number| 5 * (number % 3 + 1)).sum();

    let counted = streams.iter().zip(counts).chain([(&crowded, crowd_count)]);
    for (stream, count) in counted {
        let versions: Vec<u64> = subject.stream(stream).await.iter().map(|event| event.version.0).collect();
        let expected: Vec<u64> = (1..=count as u64).collect();
        assert_eq!(versions, expected, "the versions of {stream}");
        assert_eq!(subject.version(stream).await, Version(count as u64), "the version of {stream}");
    }
    assert_eq!(subject.version(&sample::stream("note-2")).await, Version::NONE, "a stream without events");
}

/// Sentence 5: everything in a commit is stored, or nothing is; a conflict on one stream stores nothing
/// on the others.
pub async fn a_conflict_stores_nothing_anywhere<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let streams: Vec<StreamName> =
        ["e-5", "a-1", "d-4", "b-2", "c-3"].iter().map(|name| sample::stream(name)).collect();
    let seed = streams.iter().fold(Commit::new(CommitId::draw()), |commit, stream| {
        commit.append(stream.clone(), ExpectedVersion::NoStream, sample::events("seed", 2))
    });
    subject.commit(seed).await;
    let before = subject.log().await;

    // Stream number `broken` is expected wrongly; it is written, or only read.
    let five_streams = |broken: Option<usize>, read: Option<usize>| {
        streams.iter().enumerate().fold(Commit::new(CommitId::draw()), |commit, (at, stream)| {
            let version = if broken == Some(at) { Version(1) } else { Version(2) };
            let expected = ExpectedVersion::Exact(version);
            if read == Some(at) {
                commit.expect(stream.clone(), expected)
            } else {
                commit.append(stream.clone(), expected, sample::events("new", 2))
            }
        })
    };
    for at in 0..streams.len() {
        for read in [None, Some(at)] {
            let commit = five_streams(Some(at), read);
            let conflict = subject.conflict(commit.clone()).await;
            assert_eq!(conflict.stream, streams[at], "the conflict names the stream");
            assert_eq!(conflict.expected, ExpectedVersion::Exact(Version(1)), "and what was expected of it");
            assert_eq!(conflict.actual, Version(2), "and its version");
            subject.assert_log_is(&before, "a conflict stores no event").await;
            assert_eq!(subject.find(commit.id).await, None, "a conflict is not stored as an outcome");
            for stream in &streams {
                assert_eq!(subject.version(stream).await, Version(2), "a conflict moves no version");
            }
        }
    }

    // A bad event in the last stream, found only after the others were looked at.
    let mut poisoned = five_streams(None, None);
    let last = poisoned.writes.last_mut().and_then(|write| write.events.last_mut());
    last.expect("there are writes").event_id = before[0].event_id;
    subject.invalid(poisoned.clone()).await;
    subject.assert_log_is(&before, "an invalid commit stores no event").await;
    assert_eq!(subject.find(poisoned.id).await, None, "an invalid commit is not stored as an outcome");

    // The ids of what was not stored are free: the same commit and events, put right, are stored.
    let mut repaired = five_streams(Some(4), None);
    subject.conflict(repaired.clone()).await;
    repaired.writes[4].expected = ExpectedVersion::Exact(Version(2));
    let committed = subject.commit(repaired.clone()).await;
    assert_eq!(committed.event_count, 10, "the repaired commit is stored whole");
    let stored: Vec<EventId> =
        subject.log().await[before.len()..].iter().map(|event| event.event_id).collect();
    let given = repaired.writes.iter().flat_map(|write| &write.events).map(|event| event.event_id);
    assert_eq!(stored, given.collect::<Vec<_>>(), "the repaired commit is stored in the order given");

    // At the same time, over the same streams: each is stored whole or not at all.
    let racer = |_| {
        let subject = subject.clone();
        let commit = streams.iter().fold(Commit::new(CommitId::draw()), |commit, stream| {
            commit.append(stream.clone(), ExpectedVersion::Exact(Version(4)), vec![sample::event("race")])
        });
        async move { subject.try_commit(commit).await.is_ok() }
    };
    let won = together((0..16).map(racer)).await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1, "of commits over the same streams, one wins");
    let open = LogFilter::default();
    let page = subject.store.read_all(&LogScope::EveryTenant, committed.position, &open, 100).await;
    let page = page.expect("read_all");
    let raced: Vec<&StreamName> = page.events.iter().map(|event| &event.stream).collect();
    assert_eq!(raced, streams.iter().collect::<Vec<_>>(), "the one that won is stored whole, the others not");
}
