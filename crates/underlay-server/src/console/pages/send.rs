//! `/console/send`: a command or an operation by a form that is made from its schema.
//!
//! The key of a command is drawn with its form. So pressing the button twice, or loading the answer again, runs it once.

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;
use underlay_core::Timestamp;
use underlay_runtime::{DecisionInfo, ExecuteNamedError, Executed, SubmitOptions, Submitted};

use super::schema::{self, Field, Filled, code_spans};
use crate::Example;
use crate::app::App;
use crate::commands::{Decider, Given as Became, give};
use crate::console::form::{Posted, form};
use crate::console::layout::{Page, Place};
use crate::console::show::{self, Tone, address, empty, moment, part, sentence, status, table};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads, writes};
use crate::door::roles::{Use, suffice};
use crate::door::tokens::{hex, random};
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;
use crate::request_headers::{IDEMPOTENCY_KEY, read_request};

const COMMAND: &str = "/console/send/{category}/{command}";
const OPERATION: &str = "/console/send/operations/{name}";
/// Random bytes in the key of a command.
const KEY_BYTES: usize = 16;

/// The fields beside the body.
const ID: &str = "id";
const KEY: &str = "key";
const EXPECTED: &str = "expected";
const DUE_AT: &str = "due_at";
/// The parameter that asks for the service's own example.
const EXAMPLE: &str = "example";

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![
        reads(Place::Send.path(), Use::Commands, list),
        reads(COMMAND, Use::Command, show_command),
        writes(COMMAND, Use::Command, send_command),
        reads(OPERATION, Use::Operation, show_operation),
        writes(OPERATION, Use::Operation, send_operation),
    ]
}

/// What a decision is for, in the words of its declaration.
fn about(info: &DecisionInfo) -> String {
    let schema: Value = info.body.decode().unwrap_or_default();
    schema["description"].as_str().unwrap_or_default().replace("[`", "`").replace("`]", "`")
}

fn path_of(category: Option<&str>, name: &str) -> String {
    format!("{}/{}/{}", Place::Send.path(), part(category.unwrap_or("operations")), part(name))
}

/// `GET /console/send`: the commands and operations that the visitor may give.
async fn list(visitor: Visitor, Given(given): Given) -> Result<Response, Problem> {
    given.finish(&[])?;
    let mut decisions = visitor.app.engine().registry().decisions();
    decisions.retain(|info| suffice(&visitor.principal.actor, info.roles));
    let mut groups: Vec<(Option<&str>, Vec<&DecisionInfo>)> = Vec::new();
    for info in &decisions {
        match groups.iter_mut().find(|(category, _)| *category == info.category) {
            Some((_, group)) => group.push(info),
            None => groups.push((info.category, vec![info])),
        }
    }
    Ok(Page::new(&visitor, Some(Place::Send), "Send").respond(html! {
        p class="lead" { "The commands and operations that you may give." }
        @if groups.is_empty() {
            (empty("There is none.", html! { "Your roles allow no command and no operation of this service." }))
        }
        @for (category, group) in &groups {
            @let id = format!("group-{}", category.unwrap_or("operations"));
            section aria-labelledby=(id) {
                h2 id=(id) { (category.unwrap_or("Operations")) }
                (table(category.unwrap_or("Operations"), &["Name", "What it does"], html! {
                    @for info in group {
                        tr {
                            th scope="row" { a href=(path_of(info.category, info.name)) { (info.name) } }
                            td { (code_spans(about(info).split("\n\n").next().unwrap_or_default())) }
                        }
                    }
                }))
            }
        }
    }))
}

/// A command or an operation with its form.
struct Sending {
    info: DecisionInfo,
    body: Field,
}

