//! `/console/sign-in`: where a person gives a token, and the browser keeps it.

use axum::extract::{FromRequest, Request, State};
use axum::http::header::{AUTHORIZATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;

use crate::app::App;
use crate::console::form::{FormKey, Posted, token_field};
use crate::console::layout::plain;
use crate::console::visitor::Given;
use crate::console::{ROOT, problem, session, show};
use crate::door::roles::identify;
use crate::problem::Problem;

const NEXT: &str = "next";

/// `GET /console/sign-in`.
pub(in crate::console) async fn show(
    State(app): State<App>,
    headers: HeaderMap,
    given: Result<Given, Problem>,
) -> Response {
    if app.config().is_open() {
        return Redirect::to(ROOT).into_response();
    }
    let next = given.ok().and_then(|Given(mut given)| given.take(NEXT).ok().flatten());
    // A cookie that is still there opens nothing any more, or the request came from another site, without it.
    let ended = session::token(&headers, &app.config().base_path).is_some();
    let told =
        ended.then_some("Your session has ended: the token no longer opens this service. Sign in again.");
    respond(&app, &headers, StatusCode::OK, next.as_deref(), told)
}

/// `POST /console/sign-in`: a token that opens the service is kept by the browser.
pub(in crate::console) async fn sign_in(State(app): State<App>, request: Request) -> Response {
    if app.config().is_open() {
        return Redirect::to(ROOT).into_response();
    }
    let wants_page = problem::wants_page(request.headers());
    let headers = request.headers().clone();
    let Posted(mut fields) = match posted(&app, request).await {
        Ok(posted) => posted,
        Err(problem) => return problem::shown(&app, None, wants_page, problem.into_response()).await,
    };
    let mut take = |name| fields.take(name).ok().flatten().unwrap_or_default();
    let (token, next) = (take("token"), take(NEXT));
    let token = token.trim();
    let mut with_token = headers.clone();
    // What cannot be a header is no token either, and is looked at as one that opens nothing.
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    with_token.insert(AUTHORIZATION, value.unwrap_or(HeaderValue::from_static("Bearer")));
    if let Err(problem) = identify(&app, &with_token).await {
        let told = show::sentence(problem.detail());
        return respond(&app, &headers, problem.status(), Some(&next), Some(&told));
    }
    let Some(cookie) = session::begin(token, session::is_over_tls(&headers), &app.config().base_path) else {
        let told = format!(
            "The token is good, but longer than a browser keeps: SESSION_TOKEN_BYTES_MAX = {}. Send it in the header \
             Authorization.",
            session::SESSION_TOKEN_BYTES_MAX
        );
        return respond(&app, &headers, StatusCode::BAD_REQUEST, Some(&next), Some(&told));
    };
    let next = session::checked_next(&next).unwrap_or(ROOT);
    ([(SET_COOKIE, cookie)], Redirect::to(next)).into_response()
}

async fn posted(app: &App, request: Request) -> Result<Posted, Problem> {
    Posted::from_request(request, app).await
}

/// `POST /console/sign-out`: the browser forgets the token.
pub(in crate::console) async fn sign_out(State(app): State<App>, request: Request) -> Response {
    let wants_page = problem::wants_page(request.headers());
    if let Err(problem) = posted(&app, request).await {
        return problem::shown(&app, None, wants_page, problem.into_response()).await;
    }
    let mut response = Redirect::to(session::SIGN_IN).into_response();
    for cookie in session::end(&app.config().base_path) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn respond(
    app: &App,
    headers: &HeaderMap,
    status: StatusCode,
    next: Option<&str>,
    told: Option<&str>,
) -> Response {
    let key = match FormKey::of(headers, &app.config().base_path) {
        Ok(key) => key,
        Err(error) => return Problem::from(error).into_response(),
    };
    let next = next.and_then(session::checked_next);
    let body = html! {
        p class="lead" { (app.config().about.as_deref().unwrap_or("An event-sourced service.")) }
        form class="sheet sign-in" method="post" action=(session::SIGN_IN) {
            (token_field(&key))
            @if let Some(next) = next { input type="hidden" name=(NEXT) value=(next); }
            @if let Some(told) = told { p class="wrong" role="alert" id="told" { (told) } }
            div class="field" {
                label for="token" { "Token" }
                input id="token" name="token" type="password" autocomplete="current-password" spellcheck="false"
                    required aria-describedby="about" aria-invalid=[told.map(|_| "true")];
                small class="hint" id="about" {
                    "The bearer token that programs send. This browser keeps it until you sign out, where no script "
                    "and no other site reads it."
                }
            }
            div class="buttons" { button type="submit" { "Sign in" } }
        }
        @if let Some(next) = next {
            p { "You are signed in already, and came from another site? " a href=(next) { "Go on to the page" } "." }
        }
        section aria-labelledby="programs" {
            h2 id="programs" { "For programs" }
            p { "Send the header with every request. " a href="/docs" { "The API" } " says what there is." }
            pre tabindex="0" { code { "curl -H \"Authorization: Bearer $TOKEN\" …/v1/views" } }
        }
    };
    let mut response = plain(app, &format!("Sign in to {}", app.config().service), body);
    *response.status_mut() = status;
    if let Some(cookie) = key.cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
