//! Who does the work of which shard, and what happens when a process ends, stands still or comes back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::yard::{Act, LEASE, MADE_BEYOND_A_TERM, MOMENT, POLL, Process, Yard, note};
use underlay_core::WorkQueue;
use underlay_core::limits::WORK_SHARDS;

const SHARDS: usize = WORK_SHARDS as usize;

/// Two processes that hold half of the shards each.
async fn two(yard: &Yard) -> (Process, Process) {
    let (first, second) = (yard.process("first"), yard.process("second"));
    let work = first.start();
    yard.until(async || first.shards() == SHARDS).await;
    let others = second.start();
    yard.pass_until(async || (first.shards(), second.shards()) == (SHARDS / 2, SHARDS / 2)).await;
    // They work until the test ends.
    std::mem::forget((work, others));
    (first, second)
}

async fn send_to_many_keys(yard: &Yard, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        for key in 0..40 {
            yard.send("acme", vec![note(&format!("k{key}"), number)]).await;
        }
    }
}

#[tokio::test]
async fn two_processes_share_the_work_and_do_none_of_it_twice() {
    let yard = Yard::new();
    let (first, second) = two(&yard).await;
    send_to_many_keys(&yard, 1..=5).await;
    yard.pass_until(async || yard.left().await == 0).await;
    yard.book.assert_in_order();
    assert_eq!(yard.book.count("done"), 200);
    let by =
        |name: &str| yard.book.all().iter().filter(|line| line.by == name && line.what == "done").count();
    assert!(by("first") > 50 && by("second") > 50, "{} {}", by("first"), by("second"));
    assert_eq!((first.state().lost_terms, second.state().lost_terms), (0, 0), "they were handed over");
}

#[tokio::test]
async fn work_that_flows_while_processes_come_and_go_is_done_once_and_in_order() {
    let yard = Yard::new();
    let first = yard.process("first");
    let work = first.start();
    let mut number = 0;
    let mut round = async || {
        number += 1;
        send_to_many_keys(&yard, number..=number).await;
        yard.pass(Duration::from_millis(300)).await;
    };
    for _ in 0..10 {
        round().await;
    }
    let (second, third) = (yard.process("second"), yard.process("third"));
    let (others, more) = (second.start(), third.start());
    for _ in 0..40 {
        round().await;
    }
    assert!(second.shards() >= 5 && third.shards() >= 5, "{} {}", second.shards(), third.shards());
    let ((), ()) = tokio::join!(work.stop(), async {
        for _ in 0..40 {
            round().await;
        }
    });
    others.stop().await;
    for _ in 0..20 {
        round().await;
    }
    yard.pass_until(async || yard.left().await == 0).await;
    yard.book.assert_in_order();
    assert_eq!(yard.book.count("done"), 110 * 40);
    assert_eq!(third.shards(), SHARDS);
    for process in [&first, &second, &third] {
        assert_eq!(process.state().lost_terms, 0);
    }
    more.stop().await;
}

#[tokio::test]
async fn a_process_that_is_killed_delays_its_keys_by_its_lease_and_a_second_at_most() {
    // Killed at any time since it last asked.
    for since in 0..8 {
        let yard = Yard::new();
        let (first, second) = two(&yard).await;
        yard.pass(LEASE / 24 * since).await;
        first.gate.pause();
        send_to_many_keys(&yard, 1..=1).await;
        yard.settle_down().await;
        assert!(yard.book.count("done") > 0 && yard.left().await > 0, "the second does its part");
        let took = yard.pass_until(async || yard.left().await == 0).await;
        assert!(took <= LEASE + Duration::from_secs(1), "{took:?}");
        assert_eq!(second.shards(), SHARDS);
        yard.book.assert_in_order();
    }
}

