//! The workers of a run: engines, each with a store of its own, as as many processes would have.

use std::sync::Arc;
use std::time::{Duration, Instant};

use underlay_core::limits::WORK_SHARDS;
use underlay_runtime::{Engine, EngineConfig, Registry, RunningWork};

use super::courier::{Courier, Round};
use crate::Result;
use crate::subject::{OpenStore, Place, Way};

/// How long shards may take to be spread evenly.
const SPREAD_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(2);

/// A worker.
struct Member {
    store: OpenStore,
    engine: Engine,
    work: RunningWork,
}

/// All workers of a run.
pub(super) struct Crew(Vec<Member>);

impl Crew {
    /// Starts workers, and waits until each has its part of the shards.
    pub(super) async fn start(
        place: &dyn Place,
        count: usize,
        round: &Arc<Round>,
        config: &EngineConfig,
    ) -> Result<Self> {
        let registry = || Registry::default().handler(Courier(round.clone()));
        Self::start_with(place, count, registry, config).await
    }

    /// The same with other work than messages.
    pub(super) async fn start_with(
        place: &dyn Place,
        count: usize,
        registry: impl Fn() -> Registry,
        config: &EngineConfig,
    ) -> Result<Self> {
        let mut members = Vec::new();
        for _ in 0..count {
            let store = place.address(Way::USUAL).open().await?;
            let engine = Engine::new(store.ports(), registry(), config.clone())?;
            let work = engine.start_work();
            members.push(Member { store, engine, work });
        }
        let crew = Self(members);
        crew.wait(SPREAD_MAX, "the shards were not spread evenly", Self::is_spread).await?;
        Ok(crew)
    }

    /// The engine of the first worker.
    pub(super) fn engine(&self) -> &Engine {
        &self.0[0].engine
    }

    /// Pieces of work that were done.
    pub(super) fn done(&self) -> u64 {
        let receivers = |member: &Member| member.engine.worker_state().unwrap_or_default().receivers;
        self.0.iter().flat_map(receivers).map(|receiver| receiver.done).sum()
    }

    /// Waits until nothing is in memory: what was done is stored.
    pub(super) async fn settled(&self, most: Duration) -> Result<()> {
        let is_empty = |crew: &Self| {
            let buffered = |member: &Member| member.engine.worker_state().unwrap_or_default().buffered;
            crew.0.iter().all(|member| buffered(member) == 0)
        };
        self.wait(most, "what was done was not stored", is_empty).await
    }

    fn is_spread(&self) -> bool {
        let (count, shards) = (self.0.len(), usize::from(WORK_SHARDS));
        let part = |member: &Member| {
            let state = member.engine.worker_state().unwrap_or_default();
            (shards / count..=shards.div_ceil(count)).contains(&state.shards.len())
                && state.draining.is_empty()
        };
        self.0.iter().all(part)
    }

    async fn wait(&self, most: Duration, otherwise: &str, is_so: impl Fn(&Self) -> bool) -> Result<()> {
        let began = Instant::now();
        while !is_so(self) {
            if began.elapsed() > most {
                return Err(format!("{otherwise} within {most:?}").into());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    pub(super) async fn stop(self) -> Result<()> {
        for Member { store, engine, work } in self.0 {
            work.stop().await;
            drop(engine);
            store.close().await?;
        }
        Ok(())
    }
}
