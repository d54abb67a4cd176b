use underlay_core::StoredCheckpoint;

use super::Subject;
use super::subject::{at, place};
use crate::{CheckpointsFixture, sample};

/// Sentence 4: checkpoints are listed in the order of their names.
pub async fn checkpoints_are_listed<F: CheckpointsFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    assert_eq!(subject.list().await, []);
    let mut expected: Vec<(String, StoredCheckpoint)> = Vec::new();
    let numbers: Vec<String> = (0..50).map(|number| format!("process {number}")).collect();
    let names = sample::HOSTILE_TEXTS.into_iter().chain(["b", "a", "B", "A", "é", "z", "a b", "a-b"]);
    for name in names.chain(numbers.iter().map(String::as_str)) {
        let stored = at(place(1), name);
        subject.move_on(name, None, &stored, None).await;
        expected.push((name.to_owned(), stored));
    }
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(subject.list().await, expected, "by the bytes of their names, each once");
    let (name, stored) = &mut expected[20];
    let next = at(place(2), "moved");
    subject.move_on(name, Some(&stored.checkpoint), &next, None).await;
    *stored = next;
    assert_eq!(subject.list().await, expected, "where they are now");
}
