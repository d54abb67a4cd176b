//! One instance of a process: where it stands, what it waits for and knows, and its last steps.

use std::collections::BTreeMap;

use axum::response::Response;
use maud::{Markup, html};
use underlay_core::{CommitId, RecordedEvent, Version};
use underlay_runtime::{CommandInfo, CommandStatus, ProcessInstance};

use super::processes::{process_path, standing};
use super::work_parts::{letter_link, stream_link};
use crate::admin::processes::instance_of;
use crate::api::page::event_bytes;
use crate::budget::Room;
use crate::console::layout::{Page, Place};
use crate::console::show::{Tone, json, live, moment, sentence, status, table};
use crate::console::visitor::{Given, Visitor};
use crate::door::roles::Use;
use crate::path::Segments;
use crate::problem::Problem;

/// The last steps of an instance that its page shows.
const STEPS_SHOWN: usize = 20;
/// Commands that an instance waits for, and that its page looks for. Each is looked for among all that wait.
const COMMANDS_LOOKED_FOR_MAX: usize = 8;

/// `GET /console/processes/{name}/{instance}`.
pub(super) async fn show(
    visitor: Visitor,
    room: Room,
    Segments((process, name)): Segments<(String, String)>,
    Given(given): Given,
) -> Result<Response, Problem> {
    given.finish(&[])?;
    let found = instance_of(&visitor.app, &room, &visitor.principal, &process, &name).await?;
    let steps = last_steps(&visitor, &room, &found).await?;
    let mut commands = BTreeMap::new();
    for command in found.commands.iter().take(COMMANDS_LOOKED_FOR_MAX) {
        let id = command.command_id;
        let looked = visitor.app.engine().look_for_command(visitor.tenant(), id).await?;
        commands.extend(looked.map(|info| (id, info)));
    }
    let page = Page::new(&visitor, Some(Place::Processes), found.instance.clone());
    let page = page.below(Place::Processes.path(), "Processes").below(process_path(&process), process);
    Ok(page.respond(html! {
        (live("instance", html! {
            (facts(&visitor, &found))
            (letters(&visitor, &found))
            (waits(&visitor, &found, &commands))
        }))
        @if let Some(state) = &found.state {
            section aria-labelledby="state" { h2 id="state" { "What it knows" } (json(state.as_str())) }
        }
        (history(&visitor, &found, &steps))
    }))
}

fn facts(visitor: &Visitor, of: &ProcessInstance) -> Markup {
    let now = visitor.now();
    let is_stuck = !of.dead_letters.is_empty() || of.commands.iter().any(|command| command.held_by.is_some());
    html! {
        dl class="sheet facts" {
            div { dt { "status" } dd { (standing(is_stuck, of.is_finished, of.ended_as.as_deref())) } }
            div { dt { "steps" } dd { (of.version) } }
            @if let Some(at) = of.began_at { div { dt { "began" } dd { (moment(at, now)) } } }
            @if let Some(input) = &of.last_input { div { dt { "last input" } dd { (input) } } }
            @if let Some(version) = of.state_version { div { dt { "version of its state" } dd { (version) } } }
            div class="wide" { dt { "stream" } dd { (stream_link(visitor, &of.stream)) } }
        }
    }
}

/// The dead letters that have to do with an instance; nothing where there are none.
fn letters(visitor: &Visitor, of: &ProcessInstance) -> Markup {
    let now = visitor.now();
    html! {
        @if !of.dead_letters.is_empty() || !of.sent_letters.is_empty() {
            section aria-labelledby="letters" {
                h2 id="letters" { "What was given up" }
                ul class="sheet needs" {
                    @for letter in &of.dead_letters {
                        li {
                            "It stands still behind dead letter " (letter_link(letter.work_id)) " (" (letter.name) "), given up "
                            (moment(letter.died_at, now)) ": " (sentence(&letter.error))
                        }
                    }
                    @for letter in &of.sent_letters {
                        li {
                            "It sent " (letter.name) " to " (letter.receiver) ", which is dead letter "
                            (letter_link(letter.work_id)) ", given up " (moment(letter.died_at, now)) ": "
                            (sentence(&letter.error))
                        }
                    }
                }
            }
        }
    }
}

