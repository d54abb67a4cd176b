//! The domain: the traits a user writes, and the plain functions behind them.

mod aggregate;
mod aggregate_state;
mod asked;
mod command;
mod context;
mod decision;
mod event;
mod handler;
mod operation;
mod outgoing;
mod process;
mod recorded;
mod refusal;
mod row;
mod schema_shape;
mod snapshot_state;
mod view;
pub(crate) mod view_schema;

pub use aggregate::Aggregate;
pub use aggregate_state::AggregateState;
pub use asked::Asked;
pub use command::{Command, CommandDescriptor, CommandError};
pub use context::{Actor, Context};
pub use decision::Decision;
pub use event::{DecodeError, Event, EventDescriptor};
pub use handler::{Attempts, Delivery, Handled, Handler, HandlerError, TenantReader};
pub use operation::{Decided, Operation, Reads, Streams};
pub use outgoing::{Draw, Drawing, Outgoing, ReplyTo, StoredCommand};
pub use process::{CommandOutcome, Input, Process, ProcessStart, Step, StepAction, StepContext};
pub use recorded::Recorded;
pub use refusal::Refusal;
pub use row::{Row, RowValues};
pub use schema_shape::SchemaShape;
pub use snapshot_state::SnapshotState;
pub use view::{Keys, OnFault, View};
pub use view_schema::ViewSchema;
