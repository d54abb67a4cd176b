//! The SQLite adapter against its file: schema, plans, failures, other processes, and the contracts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken expectation is the failure of a test, and a panic is how a test fails"
)]

mod batches;
mod commits;
mod conformance;
mod damage;
mod disk;
mod entities;
mod entity_failures;
mod entity_tables;
mod failures;
mod file;
mod hostile;
mod leases;
mod model;
mod processes;
mod queries;
mod sample;
mod survey;
mod upgrades;
mod views;
mod wal;
mod work;
mod work_cost;
mod work_model;
