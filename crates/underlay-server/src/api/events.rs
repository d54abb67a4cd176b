use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LINK};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use underlay_core::{
    Category, CommitId, Direction, EventId, EventType, Json, LogFilter, Payload, Position, RecordedEvent,
    StreamName, TenantId, Timestamp, Version,
};
use underlay_runtime::{Browse, EventFilter, EventQuery};
use uuid::Uuid;

use crate::answer::Answer;
use crate::app::App;
use crate::budget::Room;
use crate::door::credentials::Caller;
use crate::edge::stopping::Stopping;
use crate::feed::{self, CloudEvent, Form};
use crate::page::{Gathering, PageOf};
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
    /// Whether nothing else is there in the order asked for: where it is ascending, this was the end of the log.
    at_head: bool,
}

/// What says which events are meant.
pub(crate) const FILTERS: [&str; 6] = ["type", "category", "stream", "actor", "correlation_id", "command_id"];

/// Takes [`FILTERS`].
pub(crate) fn take_filter(parameters: &mut Parameters) -> Result<EventFilter, Problem> {
    let event_types =
        parameters.take_all("type").into_iter().map(EventType::new).collect::<Result<_, _>>()?;
    let categories =
        parameters.take_all("category").into_iter().map(Category::new).collect::<Result<_, _>>()?;
    Ok(EventFilter {
        log: LogFilter { categories, event_types },
        stream: parameters.take_parsed("stream")?,
        actor: parameters.take("actor")?,
        correlation_id: parameters.take_parsed("correlation_id")?,
        command_id: parameters.take_parsed::<Uuid>("command_id")?.map(CommitId),
    })
}

/// Takes what says which events are meant, and in which order.
pub(crate) fn take_query(parameters: &mut Parameters) -> Result<EventQuery, Problem> {
    let order = match parameters.take("order")?.as_deref() {
        None | Some("ascending") => Direction::Ascending,
        Some("descending") => Direction::Descending,
        Some(other) => {
            return Err(Problem::invalid(format!("order is ascending or descending; it is {other:?}")));
        }
    };
    Ok(EventQuery {
        filter: take_filter(parameters)?,
        from: parameters.take_parsed("from")?,
        until: parameters.take_parsed("until")?,
        order,
        after: parameters.take_parsed("after")?,
    })
}

/// A page of what was looked for.
pub(crate) struct FoundEvents {
    pub(crate) events: Vec<RecordedEvent>,
    /// What `after` is for the next page.
    pub(crate) next: Position,
    /// Whether everything was looked at that may be meant.
    pub(crate) at_end: bool,
}

/// Looks for events of a tenant, as far as one page looks.
pub(crate) async fn find(
    app: &App,
    room: Room,
    tenant: &TenantId,
    query: EventQuery,
    limit: usize,
) -> Result<FoundEvents, Problem> {
    let store = &**app.engine().store();
    let mut browse = Browse::begin(store, tenant, query).await?;
    let mut page = Gathering::new(app, room, limit);
    let of = if browse.ends_with_commits() { PageOf::Log } else { PageOf::Stream };
    while let Some(part) = page.part() {
        if browse.is_over() || browse.has_looked_enough() {
            break;
        }
        let given = browse.next(store, part).await?;
        if !page.take(given, of)? {
            let next = page.events.last().map_or(browse.place(), |last| browse.place_after(last));
            return Ok(FoundEvents { events: page.events, next, at_end: false });
        }
    }
    Ok(FoundEvents { events: page.events, next: browse.place(), at_end: browse.is_over() })
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
    let limit = parameters.take_limit(PAGE_EVENTS_DEFAULT, app.config().page_events_max)?;
    let query = take_query(&mut parameters)?;
    let form =
        if feed::is_batch_asked_for(&headers) { Form::CloudEvents } else { Form::take(&mut parameters)? };
    let known = ["after", "limit"].iter().chain(&FILTERS).chain(&["from", "until", "order", "format"]);
    parameters.finish(&known.copied().collect::<Vec<_>>())?;
    let found = find(&app, room, &principal.tenant, query, limit).await?;
    if form == Form::CloudEvents {
        return Ok(batch(&app, &found, &address));
    }
    let events = found.events.into_iter().map(EventBody::recorded).collect();
    Ok(Answer(EventsPage { events, next: found.next, at_head: found.at_end }).into_response())
}

/// A page as CloudEvents has it: a list and nothing else. Where the next one is stands in a header.
fn batch(app: &App, found: &FoundEvents, address: &Uri) -> Response {
    let store = app.engine().store().store_id();
    let events: Vec<CloudEvent<'_>> = found.events.iter().map(|event| CloudEvent::of(event, store)).collect();
    let mut response = Answer(events).into_response();
    if response.status().is_success() {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(feed::BATCH));
        // The address was a header's text before, and a position is digits.
        if let Ok(link) =
            HeaderValue::from_str(&format!("<{}>; rel=\"next\"", next_page(address, found.next)))
        {
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
