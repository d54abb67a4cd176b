use std::time::Duration;

use underlay_core::{Error, Settled, Settlement, Shard, ShardTerm, Work, WorkPlace, WorkerId};

use super::Subject;
use super::subject::{Hand, LONG, TERM, dead, key_in, piece, retry, worker};
use crate::WorkQueueFixture;
use crate::concurrent::together;

/// Everything that can become of work.
fn endings() -> [Settled; 5] {
    [Settled::Done, retry(Duration::ZERO), Settled::Held, dead(true), dead(false)]
}

/// Sentence 11: what is done is gone; settling it again changes nothing, and a piece that stands twice in one
/// call is `Invalid`.
pub async fn what_is_done_is_gone<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let hand = subject.hand("a").await;
    let sent = subject.send(["one", "two", "three"].map(|name| piece("a", name))).await;
    let other = subject.send_one(piece("b", "other")).await;
    let shard = sent[0].shard;
    // Not in their order: whether a worker may do that is its own affair.
    hand.settle(&sent[1], Settled::Done).await;
    assert_eq!(subject.find(sent[1].commit_id, 1).await, None, "what is done is not found");
    subject.assert_sees(shard, &[("one", false), ("three", false)], &[], "what is done is not read").await;
    let left = subject.all().await;
    assert_eq!(left.len(), 3, "what is done is not listed");
    for settled in endings() {
        hand.settle(&sent[1], settled).await;
        assert_eq!(subject.all().await, left, "what is done does not come back");
    }
    // Nor does what was never there, at the ends of what a place can be.
    for number in [0, sent[0].place.number() + 500, (i64::MAX as u64) - 1] {
        let nothing = Work { place: WorkPlace::from_number(number), ..sent[0].clone() };
        for settled in endings() {
            hand.settle(&nothing, settled).await;
        }
        assert_eq!(subject.all().await, left, "nothing comes of nothing");
    }
    let twice = [&sent[0], &other, &sent[0]];
    for second in endings() {
        let settled = [Settled::Done, Settled::Done, second];
        let settlements: Vec<Settlement> =
            twice.iter().zip(settled).map(|(work, settled)| hand.settlement(work, settled)).collect();
        let answer = subject.queue.settle(&settlements).await;
        assert!(matches!(answer, Err(Error::Invalid(_))), "a piece that is settled twice: {answer:?}");
        assert_eq!(subject.all().await, left, "nothing of an invalid call is stored");
    }
    // All of a call at once, of several shards and keys.
    let many = subject.send((0..60).map(|number| piece(&format!("{number}"), "many"))).await;
    hand.settle_all(many.iter().chain([&other]).map(|work| (work, Settled::Done))).await;
    assert_eq!(subject.all().await, [left[0].clone(), left[1].clone()]);
    assert_eq!(subject.settle_all(&[]).await, [], "nothing may be settled");

    // The same piece, settled by several at once: it is gone, and nothing else is.
    for work in [&sent[0], &sent[2]] {
        let settle = |settled: Settled| {
            let (subject, settlement) = (subject.clone(), hand.settlement(work, settled));
            async move { subject.settle_all(&[settlement]).await }
        };
        let lost = together([Settled::Done, retry(Duration::ZERO), Settled::Done].map(settle)).await;
        assert!(lost.iter().all(Vec::is_empty), "no shard is lost");
        assert_eq!(subject.look(work).await, None, "done is done");
    }
    assert_eq!(subject.all().await, []);
}

