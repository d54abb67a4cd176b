//! Answers that are no success: problem details as RFC 9457 has them.
//!
//! The type of a failure is `urn:underlay:problem:<variant>`, of a refusal `urn:underlay:refusal:<code>`.
//!
//! A 503 says that nothing was done, and `Retry-After` that the request may be sent again; whoever
//! stands between the caller and the service may do that unasked. So what may have been done is a 500.
//! Conflicts, ids, wrong input and what is not there speak of the request, and are told in the words
//! they came with. The `instance` of a problem is the id of its request, which the log has too. What else a store says is for the log of the service: it may name files, servers
//! and the data of others.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::time::Duration;

use axum::extract::rejection::{BytesRejection, FailedToBufferBody, PathRejection, RawPathParamsRejection};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use underlay_core::{
    CommandError, CommitId, Conflict, EntityConflict, EntityVersion, Error, ExpectedVersion, Json,
};
use underlay_runtime::{ErasedRefusal, ExecuteNamedError};

use crate::Denied;
use crate::commands::REPLAYED;
use crate::edge::asked::{self, instance};

/// When to come back where nobody knows better.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// What the type of a refusal begins with.
const REFUSAL: &str = "urn:underlay:refusal:";
/// Members a refusal's fields must leave alone.
const TAKEN: [&str; 6] = ["type", "title", "status", "detail", "instance", "code"];

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Problem(Box<Content>);

#[derive(Debug)]
struct Content {
    problem_type: String,
    title: &'static str,
    status: StatusCode,
    detail: String,
    members: Vec<(String, Json)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of our own, by the last part of its type.
    pub(crate) fn new(
        status: StatusCode,
        name: &str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self(Box::new(Content {
            problem_type: format!("urn:underlay:problem:{name}"),
            title,
            status,
            detail: detail.into(),
            members: Vec::new(),
            headers: Vec::new(),
        }))
    }

