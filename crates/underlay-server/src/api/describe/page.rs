//! The page at `/docs`: the document, to be read and to be tried.
//!
//! It is made here, so it reads the same without the script. With it, the forms send what is filled in, and show what is
//! answered. It loads nothing from elsewhere. A token that is typed in is kept in the memory of the page and nowhere
//! else.
//!
//! It tells those who send no credentials nothing of what is in the service.

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use super::components::referred;
use super::description::Group;
use super::example::example;
use crate::app::App;
use crate::budget::keep;
use crate::door::roles::identify;
use crate::links::STYLE as PLAIN_STYLE;
use crate::problem::Problem;

/// Where the page is.
pub(crate) const PATH: &str = "/docs";
/// Where its script is.
pub(crate) const SCRIPT_PATH: &str = "/docs/page.js";
/// Where its style is.
pub(crate) const STYLE_PATH: &str = "/docs/page.css";

const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");
/// The page runs its own script, asks this service alone, and sits in no frame. No form leaves it but by the script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /docs`.
pub(crate) async fn show(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let is_open = app.config().is_open();
    let place = if is_open || headers.contains_key(AUTHORIZATION) {
        let principal = identify(&app, &headers).await?;
        Some(app.budgets().clone().enter(&principal.tenant)?)
    } else {
        None
    };
    let document = place.is_some().then(|| app.document().value());
    let page = page(&app, document, is_open);
    let response = ([(CONTENT_SECURITY_POLICY, POLICY)], Html(page.into_string())).into_response();
    Ok(match place {
        Some(place) => keep(response, place, true),
        None => response,
    })
}

/// `GET /docs/page.js`.
pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT.to_owned())
}

/// `GET /docs/page.css`.
pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", format!("{}{STYLE}", PLAIN_STYLE))
}

fn file(media_type: &'static str, text: String) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(media_type))], text).into_response()
}

fn page(app: &App, document: Option<&Value>, is_open: bool) -> Markup {
    let service = &app.config().service;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "The API of " (service) }
                link rel="icon" href="data:,";
                // Relative, since a program may have put the service below a name of its own.
                link rel="stylesheet" href="docs/page.css";
                script src="docs/page.js" defer {}
            }
            body {
                a class="skip" href="#content" { "To the content" }
                header {
                    h1 { "The API of " (service) }
                    p {
                        "What can be asked of this service. The same for programs: "
                        a href="openapi.json" { code { "openapi.json" } } ", as OpenAPI 3.1."
                    }
                    @if !is_open { (credentials(document.is_some())) }
                }
                main id="content" {
                    @match document {
                        Some(document) => (contents(document)),
                        None => p {
                            "This service asks who you are. Type a token in, or send the header "
                            code { "Authorization: Bearer TOKEN" } " to this page; then it shows what there is."
                        },
                    }
                }
            }
        }
    }
}

/// Where a token is typed in.
fn credentials(is_known: bool) -> Markup {
    html! {
        form class="credentials" id="credentials" autocomplete="off" {
            label for="token" { "Token" }
            input id="token" type="password" autocomplete="off" spellcheck="false" required;
            button type="submit" { "Use it" }
            p id="identified" role="status" {
                @if !is_known { "It is kept in the memory of this page alone." }
            }
        }
    }
}

/// The operations of a document, by their groups.
fn contents(document: &Value) -> Markup {
    let shown = Group::ALL.map(|group| (group, of_group(document, group)));
    let shown: Vec<_> = shown.into_iter().filter(|(_, operations)| !operations.is_empty()).collect();
    html! {
        nav aria-label="Groups" {
            ul { @for (group, operations) in &shown {
                li { a href={ "#" (anchor(*group)) } { (group.name()) } " " small { (operations.len()) } }
            } }
        }
        @for (group, operations) in &shown {
            section aria-labelledby=(anchor(*group)) {
                h2 id=(anchor(*group)) { (group.name()) }
                p { (group.about()) }
                @for operation in operations { (operation_sheet(document, operation)) }
            }
        }
    }
}

fn anchor(group: Group) -> String {
    group.name().to_ascii_lowercase().replace(' ', "-")
}

/// An operation of the document.
struct Shown<'a> {
    path: &'a str,
    method: String,
    told: &'a Value,
}

fn of_group(document: &Value, group: Group) -> Vec<Shown<'_>> {
    let paths = document["paths"].as_object();
    let all = paths.into_iter().flatten().flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(move |(method, told)| Shown { path, method: method.to_ascii_uppercase(), told })
    });
    all.filter(|shown| shown.told["tags"][0] == group.name()).collect()
}

fn text<'a>(of: &'a Value, member: &str) -> &'a str {
    of[member].as_str().unwrap_or_default()
}

