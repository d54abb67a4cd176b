use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{MethodRouter, delete, get, post, put};
use underlay_core::Error;
use underlay_runtime::{Engine, Registry};

use super::describe::{self, Description, addresses, page};
use crate::admin::{letters, outbox, processes, pumps, schedules};
use crate::app::App;
use crate::door::roles::{self, Use};
use crate::edge::{asked, base_path, check_base_path};
use crate::metrics;
use crate::problem::Problem;
use crate::{
    ServerConfig, admin, check_origin, command_status, commands, console, console_pages, edge, entities,
    events, health, host, links, streams, view_orders, views,
};

/// Categories that would read like the addresses of something else.
const CATEGORIES_TAKEN: [&str; 7] =
    ["admin", "commands", "entities", "events", "operations", "streams", "views"];

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
        aggregate.commands.iter().try_for_each(|command| check_name("command", command.name))?;
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

/// The API and the console.
///
/// | Address | What it answers |
/// |---|---|
/// | `GET /`, and what is below `/console/` | the console, as HTML; see [`console_pages`](crate::console_pages) |
/// | `POST /v1/{category}/{id}/{command}?due_at=` | what happened; `Idempotency-Key` makes it repeatable, `If-Match` names the version seen. With `Prefer: respond-async` or `due_at` the command is stored, and the answer is 202 with where to ask |
/// | `POST /v1/operations/{name}?due_at=` | the same, over several streams |
/// | `GET /v1/commands?status=&after=&limit=` | a page of the stored commands that wait, or were given up |
/// | `GET /v1/commands/{key}` | what became of a command, by its key or id |
/// | `DELETE /v1/commands/{key}` | cancels a stored command that has not ended |
/// | `GET /v1/streams?category=&after=&limit=` | a page of the tenant's streams, by name |
/// | `GET /v1/streams/{stream}?after=&limit=` | a page of a stream |
/// | `GET /v1/streams/{stream}/state?version=&at=` | the state of an aggregate, as it is or was |
/// | `GET /v1/events?after=&limit=&type=&category=&stream=&actor=&correlation_id=&command_id=&from=&until=&order=&format=` | a page of the tenant's log; with `Accept: text/event-stream` a feed of what happens, which `Last-Event-ID` resumes |
/// | `GET /v1/views` | the views, their columns and where they stand |
/// | `GET /v1/views/{view}?column=&column[ge]=&condition=&sort=&cursor=&limit=&count=&min_position=&wait=` | a page of rows; with `Accept: text/event-stream` a feed of them and of what changes |
/// | `GET /v1/views/{view}/{key}?min_position=&wait=` | one row |
/// | `GET /v1/entities` | the kinds of entities and their columns |
/// | `GET /v1/entities/{entity}?column=&column[ge]=&condition=&sort=&cursor=&limit=&count=` | a page of entities |
/// | `POST /v1/entities/{entity}` | creates an entity |
/// | `GET /v1/entities/{entity}/{key}` | one entity; its `ETag` is its version |
/// | `PUT /v1/entities/{entity}/{key}` | changes it at the version that `If-Match` names, or with `If-None-Match: *` creates it |
/// | `DELETE /v1/entities/{entity}/{key}` | removes it, at the version that `If-Match` names |
/// | `GET /v1/admin/queues` | what waits to be done and how late it is, and where pumps and subscribers stand |
/// | `GET /v1/admin/dead-letters?receiver=&key=&kind=&after=&limit=` | a page of the tenant's work that was given up |
/// | `GET /v1/admin/dead-letters/{id}` | one of them |
/// | `POST /v1/admin/dead-letters/{id}/replay`, `…/discard` | tries it again, or removes it |
/// | `POST /v1/admin/dead-letters/replay`, `…/discard` | the same for several: those of some ids, those that a filter finds, or all |
/// | `GET /v1/admin/outbox?receiver=&key=&kind=&after=&limit=` | a page of the tenant's work that waits |
/// | `GET /v1/admin/processes` | where every process stands with the log |
/// | `POST /v1/admin/processes/{name}/retry` | a process that is stopped tries again, over all tenants |
/// | `GET /v1/admin/pumps` | where every pump stands |
/// | `POST /v1/admin/pumps/{name}/retry` | a pump that is stopped tries again |
/// | `POST /v1/admin/pumps/{name}/rewind` | moves a pump to another place of the log |
/// | `GET /v1/admin/processes/{name}/instances?standing=&after=&limit=` | a page of the tenant's instances of a process |
/// | `GET /v1/admin/processes/{name}/instances/{instance}` | one of them, with what it waits for |
/// | `GET /v1/admin/schedules?after=&limit=` | a page of the schedules of the tenant |
/// | `GET /v1/admin/schedules/{name}` | one of them |
/// | `PUT /v1/admin/schedules/{name}` | puts a schedule, in place of one of that name |
/// | `DELETE /v1/admin/schedules/{name}` | removes a schedule |
/// | `GET /v1/admin/views` | where every view stands, over all tenants, and what is ordered of it |
/// | `GET /v1/admin/views/{view}` | where one stands |
/// | `POST /v1/admin/views/{view}/rebuild?from_start=` | orders a rebuild: 202, and where it stands |
/// | `POST /v1/admin/views/{view}/verify?repair=` | orders every row to be compared with one that is folded anew: 202 |
/// | `POST /v1/admin/views/{view}/cancel`, `…/revert`, `…/discard` | cancels the order; brings the rows before back; gives up what is not read |
/// | `POST /v1/admin/views/{view}/retry`, `…/skip` | tries a view again that is stopped, or passes over the event it is stopped at |
/// | `GET /v1/admin/views/{view}/parked?after=&limit=` | a page of the events that its rows lack |
/// | `GET /links/{page}/{secret}?tenant=&subject=&id=` | what a link is for that the service has sent, as HTML |
/// | `POST /links/{page}/{secret}?tenant=&subject=&id=` | does what the link is for |
/// | `GET /openapi.json` | all of this, as OpenAPI 3.1, with the schemas of what the service declares |
/// | `GET /docs` | the same as a page, to read and to try, as HTML |
/// | `GET /metrics` | what is counted in this process, and where everything stands, as Prometheus reads it |
/// | `GET /livez`, `GET /readyz` | whether the process answers, and whether it can serve |
///
/// Everything but the health is there for requests to this machine, to an address, and to
/// `hosts_allowed`; others get 421. What is below `/links/` asks for the signature of a link, and nothing else.
/// Everything below `/v1/` asks for credentials, and so does `/openapi.json`, and for the roles that
/// commands, operations, views and entities declare; the log and its streams are for
/// [`log_readers`](ServerConfig::log_readers), and everything below `/v1/admin/` for
/// [`operators`](ServerConfig::operators); what is below `/v1/admin/views`, and who lets a process or a pump try again or moves a pump, is
/// over all tenants, and for
/// [`store_operators`](ServerConfig::store_operators). They and
/// [`metrics_readers`](ServerConfig::metrics_readers) read `/metrics`, which is over all tenants too.
///
/// # Errors
/// As [`check_addresses`], and [`Error::Invalid`] where one of `hosts_allowed` is no name, one of `origins_allowed`
/// no origin, `base_path` no path, or one of `metrics_tenants` no tenant.
pub fn router(engine: Engine, config: ServerConfig) -> Result<Router, Error> {
    check_addresses(engine.registry())?;
    config.hosts_allowed.iter().try_for_each(|name| host::check_name(name))?;
    config.origins_allowed.iter().try_for_each(|origin| check_origin(origin)).map_err(Error::invalid)?;
    check_base_path(&config.base_path).map_err(Error::invalid)?;
    let base_path = config.base_path.clone();
    let body_limit = DefaultBodyLimit::max(config.body_bytes_max);
    let app = App::new(engine, config)?;
    let mut of_a_tenant = Router::new();
    for entry in entries() {
        let admit = middleware::from_fn_with_state((app.clone(), entry.to), roles::admit);
        of_a_tenant = of_a_tenant.route(entry.path, entry.handler.route_layer(admit));
    }
    let mut router = Router::new();
    for entry in open_entries() {
        router = router.route(entry.path, entry.handler);
    }
    let router = router
        .merge(of_a_tenant)
        .merge(console::router(&app))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(body_limit)
        .layer(middleware::from_fn_with_state(app.clone(), edge::around))
        .with_state(app);
    Ok(base_path::below(&base_path, router))
}

