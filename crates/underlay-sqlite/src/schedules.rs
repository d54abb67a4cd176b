use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, Rows, params};
use underlay_core::adapter::{stored_name, stored_number};
use underlay_core::limits::SCHEDULES_MAX;
use underlay_core::{
    Error, Json, Schedule, Schedules, TenantId, Timestamp, check_schedule_definition, check_schedule_limit,
    check_schedule_name,
};

use crate::error::Failure;
use crate::log::event_row;
use crate::log::intake::Flush;
use crate::store::SqliteStore;

#[async_trait]
impl Schedules for SqliteStore {
    async fn put_schedule(
        &self,
        tenant: &TenantId,
        name: &str,
        definition: &Json,
        next_due_at: Option<Timestamp>,
    ) -> Result<Schedule, Error> {
        check_schedule_name(name)?;
        check_schedule_definition(definition)?;
        let (tenant, name, definition) = (tenant.clone(), name.to_owned(), definition.clone());
        let put = move |connection: &Connection| {
            if let Some(same) = same_schedule(connection, &tenant, &name, &definition)? {
                return Ok(same);
            }
            let revision = next_revision(connection, &tenant, &name)?;
            connection.prepare_cached(include_str!("sql/schedules/upsert_schedule.sql"))?.execute(
                params![
                    tenant.as_str(),
                    name,
                    definition.as_str(),
                    next_due_at.map(|time| time.as_microsecond()),
                    stored_number(revision)
                ],
            )?;
            Ok(Schedule { tenant, name, definition, next_due_at, revision })
        };
        self.write_beside(Flush::Now, put).await
    }

    async fn remove_schedule(&self, tenant: &TenantId, name: &str) -> Result<bool, Error> {
        check_schedule_name(name)?;
        let (tenant, name) = (tenant.clone(), name.to_owned());
        let remove = move |connection: &Connection| {
            let delete = include_str!("sql/schedules/delete_schedule.sql");
            let Some(revision) = revision(connection, delete, &tenant, &name)? else { return Ok(false) };
            // Those that were removed before there was one row for all have a row each.
            let highest = removed_revision(connection, &tenant)?.max(revision);
            connection
                .prepare_cached(include_str!("sql/schedules/delete_removed_schedules.sql"))?
                .execute([tenant.as_str()])?;
            connection
                .prepare_cached(include_str!("sql/schedules/insert_removed_schedule.sql"))?
                .execute(params![tenant.as_str(), stored_number(highest)])?;
            Ok(true)
        };
        self.write_beside(Flush::Now, remove).await
    }

