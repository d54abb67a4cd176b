//! Schedules whose moments a scheduler begins.
//!
//! ```text
//!  look ahead ──► later ──┐
//!                         ├──► attempt, in whatever process ──► submitted and moved on
//!  due ─────────► run ────┘
//! ```
//!
//! What happens when something fails: a moment that the scheduler was not told of is due in the store, and asked for by
//! every process in each full minute. Where the scheduler says that it is done and the store says that it is still due,
//! the store is right, and the moment is submitted here.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{Error, Job, JobEnd, JobTask, Lane, Schedule, Scheduler, TenantId, Timestamp};

use super::Timetable;
use super::definition::read;
use super::fires::{Aside, Looked};

/// How far it is looked ahead: past the next full minute, after which it is looked again.
const AHEAD: Duration = Duration::from_secs(90);
/// Moments that a scheduler is told of side by side.
const AT_ONCE: usize = 16;
/// How long what became of a moment is waited for, before others have their turn.
const ASK_MAX: Duration = Duration::from_secs(45);
/// Schedules in a page, where one is looked for by its name.
const FIND_PAGE: usize = 100;

/// What telling of a moment came to.
type Told = (Job, Result<(), Error>);

/// Moments that the scheduler was told of and that are still to come.
#[derive(Default)]
pub(super) struct Announced(HashSet<(TenantId, String)>);

impl Timetable {
    /// How long an attempt may take.
    pub(crate) const ATTEMPT_MAX: Duration = Duration::from_secs(30);

    /// Makes an attempt at a moment that is due.
    pub(crate) async fn attempt(&self, job: &Job, number: u32) -> JobEnd {
        let JobTask::Schedule { revision, moment } = job.task else { return JobEnd::Gone };
        let fired = tokio::select! {
            biased;
            fired = self.fire_moment(&job.tenant, &job.key, revision, moment) => fired,
            () = self.clock.sleep(Self::ATTEMPT_MAX) => {
                Err(Error::unavailable(format!("the store did not answer within {:?}", Self::ATTEMPT_MAX)))
            }
        };
        match fired {
            Ok(true) => JobEnd::Done,
            Ok(false) => JobEnd::Gone,
            Err(error) => {
                let (tenant, name) = (&job.tenant, &job.key);
                tracing::warn!(%tenant, name, %error, "a schedule is due and was not submitted");
                let is_final = !error.is_retryable();
                let retry_in = (!is_final).then(|| self.backoff.delay(number));
                JobEnd::Failed { reason: error.for_tenant(), is_final, retry_in }
            }
        }
    }

    /// Has a moment that is due submitted; false where somebody else moved the schedule on.
    ///
    /// # Errors
    /// As [`Timetable::fire`]; [`Error::Unavailable`] where the scheduler is away.
    pub(super) async fn ask(
        &self,
        scheduler: &dyn Scheduler,
        schedule: &Schedule,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let Some(job) = job_of(schedule)? else { return Ok(false) };
        let end = tokio::select! {
            biased;
            end = scheduler.run(&job, 1) => end?,
            () = self.clock.sleep(ASK_MAX) => {
                let scheduler = scheduler.identity();
                return Err(Error::unavailable(format!("{scheduler} did not say within {ASK_MAX:?} what became of it")));
            }
        };
        match end {
            JobEnd::Failed { reason, is_final: true, .. } => Err(Error::invalid(reason)),
            JobEnd::Failed { reason, .. } => Err(Error::unavailable(reason)),
            JobEnd::Done | JobEnd::Gone => {
                let found = self.find(&schedule.tenant, &schedule.name).await?;
                match found.filter(|found| job_of(found).is_ok_and(|found| found.as_ref() == Some(&job))) {
                    Some(still_due) => self.fire_here(&still_due, now).await,
                    None => Ok(end == JobEnd::Done),
                }
            }
            // It goes on, and is asked for again in the next minute.
            _ => Ok(false),
        }
    }

    /// Has what is due submitted. Where nothing is, the scheduler is told of the moments that come next.
    ///
    /// # Errors
    /// As [`Timetable::fire_due`].
    pub(super) async fn look(
        self: &Arc<Self>,
        scheduler: &Arc<dyn Scheduler>,
        aside: &mut Aside,
        announced: &mut Announced,
    ) -> Result<Looked, Error> {
        let looked = self.fire_due(aside, || true).await?;
        if looked.moved == 0 {
            self.look_ahead(scheduler, announced).await;
        }
        Ok(looked)
    }

