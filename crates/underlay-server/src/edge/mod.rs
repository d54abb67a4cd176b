//! The edge: connections and what is the same around every request.
//!
//! ```text
//!  socket ─► serve: a place, a pace ─► around: an id, a line in the log, host, path, origin, an end
//!              └─► router ─► door ─► budgets ─► handler
//! ```
//!
//! Nothing here knows what a request is about. What it is about and who may ask it stands in the table of routes.

mod access_log;
mod around;
pub(crate) mod asked;
pub(crate) mod base_path;
pub(crate) mod budget;
mod compression;
mod connection;
pub(crate) mod cors;
pub(crate) mod health;
pub(crate) mod host;
pub(crate) mod stopping;
#[cfg(feature = "tls")]
mod tls;
pub(crate) mod trace_context;
mod wanted;

pub use access_log::ACCESS_LOG_TARGET;
pub(crate) use access_log::method_name;
pub(crate) use around::{FORWARDED_PROTO, around};
pub(crate) use base_path::check_base_path;
#[cfg(feature = "tls")]
pub use connection::serve_tls_within;
pub use connection::{ServeLimits, serve, serve_within};
pub use health::{HealthPart, Start};
#[cfg(feature = "tls")]
pub use tls::{CERTIFICATE_ENDS_SOON, CERTIFICATE_LOOK_INTERVAL, CertificateFiles};
pub(crate) use wanted::wanted;