impl Sending {
    fn find(app: &App, category: Option<&str>, name: &str) -> Result<Self, Problem> {
        let mut decisions = app.engine().registry().decisions().into_iter();
        let info =
            decisions.find(|info| info.category == category && info.name == name).ok_or_else(|| {
                let what = if category.is_some() { "command" } else { "operation" };
                Problem::new(
                    StatusCode::NOT_FOUND,
                    "not-found",
                    "Not found",
                    format!("there is no {what} {name:?}; {} lists what there is", Place::Send.path()),
                )
            })?;
        let schema: Value = info.body.decode().unwrap_or_default();
        Ok(Self { body: schema::body(&schema), info })
    }

    fn path(&self) -> String {
        path_of(self.info.category, self.info.name)
    }

    /// The form, with the service's own example in it where the visitor has asked for that.
    fn begin(&self, visitor: &Visitor, mut given: Parameters) -> Result<Response, Problem> {
        let mut filled = Filled::default();
        let is_example = given.take(EXAMPLE)?.is_some();
        if let Some(example) = self.example(visitor).filter(|_| is_example) {
            let body: Value = serde_json::from_str(&example.body).unwrap_or_default();
            self.body.fill(&body, &mut filled);
            let id = example.target.split('/').nth(1).unwrap_or_default();
            filled.values.insert(ID.to_owned(), id.to_owned());
        }
        filled.values.extend(given.take(ID)?.map(|id| (ID.to_owned(), id)));
        given.finish(&[ID, EXAMPLE])?;
        Ok(self.respond(visitor, &filled, &draw_key()?, None))
    }

    fn example<'a>(&self, visitor: &'a Visitor) -> Option<&'a Example> {
        visitor.app.config().example(self.info.category, self.info.name)
    }

    fn page<'a>(&self, visitor: &'a Visitor) -> Page<'a> {
        let title = match self.info.category {
            Some(category) => format!("{category}: {}", self.info.name),
            None => self.info.name.to_owned(),
        };
        Page::new(visitor, Some(Place::Send), title).below(Place::Send.path(), "Send")
    }

    /// The page with the form, and with what is wrong where something is.
    fn respond(&self, visitor: &Visitor, filled: &Filled, key: &str, told: Option<&Problem>) -> Response {
        let value = |name: &str| filled.values.get(name).map(String::as_str).unwrap_or_default();
        let about = about(&self.info);
        let later = [EXPECTED, DUE_AT].iter().any(|name| !value(name).is_empty());
        let mut response = self.page(visitor).respond(html! {
            @for paragraph in about.split("\n\n").filter(|text| !text.is_empty()) {
                p class="lead" { (code_spans(paragraph)) }
            }
            @if let Some(told) = told {
                div class="wrong" role="alert" {
                    p { strong { (told.title()) } ": " (sentence(told.detail())) }
                }
            }
            div class="sheet" {
                (form(visitor, &self.path(), html! {
                    input type="hidden" name=(KEY) value=(key);
                    div class="fields" {
                        @if let Some(category) = self.info.category {
                            div class="field" {
                                label for=(ID) { "Id of the " (category) }
                                input id=(ID) name=(ID) value=(value(ID)) required autocomplete="off" spellcheck="false";
                            }
                        }
                        (self.body.show(filled))
                    }
                    details open[later] {
                        summary { "When, and over which version" }
                        div class="fields" {
                            (plain_field(DUE_AT, "Not before", value(DUE_AT), "2026-01-31T12:00:00Z",
                                "A time in UTC. The command is stored, and runs then. Empty is at once."))
                            @if self.info.category.is_some() {
                                (plain_field(EXPECTED, "Expected version", value(EXPECTED), "3",
                                    "The command runs only where the stream is at this version. Empty is at any."))
                            }
                        }
                    }
                    div class="buttons" {
                        button type="submit" { "Send" }
                        @if self.example(visitor).is_some() && filled.values.is_empty() {
                            a href={ (self.path()) "?" (EXAMPLE) "=true" } { "Fill in an example" }
                        }
                    }
                }))
            }
        });
        *response.status_mut() = told.map_or(StatusCode::OK, Problem::status);
        response
    }
}

