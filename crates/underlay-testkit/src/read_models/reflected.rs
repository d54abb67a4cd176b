use underlay_core::{Error, LoadedRow, Position, ViewBatch};

use super::Subject;
use super::subject::row;
use crate::ReadModelsFixture;

/// Sentence 19: a row that says what it reflects says no more than it does, and never goes back to less.
pub async fn rows_say_what_they_reflect<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let load = async || -> LoadedRow {
        let loaded =
            subject.models.load(&subject.table, &[subject.address("a")]).await.expect("load answers");
        loaded.into_iter().next().expect("a row is answered for every address")
    };
    assert_eq!(load().await, LoadedRow::default(), "a row that never was reflects nothing");

    let mut before = Position::START;
    let start = subject.checkpoint().await;
    let (write, remove) = (subject.upsert("a", row("first", 1)), subject.delete("a"));
    for (change, is_there) in [(write.clone(), true), (remove, false), (write, true)] {
        subject.apply(vec![change]).await;
        let (loaded, at) = (load().await, subject.checkpoint().await.position);
        assert_eq!(loaded.values.is_some(), is_there);
        assert!(loaded.reflects <= at, "a row at {at} says that it reflects {}", loaded.reflects);
        assert!(loaded.reflects >= before, "a row goes back from {before} to {}", loaded.reflects);
        before = loaded.reflects;
    }

    // A process that was paused comes with what it folded long ago.
    let (as_it_was, late) = (load().await, subject.upsert("a", row("late", 9)));
    let batch = ViewBatch::new(start, subject.place(start.position.number() + 1), vec![late]);
    let refused = subject.models.apply(&subject.table, batch).await;
    assert!(matches!(refused, Err(Error::CheckpointMoved { .. })), "{refused:?}");
    assert_eq!(load().await, as_it_was, "an older batch takes nothing back");
}
