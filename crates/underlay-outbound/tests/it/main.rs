//! Mail on its way out: into a folder, and to a real server. Spans on theirs, to a real collector. Entities
//! from another service, which is at fault.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken expectation is the failure of a test, and a panic is how a test fails"
)]

mod arrived;
#[cfg(any(feature = "http", feature = "otlp", feature = "smtp"))]
mod certificates;
mod folder;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "smtp")]
mod smtp;
mod templates;
