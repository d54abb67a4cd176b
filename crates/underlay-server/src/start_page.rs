//! The page at `/`: what the service is, and a request to copy for everything the reader may do.
//!
//! It is there without credentials. Who sends none is told what the service is and how to say who asks,
//! and nothing of what is in it: where views stand says how much all tenants together do. Who sends
//! some is shown what their roles may use. Where everybody is let in, everybody is shown everything.

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_SECURITY_POLICY, HOST};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use underlay_core::{Actor, CommandDescriptor, Error, TenantId};
use underlay_runtime::{FollowerStatus, OperationInfo, Overview, QueueStanding};

use crate::Principal;
use crate::admin::{FollowerBody, followers_of, queues_of};
use crate::app::App;
use crate::budget::keep;
use crate::door::roles::{identify, operates, suffice};
use crate::problem::Problem;
use crate::views::{self, ViewBody};

pub(crate) const STYLE: &str = include_str!("start_page.css");
/// The page runs no script, loads nothing and sits in no frame.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";
/// Where whoever speaks TLS says so.
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The addresses that are there whatever the service is made of.
const ENDPOINTS: [(&str, &str); 15] = [
    ("/docs", "all of this as a page, to read and to try"),
    ("/openapi.json", "the same for programs, as OpenAPI 3.1"),
    ("/v1/events", "everything that happened, in pages"),
    ("/v1/views", "the views, and where they stand"),
    ("/v1/streams/{stream}", "what happened to one aggregate"),
    ("/v1/streams/{stream}/state", "its state, after any of its events or at any moment"),
    (
        "/v1/commands/{key}",
        "what became of a command, by its Idempotency-Key or its id; DELETE cancels one that waits",
    ),
    ("/v1/commands", "the stored commands that wait, or were given up"),
    ("/v1/admin/processes/{name}", "the instances of a process, and one by its name; for operators"),
    ("/v1/admin/queues", "what waits to be done, and where pumps stand; for operators"),
    (
        "/v1/admin/dead-letters",
        "what was given up, to be replayed or discarded; one by its id; for operators",
    ),
    ("/v1/admin/schedules", "what is given again and again; GET, PUT and DELETE with a name; for operators"),
    (
        "/v1/admin/views",
        "where views stand over all tenants; one by its name; POST …/rebuild and …/verify; for operators of the store",
    ),
    ("/livez", "whether the process answers"),
    ("/readyz", "whether it can serve"),
];

/// `GET /`.
pub(crate) async fn show(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let (reader, place) = if app.config().is_open() || headers.contains_key(AUTHORIZATION) {
        let principal = identify(&app, &headers).await?;
        let place = app.budgets().clone().enter(&principal.tenant)?;
        let Principal { tenant, actor, .. } = principal;
        let reader = Reader { app: &app, address: address(&headers), tenant, actor };
        (Some(reader), Some(place))
    } else {
        (None, None)
    };
    let views = match &reader {
        None => None,
        Some(reader) => views::all(&app, &reader.actor)
            .await
            .inspect_err(|error| {
                tracing::error!(error = error as &dyn std::error::Error, "the views cannot be looked at");
            })
            .ok(),
    };
    let work = match &reader {
        Some(reader) if operates(&app, &reader.actor) => work_of(&app, &reader.tenant)
            .await
            .inspect_err(|error| {
                tracing::error!(error = error as &dyn std::error::Error, "the work cannot be looked at");
            })
            .ok(),
        _ => None,
    };
    let page = page(&app, reader.as_ref(), views, work.as_ref());
    let response = ([(CONTENT_SECURITY_POLICY, POLICY)], Html(page.into_string())).into_response();
    Ok(match place {
        Some(place) => keep(response, place, true),
        None => response,
    })
}

/// Who reads the page.
struct Reader<'a> {
    app: &'a App,
    /// Where they have found the service, so that what they copy works.
    address: String,
    tenant: TenantId,
    actor: Actor,
}

impl Reader<'_> {
    /// A request to copy.
    fn curl(&self, arguments: &str) -> Markup {
        let who = if self.app.config().is_open() { "" } else { " -H \"Authorization: Bearer $TOKEN\"" };
        html! { pre { code { "curl" (who) " " (arguments) } } }
    }
}

/// The service's own address, as the request has it.
fn address(headers: &HeaderMap) -> String {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    let host = text(HOST).filter(|host| !host.is_empty() && host.bytes().all(plain)).unwrap_or("localhost");
    let scheme = if text(FORWARDED_PROTO) == Some("https") { "https" } else { "http" };
    format!("{scheme}://{host}")
}

/// What a caller is told of what follows commits.
async fn work_of(app: &App, tenant: &TenantId) -> Result<Overview, Error> {
    let mut overview = app.engine().overview().await?;
    overview.queues = queues_of(app, tenant, &overview).await?;
    Ok(overview)
}

