use underlay_core::limits::LEASE_NAME_BYTES_MAX;
use underlay_core::{Checkpoint, EventId, Json, Position, StoreId, StoredCheckpoint};

use super::Subject;
use super::subject::place;
use crate::{CheckpointsFixture, sample};

/// Sentence 1: what is stored is found as it was stored, also after reopening; under another name there is none.
pub async fn a_checkpoint_is_kept<F: CheckpointsFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let longest = "é".repeat(LEASE_NAME_BYTES_MAX / 2);
    let names: Vec<&str> =
        sample::HOSTILE_TEXTS.into_iter().chain(["a", "A", "a ", longest.as_str()]).collect();
    let definitions = [
        " { \"blanks\" : [ 1.50, 1e400, -0 ] , \"twice\": 1, \"twice\": 2 } ",
        "{\"nul\":\"\\u0000\",\"quotes\":\"'\\\"\"}",
        "null",
    ];
    let mut stored = Vec::new();
    for (number, name) in names.iter().enumerate() {
        assert_eq!(subject.find(name).await, None, "{name:?}: there is none under it");
        let checkpoint = match number % 3 {
            0 => Checkpoint::start(StoreId(EventId::draw().0)),
            1 => Checkpoint { position: Position::from_number(i64::MAX as u64), ..place(1) },
            _ => place(number as u64),
        };
        let definition = Json::parse(definitions[number % 3]).expect("JSON");
        let to = StoredCheckpoint { checkpoint, definition };
        subject.move_on(name, None, &to, None).await;
        assert_eq!(subject.find(name).await.as_ref(), Some(&to), "{name:?}: as it was stored");
        stored.push(to);
    }
    drop(subject);
    let fixture = fixture.reopen().await;
    let subject = Subject::of(&fixture);
    for (name, stored) in names.iter().zip(&stored) {
        assert_eq!(subject.find(name).await.as_ref(), Some(stored), "{name:?}: after reopening");
        let next = StoredCheckpoint { checkpoint: place(7), ..stored.clone() };
        subject.move_on(name, Some(&stored.checkpoint), &next, None).await;
        assert_eq!(subject.find(name).await, Some(next), "{name:?}: and moves from there");
    }
    assert_eq!(subject.find("b").await, None);
}
