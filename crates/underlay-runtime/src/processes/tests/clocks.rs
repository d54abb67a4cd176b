//! A house whose time is that of the store, with a scheduler that has a time of its own. Both are moved by hand.

use std::sync::Arc;
use std::time::Duration;

use underlay_core::memory::MemoryScheduler;
use underlay_core::{ManualClock, Timestamp, WorkFilter, WorkInfo, WorkPlace, WorkQueue};

use super::house::House;
use super::notes::{Numbers, acme};
use crate::{Engine, Registry, RunningWork};

/// The house, and the engine that runs there.
pub(super) struct Clocks {
    pub(super) house: House,
    pub(super) of_scheduler: Arc<ManualClock>,
    running: Option<(Engine, RunningWork)>,
}

impl Clocks {
    pub(super) fn new() -> Self {
        let of_scheduler = Arc::new(ManualClock::new(Timestamp::from_second(1_000_000).unwrap()));
        let mut house = House::new();
        house.scheduler = Some(MemoryScheduler::new(of_scheduler.clone()).with_grace(Duration::ZERO));
        Self { house, of_scheduler, running: None }
    }

    /// Starts an engine whose attempts the scheduler drives.
    pub(super) fn start(&mut self, registry: Registry) {
        let engine = self.house.engine_by(self.house.clock.clone(), registry);
        let running = engine.start_work();
        self.running = Some((engine, running));
    }

    pub(super) async fn stop(mut self) -> Self {
        let (_, running) = self.running.take().unwrap();
        running.stop().await;
        self
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.running.as_ref().unwrap().0
    }

    /// Lets everybody work until it comes to that, while the time stands still.
    pub(super) async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        for _ in 0..100_000 {
            if is_so().await {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{what}: it never comes to that, {:?}", self.work(false).await);
    }

    /// Lets everybody work, while the time stands still.
    pub(super) async fn settle_down(&self) {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    }

    /// Lets time pass everywhere.
    pub(super) fn pass(&self, time: Duration) {
        self.house.clock.advance(time);
        self.of_scheduler.advance(time);
    }

    pub(super) async fn work(&self, dead: bool) -> Vec<WorkInfo> {
        let filter = WorkFilter { dead, ..WorkFilter::default() };
        self.house.log.list_work(&filter, WorkPlace::START, 100).await.unwrap().work
    }

    /// What an instance has collected.
    pub(super) async fn collected(&self, instance: &str) -> Vec<u32> {
        match self.engine().process(&acme(), "collect", instance).await {
            Ok(shown) => {
                shown.state.map(|state| state.decode::<Numbers>().unwrap().numbers).unwrap_or_default()
            }
            Err(_) => Vec::new(),
        }
    }
}
