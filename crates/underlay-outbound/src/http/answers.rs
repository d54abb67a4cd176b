//! What the answers of a service mean to a caller, in one table.
//!
//! | The service answers | The caller hears |
//! |---|---|
//! | 404 to one entity | there is none |
//! | 404 to a list, 405 | `Backend`: the address is not that of a list of entities |
//! | 409, 412 to a change | `EntityConflict` with the version that is there; of a 409 that is about no version, `RuleViolation` |
//! | 422 | `RuleViolation` |
//! | 400, 413 | `Invalid`; a query of Underlay that is too broad, `TooBroad` |
//! | 401, 403 | `Denied` |
//! | 429 | `Unavailable`, overloaded, with its `Retry-After` |
//! | 503 | `Unavailable`, with its `Retry-After`; to a change of a plain API, that its end is uncertain |
//! | 502, 504 | `Unavailable`; to a change, that its end is uncertain |
//! | 500 | `Backend`; of Underlay also `Damaged` and `EntityChanged`; to a change, that its end is uncertain |
//! | 301, 302, 303, 307, 308 | `Backend`: nobody follows where the token would go |
//! | 2xx with a body that is not what was asked for | `Damaged`; to a change, the entity is read |
//! | nothing: cut off, too slow, a wrong length | `Unavailable`; to a change, the entity is read |
//!
//! What a service made with Underlay says of the request is told in its words. What another one says may be about itself
//! or about others, and is told to nobody.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, LOCATION};
use serde::Deserialize;
use underlay_core::Error;

use super::config::Api;
use super::connections::Answer;

/// What the types of problems begin with.
const PROBLEM: &str = "urn:underlay:problem:";
/// Characters of what a service says that are told.
const SAID_CHARS_MAX: usize = 500;
/// When to come back where a service has too much to do and does not say.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What a service made with Underlay says where it does not do what it was asked.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Problem {
    #[serde(rename = "type", default)]
    problem_type: String,
    #[serde(default)]
    detail: String,
    /// The version that is stored, of a conflict.
    #[serde(default)]
    pub(super) actual: Option<u64>,
}

impl Problem {
    /// None where it is not one of Underlay's.
    pub(super) fn of(api: Api, answer: &Answer) -> Option<Self> {
        if api != Api::Underlay || essence(answer) != "application/problem+json" {
            return None;
        }
        let problem: Self = serde_json::from_slice(&answer.body).ok()?;
        problem.problem_type.starts_with(PROBLEM).then_some(problem)
    }

    /// The last part of its type.
    pub(super) fn kind(&self) -> &str {
        self.problem_type.strip_prefix(PROBLEM).unwrap_or_default()
    }

    fn detail(&self) -> String {
        self.detail.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect()
    }
}

/// Who was asked, and for what.
pub(super) struct Asking<'a> {
    /// Such as `reading rate`.
    pub(super) doing: String,
    pub(super) entity: &'a str,
    /// Such as `the service at rates.example`.
    pub(super) service: String,
    pub(super) api: Api,
}

/// What an answer means that is no success, and that says nothing of a version.
pub(super) fn told(asking: &Asking<'_>, answer: &Answer, retry_after: Option<Duration>) -> Error {
    let Asking { doing, entity, service, api } = asking;
    let problem = Problem::of(*api, answer);
    let kind = problem.as_ref().map(Problem::kind).unwrap_or_default();
    let detail = problem.as_ref().map(Problem::detail).filter(|detail| !detail.is_empty());
    let status = answer.status;
    // Whoever asked is told this, so it does not say where the service is.
    let or_said = |otherwise: &str| {
        detail.clone().unwrap_or_else(|| format!("the service that has {entity} {otherwise} ({status})"))
    };
    match status {
        StatusCode::BAD_REQUEST if kind == "too-broad" => {
            Error::TooBroad(or_said("finds the query too broad"))
        }
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => {
            Error::Invalid(or_said("does not take it; nothing was stored"))
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            Error::RuleViolation(or_said("has a rule that does not hold; nothing was stored"))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Denied(format!(
            "{doing}: {service} does not let this service in ({status}); token_file and tenant_header say as whom it asks"
        )),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Error::backend(
            doing.as_str(),
            format!("{service} has no list of {entity} at the address that is configured ({status})"),
        ),
        StatusCode::TOO_MANY_REQUESTS => Error::overloaded(
            format!("{doing}: {service} has too much to do ({status})"),
            retry_after.unwrap_or(RETRY_DELAY),
        ),
        StatusCode::SERVICE_UNAVAILABLE => Error::Unavailable {
            reason: format!("{doing}: {service} cannot do it now, nothing was stored ({status})"),
            retry_after,
            overloaded: false,
        },
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            Error::unavailable(format!("{doing}: {service} cannot be reached ({status})"))
        }
        StatusCode::INTERNAL_SERVER_ERROR if kind == "damaged" => {
            Error::Damaged(format!("{doing}: {service} says that what it has stored is damaged"))
        }
        StatusCode::INTERNAL_SERVER_ERROR if kind == "entity-changed" => Error::EntityChanged {
            entity: (*entity).to_owned(),
            reason: format!("{service} says so of what it has stored; its log says more"),
        },
        status if status.is_redirection() && answer.headers.contains_key(LOCATION) => Error::backend(
            doing.as_str(),
            format!(
                "{service} says that it is elsewhere ({status}), and no redirect is followed; name the right address"
            ),
        ),
        status => Error::backend(doing.as_str(), format!("{service} answered {status}")),
    }
}

/// The body of a success, where it says that it is JSON.
///
/// # Errors
/// What it is instead.
pub(super) fn json_body(answer: &Answer) -> Result<&[u8], String> {
    let essence = essence(answer);
    let is_json =
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json { Ok(&answer.body) } else { Err(format!("the answer is {essence:?} and not JSON")) }
}

/// What the body is, in lower case and without parameters.
fn essence(answer: &Answer) -> String {
    let named = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
