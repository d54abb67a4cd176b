use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use underlay_core::{HeldShard, Settled, Settlement, Shard, ShardTerm, Share, WaitsFor, Worker};

use super::Subject;
use super::subject::{LONG, MOMENT, TERM, piece, worker};
use crate::WorkQueueFixture;
use crate::concurrent::together;

/// The scheduler of the workers that are not embedded.
const ANOTHER: &str = "another scheduler";

/// Sentence 27: workers of one scheduler hold shards at a time, and share them among themselves. One of another
/// scheduler gets none and is told whom it waits for, until no shard is held; of both kinds asking at the same time,
/// one holds shards.
pub async fn shards_are_with_one_scheduler<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let last = one_after_the_other(&subject).await;
    drop(subject);
    let fixture = fixture.reopen().await;
    let subject = Subject::of(&fixture);
    let waiting = worker("reopened");
    assert_waits(&subject.share(&waiting, LONG).await, &last);
    for worker in [&waiting, &last] {
        subject.queue.leave(worker).await.expect("leave answers");
    }
    both_at_once(&subject).await;
    taken_and_given_back_at_once(&subject).await;
}

/// A worker of the other scheduler.
fn others(holder: &str) -> Worker {
    Worker { scheduler: ANOTHER.to_owned(), ..worker(holder) }
}

fn assert_waits(share: &Share, for_worker: &Worker) {
    let Worker { scheduler, holder, .. } = for_worker.clone();
    assert_eq!((&share.held[..], &share.waits_for), (&[][..], &Some(WaitsFor { scheduler, holder })));
}

/// What a worker holds that waits for nobody.
async fn held(subject: &Subject, worker: &Worker) -> Vec<HeldShard> {
    let share = subject.share(worker, LONG).await;
    assert_eq!(share.waits_for, None, "{} has its part", worker.holder);
    share.held
}

fn terms(held: &[HeldShard]) -> Vec<ShardTerm> {
    held.iter().map(|held| held.term).collect()
}

/// Workers of both kinds come and go. The last that is there holds all shards.
async fn one_after_the_other(subject: &Subject) -> Worker {
    let work = subject.send_one(piece("a", "x")).await;
    let [first, second] = ["first", "second"].map(worker);
    let [third, fourth] = ["third", "fourth"].map(others);
    assert_eq!(held(subject, &first).await.len(), 16);
    let share = subject.share(&third, LONG).await;
    assert_waits(&share, &first);
    assert_eq!(share.look_again_in, Some(LONG), "it could be free then");
    assert_waits(&subject.share(&fourth, LONG).await, &first);

    // Those who wait have no part. What is given back goes to another of the same scheduler.
    assert_eq!(held(subject, &second).await, []);
    let all = held(subject, &first).await;
    let (surplus, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(|held| held.is_surplus);
    assert_eq!((surplus.len(), kept.len()), (8, 8), "two share the work");
    subject.queue.release(&terms(&surplus)).await.expect("release answers");
    assert_waits(&subject.share(&third, LONG).await, &first);
    assert_eq!(held(subject, &second).await.len(), 8);
    subject.queue.leave(&first).await.expect("leave answers");
    assert_waits(&subject.share(&third, LONG).await, &second);

    // The last gives all back, and is there still: the others take over, and it waits.
    let given_back = terms(&held(subject, &second).await);
    subject.queue.release(&given_back).await.expect("release answers");
    let given = [held(subject, &third).await, held(subject, &fourth).await].concat();
    let parts: Vec<usize> =
        [&third, &fourth].map(|of| given.iter().filter(|it| it.term.worker == of.id).count()).into();
    assert_eq!(parts, [8, 8], "they share the work");
    for held in &given {
        let before = given_back.iter().filter(|term| term.shard == held.term.shard);
        assert!(before.clone().all(|term| term.term < held.term.term), "{:?} is a higher term", held.term);
    }
    assert_waits(&subject.share(&second, LONG).await, first_of(&given, [&third, &fourth]));

    // Those who are gone without a word are waited for until their time has run out.
    subject.queue.leave(&fourth).await.expect("leave answers");
    subject.share(&third, TERM).await;
    subject.pass(TERM - MOMENT);
    assert_waits(&subject.share(&second, LONG).await, &third);
    subject.pass(MOMENT);
    let taken = held(subject, &second).await;
    assert_eq!(taken.len(), 16);
    assert_waits(&subject.share(&third, LONG).await, &second);

    // The same worker with another scheduler is as another worker.
    let turned = Worker { scheduler: ANOTHER.to_owned(), ..second.clone() };
    assert_waits(&subject.share(&turned, LONG).await, &second);
    subject.pass(LONG);
    let taken_anew = held(subject, &turned).await;
    assert_eq!(taken_anew.len(), 16);
    let settlement = |term: ShardTerm| Settlement { term, place: work.place, settled: Settled::Done };
    let anew = taken_anew.iter().find(|held| held.term.shard == work.shard).expect("every shard").term;
    let old = taken.iter().find(|held| held.term.shard == work.shard).expect("every shard").term;
    assert_eq!(subject.settle_all(&[settlement(old)]).await, [work.shard], "its term is over");
    assert_eq!(subject.settle_all(&[settlement(anew)]).await, []);
    turned
}

/// Which of these has the first shard.
fn first_of<'w>(given: &[HeldShard], workers: [&'w Worker; 2]) -> &'w Worker {
    let first = given.iter().min_by_key(|held| held.term.shard).expect("shards were given").term.worker;
    if workers[0].id == first { workers[0] } else { workers[1] }
}

