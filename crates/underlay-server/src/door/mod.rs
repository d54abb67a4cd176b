//! Who may come in, and as whom.
//!
//! ```text
//!  request ─► Admission ─► Credentials ─► expired? ─► budgets ─► roles ─► handler
//!                │             │             │           │         │
//!                │             │             └─ 401      └─ 429, 503  └─ 403 role-required
//!                │             └─ 401 unidentified, 403 denied, 503 identity-away
//!                └─ 429, 503: too many wait for an answer, or the answer took too long
//! ```
//!
//! Whoever is known at once takes no place. A place to wait is taken only where [`Credentials`] has to
//! ask somebody; see [`admission`]. Every refusal here comes before a handler is called, so nothing was
//! stored, and an `Idempotency-Key` is as unused as before.
//!
//! Whoever is let in is let in for one request, and who they are is not asked again before it is answered.
//! So credentials that end meanwhile open for as long as its body may take
//! ([`body_wait_max`](crate::ServerConfig::body_wait_max)) or it may wait for a view
//! ([`wait_max`](crate::ServerConfig::wait_max)), and no longer.

mod acquaintances;
pub(crate) mod admission;
mod bearer;
pub(crate) mod claims;
pub(crate) mod credentials;
#[cfg(feature = "jwt")]
pub mod jwt;
mod listener;
pub(crate) mod roles;
pub(crate) mod tokens;

pub use bearer::{BEARER_BYTES_MAX, bearer};
pub use credentials::{Credentials, Denied, OneTenant, Principal};
pub use listener::check_listener;
pub use roles::LogReaders;
pub use tokens::{
    FileTokens, Secret, TOKENS_LOOK_INTERVAL, TOKENS_REVOKED_WITHIN, Token, TokenFile, TokenList,
    TokenRequest,
};
