//! Commands and operations, done at once or left with the store.

use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use underlay_core::{CommitId, Position, StreamVersion, Timestamp};
use underlay_runtime::{Executed, Request, Submitted};

use crate::answer::Answer;
use crate::app::App;
use crate::deferral::Deferral;
use crate::door::credentials::Caller;
use crate::events::EventBody;
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;
use crate::request_body::JsonText;
use crate::request_headers::read_request;

/// Says that an answer is the first one again.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The answer to a command that was accepted; the same bytes at every repeat.
#[derive(Debug, Serialize)]
struct ExecutedBody {
    command_id: CommitId,
    position: Position,
    streams: Vec<StreamVersion>,
    events: Vec<EventBody>,
    recorded_at: Timestamp,
}

/// `POST /v1/{category}/{id}/{command}`: a command to one aggregate.
pub(crate) async fn execute(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments((category, id, command)): Segments<(String, String, String)>,
    parameters: Parameters,
    headers: HeaderMap,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let request = read_request(principal, &headers)?;
    let deferral = Deferral::read(&headers, parameters)?;
    let keyed = request.command_id.is_some();
    if let Some(options) = deferral.options() {
        let submitted = app.engine().submit_named(&request, &category, &id, &command, &body, options).await;
        let submitted = submitted.map_err(|failure| Problem::of_command(failure, keyed))?;
        if !submitted.is_processed {
            return stored(&app, &request, &deferral, &submitted).await;
        }
        // It has ended by now: what follows is its first answer.
    }
    let executed = app.engine().execute_named(&request, &category, &id, &command, &body).await;
    executed.map(answer).map_err(|failure| Problem::of_command(failure, keyed))
}

/// `POST /v1/operations/{name}`: a decision over several aggregates.
pub(crate) async fn operate(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(name): Segments<String>,
    parameters: Parameters,
    headers: HeaderMap,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let request = read_request(principal, &headers)?;
    let deferral = Deferral::read(&headers, parameters)?;
    // Without a body, the answer names the first field that is missing.
    let body = if body.is_empty() { "{}" } else { &body };
    let keyed = request.command_id.is_some();
    if let Some(options) = deferral.options() {
        let submitted = app.engine().submit_operation_named(&request, &name, body, options).await;
        let submitted = submitted.map_err(|failure| Problem::of_command(failure, keyed))?;
        if !submitted.is_processed {
            return stored(&app, &request, &deferral, &submitted).await;
        }
    }
    let executed = app.engine().operate_named(&request, &name, body).await;
    executed.map(answer).map_err(|failure| Problem::of_command(failure, keyed))
}

/// The answer to a command that is left with the store.
async fn stored(
    app: &App,
    request: &Request,
    deferral: &Deferral,
    submitted: &Submitted,
) -> Result<Response, Problem> {
    let known = match submitted.repeated {
        true => app.engine().command_status(&request.tenant, submitted.command_id).await?,
        false => None,
    };
    Ok(deferral.accepted(submitted, known, app.engine().clock().now()))
}

fn answer(executed: Executed) -> Response {
    let etag = match executed.versions.as_slice() {
        [only] => HeaderValue::from_str(&format!("\"{}\"", only.version)).ok(),
        _ => None,
    };
    let repeated = executed.repeated;
    let mut response = Answer(ExecutedBody {
        command_id: executed.command_id,
        position: executed.position,
        streams: executed.versions,
        events: executed.events.into_iter().map(EventBody::answered).collect(),
        recorded_at: executed.recorded_at,
    })
    .into_response();
    if let Some(etag) = etag {
        response.headers_mut().insert(ETAG, etag);
    }
    if repeated {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
