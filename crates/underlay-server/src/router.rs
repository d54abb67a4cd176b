use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post};
use underlay_core::Error;
use underlay_runtime::{Engine, Registry};

use crate::app::App;
use crate::problem::Problem;
use crate::{ServerConfig, budget, commands, edge, events, health, host, start_page, streams, views};

/// Categories that would read like the addresses of something else.
const CATEGORIES_TAKEN: [&str; 6] = ["admin", "commands", "events", "operations", "streams", "views"];

/// Whether everything in a registry can be reached by an address.
///
/// # Errors
/// [`Error::Invalid`] with the first category that is taken by the API, or the first name of a
/// command or operation that is not made of letters, digits, `.`, `_` and `-`.
pub fn check_addresses(registry: &Registry) -> Result<(), Error> {
    for aggregate in registry.aggregates() {
        if CATEGORIES_TAKEN.contains(&aggregate.category) {
            return Err(Error::invalid(format!(
                "category {:?} is taken by the HTTP API, as are {}; give the aggregate another one",
                aggregate.category,
                CATEGORIES_TAKEN.join(", ")
            )));
        }
        aggregate.commands.iter().try_for_each(|name| check_name("command", name))?;
    }
    registry.operations().iter().try_for_each(|operation| check_name("operation", operation.name))
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    // Clients take dots alone as a way up the path.
    if name.bytes().all(plain) && name.bytes().any(|byte| byte != b'.') {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{what} {name:?} cannot be part of an address: letters, digits, '.', '_' and '-' can"
    )))
}

/// The API and the start page.
///
/// | Address | What it answers |
/// |---|---|
/// | `GET /` | the start page, as HTML |
/// | `POST /v1/{category}/{id}/{command}` | what happened; `Idempotency-Key` makes it repeatable, `If-Match` names the version seen |
/// | `POST /v1/operations/{name}` | the same, over several streams |
/// | `GET /v1/commands/{key}` | what became of a command, by its key or id |
/// | `GET /v1/streams/{stream}?after=&limit=` | a page of a stream |
/// | `GET /v1/events?after=&limit=&type=&category=` | a page of the tenant's log |
/// | `GET /v1/views` | the views, their columns and where they stand |
/// | `GET /v1/views/{view}?column=&column[ge]=&sort=&cursor=&limit=&count=&min_position=&wait=` | a page of rows |
/// | `GET /v1/views/{view}/{key}?min_position=&wait=` | one row |
/// | `GET /livez`, `GET /readyz` | whether the process answers, and whether it can serve |
///
/// Everything but the health is there for requests to this machine, to an address, and to
/// `hosts_allowed`; others get 421.
///
/// # Errors
/// As [`check_addresses`], and [`Error::Invalid`] where one of `hosts_allowed` is no name.
pub fn router(engine: Engine, config: ServerConfig) -> Result<Router, Error> {
    check_addresses(engine.registry())?;
    config.hosts_allowed.iter().try_for_each(|name| host::check_name(name))?;
    let body_limit = DefaultBodyLimit::max(config.body_bytes_max);
    let app = App::new(engine, config);
    let of_a_tenant = Router::new()
        .route("/v1/{category}/{id}/{command}", post(commands::execute))
        .route("/v1/operations/{name}", post(commands::operate))
        .route("/v1/commands/{id}", get(commands::find))
        .route("/v1/streams/{stream}", get(streams::read))
        .route("/v1/events", get(events::read))
        .route("/v1/views", get(views::list))
        .route("/v1/views/{view}", get(views::query))
        .route("/v1/views/{view}/{*key}", get(views::row))
        .route_layer(middleware::from_fn_with_state(app.clone(), budget::admit));
    let router = Router::new()
        .route("/", get(start_page::show))
        .route(health::LIVE, get(health::live))
        .route(health::READY, get(health::ready))
        .merge(of_a_tenant)
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(body_limit)
        .layer(middleware::from_fn_with_state(app.clone(), edge::around))
        .with_state(app);
    Ok(router)
}

async fn not_found(request: Request) -> Problem {
    let detail = format!("there is nothing at {}; / lists what there is", request.uri().path());
    Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
}

async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!("{} is not for {}; see Allow", request.method(), request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
}
