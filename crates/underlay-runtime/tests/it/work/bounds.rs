//! What a worker has in memory, and how much of it goes on side by side.

use std::sync::atomic::Ordering;

use underlay_core::Outgoing;
use underlay_runtime::EngineConfig;

use super::yard::{Act, Note, QueueIsEmpty, Scribe, Yard, note};

/// A note of many bytes.
fn long(key: &str, bytes: usize) -> underlay_core::NewWork {
    let note = Note::Note { number: 1, text: "x".repeat(bytes) };
    Outgoing::message::<Scribe>(key, &note).into_work().unwrap()
}

#[tokio::test]
async fn a_flood_of_bytes_stays_within_its_bound() {
    const MOST: usize = 1 << 20;
    const EACH: usize = 40 << 10;
    let yard = Yard::new();
    let process = yard.process_with("a", |config| EngineConfig {
        work_buffered_bytes_max: MOST,
        work_tenant_buffered_bytes_max: MOST,
        ..config
    });
    // Ten times as much, of several tenants.
    for n in 0..50 {
        let tenant = ["acme", "globex", "initech"][n % 3];
        yard.send(tenant, (0..5).map(|m| long(&format!("k{n}-{m}"), EACH)).collect()).await;
    }
    yard.book.script(|_, _| Act::Wait);
    let work = process.start();
    yard.settle_down().await;
    let state = process.state();
    assert!(state.buffered_bytes > MOST / 8 && state.buffered_bytes <= MOST, "{}", state.buffered_bytes);
    assert!(process.gate.most_read.load(Ordering::Relaxed) * EACH <= 3 << 20, "a page is bounded too");
    yard.book.script(|_, _| Act::Do);
    yard.book.gate.send_replace(true);
    let most = async || process.state().buffered_bytes <= MOST;
    yard.pass_until(async || {
        assert!(most().await);
        yard.store.queue_is_empty().await
    })
    .await;
    assert_eq!(yard.book.count("done"), 250);
    work.stop().await;
}

#[tokio::test]
async fn a_piece_that_is_larger_than_all_the_room_is_done_too() {
    let yard = Yard::new();
    let process = yard.process_with("a", |config| EngineConfig {
        work_buffered_bytes_max: 4 << 10,
        work_tenant_buffered_bytes_max: 1 << 10,
        work_buffered_max: 8,
        work_tenant_buffered_max: 1,
        ..config
    });
    for n in 0..10 {
        yard.send("acme", vec![long(&format!("k{n}"), 100 << 10), note("small", n + 1)]).await;
    }
    let work = process.start();
    yard.pass_until(async || yard.store.queue_is_empty().await).await;
    assert_eq!(yard.book.count("done"), 20);
    yard.book.assert_in_order();
    work.stop().await;
}

#[tokio::test]
async fn the_smallest_bounds_are_enough() {
    let yard = Yard::new();
    let process = yard.process_with("a", |config| EngineConfig {
        work_running_max: 1,
        work_tenant_running_max: 1,
        work_receiver_running_max: 1,
        work_buffered_max: 8,
        work_tenant_buffered_max: 1,
        ..config
    });
    yard.book.script(|delivery, number| match number % 4 == 0 && delivery.attempt == 1 {
        true => Act::Fail,
        false => Act::Do,
    });
    for number in 1..=12 {
        for key in 0..5 {
            yard.send(["acme", "globex", "initech"][key % 3], vec![note(&format!("k{key}"), number)]).await;
        }
    }
    let work = process.start();
    yard.pass_until(async || yard.store.queue_is_empty().await).await;
    yard.book.assert_in_order();
    assert_eq!(yard.book.count("done"), 60);
    assert_eq!(yard.book.most_running.load(Ordering::Relaxed), 1);
    work.stop().await;
}

#[tokio::test]
async fn no_more_goes_on_than_may() {
    let yard = Yard::new();
    let process = yard.process_with("a", |config| EngineConfig {
        work_running_max: 10,
        work_tenant_running_max: 4,
        ..config
    });
    for n in 0..60 {
        yard.send(["acme", "globex", "initech", "hooli"][n % 4], vec![note(&format!("k{n}"), 1)]).await;
    }
    yard.book.script(|_, _| Act::Wait);
    let work = process.start();
    yard.settle_down().await;
    // Of one receiver half of all at most, and each tenant leaves as much free as it has.
    assert_eq!(yard.book.count("begun"), 4);
    for tenant in ["acme", "globex", "initech", "hooli"] {
        assert!(yard.book.all().iter().filter(|line| line.tenant == tenant).count() == 1);
    }
    assert_eq!(process.state().running, 4);
    yard.send("new", vec![note("k", 1), note("l", 1)]).await;
    yard.settle_down().await;
    assert_eq!(yard.book.count("begun"), 5, "whoever comes later begins at once");
    yard.send("acme", vec![super::yard::order("k", 1)]).await;
    yard.settle_down().await;
    assert_eq!(yard.book.count("begun"), 6, "and so does another receiver");
    yard.book.gate.send_replace(true);
    yard.until(async || yard.store.queue_is_empty().await).await;
    assert!(yard.book.most_running.load(Ordering::Relaxed) <= 10);
    work.stop().await;
}

#[tokio::test]
async fn a_quiet_worker_asks_for_nothing_but_by_its_polls() {
    let yard = Yard::new();
    let process = yard.process("a");
    let work = process.start();
    yard.settle_down().await;
    let before = process.gate.reads.load(Ordering::Relaxed);
    yard.pass(super::yard::POLL * 10).await;
    let reads = process.gate.reads.load(Ordering::Relaxed) - before;
    // Two lanes and what is due, of each shard.
    assert!(reads <= 11 * 16 * 3, "{reads} reads in ten polls");
    work.stop().await;
}