/// An address of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method: `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// The path, with a name in braces for every part that varies.
    pub path: &'static str,
    /// Whether it is about a tenant's data, and so asks for credentials.
    pub of_a_tenant: bool,
}

/// Every address that [`router`] answers at.
#[must_use]
pub fn routes() -> Vec<Route> {
    let open =
        open_entries().map(|entry| Route { method: entry.method, path: entry.path, of_a_tenant: false });
    let of_a_tenant =
        entries().map(|entry| Route { method: entry.method, path: entry.path, of_a_tenant: true });
    open.into_iter().chain(of_a_tenant).collect()
}

/// An address with what is said of it.
pub(crate) struct Described {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// What it is used for, where it is about a tenant's data.
    pub(crate) to: Option<Use>,
    pub(crate) says: Description,
}

/// Every address of which something is said. A test sees that it is every address there is.
pub(crate) fn described() -> Vec<Described> {
    let open =
        open_entries().map(|OpenEntry { method, path, says, .. }| Described { method, path, to: None, says });
    let of_a_tenant = entries().map(|Entry { method, path, to, says, .. }| {
        let to = Some(to);
        says.map(|says| Described { method, path, to, says })
    });
    open.into_iter().chain(of_a_tenant.into_iter().flatten()).collect()
}

/// An address that asks for no credentials.
struct OpenEntry {
    method: &'static str,
    path: &'static str,
    says: Description,
    handler: MethodRouter<App>,
}