fn plain_field(name: &str, label: &str, value: &str, placeholder: &str, hint: &str) -> Markup {
    html! {
        div class="field" {
            label for=(name) { (label) " " small { "may be empty" } }
            input id=(name) name=(name) value=(value) placeholder=(placeholder) autocomplete="off" aria-describedby={ (name) "-hint" };
            small class="hint" id={ (name) "-hint" } { (hint) }
        }
    }
}

fn draw_key() -> Result<String, Problem> {
    Ok(format!("console-{}", hex(&random::<KEY_BYTES>()?)))
}

/// `GET /console/send/{category}/{command}?id=&example=`.
async fn show_command(
    visitor: Visitor,
    Segments((category, command)): Segments<(String, String)>,
    Given(given): Given,
) -> Result<Response, Problem> {
    Sending::find(&visitor.app, Some(&category), &command)?.begin(&visitor, given)
}

/// `GET /console/send/operations/{name}?example=`.
async fn show_operation(
    visitor: Visitor,
    Segments(name): Segments<String>,
    Given(given): Given,
) -> Result<Response, Problem> {
    Sending::find(&visitor.app, None, &name)?.begin(&visitor, given)
}

/// `POST /console/send/{category}/{command}`.
async fn send_command(
    visitor: Visitor,
    Segments((category, command)): Segments<(String, String)>,
    Posted(fields): Posted,
) -> Result<Response, Problem> {
    send(&visitor, &Sending::find(&visitor.app, Some(&category), &command)?, fields).await
}

/// `POST /console/send/operations/{name}`.
async fn send_operation(
    visitor: Visitor,
    Segments(name): Segments<String>,
    Posted(fields): Posted,
) -> Result<Response, Problem> {
    send(&visitor, &Sending::find(&visitor.app, None, &name)?, fields).await
}

async fn send(visitor: &Visitor, sending: &Sending, fields: Parameters) -> Result<Response, Problem> {
    let mut filled = take(sending, fields)?;
    let key = filled.values.get(KEY).cloned().unwrap_or_default();
    let body = sending.body.json(&mut filled).unwrap_or_default();
    if !filled.wrong.is_empty() {
        let told = Problem::invalid("something that was filled in does not fit its field");
        return Ok(sending.respond(visitor, &filled, &key, Some(&told)));
    }
    match attempt(visitor, sending, &filled, &body).await {
        Ok(became) => Ok(done(visitor, sending, &filled, became)),
        Err(failure) => {
            // Whatever has an outcome under this key has it for good: what is changed is another command.
            let key = if failure.has_outcome { draw_key()? } else { key };
            Ok(sending.respond(visitor, &filled, &key, Some(&failure.problem)))
        }
    }
}

/// Everything that the form holds, and nothing else.
fn take(sending: &Sending, mut fields: Parameters) -> Result<Filled, Problem> {
    let mut filled = Filled::default();
    let names = [ID, KEY, EXPECTED, DUE_AT].map(str::to_owned).into_iter().chain(sending.body.inputs());
    for name in names {
        if let Some(value) = fields.take(&name)? {
            filled.values.insert(name, value);
        }
    }
    fields.finish(&["the fields of the form"])?;
    Ok(filled)
}

/// Why a command has no answer.
struct Failure {
    problem: Problem,
    /// Whether its key stands for an outcome now.
    has_outcome: bool,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem, has_outcome: false }
    }
}

