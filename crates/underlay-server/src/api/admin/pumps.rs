//! Pumps: each brings the log of all tenants to a sink.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use underlay_core::{Error, Position};
use underlay_runtime::RewindTo;

use super::{FollowerBody, RetriedBody, by, followers_for};
use crate::Principal;
use crate::answer::Answer;
use crate::app::App;
use crate::door::credentials::Caller;
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;
use crate::request_body::{JsonText, object};

#[derive(Debug, Serialize)]
pub(crate) struct PumpsBody {
    pub(crate) pumps: Vec<FollowerBody>,
}

/// `GET /v1/admin/pumps`: where every pump stands.
pub(crate) async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    parameters: Parameters,
) -> Result<Answer<PumpsBody>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(pumps_for(&app, &principal).await?))
}

/// Where every pump stands, as a caller is told.
pub(crate) async fn pumps_for(app: &App, principal: &Principal) -> Result<PumpsBody, Problem> {
    let standings = app.engine().pump_standings().await?;
    Ok(PumpsBody { pumps: followers_for(app, &principal.actor, &standings) })
}

/// `POST /v1/admin/pumps/{name}/retry`: a pump that is stopped tries again.
pub(crate) async fn retry(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(name): Segments<String>,
    parameters: Parameters,
) -> Result<Answer<RetriedBody>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(retry_pump(&app, &principal, name).await?))
}

pub(crate) async fn retry_pump(
    app: &App,
    principal: &Principal,
    name: String,
) -> Result<RetriedBody, Problem> {
    let was_stopped = app.engine().retry_pump(&name).await?;
    tracing::info!(pump = name, was_stopped, by = by(principal), "a pump is to try again");
    Ok(RetriedBody { name, was_stopped })
}

/// Where a pump is to go on from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RewindBody {
    to: String,
}

/// A pump that was moved.
#[derive(Debug, Serialize)]
pub(crate) struct RewoundBody {
    pub(crate) name: String,
    /// Where it stands: what follows is brought.
    pub(crate) position: Position,
}

/// `POST /v1/admin/pumps/{name}/rewind`: a pump goes on from another place of the log.
pub(crate) async fn rewind(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(name): Segments<String>,
    parameters: Parameters,
    JsonText(body): JsonText,
) -> Result<Answer<RewoundBody>, Problem> {
    parameters.finish(&[])?;
    let wrong = |error: &dyn std::fmt::Display| {
        Problem::invalid(format!(
            "the body does not fit: {error}; it is such as {{\"to\": \"42\"}} or {{\"to\": \"start\"}}"
        ))
    };
    let body: RewindBody = object(&body).map_err(|error| wrong(&error))?;
    let to: RewindTo = body.to.parse().map_err(|error: Error| wrong(&error))?;
    let position = app.engine().rewind_pump(&name, to).await?;
    tracing::info!(pump = name, %position, by = by(&principal), "a pump goes on from another place");
    Ok(Answer(RewoundBody { name, position }))
}
