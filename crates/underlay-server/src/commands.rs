use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use underlay_core::{
    CommitId, CommitStatus, Error, EventStoreExt, Json, Outcome, Position, StreamVersion, Timestamp,
};
use underlay_runtime::Executed;

use crate::answer::Answer;
use crate::app::App;
use crate::door::credentials::Caller;
use crate::events::EventBody;
use crate::path::Segments;
use crate::problem::Problem;
use crate::request_body::JsonText;
use crate::request_headers::{read_key, read_request};

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
    headers: HeaderMap,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let request = read_request(principal, &headers)?;
    let keyed = request.command_id.is_some();
    let executed = app.engine().execute_named(&request, &category, &id, &command, &body).await;
    executed.map(answer).map_err(|failure| Problem::of_command(failure, keyed))
}

/// `POST /v1/operations/{name}`: a decision over several aggregates.
pub(crate) async fn operate(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(name): Segments<String>,
    headers: HeaderMap,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let request = read_request(principal, &headers)?;
    // Without a body, the answer names the first field that is missing.
    let body = if body.is_empty() { "{}" } else { &body };
    let keyed = request.command_id.is_some();
    let executed = app.engine().operate_named(&request, &name, body).await;
    executed.map(answer).map_err(|failure| Problem::of_command(failure, keyed))
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

/// What became of a command.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum CommandBody {
    Ended(EndedBody),
    Underway(UnderwayBody),
}

/// How a command ended.
#[derive(Debug, Serialize)]
pub(crate) struct EndedBody {
    command_id: CommitId,
    /// Always `processed`: what was decided is the outcome.
    status: &'static str,
    #[serde(flatten)]
    outcome: OutcomeBody,
    position: Position,
    streams: Vec<StreamVersion>,
    event_count: u32,
    recorded_at: Timestamp,
}

/// A command that has not ended, as far as this process knows.
#[derive(Debug, Serialize)]
pub(crate) struct UnderwayBody {
    command_id: CommitId,
    status: UnderwayStatus,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum UnderwayStatus {
    /// It waits, or is being stored.
    Pending,
    /// Nobody knows yet whether it is stored.
    Uncertain,
}

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum OutcomeBody {
    Accepted,
    Refused { refusal: RefusalBody },
}

#[derive(Debug, Serialize)]
struct RefusalBody {
    code: String,
    message: String,
    /// Null once their retention has passed.
    fields: Json,
}

/// `GET /v1/commands/{key}`: what became of a command, by the key it was sent with, or by the id an answer
/// gave. One that another process was given is not found until it is stored.
pub(crate) async fn find(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(key): Segments<String>,
) -> Result<Answer<CommandBody>, Problem> {
    let by_key = CommitId::from_key(&principal.tenant, read_key(&key)?);
    let store = app.engine().store();
    let mut id = by_key;
    let mut found = store.commit_status(&principal.tenant, by_key).await?;
    if matches!(found, CommitStatus::Unknown)
        && let Ok(given) = key.parse()
    {
        id = given;
        found = store.commit_status(&principal.tenant, given).await?;
    }
    let underway = |status| Ok(Answer(CommandBody::Underway(UnderwayBody { command_id: id, status })));
    let committed = match found {
        CommitStatus::Stored(found) => found.committed,
        CommitStatus::Pending => return underway(UnderwayStatus::Pending),
        CommitStatus::InDoubt => return underway(UnderwayStatus::Uncertain),
        CommitStatus::Unknown => return Err(unknown(&key)),
    };
    let outcome = match committed.outcome {
        Outcome::Accepted => OutcomeBody::Accepted,
        Outcome::Refused { code, message, body } => {
            OutcomeBody::Refused { refusal: RefusalBody { code, message, fields: body } }
        }
    };
    Ok(Answer(CommandBody::Ended(EndedBody {
        command_id: committed.id,
        status: "processed",
        outcome,
        position: committed.position,
        streams: committed.versions,
        event_count: committed.event_count,
        recorded_at: committed.recorded_at,
    })))
}

/// That a command is not stored, and this process does not have it.
fn unknown(key: &str) -> Problem {
    Problem::from(Error::NotFound(format!("command {key:?}")))
        .with_more("; another process of the service may have it and not have stored it yet")
}
