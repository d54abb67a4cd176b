use async_trait::async_trait;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use underlay_core::adapter::{stored_name, stored_number, stored_time};
use underlay_core::limits::SCHEDULES_MAX;
use underlay_core::{
    Error, Json, Schedule, Schedules, TenantId, Timestamp, check_schedule_definition, check_schedule_limit,
    check_schedule_name,
};

use crate::connections::session::{Parameter, SessionRole, Statement, Work};
use crate::error::Failure;
use crate::log::event_row::{self, RawJson};
use crate::store::PostgresStore;

#[async_trait]
impl Schedules for PostgresStore {
    async fn put_schedule(
        &self,
        tenant: &TenantId,
        name: &str,
        definition: &Json,
        next_due_at: Option<Timestamp>,
    ) -> Result<Schedule, Error> {
        check_schedule_name(name)?;
        check_schedule_definition(definition)?;
        let put = Put { tenant, name, definition, next_due_at };
        // Begun again after its end it would be put twice, so it is only where nothing was done.
        Ok(self.0.sessions.write(&SessionRole::Writer(tenant.clone()), &put).await?)
    }

    async fn remove_schedule(&self, tenant: &TenantId, name: &str) -> Result<bool, Error> {
        check_schedule_name(name)?;
        let owner = tenant.as_str();
        let parameters: [Parameter<'_>; 2] = [(&owner, Type::TEXT), (&name, Type::TEXT)];
        let sql = include_str!("sql/remove_schedule.sql");
        let rows = self.0.sessions.write_anew(&SessionRole::Writer(tenant.clone()), sql, &parameters).await?;
        let row = rows.first().ok_or_else(|| Failure::damaged("remove_schedule gave no row"))?;
        Ok(row.try_get(0).map_err(Failure::from)?)
    }

    async fn list_schedules(
        &self,
        tenant: Option<&TenantId>,
        after: Option<(&TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error> {
        check_schedule_limit(limit)?;
        after.map_or(Ok(()), |(_, name)| check_schedule_name(name))?;
        // Before every name of a tenant.
        let (after_owner, after_name) = after.map_or(("", ""), |(owner, name)| (owner.as_str(), name));
        let wanted = stored_number(limit as u64);
        let mut parameters: Vec<Parameter<'_>> =
            vec![(&after_owner, Type::TEXT), (&after_name, Type::TEXT), (&wanted, Type::INT8)];
        let owner = tenant.map(TenantId::as_str);
        let sql = match tenant {
            Some(_) => {
                parameters.insert(0, (&owner, Type::TEXT));
                include_str!("sql/select_tenant_schedules.sql")
            }
            None => include_str!("sql/select_schedules.sql"),
        };
        let role = match tenant {
            Some(tenant) => SessionRole::Reader(tenant.clone()),
            None => SessionRole::Worker,
        };
        Ok(self.0.sessions.read(&role, &[Statement::new(sql, parameters)], schedules).await?)
    }

    async fn due_schedules(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, &TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error> {
        check_schedule_limit(limit)?;
        after.map_or(Ok(()), |(_, _, name)| check_schedule_name(name))?;
        let (now, wanted) = (now.as_microsecond(), stored_number(limit as u64));
        // Before every place there is.
        let (from, owner, name) = after.map_or((i64::MIN, "", ""), |(due_at, owner, name)| {
            (due_at.as_microsecond(), owner.as_str(), name)
        });
        let parameters: [Parameter<'_>; 5] = [
            (&now, Type::INT8),
            (&from, Type::INT8),
            (&owner, Type::TEXT),
            (&name, Type::TEXT),
            (&wanted, Type::INT8),
        ];
        let select = Statement::new(include_str!("sql/select_due_schedules.sql"), parameters);
        Ok(self.0.sessions.read(&SessionRole::Worker, &[select], schedules).await?)
    }

    async fn advance_schedule(&self, seen: &Schedule, next_due_at: Option<Timestamp>) -> Result<bool, Error> {
        let (owner, revision) = (seen.tenant.as_str(), stored_number(seen.revision));
        let (from, to) = (stored(seen.next_due_at), stored(next_due_at));
        let parameters: [Parameter<'_>; 5] = [
            (&owner, Type::TEXT),
            (&seen.name, Type::TEXT),
            (&revision, Type::INT8),
            (&from, Type::INT8),
            (&to, Type::INT8),
        ];
        let sql = include_str!("sql/advance_schedule.sql");
        // Moved twice, the second would find it moved.
        let rows = self.0.sessions.write_anew(&SessionRole::Worker, sql, &parameters).await?;
        Ok(!rows.is_empty())
    }
}

/// Puts a schedule, and reads it as it stands: the function leaves one of the same definition as it is.
struct Put<'a> {
    tenant: &'a TenantId,
    name: &'a str,
    definition: &'a Json,
    next_due_at: Option<Timestamp>,
}

#[async_trait]
impl Work for Put<'_> {
    type Done = Schedule;

    async fn run(&self, client: &Client) -> Result<Schedule, Failure> {
        let (owner, name, text) = (self.tenant.as_str(), self.name, self.definition.as_str());
        let next = stored(self.next_due_at);
        let at_most = stored_number(SCHEDULES_MAX as u64);
        let parameters: [Parameter<'_>; 5] = [
            (&owner, Type::TEXT),
            (&name, Type::TEXT),
            (&text, Type::TEXT),
            (&next, Type::INT8),
            (&at_most, Type::INT8),
        ];
        let rows = client.query_typed(include_str!("sql/put_schedule.sql"), &parameters).await?;
        let row = rows.first().ok_or_else(|| Failure::damaged("put_schedule gave no row"))?;
        if row.try_get::<_, Option<i64>>(0)?.is_none() {
            return Err(Failure::refused(format!(
                "one schedule more exceeds SCHEDULES_MAX = {SCHEDULES_MAX} of a tenant; remove one that is no longer \
                 needed"
            )));
        }
        let rows = client.query_typed(include_str!("sql/select_schedule.sql"), &parameters[..2]).await?;
        schedule(rows.first().ok_or_else(|| Failure::damaged("a schedule that was put is not there"))?)
    }
}

fn stored(moment: Option<Timestamp>) -> Option<i64> {
    moment.map(|moment| moment.as_microsecond())
}

fn schedules(answers: Vec<Vec<Row>>) -> Result<Vec<Schedule>, Failure> {
    answers.iter().flatten().map(schedule).collect()
}

fn schedule(row: &Row) -> Result<Schedule, Failure> {
    let name: String = row.try_get(1)?;
    let definition: RawJson<'_> = row.try_get(2)?;
    let next: Option<i64> = row.try_get(3)?;
    let past_range = || Failure::damaged(format!("schedule {name:?} is due past the range of times"));
    let next_due_at = next.map(|next| stored_time(next).ok_or_else(past_range)).transpose()?;
    Ok(Schedule {
        tenant: stored_name(row.try_get(0)?, format_args!("schedule {name:?}"))?,
        definition: Json::from_stored(definition.0),
        next_due_at,
        revision: event_row::count(row, 4)?,
        name,
    })
}
