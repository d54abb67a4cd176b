//! `/console/schedules`: commands that are given again and again.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use underlay_core::{Json, Timestamp};
use underlay_runtime::Missed;

use crate::admin::schedules::{
    OPERATIONS, PAGE_SCHEDULES_DEFAULT, PutBody, ScheduleBody, put_for, remove_of, schedule_of, schedules_of,
};
use crate::budget::Room;
use crate::console::form::{Posted, button, form};
use crate::console::layout::{Page, Place};
use crate::console::show::{Tone, address, empty, live, moment, next_page, part, sentence, status, table};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads, writes};
use crate::door::roles::Use;
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;

const SCHEDULE: &str = "/console/schedules/{name}";
const REMOVE: &str = "/console/schedules/{name}/remove";
/// Moments after the next one that the page of a schedule shows.
const MOMENTS_SHOWN: usize = 4;
const MISSED: [(Missed, &str); 3] = [
    (Missed::One, "runs once, for the last of them"),
    (Missed::All, "runs for each of them"),
    (Missed::None, "does not run for them"),
];

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![
        reads(Place::Schedules.path(), Use::Work, list),
        writes(Place::Schedules.path(), Use::Work, put),
        reads(SCHEDULE, Use::Work, show),
        reads(REMOVE, Use::Work, confirm),
        writes(REMOVE, Use::Work, remove),
    ]
}

fn schedule_path(name: &str) -> String {
    format!("{}/{}", Place::Schedules.path(), part(name))
}

/// What stands in the form of a schedule, as it was typed.
#[derive(Default)]
struct Typed {
    name: String,
    cron: String,
    zone: String,
    target: String,
    body: String,
    missed: String,
    is_urgent: bool,
}

impl Typed {
    fn take(mut fields: Parameters) -> Result<Self, Problem> {
        let mut text = |name| fields.take(name).map(Option::unwrap_or_default);
        let typed = Self {
            name: text("name")?,
            cron: text("cron")?,
            zone: text("zone")?,
            target: text("for")?,
            body: text("body")?,
            missed: text("missed")?,
            is_urgent: !text("urgent")?.is_empty(),
        };
        fields.finish(&["name", "cron", "zone", "for", "body", "missed", "urgent"])?;
        Ok(typed)
    }

    fn of(schedule: &ScheduleBody) -> Self {
        let name = schedule.name.clone();
        let Some(definition) = &schedule.definition else { return Self { name, ..Self::default() } };
        Self {
            name,
            cron: definition.cron.clone(),
            zone: definition.zone.clone(),
            target: definition.target.clone(),
            body: definition.body.as_str().to_owned(),
            missed: definition.missed.word().to_owned(),
            is_urgent: definition.urgent,
        }
    }

    fn put(&self) -> Result<PutBody, Problem> {
        let body = match self.body.trim() {
            "" => None,
            text => Some(
                Json::parse(text)
                    .map_err(|error| Problem::invalid(format!("the body is no JSON: {error}")))?,
            ),
        };
        let missed = MISSED.into_iter().find(|(missed, _)| missed.word() == self.missed);
        Ok(PutBody {
            cron: self.cron.clone(),
            zone: Some(self.zone.clone()).filter(|zone| !zone.is_empty()),
            missed: missed.map(|(missed, _)| missed).unwrap_or_default(),
            urgent: self.is_urgent,
            target: self.target.clone(),
            body,
        })
    }
}

