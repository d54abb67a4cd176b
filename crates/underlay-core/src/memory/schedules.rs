use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::ports::{
    Schedule, Schedules, check_schedule_definition, check_schedule_limit, check_schedule_name,
};
use crate::words::limits::SCHEDULES_MAX;
use crate::words::{Error, Json, TenantId, Timestamp};

/// Schedules in memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySchedules(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    schedules: BTreeMap<(TenantId, String), Schedule>,
    /// Of each tenant the highest revision of those that were removed.
    removed: BTreeMap<TenantId, u64>,
}

impl MemorySchedules {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic while it is held leaves maps that are whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Schedules for MemorySchedules {
    async fn put_schedule(
        &self,
        tenant: &TenantId,
        name: &str,
        definition: &Json,
        next_due_at: Option<Timestamp>,
    ) -> Result<Schedule, Error> {
        check_schedule_name(name)?;
        check_schedule_definition(definition)?;
        let mut kept = self.lock();
        let key = (tenant.clone(), name.to_owned());
        let before = kept.schedules.get(&key);
        if let Some(same) = before.filter(|before| before.definition == *definition) {
            return Ok(same.clone());
        }
        let before = before.map(|before| before.revision);
        if before.is_none()
            && kept.schedules.keys().filter(|(owner, _)| owner == tenant).count() >= SCHEDULES_MAX
        {
            return Err(Error::invalid(format!(
                "one schedule more exceeds SCHEDULES_MAX = {SCHEDULES_MAX} of a tenant; remove one that is no longer \
                 needed"
            )));
        }
        let removed = kept.removed.get(tenant).copied();
        let revision = before.or(removed).unwrap_or(0) + 1;
        let schedule = Schedule {
            tenant: tenant.clone(),
            name: name.to_owned(),
            definition: definition.clone(),
            next_due_at,
            revision,
        };
        kept.schedules.insert(key, schedule.clone());
        Ok(schedule)
    }

    async fn remove_schedule(&self, tenant: &TenantId, name: &str) -> Result<bool, Error> {
        check_schedule_name(name)?;
        let mut kept = self.lock();
        let key = (tenant.clone(), name.to_owned());
        let removed = kept.schedules.remove(&key);
        if let Some(schedule) = &removed {
            let highest = kept.removed.entry(tenant.clone()).or_default();
            *highest = schedule.revision.max(*highest);
        }
        Ok(removed.is_some())
    }

    async fn list_schedules(
        &self,
        tenant: Option<&TenantId>,
        after: Option<(&TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error> {
        check_schedule_limit(limit)?;
        after.map_or(Ok(()), |(_, name)| check_schedule_name(name))?;
        let kept = self.lock();
        let is_after = |(owner, name): &(TenantId, String)| {
            after.is_none_or(|(after_owner, after_name)| (owner, name.as_str()) > (after_owner, after_name))
        };
        let listed = kept.schedules.iter().filter(|(key, _)| is_after(key));
        let listed = listed.filter(|((owner, _), _)| tenant.is_none_or(|tenant| tenant == owner));
        Ok(listed.take(limit).map(|(_, schedule)| schedule.clone()).collect())
    }

    async fn due_schedules(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, &TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error> {
        check_schedule_limit(limit)?;
        after.map_or(Ok(()), |(_, _, name)| check_schedule_name(name))?;
        let kept = self.lock();
        let is_due = |schedule: &&Schedule| {
            let Some(due_at) = schedule.next_due_at.filter(|due_at| *due_at <= now) else { return false };
            after.is_none_or(|after| (due_at, &schedule.tenant, schedule.name.as_str()) > after)
        };
        let mut due: Vec<&Schedule> = kept.schedules.values().filter(is_due).collect();
        due.sort_by_key(|schedule| schedule.next_due_at);
        Ok(due.into_iter().take(limit).cloned().collect())
    }

    async fn advance_schedule(&self, seen: &Schedule, next_due_at: Option<Timestamp>) -> Result<bool, Error> {
        let mut kept = self.lock();
        let there = kept.schedules.get_mut(&(seen.tenant.clone(), seen.name.clone()));
        let is_same =
            |there: &&mut Schedule| there.revision == seen.revision && there.next_due_at == seen.next_due_at;
        Ok(there.filter(is_same).map(|there| there.next_due_at = next_due_at).is_some())
    }
}
