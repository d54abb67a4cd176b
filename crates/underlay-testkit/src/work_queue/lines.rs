use std::time::Duration;

use underlay_core::limits::WORK_ERROR_BYTES_MAX;
use underlay_core::{Settled, WorkKind, WorkStanding};

use super::Subject;
use super::random_lines::lines_end_well;
use super::subject::{MOMENT, dead, key_in, piece, piece_for, retry};
use crate::{WorkQueueFixture, sample};

const PAUSE: Duration = Duration::from_secs(60);

/// Sentence 12: a failed attempt is counted, with its reason, and blocks its line, and no other, until it is due
/// and done.
pub async fn a_retry_blocks_its_key<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let hand = subject.hand("a").await;
    let sent = subject.send(["failing", "next"].map(|name| piece("a", name))).await;
    let (failing, next) = (&sent[0], &sent[1]);
    let shard = failing.shard;
    // All in the same shard: another receiver, another key, and the same of another tenant.
    let globex = subject.seen_by("globex");
    let others = [
        (subject.clone(), piece_for("Mail", WorkKind::Message, "a", "receiver")),
        (subject.clone(), piece(&key_in(shard, &subject.tenant, 3), "key")),
        (globex.clone(), piece(&key_in(shard, &globex.tenant, 0), "tenant")),
    ];
    for (owner, other) in &others {
        owner.send_one(other.clone()).await;
    }
    let free = [("receiver", false), ("key", false), ("tenant", false)];
    let urgent = subject.send_one(piece("a", "urgent").urgent()).await;
    let sees = async |next: &[(&str, bool)], due: &[(&str, bool)], why: &str| {
        let ready: Vec<_> = next.iter().copied().chain(free).collect();
        subject.assert_sees(shard, &ready, due, why).await;
    };
    sees(&[("urgent", false), ("failing", false), ("next", false)], &[], "nothing failed yet").await;

    let mut attempts = 0;
    for error in ["it hangs", "", "'; drop table work; --", sample::HOSTILE_TEXTS[16]] {
        let due_at = subject.after(PAUSE);
        hand.settle(failing, Settled::Retry { delay: PAUSE, error: error.to_owned() }).await;
        attempts += 1;
        let info = subject.look(failing).await.expect("it is tried again");
        assert_eq!((info.work.attempts, info.work.last_error.as_deref()), (attempts, Some(error)));
        assert_eq!((info.work.sent.due_at, info.standing), (Some(due_at), WorkStanding::Later));
        assert_eq!((info.work.id, info.work.place), (failing.id, failing.place), "it keeps its place");
        let blocked = [("urgent", true), ("next", true)];
        sees(&blocked, &[], "its line waits").await;
        assert_eq!(subject.due_page(shard, &[], 10).await.next_due_in, Some(PAUSE));
        subject.pass(PAUSE - MOMENT);
        sees(&blocked, &[], "its line waits on").await;
        subject.pass(MOMENT);
        sees(&blocked, &[("failing", false)], "also when it is due").await;
        let read = subject.due(shard).await.remove(0).work;
        assert_eq!(read, info.work, "with what is known of it");
        // Paused in the middle of it, for long.
        subject.pass(PAUSE);
        sees(&blocked, &[("failing", false)], "until it is done").await;
    }
    // What exceeds the limit is cut between two characters, and a database may take no NUL.
    let long = format!("a\0b{}", "é".repeat(WORK_ERROR_BYTES_MAX));
    hand.settle(failing, Settled::Retry { delay: Duration::ZERO, error: long }).await;
    let error = subject.look(failing).await.and_then(|info| info.work.last_error).expect("a reason");
    assert_eq!(error.len(), WORK_ERROR_BYTES_MAX - 1, "no half of a character is kept");
    assert!(error.starts_with("a\u{fffd}bé") && error.ends_with('é'), "{error:?}");
    sees(&[("urgent", true), ("next", true)], &[("failing", false)], "due at once").await;
    hand.settle(failing, Settled::Done).await;
    assert_eq!(subject.look(failing).await, None);
    sees(&[("urgent", false), ("next", false)], &[], "its line goes on").await;
    hand.settle_all([(&urgent, Settled::Done), (next, Settled::Done)]).await;
    sees(&[], &[], "nothing of it is left").await;
}

/// Sentence 26: a failed attempt is due again after its delay by the clock of the store; no clock of a worker has a
/// say in it.
pub async fn a_retry_goes_by_the_clock_of_the_store<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let hand = subject.hand("a").await;
    let work = subject.send_one(piece("a", "failing")).await;
    let due_at = async || subject.look(&work).await.expect("it is tried again").work.sent.due_at;
    // However long the attempt took, the delay begins when it is settled.
    for (delay, took) in [(PAUSE, PAUSE * 2), (MOMENT, MOMENT), (PAUSE * 3, Duration::ZERO)] {
        subject.pass(took);
        hand.settle(&work, retry(delay)).await;
        assert_eq!(due_at().await, Some(subject.after(delay)), "{delay:?} from now");
        subject.pass(delay - MOMENT);
        subject.assert_sees(work.shard, &[], &[], "a moment before").await;
        subject.pass(MOMENT);
        subject.assert_sees(work.shard, &[], &[("failing", false)], "at that moment").await;
    }
    hand.settle(&work, retry(Duration::ZERO)).await;
    assert_eq!(due_at().await, Some(subject.now()));
    subject.assert_sees(work.shard, &[], &[("failing", false)], "at once").await;
    for delay in [Duration::MAX, Duration::from_micros(i64::MAX.unsigned_abs())] {
        hand.settle(&work, retry(delay)).await;
        assert_eq!(due_at().await, Some(sample::end_of_time()), "no later than the last moment there is");
    }
    hand.settle(&work, retry(Duration::from_nanos(1_999))).await;
    assert_eq!(due_at().await, Some(subject.after(MOMENT)), "whole to the microsecond");
}

