use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::words::limits::EVENT_TYPE_BYTES_MAX;
use crate::words::{
    CommitId, Error, Json, Payload, Position, StreamName, TenantId, Timestamp, TraceContext, Version,
};

/// The identity of an event, unique within its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub Uuid);

impl EventId {
    /// Draws a new id, ordered by time (UUID version 7).
    #[must_use]
    pub fn draw() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The stored name of an event's type, as declared, never derived from a Rust name.
///
/// 1 to [`EVENT_TYPE_BYTES_MAX`] bytes of `a-z A-Z 0-9 . _ -`. A clone is a reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventType(Arc<str>);

impl EventType {
    /// Checks and takes a type's name.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is empty, too long, or holds another character.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
        let text = text.as_ref();
        let well_formed = !text.is_empty()
            && text.len() <= EVENT_TYPE_BYTES_MAX
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if well_formed {
            return Ok(Self(text.into()));
        }
        Err(Error::invalid(format!(
            "event type {text:?} is not 1 to {EVENT_TYPE_BYTES_MAX} letters, digits, '.', '_' and '-'"
        )))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventType({})", self.0)
    }
}

impl TryFrom<String> for EventType {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl From<EventType> for String {
    fn from(event_type: EventType) -> Self {
        event_type.0.as_ref().to_owned()
    }
}

/// The version of an event type's payload, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaVersion(pub u32);

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where an event comes from: who did what, because of what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// One id for everything that follows from one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Uuid>,
    /// The event or command that led to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The command that was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommitId>,
    /// Who gave the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What the systems of that trace tell each other beside it, which is passed on as it came: the W3C `tracestate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

impl Metadata {
    /// What belongs to a `traceparent`, where that is of the same trace as the one here.
    #[must_use]
    pub fn tracestate_of(&self, traceparent: &str) -> Option<&str> {
        let trace_id = |text: &str| TraceContext::parse(text).map(|context| context.trace_id);
        let here = self.traceparent.as_deref().and_then(trace_id)?;
        self.tracestate.as_deref().filter(|_| trace_id(traceparent) == Some(here))
    }
}

/// An event on its way into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Its identity.
    pub event_id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// The version of the payload's shape.
    pub schema_version: SchemaVersion,
    /// What happened.
    pub payload: Payload,
}

impl NewEvent {
    /// An event with a newly drawn id.
    #[must_use]
    pub fn new(event_type: EventType, schema_version: SchemaVersion, payload: impl Into<Payload>) -> Self {
        Self { event_id: EventId::draw(), event_type, schema_version, payload: payload.into() }
    }
}

/// An event as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordedEvent {
    /// Its place in the log.
    pub position: Position,
    /// Its owner.
    pub tenant: TenantId,
    /// Its stream.
    pub stream: StreamName,
    /// Its place in the stream, from 1.
    pub version: Version,
    /// Its identity.
    pub event_id: EventId,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// The version of the payload's shape.
    pub schema_version: SchemaVersion,
    /// What happened.
    #[serde(flatten)]
    pub payload: Payload,
    /// [`Metadata`] as stored text.
    pub metadata: Json,
    /// When the store wrote it; never decreases along the log.
    pub recorded_at: Timestamp,
    /// How many events of the same commit follow this one in the log; 0 for the last.
    #[serde(skip)]
    pub commit_tail: u32,
}

impl RecordedEvent {
    /// The position of the last event of its commit.
    #[must_use]
    pub fn commit_end(&self) -> Position {
        Position::from_number(self.position.number() + u64::from(self.commit_tail))
    }
}
