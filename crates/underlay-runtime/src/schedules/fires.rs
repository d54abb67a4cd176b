use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{Actor, CommitId, Error, Origin, Schedule, TenantId, Timestamp};

use super::cron::Cron;
use super::definition::read;
use super::driven::Announced;
use super::{Missed, Timetable};
use crate::work::stopped;
use crate::{Request, SubmitOptions};

/// Moments of one schedule that are submitted in one turn; the others come in the next.
const MOMENTS_MAX: usize = 100;
/// Schedules that are submitted side by side.
const AT_ONCE: usize = 16;
/// Schedules that are set aside at a time; one that no longer fits is tried again with every look.
const ASIDE_MAX: usize = 10_000;
/// How late a schedule may be and still be moved on: beyond that the clock is taken to be wrong.
const LATE_MAX: SignedDuration = SignedDuration::from_hours(366 * 24);
/// How long after its moment a schedule is still on time.
const LATE_AFTER: SignedDuration = SignedDuration::from_mins(1);
/// Moments are full minutes, so there is something to look for once in each.
const MINUTE: Duration = Duration::from_secs(60);

/// So many tenants in a row that cannot be reached are taken for a store that is away.
const AWAY_AFTER: usize = AT_ONCE;

/// Schedules that could not be submitted and will not be by trying again at once. They are tried again in the next
/// minute.
#[derive(Default)]
pub(super) struct Aside {
    schedules: HashSet<(TenantId, String, u64)>,
    minute: i64,
}

impl Aside {
    fn has(&self, schedule: &Schedule) -> bool {
        !self.schedules.is_empty() && self.schedules.contains(&Self::key(schedule))
    }

    fn put(&mut self, schedule: &Schedule) {
        if self.schedules.len() < ASIDE_MAX {
            self.schedules.insert(Self::key(schedule));
        }
    }

    /// Those of another minute may be tried again.
    fn let_go_before(&mut self, now: Timestamp) {
        let minute = now.as_microsecond().div_euclid(MINUTE.as_micros() as i64);
        if minute != self.minute {
            *self = Self { minute, ..Self::default() };
        }
    }

    /// One that was put anew meanwhile is another.
    fn key(schedule: &Schedule) -> (TenantId, String, u64) {
        (schedule.tenant.clone(), schedule.name.clone(), schedule.revision)
    }
}

/// What a look came to.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Schedules that were moved on.
    pub(super) moved: usize,
    /// Why some are still due that may be submitted soon: the last one's reason.
    pub(super) waits: Option<Error>,
}

/// A look for what is due.
struct Look<'a> {
    now: Timestamp,
    aside: &'a mut Aside,
    /// Tenants that the store has no room for, or that it could not be reached for: others go on.
    waiting: HashSet<TenantId>,
    /// Tenants in a row that the store could not be reached for.
    unreached: usize,
    looked: Looked,
}

impl Look<'_> {
    /// Whether a schedule is submitted in this look.
    fn takes(&self, schedule: &Schedule) -> bool {
        !self.aside.has(schedule) && !self.waiting.contains(&schedule.tenant)
    }

    /// Notes what came of a schedule.
    ///
    /// # Errors
    /// Where the store is away.
    fn note(&mut self, schedule: Schedule, fired: Result<bool, Error>) -> Result<(), Error> {
        match fired {
            Ok(is_moved) => {
                self.looked.moved += usize::from(is_moved);
                self.unreached = 0;
            }
            Err(error) if error.is_retryable() => {
                let is_reached = matches!(error, Error::Unavailable { overloaded: true, .. });
                if self.waiting.insert(schedule.tenant) && !is_reached {
                    self.unreached += 1;
                }
                if self.unreached >= AWAY_AFTER {
                    return Err(error);
                }
                self.looked.waits = Some(error);
            }
            Err(error) => {
                let (tenant, name) = (&schedule.tenant, &schedule.name);
                tracing::error!(%tenant, name, %error, "a schedule is due and cannot be submitted");
                self.aside.put(&schedule);
            }
        }
        Ok(())
    }
}

