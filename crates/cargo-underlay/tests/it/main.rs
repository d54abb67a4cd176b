//! New packages, made as a person makes them, then built, tested and started.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's set-up that fails is a failed test")]

mod deployment;
mod names;
mod new;
mod place;
