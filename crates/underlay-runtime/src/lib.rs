//! The engine: runs commands against an event store and keeps views up to date.
//!
//! It is handed ports ([`EventStore`](underlay_core::EventStore), [`ReadModels`](underlay_core::ReadModels),
//! [`Wakeups`](underlay_core::Wakeups), [`Clock`](underlay_core::Clock)) and never names an adapter.

mod config;
mod decide;
mod engine;
mod fold;
mod held_lease;
mod held_rows;
mod options;
mod progress;
mod queries;
mod rebuild;
mod registry;
mod request;
mod snapshots;
mod states;
mod turns;
mod view_runner;

pub use config::{EngineConfig, OnViewChange};
pub use engine::{Engine, Ports, RunningViews};
pub use queries::{RowAnswer, ViewAnswer};
pub use rebuild::RebuildFrom;
pub use registry::{AggregateInfo, OperationInfo, Registry};
pub use request::{ExecuteError, Executed, Failure, Refused, Request};
pub use view_runner::ViewState;