/// `GET /console/schedules`.
async fn list(visitor: Visitor, room: Room, Given(mut given): Given) -> Result<Response, Problem> {
    let after = given.take("after")?;
    given.finish(&["after"])?;
    let found = schedules_of(&visitor.app, &room, visitor.tenant(), after, PAGE_SCHEDULES_DEFAULT).await?;
    let next = found.next.as_deref().map(|next| address(Place::Schedules.path(), &[("after", next)]));
    let headings = ["Name", "Gives", "When", "Next", "Missed moments"];
    Ok(Page::new(&visitor, Some(Place::Schedules), "Schedules").respond(html! {
        p class="lead" { "Commands that are given again and again, for this tenant." }
        (live("schedules", html! {
            @if found.schedules.is_empty() {
                (empty("There are no schedules.", html! { "Put the first one below." }))
            } @else {
                (table("Schedules", &headings, html! {
                    @for schedule in &found.schedules { (row(&visitor, schedule)) }
                }))
            }
            (next_page(next))
        }))
        section aria-labelledby="put" {
            h2 id="put" { "Put a schedule" }
            p { "One of the same name is replaced. You need the roles that its command asks for." }
            (editor(&visitor, &Typed::default(), None))
        }
    }))
}

fn row(visitor: &Visitor, schedule: &ScheduleBody) -> Markup {
    let definition = schedule.definition.as_ref();
    html! {
        tr {
            th scope="row" { a href=(schedule_path(&schedule.name)) { (schedule.name) } }
            td { @if let Some(definition) = definition { code { (definition.target) } } @else { "–" } }
            td {
                @if let Some(definition) = definition {
                    code { (definition.cron) } " " small class="quiet" { (definition.zone) }
                }
            }
            td { (next_due(visitor, schedule)) }
            td { @if let Some(definition) = definition { (about(definition.missed)) } }
        }
    }
}

fn next_due(visitor: &Visitor, schedule: &ScheduleBody) -> Markup {
    html! {
        @if let Some(problem) = &schedule.problem {
            (status(Tone::Bad, "cannot be given")) ": " (sentence(problem))
        } @else if let Some(at) = schedule.next_due_at {
            (moment(at, visitor.now()))
        } @else {
            (status(Tone::Plain, "never again"))
        }
    }
}

/// The moments after the next one.
fn moments_after_next(schedule: &ScheduleBody) -> Vec<Timestamp> {
    let definition = Typed::of(schedule).put().and_then(PutBody::definition).ok();
    let later = definition.zip(schedule.next_due_at);
    let later = later.and_then(|(definition, next)| definition.moments_after(next, MOMENTS_SHOWN).ok());
    later.unwrap_or_default()
}

fn about(missed: Missed) -> &'static str {
    MISSED.into_iter().find(|(known, _)| *known == missed).map_or("", |(_, about)| about)
}

/// The form of a schedule, with why it was not taken where it was not.
fn editor(visitor: &Visitor, typed: &Typed, wrong: Option<&str>) -> Markup {
    form(
        visitor,
        Place::Schedules.path(),
        html! {
            @if let Some(wrong) = wrong { p class="wrong" role="alert" { (sentence(wrong)) } }
            div class="sheet fields" {
                div class="field" {
                    label for="name" { "Name" }
                    input id="name" name="name" required value=(typed.name) autocomplete="off";
                }
                div class="field" {
                    label for="cron" { "When" }
                    input id="cron" name="cron" required value=(typed.cron) autocomplete="off" spellcheck="false"
                        aria-describedby="cron-hint";
                    small class="hint" id="cron-hint" {
                        "Five or six fields: " code { "0 3 * * *" } " is each day at three."
                    }
                }
                div class="field" {
                    label for="zone" { "Time zone " small { "may be empty: UTC" } }
                    input id="zone" name="zone" value=(typed.zone) autocomplete="off" spellcheck="false"
                        placeholder="Europe/Berlin";
                }
                div class="field" {
                    label for="for" { "Command" }
                    input id="for" name="for" required value=(typed.target) autocomplete="off" spellcheck="false"
                        list="targets" aria-describedby="for-hint";
                    small class="hint" id="for-hint" {
                        code { "category/id/command" } ", or " code { (OPERATIONS) "/name" } "."
                    }
                    (targets(visitor))
                }
                div class="field" {
                    label for="missed" { "Moments that were missed" }
                    select id="missed" name="missed" {
                        @for (missed, about) in MISSED {
                            option value=(missed.word()) selected[typed.missed == missed.word()] { (about) }
                        }
                    }
                }
                div class="field check" {
                    input id="urgent" name="urgent" type="checkbox" value="yes" checked[typed.is_urgent];
                    label for="urgent" { "It goes before other work" }
                }
                div class="field wide" {
                    label for="body" { "Body of the command " small { "may be empty: {}" } }
                    textarea id="body" name="body" rows="5" spellcheck="false" { (typed.body) }
                }
                div class="buttons" { button type="submit" { "Put it" } }
            }
        },
    )
}