/// What is answered without credentials: nobody's, or that of whoever has a link.
fn open_entries() -> [OpenEntry; 7] {
    let shows = |path, says, handler| OpenEntry { method: "GET", path, says, handler };
    [
        shows(health::LIVE, addresses::LIVE, get(health::live)),
        shows(health::READY, addresses::READY, get(health::ready)),
        shows(links::PATH, addresses::OPEN_LINK, get(links::open)),
        OpenEntry {
            method: "POST",
            path: links::PATH,
            says: addresses::FOLLOW_LINK,
            handler: post(links::open),
        },
        shows(page::PATH, addresses::DOCS, get(page::show)),
        shows(page::SCRIPT_PATH, addresses::DOCS_SCRIPT, get(page::script)),
        shows(page::STYLE_PATH, addresses::DOCS_STYLE, get(page::style)),
    ]
}

/// An address of a tenant's data, and what it is used for.
struct Entry {
    method: &'static str,
    path: &'static str,
    to: Use,
    handler: MethodRouter<App>,
    /// What the document says of it.
    says: Option<Description>,
}

impl Entry {
    fn says(self, says: Description) -> Self {
        Self { says: Some(says), ..self }
    }
}

/// Where a command is asked for.
const COMMAND: &str = "/v1/commands/{id}";

/// Where a schedule is.
const SCHEDULE: &str = "/v1/admin/schedules/{name}";

/// Where entities of a name are, and where one of them is.
const ENTITIES: &str = "/v1/entities/{entity}";
const ENTITY: &str = "/v1/entities/{entity}/{*key}";

