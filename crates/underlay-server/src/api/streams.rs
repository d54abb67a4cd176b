use axum::extract::State;
use serde::Serialize;
use underlay_core::limits::PAGE_STREAMS_MAX;
use underlay_core::{Category, Error, Json, StreamName, StreamVersion, TenantId, Timestamp, Version};
use underlay_runtime::AsOf;

use crate::answer::Answer;
use crate::app::App;
use crate::budget::Room;
use crate::door::credentials::Caller;
use crate::events::{EventBody, PAGE_EVENTS_DEFAULT};
use crate::page::{Gathering, PageOf};
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;

/// Streams in a page where the request does not say.
pub(crate) const PAGE_STREAMS_DEFAULT: usize = 100;
/// Bytes of a stream in an answer beside its name, about.
const LISTED_BYTES: usize = 64;

/// A part of the list of the tenant's streams.
#[derive(Debug, Serialize)]
pub(crate) struct StreamsBody {
    pub(crate) streams: Vec<StreamVersion>,
    /// What `after` is for the next page; null where this is the last.
    pub(crate) next: Option<StreamName>,
}

/// Which part of it.
pub(crate) struct StreamsAsked {
    pub(crate) category: Option<Category>,
    pub(crate) after: Option<StreamName>,
    pub(crate) limit: usize,
}

impl StreamsAsked {
    /// Takes `category`, `after` and `limit`.
    pub(crate) fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self {
            category: parameters.take("category")?.map(Category::new).transpose()?,
            after: parameters.take_parsed("after")?,
            limit: parameters.take_limit(PAGE_STREAMS_DEFAULT, PAGE_STREAMS_MAX)?,
        })
    }
}

/// Lists a tenant's streams.
pub(crate) async fn list_of(
    app: &App,
    room: &Room,
    tenant: &TenantId,
    asked: StreamsAsked,
) -> Result<StreamsBody, Problem> {
    let StreamsAsked { category, after, limit } = asked;
    let list = app.engine().store().streams(tenant, category.as_ref(), after.as_ref(), limit).await?;
    let bytes = list.streams.iter().map(|listed| LISTED_BYTES + listed.stream.as_str().len()).sum();
    room.0.hold(bytes, false)?;
    let next = list.streams.last().filter(|_| list.more).map(|last| last.stream.clone());
    Ok(StreamsBody { streams: list.streams, next })
}

/// `GET /v1/streams`: a page of the tenant's streams, by name.
pub(crate) async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    room: Room,
    mut parameters: Parameters,
) -> Result<Answer<StreamsBody>, Problem> {
    let asked = StreamsAsked::take(&mut parameters)?;
    parameters.finish(&["category", "after", "limit"])?;
    Ok(Answer(list_of(&app, &room, &principal.tenant, asked).await?))
}

#[derive(Debug, Serialize)]
pub(crate) struct StreamBody {
    stream: StreamName,
    /// The version of the stream when it was read.
    version: Version,
    events: Vec<EventBody>,
    /// What `after` is for the next page; null where this is the last.
    next: Option<Version>,
}

/// `GET /v1/streams/{stream}`: a page of a stream.
pub(crate) async fn read(
    State(app): State<App>,
    Caller(principal): Caller,
    room: Room,
    Segments(stream): Segments<String>,
    mut parameters: Parameters,
) -> Result<Answer<StreamBody>, Problem> {
    let stream = StreamName::parse(&stream)?;
    let after = Version(parameters.take_parsed("after")?.unwrap_or_default());
    let limit = parameters.take_limit(PAGE_EVENTS_DEFAULT, app.config().page_events_max)?;
    parameters.finish(&["after", "limit"])?;
    let mut page = Gathering::new(&app, room, limit);
    let mut version = Version::NONE;
    while let Some(part) = page.part() {
        let from = page.events.last().map_or(after, |event| event.version);
        let read = app.engine().store().read_stream(&principal.tenant, &stream, from, part).await?;
        version = read.version;
        let is_last = read.events.last().is_none_or(|event| event.version >= version);
        if !page.take(read.events, PageOf::Stream)? || is_last {
            break;
        }
    }
    if version == Version::NONE {
        return Err(Error::NotFound(format!("stream {stream}")).into());
    }
    let last = page.events.last().map(|event| event.version);
    Ok(Answer(StreamBody {
        stream,
        version,
        events: page.events.into_iter().map(EventBody::recorded).collect(),
        next: last.filter(|last| *last < version),
    }))
}

/// An aggregate as it was.
#[derive(Debug, Serialize)]
pub(crate) struct StateBody {
    stream: StreamName,
    /// The last event that was folded.
    version: Version,
    /// When it was recorded.
    recorded_at: Timestamp,
    state: Json,
}

/// `GET /v1/streams/{stream}/state`: the state of an aggregate, now, after so many events, or at a moment.
pub(crate) async fn state(
    State(app): State<App>,
    Caller(principal): Caller,
    room: Room,
    Segments(stream): Segments<String>,
    mut parameters: Parameters,
) -> Result<Answer<StateBody>, Problem> {
    let stream = StreamName::parse(&stream)?;
    let (version, at) = (parameters.take_parsed("version")?, parameters.take_parsed("at")?);
    parameters.finish(&["version", "at"])?;
    let as_of = match (version, at) {
        (None, None) => AsOf::Now,
        (Some(version), None) => AsOf::Version(Version(version)),
        (None, Some(moment)) => AsOf::Moment(moment),
        (Some(_), Some(_)) => {
            return Err(Problem::invalid(
                "version and at both say which state; only one of them can be said",
            ));
        }
    };
    let past = app.engine().past_state(&principal.tenant, &stream, as_of).await?;
    room.0.hold(past.state.bytes(), false)?;
    Ok(Answer(StateBody { stream, version: past.version, recorded_at: past.recorded_at, state: past.state }))
}
