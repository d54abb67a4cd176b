//! Processes, and the caller's instances of them: what they wait for, and what they stand still behind.

use axum::extract::State;
use serde::Serialize;
use underlay_core::limits::PAGE_ROWS_MAX;
use underlay_runtime::{ProcessFilter, ProcessInstance, ProcessPage};

use super::{FollowerBody, RetriedBody, by, followers_for};
use crate::Principal;
use crate::answer::Answer;
use crate::app::App;
use crate::budget::Room;
use crate::door::credentials::Caller;
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;

/// Instances in a page where the request does not say.
pub(crate) const PAGE_INSTANCES_DEFAULT: usize = 100;
/// Which instances are listed, by their words.
pub(crate) const STANDINGS: [&str; 3] = ["open", "finished", "stuck"];

#[derive(Debug, Serialize)]
pub(crate) struct ProcessesBody {
    pub(crate) processes: Vec<FollowerBody>,
}

/// `GET /v1/admin/processes`: where every process stands with the log.
pub(crate) async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    parameters: Parameters,
) -> Result<Answer<ProcessesBody>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(processes_for(&app, &principal).await?))
}

/// Where every process stands, as a caller is told.
pub(crate) async fn processes_for(app: &App, principal: &Principal) -> Result<ProcessesBody, Problem> {
    let standings = app.engine().overview().await?.processes;
    Ok(ProcessesBody { processes: followers_for(app, &principal.actor, &standings) })
}

/// `POST /v1/admin/processes/{name}/retry`: a process that is stopped tries again.
pub(crate) async fn retry(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(name): Segments<String>,
    parameters: Parameters,
) -> Result<Answer<RetriedBody>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(retry_process(&app, &principal, name).await?))
}

pub(crate) async fn retry_process(
    app: &App,
    principal: &Principal,
    name: String,
) -> Result<RetriedBody, Problem> {
    let was_stopped = app.engine().retry_process(&name).await?;
    tracing::info!(process = name, was_stopped, by = by(principal), "a process is to try again");
    Ok(RetriedBody { name, was_stopped })
}

/// Which instances are meant by a word; all where none is said.
pub(crate) fn filter_of(standing: Option<&str>) -> Result<ProcessFilter, Problem> {
    match standing {
        None => Ok(ProcessFilter::Every),
        Some("open") => Ok(ProcessFilter::Open),
        Some("finished") => Ok(ProcessFilter::Finished),
        Some("stuck") => Ok(ProcessFilter::Stuck),
        Some(other) => {
            Err(Problem::invalid(format!("standing={other} is none of: {}", STANDINGS.join(", "))))
        }
    }
}

/// `GET /v1/admin/processes/{name}/instances`: a page of the instances of a process, in the order of their names.
pub(crate) async fn list_instances(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(process): Segments<String>,
    mut parameters: Parameters,
) -> Result<Answer<ProcessPage>, Problem> {
    let filter = filter_of(parameters.take("standing")?.as_deref())?;
    let after = parameters.take("after")?;
    let limit = parameters.take_limit(PAGE_INSTANCES_DEFAULT, PAGE_ROWS_MAX)?;
    parameters.finish(&["standing", "after", "limit"])?;
    let page = app.engine().processes(&principal.tenant, &process, filter, after.as_deref(), limit).await?;
    Ok(Answer(page))
}

/// `GET /v1/admin/processes/{name}/instances/{instance}`: one of them. Its name may hold slashes.
pub(crate) async fn find_instance(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments((process, instance)): Segments<(String, String)>,
    room: Room,
    parameters: Parameters,
) -> Result<Answer<ProcessInstance>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(instance_of(&app, &room, &principal, &process, &instance).await?))
}

/// One instance of the caller's tenant.
pub(crate) async fn instance_of(
    app: &App,
    room: &Room,
    principal: &Principal,
    process: &str,
    instance: &str,
) -> Result<ProcessInstance, Problem> {
    let found = app.engine().process(&principal.tenant, process, instance).await?;
    room.0.hold(found.state.as_ref().map_or(0, underlay_core::Json::bytes), false)?;
    Ok(found)
}
