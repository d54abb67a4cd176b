//! How often and for how long a message is tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::yard::{Act, MOMENT, Note, POLL, TIMEOUT, Yard, note};
use underlay_core::{Attempts, Delivery, Handled, Handler, HandlerError, WorkStanding};
use underlay_runtime::Registry;

#[tokio::test]
async fn attempts_are_used_up_and_each_pause_is_drawn_within_its_bound() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|_, _| Act::Fail);
    let work = process.start();
    yard.send("acme", vec![note("k", 1)]).await;
    // 200 + 400 + 800 + 1,600 milliseconds at most, and a moment for each.
    let took = yard.pass_until(async || yard.dead().await.len() == 1).await;
    assert!(took <= Duration::from_millis(3_000) + MOMENT * 8, "{took:?}");
    assert_eq!(yard.book.count("failed"), 5);
    let attempts: Vec<u32> =
        yard.book.all().iter().filter(|l| l.what == "begun").map(|l| l.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5]);
    let dead = &yard.dead().await[0];
    assert!(matches!(dead.standing, WorkStanding::Dead { is_final: false, holds: false, .. }), "{dead:?}");
    assert_eq!(dead.work.last_error.as_deref(), Some("not\u{fffd}now"), "no store keeps a NUL");
    let state = process.state();
    let scribe = state.receivers.iter().find(|of| of.receiver == "scribe").unwrap();
    assert_eq!((scribe.done, scribe.failed, scribe.dead), (0, 5, 1));
    work.stop().await;
}

#[tokio::test]
async fn pauses_are_as_long_whatever_the_clock_of_the_process_says() {
    for seconds in [-3_600, 3_600] {
        let yard = Yard::new();
        let process = yard.process_ahead("a", seconds);
        yard.book.script(|_, _| Act::Fail);
        let work = process.start();
        yard.send("acme", vec![note("k", 1)]).await;
        yard.until(async || yard.book.count("failed") == 1).await;
        yard.settle_down().await;
        assert_eq!(yard.book.count("begun"), 1, "the time stands still");
        let took = yard.pass_until(async || yard.dead().await.len() == 1).await;
        assert!(took <= Duration::from_millis(3_000) + MOMENT * 8, "{seconds}: {took:?}");
        assert_eq!(yard.book.count("failed"), 5);
        work.stop().await;
    }
}

#[tokio::test]
async fn a_final_failure_ends_at_once() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|_, _| Act::FailForGood);
    let work = process.start();
    yard.send("acme", vec![note("k", 1)]).await;
    yard.until(async || yard.dead().await.len() == 1).await;
    let dead = &yard.dead().await[0];
    assert!(matches!(dead.standing, WorkStanding::Dead { is_final: true, .. }), "{dead:?}");
    assert_eq!(yard.book.count("begun"), 1);
    work.stop().await;
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_the_worker_goes_on() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book
        .script(|delivery, number| if number == 1 && delivery.attempt == 1 { Act::Panic } else { Act::Do });
    let work = process.start();
    yard.send_notes("acme", "k", 1..=2).await;
    yard.send_notes("acme", "l", 2..=3).await;
    yard.until(async || yard.book.numbers("acme", "l", "done") == [2, 3]).await;
    let left = yard.store_first().await;
    assert_eq!(left.last_error.as_deref(), Some("it panicked: a bug in a handler"));
    yard.pass_until(async || yard.left().await == 0).await;
    assert_eq!(yard.book.numbers("acme", "k", "done"), [1, 2]);
    work.stop().await;
}

#[tokio::test]
async fn an_attempt_that_hangs_ends_with_its_time() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|delivery, _| if delivery.attempt == 1 { Act::Wait } else { Act::Do });
    let work = process.start();
    yard.send("acme", vec![note("k", 1)]).await;
    yard.pass(TIMEOUT - MOMENT).await;
    assert_eq!(yard.book.count("dropped"), 0);
    yard.pass(MOMENT * 2).await;
    assert_eq!(yard.book.count("dropped"), 1, "{:?}", yard.book.all());
    yard.pass_until(async || yard.left().await == 0).await;
    assert_eq!(yard.book.numbers("acme", "k", "done"), [1]);
    work.stop().await;
}

#[tokio::test]
async fn heartbeats_prolong_an_attempt() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|_, _| Act::Beat(5, TIMEOUT - POLL));
    let work = process.start();
    yard.send("acme", vec![note("k", 1)]).await;
    yard.pass((TIMEOUT - POLL) * 5 + POLL).await;
    assert_eq!(yard.book.numbers("acme", "k", "done"), [1], "{:?}", yard.book.all());
    assert_eq!(yard.book.count("dropped"), 0);
    assert_eq!(yard.left().await, 0);
    assert_eq!(yard.book.running.load(Ordering::Relaxed), 0);
    work.stop().await;
}

/// Says how often it is tried when it is registered, and never again.
struct Broken(Arc<AtomicU32>);

impl Handler for Broken {
    const NAME: &'static str = "scribe";
    type Message = Note;

    fn attempts(&self) -> Attempts {
        assert_eq!(self.0.fetch_add(1, Ordering::Relaxed), 0, "a bug in how often it is tried");
        Attempts::default()
    }

    async fn handle(&self, _: Note, _: &Delivery) -> Result<Handled, HandlerError> {
        Ok(Handled::done())
    }
}

#[tokio::test]
async fn a_panic_in_how_often_it_is_tried_is_a_failed_attempt_too() {
    let yard = Yard::new();
    let asked = Arc::new(AtomicU32::new(0));
    let process = yard.process_of("a", Registry::default().handler(Broken(asked.clone())), |config| config);
    let work = process.start();
    yard.send("acme", vec![note("k", 1)]).await;
    yard.pass(POLL * 5).await;
    let left = yard.store_first().await;
    assert_eq!(left.attempts, asked.load(Ordering::Relaxed) - 1, "each is counted");
    assert!(left.attempts < 20, "and followed by a pause: {} attempts", left.attempts);
    assert!(left.last_error.unwrap().starts_with("it panicked: "));
    work.stop().await;
}
