//! What a process does beside answering: it prepares the tables of entities, keeps views, does work, runs pumps and
//! subscribers, and asks the stores beside that of the log how they are.
//!
//! ```text
//!                      requests   subscribers   views   work   pumps
//!  serve                  x            x          x       x      x
//!  serve --only http      x            x
//!  worker                              x          x       x      x
//! ```
//!
//! With the work go schedules and the processes of the domain: what runs one of the three runs all, and they begin and end
//! together. Who only answers still submits commands and stores what they send on; nothing of it is done there.
//!
//! Subscribers are everywhere: they are of their process, and what they are given concerns it alone. Views, work and
//! pumps are shared by all processes of a store: each is kept by one of them at a time, or its shards are spread.
//!
//! A process ends in this order: it takes no more requests and answers those it has, then its subscribers get nothing
//! more, then attempts and batches that were begun end, at most [`work_drain`](underlay_runtime::EngineConfig) long,
//! and leases and shards go back; views end last, so that a request that waits for one gets its answer.

use std::convert::Infallible;
use std::time::Duration;

use underlay_core::Error;
use underlay_runtime::{Engine, RunningHealth, RunningPumps, RunningSubscribers, RunningViews, RunningWork};

use super::App;
use crate::ExitError;
use crate::retention::forget_regularly;

/// How much longer than the work itself its end may take: to store what came of it, and give back what it held.
const GRACE: Duration = Duration::from_secs(5);

/// What runs in this process.
pub(super) struct Duties {
    health: RunningHealth,
    subscribers: RunningSubscribers,
    shared: Option<Shared>,
}

/// What all processes of a store share.
struct Shared {
    views: RunningViews,
    work: RunningWork,
    pumps: RunningPumps,
}

impl Duties {
    /// Begins what a process does that does everything, or what one does that only answers.
    pub(super) async fn begin(engine: &Engine, is_shared: bool) -> Result<Self, ExitError> {
        let health = engine.start_health();
        prepare_entities(engine).await?;
        let subscribers = engine.start_subscribers().await?;
        let shared = is_shared.then(|| Shared {
            views: engine.start_views(),
            work: engine.start_work(),
            pumps: engine.start_pumps(),
        });
        Ok(Self { health, subscribers, shared })
    }

    /// Ends in good order, within the bound of the work.
    pub(super) async fn end(self, engine: &Engine) {
        self.health.stop().await;
        self.subscribers.stop().await;
        let Some(Shared { views, work, pumps }) = self.shared else { return };
        let within = engine.config().work_drain + GRACE;
        let ended = async { tokio::join!(work.stop(), pumps.stop()) };
        tokio::select! {
            _ = ended => {}
            () = engine.clock().sleep(within) => {
                tracing::warn!("what was begun did not end within {within:?}; it is begun again by another process");
            }
        }
        tokio::select! {
            () = views.stop() => {}
            () = engine.clock().sleep(within) => tracing::warn!("a view did not end within {within:?}"),
        }
    }
}

/// Makes and checks the tables of entities. A store that is away keeps no service from its start: the first use of an
/// entity prepares it then.
async fn prepare_entities(engine: &Engine) -> Result<(), Error> {
    match engine.prepare_entities().await {
        Err(error @ Error::Unavailable { .. }) => {
            tracing::warn!("a store of entities cannot be used yet: {error}");
            Ok(())
        }
        prepared => prepared,
    }
}

/// Forgets what is no longer owed, where the store can forget.
pub(super) async fn forget(app: &App) -> Infallible {
    match app.store.retention() {
        Some(retention) => forget_regularly(retention, &**app.engine.clock(), app.config.settings.kept).await,
        None => std::future::pending().await,
    }
}
