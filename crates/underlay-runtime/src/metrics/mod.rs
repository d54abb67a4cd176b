//! What is counted and measured of an engine, and how that is written down for Prometheus.
//!
//! ```text
//!  commands, stores, views, receivers, schedules ────► instruments: numbers in memory ─┐
//!                                                                                      ├─► exposition: text
//!  standings and overview, as the store said at most a second ago ─────────────────────┘
//! ```
//!
//! Whatever counts keeps its own instruments, found by the names of the registry and made when the engine is. So what is
//! counted is bounded, two engines in one process stay apart, and counting takes no lock.

mod cache;
mod commands;
mod entities;
mod event_store;
mod exposition;
mod instruments;
mod scheduler;
mod schedules;
mod standings;
mod views;
mod work;

pub(crate) use cache::CacheMetrics;
pub(crate) use commands::CommandMetrics;
pub(crate) use entities::{EntityMetrics, MeasuredEntities};
pub(crate) use event_store::{MeasuredStore, StoreMetrics};
pub use exposition::{Exposition, Family, Kind, Samples};
pub use instruments::{Counter, Histogram};
pub(crate) use scheduler::{MeasuredScheduler, SchedulerMetrics};
pub(crate) use schedules::ScheduleMetrics;
pub use standings::Lags;
pub(crate) use views::ViewMetrics;
pub(crate) use work::{MeasuredReceiver, WorkMetrics};
