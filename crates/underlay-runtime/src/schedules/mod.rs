//! What is due again and again: a command, the moments it is due at, and what becomes of moments that were missed.
//!
//! ```text
//!  put ─► waits for its next moment ──► due ──► submitted, once for each moment ──► moved on to the next moment
//!                 ▲                                                                          │
//!                 └──────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Every process that does work looks at each full minute for what is due: there is no leader. The id of the command
//! derives from the schedule's name and the moment. So whoever is first stores the submission, and everybody else finds
//! it stored. The moment is then moved on by compare and set.
//!
//! What happens when something fails: where a process dies between submitting and moving on, the next one submits the
//! same moments again, which stores nothing, and moves on. Where the store is away, it is tried again after a pause.
//! Where it has no room for a tenant, that tenant is tried again after a pause, and the others go on. A schedule that
//! this program cannot read is left for one that can, and the others go on, however many there are. It is looked at
//! again in the next minute. A process whose clock is ahead submits early; the work waits for its moment by the clock of
//! the store all the same.

mod cron;
mod definition;
mod driven;
#[cfg(test)]
mod driven_tests;
mod fires;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use underlay_core::{Clock, Error, Json, Scheduler, Schedules, TenantId, Timestamp};

use crate::commands::Commands;
use crate::metrics::ScheduleMetrics;
use crate::subscription::Backoff;
use crate::{EngineConfig, ExecuteNamedError, Ports};
pub use definition::{Missed, ScheduleDefinition, ScheduleInfo};

/// Keeps schedules, and submits what is due.
pub(crate) struct Timetable {
    schedules: Option<Arc<dyn Schedules>>,
    /// What begins the moments, where this process does not by itself.
    scheduler: Option<Arc<dyn Scheduler>>,
    commands: Arc<Commands>,
    clock: Arc<dyn Clock>,
    backoff: Backoff,
    metrics: ScheduleMetrics,
}

impl Timetable {
    pub(crate) fn new(ports: &Ports, commands: Arc<Commands>, config: &EngineConfig) -> Self {
        Self {
            schedules: ports.work.as_ref().map(|work| work.schedules.clone()),
            scheduler: ports.work.as_ref().and_then(|work| work.scheduler.clone()),
            commands,
            clock: ports.clock.clone(),
            backoff: config.backoff(),
            metrics: ScheduleMetrics::default(),
        }
    }

    /// What is counted of schedules.
    pub(crate) fn metrics(&self) -> &ScheduleMetrics {
        &self.metrics
    }

    fn port(&self) -> Result<&dyn Schedules, Error> {
        self.schedules.as_deref().ok_or_else(|| {
            Error::invalid("this engine was given no ports of work, so its store keeps no schedules")
        })
    }

    /// As [`Engine::put_schedule`](crate::Engine::put_schedule).
    pub(crate) async fn put(
        &self,
        tenant: &TenantId,
        name: &str,
        definition: ScheduleDefinition,
    ) -> Result<ScheduleInfo, ExecuteNamedError> {
        let port = self.port()?;
        let (cron, zone) = definition.times()?;
        cron::check_zone(&definition.zone)?;
        let definition = definition.checked(&self.commands)?;
        // What it submits must be as well formed as what is submitted now.
        let (target, stored) = definition.stored()?;
        stored.content(&target.receiver, &target.name)?;
        let json = Json::encode(&definition)?;
        let next_due_at = cron.next_after(self.clock.now(), &zone).ok_or_else(|| {
            Error::invalid(format!("the cron expression {:?} is never due again", definition.cron))
        })?;
        Ok(port.put_schedule(tenant, name, &json, Some(next_due_at)).await?.into())
    }

    /// As [`Engine::remove_schedule`](crate::Engine::remove_schedule).
    pub(crate) async fn remove(&self, tenant: &TenantId, name: &str) -> Result<bool, Error> {
        self.port()?.remove_schedule(tenant, name).await
    }

    /// As [`Engine::schedules`](crate::Engine::schedules).
    pub(crate) async fn list(
        &self,
        tenant: Option<&TenantId>,
        after: Option<(&TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<ScheduleInfo>, Error> {
        let found = self.port()?.list_schedules(tenant, after, limit).await?;
        Ok(found.into_iter().map(ScheduleInfo::from).collect())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