/// Sentence 15: a term that is over, was given back, is another worker's or is of another shard settles nothing;
/// other shards of the same call are settled.
pub async fn a_lost_shard_settles_nothing<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let [one, other] = [0, 1].map(|number| Shard::all().nth(number).expect("two shards"));
    let key = key_in(one, &subject.tenant, 0);
    let work = subject.send_one(piece(&key, "work")).await;

    // Terms that nobody was ever given.
    let holder = subject.hand_for("holder", TERM).await;
    let held = holder.terms[&one];
    for term in [
        ShardTerm { term: 0, ..held },
        ShardTerm { term: held.term + 1, ..held },
        ShardTerm { term: i64::MAX as u64, ..held },
        ShardTerm { worker: WorkerId::draw(), ..held },
    ] {
        assert_settles_nothing(&subject, &work, term, &holder).await;
    }
    // A term of another shard, which is held: the shard is not lost, and the piece is not of it.
    let before = subject.all().await;
    for settled in endings() {
        let settlement = Settlement { term: holder.terms[&other], place: work.place, settled };
        assert_eq!(subject.settle_all(&[settlement]).await, [], "the shard of the term is held");
        assert_eq!(subject.all().await, before, "a term is good for its shard alone");
    }
    // Two terms for one shard in a call: the worker is not sure what it holds.
    let next = subject.send_one(piece(&key, "next")).await;
    let mixed = [
        holder.settlement(&work, Settled::Done),
        Settlement {
            term: ShardTerm { term: held.term + 1, ..held },
            place: next.place,
            settled: Settled::Done,
        },
    ];
    assert_eq!(subject.settle_all(&mixed).await, [one]);
    assert!(
        subject.look(&work).await.is_some() && subject.look(&next).await.is_some(),
        "nothing of it is settled"
    );

    // Given back; nobody has taken it since.
    subject.queue.release(&[held]).await.expect("release answers");
    assert_settles_nothing(&subject, &work, held, &holder).await;
    // Taken again by the same worker: the term before is over.
    let again = subject.share(&holder.worker, TERM).await.held;
    let again = again.iter().find(|again| again.term.shard == one).expect("it is free").term;
    assert!(again.term > held.term);
    assert_settles_nothing(&subject, &work, held, &holder).await;
    // Its time ran out; nobody has taken it since.
    subject.pass(TERM);
    let settlements = [Settlement { term: again, place: work.place, settled: Settled::Done }];
    assert_eq!(subject.settle_all(&settlements).await, [one]);
    // Taken by another.
    let taker = subject.hand("taker").await;
    for term in [held, again, ShardTerm { worker: holder.worker.id, ..taker.terms[&one] }] {
        assert_settles_nothing(&subject, &work, term, &taker).await;
    }
    // The worker has left.
    taker.leave().await;
    let settlements = [taker.settlement(&work, Settled::Done), taker.settlement(&next, Settled::Done)];
    assert_eq!(subject.settle_all(&settlements).await, [one], "a shard is named once");
    taken_while_settling(&subject, &work).await;
}

/// Under a term that does not hold, nothing becomes of the work; of another shard in the call it does.
async fn assert_settles_nothing(subject: &Subject, work: &Work, term: ShardTerm, holder: &Hand) {
    let elsewhere = Shard::all().last().expect("a last shard");
    let key = key_in(elsewhere, &subject.tenant, 0);
    for settled in endings() {
        let before = subject.look(work).await;
        let good = subject.send_one(piece(&key, "elsewhere")).await;
        let settlements = [
            Settlement { term, place: work.place, settled: settled.clone() },
            holder.settlement(&good, Settled::Done),
        ];
        assert_eq!(subject.settle_all(&settlements).await, [work.shard], "{term:?} does not hold");
        assert_eq!(subject.look(work).await, before, "nothing is settled under it");
        assert_eq!(subject.look(&good).await, None, "what is under a term that holds is settled");
    }
}

/// Whatever comes first, nothing is settled under a term whose time is over, however close the next worker is.
async fn taken_while_settling(subject: &Subject, work: &Work) {
    subject.pass(LONG);
    for round in 0..20 {
        let holder = subject.hand_for("holder", TERM).await;
        let settlement = |settled| holder.settlement(work, settled);
        let failed = retry(Duration::from_secs(round));
        assert_eq!(subject.settle_all(&[settlement(failed)]).await, [], "a term that holds");
        subject.pass(TERM);
        let before = subject.look(work).await;
        let next = worker("next");
        let late = [settlement(Settled::Done)];
        let (lost, taken) = tokio::join!(subject.settle_all(&late), subject.share(&next, TERM));
        assert_eq!(lost, [work.shard], "a late settlement");
        assert_eq!(taken.held.len(), Shard::all().len());
        assert_eq!(subject.look(work).await, before, "nothing is settled late");
        subject.pass(TERM);
    }
}
