//! The Redis adapter: entities, and a cache.
//!
//! [`RedisStore`] implements [`Entities`](underlay_core::Entities) and [`Cache`](underlay_core::Cache) on one Redis 7 or
//! newer. An entity is a hash; an index is a sorted set whose members are values in an order-preserving form, each with
//! the id it belongs to. A unit of changes is one script. All keys of a tenant have the tenant as their hash tag, so they
//! are in one slot of a cluster.
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
mod server;
mod store;

pub use adapter::RedisAdapter;
pub use config::RedisConfig;
pub use store::RedisStore;
