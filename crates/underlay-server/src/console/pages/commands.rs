//! `/console/commands`: commands that are stored, and what became of one.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use underlay_core::{Committed, Outcome, WorkPlace};
use underlay_runtime::{CommandInfo, CommandList, CommandStatus, WaitingCommand};

use super::work_parts::{letter_link, stream_link, tabs};
use crate::command_status::{PAGE_COMMANDS_DEFAULT, commands_for, list_of, look_up, take_back};
use crate::console::form::{Posted, button};
use crate::console::layout::{Page, Place};
use crate::console::show::{Tone, address, empty, json, live, moment, next_page, part, status, table};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads, writes};
use crate::door::roles::Use;
use crate::path::Segments;
use crate::problem::Problem;

const COMMAND: &str = "/console/commands/{id}";
const CANCEL: &str = "/console/commands/{id}/cancel";

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![
        reads(Place::Commands.path(), Use::Commands, list),
        reads(COMMAND, Use::Commands, show),
        writes(CANCEL, Use::Commands, cancel),
    ]
}

fn command_path(key: &str) -> String {
    format!("{}/{}", Place::Commands.path(), part(key))
}

/// `GET /console/commands`.
async fn list(visitor: Visitor, Given(mut given): Given) -> Result<Response, Problem> {
    if let Some(key) = given.take("key")? {
        return Ok(Redirect::to(&command_path(key.trim())).into_response());
    }
    let list = list_of(given.take("status")?.as_deref())?;
    let after = WorkPlace::from_number(given.take_parsed("after")?.unwrap_or_default());
    given.finish(&["key", "status", "after"])?;
    let found = commands_for(&visitor.app, &visitor.principal, list, after, PAGE_COMMANDS_DEFAULT).await?;
    let shown = if list == CommandList::Failed { "failed" } else { "" };
    let next = found.next.map(|next| {
        let next = next.number().to_string();
        let status = (!shown.is_empty()).then_some(("status", shown));
        let pairs: Vec<(&str, &str)> = status.into_iter().chain([("after", next.as_str())]).collect();
        address(Place::Commands.path(), &pairs)
    });
    let headings = ["Command", "For", "Status", "#Failed", "Last error", "Stored"];
    let words = [("", "Waiting"), ("failed", "Given up")];
    Ok(Page::new(&visitor, Some(Place::Commands), "Commands").respond(html! {
        p class="lead" {
            "Commands that were stored to be run, now or when they are due. You see those that you may give."
        }
        form class="sheet fields filter" method="get" action=(Place::Commands.path()) aria-label="Find a command" {
            div class="field" {
                label for="key" { "Key or id of a command" }
                input id="key" name="key" required autocomplete="off" spellcheck="false" aria-describedby="key-hint";
                small class="hint" id="key-hint" { "Its Idempotency-Key, or the command_id of an answer." }
            }
            div class="buttons" { button type="submit" class="second" { "Find" } }
        }
        (tabs("Which commands", Place::Commands.path(), "status", &words, shown))
        (live("commands", html! {
            @if found.commands.is_empty() {
                (nothing(list, next.is_some()))
            } @else {
                (table("Commands", &headings, html! {
                    @for info in &found.commands { (row(&visitor, info)) }
                }))
            }
            (next_page(next))
        }))
    }))
}

fn nothing(list: CommandList, is_more: bool) -> Markup {
    let told = match (list, is_more) {
        (_, true) => "There is none of yours on this page.",
        (CommandList::Waiting, false) => "No command waits.",
        (CommandList::Failed, false) => "No command was given up.",
    };
    empty(
        told,
        html! { "A command is stored where it is sent with " code { "Prefer: respond-async" } " or a time." },
    )
}

fn row(visitor: &Visitor, info: &CommandInfo) -> Markup {
    let now = visitor.now();
    let Some(waiting) = &info.waiting else { return html! {} };
    html! {
        tr {
            th scope="row" { a href=(command_path(&info.command_id.to_string())) { (waiting.command) } }
            td { (target(waiting)) }
            td { (word(&info.status)) (waits_for(visitor, waiting)) }
            td class="number" { (waiting.attempts) }
            td class="words" { (waiting.last_error.as_deref().unwrap_or("–")) }
            td { (moment(waiting.sent_at, now)) }
        }
    }
}

/// Whom a command is for.
fn target(waiting: &WaitingCommand) -> String {
    match &waiting.id {
        Some(id) => format!("{} {id}", waiting.receiver),
        None => format!("operation {}", waiting.receiver),
    }
}

fn waits_for(visitor: &Visitor, waiting: &WaitingCommand) -> Markup {
    html! {
        @if let Some(letter) = waiting.held_by {
            " " small { "behind dead letter " @if visitor.may(Use::Work) { (letter_link(letter)) } @else { (letter) } }
        } @else if waiting.is_behind {
            " " small class="quiet" { "behind another for the same" }
        } @else if waiting.is_left {
            " " small class="quiet" { "nobody here runs it" }
        } @else if let Some(due_at) = waiting.due_at {
            " " small class="quiet" { "due " } (moment(due_at, visitor.now()))
        }
    }
}

