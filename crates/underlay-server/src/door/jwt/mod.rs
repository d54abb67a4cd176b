//! Signed tokens (JWT): who asks is said by an issuer, whose keys are fetched or given.
//!
//! ```text
//!  token ─► header: is the algorithm one of the configuration's?
//!        ─► key: of the header's id, and of the algorithm's family ─── none: are there new keys?
//!        ─► signature, issuer, audience, begin and end
//!        ─► claims ─► tenant, actor, roles
//! ```
//!
//! The algorithm comes from the configuration and the key, and never from the token alone: a token that
//! says `none` is no token, and a public key is never taken for a secret. What is fetched is remembered,
//! and asked for again within the intervals below.

mod config;
mod fetch;
mod keeper;
mod keys;
mod ring_provider;
mod signed;

pub use config::{JwtConfig, LEEWAY};
pub use keeper::{JWKS_FETCH_MAX, JWKS_FRESH, JWKS_KEPT_MAX, JWKS_RETRY_INTERVAL, JWKS_UNKNOWN_INTERVAL};
pub use keys::JwtKeys;
pub use signed::SignedTokens;