/// What asks for credentials. There is no other way into the router for a handler of a tenant's data.
fn entries() -> [Entry; 49] {
    let entry = |method, path, to, handler| Entry { method, path, to, handler, says: None };
    let reads = |path, to, handler| entry("GET", path, to, handler);
    let writes = |path, to, handler| entry("POST", path, to, handler);
    let puts = |path, to, handler| entry("PUT", path, to, handler);
    let deletes = |path, to, handler| entry("DELETE", path, to, handler);
    [
        writes("/v1/{category}/{id}/{command}", Use::Command, post(commands::execute))
            .says(addresses::COMMAND),
        writes("/v1/operations/{name}", Use::Operation, post(commands::operate)).says(addresses::OPERATION),
        // Whether it is for them depends on the command, which only the store knows.
        reads("/v1/commands", Use::Commands, get(command_status::list)).says(addresses::LIST_COMMANDS),
        reads(COMMAND, Use::Commands, get(command_status::find)).says(addresses::COMMAND_STATUS),
        deletes(COMMAND, Use::Commands, delete(command_status::cancel)).says(addresses::CANCEL),
        reads("/v1/streams", Use::Log, get(streams::list)).says(addresses::LIST_STREAMS),
        reads("/v1/streams/{stream}", Use::Log, get(streams::read)).says(addresses::READ_STREAM),
        reads("/v1/streams/{stream}/state", Use::Log, get(streams::state)).says(addresses::READ_STATE),
        reads("/v1/events", Use::Log, get(events::read)).says(addresses::READ_EVENTS),
        reads("/v1/views", Use::Anything, get(views::list)).says(addresses::LIST_VIEWS),
        reads("/v1/views/{view}", Use::View, get(views::query)).says(addresses::QUERY_VIEW),
        reads("/v1/views/{view}/{*key}", Use::View, get(views::row)).says(addresses::FIND_ROW),
        reads("/v1/entities", Use::Anything, get(entities::list)).says(addresses::LIST_ENTITIES),
        reads(ENTITIES, Use::Entity, get(entities::query)).says(addresses::QUERY_ENTITIES),
        writes(ENTITIES, Use::Entity, post(entities::create)).says(addresses::CREATE_ENTITY),
        reads(ENTITY, Use::Entity, get(entities::find)).says(addresses::FIND_ENTITY),
        puts(ENTITY, Use::Entity, put(entities::put)).says(addresses::PUT_ENTITY),
        deletes(ENTITY, Use::Entity, delete(entities::remove)).says(addresses::REMOVE_ENTITY),
        reads("/v1/admin/queues", Use::Work, get(admin::queues)).says(addresses::QUEUES),
        reads("/v1/admin/outbox", Use::Work, get(outbox::list)).says(addresses::OUTBOX),
        reads("/v1/admin/dead-letters", Use::Work, get(letters::list)).says(addresses::LIST_LETTERS),
        writes("/v1/admin/dead-letters/replay", Use::Work, post(letters::replay_many))
            .says(addresses::REPLAY_LETTERS),
        writes("/v1/admin/dead-letters/discard", Use::Work, post(letters::discard_many))
            .says(addresses::DISCARD_LETTERS),
        reads("/v1/admin/dead-letters/{id}", Use::Work, get(letters::find)).says(addresses::FIND_LETTER),
        writes("/v1/admin/dead-letters/{id}/replay", Use::Work, post(letters::replay))
            .says(addresses::REPLAY_LETTER),
        writes("/v1/admin/dead-letters/{id}/discard", Use::Work, post(letters::discard))
            .says(addresses::DISCARD_LETTER),
        reads("/v1/admin/schedules", Use::Work, get(schedules::list)).says(addresses::LIST_SCHEDULES),
        reads(SCHEDULE, Use::Work, get(schedules::find)).says(addresses::FIND_SCHEDULE),
        puts(SCHEDULE, Use::Work, put(schedules::put)).says(addresses::PUT_SCHEDULE),
        deletes(SCHEDULE, Use::Work, delete(schedules::remove)).says(addresses::REMOVE_SCHEDULE),
        reads("/v1/admin/processes", Use::Work, get(processes::list)).says(addresses::LIST_PROCESSES),
        // An instance may have any name: only what is beside `instances` is an order to the process.
        reads("/v1/admin/processes/{name}/instances", Use::Work, get(processes::list_instances))
            .says(addresses::LIST_INSTANCES),
        reads("/v1/admin/processes/{name}/instances/{*instance}", Use::Work, get(processes::find_instance))
            .says(addresses::FIND_INSTANCE),
        reads("/v1/admin/pumps", Use::Work, get(pumps::list)).says(addresses::LIST_PUMPS),
        // Processes and pumps as a whole, over all tenants.
        writes("/v1/admin/processes/{name}/retry", Use::Views, post(processes::retry))
            .says(addresses::RETRY_PROCESS),
        writes("/v1/admin/pumps/{name}/retry", Use::Views, post(pumps::retry)).says(addresses::RETRY_PUMP),
        writes("/v1/admin/pumps/{name}/rewind", Use::Views, post(pumps::rewind)).says(addresses::REWIND_PUMP),
        // What there is, without anything that is stored.
        reads("/openapi.json", Use::Anything, get(describe::show)).says(addresses::DOCUMENT),
        reads(metrics::PATH, Use::Metrics, get(metrics::show)).says(addresses::METRICS),
        // Views as a whole, over all tenants.
        reads("/v1/admin/views", Use::Views, get(view_orders::list)).says(addresses::LIST_VIEW_STANDINGS),
        reads("/v1/admin/views/{view}", Use::Views, get(view_orders::find))
            .says(addresses::FIND_VIEW_STANDING),
        reads("/v1/admin/views/{view}/parked", Use::Views, get(view_orders::parked))
            .says(addresses::LIST_PARKED),
        writes("/v1/admin/views/{view}/rebuild", Use::Views, post(view_orders::rebuild))
            .says(addresses::REBUILD_VIEW),
        writes("/v1/admin/views/{view}/verify", Use::Views, post(view_orders::verify))
            .says(addresses::VERIFY_VIEW),
        writes("/v1/admin/views/{view}/cancel", Use::Views, post(view_orders::cancel))
            .says(addresses::CANCEL_VIEW),
        writes("/v1/admin/views/{view}/revert", Use::Views, post(view_orders::revert))
            .says(addresses::REVERT_VIEW),
        writes("/v1/admin/views/{view}/discard", Use::Views, post(view_orders::discard))
            .says(addresses::DISCARD_VIEW),
        writes("/v1/admin/views/{view}/retry", Use::Views, post(view_orders::retry))
            .says(addresses::RETRY_VIEW),
        writes("/v1/admin/views/{view}/skip", Use::Views, post(view_orders::skip)).says(addresses::SKIP_VIEW),
    ]
}

