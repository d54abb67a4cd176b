use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use underlay_core::{Settled, Shard, ShardTerm, Worker, WorkerId};

use super::Subject;
use super::subject::{LONG, MOMENT, TERM, dead, piece, retry, worker};
use crate::WorkQueueFixture;
use crate::concurrent::together;

/// Sentence 3: of several workers who ask at the same time, one holds a shard.
pub async fn a_shard_has_one_worker<F: WorkQueueFixture>(fixture: F) {
    const WORKERS: usize = 12;
    let subject = Subject::of(&fixture);
    let workers: Vec<Worker> = (0..WORKERS).map(|number| worker(&format!("worker {number}"))).collect();
    let mut given: BTreeMap<(Shard, u64), WorkerId> = BTreeMap::new();
    for round in 0..6 {
        // Nobody gives anything back or loses it meanwhile, so each shard has at most one of them.
        let ask = |worker: &Worker| {
            let (subject, worker) = (subject.clone(), worker.clone());
            async move { subject.share(&worker, TERM).await }
        };
        let shares = together(workers.iter().map(ask)).await;
        let terms: Vec<ShardTerm> =
            shares.iter().flat_map(|share| &share.held).map(|held| held.term).collect();
        let shards: BTreeSet<Shard> = terms.iter().map(|term| term.shard).collect();
        assert_eq!(shards.len(), terms.len(), "round {round}: a shard has one worker: {terms:?}");
        for term in terms {
            let before = given.insert((term.shard, term.term), term.worker);
            assert!(before.is_none_or(|before| before == term.worker), "a term is one worker's: {term:?}");
        }
        subject.pass(TERM);
    }
    asked_while_taken(&subject, &workers).await;
}

/// Workers ask, settle and give back at the same time; under a term that was given nobody else settles.
async fn asked_while_taken(subject: &Subject, workers: &[Worker]) {
    let go = |worker: &Worker| {
        let (subject, worker) = (subject.clone(), worker.clone());
        async move {
            let mut terms = Vec::new();
            for _ in 0..6 {
                let held: Vec<ShardTerm> =
                    subject.share(&worker, LONG).await.held.iter().map(|held| held.term).collect();
                subject.queue.release(&held).await.expect("release answers");
                terms.extend(held);
            }
            terms
        }
    };
    let mut given: BTreeMap<(Shard, u64), WorkerId> = BTreeMap::new();
    for term in together(workers.iter().map(go)).await.into_iter().flatten() {
        let before = given.insert((term.shard, term.term), term.worker);
        assert_eq!(before, None, "what was given back is given under a new term: {term:?}");
    }
}

/// Sentence 5: workers that go on asking come to hold parts that differ by one shard at most; what is surplus
/// stays theirs until they release it.
pub async fn shards_are_spread_evenly<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let mut workers = Vec::new();
    // One by one they come, in the end more than there are shards.
    for count in 1..=18 {
        workers.push(worker(&format!("worker {count}")));
        if count <= 5 || count >= 16 {
            assert_spread(&subject, &workers).await;
        }
    }
    // Some leave, and some are gone without a word.
    for gone in workers.split_off(4) {
        subject.queue.leave(&gone).await.expect("leave answers");
    }
    assert_spread(&subject, &workers).await;
    workers.remove(0);
    subject.pass(LONG);
    assert_spread(&subject, &workers).await;
    workers.drain(1..);
    subject.pass(LONG);
    assert_spread(&subject, &workers).await;

    // A worker that comes takes nothing; it is given what the other releases.
    let (first, second) = (&workers[0], worker("second"));
    assert_eq!(subject.share(&second, LONG).await.held, []);
    let all = subject.share(first, LONG).await.held;
    assert_eq!(all.len(), 16);
    let (surplus, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(|held| held.is_surplus);
    assert_eq!((surplus.len(), kept.len()), (8, 8), "half of it is the other's");
    assert_eq!(subject.share(&second, LONG).await.held, [], "surplus stays until it is given back");
    let work = subject.send((0..64).map(|number| piece(&format!("{number}"), "x"))).await;
    for held in surplus.iter().chain(&kept) {
        let work = work.iter().find(|work| work.shard == held.term.shard).expect("work of each shard");
        let settled =
            underlay_core::Settlement { term: held.term, place: work.place, settled: Settled::Done };
        assert_eq!(subject.settle_all(&[settled]).await, [], "what was begun in a surplus shard is settled");
    }
    let terms: Vec<ShardTerm> = surplus.iter().map(|held| held.term).collect();
    subject.queue.release(&terms[..3]).await.expect("release answers");
    let given = subject.share(&second, LONG).await.held;
    let released: Vec<Shard> = terms[..3].iter().map(|term| term.shard).collect();
    assert_eq!(given.iter().map(|held| held.term.shard).collect::<Vec<_>>(), released);
    assert!(given.iter().all(|held| !held.is_surplus), "it has less than its part");
    assert_eq!(subject.share(first, LONG).await.held.len(), 13);
}

