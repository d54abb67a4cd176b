//! The PostgreSQL adapter against a real server: the contracts, roles and policies, failures, plans.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken expectation is the failure of a test, and a panic is how a test fails"
)]

mod conformance;
mod place;