fn word(of: &CommandStatus) -> Markup {
    match of {
        CommandStatus::Pending | CommandStatus::Consumed => status(Tone::Busy, of.word()),
        CommandStatus::Processed(committed) => match committed.outcome {
            Outcome::Accepted => status(Tone::Good, "accepted"),
            Outcome::Refused { .. } => status(Tone::Plain, "refused"),
        },
        CommandStatus::Cancelled(_) | CommandStatus::Discarded => status(Tone::Plain, of.word()),
        CommandStatus::Conflicted(_) | CommandStatus::Failed { .. } | CommandStatus::Uncertain => {
            status(Tone::Bad, of.word())
        }
    }
}

/// `GET /console/commands/{id}`.
async fn show(
    visitor: Visitor,
    Segments(key): Segments<String>,
    Given(given): Given,
) -> Result<Response, Problem> {
    given.finish(&[])?;
    let info = look_up(&visitor.app, &visitor.principal, &key).await?;
    let name = info.waiting.as_ref().map_or("Command", |waiting| &waiting.command).to_owned();
    let page = Page::new(&visitor, Some(Place::Commands), name).below(Place::Commands.path(), "Commands");
    Ok(page.respond(html! {
        (live("command", html! {
            (facts(&visitor, &info))
            @if let Some(committed) = committed(&info.status) { (ended(&visitor, committed)) }
            @if let Some(error) = info.waiting.as_ref().and_then(|waiting| waiting.last_error.as_deref()) {
                section aria-labelledby="error" {
                    h2 id="error" { "Why the last attempt failed" }
                    pre tabindex="0" { code { (error) } }
                }
            }
        }))
        @if !info.status.is_ended() && !matches!(info.status, CommandStatus::Discarded) {
            div class="buttons" {
                (button(&visitor, &format!("{}/cancel", command_path(&key)), "danger", "Cancel it"))
                span class="quiet" { "Cancelled, it never runs." }
            }
        }
    }))
}

fn facts(visitor: &Visitor, info: &CommandInfo) -> Markup {
    let now = visitor.now();
    html! {
        dl class="sheet facts" {
            div { dt { "status" } dd {
                (word(&info.status))
                @if let Some(waiting) = &info.waiting { (waits_for(visitor, waiting)) }
            } }
            @if let Some(waiting) = &info.waiting {
                div { dt { "for" } dd { (target(waiting)) } }
                div { dt { "failed attempts" } dd { (waiting.attempts) } }
            }
            @if let Some(at) = info.submitted_at { div { dt { "submitted" } dd { (moment(at, now)) } } }
            @if let CommandStatus::Failed { died_at, .. } = info.status {
                div { dt { "given up" } dd { (moment(died_at, now)) } }
            }
            @if let Some(waiting) = info.waiting.as_ref().filter(|_| is_letter(visitor, info)) {
                div { dt { "dead letter" } dd { (letter_link(waiting.work_id)) } }
            }
            div class="wide" { dt { "id" } dd { code { (info.command_id) } } }
        }
    }
}

/// Whether it is a dead letter that the visitor may look at.
fn is_letter(visitor: &Visitor, info: &CommandInfo) -> bool {
    matches!(info.status, CommandStatus::Failed { .. }) && visitor.may(Use::Work)
}

fn committed(status: &CommandStatus) -> Option<&Committed> {
    match status {
        CommandStatus::Processed(committed)
        | CommandStatus::Cancelled(committed)
        | CommandStatus::Conflicted(committed) => Some(committed),
        _ => None,
    }
}

/// How it ended, with links to what it gave.
fn ended(visitor: &Visitor, committed: &Committed) -> Markup {
    html! {
        section aria-labelledby="ended" {
            h2 id="ended" { "What became of it" }
            @if let Outcome::Refused { code, message, body } = &committed.outcome {
                p { strong { (message) } " " code { (code) } }
                @if body.as_str() != "{}" && body.as_str() != "null" { (json(body.as_str())) }
            }
            dl class="sheet facts" {
                div { dt { "stored" } dd { (moment(committed.recorded_at, visitor.now())) } }
                div { dt { "events" } dd { (committed.event_count) } }
                @if committed.event_count > 0 {
                    div { dt { "last event" } dd {
                        @if visitor.may(Use::Log) {
                            a href={ (Place::Events.path()) "/" (committed.position) } { (committed.position) }
                        } @else { (committed.position) }
                    } }
                }
                @for written in &committed.versions {
                    div { dt { "stream" } dd {
                        (stream_link(visitor, &written.stream)) " " small class="quiet" { "version " (written.version) }
                    } }
                }
            }
        }
    }
}

/// `POST /console/commands/{id}/cancel`.
async fn cancel(visitor: Visitor, Segments(key): Segments<String>, _: Posted) -> Result<Response, Problem> {
    take_back(&visitor.app, &visitor.principal, &key).await?;
    Ok(Redirect::to(&address(&command_path(&key), &[("done", "command-cancelled")])).into_response())
}
