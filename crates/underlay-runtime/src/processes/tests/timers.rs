//! Timers that a scheduler begins: by its own clock, or by the moment of the store, whichever comes first.

use std::sync::Arc;
use std::time::Duration;

use underlay_core::memory::MemoryScheduler;
use underlay_core::{ManualClock, Timestamp, WorkFilter, WorkInfo, WorkPlace, WorkQueue, WorkStanding};

use super::house::House;
use super::notes::{Numbers, PANICS, TIMER, acme, collecting, note};
use crate::{Engine, RunningWork};

/// Long after the timers of these tests are set.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// How long the timers of these tests wait.
const DELAY: u32 = 1_000;

/// An engine, whose time and that of the store is one, and that of its scheduler another. Both stand still.
struct Clocks {
    house: House,
    engine: Engine,
    running: RunningWork,
    of_scheduler: Arc<ManualClock>,
}

impl Clocks {
    fn start() -> Self {
        let of_scheduler = Arc::new(ManualClock::new(Timestamp::from_second(1_000_000).unwrap()));
        let scheduler = MemoryScheduler::new(of_scheduler.clone()).with_grace(Duration::ZERO);
        let mut house = House::new();
        house.scheduler = Some(scheduler);
        let engine = house.engine_by(house.clock.clone(), collecting::<false, 1>());
        let running = engine.start_work();
        Self { house, engine, running, of_scheduler }
    }

    async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        for _ in 0..100_000 {
            if is_so().await {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{what}: it never comes to that, {:?}", self.work(false).await);
    }

    /// Lets everybody work, while the time stands still.
    async fn settle_down(&self) {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    }

    async fn work(&self, dead: bool) -> Vec<WorkInfo> {
        let filter = WorkFilter { dead, ..WorkFilter::default() };
        self.house.log.list_work(&filter, WorkPlace::START, 100).await.unwrap().work
    }

    async fn collected(&self) -> Vec<u32> {
        match self.engine.process(&acme(), "collect", "a").await {
            Ok(shown) => {
                shown.state.map(|state| state.decode::<Numbers>().unwrap().numbers).unwrap_or_default()
            }
            Err(_) => Vec::new(),
        }
    }

    /// Sets the timer, and waits until it is told of.
    async fn set(&self) {
        note(&self.house, "a", &[TIMER + DELAY]).await;
        self.until("the timer is set", async || self.collected().await == [TIMER + DELAY]).await;
        self.until("the timer alone waits", async || self.work(false).await.len() == 1).await;
        self.settle_down().await;
    }
}

#[tokio::test]
async fn a_timer_is_begun_by_the_clock_of_its_scheduler_and_settled_by_the_moment_of_the_store() {
    let clocks = Clocks::start();
    clocks.set().await;
    clocks.of_scheduler.advance(HOUR);
    clocks.until("the timer rang", async || clocks.collected().await == [TIMER + DELAY, 0]).await;
    clocks.settle_down().await;
    let waits = clocks.work(false).await;
    assert_eq!(waits.len(), 1, "only a settlement takes a piece away, and its moment has not come");
    assert_eq!((&waits[0].standing, waits[0].work.attempts), (&WorkStanding::Later, 0));

    clocks.house.clock.advance(HOUR);
    clocks.until("it is settled", async || clocks.work(false).await.is_empty()).await;
    assert_eq!(clocks.collected().await, [TIMER + DELAY, 0], "it rang once");
    clocks.running.stop().await;
}

#[tokio::test]
async fn a_timer_is_begun_by_the_moment_of_the_store_where_its_scheduler_comes_later_or_never() {
    let clocks = Clocks::start();
    clocks.set().await;
    // All that it was told of is lost too.
    clocks.house.scheduler.as_ref().unwrap().forget();
    clocks.house.clock.advance(HOUR);
    clocks.until("it is settled", async || clocks.work(false).await.is_empty()).await;
    assert_eq!(clocks.collected().await, [TIMER + DELAY, 0]);
    clocks.of_scheduler.advance(HOUR);
    clocks.settle_down().await;
    assert_eq!(clocks.collected().await, [TIMER + DELAY, 0], "it rang once");
    clocks.running.stop().await;
}

#[tokio::test]
async fn a_timer_whose_line_is_held_waits_for_the_line() {
    let clocks = Clocks::start();
    clocks.set().await;
    note(&clocks.house, "a", &[PANICS]).await;
    // The input fails as often as it may. Its pauses are short, and the timer waits for longer.
    for _ in 0..100 {
        clocks.settle_down().await;
        if !clocks.work(true).await.is_empty() {
            break;
        }
        clocks.house.clock.advance(Duration::from_secs(2));
        clocks.of_scheduler.advance(Duration::from_secs(2));
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
    assert_eq!(clocks.collected().await, [TIMER + DELAY], "a dead letter holds the line");

    assert_eq!(clocks.house.log.discard(&acme(), &[dead[0].work.id]).await.unwrap(), 1);
    clocks.house.clock.advance(Duration::from_secs(2));
    clocks.until("the timer rang", async || clocks.work(false).await.is_empty()).await;
    assert_eq!(clocks.collected().await, [TIMER + DELAY, 0]);
    clocks.running.stop().await;
}
