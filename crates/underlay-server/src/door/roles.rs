use std::collections::BTreeSet;
use std::sync::Arc;

use axum::RequestExt;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use underlay_core::Actor;

use crate::Principal;
use crate::app::App;
use crate::budget::{Place, Room, keep};
use crate::edge::asked::note_caller;
use crate::feed::Lasting;
use crate::problem::Problem;

/// Who may read the log and its streams as they are stored. Whoever reads them reads past every role a
/// command or a view asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogReaders {
    /// Whoever is let in.
    Everybody,
    /// Whoever has one of these roles; nobody where there are none.
    Roles(Vec<String>),
}

impl LogReaders {
    /// The role that reads the log where nothing else is said.
    pub const ROLE_DEFAULT: &str = "log-reader";
}

impl Default for LogReaders {
    fn default() -> Self {
        Self::Roles(vec![Self::ROLE_DEFAULT.to_owned()])
    }
}

/// What an address is used for, and so which roles may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A command; the path has its category and name.
    Command,
    /// An operation; the path has its name.
    Operation,
    /// A view's rows; the path has its name.
    View,
    /// Entities; the path has their name.
    Entity,
    /// The log and its streams as they are stored.
    Log,
    /// What became of a command, whichever it is.
    Commands,
    /// What waits to be done and what was given up.
    Work,
    /// Views as a whole: the rows of all tenants.
    Views,
    /// What is counted of the process, and where everything stands, over all tenants.
    Metrics,
    /// What everybody who is let in may do.
    Anything,
}

/// Whether somebody in these roles may use what asks for `needed`: nothing asked for is for everybody.
pub(crate) fn suffice(actor: &Actor, needed: &[impl AsRef<str>]) -> bool {
    needed.is_empty() || needed.iter().any(|role| actor.roles.iter().any(|own| own == role.as_ref()))
}

/// The roles one of which lets somebody give a command or an operation; none where everybody may give one.
fn roles_of_commands(app: &App) -> Vec<&'static str> {
    let registry = app.engine().registry();
    let commands = registry.aggregates().into_iter().flat_map(|aggregate| aggregate.commands);
    let commands = commands.map(|command| command.roles);
    let needed: Vec<&[&str]> = commands.chain(registry.operations().iter().map(|of| of.roles)).collect();
    if needed.iter().any(|roles| roles.is_empty()) {
        return Vec::new();
    }
    let roles: BTreeSet<&str> = needed.into_iter().flatten().copied().collect();
    roles.into_iter().collect()
}

/// Whether somebody in these roles is an operator: nobody is where no role makes one.
pub(crate) fn operates(app: &App, actor: &Actor) -> bool {
    app.config().operators.iter().any(|role| actor.roles.contains(role))
}

/// Whether somebody in these roles is an operator of the store, over all tenants.
pub(crate) fn operates_store(app: &App, actor: &Actor) -> bool {
    store_operators(app).iter().any(|role| actor.roles.contains(role))
}

/// The roles of whom. Where there is one tenant, its operators are among them.
fn store_operators(app: &App) -> Vec<String> {
    let config = app.config();
    let of_one_tenant: &[String] = if config.is_of_one_tenant() { &config.operators } else { &[] };
    config.store_operators.iter().chain(of_one_tenant).cloned().collect()
}

/// The roles of those who may read the metrics.
fn metrics_readers(app: &App) -> Vec<String> {
    app.config().metrics_readers.iter().cloned().chain(store_operators(app)).collect()
}

/// Lets a request in: finds out who asks, takes a place for them, and sees that they may. The only way
/// to a handler of a tenant's data. Roles are looked at here, and in [`permit_command`].
pub(crate) async fn admit(State((app, to)): State<(App, Use)>, mut request: Request, next: Next) -> Response {
    if to == Use::Metrics {
        return admit_to_metrics(&app, request, next).await;
    }
    let (principal, place) = match enter(&app, request.headers()).await {
        Ok(entered) => entered,
        Err(problem) => return problem.into_response(),
    };
    if let Err(problem) = permit_request(&app, &principal.actor, to, &mut request).await {
        return problem.into_response();
    }
    let only_read = matches!(*request.method(), Method::GET | Method::HEAD);
    request.extensions_mut().insert(principal);
    request.extensions_mut().insert(Room(place.clone()));
    let response = next.run(request).await;
    if response.extensions().get::<Lasting>().is_some() {
        // It has a place of its own, and gives this one back.
        return response;
    }
    keep(response, place, only_read)
}

