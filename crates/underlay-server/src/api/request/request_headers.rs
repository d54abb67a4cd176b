//! What the headers of a command say about it.

use axum::http::header::IF_MATCH;
use axum::http::{HeaderMap, HeaderName};
use underlay_core::Version;
use underlay_runtime::{Request, check_command_key};
use uuid::Uuid;

use crate::Principal;
use crate::edge::asked;
use crate::edge::trace_context::TRACEPARENT;
use crate::problem::Problem;

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// The request of a command.
pub(crate) fn read_request(principal: Principal, headers: &HeaderMap) -> Result<Request, Problem> {
    let mut request = Request::new(principal.tenant).with_actor(principal.actor);
    if let Some(key) = single(headers, &IDEMPOTENCY_KEY)? {
        request = request.with_key(read_key(key)?);
    }
    request.expected = single(headers, &IF_MATCH)?.map(read_version).transpose()?;
    request.correlation_id = single(headers, &CORRELATION_ID)?.map(read_correlation_id).transpose()?;
    // A trace context that is not well formed is left out, as its specification asks.
    single(headers, &TRACEPARENT)?;
    request.traceparent = asked::traceparent();
    request.tracestate = asked::tracestate();
    Ok(request)
}

/// Checks the key of a command. Whatever it looks like, it is a key: the `command_id` of an answer that
/// is sent as a key stands for another command.
pub(crate) fn read_key(key: &str) -> Result<&str, Problem> {
    check_command_key(key)?;
    Ok(key)
}

/// The value of a header that may be there once.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), more) = (values.next(), values.next()) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if more.is_none() => Ok(Some(text)),
        _ => Err(Problem::invalid(format!("the header {name} is there once, in ASCII"))),
    }
}

fn read_version(text: &str) -> Result<Version, Problem> {
    tagged_version(text).map(Version).ok_or_else(|| {
        Problem::invalid(format!("If-Match is one version of the stream, such as \"3\"; it is {text:?}"))
    })
}

/// The version in an entity tag, with and without its quotes.
pub(crate) fn tagged_version(text: &str) -> Option<u64> {
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    // Without the check, a sign would be taken as part of the number.
    bare.parse().ok().filter(|_| bare.bytes().all(|byte| byte.is_ascii_digit()))
}

fn read_correlation_id(text: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| Problem::invalid(format!("{CORRELATION_ID} is a UUID; it is {text:?}")))
}

#[cfg(test)]
mod tests {
    use underlay_core::limits::COMMAND_KEY_CHARS_MAX;

    use super::*;

    #[test]
    fn a_version_is_read_with_and_without_quotes() {
        assert_eq!(read_version("\"3\"").unwrap(), Version(3));
        assert_eq!(read_version("3").unwrap(), Version(3));
        for text in ["", "\"\"", "+3", "-1", "*", "W/\"3\"", "\"3\", \"4\"", "3\"", "99999999999999999999"] {
            read_version(text).unwrap_err();
        }
    }

    #[test]
    fn a_key_is_bounded_and_visible() {
        read_key(&"k".repeat(COMMAND_KEY_CHARS_MAX)).unwrap();
        for key in ["", "a b", "ä", &"k".repeat(COMMAND_KEY_CHARS_MAX + 1)] {
            read_key(key).unwrap_err();
        }
    }
}
