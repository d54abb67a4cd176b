//! Instances of processes of the caller's tenant, for operators: what they wait for, and what they stand still behind.

use axum::extract::State;
use underlay_core::limits::PAGE_ROWS_MAX;
use underlay_runtime::{ProcessFilter, ProcessInstance, ProcessPage};

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

/// `GET /v1/admin/processes/{name}`: a page of the instances of a process, in the order of their names.
pub(crate) async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(process): Segments<String>,
    mut parameters: Parameters,
) -> Result<Answer<ProcessPage>, Problem> {
    let filter = match parameters.take("standing")?.as_deref() {
        None => ProcessFilter::Every,
        Some("open") => ProcessFilter::Open,
        Some("finished") => ProcessFilter::Finished,
        Some("stuck") => ProcessFilter::Stuck,
        Some(other) => {
            let known = STANDINGS.join(", ");
            return Err(Problem::invalid(format!("standing={other} is none of: {known}")));
        }
    };
    let after = parameters.take("after")?;
    let limit = parameters.take_limit(PAGE_INSTANCES_DEFAULT, PAGE_ROWS_MAX)?;
    parameters.finish(&["standing", "after", "limit"])?;
    let page = app.engine().processes(&principal.tenant, &process, filter, after.as_deref(), limit).await?;
    Ok(Answer(page))
}

/// `GET /v1/admin/processes/{name}/{instance}`: one of them. Its name may hold slashes.
pub(crate) async fn find(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments((process, instance)): Segments<(String, String)>,
    room: Room,
    parameters: Parameters,
) -> Result<Answer<ProcessInstance>, Problem> {
    parameters.finish(&[])?;
    let found = app.engine().process(&principal.tenant, &process, &instance).await?;
    room.0.hold(found.state.as_ref().map_or(0, underlay_core::Json::bytes), false)?;
    Ok(Answer(found))
}