impl Timetable {
    /// Submits what is due, until it is told to stop.
    pub(crate) fn start(self: &Arc<Self>, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let timetable = self.clone();
        tokio::spawn(async move {
            if timetable.schedules.is_none() {
                return;
            }
            let mut stopping = stop.clone();
            let (mut failures, mut aside, mut announced) = (0, Aside::default(), Announced::default());
            while !*stop.borrow_and_update() {
                let goes_on = || !*stop.borrow();
                let looked_at = timetable.now();
                let looked = match &timetable.scheduler {
                    None => timetable.fire_due(&mut aside, goes_on).await,
                    // It may wait for the scheduler, and whoever stops it does not.
                    Some(scheduler) => tokio::select! {
                        biased;
                        () = stopped(&mut stopping) => return,
                        looked = timetable.look(scheduler, &mut aside, &mut announced) => looked,
                    },
                };
                let (moved, failed) = match looked {
                    Ok(Looked { moved, waits }) => (moved, waits),
                    Err(error) => (0, Some(error)),
                };
                let pause = match failed {
                    // There may be more.
                    _ if moved > 0 => continue,
                    None => {
                        failures = 0;
                        until_next_minute(looked_at, timetable.now())
                    }
                    Some(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "schedules are due and wait for the store");
                        failures += 1;
                        timetable.backoff.delay(failures)
                    }
                };
                tokio::select! {
                    biased;
                    // Whoever could say so is gone too.
                    changed = stop.changed() => if changed.is_err() { return },
                    () = timetable.clock.sleep(pause) => {}
                }
            }
        })
    }

    /// Submits what is due now, page by page. Those that are set aside are passed over, and those that cannot be
    /// submitted are set aside. Where the store has no room for a tenant, that tenant waits for the next look. So
    /// whatever cannot be submitted, what is due after it is. It ends before the next page where it is told so.
    ///
    /// # Errors
    /// Where the store is away: schedules cannot be read, or [`AWAY_AFTER`] tenants in a row cannot be reached.
    pub(super) async fn fire_due(
        self: &Arc<Self>,
        aside: &mut Aside,
        goes_on: impl Fn() -> bool,
    ) -> Result<Looked, Error> {
        let now = self.now();
        aside.let_go_before(now);
        let mut look = Look { now, aside, waiting: HashSet::new(), unreached: 0, looked: Looked::default() };
        let mut last: Option<Schedule> = None;
        loop {
            let after =
                last.as_ref().and_then(|last| Some((last.next_due_at?, &last.tenant, last.name.as_str())));
            let page = self.port()?.due_schedules(now, after, WORK_PAGE_MAX).await?;
            let is_last = page.len() < WORK_PAGE_MAX;
            last = page.last().cloned();
            self.fire_page(page, &mut look).await?;
            if is_last || !goes_on() {
                return Ok(look.looked);
            }
        }
    }

    async fn fire_page(self: &Arc<Self>, page: Vec<Schedule>, look: &mut Look<'_>) -> Result<(), Error> {
        let mut fires = JoinSet::new();
        let mut page = page.into_iter();
        loop {
            while fires.len() < AT_ONCE {
                let Some(schedule) = page.find(|schedule| look.takes(schedule)) else { break };
                let (timetable, now) = (self.clone(), look.now);
                fires.spawn(async move {
                    let fired = match &timetable.scheduler {
                        None => timetable.fire_here(&schedule, now).await,
                        Some(scheduler) => timetable.ask(&**scheduler, &schedule, now).await,
                    };
                    (schedule, fired)
                });
            }
            match fires.join_next().await {
                None => return Ok(()),
                Some(Ok((schedule, fired))) => look.note(schedule, fired)?,
                Some(Err(error)) => tracing::error!(%error, "a schedule was not submitted to its end"),
            }
        }
    }

    /// Submits the moments of a schedule, and counts where that fails.
    pub(super) async fn fire_here(&self, schedule: &Schedule, now: Timestamp) -> Result<bool, Error> {
        let fired = self.fire(schedule, now).await;
        if fired.is_err() {
            self.metrics.failed.increment();
        }
        fired
    }

    /// Submits the moments of a schedule up to now, and moves it on; false where somebody else did.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is later than [`LATE_MAX`]. A clock that is far ahead would move it past all of its
    /// moments until then, and nothing moves it back.
    pub(super) async fn fire(&self, schedule: &Schedule, now: Timestamp) -> Result<bool, Error> {
        let Some(due) = schedule.next_due_at else { return Ok(false) };
        if now.duration_since(due) > LATE_MAX {
            return Err(Error::invalid(format!(
                "it was due at {due}, and it is {now} now: set the clock of this machine, if that is wrong. A schedule \
                 that is more than {} days late is not moved on; where nobody worked for so long, remove it and add \
                 it again",
                LATE_MAX.as_hours() / 24
            )));
        }
        let definition = read(schedule)?;
        let (cron, zone) = definition.times()?;
        let (moments, next) = moments(&cron, &zone, definition.missed, due, now);
        let actor = definition.actor.clone().unwrap_or_else(|| Actor {
            name: Some(format!("schedule {}", schedule.name)),
            roles: Vec::new(),
        });
        for moment in moments {
            let parts = [schedule.name.as_bytes(), &moment.as_microsecond().to_le_bytes()];
            let id = CommitId::derived(&schedule.tenant, Origin::Schedule, parts);
            let request = Request::new(schedule.tenant.clone()).with_actor(actor.clone()).with_command_id(id);
            let mut options = SubmitOptions::default().due_at(moment);
            options.urgent = definition.urgent;
            let (target, stored) = definition.stored()?;
            match self.commands.store_command(&request, target, stored, options).await {
                // Another process was first, or this one before it ended.
                Ok(submitted) if submitted.repeated => {}
                Ok(_) => {
                    let is_late = now.duration_since(moment) > LATE_AFTER;
                    let counted = if is_late { &self.metrics.late } else { &self.metrics.on_time };
                    counted.increment();
                }
                // The moment was submitted before the schedule was changed.
                Err(Error::IdReused(_)) => {
                    let (tenant, name) = (&schedule.tenant, &schedule.name);
                    tracing::warn!(%tenant, name, %moment, "the schedule was submitted as it was before");
                }
                Err(error) => return Err(error),
            }
        }
        self.port()?.advance_schedule(schedule, next).await
    }
}

