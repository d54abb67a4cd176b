//! Commands and operations, done at once or left with the store.

use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use underlay_core::{CommitId, Position, StreamVersion, Timestamp};
use underlay_runtime::{ExecuteNamedError, Executed, Request, SubmitOptions, Submitted};

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

/// Who decides: an aggregate by its category and id, or an operation.
pub(crate) enum Decider<'a> {
    Aggregate { category: &'a str, id: &'a str, command: &'a str },
    Operation { name: &'a str },
}

/// What became of a command.
pub(crate) enum Given {
    /// It has run.
    Done(Executed),
    /// The store has it.
    Stored(Submitted),
}

/// Gives a command: it runs at once, or is left with the store where there are options for that.
pub(crate) async fn give(
    app: &App,
    request: &Request,
    decider: &Decider<'_>,
    body: &str,
    options: Option<SubmitOptions>,
) -> Result<Given, ExecuteNamedError> {
    let engine = app.engine();
    // Without a body, the answer of an operation names the first field that is missing.
    let body = if matches!(decider, Decider::Operation { .. }) && body.is_empty() { "{}" } else { body };
    if let Some(options) = options {
        let submitted = match *decider {
            Decider::Aggregate { category, id, command } => {
                engine.submit_named(request, category, id, command, body, options).await?
            }
            Decider::Operation { name } => {
                engine.submit_operation_named(request, name, body, options).await?
            }
        };
        if !submitted.is_processed {
            return Ok(Given::Stored(submitted));
        }
        // It has ended by now: what follows is its first answer.
    }
    let executed = match *decider {
        Decider::Aggregate { category, id, command } => {
            engine.execute_named(request, category, id, command, body).await?
        }
        Decider::Operation { name } => engine.operate_named(request, name, body).await?,
    };
    Ok(Given::Done(executed))
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
    let decider = Decider::Aggregate { category: &category, id: &id, command: &command };
    respond(&app, &request, &deferral, &decider, &body).await
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
    respond(&app, &request, &deferral, &Decider::Operation { name: &name }, &body).await
}

async fn respond(
    app: &App,
    request: &Request,
    deferral: &Deferral,
    decider: &Decider<'_>,
    body: &str,
) -> Result<Response, Problem> {
    let keyed = request.command_id.is_some();
    let given = give(app, request, decider, body, deferral.options()).await;
    match given.map_err(|failure| Problem::of_command(failure, keyed))? {
        Given::Done(executed) => Ok(answer(executed)),
        Given::Stored(submitted) => stored(app, request, deferral, &submitted).await,
    }
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