/// Sentence 13: what is held comes one by one, in the order of places, as those before are done; where nothing
/// is before it any more, it is due at once.
pub async fn what_is_held_comes_in_order<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let hand = subject.hand("a").await;
    let sent = subject.send(["one", "two", "three", "four"].map(|name| piece("a", name))).await;
    let [one, two, three, four] = [0, 1, 2, 3].map(|number| &sent[number]);
    let shard = one.shard;
    // A line beside it that must not notice anything.
    let beside = [0, 1].map(|number| piece_for("beside", WorkKind::Message, "a", &format!("{number}")));
    let beside = subject.send(beside).await;
    hand.settle(&beside[0], retry(Duration::MAX)).await;
    hand.settle(&beside[1], Settled::Held).await;

    hand.settle(one, retry(PAUSE)).await;
    hand.settle(two, Settled::Held).await;
    hand.settle_all([(four, Settled::Held), (three, Settled::Held)]).await;
    for work in [two, three, four] {
        let info = subject.look(work).await.expect("it stands there");
        assert_eq!((info.standing, info.work.sent.due_at), (WorkStanding::Behind, None));
        assert_eq!((info.work.attempts, info.work.last_error), (0, None), "nothing was tried");
    }
    subject.assert_sees(shard, &[], &[], "the line waits").await;
    subject.pass(PAUSE);
    subject.assert_sees(shard, &[], &[("one", false)], "the head comes first").await;
    hand.settle(one, Settled::Done).await;
    subject.assert_sees(shard, &[], &[("two", false)], "the next comes alone").await;
    // What comes now is behind what waits already.
    let five = subject.send_one(piece("a", "five")).await;
    let urgent = subject.send_one(piece("a", "urgent").urgent()).await;
    subject
        .assert_sees(shard, &[("urgent", true), ("five", true)], &[("two", false)], "new work waits")
        .await;
    hand.settle_all([(&urgent, Settled::Held), (&five, Settled::Held)]).await;
    // A retry in the middle keeps its place before the others.
    hand.settle(two, retry(PAUSE)).await;
    subject.assert_sees(shard, &[], &[], "a retry lets nobody pass").await;
    subject.pass(PAUSE);
    for (work, next) in [(two, "three"), (three, "four"), (four, "five"), (&five, "urgent")] {
        subject.assert_sees(shard, &[], &[(work.sent.name.as_str(), false)], "one by one").await;
        hand.settle(work, Settled::Done).await;
        subject.assert_sees(shard, &[], &[(next, false)], "in the order of places").await;
    }
    hand.settle(&urgent, Settled::Done).await;
    subject.assert_sees(shard, &[], &[], "all is done").await;
    let left: Vec<_> = subject.all().await.into_iter().map(|info| info.work.place).collect();
    assert_eq!(left, [beside[0].place, beside[1].place], "but for the line beside");

    hand.leave().await;
    the_blocker_is_gone_meanwhile(&subject).await;
    lines_end_well(&subject).await;
}

/// Between the reading of a piece and its settlement as held, what blocked it went away.
async fn the_blocker_is_gone_meanwhile(subject: &Subject) {
    let hand = subject.hand("b").await;
    for (round, ending) in [Settled::Done, dead(false), dead(true)].into_iter().enumerate() {
        for in_one_call in [false, true] {
            let key = format!("b{round}{in_one_call}");
            let sent = subject.send(["one", "two", "three"].map(|name| piece(&key, name))).await;
            let shard = sent[0].shard;
            let line = async || {
                let mut due = subject.due(shard).await;
                due.retain(|read| read.work.sent.key == key);
                due.into_iter().map(|read| (read.work.sent.name, read.is_blocked)).collect::<Vec<_>>()
            };
            hand.settle(&sent[0], retry(PAUSE)).await;
            let ending = [(&sent[0], ending.clone())];
            let held = [(&sent[2], Settled::Held), (&sent[1], Settled::Held)];
            if in_one_call {
                // In whatever order they stand in the call.
                hand.settle_all(held.into_iter().chain(ending)).await;
            } else {
                hand.settle_all(ending).await;
                hand.settle_all(held).await;
            }
            if round == 2 {
                assert_eq!(line().await, [], "a dead letter holds the line");
                assert_eq!(subject.discard(&[&sent[0]]).await, 1);
            }
            for (name, work) in [("two", &sent[1]), ("three", &sent[2])] {
                assert_eq!(
                    line().await,
                    [(name.to_owned(), false)],
                    "the first of those held is due at once"
                );
                // Held once more with nothing before it: it is not stuck.
                hand.settle(work, Settled::Held).await;
                assert_eq!(line().await, [(name.to_owned(), false)], "it is due again");
                hand.settle(work, Settled::Done).await;
            }
            assert_eq!(line().await, []);
        }
    }
    hand.leave().await;
}