#[tokio::test]
async fn who_stood_still_in_an_attempt_settles_nothing_when_it_comes_back() {
    let yard = Yard::new();
    let (first, second) = two(&yard).await;
    yard.book.script(|_, _| Act::Wait);
    // One key for each process.
    let shards = first.state().shards;
    let key = |of_first: bool| {
        let is_it = |key: &String| {
            shards.contains(&underlay_core::Shard::of(&super::yard::tenant("acme"), key)) == of_first
        };
        (0..).map(|n: u32| format!("k{n}")).find(is_it).unwrap()
    };
    let mine = key(true);
    yard.send_notes("acme", &mine, 1..=3).await;
    yard.until(async || yard.book.count("begun") == 1).await;
    // Its calls do not come through any more, and its attempt goes on for longer than its lease.
    first.gate.pause();
    yard.pass(LEASE - POLL * 4).await;
    yard.book.script(|_, _| Act::Do);
    assert_eq!(yard.book.count("dropped"), 0);
    yard.pass(POLL * 5).await;
    if super::IS_DRIVEN {
        assert_eq!(yard.book.count("dropped"), 0, "its term is over, and the attempt goes on");
        assert!(yard.book.numbers("acme", &mine, "done").is_empty(), "the second waits for it");
    } else {
        assert_eq!(
            yard.book.count("dropped"),
            1,
            "its term is over by its own clock, and it drops the attempt"
        );
        assert_eq!(yard.book.numbers("acme", &mine, "done"), [1, 2, 3], "the second did all of it");
    }
    assert_eq!(first.shards(), 0);
    yard.book.gate.send_replace(true);
    first.gate.go_on();
    yard.pass_until(async || first.shards() == SHARDS / 2).await;
    assert_eq!(yard.book.count("done"), 3);
    assert_eq!(first.state().lost_terms, SHARDS as u64 / 2);
    assert_eq!(second.shards(), SHARDS / 2);
    yard.book.assert_in_order();
}

#[tokio::test]
async fn a_settlement_that_stood_still_is_refused_and_the_work_is_done_again() {
    let yard = Yard::new();
    let (first, second) = (yard.process("first"), yard.process("second"));
    let work = first.start();
    yard.until(async || first.shards() == SHARDS).await;
    yard.book.script(|_, _| Act::Wait);
    yard.send_notes("acme", "k", 1..=2).await;
    yard.until(async || yard.book.count("begun") == 1).await;
    first.gate.pause();
    // The attempt ends, and what became of it is on its way.
    yard.book.gate.send_replace(true);
    yard.until(async || yard.book.count("done") == 1).await;
    let others = second.start();
    yard.pass_until(async || yard.left().await == 0).await;
    let by: Vec<(String, u64)> = yard
        .book
        .all()
        .into_iter()
        .filter(|line| line.what == "done")
        .map(|line| (line.by, line.number))
        .collect();
    let again = [("second".to_owned(), 1)];
    let again = &again[..MADE_BEYOND_A_TERM - 1];
    assert_eq!(by, [&[("first".to_owned(), 1)], again, &[("second".to_owned(), 2)]].concat());
    first.gate.go_on();
    yard.pass(POLL * 20).await;
    assert_eq!(yard.book.count("done"), 1 + MADE_BEYOND_A_TERM);
    assert_eq!(first.shards() + second.shards(), SHARDS);
    tokio::join!(work.stop(), others.stop());
}

#[tokio::test]
async fn nothing_is_begun_after_the_term_is_over_by_the_own_clock() {
    let yard = Yard::new();
    let process =
        yard.process_with("a", |config| underlay_runtime::EngineConfig { work_running_max: 1, ..config });
    let work = process.start();
    yard.until(async || process.shards() == SHARDS).await;
    yard.book.script(|_, _| Act::Wait);
    for number in 1..=20 {
        yard.send("acme", vec![note(&format!("k{number}"), number)]).await;
    }
    yard.until(async || yard.book.count("begun") == 1 && process.state().buffered == 20).await;
    process.gate.pause();
    // The machine stood still: the time passed at once, and everything is due at the same moment.
    yard.clock.advance(LEASE);
    yard.book.gate.send_replace(true);
    yard.settle_down().await;
    assert_eq!(yard.book.count("begun"), 1, "{:?}", yard.book.all());
    assert_eq!((process.state().buffered, process.shards()), (0, 0));
    process.gate.go_on();
    yard.pass_until(async || yard.left().await == 0).await;
    assert_eq!(yard.book.count("begun"), 19 + MADE_BEYOND_A_TERM);
    work.stop().await;
}

#[tokio::test]
async fn who_stops_lets_its_attempts_end_and_hands_over_at_once() {
    let yard = Yard::new();
    let (first, second) = (yard.process("first"), yard.process("second"));
    let work = first.start();
    yard.until(async || first.shards() == SHARDS).await;
    yard.book.script(|_, _| Act::Wait);
    yard.send_notes("acme", "k", 1..=2).await;
    yard.until(async || yard.book.count("begun") == 1).await;
    let stopping = tokio::spawn(work.stop());
    yard.pass(POLL).await;
    assert!(!stopping.is_finished(), "it waits for the attempt");
    let others = second.start();
    yard.pass(MOMENT).await;
    yard.book.gate.send_replace(true);
    yard.until(async || stopping.is_finished()).await;
    assert_eq!(yard.book.numbers("acme", "k", "done"), [1], "and begins nothing more");
    assert_eq!(first.shards(), 0);
    let took = yard.pass_until(async || yard.left().await == 0).await;
    assert!(took <= LEASE / 3 + MOMENT, "{took:?}");
    assert_eq!(second.shards(), SHARDS);
    yard.book.assert_in_order();
    others.stop().await;
}

