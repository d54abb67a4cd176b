use underlay_core::{Error, TenantId};

use super::Engine;
use crate::{ExecuteNamedError, ScheduleDefinition, ScheduleInfo};

/// Commands that are due again and again.
impl Engine {
    /// Puts a schedule, in place of one of that name. Putting the same again changes nothing, so a program may put its
    /// schedules whenever it starts; putting another begins with the next moment from now.
    ///
    /// # Errors
    /// Where the cron expression, the zone or the command is not well formed, with what would be right; where a limit is
    /// exceeded; what the store says.
    pub async fn put_schedule(
        &self,
        tenant: &TenantId,
        name: &str,
        definition: ScheduleDefinition,
    ) -> Result<ScheduleInfo, ExecuteNamedError> {
        self.0.timetable.put(tenant, name, definition).await
    }

    /// Removes a schedule; whether there was one. What it has submitted already runs all the same.
    ///
    /// # Errors
    /// What the store says.
    pub async fn remove_schedule(&self, tenant: &TenantId, name: &str) -> Result<bool, Error> {
        self.0.timetable.remove(tenant, name).await
    }

    /// Lists schedules in the order of tenants and names, after one: of a tenant, or of all for the operator.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `limit` exceeds its limit; what the store says.
    pub async fn schedules(
        &self,
        tenant: Option<&TenantId>,
        after: Option<(&TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<ScheduleInfo>, Error> {
        self.0.timetable.list(tenant, after, limit).await
    }
}
