use std::time::Duration;

use underlay_core::{Settled, Work, WorkId, WorkStanding};

use super::Subject;
use super::subject::{dead, piece, retry};
use crate::WorkQueueFixture;
use crate::concurrent::together;

/// Sentence 14: a dead letter blocks its key where it holds it, and otherwise lets the next go.
pub async fn a_dead_letter_holds_its_key_or_not<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let hand = subject.hand("a").await;
    for (round, holds) in [true, false].into_iter().enumerate() {
        for is_tried_before in [false, true] {
            let key = format!("{round}{is_tried_before}");
            let sent = subject.send(["dead", "held", "ready"].map(|name| piece(&key, name))).await;
            let (letter, held, shard) = (&sent[0], &sent[1], sent[0].shard);
            if is_tried_before {
                hand.settle(letter, retry(Duration::ZERO)).await;
                hand.settle(held, Settled::Held).await;
            }
            let attempts = u32::from(is_tried_before) + 1;
            let error = "there is no such address".to_owned();
            hand.settle(letter, Settled::Dead { error: error.clone(), is_final: !is_tried_before, holds })
                .await;
            let info = subject.look(letter).await.expect("it is kept");
            let died_at = subject.now();
            assert_eq!(info.standing, WorkStanding::Dead { died_at, is_final: !is_tried_before, holds });
            assert_eq!((info.work.attempts, info.work.last_error), (attempts, Some(error)));
            assert_eq!((&info.work.sent, info.work.place), (&letter.sent, letter.place), "as it was sent");
            let (ready, due): (&[_], &[_]) = match (holds, is_tried_before) {
                (true, false) => (&[("held", true), ("ready", true)], &[]),
                (true, true) => (&[("ready", true)], &[]),
                (false, false) => (&[("held", false), ("ready", false)], &[]),
                (false, true) => (&[("ready", true)], &[("held", false)]),
            };
            subject.assert_sees(shard, ready, due, "a dead letter is not read").await;
            // A person has it now: whatever a worker says of it changes nothing.
            let before = subject.all().await;
            for settled in [Settled::Done, retry(Duration::ZERO), Settled::Held, dead(!holds)] {
                hand.settle(letter, settled).await;
                assert_eq!(subject.all().await, before, "a dead letter is a person's");
            }
            subject.pass(Duration::from_secs(60));
            subject.assert_sees(shard, ready, due, "time changes nothing").await;
            subject.discard(&[letter]).await;
            hand.settle_all(sent.iter().map(|work| (work, Settled::Done))).await;
            assert_eq!(subject.all().await, []);
        }
    }
}

/// Sentence 16: a replayed dead letter is due at once, before what stands behind it, with no attempts counted; a
/// discarded one is gone, and the next goes; of several who decide, one does.
pub async fn dead_letters_are_replayed_or_discarded<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let hand = subject.hand("a").await;
    let sent = subject.send(["dead", "held", "ready"].map(|name| piece("a", name))).await;
    let (letter, held, ready) = (&sent[0], &sent[1], &sent[2]);
    let shard = letter.shard;
    hand.settle(letter, retry(Duration::ZERO)).await;
    hand.settle(held, Settled::Held).await;
    for _ in 0..2 {
        hand.settle(letter, dead(true)).await;
        assert_eq!(subject.replay(&[letter, letter]).await, 1, "it is replayed once");
        let info = subject.look(letter).await.expect("it is tried again");
        assert_eq!((info.standing, info.work.sent.due_at), (WorkStanding::Later, Some(subject.now())));
        assert_eq!(info.work.attempts, 0, "its attempts count anew");
        assert_eq!(info.work.last_error.as_deref(), Some("there is no such address"), "and it says why");
        assert_eq!((info.work.id, info.work.place), (letter.id, letter.place));
        let due = [("dead", false)];
        subject.assert_sees(shard, &[("ready", true)], &due, "the replayed goes before the others").await;
        // Only dead letters are replayed and discarded, and only those that there are.
        let before = subject.all().await;
        let nothing = Work { id: WorkId::of(&subject.tenant, letter.commit_id, 7), ..letter.clone() };
        for letters in [&[letter, held, ready, &nothing][..], &[]] {
            assert_eq!(subject.replay(letters).await, 0);
            assert_eq!(subject.discard(letters).await, 0);
            assert_eq!(subject.all().await, before, "nothing is decided of what is not dead");
        }
    }
    hand.settle(letter, retry(Duration::ZERO)).await;
    assert_eq!(subject.look(letter).await.map(|info| info.work.attempts), Some(1));
    hand.settle(letter, dead(true)).await;
    assert_eq!(subject.discard(&[letter, &sent[1], letter]).await, 1);
    assert_eq!(subject.look(letter).await, None, "what was discarded is gone");
    subject.assert_sees(shard, &[("ready", true)], &[("held", false)], "the next goes").await;
    hand.settle(held, Settled::Done).await;
    subject.assert_sees(shard, &[("ready", false)], &[], "then the rest").await;
    hand.settle(ready, Settled::Done).await;

    // A letter that held nothing goes before what came after it, and does not push out what is under way.
    let sent = subject.send(["old", "head", "behind"].map(|name| piece("a", name))).await;
    hand.settle(&sent[0], dead(false)).await;
    hand.settle(&sent[1], retry(Duration::ZERO)).await;
    hand.settle(&sent[2], Settled::Held).await;
    assert_eq!(subject.replay(&[&sent[0]]).await, 1);
    subject.pass(Duration::from_secs(1));
    let mut due = subject.due(shard).await;
    due.sort_by_key(|read| read.work.place);
    assert_eq!(super::subject::names(&due), [("old", false), ("head", true)], "the lower place is first");
    hand.settle(&sent[1], Settled::Held).await;
    subject.assert_sees(shard, &[], &[("old", false)], "one at a time").await;
    hand.settle(&sent[0], Settled::Done).await;
    subject.assert_sees(shard, &[], &[("head", false)], "then the next").await;
    hand.settle(&sent[1], Settled::Done).await;
    subject.assert_sees(shard, &[], &[("behind", false)], "and the last").await;
    hand.settle(&sent[2], Settled::Done).await;
    assert_eq!(subject.all().await, []);

    hand.leave().await;
    several_of_a_line(&subject).await;
    decided_by_several(&subject).await;
}