fn operation_sheet(document: &Value, shown: &Shown<'_>) -> Markup {
    let Shown { path, method, told } = shown;
    let id = text(told, "operationId");
    let parameters = told["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let body = told.pointer("/requestBody/content/application~1json/schema");
    let schema = body.map(|schema| resolve(document, schema));
    html! {
        details class="operation" id=(id) {
            summary {
                span class={ "method " (method.to_ascii_lowercase()) } { (method) } " "
                code { (broken(path)) } " "
                span class="purpose" { (code_spans(text(told, "summary"))) }
            }
            div class="body" {
                @for paragraph in text(told, "description").split("\n\n").filter(|text| !text.is_empty()) {
                    p { (code_spans(paragraph)) }
                }
                @let roles = roles(told);
                @if !roles.is_empty() { p class="roles" { "For the role " (roles.join(" or ")) "." } }
                form data-method=(method) data-path=(path) novalidate {
                    @for (at, parameter) in parameters.iter().enumerate() {
                        (field(document, id, at, parameter))
                    }
                    @if let (Some(body), Some(schema)) = (body, schema) {
                        @let given = told.pointer("/requestBody/content/application~1json/example");
                        @let value = given.cloned().unwrap_or_else(|| example(document, body));
                        @let text = serde_json::to_string_pretty(&value).unwrap_or_default();
                        div class="field wide" {
                            label for={ (id) "-body" } { "Body " small { "JSON" } }
                            textarea id={ (id) "-body" } data-body="" spellcheck="false"
                                rows=(text.lines().count().clamp(2, 16)) { (text) }
                        }
                        (schema_details("What the body holds", schema))
                    }
                    div class="send" {
                        button type="submit" { "Send" }
                        output {}
                    }
                }
                (answers(document, told))
            }
        }
    }
}

/// A path may be broken at its slashes.
fn broken(path: &str) -> Markup {
    html! { @for (at, part) in path.split('/').enumerate() { @if at > 0 { wbr; "/" } (part) } }
}

fn roles(told: &Value) -> Vec<&str> {
    let asked = told["security"].as_array().into_iter().flatten();
    asked.filter_map(|one| one["bearer"][0].as_str()).collect()
}

fn field(document: &Value, operation: &str, at: usize, parameter: &Value) -> Markup {
    let id = format!("{operation}-{at}");
    let (name, place) = (text(parameter, "name"), text(parameter, "in"));
    let required = parameter["required"] == true;
    let repeats = parameter["schema"]["type"] == "array";
    let schema = if repeats { &parameter["schema"]["items"] } else { &parameter["schema"] };
    let schema = resolve(document, schema);
    let hint = format!("{id}-hint");
    html! {
        div class="field" {
            label for=(id) {
                (name) " " small { (place) @if required { ", required" } @if repeats { ", several with commas" } }
            }
            @if let Some(words) = schema["enum"].as_array() {
                select id=(id) data-name=(name) data-in=(place) required[required] aria-describedby=(hint) {
                    option value="" {}
                    @for word in words.iter().filter_map(Value::as_str) { option { (word) } }
                }
            } @else {
                input id=(id) data-name=(name) data-in=(place) data-repeats[repeats] required[required]
                    inputmode=[(schema["type"] == "integer").then_some("numeric")]
                    placeholder=[placeholder(parameter, schema)] autocomplete="off" spellcheck="false" aria-describedby=(hint);
            }
            small class="hint" id=(hint) { (code_spans(text(parameter, "description"))) }
        }
    }
}

fn placeholder(parameter: &Value, schema: &Value) -> Option<String> {
    if let Some(default) = parameter.get("example").or_else(|| schema.get("default")) {
        return Some(default.as_str().map_or_else(|| default.to_string(), str::to_owned));
    }
    match text(schema, "format") {
        "date-time" => Some("2026-01-31T12:00:00Z".to_owned()),
        _ => None,
    }
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    referred(schema).map_or(schema, |name| &document["components"]["schemas"][name])
}

fn schema_details(title: &str, schema: &Value) -> Markup {
    html! {
        details class="schema" {
            summary { (title) }
            pre tabindex="0" { code { (serde_json::to_string_pretty(schema).unwrap_or_default()) } }
        }
    }
}

/// What may be answered, with the schema of each success.
fn answers(document: &Value, told: &Value) -> Markup {
    html! {
        h3 { "Answers" }
        dl class="answers" {
            @for (status, answer) in told["responses"].as_object().into_iter().flatten() {
                @let answer = response(document, answer);
                dt { code { (status) } }
                dd {
                    (code_spans(text(answer, "description")))
                    @for (media_type, content) in answer["content"].as_object().into_iter().flatten() {
                        @if media_type == "application/json" || status == "422" {
                            @if let Some(schema) = content.get("schema") {
                                (schema_details("What it holds", resolve(document, schema)))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn response<'a>(document: &'a Value, answer: &'a Value) -> &'a Value {
    let name = answer["$ref"].as_str().and_then(|to| to.strip_prefix("#/components/responses/"));
    name.map_or(answer, |name| &document["components"]["responses"][name])
}

/// A text with what stands in back ticks as code.
fn code_spans(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}
