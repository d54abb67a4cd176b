//! Who goes first.

use std::sync::atomic::Ordering;
use std::time::Duration;

use underlay_core::Clock;
use underlay_runtime::EngineConfig;

use super::yard::{Act, MOMENT, POLL, QueueIsEmpty, Yard, note, order};

#[tokio::test]
async fn a_flood_of_one_tenant_keeps_no_other_waiting() {
    let yard = Yard::new();
    let process = yard.process("a");
    for batch in 0..100 {
        let all = (0..200).map(|n| note(&format!("k{}", batch * 200 + n), 1)).collect();
        yard.send("flood", all).await;
    }
    yard.book.script(|delivery, _| if delivery.tenant.as_str() == "flood" { Act::Wait } else { Act::Do });
    let work = process.start();
    // The flood has all it may have.
    yard.until(async || yard.book.count("begun") == 32).await;
    yard.settle_down().await;
    let begun = yard.book.count("begun");
    yard.send("small", vec![note("k", 1)]).await;
    yard.until(async || yard.book.numbers("small", "k", "done") == [1]).await;
    assert_eq!(yard.book.count("begun"), begun + 1, "it starts at once");
    assert!(process.state().buffered < 4_096 / 2);

    // And all of the flood is done in the end.
    yard.book.script(|_, _| Act::Do);
    yard.book.gate.send_replace(true);
    yard.pass_until(async || yard.store.queue_is_empty().await).await;
    assert_eq!(yard.book.count("done"), 20_001);
    yard.book.assert_in_order();
    work.stop().await;
}

#[tokio::test]
async fn tenants_take_turns_however_many_have_much() {
    let yard = Yard::new();
    let process = yard.process_with("a", |config| EngineConfig {
        work_running_max: 4,
        work_tenant_running_max: 4,
        work_receiver_running_max: 4,
        ..config
    });
    for tenant in 0..20 {
        let all = (0..200).map(|n| note(&format!("k{n}"), 1)).collect();
        yard.send(&format!("flood{tenant}"), all).await;
    }
    let work = process.start();
    yard.until(async || yard.book.count("done") >= 100).await;
    let done = yard.book.count("done");
    yard.send("small", vec![note("k", 1)]).await;
    yard.until(async || yard.book.numbers("small", "k", "done") == [1]).await;
    let meanwhile = yard.book.count("done") - done;
    assert!(meanwhile <= 500, "{meanwhile} of 4,000 went before it");
    yard.pass_until(async || yard.store.queue_is_empty().await).await;
    assert_eq!(yard.book.count("done"), 4_001);
    work.stop().await;
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_other() {
    let yard = Yard::new();
    let process = yard.process("a");
    yard.book.script(|delivery, _| if delivery.key.starts_with("hangs") { Act::Wait } else { Act::Do });
    let work = process.start();
    for tenant in 0..10 {
        let all = (0..50).map(|n| note(&format!("hangs{n}"), 1)).collect();
        yard.send(&format!("t{tenant}"), all).await;
    }
    yard.settle_down().await;
    let hanging = yard.book.count("begun");
    assert!((32..=64).contains(&hanging), "{hanging}");
    for number in 1..=100 {
        yard.send("t0", vec![order("goes", number)]).await;
    }
    yard.until(async || yard.book.numbers("t0", "goes", "done").len() == 100).await;
    assert_eq!(yard.book.count("begun"), hanging + 100);
    yard.book.gate.send_replace(true);
    work.stop().await;
}

/// Little room.
fn small(config: EngineConfig) -> EngineConfig {
    EngineConfig { work_buffered_max: 512, work_tenant_buffered_max: 256, ..config }
}

/// More than a worker takes in, of one tenant or of many.
#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_other_however_much_waits_for_it() {
    for tenants in [1, 50] {
        let yard = Yard::new();
        let process = yard.process_with("a", small);
        yard.book.script(|delivery, _| if delivery.key.starts_with("hangs") { Act::Wait } else { Act::Do });
        for batch in 0..100 {
            let all = (0..5).flat_map(|n| {
                let key = format!("hangs{batch}-{n}");
                [note(&key, 1), note(&key, 2)]
            });
            yard.send(&format!("t{}", batch % tenants), all.collect()).await;
        }
        let work = process.start();
        yard.pass(POLL).await;
        for number in 1..=10 {
            yard.send("t0", vec![order("goes", number)]).await;
        }
        yard.pass(POLL * 12).await;
        assert_eq!(yard.book.numbers("t0", "goes", "done").len(), 10, "of {tenants} tenants");

        // And what waited for it is done once, in order.
        yard.book.gate.send_replace(true);
        yard.pass_until(async || yard.store.queue_is_empty().await).await;
        assert_eq!(yard.book.count("done"), 1_010);
        assert_eq!(yard.book.count("begun"), 1_010);
        yard.book.assert_in_order();
        work.stop().await;
    }
}

