//! Commits that come close together are stored as one, and none of them waits for the next poll.

use std::time::Duration;

use underlay_core::Position;

use crate::shared::{MOMENT, Process, Shared};
use crate::views::{LONG, row, rows};

/// A process that has folded two commits at one moment, and has stored the first alone.
async fn one_stored_and_one_held(shared: &Shared) -> Process {
    let process = shared.process("first");
    // It runs until the test ends.
    std::mem::forget(process.start());
    shared.deposit("a").await;
    shared.until(async || shared.stored().await == 1).await;
    shared.deposit("a").await;
    shared.until(async || process.folded() == 2).await;
    assert_eq!(shared.stored().await, 1, "it has stored at this very moment");
    process
}

/// Somebody waits for what is far away, and does not stay.
async fn comes_and_goes(process: &Process) {
    let far = Position::from_number(1_000);
    tokio::select! {
        biased;
        reached = process.engine.wait_for_view("balances", far, LONG) => panic!("{reached:?}"),
        () = std::future::ready(()) => {}
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_held_is_stored_within_a_moment_whatever_wakes_the_view() {
    let shared = Shared::new();
    let process = one_stored_and_one_held(&shared).await;
    comes_and_goes(&process).await;
    shared.pass(MOMENT).await;
    assert_eq!(shared.stored().await, 2);
}

#[tokio::test]
async fn who_waits_for_what_is_held_is_heard_whatever_woke_the_view_before() {
    let shared = Shared::new();
    let process = one_stored_and_one_held(&shared).await;
    comes_and_goes(&process).await;
    // The clock stands still: nothing but the wait can end the pause.
    let waiting = process.engine.wait_for_view("balances", Position::from_number(2), LONG);
    tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("it is heard").unwrap();
    assert_eq!(rows(&process.engine).await, [row("a", 2, 2)]);
}
