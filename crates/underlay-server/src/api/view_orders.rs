//! What is done with a view as a whole: rebuilt, verified, brought back, mended. It is over the rows of all tenants, so it
//! is for operators of the store; see [`Use::Views`](crate::door::roles::Use::Views).

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use underlay_core::{Error, ParkedEvent, Position, SkippedEvent, ViewSchema, ViewTable};
use underlay_runtime::{OrderRequest, OrderStanding, RebuildFrom, Retried, ViewStanding, ViewTask};

use crate::Principal;
use crate::admin::by;
use crate::answer::Answer;
use crate::app::App;
use crate::door::credentials::Caller;
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;
use crate::request_body::{JsonText, object};

/// Events that were passed over, in a page where the request does not say, and at most.
pub(crate) const PAGE_PARKED_DEFAULT: usize = 50;
pub(crate) const PAGE_PARKED_MAX: usize = 1_000;

#[derive(Debug, Serialize)]
pub(crate) struct StandingsBody {
    /// The end of the log.
    head: Position,
    views: Vec<ViewStanding>,
}

/// `GET /v1/admin/views`: where every view stands, with what is ordered of it.
pub(crate) async fn list(
    State(app): State<App>,
    parameters: Parameters,
) -> Result<Answer<StandingsBody>, Problem> {
    parameters.finish(&[])?;
    let standings = app.engine().view_standings().await?;
    Ok(Answer(StandingsBody { head: standings.head, views: standings.views }))
}

/// `GET /v1/admin/views/{view}`: where one stands.
pub(crate) async fn find(
    State(app): State<App>,
    Segments(view): Segments<String>,
    parameters: Parameters,
) -> Result<Answer<ViewStanding>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(standing_of(&app, &view).await?))
}

/// Where one stands: the store is asked, so whoever has just ordered something sees that.
pub(crate) async fn standing_of(app: &App, view: &str) -> Result<ViewStanding, Error> {
    app.schema(view)?;
    app.engine().view_standing(view).await
}

/// `POST /v1/admin/views/{view}/rebuild`: some process that keeps the view folds it anew, and swaps that in.
pub(crate) async fn rebuild(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(view): Segments<String>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let from_start = parameters.take_parsed("from_start")?.unwrap_or(false);
    parameters.finish(&["from_start"])?;
    let from = if from_start { RebuildFrom::Start } else { RebuildFrom::WhereItWas };
    order(&app, &principal, &view, ViewTask::Rebuild, from).await
}

/// `POST /v1/admin/views/{view}/verify`: some process that keeps the view compares its rows with those it folds anew.
pub(crate) async fn verify(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(view): Segments<String>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let repairs = parameters.take_parsed("repair")?.unwrap_or(false);
    parameters.finish(&["repair"])?;
    let task = if repairs { ViewTask::Repair } else { ViewTask::Verify };
    order(&app, &principal, &view, task, RebuildFrom::default()).await
}

async fn order(
    app: &App,
    principal: &Principal,
    view: &str,
    task: ViewTask,
    from: RebuildFrom,
) -> Result<Response, Problem> {
    app.schema(view)?;
    let request = OrderRequest { task, from, by: by(principal), in_background: true };
    let order = app.engine().order_view(view, &request).await?;
    let location = [(LOCATION, format!("/v1/admin/views/{view}"))];
    Ok((StatusCode::ACCEPTED, location, Answer(OrderStanding::new(order, None))).into_response())
}

/// `POST /v1/admin/views/{view}/cancel`: what is ordered is no longer carried out; what was built stays.
pub(crate) async fn cancel(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(view): Segments<String>,
    parameters: Parameters,
) -> Result<Answer<OrderStanding>, Problem> {
    parameters.finish(&[])?;
    app.schema(&view)?;
    Ok(Answer(app.engine().cancel_order(&view, &by(&principal)).await?))
}

#[derive(Debug, Serialize)]
pub(crate) struct RevertedBody {
    view: String,
    /// The generation that is read now.
    generation: u32,
}

