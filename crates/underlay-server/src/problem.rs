//! Answers that are no success: problem details as RFC 9457 has them.
//!
//! The type of a failure is `urn:underlay:problem:<variant>`, of a refusal `urn:underlay:refusal:<code>`.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::time::Duration;

use axum::extract::rejection::{BytesRejection, FailedToBufferBody, PathRejection};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use underlay_core::{CommandError, Conflict, Error, ExpectedVersion, Json};
use underlay_runtime::{Failure, Refused};

use crate::Denied;
use crate::commands::REPLAYED;

/// When to come back where nobody knows better.
const RETRY_DELAY: Duration = Duration::from_secs(1);
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
        let seconds = retry_after.unwrap_or(RETRY_DELAY).as_secs_f64().ceil().max(1.0) as u64;
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", detail)
            .with_header(RETRY_AFTER, HeaderValue::from(seconds))
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
        let at_fault = |name, title| {
            tracing::error!(error = detail, "a request failed");
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, name, title, &*detail)
        };
        match error {
            Error::Conflict(conflict) => conflict_problem(&conflict, detail),
            Error::IdReused(id) => Self::new(StatusCode::CONFLICT, "id-reused", "Id used before", detail)
                .with_member("command_id", id.to_string()),
            Error::Uncertain { id, .. } => Self::unavailable(detail, None)
                .with_name("uncertain", "Uncertain")
                .with_member("command_id", id.to_string()),
            Error::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail),
            Error::Invalid(_) => Self::invalid(detail),
            Error::Unavailable { retry_after, overloaded: true, .. } => Self::overloaded(detail, retry_after),
            Error::Unavailable { retry_after, .. } => Self::unavailable(detail, retry_after),
            Error::CheckpointMoved { .. } | Error::LeaseLost { .. } => Self::unavailable(detail, None),
            Error::Denied(_) => Self::new(StatusCode::FORBIDDEN, "denied", "Denied", detail),
            Error::CheckpointRefused(_) => at_fault("checkpoint-refused", "Checkpoint refused"),
            Error::ViewChanged { .. } => at_fault("view-changed", "View changed"),
            Error::Damaged(_) => at_fault("damaged", "Stored data is damaged"),
            // What a vendor says is of no concern to the caller: it goes to the log, with its causes.
            Error::Backend { doing, source } => {
                tracing::error!(doing, error = chain(&*source), "a request failed");
                Self::failed()
            }
            error => {
                tracing::error!(%error, "a request failed");
                Self::failed()
            }
        }
    }
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

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refused) => refused.into(),
            Failure::Command(error) => error.into(),
            Failure::Failed(error) => error.into(),
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

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        // Past their retention the fields are null, and there are no members.
        let fields: BTreeMap<String, Json> = refused.fields.decode().unwrap_or_default();
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "", "Refused", refused.message);
        problem.0.problem_type = format!("urn:underlay:refusal:{}", refused.code);
        problem = problem.with_member("code", refused.code);
        for (name, value) in &fields {
            let mut member = name.clone();
            while TAKEN.contains(&member.as_str()) || (member != *name && fields.contains_key(&member)) {
                member.push('_');
            }
            problem.0.members.push((member, value.clone()));
        }
        if refused.repeated {
            problem = problem.with_header(REPLAYED, HeaderValue::from_static("true"));
        }
        problem
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unidentified { challenge, reason } => {
                Self::new(StatusCode::UNAUTHORIZED, "unidentified", "Not identified", reason)
                    .with_header(WWW_AUTHENTICATE, challenge)
            }
            Denied::Forbidden(reason) => Self::new(StatusCode::FORBIDDEN, "denied", "Denied", reason),
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
        let refused = Refused {
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
        let id = underlay_core::CommitId::draw();
        assert_eq!(seconds(Error::Uncertain { id, reason: "lost".into() }).as_deref(), Some("1"));
        assert_eq!(seconds(Error::unavailable("full")).as_deref(), Some("1"));
        assert_eq!(seconds(Error::CheckpointMoved { view: "v".into() }).as_deref(), Some("1"));
        let retry_after = Some(Duration::from_millis(2_100));
        for overloaded in [false, true] {
            let error = Error::Unavailable { reason: "full".into(), retry_after, overloaded };
            assert_eq!(seconds(error).as_deref(), Some("3"));
        }
    }

    #[test]
    fn an_uncertain_end_names_the_command_to_ask_about() {
        let id = underlay_core::CommitId::draw();
        let text = rendered(&Error::Uncertain { id, reason: "lost".into() }.into());
        assert!(text.contains("urn:underlay:problem:uncertain"), "{text}");
        assert!(text.contains(&format!(r#""command_id":"{id}""#)), "{text}");
    }

    #[test]
    fn each_failure_of_the_service_has_a_type_of_its_own() {
        let changed = Error::ViewChanged { view: "v".into(), reason: "columns".into() };
        for (error, name) in [(changed, "view-changed"), (Error::Damaged("x".into()), "damaged")] {
            let text = rendered(&error.into());
            assert!(text.contains(&format!("urn:underlay:problem:{name}")), "{text}");
            assert!(text.contains(r#""status":500"#), "{text}");
        }
        let text = rendered(&Error::Denied("no".into()).into());
        assert!(text.contains(r#""status":403"#) && text.contains("denied: no"), "{text}");
    }
}
