//! Of a key one message at a time, in order, whatever fails.

use std::time::Duration;

use super::yard::{Act, MOMENT, POLL, Yard, note, order, tenant};
use underlay_core::WorkQueue;

#[tokio::test]
async fn every_key_keeps_its_order_while_attempts_fail() {
    let yard = Yard::new();
    let process = yard.process("a");
    // Every third message fails once, every fifth twice.
    yard.book.script(|delivery, number| match number {
        _ if number % 5 == 0 && delivery.attempt <= 2 => Act::Fail,
        _ if number % 3 == 0 && delivery.attempt <= 1 => Act::Fail,
        _ => Act::Do,
    });
    let work = process.start();
    for number in 1..=30 {
        for key in 0..6 {
            yard.send(["acme", "globex"][key % 2], vec![note(&format!("k{key}"), number)]).await;
        }
        if number % 4 == 0 {
            yard.settle_down().await;
        }
    }
    yard.pass_until(async || yard.left().await == 0).await;
    yard.book.assert_in_order();
    for key in 0..6 {
        let done = yard.book.numbers(["acme", "globex"][key % 2], &format!("k{key}"), "done");
        assert_eq!(done, (1..=30).collect::<Vec<u64>>());
    }
    assert!(yard.dead().await.is_empty());
    work.stop().await;
}

#[tokio::test]
async fn a_key_that_fails_holds_up_no_other() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|delivery, _| if delivery.key == "bad" { Act::Fail } else { Act::Do });
    yard.send_notes("acme", "bad", 1..=3).await;
    yard.send_notes("acme", "good", 1..=3).await;
    let work = process.start();
    yard.until(async || yard.book.numbers("acme", "good", "done") == [1, 2, 3]).await;
    assert_eq!(yard.book.numbers("acme", "bad", "begun"), [1], "the second waits for the first");
    work.stop().await;
}

#[tokio::test]
async fn a_page_from_before_a_failure_was_stored_overtakes_nobody() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|_, number| if number == 1 { Act::Wait } else { Act::Do });
    let work = process.start();
    yard.send("acme", vec![note("k", 1)]).await;
    yard.until(async || yard.book.count("begun") == 1).await;
    // The page says that nothing is before the second, and is on its way for long.
    process.gate.hold_pages(true);
    yard.send("acme", vec![note("k", 2)]).await;
    yard.until(async || process.gate.held_pages.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
    yard.book
        .script(|delivery, number| if number == 1 && delivery.attempt < 4 { Act::Fail } else { Act::Do });
    // The time of the attempt runs out, and the store hears so.
    yard.pass(super::yard::TIMEOUT + MOMENT).await;
    let head = yard.store.list_work(&Default::default(), Default::default(), 9).await.unwrap().work;
    assert_eq!(head[0].work.attempts, 1, "{head:?}");
    process.gate.hold_pages(false);
    yard.pass_until(async || yard.left().await == 0).await;
    assert_eq!(yard.book.numbers("acme", "k", "done"), [1, 2]);
    yard.book.assert_in_order();
    work.stop().await;
}

#[tokio::test]
async fn what_waits_in_memory_is_held_behind_a_failure() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book
        .script(|delivery, number| if number == 1 && delivery.attempt < 3 { Act::Fail } else { Act::Do });
    // All of them are in the first page.
    let all: Vec<_> = (1..=50).map(|number| note("k", number)).collect();
    yard.send("acme", all).await;
    let work = process.start();
    yard.pass_until(async || yard.left().await == 0).await;
    assert_eq!(yard.book.numbers("acme", "k", "done"), (1..=50).collect::<Vec<u64>>());
    yard.book.assert_in_order();
    work.stop().await;
}

#[tokio::test]
async fn a_dead_letter_holds_its_key_or_not_as_the_handler_says() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|_, number| if number == 1 { Act::FailForGood } else { Act::Do });
    yard.send_notes("acme", "k", 1..=3).await;
    for number in 1..=3 {
        yard.send("acme", vec![order("k", number)]).await;
    }
    let work = process.start();
    yard.pass(POLL * 3).await;
    let dead = yard.dead().await;
    assert_eq!(dead.len(), 2);
    assert_eq!(dead[0].work.last_error.as_deref(), Some("never"));
    // The scribe's second and third, and no order.
    assert_eq!(yard.book.numbers("acme", "k", "done"), [2, 3]);
    let letter = dead.iter().find(|letter| letter.work.sent.receiver == "clerk").unwrap().work.id;

    // A person mends what was wrong and replays it: it goes before those behind it.
    yard.book.script(|_, _| Act::Do);
    assert_eq!(yard.store.replay(&tenant("acme"), &[letter]).await.unwrap(), 1);
    let took = yard.pass_until(async || yard.left().await == 0).await;
    assert!(took <= POLL * 2, "{took:?}");
    assert_eq!(yard.book.numbers("acme", "k", "done"), [2, 3, 1, 2, 3]);
    let depths = yard.store.queue_depths(None).await.unwrap();
    assert_eq!(depths.iter().map(|depth| depth.dead).sum::<u64>(), 1);
    work.stop().await;
}

