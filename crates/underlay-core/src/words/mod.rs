//! The words: what a service, its domain and its stores speak of. Values alone; nothing here has a port.

mod checkpoint;
mod column;
pub(crate) mod commit;
mod decimal_key;
mod entity_change;
mod entity_json;
mod entity_schema;
mod error;
mod event;
mod json;
pub mod limits;
pub mod options;
mod outcome;
mod payload;
mod plain_name;
mod position;
pub mod reasons;
pub(crate) mod row_schema;
mod stream;
mod tenant;
mod trace_context;
mod trace_state;
mod version;
mod work;
mod work_hint;

pub use checkpoint::{Checkpoint, StoreId};
pub use column::{Column, ColumnType, ColumnValue, Value};
pub use commit::{
    Agreement, Commit, CommitId, Committed, Expectation, Fingerprint, Origin, StreamVersion, StreamWrite,
};
pub use decimal_key::{decimal_from_key, decimal_key};
pub use entity_change::{Change, EntityChange, EntityConflict, EntityVersion, StoredEntity};
pub use entity_json::{EntityJson, GivenEntity};
pub use entity_schema::{EntityExtension, EntitySchema};
pub use error::{CheckpointRefused, Conflict, Error};
pub use event::{EventId, EventType, Metadata, NewEvent, RecordedEvent, SchemaVersion};
pub use json::Json;
pub use outcome::Outcome;
pub use payload::{Payload, Unreadable};
pub use plain_name::check_plain_name;
pub use position::Position;
pub use row_schema::{RowSchema, RowsOf};
pub use stream::{Category, StreamName};
pub use tenant::TenantId;
pub use trace_context::{SpanId, TraceContext, TraceId};
pub use trace_state::TraceState;
pub use version::{ExpectedVersion, Version};
pub use work::{InlineRow, Lane, NewWork, Shard, Work, WorkId, WorkKind, WorkPlace};
pub use work_hint::{ShardSet, WorkHint};

/// A moment in UTC, kept to the microsecond in every store.
pub use jiff::Timestamp;
/// An exact decimal number: money, never a float.
pub use rust_decimal::Decimal;
