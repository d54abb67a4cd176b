//! `/console/processes`: processes and pumps, and the instances of a process with what they wait for.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use underlay_core::limits::PAGE_ROWS_MAX;
use underlay_core::{CommitId, RecordedEvent, Version};
use underlay_runtime::{CommandInfo, CommandStatus, ProcessInstance, ProcessSummary};

use super::work_parts::{letter_link, stream_link, tabs};
use crate::admin::FollowerBody;
use crate::admin::processes::{PAGE_INSTANCES_DEFAULT, filter_of, instance_of, processes_for, retry_process};
use crate::admin::pumps::{pumps_for, retry_pump};
use crate::api::page::event_bytes;
use crate::budget::Room;
use crate::console::form::{Posted, button};
use crate::console::layout::{Page, Place};
use crate::console::show::{
    Tone, address, empty, follower_status, json, live, moment, next_page, number, part, sentence, status,
    table,
};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads, writes};
use crate::door::roles::Use;
use crate::path::Segments;
use crate::problem::Problem;

const PROCESS: &str = "/console/processes/{name}";
const INSTANCE: &str = "/console/processes/{name}/{*instance}";
const PUMP: &str = "/console/pumps/{name}";
/// The last steps of an instance that its page shows.
const STEPS_SHOWN: usize = 20;
/// Commands that an instance waits for, and that its page looks for. Each is looked for among all that wait.
const COMMANDS_LOOKED_FOR_MAX: usize = 8;

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![
        reads(Place::Processes.path(), Use::Work, list),
        reads(PROCESS, Use::Work, instances),
        writes(PROCESS, Use::Views, retry),
        reads(INSTANCE, Use::Work, instance),
        writes(PUMP, Use::Views, retry_of_pump),
    ]
}

fn process_path(name: &str) -> String {
    format!("{}/{}", Place::Processes.path(), part(name))
}

/// `GET /console/processes`.
async fn list(visitor: Visitor, Given(given): Given) -> Result<Response, Problem> {
    given.finish(&[])?;
    let processes = processes_for(&visitor.app, &visitor.principal).await?.processes;
    let pumps = pumps_for(&visitor.app, &visitor.principal).await?.pumps;
    Ok(Page::new(&visitor, Some(Place::Processes), "Processes and pumps").respond(html! {
        p class="lead" {
            "A process follows the log and takes a step for each event that its instances wait for. A pump brings the log "
            "to another system. One that stopped waits for a person."
        }
        @if processes.is_empty() && pumps.is_empty() {
            (empty("There are no processes and no pumps.", html! { "A service declares them in its code." }))
        }
        (live("processes", followers(&visitor, "Processes", &processes, process_path, true)))
        (live("pumps", followers(&visitor, "Pumps", &pumps, |name| format!("/console/pumps/{}", part(name)), false)))
    }))
}

/// Processes, or pumps; nothing where there are none.
fn followers(
    visitor: &Visitor,
    label: &str,
    followers: &[FollowerBody],
    path: impl Fn(&str) -> String,
    leads: bool,
) -> Markup {
    let id = format!("{}-heading", label.to_lowercase());
    let headings = ["Name", "Status", "#Position", "#Behind", "Kept by", "What to do"];
    html! {
        @if !followers.is_empty() {
            section aria-labelledby=(id) {
                h2 id=(id) { (label) }
                (table(label, &headings, html! {
                    @for one in followers { (follower(visitor, one, &path(&one.name), leads)) }
                }))
            }
        }
    }
}

fn follower(visitor: &Visitor, of: &FollowerBody, path: &str, leads: bool) -> Markup {
    html! {
        tr {
            th scope="row" { @if leads { a href=(path) { (of.name) } } @else { (of.name) } }
            td {
                (follower_status(of.status))
                @if let Some(since) = of.stopped_since { " " small { "since " (moment(since, visitor.now())) } }
            }
            td class="number" { @if let Some(position) = of.position { (position) } @else { "–" } }
            td class="number" { @if let Some(behind) = of.behind { (number(behind)) } @else { "–" } }
            td { (of.held_by.as_deref().unwrap_or("–")) }
            td {
                @if let Some(problem) = &of.problem { (sentence(problem)) " " }
                @if of.status.is_stopped() && visitor.may(Use::Views) {
                    (button(visitor, path, "second", &format!("Try {} again", of.name)))
                } @else if of.status.is_stopped() { "An operator of the store can try it again." }
            }
        }
    }
}