/// The moments to submit, and the one after them.
fn moments(
    cron: &Cron,
    zone: &TimeZone,
    missed: Missed,
    due: Timestamp,
    now: Timestamp,
) -> (Vec<Timestamp>, Option<Timestamp>) {
    let due = by_rules_of_now(cron, zone, due);
    if due > now {
        return (Vec::new(), Some(due));
    }
    let last = || cron.last_until(now, zone).filter(|last| *last > due).unwrap_or(due);
    match missed {
        Missed::One => (vec![last()], cron.next_after(now, zone)),
        Missed::None => {
            let on_time = Some(last()).filter(|last| now.duration_since(*last) <= LATE_AFTER);
            (on_time.into_iter().collect(), cron.next_after(now, zone))
        }
        Missed::All => {
            let mut moments = vec![due];
            let mut next = cron.next_after(due, zone);
            while let Some(moment) = next.filter(|next| *next <= now && moments.len() < MOMENTS_MAX) {
                moments.push(moment);
                next = cron.next_after(moment, zone);
            }
            (moments, next)
        }
    }
}

/// The moment that a stored one stands for. Where the rules of a zone have changed since, it may be none any more. Then it
/// stands for the one next to it: if that is to come, it is waited for, and if it has passed, nobody knew of it. So what
/// is due once a day or a month is neither given twice nor left out.
fn by_rules_of_now(cron: &Cron, zone: &TimeZone, due: Timestamp) -> Timestamp {
    let (last, next) = (cron.last_until(due, zone), cron.next_after(due, zone));
    let since = last.map_or(SignedDuration::MAX, |last| due.duration_since(last));
    next.filter(|next| next.duration_since(due) < since && !since.is_zero()).unwrap_or(due)
}

/// How long it is until the first full minute after a look. The look itself may have taken until then.
fn until_next_minute(looked_at: Timestamp, now: Timestamp) -> Duration {
    let minute = MINUTE.as_micros() as i64;
    let next = looked_at.as_microsecond().div_euclid(minute).saturating_add(1).saturating_mul(minute);
    Duration::from_micros(u64::try_from(next.saturating_sub(now.as_microsecond())).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_takes_until_the_next_minute_is_followed_by_another() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(until_next_minute(at(60), at(60)), Duration::from_secs(60));
        assert_eq!(until_next_minute(at(119), at(119)), Duration::from_secs(1));
        for late in [at(120), at(121), at(500)] {
            assert_eq!(until_next_minute(at(119), late), Duration::ZERO);
        }
    }

    #[test]
    fn where_the_rules_of_a_zone_changed_a_moment_of_before_stands_for_the_one_next_to_it() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let berlin = super::super::cron::find_zone("Europe/Berlin").unwrap();
        let monthly: Cron = "0 6 1 * *".parse().unwrap();
        // It is 06:00 there at 04:00 UTC. When it was stored, it was to be at 03:00 or at 05:00.
        for missed in [Missed::One, Missed::All, Missed::None] {
            let early = at("2026-07-01T03:00:00Z");
            let (now, next) = moments(&monthly, &berlin, missed, early, early);
            assert_eq!((now, next), (vec![], Some(at("2026-07-01T04:00:00Z"))), "{missed:?}");
            let late = at("2026-07-01T05:00:00Z");
            let (now, next) = moments(&monthly, &berlin, missed, late, late);
            assert_eq!((now, next), (vec![late], Some(at("2026-08-01T04:00:00Z"))), "{missed:?}");
        }
    }
}
