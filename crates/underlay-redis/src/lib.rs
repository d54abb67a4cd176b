//! The Redis adapter: entities, rows of views with their leases, and a cache.
//!
//! [`RedisStore`] implements [`Entities`](underlay_core::Entities), [`ReadModels`](underlay_core::ReadModels),
//! [`Leases`](underlay_core::Leases) and [`Cache`](underlay_core::Cache) on one Redis 7 or newer. An entity is a hash, and so
//! is a row of a view; an index is a sorted set whose members are values in an order-preserving form, each with the key it
//! belongs to. A unit of changes is one script, and so is a batch of rows with its checkpoint. All keys of a tenant's
//! entities have the tenant as their hash tag, so they are in one slot of a cluster. Those of all views are in one slot too.
//!
//! What is answered is as durable as the server is configured: only with `appendonly yes` and `appendfsync always` is it
//! on the disk by then. [`RedisStore::weaknesses`] says where a server would lose what it has answered.
//!
//! ```no_run
//! # async fn example() -> Result<(), underlay_core::Error> {
//! use underlay_redis::{RedisConfig, RedisStore};
//!
//! let store = RedisStore::connect("redis://127.0.0.1:6379", RedisConfig::default()).await?;
//! for weakness in store.weaknesses().await? {
//!     println!("{weakness}");
//! }
//! # Ok(()) }
//! ```

mod adapter;
mod cache;
mod config;
mod connections;
mod entities;
mod error;
mod keys;
mod leases;
mod read_models;
mod rows;
mod server;
mod store;
mod views;

pub use adapter::RedisAdapter;
pub use config::RedisConfig;
pub use store::RedisStore;
