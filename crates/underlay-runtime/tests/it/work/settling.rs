//! What became of work is stored, whatever the store says to it.

use std::sync::atomic::Ordering;

use super::yard::{Act, Wrong, Yard, note};

#[tokio::test]
async fn what_cannot_be_settled_or_nobody_knows_is_settled_again() {
    for wrong in [Wrong::Unavailable, Wrong::Uncertain] {
        let yard = Yard::new();
        let process = yard.process("a");
        yard.book.script(
            |delivery, number| if number == 2 && delivery.attempt == 1 { Act::Fail } else { Act::Do },
        );
        process.gate.wrong.lock().unwrap().extend([wrong; 6]);
        let work = process.start();
        yard.send_notes("acme", "k", 1..=4).await;
        yard.pass_until(async || yard.left().await == 0).await;
        assert_eq!(yard.book.numbers("acme", "k", "begun"), [1, 2, 2, 3, 4], "nothing is done twice");
        yard.book.assert_in_order();
        assert!(process.gate.wrong.lock().unwrap().is_empty());
        work.stop().await;
    }
}

#[tokio::test]
async fn what_is_refused_for_good_holds_up_its_own_line_only() {
    let yard = Yard::new();
    let process = yard.process("a");
    let work = process.start();
    yard.book.script(|_, _| Act::Wait);
    yard.send_notes("acme", "bad", 1..=2).await;
    let bad = yard.store_first().await;
    for key in 0..20 {
        yard.send_notes("acme", &format!("k{key}"), 1..=2).await;
    }
    yard.until(async || yard.book.count("begun") == 21).await;
    *process.gate.refuses.lock().unwrap() = Some(bad.place);
    yard.book.gate.send_replace(true);
    // The two of the line that is refused are left.
    yard.pass_until(async || yard.left().await == 2).await;
    assert_eq!(yard.book.numbers("acme", "bad", "begun"), [1]);
    *process.gate.refuses.lock().unwrap() = None;
    yard.pass_until(async || yard.left().await == 0).await;
    assert_eq!(yard.book.numbers("acme", "bad", "done"), [1, 2]);
    yard.book.assert_in_order();
    work.stop().await;
}

#[tokio::test]
async fn while_one_batch_is_stored_the_next_gathers() {
    let yard = Yard::new();
    let process = yard.process_with("a", |config| underlay_runtime::EngineConfig {
        work_running_max: 1_000,
        work_tenant_running_max: 1_000,
        work_receiver_running_max: 1_000,
        ..config
    });
    for key in 0..200 {
        yard.send("acme", vec![note(&format!("k{key}"), 1)]).await;
    }
    yard.book.script(|_, _| Act::Wait);
    let work = process.start();
    yard.until(async || yard.book.count("begun") == 200).await;
    yard.book.gate.send_replace(true);
    yard.until(async || yard.left().await == 0).await;
    let settles = process.gate.settles.load(Ordering::Relaxed);
    assert!(settles <= 5, "200 pieces in {settles} calls");
    work.stop().await;
}
