//! The trace that a request is part of, as its headers say, and the span that tells of it.
//!
//! Where nobody records spans, the context goes on as it came: into the metadata of what is stored, and from there to
//! whatever follows. What is not well formed is as if it were not there, as the specification asks: a caller's broken
//! tracing never costs a request.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use underlay_core::{SpanKind, TraceContext, TraceState};
use underlay_runtime::{OpenSpan, Tracer};

use super::access_log::method_name;
use super::asked::Asked;

/// Where the context of a trace stands.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What the systems of a trace tell each other beside it.
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The context that came with a request; none where there is none, several, or one that is not well formed.
pub(crate) fn read(headers: &HeaderMap) -> Option<TraceContext> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let (first, more) = (given.next()?, given.next());
    TraceContext::parse(first.to_str().ok().filter(|_| more.is_none())?)
}

/// What came beside that context; none where it is not well formed. It says nothing without one.
pub(crate) fn read_state(headers: &HeaderMap) -> Option<TraceState> {
    let mut given = Vec::new();
    for value in headers.get_all(TRACESTATE) {
        given.push(value.to_str().ok()?);
    }
    TraceState::parse(&given.join(",")).filter(|_| read(headers).is_some())
}

/// Begins the span of a request. It names the route and never the path: that may hold a secret.
pub(super) fn begin(tracer: &Tracer, request: &Request) -> OpenSpan {
    let came = read(request.headers()).map(|context| context.to_string());
    let (method, route) = (method_name(request.method()), request.extensions().get::<MatchedPath>());
    let mut span = tracer.begin(SpanKind::Server, came.as_deref(), || match route {
        Some(route) => format!("{method} {}", route.as_str()),
        None => method.to_owned(),
    });
    span.tell(|span| {
        span.set("http.request.method", method);
        if let Some(route) = route {
            span.set("http.route", route.as_str());
        }
    });
    span
}

/// Ends the span of a request with its answer.
pub(super) fn end(mut span: OpenSpan, asked: &Asked, response: &Response) {
    let status = response.status();
    span.tell(|span| {
        span.set("http.response.status_code", u64::from(status.as_u16()));
        span.set("underlay.request_id", asked.id.to_string());
        if let Some((tenant, _)) = asked.caller() {
            span.set("underlay.tenant", tenant.as_str());
        }
        if status.is_server_error() {
            span.fail(status.to_string());
        }
    });
    span.end();
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn one_header_is_a_context_and_two_are_none() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(TRACEPARENT, HeaderValue::from_static(value));
            }
            read(&headers).map(|context| context.to_string())
        };
        assert_eq!(read(&[good]).as_deref(), Some(good));
        for none in [&[][..], &[""], &["noise"], &[good, good]] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }

    #[test]
    fn several_headers_are_one_state_and_none_goes_without_its_context() {
        let read = |context: &'static str, states: &[&'static [u8]]| {
            let mut headers = HeaderMap::new();
            headers.append(TRACEPARENT, HeaderValue::from_static(context));
            for state in states {
                headers.append(TRACESTATE, HeaderValue::from_bytes(state).unwrap());
            }
            read_state(&headers).map(|state| state.to_string())
        };
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(read(good, &[b"a=1", b"", b"b=2, c=3"]).as_deref(), Some("a=1,b=2,c=3"));
        let of_none: [&[&[u8]]; 5] =
            [&[], &[b""], &[b"a=1", b"noise"], &[b"a=1", b"a=2"], &[b"a=1", b"b=\xe4"]];
        for none in of_none {
            assert_eq!(read(good, none), None, "{none:?}");
        }
        assert_eq!(read("noise", &[b"a=1"]), None);
    }
}
