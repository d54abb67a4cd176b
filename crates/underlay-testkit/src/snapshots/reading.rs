use underlay_core::limits::STREAM_ID_BYTES_MAX;
use underlay_core::{Json, Snapshot, StreamName};

use super::Subject;
use super::subject::snapshot;
use crate::{SnapshotsFixture, sample};

/// Sentence 1: a snapshot stored is read back.
pub async fn a_snapshot_is_read_back<F: SnapshotsFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let stream = |id: &str| StreamName::new("account", id).expect("an id of a stream");
    // Streams that a careless key would take for one another.
    let mut streams: Vec<StreamName> = sample::HOSTILE_TEXTS.iter().map(|id| stream(id)).collect();
    streams.extend(["a", "A", "a-1", "a-", &"é".repeat(STREAM_ID_BYTES_MAX / 2)].map(stream));
    let mut stored = Vec::new();
    for (number, name) in streams.iter().enumerate() {
        assert_eq!(subject.load(name).await, None, "{name} has no snapshot before one is stored");
        let state = match number {
            0 => Json::encode(&vec!["a large state"; 100_000]),
            1 => Json::parse(" { \"blanks\" : [ 1.50, 1e400, -0 ] , \"twice\": 1, \"twice\": 2 } "),
            _ => Json::encode(&sample::HOSTILE_TEXTS),
        };
        let version = if number == 2 { i64::MAX.unsigned_abs() } else { number as u64 };
        let snapshot = Snapshot { state: state.expect("JSON"), ..snapshot(version, "first") };
        subject.store(name, &snapshot).await;
        stored.push(snapshot);
    }
    for (name, snapshot) in streams.iter().zip(&stored) {
        let found = subject.load(name).await;
        assert_eq!(found.as_ref(), Some(snapshot), "{name}: the snapshot is read back as it was stored");
        subject.store(name, snapshot).await;
        let found = subject.load(name).await;
        assert_eq!(found.as_ref(), Some(snapshot), "{name}: storing it again changes nothing");
    }
    for (number, name) in streams.iter().enumerate() {
        subject.remove(name).await;
        subject.remove(name).await;
        assert_eq!(subject.load(name).await, None, "{name}: what was removed is gone");
        for (name, snapshot) in streams.iter().zip(&stored).skip(number + 1) {
            assert!(subject.load(name).await.as_ref() == Some(snapshot), "{name}: the others stay");
        }
    }
    subject.store(&streams[0], &stored[3]).await;
    assert_eq!(subject.load(&streams[0]).await.as_ref(), Some(&stored[3]), "and one may be stored again");
}
