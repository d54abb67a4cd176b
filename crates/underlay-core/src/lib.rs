//! The vocabulary of Underlay and the ports it is built on.
//!
//! This crate does no I/O and knows no vendor. It holds four things:
//!
//! - the **words**: [`TenantId`], [`StreamName`], [`Version`], [`Position`], [`NewEvent`],
//!   [`RecordedEvent`], [`Commit`], [`Outcome`], [`Checkpoint`];
//! - what a **user writes**: [`Aggregate`], [`Operation`], [`View`], with [`Event`], [`Command`],
//!   [`Refusal`], [`Row`] and [`Context`];
//! - the **ports**: [`EventStore`], [`ReadModels`], [`Snapshots`], [`Archive`], [`Retention`],
//!   [`Wakeups`], [`Clock`]. The documentation of a port is its contract: numbered sentences, each
//!   naming the conformance case that attacks it;
//! - the **memory adapters** in [`memory`]: the same semantics, nothing kept after the process ends.

mod aggregate;
mod aggregate_state;
mod archive;
mod asked;
mod batch;
mod checkpoint;
mod clock;
mod column;
mod command;
mod commit;
mod context;
mod decimal_key;
mod error;
mod event;
mod event_store;
mod json;
mod leases;
pub mod limits;
pub mod memory;
mod operation;
mod outcome;
mod position;
#[doc(hidden)]
pub mod private;
mod query;
mod read_models;
mod read_turns;
pub mod reasons;
mod recorded;
mod refusal;
mod row;
mod schema_shape;
mod snapshots;
mod stream;
mod tenant;
mod unanswered;
mod version;
mod view;
mod view_batch;
mod view_schema;
mod view_stop;
mod wakeup;
mod walk;

pub use aggregate::Aggregate;
pub use aggregate_state::AggregateState;
pub use archive::{Archive, ArchivePage, ArchivedCommit, Imported, Retention};
pub use asked::Asked;
pub use batch::{BatchLimits, BatchQueue, Queued};
pub use checkpoint::{Checkpoint, StoreId};
pub use clock::{Clock, ManualClock, SystemClock};
pub use column::{Column, ColumnType, ColumnValue, Value};
pub use command::{Command, CommandDescriptor, CommandError};
pub use commit::{Commit, CommitId, Committed, Expectation, Fingerprint, Origin, StreamVersion, StreamWrite};
pub use context::{Actor, Context};
pub use decimal_key::{decimal_from_key, decimal_key};
pub use error::{CheckpointRefused, Conflict, Error};
pub use event::{
    DecodeError, Event, EventDescriptor, EventId, EventType, Metadata, NewEvent, RecordedEvent, SchemaVersion,
};
pub use event_store::{
    CommitStatus, EventStore, EventStoreExt, LogFilter, LogPage, LogScope, RecordedCommit, StreamPage,
    check_page_limit,
};
pub use json::Json;
pub use leases::{Lease, LeaseId, LeaseTerm, Leases, check_lease};
pub use operation::{Decided, Operation, Reads, Streams};
pub use outcome::Outcome;
pub use position::Position;
pub use query::{Comparison, Cursor, Direction, Filter, Query, RowPage, Sort};
pub use read_models::{
    Generation, ReadModels, Swap, Swept, ViewInfo, ViewTable, no_generation, none_replaced, still_read,
};
pub use read_turns::{ReadLimits, ReadTurn, ReadTurns};
pub use recorded::Recorded;
pub use refusal::Refusal;
pub use row::{Row, RowValues};
pub use schema_shape::SchemaShape;
pub use snapshots::{Snapshot, SnapshotState, Snapshots};
pub use stream::{Category, StreamName};
pub use tenant::TenantId;
pub use unanswered::{Ticket, Unanswered, Underway};
pub use version::{ExpectedVersion, Version};
pub use view::{Keys, OnFault, View};
pub use view_batch::{ParkedEvent, RowAddress, RowChange, ViewBatch};
pub use view_schema::ViewSchema;
pub use view_stop::{SkipOrder, SkippedEvent, StopCause, ViewStop};
pub use wakeup::{Wakeup, WakeupHub, Wakeups};
pub use walk::Walk;

/// A moment in UTC, kept to the microsecond in every store.
pub use jiff::Timestamp;
/// An exact decimal number: money, never a float.
pub use rust_decimal::Decimal;
