//! `/console/processes`: processes and pumps, and the instances of a process.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use underlay_core::limits::PAGE_ROWS_MAX;
use underlay_runtime::ProcessSummary;

use super::instance;
use super::work_parts::tabs;
use crate::admin::FollowerBody;
use crate::admin::processes::{PAGE_INSTANCES_DEFAULT, filter_of, processes_for, retry_process};
use crate::admin::pumps::{pumps_for, retry_pump};
use crate::console::form::{Posted, button};
use crate::console::layout::{Page, Place};
use crate::console::show::{
    Tone, address, empty, follower_status, live, moment, next_page, number, pace, part, sentence, status,
    table,
};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads, writes};
use crate::door::roles::Use;
use crate::health;
use crate::metrics::{Follows, Pace};
use crate::path::Segments;
use crate::problem::Problem;

const PROCESS: &str = "/console/processes/{name}";
const INSTANCE: &str = "/console/processes/{name}/{*instance}";
const PUMP: &str = "/console/pumps/{name}";

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![
        reads(Place::Processes.path(), Use::Work, list),
        reads(PROCESS, Use::Work, instances),
        writes(PROCESS, Use::Views, retry),
        reads(INSTANCE, Use::Work, instance::show),
        writes(PUMP, Use::Views, retry_of_pump),
    ]
}

pub(in crate::console) fn process_path(name: &str) -> String {
    format!("{}/{}", Place::Processes.path(), part(name))
}

/// `GET /console/processes`.
async fn list(visitor: Visitor, Given(given): Given) -> Result<Response, Problem> {
    given.finish(&[])?;
    let processes = processes_for(&visitor.app, &visitor.principal).await?.processes;
    let pumps = pumps_for(&visitor.app, &visitor.principal).await?.pumps;
    let pace = health::pace(&visitor.app).await;
    let pump_path = |name: &str| format!("/console/pumps/{}", part(name));
    Ok(Page::new(&visitor, Some(Place::Processes), "Processes and pumps").respond(html! {
        p class="lead" {
            "A process follows the log and takes a step for each event that its instances wait for. A pump brings the log "
            "to another system. One that stopped stays where it is until somebody tries it again: it then takes the same "
            "event once more, and goes on if that is taken."
        }
        @if processes.is_empty() && pumps.is_empty() {
            (empty("There are no processes and no pumps.", html! { "A service declares them in its code." }))
        }
        (live("processes", followers(&visitor, Follows::Process, &processes, process_path, &pace)))
        (live("pumps", followers(&visitor, Follows::Pump, &pumps, pump_path, &pace)))
    }))
}

/// Processes, or pumps; nothing where there are none.
fn followers(
    visitor: &Visitor,
    follows: Follows,
    followers: &[FollowerBody],
    path: impl Fn(&str) -> String,
    pace: &Pace,
) -> Markup {
    let label = if follows == Follows::Pump { "Pumps" } else { "Processes" };
    let id = format!("{}-heading", label.to_lowercase());
    let headings = ["Name", "Status", "What to do", "#Position", "#Behind", "#Pace", "Kept by"];
    html! {
        @if !followers.is_empty() {
            section aria-labelledby=(id) {
                h2 id=(id) { (label) }
                (table(label, &headings, html! {
                    @for one in followers { (follower(visitor, follows, one, &path(&one.name), pace)) }
                }))
            }
        }
    }
}

fn follower(visitor: &Visitor, follows: Follows, of: &FollowerBody, path: &str, known: &Pace) -> Markup {
    html! {
        tr {
            th scope="row" { @if follows == Follows::Process { a href=(path) { (of.name) } } @else { (of.name) } }
            td {
                (follower_status(of.status))
                @if let Some(since) = of.stopped_since { " " small { "since " (moment(since, visitor.now())) } }
            }
            td class="words" {
                @if let Some(problem) = &of.problem { (sentence(problem)) " " }
                @if of.status.is_stopped() && visitor.may(Use::Views) {
                    (button(visitor, path, "second", &format!("Try {} again", of.name)))
                } @else if of.status.is_stopped() { "An operator of the store can try it again." }
            }
            td class="number" { @if let Some(position) = of.position { (position) } @else { "–" } }
            @match of.behind {
                None => { td class="number" { "–" } td class="number" { "–" } },
                Some(behind) => {
                    td class="number" { (number(behind)) }
                    td class="number" { (pace(known, follows, &of.name, behind, of.status)) }
                },
            }
            td { (of.held_by.as_deref().unwrap_or("–")) }
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

pub(super) fn standing(is_stuck: bool, is_finished: bool, ended_as: Option<&str>) -> Markup {
    match (is_stuck, is_finished, ended_as) {
        (true, ..) => status(Tone::Bad, "stuck"),
        (false, true, Some(how)) => status(Tone::Plain, format_args!("finished: {how}")),
        (false, true, None) => status(Tone::Plain, "finished"),
        (false, false, _) => status(Tone::Busy, "open"),
    }
}
