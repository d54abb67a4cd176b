//! Timers that a scheduler begins: by its own clock, or by the moment of the store, whichever comes first.

use std::time::Duration;

use underlay_core::{WorkInfo, WorkQueue, WorkStanding};

use super::clocks::Clocks;
use super::notes::{PANICS, TIMER, acme, collecting, note};

/// Long after the timers of these tests are set.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// How long the timers of these tests wait.
const DELAY: u32 = 1_000;

/// Sets the timer, and waits until it is told of.
async fn timer_is_set() -> Clocks {
    let mut clocks = Clocks::new();
    clocks.start(collecting::<false, 1>());
    note(&clocks.house, "a", &[TIMER + DELAY]).await;
    clocks.until("the timer is set", async || clocks.collected("a").await == [TIMER + DELAY]).await;
    clocks.until("the timer alone waits", async || clocks.work(false).await.len() == 1).await;
    clocks.settle_down().await;
    clocks
}

#[tokio::test]
async fn a_timer_is_begun_by_the_clock_of_its_scheduler_and_settled_by_the_moment_of_the_store() {
    let clocks = timer_is_set().await;
    clocks.of_scheduler.advance(HOUR);
    clocks.until("the timer rang", async || clocks.collected("a").await == [TIMER + DELAY, 0]).await;
    clocks.settle_down().await;
    let waits = clocks.work(false).await;
    assert_eq!(waits.len(), 1, "only a settlement takes a piece away, and its moment has not come");
    assert_eq!((&waits[0].standing, waits[0].work.attempts), (&WorkStanding::Later, 0));

    clocks.house.clock.advance(HOUR);
    clocks.until("it is settled", async || clocks.work(false).await.is_empty()).await;
    assert_eq!(clocks.collected("a").await, [TIMER + DELAY, 0], "it rang once");
    clocks.stop().await;
}

#[tokio::test]
async fn a_timer_is_begun_by_the_moment_of_the_store_where_its_scheduler_comes_later_or_never() {
    let clocks = timer_is_set().await;
    // All that it was told of is lost too.
    clocks.house.scheduler.as_ref().unwrap().forget();
    clocks.house.clock.advance(HOUR);
    clocks.until("it is settled", async || clocks.work(false).await.is_empty()).await;
    assert_eq!(clocks.collected("a").await, [TIMER + DELAY, 0]);
    clocks.of_scheduler.advance(HOUR);
    clocks.settle_down().await;
    assert_eq!(clocks.collected("a").await, [TIMER + DELAY, 0], "it rang once");
    clocks.stop().await;
}

#[tokio::test]
async fn a_timer_whose_line_is_held_waits_for_the_line() {
    let clocks = timer_is_set().await;
    note(&clocks.house, "a", &[PANICS]).await;
    // The input fails as often as it may. Its pauses are short, and the timer waits for longer.
    for _ in 0..100 {
        clocks.settle_down().await;
        if !clocks.work(true).await.is_empty() {
            break;
        }
        clocks.pass(Duration::from_secs(2));
    }
    let dead = clocks.work(true).await;
    assert!(
        matches!(dead[..], [WorkInfo { standing: WorkStanding::Dead { holds: true, .. }, .. }]),
        "{dead:?}"
    );

    clocks.of_scheduler.advance(HOUR);
    clocks.settle_down().await;
    clocks.house.clock.advance(HOUR);
    clocks.settle_down().await;
    assert_eq!(clocks.collected("a").await, [TIMER + DELAY], "a dead letter holds the line");

    assert_eq!(clocks.house.log.discard(&acme(), &[dead[0].work.id]).await.unwrap(), 1);
    clocks.house.clock.advance(Duration::from_secs(2));
    clocks.until("the timer rang", async || clocks.work(false).await.is_empty()).await;
    assert_eq!(clocks.collected("a").await, [TIMER + DELAY, 0]);
    clocks.stop().await;
}