#[tokio::test]
async fn a_discarded_letter_lets_the_next_go() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|_, number| if number == 1 { Act::FailForGood } else { Act::Do });
    let work = process.start();
    for number in 1..=3 {
        yard.send("acme", vec![order("k", number)]).await;
    }
    yard.pass(POLL).await;
    let dead = yard.dead().await;
    assert_eq!((dead.len(), yard.left().await), (1, 2));
    yard.store.discard(&tenant("acme"), &[dead[0].work.id]).await.unwrap();
    yard.pass_until(async || yard.left().await == 0).await;
    assert_eq!(yard.book.numbers("acme", "k", "done"), [2, 3]);
    work.stop().await;
}

#[tokio::test]
async fn what_is_due_later_blocks_nobody_and_comes_in_time() {
    let yard = Yard::new();
    let process = yard.process("a");
    let work = process.start();
    let due = |seconds| {
        let now = underlay_core::Clock::now(&*yard.clock);
        now.saturating_add(Duration::from_secs(seconds)).unwrap()
    };
    yard.send("acme", vec![note("k", 9).with_due_at(due(5)), note("k", 1)]).await;
    yard.send("acme", vec![note("k", 2), note("k", 8).with_due_at(due(3))]).await;
    yard.until(async || yard.book.numbers("acme", "k", "done") == [1, 2]).await;
    yard.pass(Duration::from_millis(2_900)).await;
    assert_eq!(yard.book.count("done"), 2, "not before");
    yard.pass(MOMENT * 4).await;
    assert_eq!(yard.book.numbers("acme", "k", "done"), [1, 2, 8]);
    yard.pass(Duration::from_secs(2)).await;
    assert_eq!(yard.book.numbers("acme", "k", "done"), [1, 2, 8, 9]);
    work.stop().await;
}

#[tokio::test]
async fn a_line_that_never_rests_comes_out_of_its_failures() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|delivery, number| match number % 7 == 1 && delivery.attempt == 1 {
        true => Act::Fail,
        false => Act::Do,
    });
    let work = process.start();
    // There is always more of it, while what was before is held, released and tried again.
    for number in 1..=300 {
        yard.send("acme", vec![note("k", number)]).await;
        if number % 3 == 0 {
            yard.clock.advance(MOMENT);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    }
    let settled = process.gate.settles.load(std::sync::atomic::Ordering::Relaxed);
    yard.pass_until(async || yard.left().await == 0).await;
    yard.book.assert_in_order();
    assert_eq!(yard.book.numbers("acme", "k", "done"), (1..=300).collect::<Vec<u64>>());
    assert!(settled < 2_000, "{settled}");
    work.stop().await;
}

#[tokio::test]
async fn a_letter_that_is_replayed_while_its_line_goes_on_puts_nothing_out_of_order() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|_, number| match number {
        1 => Act::FailForGood,
        2 => Act::Wait,
        _ => Act::Do,
    });
    let work = process.start();
    yard.send_notes("acme", "k", 1..=4).await;
    // The first is dead and holds nobody, the second goes on, and two wait in memory.
    yard.until(async || yard.book.numbers("acme", "k", "begun") == [1, 2] && process.state().buffered == 3)
        .await;
    let letter = yard.dead().await[0].work.id;
    yard.store.replay(&tenant("acme"), &[letter]).await.unwrap();
    yard.book.script(|_, _| Act::Do);
    // These are read as standing behind the letter.
    yard.send_notes("acme", "k", 5..=8).await;
    yard.pass(POLL * 2).await;
    yard.book.gate.send_replace(true);
    yard.pass_until(async || yard.left().await == 0).await;
    let done = yard.book.numbers("acme", "k", "done");
    assert_eq!(done, [2, 1, 3, 4, 5, 6, 7, 8]);
    work.stop().await;
}
