//! In-memory adapters: the semantics of the ports, nothing kept after the process ends.

mod adapter;
mod archive;
mod cache;
mod checkpoints;
mod entities;
mod event_bus;
mod event_store;
mod leases;
mod mail;
mod read_models;
mod rows;
mod scheduler;
mod schedules;
mod snapshots;
mod spans;
mod work_queue;

pub use adapter::MemoryAdapter;
pub use cache::MemoryCache;
pub use checkpoints::MemoryCheckpoints;
pub use entities::MemoryEntities;
pub use event_bus::MemoryEventBus;
pub use event_store::MemoryEventStore;
pub use leases::MemoryLeases;
pub use mail::{MemoryMail, SentMail};
pub use read_models::MemoryReadModels;
pub use scheduler::MemoryScheduler;
pub use schedules::MemorySchedules;
pub use snapshots::MemorySnapshots;
pub use spans::MemorySpans;
