//! `/`: how the service is, what needs attention first.

use axum::response::Response;
use maud::{Markup, html};
use underlay_core::{LogFilter, LogScope, Position};
use underlay_runtime::{QueueStanding, SchedulerState, ViewStanding};

use crate::admin::{FollowerBody, QueuesBody, queues_of_caller};
use crate::console::layout::{Page, Place};
use crate::console::pages::processes::process_path;
use crate::console::pages::views::{link_to_view, view_table};
use crate::console::show::{
    self, Tone, address, duration, empty, follower_status, live, moment, number, rate, sentence, status,
    table,
};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, ROOT, reads};
use crate::door::roles::Use;
use crate::edge::health::{Health, ReadyBody, readiness};
use crate::edge::stopping::Stopping;
use crate::metrics::{Follows, Pace};
use crate::problem::Problem;
use crate::views::{self, ViewBody};

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![reads(ROOT, Use::Anything, overview)]
}

/// What the page shows. What cannot be read is none, and all else is shown.
struct Known {
    health: Result<ReadyBody, Problem>,
    views: Option<Vec<ViewBody>>,
    /// Where views stand over all tenants, for whom that is.
    standings: Vec<ViewStanding>,
    work: Option<QueuesBody>,
    pace: Pace,
    /// Whether nothing has happened in the tenant.
    is_new: bool,
}

/// `GET /`.
async fn overview(visitor: Visitor, stopping: Stopping, Given(given): Given) -> Result<Response, Problem> {
    given.finish(&[])?;
    let known = Box::pin(look(&visitor, &stopping)).await;
    let service = visitor.app.config().service.clone();
    let about = visitor.app.config().about.clone();
    Ok(Page::new(&visitor, Some(Place::Overview), service).respond(html! {
        p class="lead" { (about.as_deref().unwrap_or("An event-sourced service.")) }
        (live("needs", needs(&visitor, &known)))
        @if known.is_new { (first_steps()) }
        (live("health", health(&known)))
        (live("views", view_section(&known)))
        @if let Some(work) = &known.work { (live("work", work_section(work, &known.pace))) }
    }))
}

async fn look(visitor: &Visitor, stopping: &Stopping) -> Known {
    let (app, engine) = (&visitor.app, visitor.app.engine());
    let work = async {
        if !visitor.may(Use::Work) {
            return None;
        }
        queues_of_caller(app, visitor.tenant()).await.inspect_err(|error| told("the work", error)).ok()
    };
    let scope = LogScope::Tenant(visitor.tenant().clone());
    let everything = LogFilter::default();
    let first = engine.store().read_all(&scope, Position::START, &everything, 1);
    let standings = async {
        if !visitor.may(Use::Views) {
            return Vec::new();
        }
        let standings = engine.view_standings().await.inspect_err(|error| told("the views", error));
        standings.map(|standings| standings.views).unwrap_or_default()
    };
    let (first, health, views, standings, work) = tokio::join!(
        first,
        readiness(app, stopping),
        views::all(app, &visitor.principal.actor),
        standings,
        work
    );
    let is_new = first.is_ok_and(|page| page.events.is_empty() && page.at_head);
    let views = views.inspect_err(|error| told("the views", error)).ok();
    // What was looked at has left a reading.
    let pace = app.metrics().paces.told(visitor.now());
    Known { health, views, standings, work, pace, is_new }
}

fn told(what: &str, error: &underlay_core::Error) {
    tracing::error!(error = error as &dyn std::error::Error, "{what} cannot be looked at");
}

/// What needs attention, with where to go.
fn needs(visitor: &Visitor, known: &Known) -> Markup {
    let mut needs: Vec<Markup> = Vec::new();
    match &known.health {
        Err(problem) => needs.push(html! { (sentence(problem.detail())) }),
        Ok(ready) => {
            for (part, trouble) in &ready.troubles {
                needs.push(html! { strong { (part) } ": " (sentence(trouble)) });
            }
        }
    }
    for view in known.views.iter().flatten().filter(|view| view.status.is_stopped()) {
        let why = known.standings.iter().find(|standing| standing.view == view.name);
        needs.push(html! {
            "The view " (link_to_view(&view.name)) " has stopped."
            @if let Some(why) = why.and_then(|standing| standing.problem.as_deref()) { " " (sentence(why)) }
        });
    }
    if let Some(work) = &known.work {
        let followers = [("process", &work.processes), ("pump", &work.pumps)];
        for (kind, one) in followers.iter().flat_map(|(kind, all)| all.iter().map(move |one| (kind, one))) {
            if one.status.is_stopped() {
                needs.push(html! {
                    "The " (kind) " " a href=(Place::Processes.path()) { (one.name) } " has stopped"
                    @if let Some(since) = one.stopped_since { " since " (moment(since, visitor.now())) }
                    "."
                });
            }
        }
        for subscriber in work.subscribers.iter().filter(|subscriber| subscriber.is_stopped) {
            needs.push(html! { "The subscriber " strong { (subscriber.name) } " has stopped." });
        }
        let dead: u64 = work.queues.iter().map(|queue| queue.depth.dead).sum();
        if dead > 0 {
            needs.push(html! {
                a href=(Place::DeadLetters.path()) {
                    (number(dead)) @if dead == 1 { " dead letter" } @else { " dead letters" }
                }
                " to be replayed or discarded."
            });
        }
    }
    html! {
        section aria-labelledby="needs-heading" {
            h2 id="needs-heading" { "Needs attention" }
            @if needs.is_empty() {
                @let all = if visitor.may(Use::Work) { "Nothing." } else { "Nothing that you may see." };
                p class="calm" { (status(Tone::Good, all)) }
            } @else {
                ul class="sheet needs" { @for need in needs { li { (need) } } }
            }
        }
    }
}

