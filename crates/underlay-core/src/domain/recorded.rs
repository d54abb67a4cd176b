use crate::domain::{DecodeError, Event};
use crate::words::{Position, RecordedEvent, StreamName, TenantId, Timestamp, Version};

/// A decoded event together with where and when it was recorded.
#[derive(Clone, Debug)]
pub struct Recorded<E> {
    /// What happened.
    pub event: E,
    /// The record it was decoded from.
    pub record: RecordedEvent,
}

impl<E: Event> Recorded<E> {
    /// Decodes a record; `None` where its type is not of the set `E`.
    ///
    /// # Errors
    /// [`DecodeError`] where the payload does not fit its type.
    pub fn decode(record: RecordedEvent) -> Result<Option<Self>, DecodeError> {
        Ok(record.decode()?.map(|event| Self { event, record }))
    }
}

impl<E> Recorded<E> {
    /// Its owner.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.record.tenant
    }

    /// Its stream.
    #[must_use]
    pub fn stream(&self) -> &StreamName {
        &self.record.stream
    }

    /// Its place in the stream, from 1.
    #[must_use]
    pub fn version(&self) -> Version {
        self.record.version
    }

    /// Its place in the log.
    #[must_use]
    pub fn position(&self) -> Position {
        self.record.position
    }

    /// When it was recorded.
    #[must_use]
    pub fn recorded_at(&self) -> Timestamp {
        self.record.recorded_at
    }
}
