//! TLS: the certificate that connections are opened with, read anew when its files change.
//!
//! ```text
//!  files ─► read ─► chain and key that fit ─► used by the next handshakes
//!    ▲        └── damaged, or of two pairs ─► what was read before is used, and `/readyz` says degraded
//!    └── looked at again by a handshake that comes CERTIFICATE_LOOK_INTERVAL after the last look
//! ```
//!
//! Whoever renews a certificate writes two files, and nobody does that in one step. So for a moment they do not fit:
//! such a pair is not used, and the next look tries again. Connections that are open stay as they are.

mod expiry;
mod keeper;

pub use keeper::{CERTIFICATE_ENDS_SOON, CERTIFICATE_LOOK_INTERVAL, CertificateFiles};
