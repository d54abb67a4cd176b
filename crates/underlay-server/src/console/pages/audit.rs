//! `/console/audit`: who did what, and all that followed from one request, in order.

use std::time::Duration;

use axum::response::Response;
use maud::{Markup, html};
use underlay_core::{CommitId, Metadata, RecordedEvent, Timestamp};
use underlay_runtime::EventQuery;
use uuid::Uuid;

use super::audit_work::{WorkAsked, section, work_of};
use super::events::{
    EVENTS_SHOWN, event_path, field, field_moment, known, next_address, nothing, pairs, stream_path,
    take_query,
};
use crate::budget::Room;
use crate::console::layout::{Page, Place};
use crate::console::show::{address, moment, next_page, part, table};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads};
use crate::door::roles::Use;
use crate::events::find;
use crate::problem::Problem;

/// How long before the time in a correlation id its events are looked for: clocks differ.
const CLOCKS_APART: Duration = Duration::from_secs(60 * 60);

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![reads(Place::Audit.path(), Use::Log, show)]
}

/// Where all that followed from a request is shown.
pub(super) fn chain_address(correlation: Uuid) -> String {
    address(Place::Audit.path(), &[("correlation_id", &correlation.to_string())])
}

/// A command, with where it is shown.
pub(super) fn command_link(visitor: &Visitor, command: CommitId) -> Markup {
    let id = command.to_string();
    html! {
        @if visitor.may(Use::Commands) { a href={ (Place::Commands.path()) "/" (part(&id)) } { code { (id) } } }
        @else { code { (id) } }
    }
}

/// `GET /console/audit`.
async fn show(visitor: Visitor, room: Room, Given(mut given): Given) -> Result<Response, Problem> {
    let mut query = take_query(&mut given)?;
    let work_asked = WorkAsked::take(&mut given)?;
    let names: Vec<&str> = known().into_iter().chain(WorkAsked::NAMES).collect();
    given.finish(&names)?;
    let correlation = query.filter.correlation_id;
    let begun = correlation.filter(|_| query.from.is_none() && query.after.is_none()).and_then(drawn_at);
    query.from = query.from.or(begun);
    let work = work_of(&visitor, correlation, work_asked).await?;
    let found = find(&visitor.app, room, visitor.tenant(), query.clone(), EVENTS_SHOWN).await?;
    let path = Place::Audit.path();
    let title = if correlation.is_some() { "What followed from one request" } else { "Who did what" };
    Ok(Page::new(&visitor, Some(Place::Audit), title).respond(html! {
        (form(&query))
        @if let Some(begun) = begun { (begins_late(&query, begun)) }
        @if found.events.is_empty() { (nothing(&found, &query)) }
        @else { (act_table(&visitor, &found.events, correlation.is_some())) }
        (next_page(next_address(path, &query, &found)))
        @if let Some(work) = &work { (section(&visitor, &query, work)) }
    }))
}

/// When an id was drawn, with the time that clocks may be apart; none where it does not say.
fn drawn_at(id: Uuid) -> Option<Timestamp> {
    let (seconds, nanoseconds) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
    let drawn = Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()?;
    drawn.checked_sub(CLOCKS_APART).ok()
}

/// That what is shown begins where the id says, and how to see what is before it.
fn begins_late(query: &EventQuery, begun: Timestamp) -> Markup {
    let all = EventQuery { from: Some(Timestamp::UNIX_EPOCH), ..query.clone() };
    html! {
        p class="quiet" {
            "Looked through from " (field_moment(begun).replace('T', " ")) " UTC on, an hour before the time that the id tells. "
            a href=(super::events::address_of(Place::Audit.path(), &pairs(&all))) { "Look from the beginning" }
        }
    }
}