    async fn list_schedules(
        &self,
        tenant: Option<&TenantId>,
        after: Option<(&TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error> {
        check_schedule_limit(limit)?;
        after.map_or(Ok(()), |(_, name)| check_schedule_name(name))?;
        let limit = stored_number(limit as u64);
        // Before every name there is.
        let (from, after) = after.map_or(("", ""), |(owner, name)| (owner.as_str(), name));
        let (from, after) = (from.to_owned(), after.to_owned());
        let owner = tenant.cloned();
        let list = move |connection: &Connection| match owner {
            None => {
                let sql = include_str!("sql/schedules/select_schedules.sql");
                schedules(connection.prepare_cached(sql)?.query(params![from, after, limit])?)
            }
            Some(owner) => {
                let sql = include_str!("sql/schedules/select_schedules_of_tenant.sql");
                let after = match from.as_str().cmp(owner.as_str()) {
                    std::cmp::Ordering::Less => "",
                    std::cmp::Ordering::Equal => &after,
                    std::cmp::Ordering::Greater => return Ok(Vec::new()),
                };
                schedules(connection.prepare_cached(sql)?.query(params![owner.as_str(), after, limit])?)
            }
        };
        self.0.readers.read(tenant, list).await
    }

    async fn due_schedules(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, &TenantId, &str)>,
        limit: usize,
    ) -> Result<Vec<Schedule>, Error> {
        check_schedule_limit(limit)?;
        after.map_or(Ok(()), |(_, _, name)| check_schedule_name(name))?;
        let (now, limit) = (now.as_microsecond(), stored_number(limit as u64));
        // Before every place there is.
        let (from, owner, name) = after.map_or((i64::MIN, "", ""), |(due_at, owner, name)| {
            (due_at.as_microsecond(), owner.as_str(), name)
        });
        let (owner, name) = (owner.to_owned(), name.to_owned());
        let find = move |connection: &Connection| {
            let sql = include_str!("sql/schedules/select_due_schedules.sql");
            schedules(connection.prepare_cached(sql)?.query(params![now, from, owner, name, limit])?)
        };
        self.0.readers.read(None, find).await
    }

    async fn advance_schedule(&self, seen: &Schedule, next_due_at: Option<Timestamp>) -> Result<bool, Error> {
        let seen = seen.clone();
        let advance = move |connection: &Connection| {
            let sql = include_str!("sql/schedules/advance_schedule.sql");
            let moved = connection.prepare_cached(sql)?.execute(params![
                seen.tenant.as_str(),
                seen.name,
                stored_number(seen.revision),
                seen.next_due_at.map(|time| time.as_microsecond()),
                next_due_at.map(|time| time.as_microsecond())
            ])?;
            Ok(moved > 0)
        };
        self.write_beside(Flush::Now, advance).await
    }
}

/// The revision of a schedule that is put; one that is new begins above all that were removed.
///
/// # Errors
/// `Invalid` where it is one more than a tenant may have.
fn next_revision(connection: &Connection, tenant: &TenantId, name: &str) -> Result<u64, Failure> {
    let select = include_str!("sql/schedules/select_schedule_revision.sql");
    if let Some(revision) = revision(connection, select, tenant, name)? {
        return Ok(revision.saturating_add(1));
    }
    let mut select = connection.prepare_cached(include_str!("sql/schedules/count_schedules.sql"))?;
    let count: i64 = select.query_row([tenant.as_str()], |row| row.get(0))?;
    if count >= stored_number(SCHEDULES_MAX as u64) {
        return Err(Failure::refused(format!(
            "one schedule more exceeds SCHEDULES_MAX = {SCHEDULES_MAX} of a tenant; remove one that is no longer needed"
        )));
    }
    Ok(removed_revision(connection, tenant)?.saturating_add(1))
}

/// The highest revision of all that a tenant removed; 0 where it removed none.
fn removed_revision(connection: &Connection, tenant: &TenantId) -> Result<u64, Failure> {
    let select = include_str!("sql/schedules/select_removed_revision.sql");
    let highest: i64 = connection.prepare_cached(select)?.query_row([tenant.as_str()], |row| row.get(0))?;
    Ok(highest.unsigned_abs())
}

/// A schedule that is there by the same definition.
fn same_schedule(
    connection: &Connection,
    tenant: &TenantId,
    name: &str,
    definition: &Json,
) -> Result<Option<Schedule>, Failure> {
    let mut select = connection.prepare_cached(include_str!("sql/schedules/select_same_schedule.sql"))?;
    let mut rows = select.query([tenant.as_str(), name, definition.as_str()])?;
    rows.next()?.map(schedule).transpose()
}

/// The revision that a statement gives of a schedule.
fn revision(
    connection: &Connection,
    sql: &str,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<u64>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let revision: Option<i64> = statement.query_row((tenant.as_str(), name), |row| row.get(0)).optional()?;
    Ok(revision.map(i64::unsigned_abs))
}

fn schedules(mut rows: Rows<'_>) -> Result<Vec<Schedule>, Failure> {
    let mut schedules = Vec::new();
    while let Some(row) = rows.next()? {
        schedules.push(schedule(row)?);
    }
    Ok(schedules)
}

fn schedule(row: &Row<'_>) -> Result<Schedule, Failure> {
    let name = event_row::text(row, 1, "a schedule")?.to_owned();
    let here = format_args!("the schedule {name:?}");
    Ok(Schedule {
        tenant: stored_name(event_row::text(row, 0, here)?, here)?,
        definition: Json::from_stored(event_row::text(row, 2, here)?),
        next_due_at: event_row::time(row, 3, here)?,
        revision: event_row::count(row, 4, here)?,
        name: name.clone(),
    })
}
