//! Pumps: each brings the log of all tenants to a sink.

use axum::extract::State;
use serde::Serialize;

use super::{FollowerBody, RetriedBody, by, followers_for};
use crate::Principal;
use crate::answer::Answer;
use crate::app::App;
use crate::door::credentials::Caller;
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;

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
