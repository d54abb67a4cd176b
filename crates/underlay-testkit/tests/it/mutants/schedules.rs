use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::memory::MemorySchedules;
use underlay_core::{Error, Json, Schedule, Schedules, TenantId, Timestamp};
use underlay_testkit::{Fixture, Over, SchedulesFixture, SchedulesLayer, Skip, sample};

use super::caught;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// A name is one schedule, whoever's it is.
    SharesNames,
    /// Reopened, there are none.
    ForgetsWhenReopened,
    /// Every revision is the first.
    CountsNoRevisions,
    /// What is due is looked for among one tenant's.
    FindsOneTenants,
    /// What is due now is due in a moment.
    FindsStrictlyBefore,
    /// What is due comes in the order of names.
    FindsByName,
    /// The next page of what is due begins with the first again.
    FindsTheFirstAgain,
    /// Everybody who moves a schedule on is told that it did.
    TellsEverybodyItMoved,
    /// A schedule that was put anew is moved on by who saw the one before.
    IgnoresRevisions,
    /// A removed schedule is not listed, but due.
    KeepsRemovedDue,
    /// Lists are in the order of names.
    ListsByName,
    /// A page leaves out the one after the last of the page before.
    SkipsBetweenPages,
    /// What is put again by the same definition replaces what is there.
    ReplacesTheSame,
    /// What is put again by the same definition has the moment that came with it.
    MovesTheSame,
    /// Errors say that there is a limit, not which.
    NamesNoLimit,
}

struct Broken {
    mutation: Mutation,
    schedules: MemorySchedules,
    removed: Mutex<BTreeSet<(TenantId, String)>>,
}

#[derive(Clone)]
struct Mutant(Arc<Broken>);

impl Mutant {
    fn with(mutation: Mutation) -> Self {
        Self(Arc::new(Broken { mutation, schedules: MemorySchedules::default(), removed: Mutex::default() }))
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.0.mutation == mutation
    }

    fn tenant(&self, tenant: &TenantId) -> TenantId {
        if self.is(Mutation::SharesNames) { sample::tenant("shared") } else { tenant.clone() }
    }
}

impl Fixture for Mutant {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::with(Mutation::None))
    }

    async fn reopen(self) -> Self {
        if self.is(Mutation::ForgetsWhenReopened) { Self::with(Mutation::ForgetsWhenReopened) } else { self }
    }
}

impl SchedulesFixture for Mutant {
    fn schedules(&self) -> Arc<dyn Schedules> {
        Arc::new(Over(self.clone()))
    }
}

#[async_trait]
impl SchedulesLayer for Mutant {
    type Below = MemorySchedules;

    fn below(&self) -> &MemorySchedules {
        &self.0.schedules
    }

    async fn put_schedule(
        &self,
        tenant: &TenantId,
        name: &str,
        definition: &Json,
        next_due_at: Option<Timestamp>,
    ) -> Result<Schedule, Error> {
        self.0.removed.lock().unwrap().remove(&(tenant.clone(), name.to_owned()));
        let schedules = &self.0.schedules;
        if self.is(Mutation::ReplacesTheSame) {
            // Something else in between, so that nothing is the same.
            let other = Json::parse(format!(" {}", definition.as_str()))?;
            schedules.put_schedule(tenant, name, &other, None).await?;
        }
        let put = schedules.put_schedule(&self.tenant(tenant), name, definition, next_due_at).await;
        match put {
            Err(Error::Invalid(_)) if self.is(Mutation::NamesNoLimit) => Err(Error::invalid("too much")),
            Ok(put) if self.is(Mutation::CountsNoRevisions) => Ok(Schedule { revision: 1, ..put }),
            Ok(put) if self.is(Mutation::MovesTheSame) => {
                schedules.advance_schedule(&put, next_due_at).await?;
                Ok(Schedule { next_due_at, ..put })
            }
            put => put.map(|put| Schedule { tenant: tenant.clone(), ..put }),
        }
    }