/// What a schedule may give, as proposals.
fn targets(visitor: &Visitor) -> Markup {
    let registry = visitor.app.engine().registry();
    html! {
        datalist id="targets" {
            @for aggregate in registry.aggregates() {
                @for command in &aggregate.commands {
                    option value={ (aggregate.category) "/1/" (command.name) } {}
                }
            }
            @for operation in registry.operations() { option value={ (OPERATIONS) "/" (operation.name) } {} }
        }
    }
}

/// `POST /console/schedules`: puts one. What was typed stays where it is not taken.
async fn put(visitor: Visitor, Posted(fields): Posted) -> Result<Response, Problem> {
    let typed = Typed::take(fields)?;
    let put = match typed.put() {
        Ok(body) => put_for(&visitor.app, visitor.principal.clone(), &typed.name, body).await,
        Err(problem) => Err(problem),
    };
    match put {
        Ok(_) => {
            let done = [("done", "schedule-put")];
            Ok(Redirect::to(&address(Place::Schedules.path(), &done)).into_response())
        }
        Err(problem) => {
            let page = Page::new(&visitor, Some(Place::Schedules), "Put a schedule");
            let page = page.below(Place::Schedules.path(), "Schedules");
            let mut response = page.respond(editor(&visitor, &typed, Some(problem.detail())));
            *response.status_mut() = problem.status();
            Ok(response)
        }
    }
}

/// `GET /console/schedules/{name}`.
async fn show(
    visitor: Visitor,
    room: Room,
    Segments(name): Segments<String>,
    Given(given): Given,
) -> Result<Response, Problem> {
    given.finish(&[])?;
    let schedule = schedule_of(&visitor.app, &room, visitor.tenant(), &name).await?;
    let page = Page::new(&visitor, Some(Place::Schedules), schedule.name.clone());
    Ok(page.below(Place::Schedules.path(), "Schedules").respond(html! {
        p { "Next: " (next_due(&visitor, &schedule)) }
        @let later = moments_after_next(&schedule);
        @if !later.is_empty() {
            p class="quiet" { "Then: " @for at in later { (moment(at, visitor.now())) " · " } "and so on." }
        }
        (editor(&visitor, &Typed::of(&schedule), None))
        p { a href={ (schedule_path(&schedule.name)) "/remove" } { "Remove this schedule…" } }
    }))
}

/// `GET /console/schedules/{name}/remove`: asks again.
async fn confirm(
    visitor: Visitor,
    room: Room,
    Segments(name): Segments<String>,
    Given(given): Given,
) -> Result<Response, Problem> {
    given.finish(&[])?;
    let schedule = schedule_of(&visitor.app, &room, visitor.tenant(), &name).await?;
    let path = schedule_path(&schedule.name);
    let page = Page::new(&visitor, Some(Place::Schedules), format!("Remove {}?", schedule.name));
    let page = page.below(Place::Schedules.path(), "Schedules").below(path.clone(), schedule.name.clone());
    Ok(page.respond(html! {
        p { "It gives its command no more. What it has given already runs all the same." }
        div class="buttons" {
            (button(&visitor, &format!("{path}/remove"), "danger", "Remove it"))
            a href=(path) { "Leave it" }
        }
    }))
}

/// `POST /console/schedules/{name}/remove`.
async fn remove(visitor: Visitor, Segments(name): Segments<String>, _: Posted) -> Result<Response, Problem> {
    remove_of(&visitor.app, visitor.tenant(), name).await?;
    Ok(Redirect::to(&address(Place::Schedules.path(), &[("done", "schedule-removed")])).into_response())
}
