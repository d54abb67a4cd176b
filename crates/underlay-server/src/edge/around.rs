//! What is the same around every request.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HOST, ORIGIN, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use tracing::Instrument;
use underlay_runtime::OpenSpan;

use super::access_log::AccessLine;
use super::asked::{Asked, REQUEST_ID};
use super::compression::{compress, takes_gzip};
use super::connection::OverTls;
use super::{cors, health, host, trace_context};
use crate::app::App;
use crate::parameters::hex_digit;
use crate::problem::Problem;
use crate::{ServerConfig, console};

/// Where queries wait for their view.
const VIEWS: &str = "/v1/views/";
/// Where whoever speaks TLS says so.
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks what every request has, bounds its time, and gives every answer its headers and its line in the log.
pub(crate) async fn around(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let is_over_tls = request.extensions().get::<OverTls>().is_some();
    let takes_gzip = request.method() != Method::HEAD && takes_gzip(request.headers());
    let span = match is_of_health(&request) {
        // Probes are many, and say nothing.
        true => OpenSpan::none(),
        false => trace_context::begin(app.engine().tracer(), &request),
    };
    let asked = Asked::read(app.request_ids(), request.headers(), &span, &app.config().base_path);
    let line = AccessLine::begin(&app, &request, &asked);
    let counted = app.metrics().requests.begun(&app, &request);
    let origin = cors::origin(app.config(), request.headers());
    let is_for_page = console::of_a_page(&request);
    let answering = async {
        let checked = check_start(&app, &request)
            .and_then(|()| check_host(&app, &request))
            .and_then(|()| check_path(request.uri().path()))
            .and_then(|()| check_origin(&app, &request));
        name_host(&mut request);
        if is_over_tls {
            // What a proxy would say that speaks TLS before the service.
            request.headers_mut().insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
        }
        let response = match checked {
            Err(problem) => problem.into_response(),
            Ok(()) if cors::is_preflight(&request) && origin.is_some() => cors::preflight(),
            Ok(()) => answer_in_time(&app, request, next).await,
        };
        // What a page itself is asked is shown there; this is for what never came so far.
        console::shown(&app, None, is_for_page, response).await
    };
    let mut response = asked.clone().answer(answering.instrument(asked.span())).await;
    counted.answered(response.status());
    if let Some((tenant, _)) = asked.caller() {
        app.metrics().tenants.answered(tenant, response.status());
    }
    trace_context::end(span, &asked, &response);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(id) = asked.id.to_header() {
        headers.insert(REQUEST_ID, id);
    }
    if is_over_tls && let Some(told) = strict_transport(app.config()) {
        headers.insert(STRICT_TRANSPORT_SECURITY, told);
    }
    cors::tell(app.config(), origin, headers);
    let response = compress(app.config(), takes_gzip, response);
    match line {
        Some(line) => line.answered(response),
        None => response,
    }
}

/// How long a browser is to ask for this name over TLS alone, where that is wanted.
fn strict_transport(config: &ServerConfig) -> Option<HeaderValue> {
    let seconds = config.strict_transport.as_secs();
    let told = (seconds > 0).then(|| format!("max-age={seconds}"))?;
    HeaderValue::from_str(&told).ok()
}

/// Over HTTP/2 the name stands in the target alone. It was checked there, and is told in one place.
fn name_host(request: &mut Request) {
    let named = request.uri().authority().and_then(|named| HeaderValue::from_str(named.as_str()).ok());
    if let Some(named) = named {
        request.headers_mut().entry(HOST).or_insert(named);
    }
}

/// Every request has an end. One that may have stored something says so; a query may wait for its view before that.
async fn answer_in_time(app: &App, request: Request, next: Next) -> Response {
    let config = app.config();
    let changes_nothing = request.method().is_safe();
    let waits = request.uri().path().starts_with(VIEWS);
    let within = config.request_wait_max + if waits { config.wait_max } else { Duration::ZERO };
    tokio::select! {
        biased;
        response = answer(request, next) => response,
        () = app.engine().clock().sleep(within) => {
            tracing::warn!("a request was given up: request_wait_max is reached");
            Problem::timed_out(within, changes_nothing).into_response()
        }
    }
}

/// A panic is a bug: this request fails, the connection and the others go on.
async fn answer(request: Request, next: Next) -> Response {
    let changes_nothing = request.method().is_safe();
    let mut answer = pin!(next.run(request));
    let answered =
        poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        });
    match answered.await {
        Some(response) => response,
        None => {
            tracing::error!("a request failed: its handler panicked");
            let problem = if changes_nothing { Problem::failed() } else { Problem::failed_midway() };
            problem.into_response()
        }
    }
}

fn is_of_health(request: &Request) -> bool {
    matches!(request.uri().path(), health::LIVE | health::READY)
}

/// Before all of it runs, a service says how it is, and nothing else.
fn check_start(app: &App, request: &Request) -> Result<(), Problem> {
    if app.config().start.has_begun() || is_of_health(request) { Ok(()) } else { Err(Problem::starting()) }
}

/// Probes ask for the health of a process under whatever name they have; they hear nothing that is
/// anybody's.
fn check_host(app: &App, request: &Request) -> Result<(), Problem> {
    match is_of_health(request) {
        true => Ok(()),
        false => host::check_request(&app.config().hosts_allowed, request.uri(), request.headers()),
    }
}

/// No path names anything with a NUL, and every percent sign begins an escape.
fn check_path(path: &str) -> Result<(), Problem> {
    let mut escapes = path.split('%');
    // What comes before the first percent sign is plain.
    escapes.next();
    for escape in escapes {
        let mut digits = escape.bytes().map(hex_digit);
        match (digits.next().flatten(), digits.next().flatten()) {
            (Some(0), Some(0)) => return Err(Problem::invalid("the path holds a NUL, which no name has")),
            (Some(_), Some(_)) => {}
            _ => return Err(Problem::invalid("in a path, % is followed by two hex digits")),
        }
    }
    Ok(())
}

/// A page of another site may not write through somebody's browser: their credentials, or their place
/// in the network, would be used without their knowing.
fn check_origin(app: &App, request: &Request) -> Result<(), Problem> {
    if request.method().is_safe() {
        return Ok(());
    }
    let text = |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let origin = text(ORIGIN);
    let trusted = cors::origin(app.config(), request.headers()).is_some();
    let allowed = match text(SEC_FETCH_SITE) {
        _ if trusted => true,
        Some(site) => matches!(site, "same-origin" | "none"),
        // No browser, or one that is too old to say more.
        None => origin.is_none_or(|origin| is_own(origin, request)),
    };
    if allowed {
        return Ok(());
    }
    let detail = "a page of another site may not send commands here; `--allow-origin ORIGIN` of `serve` and
                  origins_allowed of the configuration allow one";
    Err(Problem::new(StatusCode::FORBIDDEN, "cross-site", "Cross-site request", detail))
}

/// Whether a page of this service itself has sent it.
fn is_own(origin: &str, request: &Request) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(|named| named.as_str()));
    let named = origin.split_once("://").map(|(_, host)| host);
    named.is_some() && named == host
}
