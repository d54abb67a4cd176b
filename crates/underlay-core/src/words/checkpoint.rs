use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::words::{EventId, Position};

/// The identity of a log, drawn when it is created. Copies of a file share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreId(pub Uuid);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far a reader has come, in a form that shows a log that was restored or exchanged under it.
///
/// The event at `position` must have the id `event_id`; see
/// [`EventStoreExt::check_checkpoint`](crate::ports::EventStoreExt::check_checkpoint).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The log.
    pub store: StoreId,
    /// Everything at or below it is done.
    pub position: Position,
    /// The event at `position`; none at [`Position::START`].
    pub event_id: Option<EventId>,
}

impl Checkpoint {
    /// Before the first event of a log.
    #[must_use]
    pub fn start(store: StoreId) -> Self {
        Self { store, position: Position::START, event_id: None }
    }
}
