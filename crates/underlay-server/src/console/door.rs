use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, SET_COOKIE};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::form::FormKey;
use super::visitor::Visitor;
use super::{problem, session};
use crate::app::App;
use crate::budget::{Room, keep};
use crate::door::roles::{Use, enter, permit_request};
use crate::feed::Lasting;
use crate::problem::Problem;

/// Lets a visitor in: as [`admit`](crate::door::roles::admit) lets a request of the API in, with the session of a
/// browser before it, and problems as pages behind it.
pub(super) async fn admit(State((app, to)): State<(App, Use)>, mut request: Request, next: Next) -> Response {
    let wants_page = problem::wants_page(request.headers());
    let only_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let says_who = request.headers().contains_key(AUTHORIZATION);
    let base = app.config().base_path.as_str();
    let key = match FormKey::of(request.headers(), base) {
        Ok(key) => key,
        Err(error) => {
            return problem::shown(&app, None, wants_page, Problem::from(error).into_response()).await;
        }
    };
    session::resume(request.headers_mut(), base);
    let (principal, place) = match enter(&app, request.headers()).await {
        Ok(entered) => entered,
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED && only_read && !says_who => {
            return session::sign_in_first(request.uri()).into_response();
        }
        Err(problem) => return problem::shown(&app, None, wants_page, problem.into_response()).await,
    };
    let has_signed_in = !says_who && session::token(request.headers(), base).is_some();
    let cookie = key.cookie.clone();
    let visitor = Visitor::new(&app, &principal, key, has_signed_in, request.uri());
    let response = match permit_request(&app, &principal.actor, to, &mut request).await {
        Ok(()) => {
            request.extensions_mut().insert(principal);
            request.extensions_mut().insert(Room(place.clone()));
            request.extensions_mut().insert(visitor.clone());
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    if response.extensions().get::<Lasting>().is_some() {
        // It has a place of its own, and gives this one back.
        return response;
    }
    let mut response = problem::shown(&app, Some(&visitor), wants_page, response).await;
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    keep(response, place, only_read)
}
