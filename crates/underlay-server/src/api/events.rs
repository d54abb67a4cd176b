use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LINK};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use underlay_core::limits::PAGE_SCAN_MAX;
use underlay_core::{
    Category, EventId, EventType, Json, LogFilter, LogScope, Payload, Position, RecordedEvent, StreamName,
    Timestamp, Version,
};

use crate::answer::Answer;
use crate::app::App;
use crate::budget::Room;
use crate::door::credentials::Caller;
use crate::edge::stopping::Stopping;
use crate::feed::{self, CloudEvent, Form};
use crate::page::{Gathering, PageOf, end_of_commit};
use crate::parameters::Parameters;
use crate::problem::Problem;

/// Events in a page where the request does not say.
pub(crate) const PAGE_EVENTS_DEFAULT: usize = 100;

/// An event as answers show it. Whose it is, the caller knows.
#[derive(Debug, Serialize)]
pub(crate) struct EventBody {
    stream: StreamName,
    version: Version,
    position: Position,
    #[serde(rename = "type")]
    event_type: EventType,
    schema_version: u32,
    event_id: EventId,
    #[serde(flatten)]
    payload: Payload,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Json>,
    recorded_at: Timestamp,
}

impl EventBody {
    /// As the answer to a command has it: the metadata came with the command.
    pub(crate) fn answered(event: RecordedEvent) -> Self {
        Self { metadata: None, ..Self::recorded(event) }
    }

    /// As it is read back.
    pub(crate) fn recorded(event: RecordedEvent) -> Self {
        Self {
            stream: event.stream,
            version: event.version,
            position: event.position,
            event_type: event.event_type,
            schema_version: event.schema_version.0,
            event_id: event.event_id,
            payload: event.payload,
            metadata: Some(event.metadata),
            recorded_at: event.recorded_at,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct EventsPage {
    events: Vec<EventBody>,
    /// What `after` is for the next page.
    next: Position,
    /// Whether this was the end of the log.
    at_head: bool,
}

/// Takes `type` and `category`.
pub(crate) fn take_filter(parameters: &mut Parameters) -> Result<LogFilter, Problem> {
    let event_types =
        parameters.take_all("type").into_iter().map(EventType::new).collect::<Result<_, _>>()?;
    let categories =
        parameters.take_all("category").into_iter().map(Category::new).collect::<Result<_, _>>()?;
    Ok(LogFilter { categories, event_types })
}

/// `GET /v1/events`: a page of everything that happened in the tenant, or a feed of what happens.
pub(crate) async fn read(
    State(app): State<App>,
    Caller(principal): Caller,
    room: Room,
    stopping: Stopping,
    address: Uri,
    headers: HeaderMap,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    if feed::is_asked_for(&headers) {
        return feed::follow_events(app, principal, &headers, stopping, parameters).await;
    }
    let after = parameters.take_parsed("after")?.unwrap_or(Position::START);
    let limit = parameters.take_limit(PAGE_EVENTS_DEFAULT, app.config().page_events_max)?;
    let filter = take_filter(&mut parameters)?;
    let form =
        if feed::is_batch_asked_for(&headers) { Form::CloudEvents } else { Form::take(&mut parameters)? };
    parameters.finish(&["after", "limit", "type", "category", "format"])?;
    let scope = LogScope::Tenant(principal.tenant);
    let mut page = Gathering::new(&app, room, limit);
    let (mut next, mut at_head) = (after, false);
    while let Some(part) = page.part() {
        let read = app.engine().store().read_all(&scope, next, &filter, part).await?;
        let is_last = read.at_head || read.events.len() < part;
        (next, at_head) = (read.scanned_to, read.at_head);
        if !page.take(read.events, PageOf::Log)? {
            next = page.events.last().map_or(next, end_of_commit);
            at_head = false;
            break;
        }
        // A filter that few events pass has looked at enough.
        if is_last || next.number() - after.number() >= PAGE_SCAN_MAX {
            break;
        }
    }
    if form == Form::CloudEvents {
        return Ok(batch(&app, &page, &address, next));
    }
    let events = page.events.into_iter().map(EventBody::recorded).collect();
    Ok(Answer(EventsPage { events, next, at_head }).into_response())
}

/// A page as CloudEvents has it: a list and nothing else. Where the next one is stands in a header.
fn batch(app: &App, page: &Gathering, address: &Uri, next: Position) -> Response {
    let store = app.engine().store().store_id();
    let events: Vec<CloudEvent<'_>> = page.events.iter().map(|event| CloudEvent::of(event, store)).collect();
    let mut response = Answer(events).into_response();
    if response.status().is_success() {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(feed::BATCH));
        // The address was a header's text before, and a position is digits.
        if let Ok(link) = HeaderValue::from_str(&format!("<{}>; rel=\"next\"", next_page(address, next))) {
            headers.insert(LINK, link);
        }
    }
    response
}

/// The address of a page after another position, as seen from this one.
fn next_page(address: &Uri, next: Position) -> String {
    let others = address.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let others: Vec<&str> = others.filter(|pair| pair.split('=').next() != Some("after")).collect();
    let query: String = others.iter().map(|pair| format!("{pair}&")).collect();
    format!("?{query}after={next}")
}
