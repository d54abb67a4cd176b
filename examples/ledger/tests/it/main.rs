//! The ledger's tests: the domain by itself, the reader of journals, the import over a store in
//! memory, and the whole program on a file.

// Helpers outside of `#[test]` functions fail a test the way the tests themselves do.
#![allow(clippy::unwrap_used, clippy::expect_used)]
// A test that is skipped says so.
#![allow(clippy::print_stderr)]

mod accounts;
mod archive;
mod balances;
mod config;
mod decision;
mod edge;
mod entities;
mod entity_commands;
mod entity_stores;
mod entries;
mod events_lock;
mod feeds;
mod gateway;
mod http;
mod import;
mod journal;
mod log;
mod mail;
mod members;
mod payment_process;
mod payments;
#[cfg(feature = "postgres")]
mod postgres;
mod program;
mod readme;
mod rows;
mod statements;
#[cfg(any(feature = "mongodb", feature = "redis"))]
mod store_health;
mod stored_commands;
mod stores;
#[cfg(feature = "temporal")]
mod temporal;
mod tenants;
#[cfg(feature = "otlp")]
mod traces;
mod transfers;
mod troubles;
