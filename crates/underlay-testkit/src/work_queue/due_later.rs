use std::time::Duration;

use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{Commit, CommitId, Settled, Shard, Timestamp, WorkPlace, WorkStanding};

use super::Subject;
use super::subject::{MOMENT, key_in, names, piece, retry};
use crate::{WorkQueueFixture, sample};

const SOON: Duration = Duration::from_secs(30);

/// Sentence 10: work that is due later is read by nobody until then, blocks nobody, and comes in the order of
/// moments.
pub async fn what_is_due_later_is_in_nobodys_way<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let (soon, later) = (subject.after(SOON), subject.after(SOON * 2));
    let sent = subject
        .send([
            piece("a", "later").with_due_at(later),
            piece("a", "soon").with_due_at(soon),
            piece("a", "soon too").with_due_at(soon).urgent(),
            piece("a", "now").with_due_at(subject.now()),
            piece("a", "long ago").with_due_at(Timestamp::UNIX_EPOCH),
            piece("a", "never").with_due_at(sample::end_of_time()),
            piece("a", "at once"),
        ])
        .await;
    let shard = sent[0].shard;
    let ready = [("now", false), ("long ago", false), ("at once", false)];
    for (number, standing) in [(0, WorkStanding::Later), (1, WorkStanding::Later), (3, WorkStanding::Ready)] {
        assert_eq!(subject.standing(&sent[number]).await, Some(standing));
    }
    assert_eq!(sent[0].sent.due_at, Some(later));
    assert_eq!(sent[4].sent.due_at, None, "what is ready is due at no moment");
    subject.assert_sees(shard, &ready, &[], "nothing is due").await;
    assert_eq!(subject.due_page(shard, &[], 10).await.next_due_in, Some(SOON));
    subject.pass(SOON - MOMENT);
    subject.assert_sees(shard, &ready, &[], "it is not due yet").await;
    assert_eq!(subject.due_page(shard, &[], 10).await.next_due_in, Some(MOMENT));
    subject.pass(MOMENT);
    let due = [("soon", false), ("soon too", false)];
    subject.assert_sees(shard, &ready, &due, "who has come blocks nobody before it is tried").await;
    assert_eq!(subject.due_page(shard, &[], 10).await.next_due_in, Some(SOON));
    let page = subject.due_page(shard, &[], 1).await;
    assert_eq!((names(&page.work), page.next_due_in), (vec![due[0]], Some(Duration::ZERO)), "more is due");
    let page = subject.due_page(shard, &[], 2).await;
    assert_eq!((page.work.len(), page.next_due_in), (2, Some(SOON)), "all of it");
    let page = subject.due_page(shard, &[sent[1].place], 10).await;
    assert_eq!((names(&page.work), page.next_due_in), (vec![due[1]], Some(SOON)), "but for one");
    let all: Vec<WorkPlace> = sent.iter().map(|work| work.place).collect();
    let page = subject.due_page(shard, &all, 10).await;
    assert_eq!((names(&page.work), page.next_due_in), (vec![], None), "but for all");
    subject.pass(SOON);
    let due = [due[0], due[1], ("later", false)];
    subject.assert_sees(shard, &ready, &due, "in the order of moments, then of places").await;
    for other in Shard::all().filter(|other| *other != shard) {
        assert_eq!(subject.due_page(other, &[], 10).await.next_due_in, None, "others have nothing");
    }

    // What is due is there until it is settled, and then it is gone.
    let hand = subject.hand("a").await;
    hand.settle(&sent[1], Settled::Done).await;
    assert_eq!(subject.look(&sent[1]).await, None);
    subject.assert_sees(shard, &ready, &[("soon too", false), ("later", false)], "one is done").await;
    hand.settle_all(sent.iter().map(|work| (work, Settled::Done))).await;
    hand.leave().await;
    becomes_due_while_its_key_is_blocked(&subject).await;
    more_than_a_page(&subject).await;
}

/// It stands behind what blocks the key, whatever moment it was due at.
async fn becomes_due_while_its_key_is_blocked(subject: &Subject) {
    let hand = subject.hand("b").await;
    let delayed = subject.send_one(piece("b", "delayed").with_due_at(subject.after(SOON))).await;
    let failing = subject.send_one(piece("b", "failing")).await;
    let shard = failing.shard;
    hand.settle(&failing, retry(SOON * 3)).await;
    subject.pass(SOON);
    subject.assert_sees(shard, &[], &[("delayed", true)], "its key is blocked").await;
    hand.settle(&delayed, Settled::Held).await;
    assert_eq!(subject.standing(&delayed).await, Some(WorkStanding::Behind));
    subject.assert_sees(shard, &[], &[], "it stands behind").await;
    subject.pass(SOON * 2);
    subject.assert_sees(shard, &[], &[("failing", false)], "what blocks it comes first").await;
    hand.settle(&failing, Settled::Done).await;
    subject.assert_sees(shard, &[], &[("delayed", false)], "then it goes").await;
    hand.settle(&delayed, Settled::Done).await;
    hand.leave().await;
}

async fn more_than_a_page(subject: &Subject) {
    let shard = Shard::all().next().expect("a first shard");
    let key = key_in(shard, &subject.tenant, 0);
    let due_at = |number: usize| subject.after(Duration::from_secs(1_000 - number as u64 % 100));
    for first in [0, WORK_PAGE_MAX / 2, WORK_PAGE_MAX] {
        let numbers = first..first + WORK_PAGE_MAX / 2;
        let pieces = numbers.map(|number| piece(&key, &format!("{number}")).with_due_at(due_at(number)));
        subject.commit(pieces.fold(Commit::new(CommitId::draw()), Commit::send)).await;
    }
    subject.pass(Duration::from_secs(2_000));
    let first = subject.due_page(shard, &[], WORK_PAGE_MAX).await;
    assert_eq!((first.work.len(), first.next_due_in), (WORK_PAGE_MAX, Some(Duration::ZERO)));
    let except: Vec<WorkPlace> = first.work.iter().map(|read| read.work.place).collect();
    let second = subject.due_page(shard, &except, WORK_PAGE_MAX).await;
    assert_eq!((second.work.len(), second.next_due_in), (WORK_PAGE_MAX / 2, None), "the rest");
    let order = |read: &underlay_core::ReadWork| (read.work.sent.due_at, read.work.place);
    let all: Vec<_> = first.work.iter().chain(&second.work).map(order).collect();
    assert!(all.is_sorted(), "in the order of moments, then of places");
}