fn page(
    app: &App,
    reader: Option<&Reader<'_>>,
    views: Option<Vec<ViewBody>>,
    work: Option<&Overview>,
) -> Markup {
    let config = app.config();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (config.service) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (config.service) }
                    p { (config.about.as_deref().unwrap_or("An event-sourced service.")) }
                }
                main {
                    @match reader {
                        None => (who_asks()),
                        Some(reader) => {
                            (aggregates(reader))
                            (operations(reader))
                            (view_section(views, reader))
                            @if let Some(work) = work { (work_section(work, app.config().is_open())) }
                        }
                    }
                    (endpoints())
                }
                footer {
                    p { "To stop the service, press Ctrl-C in the terminal it runs in. It finishes what it has begun." }
                }
            }
        }
    }
}

/// What somebody reads who has not said who they are.
fn who_asks() -> Markup {
    html! {
        section aria-labelledby="credentials" {
            h2 id="credentials" { "Credentials" }
            p {
                "This service asks who you are. Send the header " code { "Authorization: Bearer TOKEN" }
                ", also to this page, which then shows what you may do."
            }
            div class="sheet" { pre { code { "curl -H \"Authorization: Bearer $TOKEN\" …/v1/views" } } }
        }
    }
}

fn aggregates(reader: &Reader<'_>) -> Markup {
    let may = |command: &CommandDescriptor| suffice(&reader.actor, command.roles);
    let mut aggregates = reader.app.engine().registry().aggregates();
    aggregates.iter_mut().for_each(|aggregate| aggregate.commands.retain(may));
    aggregates.retain(|aggregate| !aggregate.commands.is_empty());
    html! {
        @if !aggregates.is_empty() {
            section aria-labelledby="commands" {
                h2 id="commands" { "Commands" }
                p {
                    "Give an " code { "Idempotency-Key" } ", and repeating a command gets its first answer. "
                    "Where a body is " code { "{}" } ", the answer names the first field that is missing. "
                    "With " code { "Prefer: respond-async" } ", or with " code { "?due_at=" } " and a time, the "
                    "command is stored, and the answer says where to ask what became of it."
                }
                @for aggregate in &aggregates {
                    div class="sheet" {
                        h3 { (aggregate.category) }
                        @for command in &aggregate.commands {
                            (post(reader, Some(aggregate.category), command.name, command.roles))
                        }
                    }
                }
            }
        }
    }
}

fn operations(reader: &Reader<'_>) -> Markup {
    let may = |operation: &OperationInfo| suffice(&reader.actor, operation.roles);
    let mut operations = reader.app.engine().registry().operations();
    operations.retain(may);
    html! {
        @if !operations.is_empty() {
            section aria-labelledby="operations" {
                h2 id="operations" { "Operations" }
                p { "Each decides over several aggregates and is stored in one commit." }
                div class="sheet" {
                    @for operation in &operations {
                        (post(reader, None, operation.name, operation.roles))
                    }
                }
            }
        }
    }
}

/// A command or operation, with the service's own example where it gives one.
fn post(reader: &Reader<'_>, category: Option<&str>, last: &str, roles: &[&str]) -> Markup {
    let example = reader.app.config().example(category, last);
    let own_target = match category {
        Some(category) => format!("{category}/1/{last}"),
        None => format!("operations/{last}"),
    };
    let (target, body) = match example {
        Some(example) => (example.target.as_str(), example.body.as_str()),
        None => (own_target.as_str(), "{}"),
    };
    let url = quoted(&format!("{}/v1/{target}", reader.address));
    let body = quoted(body);
    html! {
        div class="name" {
            (last)
            @if !roles.is_empty() { " " small { "for " (roles.join(", ")) } }
        }
        (reader.curl(&format!("--json {body} {url}")))
    }
}

fn view_section(views: Option<Vec<ViewBody>>, reader: &Reader<'_>) -> Markup {
    html! {
        @match views {
            None => section aria-labelledby="views" {
                h2 id="views" { "Views" }
                p { "The store cannot be read; the log of the service says why." }
            },
            Some(views) if !views.is_empty() => section aria-labelledby="views" {
                h2 id="views" { "Views" }
                p {
                    "Filter and sort by the indexed columns: " code { "?column=value" } ", "
                    code { "?column[ge]=value" } ", " code { "?sort=-column" } "."
                }
                div class="sheet" {
                    div class="scroll" tabindex="0" role="region" aria-labelledby="views" {
                        table {
                            thead { tr {
                                th scope="col" { "View" } th scope="col" { "Status" }
                                @if views.iter().any(|view| view.position.is_some()) {
                                    th scope="col" { "Position" }
                                }
                                th scope="col" { "Indexed columns" }
                            } }
                            tbody { @for view in &views { (view_row(view)) } }
                        }
                    }
                    @for view in &views {
                        div class="name" { (view.name) " " small { "the first ten rows" } }
                        (reader.curl(&quoted(&format!("{}/v1/views/{}?limit=10", reader.address, view.name))))
                    }
                }
            },
            Some(_) => {},
        }
    }
}

