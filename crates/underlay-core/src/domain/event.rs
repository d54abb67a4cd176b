use crate::words::{Error, EventType, Json, NewEvent, RecordedEvent, SchemaVersion};

/// A declared event type: its stored name and the version of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventDescriptor {
    /// The stored name.
    pub name: &'static str,
    /// The version written today, from 1.
    pub version: u32,
}

/// A stored payload does not fit its declared type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event type {event_type} version {schema_version}: {reason}")]
pub struct DecodeError {
    /// The stored type.
    pub event_type: String,
    /// The stored version.
    pub schema_version: u32,
    /// What does not fit.
    pub reason: String,
}

/// A closed set of event types that belong together. Written by `#[underlay::event]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a declared set of events",
    label = "put `#[underlay::event]` on the enum and `#[event(name = \"…\", version = 1)]` on its variants"
)]
pub trait Event: Sized + Clone + Send + Sync + 'static {
    /// Every type of the set, as written today.
    fn descriptors() -> Vec<EventDescriptor>;

    /// The JSON Schema of every type's payload, in the order of [`Event::descriptors`].
    fn schemas() -> Vec<Json>;

    /// The type of this event.
    fn descriptor(&self) -> EventDescriptor;

    /// The payload of this event.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a field has no JSON form.
    fn encode(&self) -> Result<Json, Error>;

    /// Reads a stored payload, lifting an older version by its upcasters; `None` where the type is
    /// not of this set.
    ///
    /// # Errors
    /// [`DecodeError`] where the type is of this set and the payload does not fit it.
    fn decode(event_type: &str, schema_version: u32, payload: &str) -> Result<Option<Self>, DecodeError>;
}

impl NewEvent {
    /// Encodes a declared event, with a newly drawn id.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a field has no JSON form.
    pub fn encode<E: Event>(event: &E) -> Result<Self, Error> {
        let descriptor = event.descriptor();
        Ok(Self::new(EventType::new(descriptor.name)?, SchemaVersion(descriptor.version), event.encode()?))
    }
}

impl RecordedEvent {
    /// Reads the payload as one of a declared set; `None` where its type is not of the set.
    ///
    /// # Errors
    /// [`DecodeError`] where the type is of the set and the payload does not fit it, or is in an encoding
    /// that nothing in this program reads.
    pub fn decode<E: Event>(&self) -> Result<Option<E>, DecodeError> {
        let (event_type, version) = (self.event_type.as_str(), self.schema_version.0);
        match self.payload.json() {
            Ok(json) => E::decode(event_type, version, json.as_str()),
            Err(_) if E::descriptors().iter().all(|event| event.name != event_type) => Ok(None),
            Err(unreadable) => Err(DecodeError {
                event_type: event_type.to_owned(),
                schema_version: version,
                reason: unreadable.to_string(),
            }),
        }
    }
}
