//! The SQLite adapter: the log, the outcomes, the work that follows from them, the rows of views and entities in one
//! file.
//!
//! [`SqliteStore`] implements [`EventStore`](underlay_core::EventStore),
//! [`ReadModels`](underlay_core::ReadModels), [`Entities`](underlay_core::Entities), [`Wakeups`](underlay_core::Wakeups),
//! [`Snapshots`](underlay_core::Snapshots), [`Archive`](underlay_core::Archive),
//! [`Retention`](underlay_core::Retention), [`WorkQueue`](underlay_core::WorkQueue),
//! [`Schedules`](underlay_core::Schedules) and [`Checkpoints`](underlay_core::Checkpoints). One thread writes, in group commits; a pool of connections
//! reads. The journal is a WAL flushed at every commit (`synchronous=FULL`), so an acknowledged commit
//! survives a crash and a power cut.
//!
//! Several processes may use one file on a local disk. A network file system is refused: its locks and
//! its shared memory do not hold what SQLite needs of them.
//!
//! ```no_run
//! # async fn example() -> Result<(), underlay_core::Error> {
//! use underlay_core::EventStore;
//! use underlay_sqlite::{SqliteConfig, SqliteStore};
//!
//! let store = SqliteStore::open("bank.db", SqliteConfig::default())?;
//! println!("the log ends at position {}", store.head().await?);
//! store.close().await
//! # }
//! ```

mod adapter;
mod archive;
mod checkpoints;
mod config;
mod connections;
mod entities;
mod error;
mod event_store;
mod fault;
mod leases;
mod log;
mod migrate;
mod migrations;
mod options;
#[cfg(test)]
mod plans;
mod read_models;
mod rows;
mod schedules;
mod snapshots;
mod store;
mod views;
mod work;
mod work_queue;

pub use adapter::SqliteAdapter;
pub use config::SqliteConfig;
#[doc(hidden)]
pub use fault::FaultPoint;
pub use store::SqliteStore;
