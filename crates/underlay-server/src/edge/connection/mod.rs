//! Connections: who may have one, what is spoken on it, and when it ends.
//!
//! ```text
//!  accepted ─► a place ─► (TLS) ─► preface ─┬─ HTTP/1.1 ─► requests, one after another ─┬─► ended
//!     │           │         │         │     └─ HTTP/2 ───► streams, beside each other ──┘
//!     └───────────┴─────────┴─────────┴── told to end: too many wait, or the service stops
//! ```
//!
//! [`serve`] accepts and ends, [`open`] speaks. [`pace`] says how long a client may leave what was written to it, and
//! [`streams`] says the same of each stream of HTTP/2, where a client that takes nothing of one takes the others.

mod open;
mod pace;
mod preface;
mod serve;
mod streams;

pub(crate) use open::OverTls;
#[cfg(feature = "tls")]
pub use serve::serve_tls_within;
pub use serve::{ServeLimits, serve, serve_within};