fn health(known: &Known) -> Markup {
    let word = |health: Health| match health {
        Health::Ready => status(Tone::Good, "ready"),
        Health::Degraded => status(Tone::Bad, "degraded"),
    };
    html! {
        section aria-labelledby="health-heading" {
            h2 id="health-heading" { "Health" }
            @match &known.health {
                Err(problem) => dl class="sheet facts" {
                    div { dt { "service" } dd { (status(Tone::Bad, problem.title().to_lowercase())) } }
                },
                Ok(ready) => dl class="sheet facts" {
                    div { dt { "service" } dd { (word(ready.status)) } }
                    @for (part, health) in &ready.parts { div { dt { (part) } dd { (word(*health)) } } }
                    @if let Some(position) = ready.position {
                        div { dt { "log" } dd { "at " (position) } }
                        div { dt { "events" } dd { (rate(known.pace.events)) } }
                        div { dt { "commands here" } dd { (rate(known.pace.commands)) } }
                    }
                    @if let Some(shards) = ready.shards_held { div { dt { "shards here" } dd { (shards) } } }
                    @if let Some(waits_for) = &ready.waits_for {
                        div { dt { "waits for" } dd { (waits_for) } }
                    }
                    @if let Some(scheduler) = &ready.scheduler { (scheduler_facts(scheduler)) }
                },
            }
        }
    }
}

/// What drives the work, where the service does not by itself.
fn scheduler_facts(scheduler: &SchedulerState) -> Markup {
    html! {
        div { dt { "work on" } dd { (scheduler.identity) } }
        @if let Some(error) = scheduler.error.as_deref().or(scheduler.serving_error.as_deref()) {
            div.wide { dt { "work waits" } dd { (error) } }
        }
    }
}

fn view_section(known: &Known) -> Markup {
    html! {
        section aria-labelledby="views-heading" {
            h2 id="views-heading" { "Views" }
            @match known.views.as_deref() {
                None => p class="wrong" { "The store cannot be read; the log of the service says why." },
                Some([]) => p class="quiet" { "There is no view that you may read." },
                Some(views) => (view_table(views, &known.standings, &known.pace)),
            }
        }
    }
}

/// What follows commits, for operators; nothing where the service has nothing of the kind.
fn work_section(work: &QueuesBody, pace: &Pace) -> Markup {
    html! {
        @if !work.queues.is_empty() {
            section aria-labelledby="queues-heading" {
                h2 id="queues-heading" { "Queues" }
                (table("Queues", &["Receiver", "Kind", "#Ready", "#Later", "#Dead", "#Oldest"], html! {
                    @for queue in &work.queues { (queue_row(queue)) }
                }))
            }
        }
        (follower_section("Processes", Follows::Process, &work.processes, pace))
        (follower_section("Pumps", Follows::Pump, &work.pumps, pace))
    }
}

fn queue_row(queue: &QueueStanding) -> Markup {
    let depth = &queue.depth;
    let [ready, later, dead] = depth.counts();
    html! {
        tr {
            th scope="row" {
                a href=(of_receiver(Place::Outbox, &depth.receiver)) { (depth.receiver) }
                @if !queue.is_received { " " small class="quiet" { "nobody here receives it" } }
            }
            td { (depth.kind.name()) }
            td class="number" { (ready) }
            td class="number" { (later) }
            td class="number" {
                @if depth.dead == 0 { (dead) } @else {
                    a href=(of_receiver(Place::DeadLetters, &depth.receiver)) { (status(Tone::Bad, dead)) }
                }
            }
            td class="number" { @if depth.oldest_sent_at.is_some() { (duration(queue.lag)) } @else { "–" } }
        }
    }
}

/// The list of a place, of one receiver.
fn of_receiver(place: Place, receiver: &str) -> String {
    address(place.path(), &[("receiver", receiver)])
}

/// Processes, or pumps; nothing where there are none.
fn follower_section(label: &str, follows: Follows, followers: &[FollowerBody], pace: &Pace) -> Markup {
    let id = format!("{}-heading", label.to_lowercase());
    let tells = followers.iter().any(|follower| follower.position.is_some());
    let headings: &[&str] =
        if tells { &["Name", "Status", "#Position", "#Behind", "#Pace"] } else { &["Name", "Status"] };
    html! {
        @if !followers.is_empty() {
            section aria-labelledby=(id) {
                h2 id=(id) { (label) }
                (table(label, headings, html! { @for follower in followers { (follower_row(follows, follower, pace)) } }))
            }
        }
    }
}

fn follower_row(follows: Follows, follower: &FollowerBody, pace: &Pace) -> Markup {
    html! {
        tr {
            th scope="row" {
                @if follows == Follows::Process { a href=(process_path(&follower.name)) { (follower.name) } }
                @else { (follower.name) }
            }
            td { (follower_status(follower.status)) }
            @if let (Some(position), Some(behind)) = (follower.position, follower.behind) {
                td class="number" { (position) }
                td class="number" { (number(behind)) }
                td class="number" { (show::pace(pace, follows, &follower.name, behind, follower.status)) }
            }
        }
    }
}

fn first_steps() -> Markup {
    empty(
        "Nothing has happened yet.",
        html! {
            a href=(Place::Start.path()) { "First steps" } " has a request to copy for everything that you may do, and "
            a href="/docs" { "the API" } " lists what there is."
        },
    )
}