/// What follows commits, for operators; nothing where the service has nothing of the kind.
fn work_section(work: &Overview, is_open: bool) -> Markup {
    let followers = |standings| followers_of(standings, is_open);
    let (queues, processes, pumps) = (&work.queues, followers(&work.processes), followers(&work.pumps));
    html! {
        @if !(queues.is_empty() && processes.is_empty() && pumps.is_empty()) {
            section aria-labelledby="work" {
                h2 id="work" { "Work" }
                p {
                    "What follows the commits" @if is_open { " of all tenants" } ". A dead letter was given up: look at it, and replay or discard "
                    "it, at " a href="/v1/admin/dead-letters" { code { "/v1/admin/dead-letters" } } "."
                }
                @if !queues.is_empty() {
                    div class="sheet scroll" tabindex="0" role="region" aria-label="Queues" {
                        table {
                            thead { tr {
                                th scope="col" { "Receiver" } th scope="col" { "Kind" } th scope="col" { "Ready" }
                                th scope="col" { "Later" } th scope="col" { "Dead" } th scope="col" { "Lag" }
                            } }
                            tbody { @for queue in queues { (queue_row(queue)) } }
                        }
                    }
                }
                (follower_table("Processes", "Process", &processes))
                (follower_table("Pumps", "Pump", &pumps))
            }
        }
    }
}

fn queue_row(queue: &QueueStanding) -> Markup {
    let depth = &queue.depth;
    let [ready, later, dead] = depth.counts();
    html! {
        tr {
            th scope="row" {
                (depth.receiver)
                @if !queue.is_received { " " small { "nobody here receives it" } }
            }
            td { (depth.kind.name()) }
            td class="number" { (ready) }
            td class="number" { (later) }
            td class="number" {
                @if depth.dead == 0 { (dead) } @else { span class="status stopped" { (dead) } }
            }
            td class="number" { @if depth.oldest_sent_at.is_some() { (queue.lag.as_secs()) " s" } @else { "–" } }
        }
    }
}

/// Processes, or pumps; nothing where there are none.
fn follower_table(label: &str, heading: &str, followers: &[FollowerBody]) -> Markup {
    html! {
        @if !followers.is_empty() {
            div class="sheet scroll" tabindex="0" role="region" aria-label=(label) {
                table {
                    thead { tr {
                        th scope="col" { (heading) } th scope="col" { "Status" }
                        @if followers.iter().any(|follower| follower.position.is_some()) {
                            th scope="col" { "Position" } th scope="col" { "Behind" }
                        }
                    } }
                    tbody { @for follower in followers { (follower_row(follower)) } }
                }
            }
        }
    }
}

fn follower_row(follower: &FollowerBody) -> Markup {
    html! {
        tr {
            th scope="row" { (follower.name) }
            td { span class=(status_class(follower.status)) { (follower.status) } }
            @if let (Some(position), Some(behind)) = (follower.position, follower.behind) {
                td class="number" { (position) }
                td class="number" { (behind) }
            }
        }
    }
}

/// How a status is set.
fn status_class(status: FollowerStatus) -> &'static str {
    match status {
        FollowerStatus::Live => "status live",
        FollowerStatus::CatchingUp | FollowerStatus::Rebuilding => "status catching-up",
        FollowerStatus::Paused | FollowerStatus::Failed | FollowerStatus::NotRunning => "status stopped",
    }
}

fn view_row(view: &ViewBody) -> Markup {
    let indexed: Vec<&str> =
        view.columns.iter().filter(|column| column.indexed).map(|column| column.name.as_str()).collect();
    html! {
        tr {
            th scope="row" { a href={ "/v1/views/" (view.name) } { (view.name) } }
            td { span class=(status_class(view.status)) { (view.status) } }
            @if let Some(position) = view.position { td class="number" { (position) } }
            td { (if indexed.is_empty() { "none".to_owned() } else { indexed.join(", ") }) }
        }
    }
}

fn endpoints() -> Markup {
    html! {
        section aria-labelledby="addresses" {
            h2 id="addresses" { "Addresses" }
            div class="sheet scroll" tabindex="0" role="region" aria-labelledby="addresses" {
                table { tbody {
                    @for (path, purpose) in ENDPOINTS {
                        tr {
                            th scope="row" {
                                @if path.contains('{') { code { (path) } } @else { a href=(path) { code { (path) } } }
                            }
                            td { (purpose) }
                        }
                    }
                } }
            }
        }
    }
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_shell_ends_where_it_should() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn only_a_plain_host_is_taken_over() {
        let address_of = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            address(&headers)
        };
        assert_eq!(address_of("127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(address_of("[::1]:8080"), "http://[::1]:8080");
        assert_eq!(address_of("a'; rm -rf ~; '"), "http://localhost");
        assert_eq!(address_of("<script>"), "http://localhost");
        assert_eq!(address(&HeaderMap::new()), "http://localhost");
    }
}