    /// Tells the scheduler of the moments that come next, unless it was told.
    async fn look_ahead(&self, scheduler: &Arc<dyn Scheduler>, announced: &mut Announced) {
        if let Err(error) = self.announce(scheduler, announced).await {
            tracing::debug!(%error, "moments of schedules could not be told of to their scheduler");
        }
    }

    async fn announce(&self, scheduler: &Arc<dyn Scheduler>, announced: &mut Announced) -> Result<(), Error> {
        let now = self.now();
        let to = now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX);
        let before = std::mem::take(&mut announced.0);
        let mut last: Option<Schedule> = None;
        let mut telling: JoinSet<Told> = JoinSet::new();
        loop {
            let after =
                last.as_ref().and_then(|last| Some((last.next_due_at?, &last.tenant, last.name.as_str())));
            let page = self.port()?.due_schedules(to, after, WORK_PAGE_MAX).await?;
            let is_last = page.len() < WORK_PAGE_MAX;
            last = page.last().cloned();
            for schedule in page.iter().filter(|schedule| schedule.next_due_at > Some(now)) {
                // What this program cannot read is left for one that can.
                let Ok(Some(job)) = job_of(schedule) else { continue };
                let key = (job.tenant.clone(), job.id());
                if before.contains(&key) {
                    announced.0.insert(key);
                    continue;
                }
                if telling.len() >= AT_ONCE {
                    took(telling.join_next().await, announced)?;
                }
                let (scheduler, delay) =
                    (scheduler.clone(), crate::work::until(now, job.due_at.unwrap_or(now)));
                telling.spawn(async move {
                    let told = scheduler.later(&job, delay).await;
                    (job, told)
                });
            }
            if is_last {
                break;
            }
        }
        while let Some(told) = telling.join_next().await {
            took(Some(told), announced)?;
        }
        Ok(())
    }

    /// Submits a moment; false where the schedule has been moved on from it, was put anew or was removed.
    async fn fire_moment(
        &self,
        tenant: &TenantId,
        name: &str,
        revision: u64,
        moment: Timestamp,
    ) -> Result<bool, Error> {
        let is_due =
            |schedule: &Schedule| (schedule.revision, schedule.next_due_at) == (revision, Some(moment));
        let Some(schedule) = self.find(tenant, name).await?.filter(is_due) else { return Ok(false) };
        // The clock of the scheduler may be a little ahead of this one.
        self.fire_here(&schedule, self.now().max(moment)).await
    }

    /// A schedule by its name.
    async fn find(&self, tenant: &TenantId, name: &str) -> Result<Option<Schedule>, Error> {
        // Lists go on after a name, and what a name begins with stands before it.
        let mut after = name.char_indices().next_back().map(|(last, _)| name[..last].to_owned());
        after = after.filter(|after| !after.is_empty());
        loop {
            let from = after.as_deref().map(|after| (tenant, after));
            let page = self.port()?.list_schedules(Some(tenant), from, FIND_PAGE).await?;
            let is_last = page.len() < FIND_PAGE;
            after = page.last().map(|last| last.name.clone());
            let found = page.into_iter().find(|schedule| schedule.name == name);
            if found.is_some() || is_last {
                return Ok(found);
            }
        }
    }
}

/// Notes that the scheduler was told of a moment.
fn took(told: Option<Result<Told, JoinError>>, announced: &mut Announced) -> Result<(), Error> {
    match told {
        None => Ok(()),
        Some(Err(error)) => Err(Error::backend("telling a scheduler", error)),
        Some(Ok((_, Err(error)))) => Err(error),
        Some(Ok((job, Ok(())))) => {
            announced.0.insert((job.tenant.clone(), job.id()));
            Ok(())
        }
    }
}

/// The job that the next moment of a schedule is.
fn job_of(schedule: &Schedule) -> Result<Option<Job>, Error> {
    let Some(moment) = schedule.next_due_at else { return Ok(None) };
    let (target, _) = read(schedule)?.stored()?;
    Ok(Some(Job {
        tenant: schedule.tenant.clone(),
        task: JobTask::Schedule { revision: schedule.revision, moment },
        receiver: target.receiver,
        key: schedule.name.clone(),
        name: schedule.name.clone(),
        lane: Lane::Normal,
        correlation_id: None,
        due_at: Some(moment),
    }))
}
