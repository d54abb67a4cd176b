//! The ledger's tests: the domain by itself, the reader of journals, the import over a store in
//! memory, and the whole program on a file.

// Helpers outside of `#[test]` functions fail a test the way the tests themselves do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounts;
mod balances;
mod decision;
mod entries;
mod import;
mod journal;
mod program;
mod transfers;
