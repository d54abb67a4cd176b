//! Entities for whoever writes a service: repositories and units of work, each bound to one tenant.
//!
//! ```text
//!  Registry: kinds ────┐
//!                      ├─► keeper: a kind and the store that has it; its table is prepared once
//!  EntityStores ───────┘     │
//!                            ├─► StoredRepository ◄── Repository<T>        one change at a time
//!                            └─► UnitOfWork: what was read, what is wanted
//!                                  │
//!                                  ├─ commit ──────► Entities::apply       entities alone
//!                                  └─ commit_with ─► the commit of a decision, with its events
//! ```
//!
//! Where the copies of a kind are kept for a time, a [cache](cached) stands before its store, for repositories alone: what a unit
//! of work reads it changes, so it reads the store.
//!
//! The tenant comes from the request, once. Nothing here takes another one later.

mod by_query;
mod cached;
mod keeper;
mod repository;
mod scope;
mod stored_repository;
mod stores;
mod tracked;
mod unit_of_work;

pub use by_query::ByQuery;
pub(crate) use keeper::EntityKeeper;
pub use repository::{IdOf, Page, Repositories, Repository};
pub(crate) use scope::Scope;
pub use stored_repository::StoredRepository;
pub use stores::{EntityStore, EntityStores};
pub use unit_of_work::UnitOfWork;
