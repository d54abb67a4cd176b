//! What is the same around every request.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{health, host};
use crate::app::App;
use crate::parameters::hex_digit;
use crate::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks what every request has, and gives every answer its headers.
pub(crate) async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let checked = check_host(&app, &request)
        .and_then(|()| check_path(request.uri().path()))
        .and_then(|()| check_origin(&app, &request));
    let mut response = match checked {
        Ok(()) => answer(request, next).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
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

/// Probes ask for the health of a process under whatever name they have; they hear nothing that is
/// anybody's.
fn check_host(app: &App, request: &Request) -> Result<(), Problem> {
    match request.uri().path() {
        health::LIVE | health::READY => Ok(()),
        _ => host::check_request(&app.config().hosts_allowed, request.uri(), request.headers()),
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
    let trusted = origin.is_some_and(|origin| app.config().origins_trusted.iter().any(|own| own == origin));
    let allowed = match text(SEC_FETCH_SITE) {
        _ if trusted => true,
        Some(site) => matches!(site, "same-origin" | "none"),
        // No browser, or one that is too old to say more.
        None => origin.is_none_or(|origin| is_own(origin, request.headers())),
    };
    if allowed {
        return Ok(());
    }
    let detail = "a page of another site may not send commands here; see origins_trusted";
    Err(Problem::new(StatusCode::FORBIDDEN, "cross-site", "Cross-site request", detail))
}

fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let named = origin.split_once("://").map(|(_, host)| host);
    named.is_some() && named == host
}