/// Dead letters of one line, decided in one call.
async fn several_of_a_line(subject: &Subject) {
    let hand = subject.hand("c").await;
    for replays in [true, false] {
        let sent = subject.send(["one", "two", "three"].map(|name| piece("c", name))).await;
        let shard = sent[0].shard;
        hand.settle_all([(&sent[0], dead(false)), (&sent[1], dead(true)), (&sent[2], Settled::Held)]).await;
        subject.assert_sees(shard, &[], &[], "the line is held").await;
        let letters = [&sent[1], &sent[0]];
        if replays {
            assert_eq!(subject.replay(&letters).await, 2);
            let due = [("one", false), ("two", true)];
            subject.assert_sees(shard, &[], &due, "in the order of places").await;
            hand.settle(&sent[1], Settled::Held).await;
            for work in &sent {
                subject.assert_sees(shard, &[], &[(&work.sent.name, false)], "one by one").await;
                hand.settle(work, Settled::Done).await;
            }
        } else {
            assert_eq!(subject.discard(&letters).await, 2);
            subject.assert_sees(shard, &[], &[("three", false)], "the next goes").await;
            hand.settle(&sent[2], Settled::Done).await;
        }
        assert_eq!(subject.all().await, []);
    }
    hand.leave().await;
}

/// Of all that replay or discard a letter at the same time, one does.
async fn decided_by_several(subject: &Subject) {
    let hand = subject.hand("b").await;
    for round in 0..8 {
        let sent = subject.send(["dead", "next"].map(|name| piece("b", name))).await;
        hand.settle(&sent[0], dead(true)).await;
        hand.settle(&sent[1], Settled::Held).await;
        let decide = |number: usize| {
            let (subject, letter) = (subject.clone(), sent[0].clone());
            async move {
                if number % 2 == round % 2 {
                    (true, subject.replay(&[&letter]).await)
                } else {
                    (false, subject.discard(&[&letter]).await)
                }
            }
        };
        let decided = together((0..6).map(decide)).await;
        assert_eq!(decided.iter().map(|(_, count)| count).sum::<usize>(), 1, "one decides: {decided:?}");
        let is_replayed = decided.iter().any(|(replays, count)| *replays && *count == 1);
        assert_eq!(subject.look(&sent[0]).await.is_some(), is_replayed);
        let due = if is_replayed { "dead" } else { "next" };
        subject.assert_sees(sent[0].shard, &[], &[(due, false)], "as was decided").await;
        hand.settle_all(sent.iter().map(|work| (work, Settled::Done))).await;
        assert_eq!(subject.all().await, []);
    }
}
