use std::collections::BTreeMap;

use underlay_core::{LaneCursors, Shard, WorkPlace, Worker};

use super::Subject;
use super::subject::{LONG, TERM, worker};
use crate::WorkQueueFixture;

/// Every shard that a worker holds, with where it starts.
async fn cursors(
    subject: &Subject,
    worker: &Worker,
    given: &[(Shard, LaneCursors)],
) -> BTreeMap<Shard, LaneCursors> {
    let share = subject.queue.share(worker, TERM, given).await.expect("share answers");
    share.held.into_iter().map(|held| (held.term.shard, held.cursors)).collect()
}

fn at(urgent: u64, normal: u64) -> LaneCursors {
    [WorkPlace::from_number(urgent), WorkPlace::from_number(normal)]
}

/// Sentence 7: the cursors a worker gave with its last asking for a shard it holds are those that the next one
/// starts at; of a shard that is another's none are taken.
pub async fn cursors_are_handed_over<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let shards: Vec<Shard> = Shard::all().collect();
    let first = worker("first");
    let mut expected: BTreeMap<Shard, LaneCursors> = shards.iter().map(|shard| (*shard, at(0, 0))).collect();
    assert_eq!(cursors(&subject, &first, &[]).await, expected, "the first worker starts at the start");

    let given = [(shards[3], at(7, 2_048)), (shards[4], at(1, u64::from(u32::MAX) * 1_024))];
    expected.extend(given);
    assert_eq!(cursors(&subject, &first, &given).await, expected, "its own are what it gave");
    // What it says nothing of stays; what it says again counts.
    expected.insert(shards[3], at(9, 4_096));
    assert_eq!(cursors(&subject, &first, &[(shards[3], at(9, 4_096))]).await, expected);

    // Nobody else moves them: what would be skipped is never done.
    let second = worker("second");
    let far = shards.iter().map(|shard| (*shard, at(1 << 40, 1 << 40))).collect::<Vec<_>>();
    assert_eq!(cursors(&subject, &second, &far).await, BTreeMap::new());
    subject.queue.leave(&second).await.expect("leave answers");
    assert_eq!(cursors(&subject, &first, &[]).await, expected);

    // They are handed over by a release, at the end of the time, and by who leaves.
    subject.queue.leave(&first).await.expect("leave answers");
    assert_eq!(cursors(&subject, &second, &[]).await, expected, "after a worker that left");
    subject.pass(TERM);
    let third = worker("third");
    assert_eq!(cursors(&subject, &third, &[]).await, expected, "after one that is gone");
    // Who lost its shards says nothing of them any more.
    assert_eq!(cursors(&subject, &second, &far).await, BTreeMap::new());
    subject.queue.leave(&second).await.expect("leave answers");
    let held = subject.share(&third, LONG).await.held;
    let terms: Vec<_> = held.iter().map(|held| held.term).collect();
    subject.queue.release(&terms).await.expect("release answers");
    subject.queue.leave(&third).await.expect("leave answers");
    drop(subject);
    let fixture = fixture.reopen().await;
    let subject = Subject::of(&fixture);
    let fourth = worker("fourth");
    assert_eq!(cursors(&subject, &fourth, &[]).await, expected, "after reopening");
}