    /// The request is wrong; the text says what would be right.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", "Invalid request", detail)
    }

    /// Nothing was done; try again.
    pub(crate) fn unavailable(detail: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", detail)
            .with_retry_after(retry_after)
    }

    /// Nothing was done: a limit is reached; try again.
    pub(crate) fn overloaded(detail: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self::unavailable(detail, retry_after).with_name("overloaded", "Overloaded")
    }

    /// The service is at fault. What happened is for its log, not for the caller.
    pub(crate) fn failed() -> Self {
        let detail = "the service failed; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "The service failed", detail)
    }

    /// The service is at fault, and what was asked may have been done all the same.
    pub(crate) fn failed_midway() -> Self {
        let mut problem = Self::failed();
        problem.0.detail =
            "the service failed, and its log says why; whether anything was stored is not known: \
                            GET /v1/commands/{key} tells, where an Idempotency-Key was given"
                .to_owned();
        problem
    }

    /// The request took longer than it may. Where it may have been done all the same, the answer says so.
    pub(crate) fn timed_out(within: Duration, changes_nothing: bool) -> Self {
        let problem = if changes_nothing {
            let detail = format!("there was no answer within {within:?}: request_wait_max is reached");
            Self::unavailable(detail, None)
        } else {
            Self::failed_midway().with_more(&format!("; it took longer than {within:?}, request_wait_max"))
        };
        problem.with_name("timed-out", "Took too long")
    }

    /// Nothing was done: the service does not run yet.
    pub(crate) fn starting() -> Self {
        Self::unavailable("the service begins; its parts do not run yet", None)
            .with_name("starting", "The service begins")
    }

    /// Nothing was done: the process ends, and another one may be there.
    pub(crate) fn stopping(detail: &str) -> Self {
        Self::unavailable(format!("{detail}; ask again, and another process answers"), None)
            .with_name("stopping", "The service ends")
    }

    /// Nothing was done: a tenant has reached a limit of its own; try again.
    pub(crate) fn too_many(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests", detail)
            .with_retry_after(None)
    }

    /// A command failed. `keyed` says whether its caller gave it an id: then it can be sent again,
    /// whatever became of it.
    pub(crate) fn of_command(error: ExecuteNamedError, keyed: bool) -> Self {
        let uncertain = matches!(error, ExecuteNamedError::Failed(Error::Uncertain { .. }));
        let problem = Self::from(error);
        if uncertain && keyed { problem.with_retry_after(None) } else { problem }
    }

    /// A change was made under a condition in its headers, and failed. An entity that is not at the version they name is
    /// 412.
    pub(crate) fn of_condition(error: Error) -> Self {
        let is_condition = matches!(error, Error::EntityConflict(_));
        let mut problem = Self::from(error);
        if is_condition {
            problem.0.status = StatusCode::PRECONDITION_FAILED;
            problem = problem.with_name("precondition-failed", "Precondition failed");
        }
        problem
    }

    /// It may or may not have been done.
    fn uncertain(id: CommitId) -> Self {
        let command = asked::address(&format!("/v1/commands/{id}"));
        let detail = format!(
            "it is not known whether the command was stored; GET {command} tells. Sent again with the same \
             Idempotency-Key it runs once; without a key it may run twice"
        );
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "uncertain", "Uncertain", detail)
            .with_member("command_id", id.to_string())
            .with_member("command", command)
    }

    fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        let seconds = retry_after.unwrap_or(RETRY_DELAY).as_secs_f64().ceil().max(1.0) as u64;
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The status it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What it is called.
    pub(crate) fn title(&self) -> &'static str {
        self.0.title
    }

    /// What is wrong, for whoever asked.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    pub(crate) fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        // A value's text is its JSON.
        self.0.members.push((name.to_owned(), Json::from_stored(value.into().to_string())));
        self
    }

    /// Says more for the person who reads it.
    pub(crate) fn with_more(mut self, detail: &str) -> Self {
        self.0.detail.push_str(detail);
        self
    }

    fn with_name(mut self, name: &str, title: &'static str) -> Self {
        self.0.problem_type = format!("urn:underlay:problem:{name}");
        self.0.title = title;
        self
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.problem_type)?;
        map.serialize_entry("title", self.title)?;
        map.serialize_entry("status", &self.status.as_u16())?;
        map.serialize_entry("detail", &self.detail)?;
        // A refusal is the same however often it is asked for; its request is named in a header alone.
        if let Some(instance) = instance().filter(|_| !self.problem_type.starts_with(REFUSAL)) {
            map.serialize_entry("instance", &instance)?;
        }
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Texts and JSON that was parsed before: there is always a form.
        let body = serde_json::to_vec(&*self.0).unwrap_or_default();
        let json = HeaderValue::from_static("application/problem+json");
        let mut response = (self.0.status, [(CONTENT_TYPE, json)], body).into_response();
        response.headers_mut().extend(self.0.headers);
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        let at_fault = |name, title, told: String| {
            tracing::error!(error = detail, "a request failed");
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, name, title, told)
        };
        match error {
            Error::Conflict(conflict) => conflict_problem(&conflict, detail),
            Error::EntityConflict(conflict) => entity_conflict_problem(&conflict, detail),
            Error::RuleViolation(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "rule-violation", "A rule does not hold", detail)
            }
            Error::IdReused(id) => Self::new(StatusCode::CONFLICT, "id-reused", "Id used before", detail)
                .with_member("command_id", id.to_string()),
            Error::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail),
            Error::Invalid(_) => Self::invalid(detail),
            Error::Busy(_) => Self::new(StatusCode::CONFLICT, "busy", "Something else is under way", detail),
            Error::Uncertain { id, reason } => {
                tracing::error!(command_id = %id, reason, "the end of a command is uncertain");
                Self::uncertain(id)
            }
            // Not 503, which a proxy would send again.
            Error::UnitUncertain { reason } => {
                tracing::error!(reason, "the end of a change of entities is uncertain");
                let told = "it is not known whether the entity was changed; GET it to find out";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "entity-uncertain", "Uncertain", told)
            }
            Error::Unavailable { retry_after, overloaded: true, .. } => {
                tracing::warn!(error = detail, "a request was turned away");
                let told = match error.limit() {
                    Some(limit) => format!("there is too much to do: {limit} is reached"),
                    None => "there is too much to do".to_owned(),
                };
                Self::overloaded(told, retry_after)
            }
            Error::Unavailable { retry_after, .. } => {
                tracing::warn!(error = detail, "a request was turned away");
                Self::unavailable("the service cannot do it now; nothing was stored", retry_after)
            }
            Error::CheckpointMoved { .. } | Error::LeaseLost { .. } => {
                tracing::warn!(error = detail, "a request was turned away");
                Self::unavailable("somebody else does the same work now; nothing was stored", None)
            }
            Error::CheckpointRefused(_) => {
                let told =
                    "a view does not fit the log, and has to be rebuilt; the log of the service says more";
                at_fault("checkpoint-refused", "Checkpoint refused", told.to_owned())
            }
            Error::ViewChanged { view, .. } => {
                let told = format!("view {view} was built by another definition, and has to be rebuilt");
                at_fault("view-changed", "View changed", told)
            }
            Error::EntityChanged { entity, .. } => {
                let told = format!(
                    "the entities {entity} were stored by another definition; the log of the service says more"
                );
                at_fault("entity-changed", "Entity changed", told)
            }
            Error::Damaged(_) => {
                let told = "stored data is damaged; the log of the service says which";
                at_fault("damaged", "Stored data is damaged", told.to_owned())
            }
            // Asking again brings the same: it is the query that has to change.
            Error::TooBroad(_) => Self::new(StatusCode::BAD_REQUEST, "too-broad", "Query too broad", detail),
            // What a vendor says is in the causes.
            Error::Backend { doing, source } => {
                tracing::error!(doing, error = chain(&*source), "a request failed");
                Self::failed()
            }
            // What a store denies it denies to the service: who asks the service was let in before.
            error => {
                tracing::error!(%error, "a request failed");
                Self::failed()
            }
        }
    }
}

