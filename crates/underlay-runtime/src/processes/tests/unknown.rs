//! What no program can do that has its attempts driven.

use std::time::Duration;

use underlay_core::{Commit, CommitId, EventStore, ExpectedVersion, NewEvent, StreamName};

use super::clocks::Clocks;
use super::newer::{NewerCollect, NewerNote};
use super::notes::{acme, collecting, note};
use crate::Registry;

/// Shorter than the time in which a worker renews its lease.
const MOMENT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn what_no_program_can_do_is_left_after_a_time_and_keeps_no_room() {
    let mut clocks = Clocks::new();
    // A newer program has routed the events, and was not there any more to take the steps.
    let newer = || Registry::default().process(NewerCollect);
    let crossed_out = NewEvent::encode(&NewerNote::CrossedOut { number: 10 }).unwrap();
    let stream = StreamName::new("note", "a").unwrap();
    let commit = Commit::new(CommitId::draw()).append(stream, ExpectedVersion::Any, vec![crossed_out]);
    clocks.house.log.commit(&acme(), commit).await.unwrap();
    note(&clocks.house, "a", &[11]).await;
    note(&clocks.house, "b", &[12]).await;
    clocks.house.program(newer()).follow().await.unwrap();

    clocks.start(collecting::<false, 1>());
    let running = |clocks: &Clocks| clocks.engine().worker_state().unwrap().running;
    clocks.until("others go on", async || clocks.collected("b").await == [12]).await;
    clocks.settle_down().await;
    assert_eq!(running(&clocks), 1, "a newer program may come");
    let mut waited = Duration::ZERO;
    while running(&clocks) > 0 {
        assert!(waited < Duration::from_secs(60), "it keeps its room");
        clocks.pass(MOMENT);
        waited += MOMENT;
        clocks.settle_down().await;
    }
    assert!(waited > Duration::from_secs(20), "it was left after {waited:?}");
    let waits = clocks.work(false).await;
    assert!(waits.len() == 2 && waits.iter().all(|info| info.work.attempts == 0), "{waits:?}");

    let mut clocks = clocks.stop().await;
    clocks.start(newer());
    clocks.settle_down().await;
    clocks.pass(Duration::from_secs(1));
    clocks.until("the newer one goes on", async || clocks.work(false).await.is_empty()).await;
    assert_eq!(clocks.collected("a").await, [11]);
    clocks.stop().await;
}