/// Six of each kind.
fn of_both_kinds() -> Vec<Worker> {
    (0..12)
        .map(|number| {
            let holder = format!("worker {number}");
            if number % 2 == 0 { worker(&holder) } else { others(&holder) }
        })
        .collect()
}

/// Workers of both kinds ask at the same time, while nobody holds a shard.
async fn both_at_once(subject: &Subject) {
    let workers = of_both_kinds();
    for round in 0..8 {
        let ask = |worker: &Worker| {
            let (subject, worker) = (subject.clone(), worker.clone());
            async move { (worker.scheduler.clone(), subject.share(&worker, TERM).await) }
        };
        let shares = together(workers.iter().map(ask)).await;
        let winner = shares.iter().find(|(_, share)| !share.held.is_empty());
        let winner = winner.map(|(scheduler, _)| scheduler.clone()).expect("somebody is given shards");
        for (scheduler, share) in shares {
            let waits_for = share.waits_for.as_ref().map(|waits_for| &waits_for.scheduler);
            assert_eq!(waits_for, (scheduler != winner).then_some(&winner), "round {round}: {share:?}");
            assert!(
                scheduler == winner || share.held.is_empty(),
                "round {round}: both hold shards: {share:?}"
            );
        }
        subject.pass(TERM);
    }
    for worker in &workers {
        subject.queue.leave(worker).await.expect("leave answers");
    }
}

/// Workers of both kinds take and give back at the same time. What a worker was given and has not given back is held.
async fn taken_and_given_back_at_once(subject: &Subject) {
    const ROUNDS: usize = 12;
    type Held = BTreeMap<Shard, String>;
    let held = Arc::<Mutex<Held>>::default();
    let go = |worker: Worker| {
        let (subject, held) = (subject.clone(), held.clone());
        async move {
            let at_once = |change: &dyn Fn(&mut Held)| {
                change(&mut held.lock().unwrap_or_else(PoisonError::into_inner));
            };
            for _ in 0..ROUNDS {
                let terms = terms(&subject.share(&worker, LONG).await.held);
                at_once(&|held| {
                    held.extend(terms.iter().map(|term| (term.shard, worker.scheduler.clone())));
                    let first = held.values().next();
                    assert!(
                        held.values().all(|scheduler| Some(scheduler) == first),
                        "both hold shards: {held:?}"
                    );
                });
                tokio::task::yield_now().await;
                at_once(&|held| terms.iter().for_each(|term| drop(held.remove(&term.shard))));
                subject.queue.release(&terms).await.expect("release answers");
            }
            subject.queue.leave(&worker).await.expect("leave answers");
        }
    };
    together(of_both_kinds().into_iter().map(go)).await;
    assert_eq!(self::held(subject, &worker("the last")).await.len(), 16);
}
