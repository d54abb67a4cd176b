//! Tokens: random secrets in a file, by their hashes.
//!
//! A token is 256 random bits, so nobody finds it by trying, and one round of SHA-256 hides it: a
//! password hash is slow to make guesses expensive, and here there is nothing to guess. Whoever reads
//! the file learns no token.
//!
//! ```text
//!  ledger token new ─► lock ─► read ─► change ─► temporary file, fsync, rename ─► unlock
//!                                                         │
//!  serve ─► at most every TOKENS_LOOK_INTERVAL ─► changed? ─► read ─► good: used from now on
//!                                                                └─► not: the last good one, and
//!                                                                    `/readyz` and the log say so
//! ```

mod file;
mod keeper;
mod list;
mod secret;

pub use file::TokenFile;
pub use keeper::{FileTokens, TOKENS_LOOK_INTERVAL, TOKENS_REVOKED_WITHIN};
pub use list::{Token, TokenList, TokenRequest};
pub use secret::Secret;
pub(crate) use secret::{TokenHash, hex, random};
