//! Pages of other sites that may use this service from a browser.
//!
//! A browser shows a page of another site no answer, and asks before it sends what a page could not send by itself.
//! Nothing of that is allowed until the configuration names an origin. A credential is a bearer token that the page
//! holds itself, so no cookie is asked for: `Access-Control-Allow-Credentials` is never told.

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::ServerConfig;

/// What a page may send.
const METHODS: &str = "GET, HEAD, POST, PUT, DELETE";
/// The headers of a request that the API knows.
const HEADERS: &str = "accept, authorization, content-type, idempotency-key, if-match, if-none-match, \
                       last-event-id, prefer, traceparent, tracestate, x-correlation-id, x-request-id";
/// The headers of an answer that a page may read beside those every page may.
const EXPOSED: &str = "etag, idempotent-replayed, location, preference-applied, retry-after, www-authenticate, \
                       x-request-id";
/// How long a browser may remember what it was told, in seconds.
const PREFLIGHT_SECONDS: &str = "600";

/// The origin of a request, where it is one that the configuration allows.
pub(crate) fn origin(config: &ServerConfig, headers: &HeaderMap) -> Option<HeaderValue> {
    let given = headers.get(ORIGIN)?;
    config.origins_allowed.iter().any(|allowed| allowed.as_bytes() == given.as_bytes()).then(|| given.clone())
}

/// Whether a browser asks what a page may send.
pub(crate) fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What a page of an allowed origin may send.
pub(crate) fn preflight() -> Response {
    let told = [
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS)),
        (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS)),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_SECONDS)),
    ];
    (StatusCode::NO_CONTENT, told).into_response()
}

/// Says for whose pages an answer is. Where there is an origin that may read it, the answer to another is another one.
pub(crate) fn tell(config: &ServerConfig, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    if config.origins_allowed.is_empty() {
        return;
    }
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}

/// Checks an origin as browsers write one, such as `https://app.example`: a scheme, a name and perhaps a port.
pub(crate) fn check_origin(text: &str) -> Result<(), String> {
    let wrong = || {
        format!(
            "{text:?} is no origin; it is written in lower case as a browser sends it, with a scheme and without a \
             path, as in https://app.example"
        )
    };
    let (scheme, named) = text.split_once("://").ok_or_else(wrong)?;
    let (host, port) = match named.rsplit_once(':') {
        Some((host, port)) if !named.ends_with(']') => (host, Some(port)),
        _ => (named, None),
    };
    let of_a_name = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'[' | b']' | b':')
    };
    let usual = if scheme == "https" { "443" } else { "80" };
    // A browser leaves the usual port out, so an origin with it would never be met.
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok() && port != usual);
    let is_well_formed =
        matches!(scheme, "https" | "http") && !host.is_empty() && host.bytes().all(of_a_name);
    if is_well_formed && is_port { Ok(()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_a_browser_sends_it() {
        for good in ["https://app.example", "http://localhost:3000", "https://[::1]:8443", "https://[::1]"] {
            check_origin(good).unwrap();
        }
        for bad in [
            "",
            "*",
            "null",
            "app.example",
            "https://",
            "https://app.example/",
            "https://App.example",
            "HTTPS://app.example",
            "https://app.example:443",
            "http://app.example:80",
            "https://app.example:",
            "https://app.example:http",
            "https://*.example",
            "https://a b",
            "ftp://app.example",
        ] {
            check_origin(bad).unwrap_err();
        }
    }
}