/// What an instance waits for, and would undo.
fn waits(visitor: &Visitor, of: &ProcessInstance, looked: &BTreeMap<CommitId, CommandInfo>) -> Markup {
    let now = visitor.now();
    html! {
        @if !of.commands.is_empty() || !of.timers.is_empty() {
            section aria-labelledby="waits" {
                h2 id="waits" { "What it waits for" }
                (table("What it waits for", &["What", "Name", "Since or until", "Stands"], html! {
                    @for command in &of.commands {
                        tr {
                            td { "command" }
                            th scope="row" { (command.name) " " small class="quiet" { (command.command_id) } }
                            td { "sent " (moment(command.sent_at, now)) }
                            td {
                                @if let Some(letter) = command.held_by {
                                    (status(Tone::Bad, "held")) " behind dead letter " (letter_link(letter))
                                } @else { (way_of(visitor, looked.get(&command.command_id))) }
                            }
                        }
                    }
                    @for timer in &of.timers {
                        tr {
                            td { "timer" }
                            th scope="row" { (timer.name) }
                            td { "until " (moment(timer.due_at, now)) }
                            td { (status(Tone::Plain, "waits")) }
                        }
                    }
                }))
            }
        }
        @if !of.undos.is_empty() {
            p { "Where it fails it undoes, the last first: " (of.undos.join(", ")) "." }
        }
    }
}

/// How far a command is that an instance waits for.
fn way_of(visitor: &Visitor, looked: Option<&CommandInfo>) -> Markup {
    let waiting = looked.and_then(|info| info.waiting.as_ref());
    html! {
        @match looked.map(|info| &info.status) {
            Some(CommandStatus::Failed { died_at, .. }) => {
                (status(Tone::Bad, "given up")) " " (moment(*died_at, visitor.now()))
            }
            _ => { (status(Tone::Busy, "on its way")) }
        }
        @if let Some(error) = waiting.and_then(|waiting| waiting.last_error.as_deref()) { ": " (sentence(error)) }
    }
}

/// The last steps of an instance, for those who may read the log.
async fn last_steps(
    visitor: &Visitor,
    room: &Room,
    of: &ProcessInstance,
) -> Result<Vec<RecordedEvent>, Problem> {
    if !visitor.may(Use::Log) || of.version == Version::NONE {
        return Ok(Vec::new());
    }
    let after = Version(of.version.0.saturating_sub(STEPS_SHOWN as u64));
    let store = visitor.app.engine().store();
    let page = store.read_stream(visitor.tenant(), &of.stream, after, STEPS_SHOWN).await?;
    room.0.hold(page.events.iter().map(event_bytes).sum(), false)?;
    Ok(page.events)
}

fn history(visitor: &Visitor, of: &ProcessInstance, steps: &[RecordedEvent]) -> Markup {
    html! {
        @if !steps.is_empty() {
            section aria-labelledby="history" {
                h2 id="history" { "Its last steps" }
                (table("Its last steps", &["#Version", "Input", "Taken", "After it"], html! {
                    @for step in steps.iter().rev() {
                        tr {
                            td class="number" {
                                a href={ (Place::Events.path()) "/" (step.position) } { (step.version) }
                            }
                            td { (input_of(step)) }
                            td { (moment(step.recorded_at, visitor.now())) }
                            td { details { summary { "What was stored" } (json(step.payload.text().as_str())) } }
                        }
                    }
                }))
                @if of.version.0 > steps.len() as u64 {
                    p { "All of its steps are in " (stream_link(visitor, &of.stream)) "." }
                }
            }
        }
    }
}

/// The input of a step, in words.
fn input_of(step: &RecordedEvent) -> String {
    let stored = step.payload.json().ok().and_then(|json| json.decode::<serde_json::Value>().ok());
    let stored = stored.unwrap_or_default();
    let word = |name: &str| stored["input"][name].as_str().unwrap_or_default().to_owned();
    format!("{} {}", word("kind"), word("name"))
}