fn entity_conflict_problem(conflict: &EntityConflict, detail: String) -> Problem {
    let version = |version: Option<EntityVersion>| version.map_or(Value::Null, |version| version.0.into());
    Problem::new(StatusCode::CONFLICT, "entity-conflict", "Conflict", detail)
        .with_member("entity", conflict.entity.clone())
        .with_member("id", conflict.id.clone())
        .with_member("expected", version(conflict.expected))
        .with_member("actual", version(conflict.actual))
}

fn conflict_problem(conflict: &Conflict, detail: String) -> Problem {
    let expected = match conflict.expected {
        ExpectedVersion::Any => Value::from("any"),
        ExpectedVersion::NoStream => Value::from("no_stream"),
        ExpectedVersion::Exists => Value::from("exists"),
        ExpectedVersion::Exact(version) => Value::from(version.0),
    };
    Problem::new(StatusCode::CONFLICT, "conflict", "Conflict", detail)
        .with_member("stream", conflict.stream.as_str())
        .with_member("expected", expected)
        .with_member("actual", conflict.actual.0)
}

/// An error and everything behind it, in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl From<ExecuteNamedError> for Problem {
    fn from(error: ExecuteNamedError) -> Self {
        match error {
            ExecuteNamedError::Refused(refused) => refused.into(),
            ExecuteNamedError::Command(error) => error.into(),
            ExecuteNamedError::Failed(error) => error.into(),
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let detail = error.to_string();
        match error {
            CommandError::Unknown { known, .. } => {
                Self::new(StatusCode::NOT_FOUND, "unknown-command", "Unknown command", detail)
                    .with_member("known", known)
            }
            CommandError::Body { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "invalid-body", "Invalid body", detail)
            }
        }
    }
}

