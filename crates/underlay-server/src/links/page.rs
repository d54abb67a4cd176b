use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use tokio::sync::SemaphorePermit;
use underlay_core::{Error, TenantId};
use uuid::Uuid;

use super::{LinkAnswer, LinkPage, LinkStanding, LinkTarget, OpenedLink};
use crate::app::App;
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;

/// The style of pages that stand alone.
pub(crate) const STYLE: &str = include_str!("page.css");
/// Where links lead to.
pub(crate) const PATH: &str = "/links/{page}/{secret}";
/// The page runs no script, loads nothing and sits in no frame. Its one form leads to itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";
/// No other site is told the address of the page, which is secret.
const REFERRERS: &str = "same-origin";

/// `GET /links/{page}/{secret}` says what the link is for, and `POST` does it. Programs that look at mail follow links,
/// so nothing but a `POST` does anything.
pub(crate) async fn open(
    State(app): State<App>,
    method: Method,
    segments: Result<Segments<(String, String)>, Problem>,
    parameters: Result<Parameters, Problem>,
) -> Response {
    let opened = match Opened::find(&app, segments, parameters) {
        Ok(opened) => opened,
        Err(response) => return *response,
    };
    let (engine, link) = (app.engine(), &opened.link);
    let answered = match method {
        Method::POST => opened.page.confirm(engine, link).await,
        _ => opened.page.show(engine, link).await,
    };
    answer(&app, answered)
}

/// A link whose signature is right, with its page and a place among those that are opened.
struct Opened<'a> {
    page: &'a dyn LinkPage,
    link: OpenedLink,
    _place: SemaphorePermit<'a>,
}

impl<'a> Opened<'a> {
    fn find(
        app: &'a App,
        segments: Result<Segments<(String, String)>, Problem>,
        parameters: Result<Parameters, Problem>,
    ) -> Result<Self, Box<Response>> {
        let links = &app.config().links;
        let none = || Box::new(wrong_link(app));
        let (Ok(Segments((name, secret))), Ok(parameters)) = (segments, parameters) else {
            return Err(none());
        };
        let target = target(&name, parameters).ok_or_else(none)?;
        let (page, keys) = links.find(&name).zip(links.keys.as_ref()).ok_or_else(none)?;
        let key = keys.key().map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "links cannot be checked");
            let text =
                "Links cannot be checked at the moment. Yours is still good: please try it again later.";
            Box::new(later(app, text))
        })?;
        let link = key.opened(target, &secret).ok_or_else(none)?;
        let place = app.links_at_once().try_acquire().map_err(|_| {
            Box::new(later(app, "Many people are here at the moment. Please try again in a few seconds."))
        })?;
        Ok(Self { page: &**page, link, _place: place })
    }
}

/// What a link says that it leads to; none where it is not written as links are.
fn target(page: &str, mut parameters: Parameters) -> Option<LinkTarget> {
    let tenant = TenantId::new(parameters.take("tenant").ok()??).ok()?;
    let subject = parameters.take("subject").ok()??;
    let id: Uuid = parameters.take_parsed("id").ok()??;
    // What others add to an address, to count who comes from where, is no concern of a link.
    Some(LinkTarget { page: page.to_owned(), tenant, subject, id })
}

fn answer(app: &App, answered: Result<LinkAnswer, Error>) -> Response {
    match answered {
        Ok(answer) => {
            let status = match answer.standing {
                LinkStanding::Good => StatusCode::OK,
                LinkStanding::NotYet => StatusCode::SERVICE_UNAVAILABLE,
                LinkStanding::Over => StatusCode::GONE,
            };
            respond(status, page(app, &answer))
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a link cannot be followed");
            later(
                app,
                "The service cannot do that at the moment. Please try again later; your link is still good.",
            )
        }
    }
}

/// The same whatever is wrong: what there is, only those learn who have a link to it.
fn wrong_link(app: &App) -> Response {
    let text = "The address is not one that was sent to anybody. If you have copied it, please see that all of it \
                is there, to the last letter.";
    respond(StatusCode::NOT_FOUND, page(app, &LinkAnswer::new("This link leads nowhere", text)))
}

fn later(app: &App, text: &str) -> Response {
    respond(StatusCode::SERVICE_UNAVAILABLE, page(app, &LinkAnswer::new("Please try again", text)))
}

fn respond(status: StatusCode, page: Markup) -> Response {
    let headers = [(CONTENT_SECURITY_POLICY, POLICY), (REFERRER_POLICY, REFERRERS)];
    let mut response = (status, headers, Html(page.into_string())).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn page(app: &App, answer: &LinkAnswer) -> Markup {
    let service = &app.config().service;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (answer.title) " – " (service) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { h1 { (answer.title) } }
                main {
                    p { (answer.text) }
                    @if let Some(button) = &answer.button {
                        form method="post" { button type="submit" { (button) } }
                    }
                }
                footer { p { (service) } }
            }
        }
    }
}