    async fn remove_schedule(&self, tenant: &TenantId, name: &str) -> Result<bool, Error> {
        if self.is(Mutation::KeepsRemovedDue) {
            let key = (tenant.clone(), name.to_owned());
            return Ok(self.0.removed.lock().unwrap().insert(key));
        }
        self.0.schedules.remove_schedule(&self.tenant(tenant), name).await
    }

    async fn list_schedules(
        &self,
        tenant: Option<&TenantId>,
        after: Option<(&TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error> {
        let tenant = tenant.map(|tenant| self.tenant(tenant));
        let mut listed = self.0.schedules.list_schedules(tenant.as_ref(), after, limit).await?;
        match self.0.mutation {
            Mutation::CountsNoRevisions => listed.iter_mut().for_each(|schedule| schedule.revision = 1),
            Mutation::KeepsRemovedDue => {
                let removed = self.0.removed.lock().unwrap();
                listed.retain(|one| !removed.contains(&(one.tenant.clone(), one.name.clone())));
            }
            Mutation::ListsByName => listed.sort_by(|one, other| one.name.cmp(&other.name)),
            Mutation::SkipsBetweenPages if after.is_some() && listed.len() > 1 => {
                listed.remove(0);
            }
            _ => {}
        }
        Ok(listed)
    }

    async fn due_schedules(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, &TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error> {
        let now = match self.0.mutation {
            Mutation::FindsStrictlyBefore => now.checked_sub(Duration::from_micros(1)).unwrap(),
            _ => now,
        };
        let after = after.filter(|_| !self.is(Mutation::FindsTheFirstAgain));
        let mut due = self.0.schedules.due_schedules(now, after, limit).await?;
        match self.0.mutation {
            Mutation::FindsOneTenants => due.retain(|schedule| schedule.tenant.as_str() == "acme"),
            Mutation::FindsByName => due.sort_by(|one, other| one.name.cmp(&other.name)),
            _ => {}
        }
        Ok(due)
    }

    async fn advance_schedule(&self, seen: &Schedule, next_due_at: Option<Timestamp>) -> Result<bool, Error> {
        let schedules = &self.0.schedules;
        let mut seen = seen.clone();
        if self.is(Mutation::IgnoresRevisions) {
            let listed = schedules.list_schedules(Some(&seen.tenant), None, 1_000).await?;
            let there = listed.into_iter().find(|schedule| schedule.name == seen.name);
            seen.revision = there.map_or(seen.revision, |there| there.revision);
        }
        let moved = schedules.advance_schedule(&seen, next_due_at).await?;
        Ok(moved || self.is(Mutation::TellsEverybodyItMoved))
    }
}

underlay_testkit::conformance!(schedules, Mutant);

caught! { schedules;
    shared: a_schedule_is_kept_by_its_tenant fails on SharesNames;
    forgotten: a_schedule_is_kept_by_its_tenant fails on ForgetsWhenReopened;
    revisions_not_counted: a_schedule_is_kept_by_its_tenant fails on CountsNoRevisions;
    begun_anew: a_new_schedule_begins_above_those_that_were_removed fails on CountsNoRevisions;
    of_one_tenant: what_is_due_is_found fails on FindsOneTenants;
    found_late: what_is_due_is_found fails on FindsStrictlyBefore;
    by_name: what_is_due_is_found fails on FindsByName;
    first_again: what_is_due_is_found fails on FindsTheFirstAgain;
    moved_by_everybody: a_schedule_moves_on_once fails on TellsEverybodyItMoved;
    moved_from_before: a_schedule_moves_on_once fails on IgnoresRevisions;
    due_when_removed: a_removed_schedule_is_due_no_more fails on KeepsRemovedDue;
    listed_by_name: schedules_are_listed fails on ListsByName;
    between_pages: schedules_are_listed fails on SkipsBetweenPages;
    same_replaced: the_same_put_again_changes_nothing fails on ReplacesTheSame;
    same_moved: the_same_put_again_changes_nothing fails on MovesTheSame;
    without_limits: limits_of_schedules_are_named fails on NamesNoLimit;
}
