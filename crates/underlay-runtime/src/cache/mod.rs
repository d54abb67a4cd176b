//! The cache: copies of what is stored elsewhere, in the process and, where one is configured, in a cache behind it.
//!
//! ```text
//!  TenantCache ── key of one tenant ──► TieredCache ── found ──► Local: values, tags, loads, writes (one lock)
//!   typed values, get_or_load              │  ▲
//!                                          ▼  │ no longer than its rest, and inner_ttl
//!                                        the outer tier: another `Cache`
//!
//!  log ── page ──► CacheFollower ── tags of events ──► TieredCache: both tiers
//! ```
//!
//! What is taken away is taken from the process, then from the outer tier, and then from the process again, since somebody
//! may have read it from the outer tier in between. A value that is being loaded when its key or one of its tags is
//! invalidated goes to those who asked for it before, and is not kept. So within a process no answer outlives its
//! invalidation. In other processes it does until they see the event, or [`CacheConfig::inner_ttl`] is over.
//!
//! What happens when something fails: the outer tier fails nobody, and is a miss where it is away. A load that fails is
//! told to its caller and not kept, and one of those who wait loads for themselves. Nobody waits for the load of another for
//! more than [`LOAD_WAIT_MAX`], nor for a third one after two that hung.

mod config;
mod flight;
mod follower;
mod item;
mod keep;
mod local;
mod marks;
mod port;
mod tenant_cache;
#[cfg(test)]
mod tests;
mod tiered;
mod writes;
mod writing;

use std::time::Duration;

pub use config::CacheConfig;
pub(crate) use follower::{CACHE_PUMP, Invalidations, Invalidator, RunningFollower};
pub use item::Cacheable;
pub(crate) use item::Item;
pub use keep::Keep;
pub use tenant_cache::TenantCache;
pub use tiered::TieredCache;

/// How long somebody waits for a load of another.
const LOAD_WAIT_MAX: Duration = Duration::from_secs(10);
