//! Work on Temporal: a [`Scheduler`](underlay_core::ports::Scheduler) whose jobs are workflows of a Temporal server.
//!
//! A [`TemporalAddress`] says where the server is. [`Temporal::open`] makes the scheduler, and connects when it is first
//! needed. A [`Router`] says which jobs go where: to which task queue, and as what kind of activity.
//!
//! One short workflow stands for a job. Each of its runs makes one attempt; what the attempt came to is a value and no
//! error, so the server's own retries only take up attempts that ended with their process. The workflow knows what names
//! a job, and nothing of what it is about: that stays in the store.

mod address;
mod answers;
mod attributes;
mod client;
mod commands;
mod error;
#[cfg(test)]
mod histories;
mod job;
mod line;
mod options;
mod router;
mod scheduler;
mod signals;
mod start;
mod worker;

pub use self::address::{TASK_QUEUE_DEFAULT, TemporalAddress, TlsFiles};
pub use self::commands::command_id;
pub use self::line::{LINE_EVENTS_MAX, LINE_IDLE};
pub use self::options::{ApiKey, TemporalOptions};
pub use self::router::{Route, Router};
pub use self::scheduler::Temporal;
pub use self::signals::{WhenClosed, WorkflowSignal, WorkflowSink};
