//! Work on Temporal.

mod commands;
mod signals;

pub use commands::command_id;
pub use signals::{WhenClosed, WorkflowSignal, WorkflowSink};