/// `POST /console/processes/{name}`: a process that is stopped tries again.
async fn retry(visitor: Visitor, Segments(name): Segments<String>, _: Posted) -> Result<Response, Problem> {
    let retried = retry_process(&visitor.app, &visitor.principal, name).await?;
    Ok(tried(retried.was_stopped))
}

/// `POST /console/pumps/{name}`: a pump that is stopped tries again.
async fn retry_of_pump(
    visitor: Visitor,
    Segments(name): Segments<String>,
    _: Posted,
) -> Result<Response, Problem> {
    let retried = retry_pump(&visitor.app, &visitor.principal, name).await?;
    Ok(tried(retried.was_stopped))
}

fn tried(was_stopped: bool) -> Response {
    let done = if was_stopped { "tried-again" } else { "not-stopped" };
    Redirect::to(&address(Place::Processes.path(), &[("done", done)])).into_response()
}

/// `GET /console/processes/{name}`: its instances.
async fn instances(
    visitor: Visitor,
    Segments(process): Segments<String>,
    Given(mut given): Given,
) -> Result<Response, Problem> {
    let standing = given.take("standing")?;
    let filter = filter_of(standing.as_deref())?;
    let after = given.take("after")?;
    let limit = given.take_limit(PAGE_INSTANCES_DEFAULT, PAGE_ROWS_MAX)?;
    given.finish(&["standing", "after", "limit"])?;
    let engine = visitor.app.engine();
    let page = engine.processes(visitor.tenant(), &process, filter, after.as_deref(), limit).await?;
    let path = process_path(&process);
    let shown = standing.as_deref().unwrap_or_default();
    let next = page.next.as_deref().map(|next| {
        let standing = (!shown.is_empty()).then_some(("standing", shown));
        let pairs: Vec<(&str, &str)> = standing.into_iter().chain([("after", next)]).collect();
        address(&path, &pairs)
    });
    let words = [("", "All"), ("open", "Open"), ("stuck", "Stuck"), ("finished", "Finished")];
    let headings = ["Instance", "Status", "#Steps", "Waits for", "Next timer", "Changed"];
    let shown_page = Page::new(&visitor, Some(Place::Processes), process.clone());
    Ok(shown_page.below(Place::Processes.path(), "Processes").respond(html! {
        (tabs("Which instances", &path, "standing", &words, shown))
        (live("instances", html! {
            @if page.instances.is_empty() {
                (empty("There is no such instance.", html! { "An instance begins with the first event that is routed to it." }))
            } @else {
                (table("Instances", &headings, html! {
                    @for one in &page.instances { (summary(&visitor, &path, one)) }
                }))
            }
            (next_page(next))
        }))
    }))
}

fn summary(visitor: &Visitor, path: &str, of: &ProcessSummary) -> Markup {
    let now = visitor.now();
    html! {
        tr {
            th scope="row" { a href={ (path) "/" (part(&of.instance)) } { (of.instance) } }
            td { (standing(of.is_stuck, of.is_finished, of.ended_as.as_deref())) }
            td class="number" { (number(of.steps)) }
            td { @if of.waits_for.is_empty() { "–" } @else { (of.waits_for) } }
            td { @if let Some(at) = of.next_due_at { (moment(at, now)) } @else { "–" } }
            td { @if let Some(at) = of.changed_at { (moment(at, now)) } @else { "–" } }
        }
    }
}

fn standing(is_stuck: bool, is_finished: bool, ended_as: Option<&str>) -> Markup {
    match (is_stuck, is_finished, ended_as) {
        (true, ..) => status(Tone::Bad, "stuck"),
        (false, true, Some(how)) => status(Tone::Plain, format_args!("finished: {how}")),
        (false, true, None) => status(Tone::Plain, "finished"),
        (false, false, _) => status(Tone::Busy, "open"),
    }
}

/// `GET /console/processes/{name}/{instance}`.
async fn instance(
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
