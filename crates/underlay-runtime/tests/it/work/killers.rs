//! Work that ends the process that does it, and work that is there when a process is killed.

use super::yard::{Act, LEASE, MOMENT, Process, QueueIsEmpty, Yard, note};

const INNOCENTS: usize = 200;

async fn fill(yard: &Yard) {
    let innocents = (0..INNOCENTS).map(|n| note(&format!("k-{n}"), 1)).collect();
    yard.send("acme", innocents).await;
    yard.send_notes("acme", "killer", 1..=2).await;
    let more = (0..INNOCENTS).map(|n| note(&format!("k-{n}"), 2)).collect();
    yard.send("acme", more).await;
}

/// Ends a process as a kill does: it does nothing more, and gives nothing back.
async fn kill(yard: &Yard, process: Process, work: underlay_runtime::RunningWork) {
    process.gate.pause();
    drop(work);
    yard.pass(LEASE + MOMENT).await;
}

#[tokio::test]
async fn work_that_kills_its_process_is_given_up_and_nothing_else_is() {
    let yard = Yard::new();
    yard.book.script(|delivery, _| if delivery.key == "killer" { Act::Wait } else { Act::Do });
    fill(&yard).await;
    let mut kills = 0;
    while yard.dead().await.is_empty() {
        assert!(kills < 10, "it goes on killing");
        let process = yard.process(&format!("p-{kills}"));
        let work = process.start();
        let begun = || yard.book.numbers("acme", "killer", "begun").len();
        let before = begun();
        yard.pass_until(async || begun() > before || !yard.dead().await.is_empty()).await;
        if yard.dead().await.is_empty() {
            kills += 1;
            kill(&yard, process, work).await;
        } else {
            // The next of its line has its turn.
            yard.book.gate.send_replace(true);
            work.stop().await;
        }
    }
    let dead = yard.dead().await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(dead[0].work.sent.key, "killer");
    let reason = dead[0].work.last_error.clone().unwrap();
    assert!(reason.contains("begun 5 times") && reason.contains("WORK_BEGUN_MAX"), "{reason}");
    // Once before anybody was suspected, and then as often as may be.
    assert_eq!(kills, 6);
    // The others are done all the same.
    yard.book.script(|_, _| Act::Do);
    let process = yard.process("last");
    let work = process.start();
    yard.pass_until(async || yard.store.queue_is_empty().await).await;
    assert_eq!(yard.dead().await.len(), 1);
    work.stop().await;
}

#[tokio::test]
async fn a_process_that_is_killed_over_and_over_gives_up_nothing_that_is_innocent() {
    let yard = Yard::new();
    yard.book.script(|_, _| Act::Wait);
    fill(&yard).await;
    for number in 0..4 {
        let process = yard.process(&format!("p-{number}"));
        let work = process.start();
        let begun = yard.book.count("begun");
        yard.pass_until(async || yard.book.count("begun") > begun).await;
        kill(&yard, process, work).await;
    }
    yard.book.script(|_, _| Act::Do);
    let process = yard.process("last");
    let work = process.start();
    yard.pass_until(async || yard.store.queue_is_empty().await).await;
    assert_eq!(yard.dead().await, []);
    assert_eq!(yard.book.numbers("acme", "k-0", "done"), [1, 2]);
    work.stop().await;
}
