use std::time::Duration;

use underlay_core::{BegunWork, HeldShard, Settled, Settlement, Shard, ShardTerm, Share, Work, WorkPlace};

use super::Subject;
use super::subject::{TERM, dead, piece, retry, worker};
use crate::WorkQueueFixture;

/// Sentence 22: a shard says up to which place a worker may have begun work that did not give it back. What is begun
/// is counted, under the term that holds the shard, until what became of it is stored.
pub async fn what_was_begun_is_counted<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let queue = &subject.queue;
    let ask = async |who| queue.share(who, TERM, &[]).await.expect("share answers");
    let (first, second, third) = (worker("first"), worker("second"), worker("third"));
    let sent = subject.send(["a", "a", "a"].map(|key| piece(key, "x"))).await;
    let shard = sent[0].shard;
    let held = of(&ask(&first).await, shard);
    assert_eq!(held.suspects_to, WorkPlace::START, "nobody was here before");

    // The first is gone, and the second cannot know what it had begun.
    subject.pass(TERM);
    let share = ask(&second).await;
    for held in &share.held {
        assert!(held.suspects_to >= sent[2].place, "what was there may have been begun");
    }
    let second_term = of(&share, shard).term;
    let later = subject.send_one(piece("a", "later")).await;
    assert!(of(&ask(&second).await, shard).suspects_to < later.place, "what came since was not");
    let begin = async |term: ShardTerm, work: &Work, times| {
        let begun = [BegunWork { term, place: work.place, times }];
        queue.begin(&begun).await.expect("begin answers")
    };
    let count = async |work: &Work| subject.look(work).await.map(|info| info.work.begun);
    for times in [1, 1, 2] {
        assert_eq!(begin(second_term, &sent[0], times).await, []);
        assert_eq!(count(&sent[0]).await, Some(times), "again is the same");
    }
    assert_eq!(begin(held.term, &sent[1], 1).await, [shard], "the shard is another's");
    let other = Shard::all().find(|other| *other != shard).expect("a second shard");
    let of_other = of(&share, other).term;
    assert_eq!(begin(of_other, &sent[1], 1).await, []);
    assert_eq!(count(&sent[1]).await, Some(0), "under its own term alone");
    let read = subject.ready(shard).await;
    let begun: Vec<u32> = read.iter().map(|read| read.work.begun).collect();
    assert_eq!(begun, [2, 0, 0, 0], "whoever reads it is told");

    // Given back, and taken by the same again: nobody is gone.
    queue.leave(&second).await.expect("leave answers");
    let held = of(&ask(&third).await, shard);
    assert!(held.suspects_to < later.place, "who gave it back had ended what it began");
    subject.pass(TERM);
    let held = of(&ask(&third).await, shard);
    assert!(held.suspects_to < later.place, "who comes back is not gone");

    // What became of it is stored: it had an end.
    let settle = async |work: &Work, settled| {
        let settlement = Settlement { term: held.term, place: work.place, settled };
        assert_eq!(queue.settle(&[settlement]).await.expect("settle answers"), []);
    };
    settle(&sent[0], retry(Duration::ZERO)).await;
    assert_eq!(count(&sent[0]).await, Some(0), "tried again");
    assert_eq!(begin(held.term, &sent[0], 1).await, []);
    assert_eq!(subject.due(shard).await[0].work.begun, 1, "what is due is counted too");
    settle(&sent[0], dead(false)).await;
    assert_eq!(count(&sent[0]).await, Some(0), "given up");
    assert_eq!(begin(held.term, &sent[0], 9).await, []);
    assert_eq!(count(&sent[0]).await, Some(0), "nobody begins a dead letter");
    assert_eq!(begin(held.term, &sent[1], 3).await, []);
    settle(&sent[1], dead(false)).await;
    assert_eq!(queue.replay(&subject.tenant, &[sent[1].id]).await.expect("replay answers"), 1);
    assert_eq!(count(&sent[1]).await, Some(0), "replayed");
    assert_eq!(begin(held.term, &sent[2], 1).await, []);
    settle(&sent[2], Settled::Done).await;
    assert_eq!(count(&sent[2]).await, None);
}

fn of(share: &Share, shard: Shard) -> HeldShard {
    share.held.iter().find(|held| held.term.shard == shard).expect("all shards are held").clone()
}
