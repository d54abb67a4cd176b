//! Work on a real Temporal server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken expectation is the failure of a test, and a panic is how a test fails"
)]

mod commands;
mod signals;
mod tally;
mod workers;
