use std::collections::BTreeMap;

use underlay_core::{Settled, Settlement, Shard, ShardTerm};

use super::Subject;
use super::subject::{LONG, TERM, piece};
use crate::WorkQueueFixture;

/// Sentence 4: every worker of a shard has a higher term than the one before, also after a release and after
/// reopening.
pub async fn terms_of_shards_only_grow<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let mut last: BTreeMap<Shard, u64> = BTreeMap::new();
    let mut seen = |terms: &BTreeMap<Shard, ShardTerm>| {
        for term in terms.values() {
            let before = last.insert(term.shard, term.term).unwrap_or(0);
            assert_eq!(term.term, before + 1, "each worker of a shard is the next");
        }
    };
    for round in 0..3 {
        let hand = subject.hand_for("worker", TERM).await;
        seen(&hand.terms);
        // Asking again is no new term.
        let again = subject.share(&hand.worker, TERM).await.held;
        assert!(
            again.iter().all(|held| hand.terms[&held.term.shard] == held.term),
            "renewing keeps the term"
        );
        match round {
            0 => hand.leave().await,
            1 => {
                let terms: Vec<ShardTerm> = hand.terms.values().copied().collect();
                subject.queue.release(&terms).await.expect("release answers");
                // The same worker, whose term is over all the same.
                let held = subject.share(&hand.worker, TERM).await.held;
                seen(&held.iter().map(|held| (held.term.shard, held.term)).collect());
                subject.pass(TERM);
            }
            _ => {
                subject.pass(TERM);
                // Its time was over: it is given them anew.
                let held = subject.share(&hand.worker, TERM).await.held;
                seen(&held.iter().map(|held| (held.term.shard, held.term)).collect());
                hand.leave().await;
            }
        }
    }
    let hand = subject.hand_for("worker", LONG).await;
    seen(&hand.terms);
    let work = subject.send_one(piece("a", "x")).await;
    let (worker, term) = (hand.worker.clone(), hand.terms[&work.shard]);
    drop((subject, hand));
    let fixture = fixture.reopen().await;
    let subject = Subject::of(&fixture);
    // What was held when the store was closed is held still.
    assert_eq!(subject.share(&super::subject::worker("other"), TERM).await.held, []);
    let settlement = Settlement { term, place: work.place, settled: Settled::Done };
    assert_eq!(subject.settle_all(&[settlement]).await, [], "also for who settles");
    subject.queue.leave(&worker).await.expect("leave answers");
    drop(subject);
    let fixture = fixture.reopen().await;
    let subject = Subject::of(&fixture);
    subject.pass(LONG);
    let hand = subject.hand("another").await;
    seen(&hand.terms);
}
