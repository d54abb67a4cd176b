//! Schedules of the caller's tenant, for operators.
//!
//! A schedule gives a command again and again, and nobody is asked for credentials then. So who puts one has the roles
//! that giving the command asks for, beside that of an operator.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use underlay_core::limits::SCHEDULES_MAX;
use underlay_core::{Error, Json, TenantId, Timestamp};
use underlay_runtime::{Missed, ScheduleDefinition, ScheduleInfo};

use crate::Principal;
use crate::answer::Answer;
use crate::app::App;
use crate::budget::Room;
use crate::door::credentials::Caller;
use crate::door::roles::permit_command;
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;
use crate::request_body::{JsonText, object};

/// What a schedule of an operation is for begins with.
pub(crate) const OPERATIONS: &str = "operations";
/// The time zone where none is named.
const ZONE_DEFAULT: &str = "UTC";
/// Schedules in a page where the request does not say.
pub(crate) const PAGE_SCHEDULES_DEFAULT: usize = 100;
/// Schedules read at once. Each may have SCHEDULE_BYTES_MAX.
const PART_SCHEDULES: usize = 16;
/// Bytes of a schedule in an answer beside the body of its command, about.
const SCHEDULE_BYTES: usize = 512;

/// A schedule as it is put.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with cron and for, and with zone, missed, urgent and body where wanted"
)]
pub(crate) struct PutBody {
    pub(crate) cron: String,
    pub(crate) zone: Option<String>,
    #[serde(default)]
    pub(crate) missed: Missed,
    #[serde(default)]
    pub(crate) urgent: bool,
    #[serde(rename = "for")]
    pub(crate) target: String,
    pub(crate) body: Option<Json>,
}

/// A schedule as it is told.
#[derive(Debug, Serialize)]
pub(crate) struct ScheduleBody {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) definition: Option<DefinitionBody>,
    /// Why this program cannot submit it when it is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    pub(crate) next_due_at: Option<Timestamp>,
    revision: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct DefinitionBody {
    pub(crate) cron: String,
    pub(crate) zone: String,
    pub(crate) missed: Missed,
    pub(crate) urgent: bool,
    /// `category/id/command`, or `operations/name`.
    #[serde(rename = "for")]
    pub(crate) target: String,
    pub(crate) body: Json,
}

#[derive(Debug, Serialize)]
pub(crate) struct SchedulesBody {
    pub(crate) schedules: Vec<ScheduleBody>,
    /// What `after` is for the next page; null where this is the last.
    pub(crate) next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RemovedBody {
    name: String,
    removed: bool,
}

impl ScheduleBody {
    fn of(info: ScheduleInfo) -> Self {
        Self {
            name: info.name,
            definition: info.definition.map(DefinitionBody::of),
            problem: info.problem,
            next_due_at: info.next_due_at,
            revision: info.revision,
        }
    }
}

impl DefinitionBody {
    fn of(definition: ScheduleDefinition) -> Self {
        let target = match &definition.id {
            Some(id) => format!("{}/{id}/{}", definition.receiver, definition.command),
            None => format!("{OPERATIONS}/{}", definition.receiver),
        };
        let ScheduleDefinition { cron, zone, missed, urgent, body, .. } = definition;
        Self { cron, zone, missed, urgent, target, body }
    }
}

impl PutBody {
    pub(crate) fn definition(self) -> Result<ScheduleDefinition, Problem> {
        let zone = self.zone.as_deref().unwrap_or(ZONE_DEFAULT);
        let body = self.body.as_ref().map_or("{}", Json::as_str);
        let wrong = || {
            Problem::invalid(format!(
                "for={:?} is neither CATEGORY/ID/COMMAND nor {OPERATIONS}/NAME, as in the addresses of commands",
                self.target
            ))
        };
        let (first, rest) = self.target.split_once('/').ok_or_else(wrong)?;
        let definition = match rest.rsplit_once('/') {
            _ if first == OPERATIONS => ScheduleDefinition::operation_named(&self.cron, zone, rest, body)?,
            Some((id, command)) => {
                ScheduleDefinition::command_named(&self.cron, zone, first, id, command, body)?
            }
            None => return Err(wrong()),
        };
        let definition = definition.with_missed(self.missed);
        Ok(if self.urgent { definition.urgent() } else { definition })
    }
}

/// `GET /v1/admin/schedules`: a page of the schedules of the tenant, in the order of their names.
pub(crate) async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    room: Room,
    mut parameters: Parameters,
) -> Result<Answer<SchedulesBody>, Problem> {
    let after = parameters.take("after")?;
    let limit = parameters.take_limit(PAGE_SCHEDULES_DEFAULT, SCHEDULES_MAX)?;
    parameters.finish(&["after", "limit"])?;
    Ok(Answer(schedules_of(&app, &room, &principal.tenant, after, limit).await?))
}