async fn attempt(
    visitor: &Visitor,
    sending: &Sending,
    filled: &Filled,
    body: &str,
) -> Result<Became, Failure> {
    let value =
        |name: &str| filled.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let mut headers = HeaderMap::new();
    for (name, value) in [(IDEMPOTENCY_KEY, value(KEY)), (axum::http::header::IF_MATCH, value(EXPECTED))] {
        if let Some(value) = value {
            let value = HeaderValue::from_str(value)
                .map_err(|_| Problem::invalid(format!("{name} {value:?} cannot be a header")))?;
            headers.insert(name, value);
        }
    }
    let request = read_request(visitor.principal.clone(), &headers)?;
    let due_at = value(DUE_AT).map(|text| {
        text.parse::<Timestamp>().map_err(|error| {
            Problem::invalid(format!(
                "Not before is a time such as 2026-01-31T12:00:00Z; {text:?} is none: {error}"
            ))
        })
    });
    let due_at = due_at.transpose()?;
    let options = due_at.map(|at| SubmitOptions { due_at: Some(at), ..SubmitOptions::default() });
    let id = value(ID).unwrap_or_default();
    let decider = match sending.info.category {
        Some(category) => Decider::Aggregate { category, id, command: sending.info.name },
        None => Decider::Operation { name: sending.info.name },
    };
    let given = give(&visitor.app, &request, &decider, body, options).await;
    given.map_err(|failure| {
        let is_reused = matches!(&failure, ExecuteNamedError::Failed(underlay_core::Error::IdReused(_)));
        let has_outcome = is_reused || matches!(&failure, ExecuteNamedError::Refused(_));
        Failure { problem: Problem::of_command(failure, request.command_id.is_some()), has_outcome }
    })
}

fn done(visitor: &Visitor, sending: &Sending, filled: &Filled, became: Became) -> Response {
    let again = match filled.values.get(ID) {
        Some(id) => address(&sending.path(), &[(ID, id)]),
        None => sending.path(),
    };
    sending.page(visitor).respond(html! {
        @match became {
            Became::Done(executed) => (executed_part(visitor, &executed)),
            Became::Stored(submitted) => (submitted_part(visitor, &submitted)),
        }
        p { a href=(again) { "Send another" } }
    })
}

fn submitted_part(visitor: &Visitor, submitted: &Submitted) -> Markup {
    let command = format!("{}/{}", Place::Commands.path(), submitted.command_id);
    html! {
        p class="notice" role="status" {
            "The command is stored" @if submitted.repeated { ", and was before" } "."
        }
        dl class="sheet facts" {
            div class="wide" { dt { "Command" } dd { a href=(command) { code { (submitted.command_id) } } } }
            @if let Some(due_at) = submitted.due_at {
                div { dt { "Not before" } dd { (moment(due_at, visitor.now())) } }
            }
        }
    }
}

fn executed_part(visitor: &Visitor, executed: &Executed) -> Markup {
    let reads_log = visitor.may(Use::Log);
    html! {
        p class="notice" role="status" {
            @if executed.repeated { "It was done before; this is the first answer again." }
            @else if executed.events.is_empty() { "It is done. There was nothing to do, so nothing happened." }
            @else { "It is done." }
        }
        dl class="sheet facts" {
            div { dt { "Outcome" } dd { (status(Tone::Good, "processed")) } }
            div { dt { "Position" } dd { (executed.position) } }
            div { dt { "Stored" } dd { (moment(executed.recorded_at, visitor.now())) } }
            div class="wide" { dt { "Command" } dd { code { (executed.command_id) } } }
            @for written in &executed.versions {
                div {
                    dt { "Stream" }
                    dd {
                        @if reads_log {
                            a href={ (Place::Streams.path()) "/" (part(written.stream.as_str())) } { (written.stream) }
                        } @else { (written.stream) }
                        " at version " (written.version)
                    }
                }
            }
        }
        @if !executed.events.is_empty() {
            section aria-labelledby="events" {
                h2 id="events" { "What happened" }
                @for event in &executed.events {
                    div class="sheet" {
                        h3 {
                            @if reads_log {
                                a href={ (Place::Events.path()) "/" (event.position) } { (event.event_type) }
                            } @else { (event.event_type) }
                            " " small class="quiet" { (event.stream) ", version " (event.version) }
                        }
                        (show::json(event.payload.text().as_str()))
                    }
                }
            }
        }
    }
}
