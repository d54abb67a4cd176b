//! The vocabulary of Underlay and the ports it is built on.
//!
//! This crate does no I/O and knows no vendor. It holds these things:
//!
//! - the **words**: [`TenantId`], [`StreamName`], [`Version`], [`Position`], [`NewEvent`],
//!   [`RecordedEvent`], [`Commit`], [`Outcome`], [`Checkpoint`];
//! - what a **user writes**: [`Aggregate`], [`Operation`], [`View`], [`Entity`], with [`Event`], [`Command`],
//!   [`Refusal`], [`Row`] and [`Context`];
//! - the **ports**: [`EventStore`], [`ReadModels`], [`Entities`], [`Snapshots`], [`Leases`], [`WorkQueue`], [`Scheduler`] with its [`JobRunner`], [`Schedules`],
//!   [`Cache`], [`Checkpoints`], [`Archive`], [`Retention`], [`EventBus`] with its [`Subscriber`], [`Sink`], [`Wakeups`],
//!   [`Mail`], [`Spans`], [`Health`], [`Clock`]. The documentation of a port is its contract: numbered sentences, each naming the
//!   conformance case that attacks it;
//! - the **toolkit** for whoever writes an adapter, in [`adapter`];
//! - the **memory adapters** in [`memory`]. They keep the same promises, and keep nothing after the process ends.

pub mod adapter;
pub mod domain;
pub mod memory;
pub mod ports;
#[doc(hidden)]
pub mod private;
pub mod words;

pub use domain::*;
pub use ports::*;
pub use words::*;
