//! Inputs on their way to instances: each is a piece of work in a commit of its own, whose id follows from it.

use underlay_core::{
    Commit, Error, Fingerprint, Metadata, ParkedEvent, RecordedEvent, StoredInput, TenantId,
};

use super::Processes;
use super::entry::ProcessEntry;
use super::instance::commit_id;
use crate::work::NotDone;

/// An input of an instance.
pub(super) struct RoutedInput {
    pub(super) tenant: TenantId,
    pub(super) instance: String,
    input: StoredInput,
    event: underlay_core::EventId,
    metadata: Metadata,
}

impl RoutedInput {
    pub(super) fn of_event(event: &RecordedEvent, instance: String) -> Self {
        let input = StoredInput::Event {
            stream: event.stream.clone(),
            version: event.version,
            event_id: event.event_id,
        };
        Self::new(event, instance, input)
    }

    /// An event that the process could not take. It stands in a line of its own.
    pub(super) fn parked(event: &RecordedEvent, reason: &str) -> Self {
        let ParkedEvent { stream, version, event_id, reason, .. } = ParkedEvent::new(event, reason);
        let input = StoredInput::Parked { stream, version, event_id, reason };
        Self::new(event, format!("parked:{event_id}"), input)
    }

    fn new(event: &RecordedEvent, instance: String, input: StoredInput) -> Self {
        // What led to the event leads to the input; what cannot be read of it is no reason to stop.
        let of_event: Metadata = event.metadata.decode().unwrap_or_default();
        let metadata =
            Metadata { causation_id: Some(event.event_id.0), command_id: None, actor: None, ..of_event };
        Self { tenant: event.tenant.clone(), instance, input, event: event.event_id, metadata }
    }
}

impl Processes {
    /// Stores an input, where it was not stored before.
    pub(super) async fn give(&self, process: &str, input: RoutedInput) -> Result<(), Error> {
        let RoutedInput { tenant, instance, input, event, metadata } = input;
        let id = commit_id(&tenant, "input", process, &instance, event.0);
        let content =
            [b"process-input".as_slice(), process.as_bytes(), instance.as_bytes(), event.0.as_bytes()];
        let commit = Commit::new(id)
            .with_content(Fingerprint::of(content))
            .with_metadata(metadata)
            .send(input.work(process, &instance)?);
        self.store.commit(&tenant, commit).await.map(drop)
    }

    /// Looks again which instance a parked event is for, and gives it to that one.
    ///
    /// # Errors
    /// That it still cannot be taken.
    pub(super) async fn route_parked(
        &self,
        entry: &dyn ProcessEntry,
        event: &RecordedEvent,
    ) -> Result<(), NotDone> {
        match entry.route(event) {
            Ok(Some(instance)) => Ok(self.give(entry.name(), RoutedInput::of_event(event, instance)).await?),
            Ok(None) => Ok(()),
            Err(fault) if fault.is_anothers => Err(NotDone::anothers(fault)),
            Err(fault) => Err(NotDone::last(fault)),
        }
    }
}
