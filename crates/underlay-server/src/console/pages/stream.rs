//! `/console/streams/{stream}`: one stream, its state at any version, and what changed.

use axum::response::Response;
use maud::{Markup, html};
use underlay_core::{Direction, Error, RecordedEvent, StreamName, Timestamp, Version};
use underlay_runtime::{AsOf, EventFilter, EventQuery, PastState};

use super::events::{EVENTS_SHOWN, event_path, field_moment, stream_table, take_moment};
use crate::budget::Room;
use crate::console::changes::{CHANGES_MAX, changes};
use crate::console::layout::{Page, Place};
use crate::console::show::{address, json, moment, next_page, number, part, sentence, table};
use crate::console::visitor::{Given, Visitor};
use crate::events::find;
use crate::path::Segments;
use crate::problem::Problem;

/// What is shown of a stream.
struct Asked {
    stream: StreamName,
    /// The version that was asked for; the last where none was.
    version: Option<u64>,
    /// The moment, in place of a version.
    at: Option<Timestamp>,
    /// The version it is compared with.
    compare: Option<u64>,
    /// Where the list of events goes on.
    after: Option<underlay_core::Position>,
}

/// A stream as it was, and what is beside it.
struct Shown {
    last: u64,
    version: u64,
    state: Result<PastState, String>,
    event: Option<RecordedEvent>,
    compare: u64,
    /// The state it is compared with; none before the first event.
    before: Result<Option<PastState>, String>,
}

/// `GET /console/streams/{stream}`.
pub(super) async fn show(
    visitor: Visitor,
    room: Room,
    Segments(stream): Segments<String>,
    Given(mut given): Given,
) -> Result<Response, Problem> {
    let asked = Asked {
        stream: StreamName::parse(&stream)?,
        version: given.take_parsed("version")?,
        at: take_moment(&mut given, "at")?,
        compare: given.take_parsed("compare")?,
        after: given.take_parsed("after")?,
    };
    given.finish(&["version", "at", "compare", "after"])?;
    if asked.version.is_some() && asked.at.is_some() {
        return Err(Problem::invalid("version and at both say which state; only one of them can be said"));
    }
    let shown = look(&visitor, &room, &asked).await?;
    let query = EventQuery {
        filter: EventFilter { stream: Some(asked.stream.clone()), ..EventFilter::default() },
        order: Direction::Descending,
        after: asked.after,
        ..EventQuery::default()
    };
    let found = find(&visitor.app, room, visitor.tenant(), query, EVENTS_SHOWN).await?;
    let name = asked.stream.as_str();
    let path = format!("{}/{}", Place::Streams.path(), part(name));
    let version = shown.version.to_string();
    let after = found.next.to_string();
    let next = (!found.at_end).then(|| address(&path, &[("version", &version), ("after", &after)]));
    let of_category = address(Place::Streams.path(), &[("category", asked.stream.category())]);
    let page = Page::new(&visitor, Some(Place::Streams), name)
        .below(Place::Streams.path(), "Streams")
        .below(of_category, asked.stream.category());
    Ok(page.respond(html! {
        (slider(&path, &asked, &shown))
        div id="at-version" data-slide { (at_version(&visitor, &path, &shown)) }
        section aria-labelledby="events-heading" {
            h2 id="events-heading" { "Events, the newest first" }
            (stream_table(&found.events, &visitor))
            (next_page(next))
        }
    }))
}

async fn look(visitor: &Visitor, room: &Room, asked: &Asked) -> Result<Shown, Problem> {
    let (engine, tenant, stream) = (visitor.app.engine(), visitor.tenant(), &asked.stream);
    let versions = engine.store().versions(tenant, std::slice::from_ref(stream)).await?;
    let last = versions.first().copied().unwrap_or(Version::NONE).0;
    if last == 0 {
        return Err(Error::NotFound(format!("stream {stream}")).into());
    }
    let as_of = match asked.at {
        Some(at) => AsOf::Moment(at),
        None => AsOf::Version(Version(asked.version.unwrap_or(last))),
    };
    let state = past(visitor, stream, as_of).await?;
    let version = match &state {
        Ok(past) => past.version.0,
        Err(_) => asked.version.unwrap_or(last).clamp(1, last),
    };
    let compare = asked.compare.unwrap_or(version - 1).min(last);
    let before = match compare {
        0 => Ok(None),
        compare => past(visitor, stream, AsOf::Version(Version(compare))).await?.map(Some),
    };
    let bytes = |past: Option<&PastState>| past.map_or(0, |past| past.state.bytes());
    let held = bytes(state.as_ref().ok()) + bytes(before.as_ref().ok().and_then(Option::as_ref));
    room.0.hold(held, false)?;
    let page = engine.store().read_stream(tenant, stream, Version(version - 1), 1).await?;
    Ok(Shown { last, version, state, event: page.events.into_iter().next(), compare, before })
}