/// Lets workers ask, and give back what is surplus, until they must have their parts.
async fn assert_spread(subject: &Subject, workers: &[Worker]) {
    const ROUNDS: usize = 4;
    let mut held = BTreeMap::new();
    for _ in 0..ROUNDS {
        for worker in workers {
            let share = subject.share(worker, LONG).await;
            let (surplus, kept): (Vec<_>, Vec<_>) = share.held.into_iter().partition(|held| held.is_surplus);
            let surplus: Vec<ShardTerm> = surplus.iter().map(|held| held.term).collect();
            subject.queue.release(&surplus).await.expect("release answers");
            held.insert(worker.id, kept.iter().map(|held| held.term.shard).collect::<BTreeSet<Shard>>());
        }
    }
    let counts: Vec<usize> = held.values().map(BTreeSet::len).collect();
    let (least, most) = (counts.iter().min(), counts.iter().max());
    assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "even parts: {counts:?}");
    let shards: BTreeSet<Shard> = held.values().flatten().copied().collect();
    assert_eq!(shards.len(), 16, "no shard is left alone: {counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), 16, "no shard is in two hands: {counts:?}");
}

/// Sentence 6: a worker that asks no more loses its shards when its time has run out, and whoever asks then
/// gets them; one that leaves loses them at once.
pub async fn a_worker_that_is_gone_loses_its_shards<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let work = subject.send_one(piece("a", "x")).await;
    let first = subject.hand_for("first", TERM).await;
    assert_eq!(subject.share(&first.worker, TERM).await.look_again_in, None, "nobody else holds a shard");
    subject.pass(TERM - MOMENT);
    let second = worker("second");
    let share = subject.share(&second, LONG).await;
    assert_eq!(share.held, [], "the first holds them still");
    assert_eq!(share.look_again_in, Some(MOMENT), "they could be free then");
    subject.pass(MOMENT);
    // Nobody has taken them yet; they are lost all the same.
    for settled in [Settled::Done, retry(Duration::ZERO), Settled::Held, dead(true)] {
        let settlement = first.settlement(&work, settled);
        assert_eq!(subject.settle_all(&[settlement]).await, [work.shard], "its time is over");
    }
    let taken = subject.share(&second, LONG).await;
    assert_eq!(taken.held.len(), 16, "whoever asks gets what is free");
    assert_eq!(taken.look_again_in, None);
    assert!(taken.held.iter().all(|held| held.term.term == 2));
    let back = subject.share(&first.worker, TERM).await;
    assert_eq!(back.held, [], "who comes back has nothing of what another holds");
    assert_eq!(back.look_again_in, Some(LONG));

    // Asking again in time keeps them.
    subject.queue.leave(&first.worker).await.expect("leave answers");
    for _ in 0..4 {
        subject.pass(LONG / 2);
        let share = subject.share(&second, LONG).await;
        assert!(share.held.len() == 16 && share.held.iter().all(|held| held.term.term == 2), "{share:?}");
    }
    // What somebody lost is not taken from who has it now, whatever it gives back.
    first.leave().await;
    let stale: Vec<ShardTerm> = first.terms.values().copied().collect();
    subject.queue.release(&stale).await.expect("release answers");
    let of_another: Vec<ShardTerm> = stale.iter().map(|term| ShardTerm { term: 2, ..*term }).collect();
    subject.queue.release(&of_another).await.expect("release answers");
    let kept = subject.share(&second, LONG).await;
    assert!(kept.held.len() == 16 && kept.held.iter().all(|held| held.term.term == 2), "{kept:?}");

    // What is given back is free at once, and so is everything of who leaves.
    let third = worker("third");
    assert_eq!(subject.share(&third, LONG).await.held, []);
    let one = kept.held[5].term;
    subject.queue.release(&[one, one]).await.expect("release answers");
    let given = subject.share(&third, LONG).await.held;
    let terms: Vec<ShardTerm> = given.iter().map(|held| held.term).collect();
    assert_eq!(terms, [ShardTerm { shard: one.shard, term: 3, worker: third.id }]);
    subject.queue.leave(&second).await.expect("leave answers");
    subject.queue.leave(&second).await.expect("who has left may say so again");
    assert_eq!(subject.share(&third, LONG).await.held.len(), 16, "it counts no more");
    subject.queue.leave(&worker("nobody")).await.expect("who never came may leave");
    subject.queue.release(&[]).await.expect("nothing may be given back");
}
