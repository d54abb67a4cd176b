//! `/console/start`: a request to copy for everything that the reader may do.

use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use maud::{Markup, html};
use underlay_core::CommandDescriptor;
use underlay_runtime::OperationInfo;

use crate::console::layout::{Page, Place};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads};
use crate::door::roles::{Use, suffice};
use crate::edge::FORWARDED_PROTO;
use crate::problem::Problem;

/// The addresses that are there whatever the service is made of.
const ENDPOINTS: [(&str, &str); 18] = [
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
    ("/v1/admin/processes", "where every process stands; POST …/retry with a name; for operators"),
    ("/v1/admin/pumps", "where every pump stands; POST …/retry and …/rewind with a name; for operators"),
    ("/v1/admin/outbox", "what waits to be done, piece by piece; for operators"),
    (
        "/v1/admin/processes/{name}/instances",
        "the instances of a process, and one by its name; for operators",
    ),
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

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![reads(Place::Start.path(), Use::Anything, show)]
}

/// `GET /console/start`.
async fn show(visitor: Visitor, headers: HeaderMap, Given(given): Given) -> Result<Response, Problem> {
    given.finish(&[])?;
    let reader = Reader { address: address(&headers) + &visitor.app.config().base_path, visitor: &visitor };
    Ok(Page::new(&visitor, Some(Place::Start), "First steps").respond(html! {
        p class="lead" {
            "A request to copy for everything that you may do. " a href="/docs" { "The API" } " has all of it to try here."
        }
        (aggregates(&reader))
        (operations(&reader))
        (views(&reader))
        (endpoints())
        p class="quiet" {
            "To stop the service, press Ctrl-C in the terminal it runs in. It finishes what it has begun."
        }
    }))
}

/// Who reads the page.
struct Reader<'a> {
    visitor: &'a Visitor,
    /// Where they have found the service, so that what they copy works.
    address: String,
}

impl Reader<'_> {
    /// A request to copy.
    fn curl(&self, arguments: &str) -> Markup {
        let who = match self.visitor.app.config().is_open() {
            true => "",
            false => " -H \"Authorization: Bearer $TOKEN\"",
        };
        html! { pre tabindex="0" { code { "curl" (who) " " (arguments) } } }
    }

    fn may(&self, roles: &[&str]) -> bool {
        suffice(&self.visitor.principal.actor, roles)
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

fn aggregates(reader: &Reader<'_>) -> Markup {
    let may = |command: &CommandDescriptor| reader.may(command.roles);
    let mut aggregates = reader.visitor.app.engine().registry().aggregates();
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
    let may = |operation: &OperationInfo| reader.may(operation.roles);
    let mut operations = reader.visitor.app.engine().registry().operations();
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
    let example = reader.visitor.app.config().example(category, last);
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

fn views(reader: &Reader<'_>) -> Markup {
    let app = &reader.visitor.app;
    let registry = app.engine().registry();
    let names = app.schemas().iter().map(|schema| schema.name.as_str());
    let names: Vec<&str> = names.filter(|name| reader.may(registry.view_roles(name))).collect();
    html! {
        @if !names.is_empty() {
            section aria-labelledby="views" {
                h2 id="views" { "Views" }
                p {
                    "Filter and sort by the indexed columns: " code { "?column=value" } ", "
                    code { "?column[ge]=value" } ", " code { "?sort=-column" } "."
                }
                div class="sheet" {
                    @for name in names {
                        div class="name" { (name) " " small { "the first ten rows" } }
                        (reader.curl(&quoted(&format!("{}/v1/views/{name}?limit=10", reader.address))))
                    }
                }
            }
        }
    }
}

fn endpoints() -> Markup {
    html! {
        section aria-labelledby="addresses" {
            h2 id="addresses" { "Addresses" }
            div class="sheet scroll" tabindex="0" role="group" aria-labelledby="addresses" {
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