async fn not_found(request: Request) -> Problem {
    let (path, root) = (asked::address(request.uri().path()), asked::address("/"));
    let detail = format!("there is nothing at {path}; {root} lists what there is");
    Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
}

async fn method_not_allowed(request: Request) -> Problem {
    let path = request.uri().path();
    let methods: Vec<&str> = routes()
        .iter()
        .chain(&console_pages())
        .filter(|route| is_at(route.path, path))
        .map(|route| route.method)
        .collect();
    let detail = format!("{} is not for {path}; its methods are: {}", request.method(), methods.join(", "));
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
}

/// Whether a path is at an address of the API.
fn is_at(address: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (address.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(_)) if part.starts_with("{*") => return true,
            (Some(part), Some(text)) if part.starts_with('{') && !text.is_empty() || part == text => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_others() {
        for (address, path) in [
            ("/", "/"),
            ("/v1/admin/schedules/{name}", "/v1/admin/schedules/nightly"),
            ("/v1/views/{view}/{*key}", "/v1/views/balances/a/b"),
        ] {
            assert!(is_at(address, path), "{address} {path}");
        }
        for (address, path) in [
            ("/", "/v1"),
            ("/v1/admin/schedules/{name}", "/v1/admin/schedules"),
            ("/v1/admin/schedules/{name}", "/v1/admin/schedules/"),
            ("/v1/admin/schedules/{name}", "/v1/admin/schedules/a/b"),
            ("/v1/views/{view}/{*key}", "/v1/views/balances"),
        ] {
            assert!(!is_at(address, path), "{address} {path}");
        }
    }
}
