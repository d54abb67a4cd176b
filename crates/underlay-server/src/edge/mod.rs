//! The edge: connections and what is the same around every request.
//!
//! ```text
//!  socket ─► serve: a place, a pace ─► around: host, path, origin ─► router ─► door ─► budgets ─► handler
//! ```
//!
//! Nothing here knows what a request is about. What it is about and who may ask it stands in the table of routes.

mod around;
pub(crate) mod budget;
pub(crate) mod health;
pub(crate) mod host;
mod pace;
mod serve;
pub(crate) mod stopping;

pub(crate) use around::around;
pub use serve::{ServeLimits, serve, serve_within};