/// `POST /v1/admin/views/{view}/revert`: the rows that the last rebuild replaced are read again.
pub(crate) async fn revert(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(view): Segments<String>,
    parameters: Parameters,
) -> Result<Answer<RevertedBody>, Problem> {
    parameters.finish(&[])?;
    app.schema(&view)?;
    let generation = app.engine().revert_view(&view).await?;
    tracing::info!(view, generation, by = by(&principal), "a generation was brought back");
    Ok(Answer(RevertedBody { view, generation }))
}

#[derive(Debug, Serialize)]
pub(crate) struct DiscardedBody {
    view: String,
    /// The generations that were given up.
    discarded: Vec<u32>,
}

/// `POST /v1/admin/views/{view}/discard`: what was built and is not read, and what could be brought back, is given up.
pub(crate) async fn discard(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(view): Segments<String>,
    parameters: Parameters,
) -> Result<Answer<DiscardedBody>, Problem> {
    parameters.finish(&[])?;
    app.schema(&view)?;
    let discarded = app.engine().discard_view(&view, &by(&principal)).await?;
    Ok(Answer(DiscardedBody { view, discarded }))
}

/// `POST /v1/admin/views/{view}/retry`: a view that is stopped is tried again now.
pub(crate) async fn retry(
    State(app): State<App>,
    Segments(view): Segments<String>,
    parameters: Parameters,
) -> Result<Answer<Retried>, Problem> {
    parameters.finish(&[])?;
    app.schema(&view)?;
    Ok(Answer(app.engine().retry_view(&view).await?))
}

/// What is to be skipped, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SkipBody {
    position: String,
    why: String,
}

/// `POST /v1/admin/views/{view}/skip`: the view passes over the event that it is stopped at.
pub(crate) async fn skip(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(view): Segments<String>,
    parameters: Parameters,
    JsonText(body): JsonText,
) -> Result<Answer<SkippedEvent>, Problem> {
    parameters.finish(&[])?;
    app.schema(&view)?;
    let wrong = |error: &dyn std::fmt::Display| {
        Problem::invalid(format!(
            "the body does not fit: {error}; it is such as {{\"position\": \"42\", \"why\": \"a typo\"}}"
        ))
    };
    let body: SkipBody = object(&body).map_err(|error| wrong(&error))?;
    let position: Position = body.position.parse().map_err(|error: Error| wrong(&error))?;
    Ok(Answer(app.engine().skip_view(&view, position, &by(&principal), &body.why).await?))
}

#[derive(Debug, Serialize)]
pub(crate) struct ParkedBody {
    pub(crate) events: Vec<ParkedEvent>,
    /// What `after` is for the next page; null where this is the last.
    pub(crate) next: Option<Position>,
}

/// `GET /v1/admin/views/{view}/parked`: a page of the events that the rows of a view lack, in the order of the log.
pub(crate) async fn parked(
    State(app): State<App>,
    Segments(view): Segments<String>,
    mut parameters: Parameters,
) -> Result<Answer<ParkedBody>, Problem> {
    let schema = app.schema(&view)?.clone();
    let after = parameters.take_parsed("after")?.unwrap_or(Position::START);
    let limit = parameters.take_limit(PAGE_PARKED_DEFAULT, PAGE_PARKED_MAX)?;
    parameters.finish(&["after", "limit"])?;
    Ok(Answer(parked_of(&app, schema, after, limit).await?))
}

/// A page of the events that the rows of a view lack.
pub(crate) async fn parked_of(
    app: &App,
    schema: ViewSchema,
    after: Position,
    limit: usize,
) -> Result<ParkedBody, Error> {
    let engine = app.engine();
    let Some(info) = engine.view_info(&schema.name).await? else {
        return Ok(ParkedBody { events: Vec::new(), next: None });
    };
    let rows = engine.read_models(&schema.name);
    let table = ViewTable { schema, generation: info.active.number };
    let events = rows.parked(&table, after, limit).await?;
    let next = events.last().filter(|_| events.len() == limit).map(|last| last.position);
    Ok(ParkedBody { events, next })
}
