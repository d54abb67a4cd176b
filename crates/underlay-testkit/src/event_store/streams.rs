use underlay_core::limits::{COMMIT_STREAMS_MAX, PAGE_EVENTS_MAX};
use underlay_core::{Commit, CommitId, ExpectedVersion, RecordedEvent, StreamName, Version};

use super::Subject;
use crate::concurrent::{Beside, finished};
use crate::{EventStoreFixture, sample};

/// Sentence 20: pages of a stream follow each other without gap or overlap, and tell the stream's version.
pub async fn stream_pages_follow_each_other<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let stream = sample::stream("note-1");
    // Neighbours by name and by tenant, between the commits of the stream.
    let neighbours = ["note-", "note-0", "note-10", "note-1 ", "notes-1"].map(|name| format!("{name}x"));
    let globex = subject.seen_by("globex");
    let mut count = 0;
    for step in 0..9 {
        count += step % 5 + 1;
        subject.commit(sample::write(&stream, ExpectedVersion::Any, step % 5 + 1)).await;
        let neighbour = sample::stream(&neighbours[step % neighbours.len()]);
        subject.commit(sample::write(&neighbour, ExpectedVersion::Any, 2)).await;
        globex.commit(sample::write(&stream, ExpectedVersion::Any, 1)).await;
    }
    let log = subject.own_log().await;
    let whole: Vec<RecordedEvent> = log.into_iter().filter(|event| event.stream == stream).collect();
    assert_eq!(whole.len(), count, "the log has the events of the stream");

    for limit in [1, 2, 3, 4, 5, 7, count - 1, count, count + 1, PAGE_EVENTS_MAX] {
        for start in 0..=count {
            let mut last = Version(start as u64);
            let mut seen = Vec::new();
            loop {
                let page = subject.store.read_stream(&subject.tenant, &stream, last, limit).await;
                let page = page.expect("read_stream");
                assert_eq!(page.version, Version(count as u64), "a page tells the version of the stream");
                assert!(page.events.len() <= limit, "a page of {limit} has {} events", page.events.len());
                let Some(event) = page.events.last() else { break };
                assert!(event.version > last, "a page of a stream moves on");
                last = event.version;
                seen.extend(page.events);
            }
            assert_eq!(seen, whole[start..], "pages of {limit} from version {start}");
        }
    }
    for beyond in [count as u64 + 1, i64::MAX as u64, u64::MAX] {
        let page = subject.store.read_stream(&subject.tenant, &stream, Version(beyond), 5).await;
        let page = page.expect("read_stream beyond the end");
        assert_eq!(page.events, [], "nothing lies above version {beyond}");
        assert_eq!(page.version, Version(count as u64), "a page beyond the end tells the version too");
    }
    let missing =
        subject.store.read_stream(&subject.tenant, &sample::stream("note-2"), Version::NONE, 5).await;
    let missing = missing.expect("a stream without events is read");
    assert_eq!((missing.events, missing.version), (Vec::new(), Version::NONE), "a stream without events");

    pages_while_writing(&subject, count as u64).await;
}

/// Pages read while the stream grows: each is of one moment.
async fn pages_while_writing(subject: &Subject, start: u64) {
    let stream = sample::stream("note-1");
    let beside = Beside::default();
    let reader = tokio::spawn({
        let (subject, stream, beside) = (subject.clone(), stream.clone(), beside.clone());
        async move {
            let mut last = Version(start);
            let mut version = last;
            loop {
                let last_read = beside.is_last_read().await;
                let page = subject.store.read_stream(&subject.tenant, &stream, last, 4).await;
                let page = page.expect("read_stream");
                assert!(page.version >= version, "the version of a stream never decreases");
                version = page.version;
                for event in &page.events {
                    assert_eq!(event.version, last.plus(1), "pages follow each other while the stream grows");
                    last = event.version;
                }
                assert!(last <= version, "a page holds no event above the version it tells");
                if page.events.is_empty() {
                    assert_eq!(last, version, "a page is empty only at the end of the stream");
                    if last_read {
                        return last;
                    }
                }
            }
        }
    });
    let mut writes = 0;
    while beside.goes_on(writes, 100).await {
        subject.commit(sample::write(&stream, ExpectedVersion::Any, writes % 3 + 1)).await;
        writes += 1;
    }
    beside.finish();
    let last = finished(reader).await;
    assert_eq!(last, subject.version(&stream).await, "the reader came to the end of the stream");
}

/// Sentence 21: `versions` reads several streams at one moment.
pub async fn versions_are_read_at_one_moment<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    assert_eq!(versions(&subject, &[]).await, [], "no stream, no version");
    let names = ["z-1", "a-1", "m-1"].map(sample::stream);
    let [z, a, m] = names.clone();
    let asked = [z.clone(), sample::stream("missing-1"), m, a, z];

    let beside = Beside::default();
    let reader = || {
        let (subject, asked, beside) = (subject.clone(), asked.clone(), beside.clone());
        tokio::spawn(async move {
            let mut last = Version::NONE;
            loop {
                let last_read = beside.is_last_read().await;
                let read = versions(&subject, &asked).await;
                let now = read[0];
                // The three streams are only ever written together.
                assert_eq!(
                    read,
                    [now, Version::NONE, now, now, now],
                    "versions of one moment, in the order asked"
                );
                assert!(now >= last, "versions never decrease");
                last = now;
                if last_read {
                    return last;
                }
            }
        })
    };
    let readers = [reader(), reader(), reader()];
    let mut writes = 0;
    while beside.goes_on(writes, 200).await {
        let commit = names.iter().fold(Commit::new(CommitId::draw()), |commit, stream| {
            commit.append(stream.clone(), ExpectedVersion::Any, vec![sample::event("together")])
        });
        subject.commit(commit).await;
        writes += 1;
    }
    beside.finish();
    let written = writes as u64;
    for reader in readers {
        assert_eq!(finished(reader).await, Version(written), "the readers came to the end");
    }

    let many: Vec<StreamName> = (0..COMMIT_STREAMS_MAX)
        .map(|number| {
            if number % 2 == 0 {
                names[number % 3].clone()
            } else {
                sample::stream(&format!("none-{number}"))
            }
        })
        .collect();
    let read = versions(&subject, &many).await;
    let expected: Vec<Version> =
        (0..many.len()).map(|number| Version(if number % 2 == 0 { written } else { 0 })).collect();
    assert_eq!(read, expected, "as many streams as a commit may name");
}

async fn versions(subject: &Subject, streams: &[StreamName]) -> Vec<Version> {
    let versions = subject.store.versions(&subject.tenant, streams).await.expect("versions answers");
    assert_eq!(versions.len(), streams.len(), "a version for every stream asked for");
    versions
}
