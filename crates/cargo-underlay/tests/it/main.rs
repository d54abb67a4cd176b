//! New packages, made as a person makes them, then built, tested and started; and the lint, on good and bad code.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's set-up that fails is a failed test")]

mod deployment;
mod lint;
mod names;
mod new;
mod place;
