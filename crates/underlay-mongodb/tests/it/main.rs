//! The MongoDB adapter against a real server: the contracts, the table of errors, failures, plans.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken expectation is the failure of a test, and a panic is how a test fails"
)]

mod addresses;
mod conformance;
mod doubts;
mod errors;
mod failures;
mod place;
mod plans;
mod preparing;
mod sample;
