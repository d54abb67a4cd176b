//! `/console/events/{position}`: one event, with what it is a part of and where it comes from.

use axum::response::Response;
use maud::{Markup, html};
use underlay_core::{Direction, Error, LogFilter, LogScope, Metadata, Position, RecordedEvent};
use underlay_runtime::{EventFilter, EventQuery};

use super::audit::{chain_address, command_link};
use super::events::{event_table, pairs, stream_path};
use crate::budget::Room;
use crate::console::layout::{Page, Place};
use crate::console::show::{address, json, moment};
use crate::console::visitor::{Given, Visitor};
use crate::events::find;
use crate::page::event_bytes;
use crate::path::Segments;
use crate::problem::Problem;

/// Events of one command that are listed.
const BESIDE_SHOWN: usize = 20;

/// `GET /console/events/{position}`.
pub(super) async fn show(
    visitor: Visitor,
    room: Room,
    Segments(position): Segments<String>,
    Given(given): Given,
) -> Result<Response, Problem> {
    given.finish(&[])?;
    let position: Position =
        position.parse().map_err(|error| Problem::invalid(format!("{position} is no position: {error}")))?;
    let event = find_event(&visitor, position).await?;
    room.0.hold(event_bytes(&event), false)?;
    let metadata: Metadata = event.metadata.decode().unwrap_or_default();
    let beside = beside(&visitor, room, &event, &metadata).await?;
    let title = format!("{} at {position}", event.event_type);
    let page = Page::new(&visitor, Some(Place::Events), title).below(Place::Events.path(), "Events");
    Ok(page.respond(html! {
        (facts(&visitor, &event, &metadata))
        section aria-labelledby="payload" {
            h2 id="payload" { "What happened" }
            @if !event.payload.is_plain() {
                p { "The payload is in the encoding " code { (event.payload.encoding()) }
                    @if let Some(key) = event.payload.key_id() { ", with the key " code { (key) } } "." }
            }
            (json(event.payload.text().as_str()))
        }
        @if beside.len() > 1 {
            section aria-labelledby="beside" {
                h2 id="beside" { "Events of the same command" }
                (event_table("Events of the same command", &beside, &visitor))
            }
        }
        section aria-labelledby="metadata" {
            h2 id="metadata" { "Metadata" }
            (json(event.metadata.as_str()))
        }
    }))
}

/// The tenant's event at a position; that of another is not there.
async fn find_event(visitor: &Visitor, position: Position) -> Result<RecordedEvent, Problem> {
    let scope = LogScope::Tenant(visitor.tenant().clone());
    let before = Position::from_number(position.number().saturating_sub(1));
    let store = visitor.app.engine().store();
    let page = store.read_all(&scope, before, &LogFilter::default(), 1).await?;
    let found = page.events.into_iter().find(|event| event.position == position);
    found.ok_or_else(|| Error::NotFound(format!("an event at position {position}")).into())
}

/// The events of its command, near it: those of one commit stand together in the log.
async fn beside(
    visitor: &Visitor,
    room: Room,
    event: &RecordedEvent,
    metadata: &Metadata,
) -> Result<Vec<RecordedEvent>, Problem> {
    let Some(command_id) = metadata.command_id else { return Ok(Vec::new()) };
    let query = EventQuery {
        filter: EventFilter { command_id: Some(command_id), ..EventFilter::default() },
        from: Some(event.recorded_at),
        until: Some(event.recorded_at),
        order: Direction::Ascending,
        after: None,
    };
    Ok(find(&visitor.app, room, visitor.tenant(), query, BESIDE_SHOWN).await?.events)
}

fn facts(visitor: &Visitor, event: &RecordedEvent, metadata: &Metadata) -> Markup {
    let version = event.version.0;
    let stream = event.stream.as_str();
    let by_actor = |actor: &String| {
        let filter = EventFilter { actor: Some(actor.clone()), ..EventFilter::default() };
        let query = EventQuery { filter, ..EventQuery::default() };
        super::events::address_of(Place::Audit.path(), &pairs(&query))
    };
    html! {
        dl class="sheet facts" {
            div class="wide" {
                dt { "stream" }
                dd {
                    a href=(stream_path(stream, version)) { (stream) " at version " (version) }
                    @if version > 1 { " · " a href=(stream_path(stream, version - 1)) { "before it" } }
                }
            }
            div class="wide" { dt { "recorded" } dd { (moment(event.recorded_at, visitor.now())) } }
            div class="wide" { dt { "type" } dd {
                a href=(address(Place::Events.path(), &[("type", event.event_type.as_str())])) { (event.event_type) }
                " " small class="quiet" { "version " (event.schema_version) " of its shape" }
            } }
            @if let Some(actor) = &metadata.actor {
                div class="wide" { dt { "actor" } dd { a href=(by_actor(actor)) { (actor) } } }
            }
            div class="wide" { dt { "event id" } dd { code { (event.event_id) } } }
            @if let Some(command) = metadata.command_id {
                div class="wide" { dt { "command" } dd { (command_link(visitor, command)) } }
            }
            @if let Some(correlation) = metadata.correlation_id {
                div class="wide" {
                    dt { "correlation id" }
                    dd { a href=(chain_address(correlation)) { code { (correlation) } } " "
                        small class="quiet" { "all that followed from the same request" } }
                }
            }
            @if let Some(cause) = metadata.causation_id {
                div class="wide" { dt { "caused by" } dd { code { (cause) } } }
            }
            @if let Some(trace) = &metadata.traceparent {
                div class="wide" { dt { "trace context" } dd { code { (trace) } } }
            }
            @if let Some(state) = &metadata.tracestate {
                div class="wide" { dt { "trace state" } dd { code { (state) } } }
            }
        }
    }
}
