use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use super::layout::{Page, plain};
use super::session::SIGN_IN;
use super::visitor::Visitor;
use super::{BELOW, ROOT, assets};
use crate::app::App;

/// Bytes of a problem.
const PROBLEM_BYTES_MAX: usize = 64 << 10;

/// Whether a request is for a page of the console, and its sender reads pages.
pub(crate) fn of_a_page(request: &Request) -> bool {
    let path = request.uri().path();
    let is_of_console = path == ROOT || path.starts_with(BELOW);
    is_of_console
        && ![assets::STYLE_PATH, assets::SCRIPT_PATH].contains(&path)
        && wants_page(request.headers())
}

/// Whether a problem is to be a page: browsers say so, and programs do not.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|types| types.contains("text/html"))
}

/// A problem as a page with the same status; anything else as it is.
pub(crate) async fn shown(
    app: &App,
    visitor: Option<&Visitor>,
    wants_page: bool,
    response: Response,
) -> Response {
    let is_problem =
        response.headers().get(CONTENT_TYPE).is_some_and(|named| named == "application/problem+json");
    if !is_problem || !wants_page {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // A problem is written by this service, in one piece.
    let bytes = to_bytes(body, PROBLEM_BYTES_MAX).await.unwrap_or_default();
    let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let told = told(&problem, parts.status, visitor.is_some());
    let title = problem["title"].as_str().unwrap_or("Something is wrong");
    let page = match visitor {
        Some(visitor) => Page::new(visitor, None, title).respond(told),
        None => plain(app, title, told),
    };
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    let (made, body) = page.into_parts();
    parts.headers.extend(made.headers);
    Response::from_parts(parts, Body::new(body))
}

fn told(problem: &Value, status: StatusCode, is_known: bool) -> Markup {
    let detail = problem["detail"].as_str().unwrap_or_default();
    let request = problem["instance"].as_str().and_then(|name| name.strip_prefix("urn:underlay:request:"));
    html! {
        div class="sheet problem" {
            p { (super::show::sentence(detail)) }
            p {
                @if !is_known && status == StatusCode::UNAUTHORIZED { a href=(SIGN_IN) { "Sign in" } " · " }
                a href=(ROOT) { "To the overview" }
            }
            p class="quiet" {
                "Status " (status.as_u16())
                @if let Some(request) = request { ". The log of the service has this request as " code { (request) } }
                "."
            }
        }
    }
}
