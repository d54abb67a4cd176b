use async_trait::async_trait;
use underlay_core::{Error, Json, Schedule, Schedules, TenantId, Timestamp};

use crate::Over;

/// A call of schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SchedulesCall {
    /// [`Schedules::put_schedule`].
    Put,
    /// [`Schedules::remove_schedule`].
    Remove,
    /// [`Schedules::list_schedules`].
    List,
    /// [`Schedules::due_schedules`].
    Due,
    /// [`Schedules::advance_schedule`].
    Advance,
}

/// Lies over schedules. What it does not say itself is asked of the port below.
#[async_trait]
pub trait SchedulesLayer: Send + Sync + 'static {
    /// The port below.
    type Below: Schedules;

    /// The port below.
    fn below(&self) -> &Self::Below;

    /// What happens around a call that is passed on: before its effect, after it, or in its place. A call that
    /// the layer answers itself does not come here.
    fn around<T: Send>(
        &self,
        _: SchedulesCall,
        effect: impl Future<Output = Result<T, Error>> + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        effect
    }

    /// [`Schedules::put_schedule`].
    async fn put_schedule(
        &self,
        tenant: &TenantId,
        name: &str,
        definition: &Json,
        next_due_at: Option<Timestamp>,
    ) -> Result<Schedule, Error> {
        self.around(SchedulesCall::Put, self.below().put_schedule(tenant, name, definition, next_due_at))
            .await
    }

    /// [`Schedules::remove_schedule`].
    async fn remove_schedule(&self, tenant: &TenantId, name: &str) -> Result<bool, Error> {
        self.around(SchedulesCall::Remove, self.below().remove_schedule(tenant, name)).await
    }

    /// [`Schedules::list_schedules`].
    async fn list_schedules(
        &self,
        tenant: Option<&TenantId>,
        after: Option<(&TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error> {
        self.around(SchedulesCall::List, self.below().list_schedules(tenant, after, limit)).await
    }

    /// [`Schedules::due_schedules`].
    async fn due_schedules(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, &TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error> {
        self.around(SchedulesCall::Due, self.below().due_schedules(now, after, limit)).await
    }

    /// [`Schedules::advance_schedule`].
    async fn advance_schedule(&self, seen: &Schedule, next_due_at: Option<Timestamp>) -> Result<bool, Error> {
        self.around(SchedulesCall::Advance, self.below().advance_schedule(seen, next_due_at)).await
    }
}

#[async_trait]
impl<L: SchedulesLayer> Schedules for Over<L> {
    async fn put_schedule(
        &self,
        tenant: &TenantId,
        name: &str,
        definition: &Json,
        next_due_at: Option<Timestamp>,
    ) -> Result<Schedule, Error> {
        self.0.put_schedule(tenant, name, definition, next_due_at).await
    }
    async fn remove_schedule(&self, tenant: &TenantId, name: &str) -> Result<bool, Error> {
        self.0.remove_schedule(tenant, name).await
    }
    async fn list_schedules(
        &self,
        tenant: Option<&TenantId>,
        after: Option<(&TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error> {
        self.0.list_schedules(tenant, after, limit).await
    }
    async fn due_schedules(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, &TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error> {
        self.0.due_schedules(now, after, limit).await
    }
    async fn advance_schedule(&self, seen: &Schedule, next_due_at: Option<Timestamp>) -> Result<bool, Error> {
        self.0.advance_schedule(seen, next_due_at).await
    }
}