/// Lets in whoever may read the metrics. Where requests are refused for load, it is the metrics that say so: they take no
/// place, and one text is written at a time.
async fn admit_to_metrics(app: &App, mut request: Request, next: Next) -> Response {
    let permitted = match identify(app, request.headers()).await {
        Ok(principal) => permit_request(app, &principal.actor, Use::Metrics, &mut request).await,
        Err(problem) => Err(problem),
    };
    match permitted {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Finds out who asks, and takes a place for them.
pub(crate) async fn enter(app: &App, headers: &HeaderMap) -> Result<(Principal, Arc<Place>), Problem> {
    let principal = identify(app, headers).await?;
    let place = app.budgets().clone().enter(&principal.tenant)?;
    Ok((principal, place))
}

/// Sees that somebody may use the address of a request.
pub(crate) async fn permit_request(
    app: &App,
    actor: &Actor,
    to: Use,
    request: &mut Request,
) -> Result<(), Problem> {
    let names = request.extract_parts::<RawPathParams>().await?;
    let name = |wanted: &str| {
        // Where a program mounts the router below a name of its own, that one comes first.
        names.iter().filter(|(name, _)| *name == wanted).last().map_or("", |(_, value)| value)
    };
    permit(app, actor, to, name)
}

/// Whether somebody may use what has no name of its own: the log, the work, views as a whole. Who may use what goes by a
/// name depends on the name, and nobody is told yes here.
pub(crate) fn may(app: &App, actor: &Actor, to: Use) -> bool {
    !matches!(to, Use::Command | Use::Operation | Use::View | Use::Entity)
        && permit(app, actor, to, |_| "").is_ok()
}

/// Who asks, in the roles they have here.
pub(crate) async fn identify(app: &App, headers: &HeaderMap) -> Result<Principal, Problem> {
    let clock = &**app.engine().clock();
    let mut principal = app.admission().identify(app.config(), clock, headers).await?;
    if app.config().is_open() {
        // Whoever is at the machine may do what the service can do.
        principal.actor.roles = app.roles().to_vec();
    }
    note_caller(&principal);
    Ok(principal)
}

fn permit<'a>(
    app: &App,
    actor: &Actor,
    to: Use,
    name: impl Fn(&'static str) -> &'a str,
) -> Result<(), Problem> {
    let registry = app.engine().registry();
    // What there is not needs no role: the handler says that it is not there.
    let needed = match to {
        Use::Command => registry.command_roles(name("category"), name("command")),
        Use::Operation => registry.operation_roles(name("name")),
        Use::View => return permit_view(app, actor, name("view")),
        Use::Entity => registry.entity_roles(name("entity")),
        Use::Log => return permit_log(app, actor),
        Use::Commands => {
            let roles = roles_of_commands(app);
            return if suffice(actor, &roles) { Ok(()) } else { Err(required(&roles)) };
        }
        Use::Work if operates(app, actor) => &[],
        Use::Work => return Err(required(&app.config().operators)),
        Use::Views if operates_store(app, actor) => &[],
        Use::Views => return Err(required(&store_operators(app))),
        Use::Metrics => {
            let readers = metrics_readers(app);
            let may = readers.iter().any(|role| actor.roles.contains(role));
            return if may { Ok(()) } else { Err(required(&readers)) };
        }
        Use::Anything => &[],
    };
    if suffice(actor, needed) { Ok(()) } else { Err(required(needed)) }
}

/// Sees that somebody may read the log as it is stored.
pub(crate) fn permit_log(app: &App, actor: &Actor) -> Result<(), Problem> {
    match &app.config().log_readers {
        LogReaders::Everybody => Ok(()),
        LogReaders::Roles(roles) if roles.iter().any(|role| actor.roles.contains(role)) => Ok(()),
        LogReaders::Roles(roles) => Err(required(roles)),
    }
}

/// Sees that somebody may read the rows of a view.
pub(crate) fn permit_view(app: &App, actor: &Actor, view: &str) -> Result<(), Problem> {
    let needed = app.engine().registry().view_roles(view);
    if suffice(actor, needed) { Ok(()) } else { Err(required(needed)) }
}

/// Sees that somebody may give a command that the address does not name: one for an aggregate, or an operation.
pub(crate) fn permit_command(
    app: &App,
    actor: &Actor,
    receiver: &str,
    is_for_aggregate: bool,
    command: &str,
) -> Result<(), Problem> {
    let registry = app.engine().registry();
    let needed = match is_for_aggregate {
        true => registry.command_roles(receiver, command),
        false => registry.operation_roles(receiver),
    };
    if suffice(actor, needed) { Ok(()) } else { Err(required(needed)) }
}

fn required(roles: &[impl AsRef<str>]) -> Problem {
    let roles: Vec<&str> = roles.iter().map(AsRef::as_ref).collect();
    let detail = match roles.as_slice() {
        [] => "this service lets nobody do that".to_owned(),
        [one] => format!("the role {one} is needed for that"),
        several => format!("one of the roles {} is needed for that", several.join(", ")),
    };
    Problem::new(StatusCode::FORBIDDEN, "role-required", "Role required", detail).with_member("roles", roles)
}
