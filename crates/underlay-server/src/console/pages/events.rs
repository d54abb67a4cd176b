//! `/console/events`: what has happened, the newest first, and what happens.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use underlay_core::{Direction, Metadata, Position, RecordedEvent, Timestamp};
use underlay_runtime::EventQuery;

use crate::app::App;
use crate::budget::Room;
use crate::console::layout::{Page, Place};
use crate::console::show::{address, moment, next_page, part, table};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads};
use crate::door::credentials::Caller;
use crate::door::roles::Use;
use crate::edge::stopping::Stopping;
use crate::events::{FILTERS, FoundEvents, find, take_filter};
use crate::feed;
use crate::parameters::Parameters;
use crate::problem::Problem;

/// Events on one page.
pub(super) const EVENTS_SHOWN: usize = 50;
/// Letters of a payload in a row.
const EXCERPT_LETTERS: usize = 100;

/// The feed of the first page.
pub(in crate::console) const LIVE: &str = "/console/events/live";

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![
        reads(Place::Events.path(), Use::Log, list),
        reads(LIVE, Use::Log, follow),
        reads("/console/events/{position}", Use::Log, super::event::show),
    ]
}

/// Takes what a page looks for: as the API does, but the newest come first where there is no correlation id, and a
/// moment may be written as a field of a browser has it.
pub(super) fn take_query(given: &mut Parameters) -> Result<EventQuery, Problem> {
    let filter = take_filter(given)?;
    let order = match given.take("order")?.as_deref() {
        Some("ascending") => Direction::Ascending,
        Some("descending") => Direction::Descending,
        // What followed from a request is read as it went.
        None if filter.correlation_id.is_some() => Direction::Ascending,
        None => Direction::Descending,
        Some(other) => {
            return Err(Problem::invalid(format!("order is ascending or descending; it is {other:?}")));
        }
    };
    Ok(EventQuery {
        filter,
        from: take_moment(given, "from")?,
        until: take_moment(given, "until")?,
        order,
        after: given.take_parsed("after")?,
    })
}

/// What [`take_query`] takes.
pub(super) fn known() -> Vec<&'static str> {
    FILTERS.iter().chain(&["from", "until", "order", "after"]).copied().collect()
}

/// A moment, with its offset; without one, as a field of a browser has it, in UTC.
pub(super) fn take_moment(given: &mut Parameters, name: &str) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = given.take(name)? else { return Ok(None) };
    match (text.parse::<Timestamp>(), format!("{text}Z").parse()) {
        (Ok(moment), _) | (_, Ok(moment)) => Ok(Some(moment)),
        (Err(error), _) => Err(Problem::invalid(format!("{name}={text} does not fit: {error}"))),
    }
}

/// A moment as a field of a browser has it.
pub(super) fn field_moment(moment: Timestamp) -> String {
    let told = moment.to_string();
    told.get(..19).map_or(told.clone(), ToOwned::to_owned)
}