/// The same of what is due.
#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_other_however_much_is_due_for_it() {
    for tenants in [1, 50] {
        let yard = Yard::new();
        let process = yard.process_with("a", small);
        yard.book.script(|delivery, _| if delivery.key.starts_with("hangs") { Act::Wait } else { Act::Do });
        let soon = yard.clock.now().saturating_add(POLL).unwrap();
        for batch in 0..100 {
            let all = (0..10).map(|n| note(&format!("hangs{batch}-{n}"), 1).with_due_at(soon));
            yard.send(&format!("t{}", batch % tenants), all.collect()).await;
        }
        let later = soon.saturating_add(MOMENT).unwrap();
        let goes = (0..10).map(|n| order(&format!("goes{n}"), 1).with_due_at(later));
        yard.send("t0", goes.collect()).await;
        let work = process.start();
        yard.pass(POLL * 14).await;
        assert_eq!(yard.book.count("done"), 10, "of {tenants} tenants: {:?}", process.state());

        // And what waited for it is done once.
        yard.book.gate.send_replace(true);
        yard.pass_until(async || yard.store.queue_is_empty().await).await;
        assert_eq!(yard.book.count("done"), 1_010);
        assert_eq!(yard.book.count("begun"), 1_010);
        work.stop().await;
    }
}

/// It has as much to do as it can in a long time, and nobody else has anything.
#[tokio::test]
async fn what_a_slow_receiver_waits_for_is_done_in_order_and_at_its_pace() {
    let yard = Yard::new();
    let process = yard.process_with("a", small);
    yard.book.script(|_, _| Act::Beat(1, Duration::from_secs(1)));
    for batch in 0..100 {
        let all = (0..5).flat_map(|n| {
            let key = format!("k{batch}-{n}");
            [note(&key, 1), note(&key, 2)]
        });
        yard.send("acme", all.collect()).await;
    }
    let work = process.start();
    // 1,000 pieces of a second each, 32 at a time.
    let took = yard.pass_until(async || yard.store.queue_is_empty().await).await;
    assert!(took < Duration::from_secs(1_000 / 32 + 15), "{took:?}");
    assert_eq!(yard.book.count("done"), 1_000);
    assert_eq!(yard.book.count("begun"), 1_000);
    yard.book.assert_in_order();
    work.stop().await;
}

#[tokio::test]
async fn urgent_work_goes_first_and_normal_work_goes_too() {
    let yard = Yard::new();
    let process = yard.process_with("a", |config| EngineConfig { work_running_max: 1, ..config });
    for n in 0..300 {
        yard.send("acme", vec![note(&format!("normal{n}"), 1)]).await;
    }
    yard.book.script(|_, _| Act::Wait);
    let work = process.start();
    yard.until(async || process.state().buffered > 200).await;
    for n in 0..200 {
        yard.send("acme", vec![note(&format!("urgent{n}"), 1).urgent()]).await;
    }
    yard.settle_down().await;
    yard.book.script(|_, _| Act::Do);
    yard.book.gate.send_replace(true);
    yard.until(async || yard.store.queue_is_empty().await).await;
    let begun: Vec<String> =
        yard.book.all().into_iter().filter(|line| line.what == "begun").map(|line| line.key).collect();
    let urgent = begun[1..200].iter().filter(|key| key.starts_with("urgent")).count();
    assert!(urgent > 180, "{urgent} of the next 199");
    assert!(begun[1..100].iter().any(|key| key.starts_with("normal")), "normal work has its turns");
    work.stop().await;
}

#[tokio::test]
async fn a_hint_is_enough_and_so_is_a_poll() {
    let yard = Yard::new();
    let process = yard.process("a");
    let work = process.start();
    yard.settle_down().await;
    yard.send("acme", vec![note("k", 1)]).await;
    yard.until(async || yard.book.count("done") == 1).await;
    work.stop().await;

    // Of a process without hints, the polls are enough.
    let deaf = yard.deaf_process("b");
    let work = deaf.start();
    yard.pass(Duration::from_millis(200)).await;
    yard.send("acme", vec![note("k", 2)]).await;
    yard.settle_down().await;
    assert_eq!(yard.book.count("done"), 1);
    let took = yard.pass_until(async || yard.book.count("done") == 2).await;
    assert!(took <= POLL, "{took:?}");
    work.stop().await;
}

#[tokio::test]
async fn a_commit_wakes_nobody_but_for_its_own_work() {
    let yard = Yard::new();
    let process = yard.process("a");
    let work = process.start();
    yard.settle_down().await;
    let before = process.gate.reads.load(Ordering::Relaxed);
    yard.send("acme", vec![]).await;
    yard.settle_down().await;
    assert_eq!(process.gate.reads.load(Ordering::Relaxed), before, "a commit without work");
    yard.send("acme", vec![note("k", 1)]).await;
    yard.until(async || yard.book.count("done") == 1).await;
    assert_eq!(process.gate.reads.load(Ordering::Relaxed), before + 1, "one lane of one shard");
    work.stop().await;
}

#[tokio::test]
async fn a_heap_that_is_due_delays_nobody_elses() {
    let yard = Yard::new();
    let soon = yard.clock.now().saturating_add(POLL).unwrap();
    for number in 0..40 {
        let heap = (0..250).map(|n| note(&format!("k-{number}-{n}"), 1).with_due_at(soon)).collect();
        yard.send("heap", heap).await;
    }
    yard.send("acme", vec![note("one", 1).with_due_at(soon)]).await;
    let process = yard.process("a");
    let work = process.start();
    yard.pass(POLL * 2).await;
    let done = || yard.book.all().into_iter().filter(|line| line.what == "done");
    yard.pass_until(async || done().any(|line| line.tenant == "acme")).await;
    let before = done().take_while(|line| line.tenant != "acme").count();
    assert!(before < 4_000, "{before} of the heap before it");
    yard.pass_until(async || yard.book.count("done") == 10_001).await;
    work.stop().await;
}
