//! Underlay: the infrastructure under an event-sourced, multi-tenant service. A user writes the
//! domain as pure functions; this crate gives it everything outside.

pub use underlay_core as core;
pub use underlay_core::{
    Actor, Aggregate, Category, Clock, ColumnValue, Command, Commit, CommitId, Context, Decimal, Error, Event,
    EventId, EventStore, EventStoreExt, ExpectedVersion, Keys, NewEvent, Operation, Position, ReadModels, Reads,
    Recorded, RecordedEvent, Refusal, Row, StreamName, Streams, TenantId, Timestamp, Version, View,
};
pub use underlay_derive::{command, event, refusal, row};