fn form(query: &EventQuery) -> Markup {
    let filter = &query.filter;
    let correlation = filter.correlation_id.map(|id| id.to_string()).unwrap_or_default();
    let command = filter.command_id.map(|id| id.to_string()).unwrap_or_default();
    let moment = |moment: Option<Timestamp>| moment.map(field_moment).unwrap_or_default();
    html! { details open[filter.correlation_id.is_none()] {
        summary { "Filter" }
        form method="get" action=(Place::Audit.path()) class="sheet fields" {
            (field("actor", "Actor", filter.actor.as_deref().unwrap_or_default(), "text"))
            (field("correlation_id", "Correlation id", &correlation, "text"))
            (field("command_id", "Command id", &command, "text"))
            (field("from", "From, in UTC", &moment(query.from), "datetime-local"))
            (field("until", "Until, in UTC", &moment(query.until), "datetime-local"))
            div class="buttons" {
                button type="submit" { "Look" }
                a href=(Place::Audit.path()) { "Show all" }
            }
        }
    } }
}

/// What was done by one commit.
struct Act<'a> {
    metadata: Metadata,
    events: Vec<&'a RecordedEvent>,
}

/// Events by their commits. In either order those of one commit stand together.
fn acts(events: &[RecordedEvent]) -> Vec<Act<'_>> {
    let mut acts: Vec<Act<'_>> = Vec::new();
    for event in events {
        match acts.last_mut() {
            Some(act) if act.events.first().is_some_and(|first| first.commit_end() == event.commit_end()) => {
                act.events.push(event);
            }
            _ => {
                acts.push(Act { metadata: event.metadata.decode().unwrap_or_default(), events: vec![event] })
            }
        }
    }
    acts.iter_mut().for_each(|act| act.events.sort_by_key(|event| event.position));
    acts
}

fn act_table(visitor: &Visitor, events: &[RecordedEvent], is_chain: bool) -> Markup {
    let acts = acts(events);
    let now = visitor.now();
    let headings = ["When", "Actor", "Command", "What happened", "Because of", "Request"];
    // In a chain all have the same one.
    let headings = if is_chain { &headings[..5] } else { &headings };
    table(
        "Who did what",
        headings,
        html! {
            @for act in &acts {
                tr id=[act.metadata.command_id.map(|id| format!("c-{id}"))] {
                    td class="line" { @if let Some(first) = act.events.first() { (moment(first.recorded_at, now)) } }
                    th scope="row" { (act.metadata.actor.as_deref().unwrap_or("–")) }
                    td { @match act.metadata.command_id { Some(id) => (command_link(visitor, id)), None => "–" } }
                    td { ul class="plain" { @for event in &act.events { (what_happened(event)) } } }
                    td { (cause(&act.metadata, &acts)) }
                    @if !is_chain {
                        td {
                            @match act.metadata.correlation_id {
                                Some(id) => a href=(chain_address(id)) { code { (id) } },
                                None => "–",
                            }
                        }
                    }
                }
            }
        },
    )
}

fn what_happened(event: &RecordedEvent) -> Markup {
    html! {
        li {
            a href=(event_path(event.position)) { (event.event_type) } " in "
            a href=(stream_path(event.stream.as_str(), event.version.0)) { (event.stream) }
        }
    }
}

/// What led to an act: an event or a command above it on the page, where it is there.
fn cause(metadata: &Metadata, acts: &[Act<'_>]) -> Markup {
    let Some(cause) = metadata.causation_id else { return html! { "the request" } };
    let command = acts.iter().find(|act| act.metadata.command_id.is_some_and(|id| id.0 == cause));
    let mut events = acts.iter().flat_map(|act| &act.events);
    let event = events.find(|event| event.event_id.0 == cause);
    html! {
        @match (event, command) {
            (Some(event), _) => a href=(event_path(event.position)) { (event.event_type) " in " (event.stream) },
            (None, Some(_)) => a href={ "#c-" (cause) } { "the command " code { (cause) } },
            (None, None) => code { (cause) },
        }
    }
}
