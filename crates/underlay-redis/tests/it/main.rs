//! The Redis adapter against a real server: the contracts, the table of errors, definitions that change.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken expectation is the failure of a test, and a panic is how a test fails"
)]

mod cache;
mod conformance;
mod definitions;
mod errors;
mod keys;
mod place;
mod silence;
mod views;
