use underlay_core::{
    Commit, CommitId, ExpectedVersion, Json, LogFilter, LogScope, NewEvent, Payload, Position, Version,
};

use super::Subject;
use crate::{EventStoreFixture, sample};

/// An event whose payload is in an encoding of its own.
fn encoded(encoding: &str, key_id: Option<&str>) -> NewEvent {
    let text = Json::encode("c2VhbGVk").expect("text has a JSON form");
    let payload = Payload::encoded(text, encoding, key_id).expect("an encoding and a key");
    NewEvent { payload, ..sample::event("plain") }
}

/// Sentence 25: a payload in an encoding of its own comes back as it was given, with its encoding and its key.
pub async fn a_payload_keeps_its_encoding<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let stream = sample::stream("note-1");
    let sealed = || encoded("aes-gcm", Some("member-42"));
    // One that is alone, which a store may write in another way, and several of every kind.
    let alone = Commit::new(CommitId::draw()).append(stream.clone(), ExpectedVersion::Any, vec![sealed()]);
    let kinds = vec![sealed(), sample::event("plain"), encoded("zstd", None), encoded("aes-gcm", Some("'"))];
    let several = Commit::new(CommitId::draw()).append(stream.clone(), ExpectedVersion::Any, kinds);
    let mut given = Vec::new();
    for commit in [&alone, &several] {
        given.extend(commit.writes[0].events.iter().map(|event| event.payload.clone()));
        subject.commit(commit.clone()).await;
    }

    let page = subject.store.read_stream(&subject.tenant, &stream, Version::NONE, 10).await;
    let mut reads = vec![page.expect("read_stream").events];
    for scope in [LogScope::EveryTenant, subject.scope()] {
        let page = subject.store.read_all(&scope, Position::START, &LogFilter::default(), 10).await;
        reads.push(page.expect("read_all").events);
    }
    for events in reads {
        let payloads: Vec<Payload> = events.into_iter().map(|event| event.payload).collect();
        assert_eq!(payloads, given, "every payload is as it was given");
    }

    // What it is sealed with is a part of what was asked for.
    for event in [encoded("aes-gcm", Some("member-43")), encoded("aes-siv", Some("member-42"))] {
        let mut other = alone.clone();
        other.writes[0].events = vec![NewEvent { event_id: alone.writes[0].events[0].event_id, ..event }];
        subject.reused(other).await;
    }
    subject.repeat(alone).await;
}