impl From<ErasedRefusal> for Problem {
    fn from(refused: ErasedRefusal) -> Self {
        // Past their retention the fields are null, and there are no members.
        let fields: BTreeMap<String, Json> = refused.fields.decode().unwrap_or_default();
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "", "Refused", refused.message);
        problem.0.problem_type = format!("{REFUSAL}{}", refused.code);
        problem = problem.with_member("code", refused.code);
        for (name, value) in &fields {
            let member = member_name(name, |name| fields.contains_key(name));
            problem.0.members.push((member, value.clone()));
        }
        if refused.repeated {
            problem = problem.with_header(REPLAYED, HeaderValue::from_static("true"));
        }
        problem
    }
}

/// The member that a field of a refusal becomes: its own name, but where a problem has a member of that name.
pub(crate) fn member_name(field: &str, is_field: impl Fn(&str) -> bool) -> String {
    let mut member = field.to_owned();
    while TAKEN.contains(&member.as_str()) || (member != field && is_field(&member)) {
        member.push('_');
    }
    member
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unidentified { challenge, reason } => {
                Self::new(StatusCode::UNAUTHORIZED, "unidentified", "Not identified", reason)
                    .with_header(WWW_AUTHENTICATE, challenge)
            }
            Denied::Forbidden(reason) => Self::new(StatusCode::FORBIDDEN, "denied", "Denied", reason),
            Denied::Away { retry_after } => {
                let told = "nobody can say now who asks; nothing was done";
                Self::unavailable(told, retry_after)
                    .with_name("identity-away", "The identity provider is away")
            }
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        match rejection {
            PathRejection::FailedToDeserializePathParams(_) => {
                Self::invalid("the path is not UTF-8 once its percent signs are decoded")
            }
            rejection => {
                tracing::error!(error = chain(&rejection), "a route and its handler do not fit");
                Self::failed()
            }
        }
    }
}

impl From<RawPathParamsRejection> for Problem {
    fn from(rejection: RawPathParamsRejection) -> Self {
        match rejection {
            RawPathParamsRejection::InvalidUtf8InPathParam(_) => {
                Self::invalid("the path is not UTF-8 once its percent signs are decoded")
            }
            rejection => {
                tracing::error!(error = chain(&rejection), "a route and its names do not fit");
                Self::failed()
            }
        }
    }
}