#[tokio::test]
async fn who_stops_drops_what_does_not_end_in_time() {
    let yard = Yard::new();
    let process = yard.process("a");
    let work = process.start();
    yard.until(async || process.shards() == SHARDS).await;
    yard.book.script(|_, _| Act::Wait);
    yard.send_notes("acme", "k", 1..=1).await;
    yard.until(async || yard.book.count("begun") == 1).await;
    let bound = process.engine.config().work_drain;
    let stopping = tokio::spawn(work.stop());
    yard.pass(bound - MOMENT).await;
    assert!(!stopping.is_finished());
    yard.pass(MOMENT * 2).await;
    assert!(stopping.is_finished());
    assert_eq!((yard.book.count("dropped"), yard.left().await), (1, 1));
    let left = yard.store_first().await;
    assert_eq!((left.attempts, left.last_error), (0, None), "it is no failure of the message");
}

#[tokio::test]
async fn work_that_is_dropped_stops_and_gives_its_shards_back() {
    let yard = Yard::new();
    let (first, second) = (yard.process("first"), yard.process("second"));
    let work = first.start();
    yard.until(async || first.shards() == SHARDS).await;
    drop(work);
    yard.settle_down().await;
    assert_eq!(first.shards(), 0);
    let others = second.start();
    yard.until(async || second.shards() == SHARDS).await;
    others.stop().await;
}

#[tokio::test]
async fn who_cannot_ask_works_until_its_lease_runs_out_and_goes_on_when_it_can_again() {
    let yard = Yard::new();
    let process = yard.process("a");
    let work = process.start();
    yard.until(async || process.shards() == SHARDS).await;
    let before = process.gate.shares.load(Ordering::Relaxed);
    process.gate.pause();
    yard.pass(LEASE + POLL).await;
    assert_eq!(process.shards(), 0);
    process.gate.go_on();
    yard.send_notes("acme", "k", 1..=2).await;
    yard.pass_until(async || yard.left().await == 0).await;
    assert!(process.gate.shares.load(Ordering::Relaxed) > before);
    assert_eq!(process.state().error, None);
    yard.book.assert_in_order();
    work.stop().await;
}

#[tokio::test]
async fn the_next_worker_starts_behind_what_is_done() {
    let yard = Yard::new();
    let process = yard.process("a");
    let work = process.start();
    send_to_many_keys(&yard, 1..=3).await;
    yard.until(async || yard.left().await == 0).await;
    yard.pass(LEASE / 2).await;
    work.stop().await;
    let probe = yard.worker("probe");
    let share = yard.store.share(&probe, LEASE, &[]).await.unwrap();
    assert_eq!(share.held.len(), SHARDS);
    let start = underlay_core::WorkPlace::START;
    for key in 0..40 {
        let shard = underlay_core::Shard::of(&super::yard::tenant("acme"), &format!("k{key}"));
        let held = share.held.iter().find(|held| held.term.shard == shard).unwrap();
        assert!(held.cursors[1] > start, "{held:?}");
    }
}

#[tokio::test]
async fn the_cursor_waits_for_what_is_not_settled() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|delivery, _| if delivery.key == "slow" { Act::Wait } else { Act::Do });
    let work = process.start();
    yard.until(async || process.shards() == SHARDS).await;
    yard.send("acme", vec![note("slow", 1)]).await;
    let slow = yard.store_first().await;
    send_to_many_keys(&yard, 1..=3).await;
    yard.pass(LEASE / 2).await;
    assert_eq!(yard.left().await, 1);
    // Killed: whoever is next must find it.
    process.gate.pause();
    yard.pass(LEASE + POLL).await;
    let probe = yard.worker("probe");
    let share = yard.store.share(&probe, LEASE, &[]).await.unwrap();
    let held = share.held.iter().find(|held| held.term.shard == slow.shard).unwrap();
    assert!(held.cursors[1] < slow.place);
    assert_ne!(held.cursors[1], underlay_core::WorkPlace::START, "and nobody reads from the start");
    std::mem::forget(work);
}

