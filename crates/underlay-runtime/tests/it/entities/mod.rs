//! Repositories and units of work, over the memory adapters.

mod cached;
mod kinds;
mod measured;
mod repository;
mod unit_of_work;
mod with_events;
