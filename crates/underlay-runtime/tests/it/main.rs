//! The engine over the memory adapters.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub,
    reason = "a test's set-up that fails is a failed test"
)]

mod bank;
mod browse;
mod busy_store;
mod cache;
mod commands;
mod deploys;
mod drawing;
mod entities;
mod generations;
mod hooked;
mod leases;
mod letters;
mod mending;
mod orders;
mod parking;
mod pumps;
mod purses;
mod rows_first;
mod runners;
mod same_key;
mod shared;
mod snapshots;
mod spaced;
mod stored_commands;
mod tail;
mod traces;
mod turns;
mod views;
mod work;

/// Whether a scheduler drives attempts.
const IS_DRIVEN: bool = false;

/// The same tests where one does.
#[expect(clippy::duplicate_mod, reason = "the same tests run twice, on other engines")]
#[path = "."]
mod driven {
    const IS_DRIVEN: bool = true;

    mod stored_commands;
}