/// A query as the parameters of an address, without its order and place.
pub(super) fn pairs(query: &EventQuery) -> Vec<(&'static str, String)> {
    let filter = &query.filter;
    let mut pairs: Vec<(&'static str, String)> = Vec::new();
    pairs.extend(filter.log.event_types.iter().map(|name| ("type", name.to_string())));
    pairs.extend(filter.log.categories.iter().map(|name| ("category", name.to_string())));
    pairs.extend(filter.stream.iter().map(|name| ("stream", name.to_string())));
    pairs.extend(filter.actor.iter().map(|name| ("actor", name.clone())));
    pairs.extend(filter.correlation_id.iter().map(|id| ("correlation_id", id.to_string())));
    pairs.extend(filter.command_id.iter().map(|id| ("command_id", id.to_string())));
    pairs.extend(query.from.iter().map(|moment| ("from", moment.to_string())));
    pairs.extend(query.until.iter().map(|moment| ("until", moment.to_string())));
    pairs
}

/// The address of a page with such parameters.
pub(super) fn address_of(path: &str, pairs: &[(&'static str, String)]) -> String {
    address(path, &pairs.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
}

/// Where the page after another goes on; none where that was the last.
pub(super) fn next_address(path: &str, query: &EventQuery, found: &FoundEvents) -> Option<String> {
    let mut pairs = pairs(query);
    let order = if query.order == Direction::Ascending { "ascending" } else { "descending" };
    pairs.extend([("order", order.to_owned()), ("after", found.next.to_string())]);
    (!found.at_end).then(|| address_of(path, &pairs))
}

/// `GET /console/events`.
async fn list(visitor: Visitor, room: Room, Given(mut given): Given) -> Result<Response, Problem> {
    let query = take_query(&mut given)?;
    given.finish(&known())?;
    // Looked at first: what happens after it comes by the feed, or by both, and is shown once.
    let head = visitor.app.engine().store().head().await?;
    let found = find(&visitor.app, room, visitor.tenant(), query.clone(), EVENTS_SHOWN).await?;
    let is_live = query.order == Direction::Descending && query.after.is_none() && query.until.is_none();
    let feed = is_live.then(|| feed_address(&query, head));
    let path = Place::Events.path();
    Ok(Page::new(&visitor, Some(Place::Events), "Events").respond(html! {
        (filters(&visitor, &query))
        @if feed.is_some() { p id="live-state" class="quiet" role="status" {} }
        div id="events" data-feed=[feed] {
            (event_table("Events", &found.events, &visitor))
        }
        @if found.events.is_empty() { (nothing(&found, &query)) }
        (next_page(next_address(path, &query, &found)))
    }))
}

/// The feed that goes on where a page was read.
fn feed_address(query: &EventQuery, head: Position) -> String {
    let mut pairs = pairs(&EventQuery { from: None, ..query.clone() });
    pairs.push(("after", head.to_string()));
    address_of(LIVE, &pairs)
}

/// That a page is empty, and why.
pub(super) fn nothing(found: &FoundEvents, query: &EventQuery) -> Markup {
    let is_narrowed = !query.filter.is_open() || query.from.is_some() || query.until.is_some();
    html! {
        div class="sheet empty" id="nothing" {
            @if !found.at_end {
                p { strong { "Nothing was found yet." } }
                p { "One page looks at a bounded number of events. The next page looks further; a narrower time is found sooner." }
            } @else if is_narrowed {
                p { strong { "Nothing was found." } }
                p { a href=(Place::Events.path()) { "Show all events" } }
            } @else {
                p { strong { "Nothing has happened yet." } }
                p { "Events stand here as soon as a command is given. " a href=(Place::Start.path()) { "First steps" } }
            }
        }
    }
}

/// Events in rows.
pub(super) fn event_table(label: &str, events: &[RecordedEvent], visitor: &Visitor) -> Markup {
    let now = visitor.now();
    table(
        label,
        &["#Position", "Type", "Stream", "#Version", "Recorded", "Actor", "Payload"],
        html! {
            @for event in events { (event_row(event, now, true)) }
        },
    )
}

/// Events of one stream in rows.
pub(super) fn stream_table(events: &[RecordedEvent], visitor: &Visitor) -> Markup {
    let now = visitor.now();
    table(
        "Events of the stream",
        &["#Position", "Type", "#Version", "Recorded", "Actor", "Payload"],
        html! {
            @for event in events { (event_row(event, now, false)) }
        },
    )
}

/// Where an event is shown.
pub(super) fn event_path(position: Position) -> String {
    format!("{}/{position}", Place::Events.path())
}

/// Where a stream is shown, at one of its versions.
pub(super) fn stream_path(stream: &str, version: u64) -> String {
    format!("{}/{}?version={version}", Place::Streams.path(), part(stream))
}

fn event_row(event: &RecordedEvent, now: Timestamp, names_stream: bool) -> Markup {
    let at_version = stream_path(event.stream.as_str(), event.version.0);
    let metadata: Metadata = event.metadata.decode().unwrap_or_default();
    html! {
        tr data-position=(event.position) {
            th scope="row" class="number" { a href=(event_path(event.position)) { (event.position) } }
            td class="line" { (event.event_type) }
            @if names_stream {
                td class="line" { a href=(at_version) { (event.stream) } }
                td class="number" { (event.version) }
            } @else {
                td class="number" { a href=(at_version) { (event.version) } }
            }
            td class="line" { (moment(event.recorded_at, now)) }
            td { (metadata.actor.as_deref().unwrap_or("–")) }
            td { code class="excerpt" { (excerpt(event)) } }
        }
    }
}

/// The beginning of a payload.
fn excerpt(event: &RecordedEvent) -> String {
    let text = event.payload.text().as_str();
    let mut shown: String = text.chars().take(EXCERPT_LETTERS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// The form that narrows a list.
fn filters(visitor: &Visitor, query: &EventQuery) -> Markup {
    let filter = &query.filter;
    let text = |value: Option<String>| value.unwrap_or_default();
    let category = filter.log.categories.first().map(ToString::to_string);
    let is_narrowed = !filter.is_open() || query.from.is_some() || query.until.is_some();
    html! {
        details open[is_narrowed] {
            summary { "Filter" }
            form method="get" action=(Place::Events.path()) class="sheet fields" {
                div class="field" {
                    label for="category" { "Category" }
                    select id="category" name="category" { (categories(visitor, category.as_deref())) }
                }
                (field("type", "Type", &text(filter.log.event_types.first().map(ToString::to_string)), "text"))
                (field("stream", "Stream", &text(filter.stream.as_ref().map(ToString::to_string)), "text"))
                (field("actor", "Actor", &text(filter.actor.clone()), "text"))
                (field("correlation_id", "Correlation id", &text(filter.correlation_id.map(|id| id.to_string())), "text"))
                (field("command_id", "Command id", &text(filter.command_id.map(|id| id.to_string())), "text"))
                (field("from", "From, in UTC", &text(query.from.map(field_moment)), "datetime-local"))
                (field("until", "Until, in UTC", &text(query.until.map(field_moment)), "datetime-local"))
                div class="field" {
                    label for="order" { "Order" }
                    select id="order" name="order" {
                        option value="descending" selected[query.order == Direction::Descending] { "The newest first" }
                        option value="ascending" selected[query.order == Direction::Ascending] { "The oldest first" }
                    }
                }
                div class="buttons" {
                    button type="submit" { "Filter" }
                    @if is_narrowed { a href=(Place::Events.path()) { "Show all" } }
                }
            }
        }
    }
}

/// A field of a form that narrows a list.
pub(super) fn field(name: &str, label: &str, value: &str, kind: &str) -> Markup {
    let step = (kind == "datetime-local").then_some("1");
    html! {
        div class="field" {
            label for=(name) { (label) }
            input type=(kind) id=(name) name=(name) value=(value) step=[step] autocomplete="off" spellcheck="false";
        }
    }
}

/// The categories that the service knows, and the one that is chosen.
pub(super) fn categories(visitor: &Visitor, chosen: Option<&str>) -> Markup {
    let mut names: Vec<&str> =
        visitor.app.engine().registry().aggregates().iter().map(|aggregate| aggregate.category).collect();
    if let Some(chosen) = chosen.filter(|chosen| !names.contains(chosen)) {
        names.push(chosen);
    }
    names.sort_unstable();
    html! {
        option value="" { "All" }
        @for name in names { option value=(name) selected[chosen == Some(name)] { (name) } }
    }
}

/// `GET /console/events/live`: the feed of the API, for whoever is signed in here.
async fn follow(
    State(app): State<App>,
    Caller(principal): Caller,
    stopping: Stopping,
    headers: HeaderMap,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    if !feed::is_asked_for(&headers) {
        // Somebody has opened it as a page.
        parameters.take_all("after");
        let query = parameters.into_rest();
        let query: Vec<(&str, &str)> =
            query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        return Ok(Redirect::to(&crate::console::show::address(Place::Events.path(), &query)).into_response());
    }
    feed::follow_events(app, principal, &headers, stopping, parameters).await
}
