use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::{Aggregate, Event, SchemaShape};
use crate::words::{Fingerprint, Json};

/// An aggregate whose state can be stored. Written by `#[underlay::snapshot]`.
#[diagnostic::on_unimplemented(
    message = "the state of `{Self}` cannot be stored",
    label = "put `#[underlay::snapshot(every = 100)]` on the aggregate's struct"
)]
pub trait SnapshotState: Aggregate + Serialize + DeserializeOwned {
    /// Raise it when `evolve` changed in a way the fields do not show.
    const SNAPSHOT_VERSION: u32 = 1;
    /// Events between two snapshots of a stream; at least 1.
    const SNAPSHOT_EVERY: u64;

    /// The JSON Schema of the state.
    fn schema() -> Json;

    /// Changes whenever a state stored by one definition must not be read by another: with the
    /// shape of the fields, with the event types and their versions, with
    /// [`SnapshotState::SNAPSHOT_VERSION`].
    #[must_use]
    fn fingerprint() -> Fingerprint {
        let schema = Self::schema();
        // What is no JSON is of one shape only: as it is written.
        let shape = schema
            .decode()
            .map_or_else(|_| schema.as_str().to_owned(), |schema| SchemaShape::of(&schema).to_string());
        let mut parts = vec![Self::CATEGORY.to_owned(), Self::SNAPSHOT_VERSION.to_string(), shape];
        parts.extend(
            Self::Event::descriptors().iter().map(|event| format!("{} {}", event.name, event.version)),
        );
        Fingerprint::of(parts.iter().map(String::as_bytes))
    }
}