/// A state as it was, or why it cannot be shown.
async fn past(
    visitor: &Visitor,
    stream: &StreamName,
    as_of: AsOf,
) -> Result<Result<PastState, String>, Problem> {
    match visitor.app.engine().past_state(visitor.tenant(), stream, as_of).await {
        Ok(past) => Ok(Ok(past)),
        Err(error) if error.is_retryable() => Err(error.into()),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// The way along the versions. With a script the page follows it as it moves.
fn slider(path: &str, asked: &Asked, shown: &Shown) -> Markup {
    let at = asked.at.map(field_moment).unwrap_or_default();
    html! {
        div class="beside" {
            form method="get" action=(path) class="sheet slider" data-slider="at-version" {
                label for="version" { "Version" }
                input type="range" id="version" name="version" min="1" max=(shown.last) step="1" value=(shown.version);
                span class="line" {
                    output for="version" { (shown.version) } span class="quiet" { " of " (number(shown.last)) }
                }
                button type="submit" class="second" { "Show" }
            }
            form method="get" action=(path) class="sheet inline" {
                label for="at" { "At a moment, in UTC" }
                input type="datetime-local" step="1" id="at" name="at" value=(at);
                button type="submit" class="second" { "Show" }
            }
        }
    }
}

fn at_version(visitor: &Visitor, path: &str, shown: &Shown) -> Markup {
    let to = |version: u64| address(path, &[("version", &version.to_string())]);
    html! {
        nav class="pages" aria-label="Versions" {
            @if shown.version > 1 { a href=(to(shown.version - 1)) rel="prev" { "Version " (shown.version - 1) } }
            strong { "Version " (shown.version) " of " (shown.last) }
            @if shown.version < shown.last { a href=(to(shown.version + 1)) rel="next" { "Version " (shown.version + 1) } }
        }
        @if let Some(event) = &shown.event {
            p {
                "It came by " a href=(event_path(event.position)) { (event.event_type) } ", "
                (moment(event.recorded_at, visitor.now())) "."
            }
        }
        (changed(path, shown))
        section aria-labelledby="state-heading" {
            h2 id="state-heading" { "State at version " (shown.version) }
            @match &shown.state {
                Ok(past) => (json(past.state.as_str())),
                Err(why) => p class="quiet" { "It cannot be shown. " (sentence(why)) },
            }
        }
    }
}

/// What is different from the version it is compared with.
fn changed(path: &str, shown: &Shown) -> Markup {
    let states = match (&shown.state, &shown.before) {
        (Ok(state), Ok(before)) => Some((before.as_ref(), state)),
        _ => None,
    };
    html! {
        @if let Some((before, state)) = states {
            @let list = changes(before.map_or("{}", |before| before.state.as_str()), state.state.as_str());
            section aria-labelledby="changed-heading" {
                h2 id="changed-heading" {
                    @if shown.compare == 0 { "What is there that was not before the first event" }
                    @else { "What changed since version " (shown.compare) }
                }
                @if list.is_empty() { p class="quiet" { "Nothing." } }
                @else {
                    (table("What changed", &["Member", "Before", "After"], html! {
                        @for change in &list {
                            tr {
                                th scope="row" { code { @if change.member.is_empty() { "the whole" } @else { (change.member) } } }
                                td { (value(change.old.as_deref())) }
                                td { (value(change.new.as_deref())) }
                            }
                        }
                    }))
                    @if list.len() >= CHANGES_MAX { p class="quiet" { "These are the first " (CHANGES_MAX) "; there may be more." } }
                }
                form method="get" action=(path) class="inline" {
                    input type="hidden" name="version" value=(shown.version);
                    label for="compare" { "Compare with version" }
                    input type="number" id="compare" name="compare" min="0" max=(shown.last) value=(shown.compare);
                    button type="submit" class="second" { "Compare" }
                }
            }
        }
    }
}

fn value(text: Option<&str>) -> Markup {
    html! { @match text { Some(text) => code { (text) }, None => span class="quiet" { "not there" } } }
}