#[tokio::test]
async fn a_shard_that_was_to_be_given_back_and_is_kept_loses_nothing() {
    let yard = Yard::new();
    let process = yard.process("a");
    let work = process.start();
    yard.until(async || process.shards() == SHARDS).await;
    yard.book.script(|_, number| if number == 1 { Act::Wait } else { Act::Do });
    // One of each key goes on, and those behind it wait in memory.
    send_to_many_keys(&yard, 1..=6).await;
    yard.until(async || process.state().buffered == 240).await;
    let going_on = yard.book.count("begun");
    // Another worker comes, which wants half of the shards.
    let probe = yard.worker("probe");
    yard.store.share(&probe, LEASE, &[]).await.unwrap();
    // Pages of its shards are on their way while they drain.
    process.gate.hold_pages(true);
    let is_surplus = |key: &String| {
        let shard = underlay_core::Shard::of(&super::yard::tenant("acme"), key);
        usize::from(shard.number()) >= SHARDS / 2
    };
    for key in (0..40).map(|key| format!("k{key}")).filter(is_surplus) {
        yard.send_notes("acme", &key, 7..=8).await;
    }
    yard.until(async || process.gate.held_pages.load(Ordering::Relaxed) == 4).await;
    yard.pass(LEASE / 3 + MOMENT).await;
    assert!(!process.state().draining.is_empty() && process.state().buffered < 240, "{:?}", process.state());
    // The pages come, and are as old as what was forgotten.
    process.gate.hold_pages(false);
    yard.settle_down().await;
    // It leaves before it got any.
    yard.store.leave(&probe).await.unwrap();
    yard.pass(LEASE / 3 + MOMENT).await;
    assert!(process.state().draining.is_empty(), "{:?}", process.state());
    yard.book.gate.send_replace(true);
    yard.pass_until(async || yard.left().await == 0).await;
    yard.book.assert_in_order();
    let keys = (0..40).map(|key| format!("k{key}")).filter(is_surplus).count();
    assert_eq!((yard.book.count("done"), yard.book.count("dropped")), (240 + keys * 2, 0), "{going_on}");
    work.stop().await;
}

#[tokio::test]
async fn a_shard_that_is_to_be_given_back_again_has_all_of_its_time_again() {
    let yard = Yard::new();
    let process = yard.process("a");
    let work = process.start();
    yard.until(async || process.shards() == SHARDS).await;
    yard.book.script(|_, _| Act::Wait);
    let is_surplus = |key: &String| {
        let shard = underlay_core::Shard::of(&super::yard::tenant("acme"), key);
        usize::from(shard.number()) >= SHARDS / 2
    };
    let key = (0..).map(|key| format!("k{key}")).find(is_surplus).unwrap();
    yard.send_notes("acme", &key, 1..=1).await;
    yard.until(async || yard.book.count("begun") == 1).await;
    // Another worker comes, goes before it got any, and comes again.
    let probe = yard.worker("probe");
    let look = LEASE / 3 + MOMENT;
    yard.store.share(&probe, LEASE * 3, &[]).await.unwrap();
    yard.pass_until(async || !process.state().draining.is_empty()).await;
    let bound = process.engine.config().work_drain;
    yard.store.leave(&probe).await.unwrap();
    yard.pass(look).await;
    assert!(process.state().draining.is_empty(), "{:?}", process.state());
    yard.store.share(&probe, LEASE * 3, &[]).await.unwrap();
    yard.pass(look).await;
    assert!(!process.state().draining.is_empty(), "{:?}", process.state());
    // The time of the first is over, and that of the second is not.
    yard.pass(bound - look * 2 + MOMENT).await;
    assert_eq!(yard.book.count("dropped"), 0);
    yard.pass(look * 2).await;
    // Of an attempt that a scheduler drives only the waiting ends.
    assert_eq!(yard.book.count("dropped"), MADE_BEYOND_A_TERM - 1);
    work.stop().await;
}

#[tokio::test]
async fn a_worker_says_whom_it_waits_for() {
    let yard = Yard::new();
    let process = yard.process("a");
    let another =
        underlay_core::Worker { scheduler: "another".to_owned(), ..underlay_core::Worker::embedded("probe") };
    assert_eq!(yard.store.share(&another, LEASE, &[]).await.unwrap().held.len(), SHARDS);
    send_to_many_keys(&yard, 1..=2).await;
    let work = process.start();
    yard.until(async || process.state().waits_for.is_some()).await;
    let waits_for = underlay_core::WaitsFor { scheduler: "another".to_owned(), holder: "probe".to_owned() };
    assert_eq!((process.shards(), process.state().waits_for), (0, Some(waits_for)));
    assert_eq!((yard.left().await, yard.book.count("begun")), (80, 0), "it does nothing");
    yard.store.leave(&another).await.unwrap();
    yard.pass(LEASE / 3 + MOMENT).await;
    yard.until(async || yard.left().await == 0).await;
    assert_eq!((process.shards(), process.state().waits_for), (SHARDS, None));
    yard.book.assert_in_order();
    work.stop().await;
}
