//! What the attributes write, seen from outside.
// Helper functions stand outside `#[test]`; a panic in them fails the test that called them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod command;
mod compile_fail;
mod entity;
mod event;
mod refusal;
mod row;
mod snapshot;
mod value;
