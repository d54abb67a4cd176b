//! The contract of schedulers, on a server: with processes apart from each other, and with one that asks and serves.

use std::sync::Arc;
use std::time::Duration;

use underlay_core::ports::Scheduler;
use underlay_temporal::{Route, Router, Temporal, TemporalOptions};
use underlay_testkit::{Fixture, SchedulerFixture, Skip, conformance};

fn options() -> TemporalOptions {
    // What a process had in hand that ended is soon another's.
    let router = Router::new().kind("command", Route::new().task_timeout(Duration::from_secs(2)));
    TemporalOptions { router, stop_grace: Duration::from_secs(1), ..TemporalOptions::default() }
}

fn start() -> Result<servers::Temporal, Skip> {
    servers::Temporal::start().map_err(|missing| Skip::new(missing.reason))
}

/// Every handle is a process of its own.
struct Apart(servers::Temporal);

impl Fixture for Apart {
    async fn create() -> Result<Self, Skip> {
        start().map(Self)
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl SchedulerFixture for Apart {
    fn scheduler(&self) -> Arc<dyn Scheduler> {
        let address = self.0.address("suite").parse().unwrap();
        Arc::new(Temporal::open(&address, options()).unwrap())
    }
}

/// Whoever asks also serves.
struct AtHome {
    scheduler: Arc<Temporal>,
    _server: servers::Temporal,
}

impl Fixture for AtHome {
    async fn create() -> Result<Self, Skip> {
        let server = start()?;
        let address = server.address("suite").parse().unwrap();
        Ok(Self { scheduler: Arc::new(Temporal::open(&address, options()).unwrap()), _server: server })
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl SchedulerFixture for AtHome {
    fn scheduler(&self) -> Arc<dyn Scheduler> {
        self.scheduler.clone()
    }
}

/// The same, where a line does the jobs of each key. Every handle is a process of its own.
struct Lines(servers::Temporal);

impl Fixture for Lines {
    async fn create() -> Result<Self, Skip> {
        start().map(Self)
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl SchedulerFixture for Lines {
    fn scheduler(&self) -> Arc<dyn Scheduler> {
        let address = self.0.address("suite").parse().unwrap();
        let route = Route::new().per_key().task_timeout(Duration::from_secs(2));
        let router = ["command", "message", "input", "timer"];
        let router = router.into_iter().fold(Router::new(), |router, kind| router.kind(kind, route.clone()));
        let options =
            TemporalOptions { router, stop_grace: Duration::from_secs(1), ..TemporalOptions::default() };
        Arc::new(Temporal::open(&address, options).unwrap())
    }
}

mod apart {
    use super::*;

    conformance!(scheduler, Apart);
}

mod at_home {
    use super::*;

    conformance!(scheduler, AtHome);
}

mod lines {
    use super::*;

    conformance!(scheduler, Lines);
}