impl Problem {
    /// The body could not be read.
    pub(crate) fn from_body(rejection: BytesRejection, bytes_max: usize) -> Self {
        match rejection {
            BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
                Self::body_too_large(bytes_max)
            }
            _ => Self::invalid("the body broke off before its end"),
        }
    }

    /// The body exceeds its limit.
    pub(crate) fn body_too_large(bytes_max: usize) -> Self {
        let detail = format!("the body exceeds body_bytes_max = {bytes_max}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Body too large", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(problem: &Problem) -> String {
        serde_json::to_string(&*problem.0).unwrap()
    }

    #[test]
    fn fields_of_a_refusal_never_replace_the_standard_members() {
        let fields = r#"{"amount":10000000000000000000000.10,"status":"x","status_":"y","code":1}"#;
        let refused = ErasedRefusal {
            code: "no".into(),
            message: "because".into(),
            fields: Json::parse(fields).unwrap(),
            repeated: false,
        };
        assert_eq!(
            rendered(&refused.into()),
            r#"{"type":"urn:underlay:refusal:no","title":"Refused","status":422,"detail":"because","#
                .to_owned()
                + r#""code":"no","amount":10000000000000000000000.10,"code_":1,"status__":"x","status_":"y"}"#
        );
    }

    #[test]
    fn what_a_backend_says_stays_inside() {
        let error = Error::backend("reading the file /secret/place", "password hunter2 refused");
        let text = rendered(&error.into());
        assert!(text.contains(r#""status":500"#), "{text}");
        assert!(!text.contains("secret") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn every_failure_that_may_pass_says_when_to_come_back() {
        let seconds = |error: Error| {
            let problem = Problem::from(error);
            assert_eq!(problem.0.status, StatusCode::SERVICE_UNAVAILABLE);
            let header = problem.0.headers.iter().find(|(name, _)| *name == RETRY_AFTER);
            header.map(|(_, value)| value.to_str().unwrap().to_owned())
        };
        assert_eq!(seconds(Error::unavailable("full")).as_deref(), Some("1"));
        assert_eq!(seconds(Error::CheckpointMoved { owner: "v".into() }).as_deref(), Some("1"));
        let retry_after = Some(Duration::from_millis(2_100));
        for overloaded in [false, true] {
            let error = Error::Unavailable { reason: "full".into(), retry_after, overloaded };
            assert_eq!(seconds(error).as_deref(), Some("3"));
        }
    }

    #[test]
    fn a_broad_query_is_the_callers_to_narrow_and_not_to_repeat() {
        let problem = Problem::from(Error::count_too_broad());
        assert!(problem.0.headers.is_empty(), "{problem:?}");
        let text = rendered(&problem);
        assert!(
            text.contains(r#""status":400"#) && text.contains("urn:underlay:problem:too-broad"),
            "{text}"
        );
        assert!(text.contains("QUERY_ROWS_SCANNED_MAX") && text.contains("leave the count out"), "{text}");
    }

    #[test]
    fn what_stands_in_the_way_of_an_entity_is_told_with_its_versions() {
        let (expected, actual) = (Some(EntityVersion(3)), Some(EntityVersion(5)));
        let conflict = |expected, actual| {
            let (entity, id) = ("rate".to_owned(), "eur-usd".to_owned());
            rendered(&Error::from(EntityConflict { entity, id, expected, actual }).into())
        };
        let text = conflict(expected, actual);
        for part in [
            r#""status":409"#,
            "urn:underlay:problem:entity-conflict",
            r#""entity":"rate""#,
            r#""id":"eur-usd""#,
            r#""expected":3"#,
            r#""actual":5"#,
        ] {
            assert!(text.contains(part), "{text} does not have {part}");
        }
        assert!(conflict(None, actual).contains(r#""expected":null"#));
        let text = rendered(&Error::not_unique("rate", "code").into());
        assert!(text.contains(r#""status":422"#) && text.contains("problem:rule-violation"), "{text}");
        assert!(text.contains("column code"), "{text}");
    }

    #[test]
    fn changes_whose_answer_was_lost_are_not_said_to_be_undone() {
        let problem = Problem::from(Error::unit_uncertain("the connection to 10.0.0.7 was lost"));
        // A proxy sends a 503 again, and who reads that nothing was stored does so too.
        assert_eq!(problem.0.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(problem.0.headers.is_empty(), "{problem:?}");
        let text = rendered(&problem);
        assert!(text.contains("problem:entity-uncertain") && text.contains("GET it"), "{text}");
        assert!(!text.contains("nothing was stored") && !text.contains("10.0.0.7"), "{text}");
    }

    #[test]
    fn each_failure_of_the_service_has_a_type_of_its_own() {
        let changed = Error::ViewChanged { view: "v".into(), reason: "columns".into() };
        let entity = Error::EntityChanged { entity: "rate".into(), reason: "columns".into() };
        for (error, name) in
            [(changed, "view-changed"), (entity, "entity-changed"), (Error::Damaged("x".into()), "damaged")]
        {
            let text = rendered(&error.into());
            assert!(text.contains(&format!("urn:underlay:problem:{name}")), "{text}");
            assert!(text.contains(r#""status":500"#), "{text}");
        }
        // The service was denied something, not its caller.
        let text = rendered(&Error::Denied("no".into()).into());
        assert!(text.contains(r#""status":500"#) && text.contains("problem:failed"), "{text}");
    }
}
