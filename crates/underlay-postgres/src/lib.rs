//! The PostgreSQL adapter: the log, the outcomes, the rows of views and entities in one database, for any
//! number of processes.
//!
//! [`PostgresStore`] implements the ports for stores. One task per process writes, in group commits of
//! one call each; a pool of connections reads. Order comes from one locked row: position order is
//! commit order, without holes, whichever process wrote.
//!
//! The database keeps tenants apart by row-level security on every table, for roles that [`migrate`]
//! makes: a reader sees the tenant it has named for its transaction, and nothing where it named none.
//! No role may change or remove an event. It is no defence against who holds the program's password.
//!
//! Every statement works through a pooler that shares connections between transactions (pgbouncer);
//! hints by LISTEN need a direct connection, and without one polling finds the same.
//!
//! ```no_run
//! # async fn example() -> Result<(), underlay_core::Error> {
//! use underlay_core::EventStore;
//! use underlay_postgres::{PostgresConfig, PostgresStore, migrate};
//!
//! migrate("postgres://admin@db.example/bank", &PostgresConfig::default(), Some("bank")).await?;
//! let store = PostgresStore::connect("postgres://bank@db.example/bank", PostgresConfig::default()).await?;
//! println!("the log ends at position {}", store.head().await?);
//! store.close().await
//! # }
//! ```

mod adapter;
mod address_options;
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
mod read_models;
mod rows;
mod schedules;
mod snapshots;
mod store;
mod units;
mod views;
mod work;
mod work_queue;

pub use adapter::PostgresAdapter;
pub use config::{Listen, PostgresConfig};
#[doc(hidden)]
pub use fault::FaultPoint;
#[doc(hidden)]
pub use migrate::migrate_up_to;
pub use migrate::{migrate, migration_script};
pub use store::PostgresStore;
