//! The suites, run on the adapters in memory, and the suites themselves put to the test.
// Helper functions stand outside `#[test]`; a panic in them fails the test that called them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod conformance;
mod contract;
mod flaky;
mod flaky_work;
#[cfg(feature = "model")]
mod model;
mod mutants;
mod process_scenario;
mod scenario;