/// A page of the schedules of a tenant.
pub(crate) async fn schedules_of(
    app: &App,
    room: &Room,
    tenant: &TenantId,
    mut after: Option<String>,
    limit: usize,
) -> Result<SchedulesBody, Problem> {
    let (mut schedules, mut bytes) = (Vec::new(), 0);
    let next = loop {
        // One more than is told says whether there is a next page.
        let part = PART_SCHEDULES.min(limit - schedules.len());
        let last = after.as_deref().map(|name| (tenant, name));
        let mut found = app.engine().schedules(Some(tenant), last, part + 1).await?;
        let is_more = found.len() > part;
        found.truncate(part);
        for info in found {
            bytes += schedule_bytes(&info);
            after = Some(info.name.clone());
            schedules.push(ScheduleBody::of(info));
        }
        room.0.hold(bytes, false)?;
        if !is_more {
            break None;
        }
        if schedules.len() >= limit || bytes >= app.config().page_bytes_max {
            break after;
        }
    };
    Ok(SchedulesBody { schedules, next })
}

/// `GET /v1/admin/schedules/{name}`: one schedule of the tenant.
pub(crate) async fn find(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(name): Segments<String>,
    room: Room,
    parameters: Parameters,
) -> Result<Answer<ScheduleBody>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(schedule_of(&app, &room, &principal.tenant, &name).await?))
}

/// One schedule of a tenant.
pub(crate) async fn schedule_of(
    app: &App,
    room: &Room,
    tenant: &TenantId,
    name: &str,
) -> Result<ScheduleBody, Problem> {
    let mut after = None::<String>;
    let found = loop {
        let last = after.as_deref().map(|name| (tenant, name));
        let part = app.engine().schedules(Some(tenant), last, PART_SCHEDULES).await?;
        let is_last = part.len() < PART_SCHEDULES;
        after = part.last().map(|info| info.name.clone());
        if let Some(found) = part.into_iter().find(|info| info.name == name) {
            break found;
        }
        // They are in the order of their names.
        if is_last || after.as_ref().is_none_or(|after| after.as_str() > name) {
            return Err(Error::NotFound(format!("schedule {name:?}")).into());
        }
    };
    room.0.hold(schedule_bytes(&found), false)?;
    Ok(ScheduleBody::of(found))
}

fn schedule_bytes(info: &ScheduleInfo) -> usize {
    SCHEDULE_BYTES + info.definition.as_ref().map_or(0, |definition| definition.body.as_str().len())
}

/// `PUT /v1/admin/schedules/{name}`: puts a schedule, in place of one of that name. The same put again changes nothing.
pub(crate) async fn put(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(name): Segments<String>,
    parameters: Parameters,
    JsonText(body): JsonText,
) -> Result<Answer<ScheduleBody>, Problem> {
    parameters.finish(&[])?;
    let put: PutBody =
        object(&body).map_err(|error| Problem::invalid(format!("the body is no schedule: {error}")))?;
    Ok(Answer(put_for(&app, principal, &name, put).await?))
}

/// Puts a schedule of the caller's tenant, where the caller may give its command.
pub(crate) async fn put_for(
    app: &App,
    principal: Principal,
    name: &str,
    put: PutBody,
) -> Result<ScheduleBody, Problem> {
    let definition = put.definition()?;
    permit_command(
        app,
        &principal.actor,
        &definition.receiver,
        definition.id.is_some(),
        &definition.command,
    )?;
    let definition = definition.with_actor(principal.actor);
    let put = app.engine().put_schedule(&principal.tenant, name, definition).await;
    Ok(ScheduleBody::of(put.map_err(|failure| Problem::of_command(failure, true))?))
}

/// `DELETE /v1/admin/schedules/{name}`: removes a schedule. What it has given already runs all the same.
pub(crate) async fn remove(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(name): Segments<String>,
    parameters: Parameters,
) -> Result<Answer<RemovedBody>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(remove_of(&app, &principal.tenant, name).await?))
}

/// Removes a schedule of a tenant.
pub(crate) async fn remove_of(app: &App, tenant: &TenantId, name: String) -> Result<RemovedBody, Problem> {
    if app.engine().remove_schedule(tenant, &name).await? {
        return Ok(RemovedBody { name, removed: true });
    }
    Err(Error::NotFound(format!("schedule {name:?}")).into())
}
