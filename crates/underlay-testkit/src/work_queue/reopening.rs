use std::time::Duration;

use underlay_core::{ReadWork, Settled, Settlement, Work, WorkInfo};

use super::Subject;
use super::subject::{dead, piece, retry};
use crate::{WorkQueueFixture, sample};

const PAUSE: Duration = Duration::from_secs(60);

/// Everything a worker and a person can see.
async fn everything(subject: &Subject, work: &[Work]) -> (Vec<WorkInfo>, Vec<ReadWork>, Vec<ReadWork>) {
    let (mut ready, mut due) = (Vec::new(), Vec::new());
    for shard in work.iter().map(|work| work.shard) {
        ready.extend(subject.ready(shard).await);
        due.extend(subject.due(shard).await);
    }
    (subject.all().await, ready, due)
}

/// Sentence 19: all of it is there after reopening.
pub async fn work_survives_reopening<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let hand = subject.hand("a").await;
    let mut sent = Vec::new();
    for key in sample::HOSTILE_TEXTS.into_iter().take(4) {
        let names = ["head", "behind", "dead", "ready"];
        let mut pieces = Vec::from(names.map(|name| piece(key, name)));
        pieces.push(piece(key, "urgent").urgent());
        pieces.push(piece(key, "later").with_due_at(subject.after(PAUSE * 2)));
        let pieces = subject.send(pieces).await;
        hand.settle_all([(&pieces[0], retry(PAUSE)), (&pieces[1], Settled::Held), (&pieces[2], dead(false))])
            .await;
        sent.extend(pieces);
    }
    let letter = sent.iter().find(|work| work.sent.name == "dead").expect("a dead letter").clone();
    let key = letter.sent.key.clone();
    subject.pass(PAUSE);
    let before = everything(&subject, &sent).await;
    let depths = subject.depths().await;
    let (terms, worker) = (hand.terms.clone(), hand.worker.clone());
    drop((subject, hand));

    let fixture = fixture.reopen().await;
    let subject = Subject::of(&fixture);
    assert_eq!(everything(&subject, &sent).await, before, "all is as it was");
    assert_eq!(subject.depths().await, depths);
    // A worker that was there meanwhile goes on under its terms.
    let of_line = |name: &str| {
        sent.iter().find(|work| work.sent.key == key && work.sent.name == name).expect("a piece").clone()
    };
    let settle = |work: Work, settled| {
        let (subject, term) = (subject.clone(), terms[&work.shard]);
        async move {
            let lost = subject.settle_all(&[Settlement { term, place: work.place, settled }]).await;
            assert_eq!(lost, []);
        }
    };
    settle(of_line("head"), Settled::Done).await;
    assert_eq!(subject.replay(&[&letter]).await, 1, "a dead letter of before is replayed");
    settle(of_line("behind"), Settled::Done).await;
    let due: Vec<Work> = subject.due(letter.shard).await.into_iter().map(|read| read.work).collect();
    assert!(due.iter().any(|work| work.id == letter.id), "and due");
    settle(letter.clone(), retry(Duration::MAX)).await;
    let commit = sent.iter().find(|work| work.sent.name == "urgent").expect("a piece").commit_id;
    drop(subject);

    let fixture = fixture.reopen().await;
    let subject = Subject::of(&fixture);
    let info = subject.look(&letter).await.expect("it waits");
    assert_eq!((info.work.attempts, info.work.sent.due_at), (1, Some(sample::end_of_time())));
    assert_eq!(subject.find(commit, 0).await, None, "what is done stays gone");
    subject.queue.leave(&worker).await.expect("leave answers");
    // Places go on where they were.
    let last = sent.iter().map(|work| work.place).max();
    let next = subject.send_one(piece("next", "next")).await;
    assert!(Some(next.place) > last, "a place is not given again");
}
