use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::body::Bytes;
use serde::Serialize;
use underlay_core::{Checkpoint, RecordedEvent, StoreId};
use underlay_runtime::{Engine, Kept};

use super::cloud_event::CloudEvent;
use super::{Form, frame, id};
use crate::events::EventBody;
use crate::page::event_bytes;

/// An event, and what a feed says of it: written once, for however many.
pub(crate) struct Shown {
    record: RecordedEvent,
    plain: OnceLock<Option<Bytes>>,
    cloud: OnceLock<Option<Bytes>>,
    /// The rows it changes, by view.
    changes: Mutex<Vec<(String, Changed)>>,
}

/// The keys of rows; none where nobody here knows.
type Changed = Option<Arc<[String]>>;

impl Kept for Shown {
    fn of(record: RecordedEvent) -> Self {
        Self { record, plain: OnceLock::new(), cloud: OnceLock::new(), changes: Mutex::default() }
    }

    fn record(&self) -> &RecordedEvent {
        &self.record
    }

    fn bytes(&self) -> usize {
        // As it was read, and as it is written.
        2 * event_bytes(&self.record)
    }
}

impl Shown {
    /// What a feed says of it; none where what is stored is no JSON.
    pub(super) fn frame(&self, form: Form, store: StoreId) -> Option<Bytes> {
        let written = match form {
            Form::Plain => {
                self.plain.get_or_init(|| self.write(store, &EventBody::recorded(self.record.clone())))
            }
            Form::CloudEvents => {
                self.cloud.get_or_init(|| self.write(store, &CloudEvent::of(&self.record, store)))
            }
        };
        written.clone()
    }

    /// The keys of the rows it changes in a view, found once for however many; none where nobody here knows.
    pub(super) fn changed_keys(&self, engine: &Engine, view: &str) -> Changed {
        // Nothing below the lock can panic half way: what the domain's code does is caught.
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, keys)) = changes.iter().find(|(name, _)| name == view) {
            return keys.clone();
        }
        let keys: Changed = engine.changed_keys(view, &self.record).ok().flatten().map(Into::into);
        changes.push((view.to_owned(), keys.clone()));
        keys
    }

    fn write(&self, store: StoreId, body: &impl Serialize) -> Option<Bytes> {
        let RecordedEvent { position, event_id, event_type, .. } = &self.record;
        let place = Checkpoint { position: *position, event_id: Some(*event_id), ..Checkpoint::start(store) };
        match serde_json::to_vec(body) {
            Ok(data) => Some(frame::event(Some(&id::text(&place)), event_type.as_str(), &data)),
            Err(error) => {
                tracing::error!(%position, %error, "a stored event is not JSON");
                None
            }
        }
    }
}
