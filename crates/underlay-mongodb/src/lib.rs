//! The MongoDB adapter: entities, the rows of views and leases in one database of a replica set.
//!
//! [`MongoStore`] implements the ports [`Entities`](underlay_core::Entities),
//! [`ReadModels`](underlay_core::ReadModels) and [`Leases`](underlay_core::Leases). It has no log: a service keeps that
//! in another store.
//!
//! The tenant comes first in every key and in every index. What is stored together is stored by a transaction, and is
//! answered once the majority of the servers has it. A collection refuses documents that are not of its shape, whoever
//! writes them.
//!
//! ```no_run
//! # async fn example() -> Result<(), underlay_core::Error> {
//! use underlay_core::{Column, ColumnType, Entities, EntitySchema};
//! use underlay_mongodb::{MongoConfig, MongoStore};
//!
//! let store = MongoStore::connect("mongodb://db.example/bank", MongoConfig::default()).await?;
//! let base = Column { name: "base".into(), column_type: ColumnType::Text, nullable: false, indexed: true };
//! store.prepare(&EntitySchema::new("rate", 1, vec![base])).await?;
//! store.close().await
//! # }
//! ```

mod adapter;
mod address_options;
mod config;
mod entities;
mod error;
mod leases;
mod options;
mod read_models;
mod rows;
mod store;
mod transaction;
mod units;
mod views;
mod writes;

pub use adapter::MongoAdapter;
pub use config::MongoConfig;
pub use store::MongoStore;
